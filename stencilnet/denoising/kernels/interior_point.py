"""Trend filtering of any order, one signal: an interior-point method, then its face.

    min_y |y - x|**2_W / 2 + weight |D y|_1

The dual variables `u` in `[-weight, weight]` belong to the differences `D y`:
`W (y - x) + D.T u = 0`. A primal-dual method follows the central path until the
differences that are not zero, the knots, can be told from the others. On their face
the problem is a least-squares fit of a piecewise polynomial, which `project` solves
exactly.
"""

from typing import no_type_check

import numpy as np
from numba import njit

from stencilnet.denoising.kernels.banded import (
    adjoint_differences,
    differences,
    factorize,
    rotate,
    rotate_back,
    substitute,
)

_MOST_ITERATIONS = 200
_MOST_CORRECTIONS = 12
_SHORT_STEP = 0.1
_PATIENCE = 3
_STALLED = 30


@no_type_check
@njit(error_model="numpy")
def project(x, w, pull, knots, coefficients, m, dual):
    """The signal on a face: no differences but at the knots.

        min_y |y - x|**2_W / 2 + pull . y  subject to  (D y)_j = 0 where not knots_j

    Args:
        x, w: signal and positive weights.
        pull: linear term, one per point.
        knots: where differences are allowed.
        dual: out, multipliers of the conditions, 0 at the knots.

    Returns:
        `y`.
    """
    n, k = len(x), len(coefficients) - 1
    b = k if m == n else 0
    band, border = np.empty((m, k + 1)), np.empty((m, b))
    cosines, sines = np.empty((n, k + 1 + b)), np.empty((n, k + 1 + b))
    root_w = np.sqrt(w)
    none = np.zeros(m)
    free = ~knots
    if m == n and free.all():
        # A constant has no adjoint difference on a circle: hold one variable.
        free[m - 1] = False
    factorize(coefficients, root_w, none, free, band, border, cosines, sines)
    y = np.zeros(n)
    dual[:] = 0.0
    upper, adjoint = np.empty(m), np.empty(n)
    lower = root_w * x - pull / root_w
    # The second pass removes the rounding of the first, which long segments pile up.
    for _ in range(2):
        upper[:] = 0.0
        rotate(cosines, sines, k, b, upper, lower)
        change = upper.copy()
        substitute(band, border, change)
        for j in range(m):
            if free[j]:
                dual[j] += change[j]
        upper[:] = 0.0
        rotate_back(cosines, sines, k, b, upper, lower)
        y += lower / root_w
        adjoint_differences(dual, coefficients, n, adjoint)
        lower = root_w * (x - y) - (pull + adjoint) / root_w
    if m == n and not knots.any():
        # The constant that needs the least room in the box.
        dual -= (np.max(dual) + np.min(dual)) / 2
    return y


@no_type_check
@njit(error_model="numpy")
def duality_gap(x, w, weight, y, u, d, adjoint):
    """Primal minus dual value for any `y`, its differences `d`, and `u` in the box.

    `weight |d|_1 - u . d + |W**1/2 (y - x) + W**-1/2 D.T u|**2 / 2`: nothing cancels.
    """
    gap = 0.0
    for j in range(len(d)):
        gap += weight * abs(d[j]) - u[j] * d[j]
    for i in range(len(x)):
        residual = w[i] * (y[i] - x[i]) + adjoint[i]
        gap += residual * residual / w[i] / 2
    return gap


@no_type_check
@njit(error_model="numpy")
def objective(x, w, weight, y, d):
    value = 0.0
    for j in range(len(d)):
        value += weight * abs(d[j])
    for i in range(len(x)):
        value += w[i] * (y[i] - x[i]) ** 2 / 2
    return value


@no_type_check
@njit(error_model="numpy")
def _longest_step(values, changes):
    """The share of a change that keeps positive values from turning negative."""
    step = 1.0
    for j in range(len(values)):
        if changes[j] < 0:
            step = min(step, -values[j] / changes[j])
    return step


@no_type_check
@njit(error_model="numpy")
def _face(x, w, weight, coefficients, knots, pulled, u, d):
    """The solution on the face of the knots, which are corrected if they are not those.

    Args:
        knots: candidates; on return those of the result.
        pulled: `weight` or `-weight` for each, the dual variable of a knot there.
        u, d: out, dual variables in the box and differences of the result.

    Returns:
        The signal, its duality gap, and how many knots are still wrong.
    """
    n, m = len(x), len(u)
    pull, dual = np.empty(n), np.empty(m)
    fewest = m
    for turn in range(_MOST_CORRECTIONS):
        for j in range(m):
            dual[j] = pulled[j] if knots[j] else 0.0
        adjoint_differences(dual, coefficients, n, pull)
        candidate = project(x, w, pull, knots, coefficients, m, u)
        differences(candidate, coefficients, m, d)
        wrong = 0
        for j in range(m):
            if knots[j]:
                u[j] = pulled[j]
                if d[j] * pulled[j] < 0.0:
                    # It jumps against its pull.
                    knots[j] = False
                    wrong += 1
            else:
                d[j] = 0.0
        before = 0.0
        for j in range(m):
            excess = abs(u[j]) - weight
            after = abs(u[j + 1]) - weight if j + 1 < m else 0.0
            outside = not knots[j] and d[j] == 0.0 and excess > 1e-9 * weight
            if outside and before <= excess > after:
                # It is pulled out of the box, harder than its neighbours.
                knots[j] = True
                pulled[j] = weight if u[j] > 0 else -weight
                wrong += 1
            before = excess
        for j in range(m):
            u[j] = min(max(u[j], -weight), weight)
        if not wrong or (turn > 1 and wrong >= fewest):
            break
        fewest = min(fewest, wrong)
    adjoint_differences(u, coefficients, n, pull)
    return candidate, duality_gap(x, w, weight, candidate, u, d, pull), wrong


@no_type_check
@njit(error_model="numpy")
def trend_filter(x, w, weight, coefficients, m, tolerance):
    """Solves for one signal.

    Args:
        x, w: signal and positive weights, float64.
        weight: of the penalty, positive.
        coefficients: of the differences.
        m: number of differences, `n` for periodic ends and `n - k` for free ones.
        tolerance: of the duality gap, relative to the objective.

    Returns:
        y, u, knots, gap, iterations.
    """
    n, k = len(x), len(coefficients) - 1
    b = k if m == n else 0
    root_w = np.sqrt(w)
    knots = np.zeros(m, np.bool_)
    u, d = np.zeros(m), np.zeros(m)
    adjoint = np.empty(n)
    # The polynomial that fits best, which is the solution for a large weight.
    y = project(x, w, np.zeros(n), knots, coefficients, m, u)
    largest = np.max(np.abs(u))
    if largest <= weight:
        adjoint_differences(u, coefficients, n, adjoint)
        return y, u, knots, duality_gap(x, w, weight, y, u, d, adjoint), 0
    best_y, best_u, best_knots = y, u * (weight / largest), knots.copy()
    adjoint_differences(best_u, coefficients, n, adjoint)
    best_gap = duality_gap(x, w, weight, y, best_u, d, adjoint)

    band, border = np.empty((m, k + 1)), np.empty((m, b))
    cosines, sines = np.empty((n, k + 1 + b)), np.empty((n, k + 1 + b))
    free = np.ones(m, np.bool_)
    y = x.copy()
    differences(y, coefficients, m, d)
    # Strictly between the bounds, on both sides of which there is a multiplier:
    # D y = above - below, and the slacks keep their digits where they are small.
    u[:] = 0.0
    size = np.mean(np.abs(d))
    above, below = np.maximum(d, 0.0) + size, np.maximum(-d, 0.0) + size
    up, down = np.full(m, weight), np.full(m, weight)
    du, d_above, d_below = np.empty(m), np.empty(m), np.empty(m)
    g, pulled, upper = np.empty(m), np.empty(m), np.empty(m)
    r, lower = np.empty(n), np.empty(n)
    target, lowest, stalled = 1e-4, np.inf, 0
    before = step = 1.0
    for iteration in range(1, _MOST_ITERATIONS + 1):
        for j in range(m):
            u[j] = weight - up[j] if up[j] < down[j] else down[j] - weight
        adjoint_differences(u, coefficients, n, adjoint)
        differences(y, coefficients, m, d)
        value = objective(x, w, weight, y, d)
        mu = 0.0
        for j in range(m):
            mu += above[j] * up[j] + below[j] * down[j]
        stalled = 0 if mu < 0.7 * lowest else stalled + 1
        lowest = min(lowest, mu)
        last = mu <= 1e-14 * value or stalled == _STALLED
        if mu <= target * value or last:
            target = mu / value * 3e-2
            # The face that the path leads to, its exact solution, and how good it is.
            scale = np.mean(np.abs(d)) / weight
            for j in range(m):
                slack = min(up[j], down[j])
                knots[j] = max(above[j], below[j]) > slack * scale
                pulled[j] = weight if above[j] > below[j] else -weight
            candidate, gap, wrong = _face(
                x, w, weight, coefficients, knots, pulled, du, d_above
            )
            if gap < best_gap:
                best_gap, best_y, best_u = gap, candidate, du.copy()
                best_knots = knots.copy()
            if last:
                gap = duality_gap(x, w, weight, y, u, d, adjoint)
                if gap < best_gap:
                    best_gap, best_y, best_u, best_knots = gap, y, u, knots
            # A small gap alone leaves `y` uncertain by its square root: the face has to
            # be the right one, too.
            done = wrong == 0 and gap <= tolerance * value
            if done or gap <= 1e-16 * value or last:
                return best_y, best_u, best_knots, best_gap, iteration
        mu /= 2 * m
        for j in range(m):
            g[j] = np.sqrt(above[j] / up[j] + below[j] / down[j])
        factorize(coefficients, root_w, g, free, band, border, cosines, sines)
        for i in range(n):
            r[i] = w[i] * (y[i] - x[i]) + adjoint[i]
        # First straight for the solution; then towards the centre as well, as far as
        # the first step asks for it, with its second-order terms (Mehrotra). Where
        # these lead astray, along the path without them.
        centring = 0.0
        d_above[:], d_below[:], du[:] = 0.0, 0.0, 0.0
        for stage in range(3):
            if stage == 2:
                if step > _SHORT_STEP and stalled < _PATIENCE:
                    break
                centring = mu * (0.9 if before < 0.5 else 0.2)
                d_above[:], d_below[:], du[:] = 0.0, 0.0, 0.0
            for j in range(m):
                d_above[j] = (centring + d_above[j] * du[j]) / up[j]
                d_below[j] = (centring - d_below[j] * du[j]) / down[j]
                upper[j] = (d[j] - d_above[j] + d_below[j]) / g[j]
            for i in range(n):
                lower[i] = -r[i] / root_w[i]
            rotate(cosines, sines, k, b, upper, lower)
            du[:] = upper
            substitute(band, border, du)
            for j in range(m):
                d_above[j] += above[j] / up[j] * du[j] - above[j]
                d_below[j] -= below[j] / down[j] * du[j] + below[j]
            step = min(
                _longest_step(above, d_above),
                _longest_step(below, d_below),
                _longest_step(up, -du),
                _longest_step(down, du),
            )
            if stage == 0:
                after = 0.0
                for j in range(m):
                    after += (above[j] + step * d_above[j]) * (up[j] - step * du[j])
                    after += (below[j] + step * d_below[j]) * (down[j] + step * du[j])
                centring = mu * (after / (2 * m * mu)) ** 3
        before = step
        adjoint_differences(du, coefficients, n, adjoint)
        step *= min(max(0.9, 1 - mu / value), 1 - 1e-6)
        for i in range(n):
            y[i] -= step * (r[i] + adjoint[i]) / w[i]
        for j in range(m):
            up[j] -= step * du[j]
            down[j] += step * du[j]
            above[j] += step * d_above[j]
            below[j] += step * d_below[j]
    return best_y, best_u, best_knots, best_gap, _MOST_ITERATIONS
