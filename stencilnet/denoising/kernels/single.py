"""One signal under any penalty, also with missing samples.

Missing samples have no say, but the solvers divide by precisions. They get a tiny one,
which pulls them towards a guess; the guess then moves to the solution until the pull is
negligible (the proximal point method). The duality gap is that of the problem without
the pull: the dual variables are moved until `D.T u` vanishes at missing samples.

Source: Rockafellar (1976), doi:10.1137/0314056, for the proximal point method.
"""

from typing import no_type_check

import numpy as np

from stencilnet.denoising.kernels.banded import (
    adjoint_differences,
    differences,
    factorize,
    inner_product,
    rotate,
    substitute,
)
from stencilnet.denoising.kernels.entry import kernel
from stencilnet.denoising.kernels.interior_point import trend_filter
from stencilnet.denoising.kernels.piecewise_constant import fit_levels
from stencilnet.denoising.kernels.smoothing import smooth, smooth_by_norm

L1, L2, L2_SQUARED = 0, 1, 2

_MOST_GUESSES = 8


@no_type_check
@kernel
def solve_single(x, w, observed, weight, penalty, coefficients, m, tolerance):
    """Denoises one signal.

    Args:
        x, w: signal and positive precisions, with a guess and a tiny precision where a
            sample is missing.
        observed: which samples are not missing.
        weight: of the penalty, positive.
        penalty: `L1`, `L2` or `L2_SQUARED`.
        coefficients: of the differences, `m` of them.
        tolerance: of the gap relative to the objective.

    Returns:
        y, u, knots, gap, objective, iterations, stiffness.
    """
    n = len(x)
    complete = observed.all()
    guess = x if complete else x.copy()
    d, pull = np.empty(m), np.empty(n)
    total, least = 0, np.inf
    for turn in range(1 if complete else _MOST_GUESSES):
        y, u, knots, gap, turns, stiffness = _solve(
            guess, w, observed, weight, penalty, coefficients, m, tolerance
        )
        total += turns
        differences(y, coefficients, m, d)
        for j in range(m):
            if penalty == L2_SQUARED:
                # As the dual variables have them: `D y` itself is rounded to `y`.
                d[j] = u[j] / (2 * weight)
            elif not knots[j] or np.isinf(stiffness):
                d[j] = 0.0
        if not complete:
            _release(u, observed, coefficients)
            _shrink(u, weight, penalty)
        adjoint_differences(u, coefficients, n, pull)
        value, exact = _certificate(x, w, observed, weight, y, u, d, pull, penalty)
        if not complete or penalty == L2_SQUARED:
            gap = exact
        if turn == 0 or gap < least:
            best, least = (y, u, knots, gap, value, stiffness), gap
        if gap <= 1e-3 * tolerance * value:
            break
        for i in range(n):
            if not observed[i]:
                guess[i] = y[i]
    y, u, knots, gap, value, stiffness = best
    return y, u, knots, gap, value, total, stiffness


@no_type_check
@kernel
def _solve(x, w, observed, weight, penalty, coefficients, m, tolerance):
    """y, u, knots, gap, iterations and stiffness by the solver of the penalty."""
    every = np.ones(m, np.bool_)
    if penalty == L2_SQUARED:
        u = np.zeros(m)
        y, _ = smooth(x, w, 2 * weight, coefficients, m, u)
        return y, u, every, 0.0, 0, 2 * weight
    if penalty == L2:
        y, u, stiffness, gap, turns = smooth_by_norm(x, w, weight, coefficients, m)
        return y, u, every, gap, turns, stiffness
    if len(coefficients) == 2 and m < len(x):
        y, u, knots, gap = _fit_observed(x, w, observed, weight)
        return y, u, knots, gap, 0, 0.0
    y, u, knots, gap, turns = trend_filter(x, w, weight, coefficients, m, tolerance)
    return y, u, knots, gap, turns, 0.0


@no_type_check
@kernel
def _fit_observed(x, w, observed, weight):
    """`fit_levels` of the observed samples; the others lie evenly in between."""
    n = len(x)
    place = np.flatnonzero(observed)
    if len(place) == n:
        return fit_levels(x, w, weight)
    levels, pulls, jumps, gap = fit_levels(x[place], w[place], weight)
    y, u, knots = np.empty(n), np.zeros(n - 1), np.zeros(n - 1, np.bool_)
    y[: place[0] + 1], y[place[-1] :] = levels[0], levels[-1]
    for j in range(len(place) - 1):
        start, stop = place[j], place[j + 1]
        step = (levels[j + 1] - levels[j]) / (stop - start)
        for i in range(start, stop):
            y[i] = levels[j] + (i - start) * step
            u[i], knots[i] = pulls[j], jumps[j]
    return y, u, knots, gap


@no_type_check
@kernel
def _certificate(x, w, observed, weight, y, u, d, pull, penalty):
    """Objective and duality gap, if `pull`, which is `D.T u`, is 0 at missing samples.

    By the Fenchel-Young inequality for each term: nothing cancels.
    """
    size, product, squares, mismatch = 0.0, 0.0, 0.0, 0.0
    for j in range(len(d)):
        size += abs(d[j]) if penalty == L1 else d[j] * d[j]
        product += u[j] * d[j]
        mismatch += (u[j] - 2 * weight * d[j]) ** 2
    if penalty == L2_SQUARED:
        value, gap = weight * size, mismatch / (4 * weight)
    else:
        value = weight * (np.sqrt(size) if penalty == L2 else size)
        gap = value - product
    for i in range(len(x)):
        if observed[i]:
            moved = y[i] - x[i]
            value += w[i] * moved * moved / 2
            squares += (w[i] * moved + pull[i]) ** 2 / w[i] / 2
    return value, gap + squares


@no_type_check
@kernel
def _release(u, observed, coefficients):
    """Moves `u` as little as possible until `D.T u` is zero at missing samples."""
    n, m, k = len(observed), len(u), len(coefficients) - 1
    b = k if m == n else 0
    band, border = np.empty((m, k + 1)), np.empty((m, b))
    cosines, sines = np.empty((n, k + 1 + b)), np.empty((n, k + 1 + b))
    # Conditions with a weight that leaves the rest no say; observed samples have none.
    root_w = np.full(n, 1e-6)
    for i in range(n):
        if observed[i]:
            root_w[i] = np.inf
    one, free = np.ones(m), np.ones(m, np.bool_)
    factorize(coefficients, root_w, one, free, band, border, cosines, sines)
    upper, lower = np.empty(m), np.empty(n)
    for _ in range(3):
        adjoint_differences(u, coefficients, n, lower)
        for i in range(n):
            lower[i] = 0.0 if observed[i] else -lower[i] / root_w[i]
        upper[:] = 0.0
        rotate(cosines, sines, k, b, upper, lower)
        substitute(band, border, upper)
        u += upper


@no_type_check
@kernel
def _shrink(u, weight, penalty):
    """Scales `u` until the penalty allows it."""
    size = np.max(np.abs(u)) if penalty == L1 else np.sqrt(inner_product(u, u))
    if penalty != L2_SQUARED and size > weight:
        u *= weight / size
