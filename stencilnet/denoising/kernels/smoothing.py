"""Penalties in the Euclidean norm of the differences, squared and not, one signal."""

from typing import no_type_check

import numpy as np

from stencilnet.denoising.kernels.banded import (
    adjoint_differences,
    copy_into,
    differences,
    factorize,
    inner_product,
    rotate,
    rotate_back,
    substitute,
    substitute_transposed,
)
from stencilnet.denoising.kernels.entry import kernel
from stencilnet.denoising.kernels.faces import project

_MOST_ITERATIONS = 100


@no_type_check
@kernel
def smooth(x, w, stiffness, coefficients, m, u):
    """Whittaker's smoother, `argmin_y |y - x|**2_W / 2 + stiffness |D y|**2 / 2`.

    Args:
        x, w: signal and positive weights.
        stiffness: positive.
        coefficients: of the differences, `m` of them.
        u: out, the dual variables `stiffness D y`.

    Returns:
        `y`, and `u . (D W**-1 D.T + 1 / stiffness)**-1 u`.
    """
    n, k = len(x), len(coefficients) - 1
    b = k if m == n else 0
    band, border = np.empty((m, k + 1)), np.empty((m, b))
    cosines, sines = np.empty((n, k + 1 + b)), np.empty((n, k + 1 + b))
    root_w = np.sqrt(w)
    g, free = np.full(m, 1 / np.sqrt(stiffness)), np.ones(m, np.bool_)
    factorize(coefficients, root_w, g, free, band, border, cosines, sines)
    # On a circle a constant is no difference at all: a large stiffness would lose it.
    mean = np.sum(w * x) / np.sum(w) if m == n else 0.0
    upper, lower = np.zeros(m), root_w * (x - mean)
    rotate(cosines, sines, k, b, upper, lower)
    copy_into(u, upper)
    substitute(band, border, u)
    copy_into(upper, u)
    substitute_transposed(band, border, upper)
    curvature = inner_product(upper, upper)
    upper[:] = 0.0
    rotate_back(cosines, sines, k, b, upper, lower)
    return mean + lower / root_w, curvature


@no_type_check
@kernel
def smooth_by_norm(x, w, weight, coefficients, m):
    """`argmin_y |y - x|**2_W / 2 + weight |D y|_2` for one signal.

    The solution is that of `smooth` for the stiffness at which its dual variables have
    the norm `weight`, or the best polynomial if they never do. The reciprocal of the
    norm is nearly linear in the reciprocal stiffness, which Newton's method uses.

    Source of the iteration: Moré and Sorensen (1983), doi:10.1137/0904038.

    Returns:
        y, u, stiffness (infinite for a polynomial), gap, iterations.
    """
    n = len(x)
    u, d, adjoint = np.empty(m), np.zeros(m), np.empty(n)
    y = project(x, w, np.zeros(n), np.zeros(m, np.bool_), coefficients, m, u)
    if m == n:
        # On a circle a constant may be added: the one of least norm.
        u -= np.mean(u)
    stiffness, iteration = np.inf, 0
    differences(x, coefficients, m, d)
    # Where all differences vanish, dual variables are rounding, however small a weight.
    curved = inner_product(d, d) > 0
    if curved and np.sqrt(inner_product(u, u)) > weight:
        # Beyond the upper bound the norm is too small.
        low, high = 0.0, np.sqrt(inner_product(d, d)) / weight
        compliance = high
        while iteration < _MOST_ITERATIONS:
            iteration += 1
            y, curvature = smooth(x, w, 1 / compliance, coefficients, m, u)
            norm = np.sqrt(inner_product(u, u))
            if abs(norm - weight) <= 1e-14 * weight:
                break
            if norm > weight:
                low = compliance
            else:
                high = compliance
            new = compliance + norm * norm / curvature * (norm - weight) / weight
            if not low < new < high:
                new = np.sqrt(low * high) if low > 0 else high / 10
            if abs(new - compliance) <= 1e-15 * compliance:
                break
            compliance = new
        stiffness = 1 / compliance
        differences(y, coefficients, m, d)
        norm = np.sqrt(inner_product(u, u))
        if norm > weight:
            u *= weight / norm
    else:
        d[:] = 0.0
        if not curved:
            u[:] = 0.0
    adjoint_differences(u, coefficients, n, adjoint)
    gap = weight * np.sqrt(inner_product(d, d)) - inner_product(u, d)
    for i in range(n):
        residual = w[i] * (y[i] - x[i]) + adjoint[i]
        gap += residual * residual / w[i] / 2
    return y, u, stiffness, gap, iteration
