"""Many signals at a time, each as if it were alone.

The compiled code of these functions, with all that they call, is kept on disk.
"""

import hashlib
import inspect
from typing import no_type_check

import numpy as np

from stencilnet.denoising.kernels import (
    banded,
    entry,
    faces,
    gradients,
    interior_point,
    piecewise_constant,
    single,
    smoothing,
)
from stencilnet.denoising.kernels.banded import copy_into, factorize
from stencilnet.denoising.kernels.entry import entry_point
from stencilnet.denoising.kernels.gradients import pull_back_single
from stencilnet.denoising.kernels.single import solve_single

# numba finds compiled code by a function's own bytecode and the cells of its closure,
# and knows nothing of the functions it calls. This number changes with any of them.
_SOURCES = int.from_bytes(
    hashlib.sha256(
        "".join(
            inspect.getsource(module)
            for module in (
                banded,
                entry,
                faces,
                gradients,
                interior_point,
                piecewise_constant,
                single,
                smoothing,
            )
        ).encode()
    ).digest()[:4]
)


@no_type_check
def _compile_solve_rows(sources):
    @no_type_check
    @entry_point
    def solve_rows(x, w, observed, weights, penalty, coefficients, m, tolerance):
        """Denoises each row.

        Args:
            x, w: signals and their precisions, `(signal, n)`.
            observed: which samples are not missing, `(signal, n)`.
            weights: of the penalty, zero or more, one per signal.
            penalty: `L1`, `L2` or `L2_SQUARED`.
            coefficients: of the differences, `m` of them.
            tolerance: of the gap relative to the objective.

        Returns:
            y, u, knots, gap, objective, iterations, stiffness; the last is that of the
            quadratic penalty with the same solution, 0 for `L1`.
        """
        _ = sources
        count = len(x)
        y, u = x.copy(), np.zeros((count, m))
        knots = np.ones((count, m), np.bool_)
        gap, value = np.zeros(count), np.zeros(count)
        iterations, stiffness = np.zeros(count, np.int64), np.zeros(count)
        for row in range(count):
            if weights[row] == 0.0:
                continue
            (
                solution,
                dual,
                jumps,
                gap[row],
                value[row],
                iterations[row],
                stiffness[row],
            ) = solve_single(
                x[row],
                w[row],
                observed[row],
                weights[row],
                penalty,
                coefficients,
                m,
                tolerance,
            )
            copy_into(y[row], solution)
            copy_into(u[row], dual)
            copy_into(knots[row], jumps)
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

        Returns:
            Arrays of the shapes `(signal, n)` and `(signal,)`.
        """
        _ = sources
        by_x, by_weight = np.empty(gradient.shape), np.zeros(len(gradient))
        for row in range(len(gradient)):
            moved, by_weight[row] = pull_back_single(
                gradient[row],
                w[row],
                y[row],
                u[row],
                knots[row],
                stiffness[row],
                weights[row],
                penalty,
                coefficients,
                m,
            )
            copy_into(by_x[row], w[row] * moved)
        return by_x, by_weight

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
        root_w = np.full(n, np.inf)
        for i in range(n):
            if holes[i]:
                root_w[i] = 1.0
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
