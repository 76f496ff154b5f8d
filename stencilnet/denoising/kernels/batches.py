"""Many signals at a time, each as if it were alone.

The compiled code of these two functions, with all that they call, is kept on disk.
"""

import hashlib
import inspect
from typing import no_type_check

import numpy as np

from stencilnet.denoising.kernels import (
    banded,
    interior_point,
    piecewise_constant,
    smoothing,
)
from stencilnet.denoising.kernels.banded import (
    adjoint_differences,
    differences,
    factorize,
)
from stencilnet.denoising.kernels.entry import entry_point
from stencilnet.denoising.kernels.interior_point import project, trend_filter
from stencilnet.denoising.kernels.piecewise_constant import fit_levels
from stencilnet.denoising.kernels.smoothing import smooth, smooth_by_norm

L1, L2, L2_SQUARED = 0, 1, 2

# numba finds compiled code by a function's own bytecode and the cells of its closure,
# and knows nothing of the functions it calls. This number changes with any of them.
_SOURCES = int.from_bytes(
    hashlib.sha256(
        "".join(
            inspect.getsource(module)
            for module in (banded, interior_point, piecewise_constant, smoothing)
        ).encode()
    ).digest()[:4]
)


@no_type_check
def _compile_solve_rows(sources):
    @no_type_check
    @entry_point
    def solve_rows(x, w, weights, penalty, coefficients, m, tolerance):
        """Denoises each row.

        Args:
            x, w: signals and their precisions, `(signal, n)`.
            weights: of the penalty, zero or more, one per signal.
            penalty: `L1`, `L2` or `L2_SQUARED`.
            coefficients: of the differences, `m` of them.
            tolerance: of the gap relative to the objective.

        Returns:
            y, u, knots, gap, objective, iterations, stiffness; the last is that of the
            quadratic penalty with the same solution, 0 for `L1`.
        """
        _ = sources
        count, n = x.shape
        y, u = np.empty((count, n)), np.zeros((count, m))
        knots = np.ones((count, m), np.bool_)
        gap, value = np.zeros(count), np.zeros(count)
        iterations, stiffness = np.zeros(count, np.int64), np.zeros(count)
        d, pull = np.empty(m), np.empty(n)
        for row in range(count):
            weight = weights[row]
            if weight == 0.0:
                y[row] = x[row]
                continue
            if penalty == L2_SQUARED:
                stiffness[row] = 2 * weight
                y[row], _ = smooth(x[row], w[row], 2 * weight, coefficients, m, u[row])
            elif penalty == L2:
                y[row], u[row], stiffness[row], gap[row], iterations[row] = (
                    smooth_by_norm(x[row], w[row], weight, coefficients, m)
                )
            elif len(coefficients) == 2 and m < n:
                y[row], u[row], knots[row], gap[row] = fit_levels(
                    x[row], w[row], weight
                )
            else:
                y[row], u[row], knots[row], gap[row], iterations[row] = trend_filter(
                    x[row], w[row], weight, coefficients, m, tolerance
                )
            differences(y[row], coefficients, m, d)
            size = 0.0
            for j in range(m):
                if penalty == L1:
                    size += abs(d[j]) if knots[row, j] else 0.0
                elif penalty == L2_SQUARED:
                    # As the dual variables have them: `D y` itself is rounded to `y`.
                    size += (u[row, j] / (2 * weight)) ** 2
                else:
                    size += d[j] * d[j]
            value[row] = weight * (np.sqrt(size) if penalty == L2 else size)
            adjoint_differences(u[row], coefficients, n, pull)
            for i in range(n):
                moved = y[row, i] - x[row, i]
                value[row] += w[row, i] * moved**2 / 2
                if penalty == L2_SQUARED:
                    gap[row] += (w[row, i] * moved + pull[i]) ** 2 / w[row, i] / 2
        return y, u, knots, gap, value, iterations, stiffness

    return solve_rows


solve_rows = _compile_solve_rows(_SOURCES)


@no_type_check
def _compile_pull_back_rows(sources):
    @no_type_check
    @entry_point
    def pull_back_rows(
        gradient, w, y, u, knots, stiffness, weights, penalty, coefficients, m
    ):
        """Gradients with respect to signals and weights, from that of the solutions.

        The solution moves like one of a least-squares problem: on the face of its knots
        for `L1`, with the curvature of the norm for `L2`. With its inverse Hessian `H`,
        which is symmetric, the gradients are `W H g` and minus the penalty's gradient
        times `H g`.

        Returns:
            Gradients of the shapes `(signal, n)` and `(signal,)`.
        """
        _ = sources
        count, n = gradient.shape
        of_x, of_weight = np.empty((count, n)), np.zeros(count)
        d, pull, unused = np.empty(m), np.empty(n), np.empty(m)
        for row in range(count):
            precision, weight = w[row], weights[row]
            wanted = gradient[row] / precision
            differences(y[row], coefficients, m, d)
            if penalty == L1:
                if weight == 0.0:
                    # Where the weight starts to act: every jump is pulled at its sign.
                    moved = wanted
                    for j in range(m):
                        unused[j] = np.sign(d[j])
                else:
                    moved = project(
                        wanted,
                        precision,
                        np.zeros(n),
                        knots[row],
                        coefficients,
                        m,
                        unused,
                    )
                    for j in range(m):
                        unused[j] = u[row, j] / weight if knots[row, j] else 0.0
                adjoint_differences(unused, coefficients, n, pull)
                of_weight[row] = -np.dot(pull, moved)
            elif weight == 0.0:
                moved = wanted
                norm = np.sqrt(np.dot(d, d))
                scale = 2.0
                if penalty == L2:
                    scale = 1 / norm if norm > 0 else 0.0
                adjoint_differences(scale * d, coefficients, n, pull)
                of_weight[row] = -np.dot(pull, moved)
            elif np.isinf(stiffness[row]):
                none = np.zeros(m, np.bool_)
                moved = project(
                    wanted, precision, np.zeros(n), none, coefficients, m, unused
                )
            else:
                moved, _ = smooth(
                    wanted, precision, stiffness[row], coefficients, m, unused
                )
                if penalty == L2:
                    # The norm has no curvature along the differences themselves.
                    norm = np.sqrt(np.dot(d, d))
                    adjoint_differences(d / norm, coefficients, n, pull)
                    along, _ = smooth(
                        pull / precision,
                        precision,
                        stiffness[row],
                        coefficients,
                        m,
                        unused,
                    )
                    share = stiffness[row] * np.dot(pull, along)
                    moved = moved + along * (
                        stiffness[row] * np.dot(pull, moved) / (1 - share)
                    )
                    of_weight[row] = -np.dot(pull, moved)
                else:
                    adjoint_differences(2 * d, coefficients, n, pull)
                    of_weight[row] = -np.dot(pull, moved)
            of_x[row] = precision * moved
        return of_x, of_weight

    return pull_back_rows


pull_back_rows = _compile_pull_back_rows(_SOURCES)


@no_type_check
def _compile_count_held_rows(sources):
    @no_type_check
    @entry_point
    def count_held_rows(knots, holes, coefficients, m):
        """How many independent conditions each face puts on the missing samples alone.

        Args:
            knots: of each face, `(face, m)`; the other differences vanish on it.
            holes: which samples are missing.
            coefficients: of the differences, `m` of them.

        Returns:
            The rank of the conditions with all observed samples at zero, per face.
        """
        _ = sources
        count, n, k = len(knots), len(holes), len(coefficients) - 1
        held = np.zeros(count, np.int64)
        if not holes.any():
            return held
        b = k if m == n else 0
        band, border = np.empty((m, k + 1)), np.empty((m, b))
        cosines, sines = np.empty((n, k + 1 + b)), np.empty((n, k + 1 + b))
        # An infinite precision takes the observed samples out.
        root_w = np.where(holes, 1.0, np.inf)
        for row in range(count):
            free = ~knots[row]
            none = np.zeros(m)
            factorize(coefficients, root_w, none, free, band, border, cosines, sines)
            for j in range(m):
                pivot = band[j, 0] if j < m - b else border[j, j - (m - b)]
                held[row] += free[j] and abs(pivot) > 1e-9
        return held

    return count_held_rows


count_held_rows = _compile_count_held_rows(_SOURCES)
