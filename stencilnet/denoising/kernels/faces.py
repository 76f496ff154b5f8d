"""Solutions of trend filtering on a face: differences at the knots alone.

On the face of its knots the problem is a least-squares fit of a piecewise polynomial,
which `project` solves exactly, and `fit_face` corrects knots that are not those.
"""

from typing import no_type_check

import numpy as np

from stencilnet.denoising.kernels.banded import (
    adjoint_differences,
    differences,
    factorize,
    rotate,
    rotate_back,
    substitute,
)
from stencilnet.denoising.kernels.entry import kernel

_MOST_CORRECTIONS = 12


@no_type_check
@kernel
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
@kernel
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
@kernel
def fit_face(x, w, weight, coefficients, knots, pulled, u, d):
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
