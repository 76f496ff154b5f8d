"""Trend filtering of any order, one signal: an interior-point method, then its face.

    min_y |y - x|**2_W / 2 + weight |D y|_1

The dual variables `u` in `[-weight, weight]` belong to the differences `D y`:
`W (y - x) + D.T u = 0`. A primal-dual method follows the central path until the
differences that are not zero, the knots, can be told from the others, and the problem
can be solved on their face.
"""

from typing import NamedTuple, no_type_check

import numpy as np

from stencilnet.denoising.kernels.banded import (
    adjoint_differences,
    copy_into,
    differences,
    factorize,
    rotate,
    substitute,
)
from stencilnet.denoising.kernels.entry import kernel
from stencilnet.denoising.kernels.faces import duality_gap, fit_face, project

_MOST_ITERATIONS = 200
_SHORT_STEP = 0.1
_PATIENCE = 3
_STALLED = 30


class _Path(NamedTuple):
    """A point of the central path, all of it positive.

    Attributes:
        above, below: multipliers of the bounds, `D y = above - below`.
        up, down: distances to the bounds, `u = weight - up = down - weight`.
    """

    above: np.ndarray
    below: np.ndarray
    up: np.ndarray
    down: np.ndarray


class _Factor(NamedTuple):
    """What `factorize` writes."""

    band: np.ndarray
    border: np.ndarray
    cosines: np.ndarray
    sines: np.ndarray


@no_type_check
@kernel
def objective(x, w, weight, y, d):
    value = 0.0
    for j in range(len(d)):
        value += weight * abs(d[j])
    for i in range(len(x)):
        value += w[i] * (y[i] - x[i]) ** 2 / 2
    return value


@no_type_check
@kernel
def _longest_step(values, changes):
    """The share of a change that keeps positive values from turning negative."""
    step = 1.0
    for j in range(len(values)):
        if changes[j] < 0:
            step = min(step, -values[j] / changes[j])
    return step


@no_type_check
@kernel
def _centre(d, weight):
    """A path for a signal with the differences `d`, strictly between the bounds.

    On both sides there is a multiplier, and the slacks keep their digits where they are
    small.
    """
    size = np.mean(np.abs(d))
    above, below = np.maximum(d, 0.0) + size, np.maximum(-d, 0.0) + size
    return _Path(above, below, np.full(len(d), weight), np.full(len(d), weight))


@no_type_check
@kernel
def _dual_variables(path, weight, u):
    """`u`, by the bound that is nearer."""
    up, down = path.up, path.down
    for j in range(len(u)):
        u[j] = weight - up[j] if up[j] < down[j] else down[j] - weight


@no_type_check
@kernel
def _products(path):
    """The sum of products of multipliers and distances, zero at the solution."""
    total = 0.0
    for j in range(len(path.up)):
        total += path.above[j] * path.up[j] + path.below[j] * path.down[j]
    return total


@no_type_check
@kernel
def _factorize_at(path, coefficients, root_w, free, g, factor):
    """Factor of the least squares of a step, and the weights `g` of the path in it."""
    for j in range(len(g)):
        g[j] = np.sqrt(path.above[j] / path.up[j] + path.below[j] / path.down[j])
    band, border, cosines, sines = factor
    factorize(coefficients, root_w, g, free, band, border, cosines, sines)


@no_type_check
@kernel
def _advance(path, step, d_above, d_below, du):
    """Takes a step along the path."""
    for j in range(len(du)):
        path.up[j] -= step * du[j]
        path.down[j] += step * du[j]
        path.above[j] += step * d_above[j]
        path.below[j] += step * d_below[j]


@no_type_check
@kernel
def _direction(
    path, factor, g, d, r, root_w, mu, before, stalled, d_above, d_below, du
):
    """The step along the path.

    First straight for the solution; then towards the centre as well, as far as the
    first step asks for it, with its second-order terms (Mehrotra). Where these lead
    astray, along the path without them.

    Args:
        path, factor: where it starts, and the factor of its system with the weights
            `g`.
        d, r: residuals, differences of the signal and misfit.
        mu: mean product of multipliers and distances.
        before: length of the step before.
        stalled: how many steps have gained little.
        d_above, d_below, du: out, changes of the multipliers and of `u`.

    Returns:
        The share of the changes that leaves the path positive.
    """
    above, below, up, down = path
    band, border, cosines, sines = factor
    m, k, b = len(d), band.shape[1] - 1, border.shape[1]
    upper = np.empty(m)
    step = centring = 0.0
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
        rotate(cosines, sines, k, b, upper, -r / root_w)
        copy_into(du, upper)
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
    return step


@no_type_check
@kernel
def _guess_knots(path, weight, d, knots, pulled):
    """The face that the path leads to: its knots and how they are pulled."""
    scale = np.mean(np.abs(d)) / weight
    for j in range(len(d)):
        above, below = path.above[j], path.below[j]
        slack = min(path.up[j], path.down[j])
        knots[j] = max(above, below) > slack * scale
        pulled[j] = weight if above > below else -weight


@no_type_check
@kernel
def _follow_path(x, w, weight, coefficients, polynomial, box, tolerance):
    """Follows the central path until a face of it holds the solution.

    Args:
        x, w, weight, coefficients, tolerance: see `trend_filter`.
        polynomial: the solution for a large weight, which is the first candidate.
        box: dual variables in the box for it.

    Returns:
        y, u, knots, gap, iterations.
    """
    n, m, k = len(x), len(box), len(coefficients) - 1
    b = k if m == n else 0
    root_w = np.sqrt(w)
    knots = np.zeros(m, np.bool_)
    u, d, adjoint = np.zeros(m), np.zeros(m), np.empty(n)
    adjoint_differences(box, coefficients, n, adjoint)
    best_gap = duality_gap(x, w, weight, polynomial, box, d, adjoint)
    best_y, best_u, best_knots = polynomial, box, knots.copy()

    rotations = (n, k + 1 + b)
    factor = _Factor(
        np.empty((m, k + 1)), np.empty((m, b)), np.empty(rotations), np.empty(rotations)
    )
    free = np.ones(m, np.bool_)
    y = x.copy()
    differences(y, coefficients, m, d)
    path = _centre(d, weight)
    du, d_above, d_below = np.empty(m), np.empty(m), np.empty(m)
    g, pulled, r = np.empty(m), np.empty(m), np.empty(n)
    target, lowest, stalled = 1e-4, np.inf, 0
    before = 1.0
    for iteration in range(1, _MOST_ITERATIONS + 1):
        _dual_variables(path, weight, u)
        adjoint_differences(u, coefficients, n, adjoint)
        differences(y, coefficients, m, d)
        value = objective(x, w, weight, y, d)
        mu = _products(path)
        stalled = 0 if mu < 0.7 * lowest else stalled + 1
        lowest = min(lowest, mu)
        last = mu <= 1e-14 * value or stalled == _STALLED
        if mu <= target * value or last:
            target = mu / value * 3e-2
            # The face that the path leads to, its exact solution, and how good it is.
            _guess_knots(path, weight, d, knots, pulled)
            candidate, gap, wrong = fit_face(
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
        _factorize_at(path, coefficients, root_w, free, g, factor)
        for i in range(n):
            r[i] = w[i] * (y[i] - x[i]) + adjoint[i]
        before = _direction(
            path, factor, g, d, r, root_w, mu, before, stalled, d_above, d_below, du
        )
        adjoint_differences(du, coefficients, n, adjoint)
        step = before * min(max(0.9, 1 - mu / value), 1 - 1e-6)
        for i in range(n):
            y[i] -= step * (r[i] + adjoint[i]) / w[i]
        _advance(path, step, d_above, d_below, du)
    return best_y, best_u, best_knots, best_gap, _MOST_ITERATIONS


@no_type_check
@kernel
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
    n = len(x)
    knots = np.zeros(m, np.bool_)
    u, d = np.zeros(m), np.zeros(m)
    adjoint = np.empty(n)
    # The polynomial that fits best, which is the solution for a large weight.
    y = project(x, w, np.zeros(n), knots, coefficients, m, u)
    largest = np.max(np.abs(u))
    if largest <= weight:
        adjoint_differences(u, coefficients, n, adjoint)
        return y, u, knots, duality_gap(x, w, weight, y, u, d, adjoint), 0
    u *= weight / largest
    return _follow_path(x, w, weight, coefficients, y, u, tolerance)
