"""Gradients of one denoised signal, from that of its solution.

The solution moves like one of a least-squares problem: on the face of its knots for the
penalty `L1`, with the curvature of the norm for `L2`. With its inverse Hessian `H`,
which is symmetric, the gradients are `W H g` and minus the penalty's gradient times
`H g`.
"""

from typing import no_type_check

import numpy as np

from stencilnet.denoising.kernels.banded import (
    adjoint_differences,
    differences,
    inner_product,
)
from stencilnet.denoising.kernels.entry import kernel
from stencilnet.denoising.kernels.faces import project
from stencilnet.denoising.kernels.single import L1, L2
from stencilnet.denoising.kernels.smoothing import smooth


@no_type_check
@kernel
def pull_back_single(
    gradient, w, y, u, knots, stiffness, weight, penalty, coefficients, m
):
    """`H g` of a solution `y`, and the gradient by the weight.

    Args:
        gradient: `g`, by the solution.
        w: precisions.
        y, u, knots, stiffness: as from `solve_single`.
        weight: of the penalty.
        penalty: `L1`, `L2` or `L2_SQUARED`.
        coefficients: of the differences, `m` of them.
    """
    if weight == 0.0:
        return _pull_back_start(gradient / w, y, penalty, coefficients, m)
    if penalty == L1:
        return _pull_back_face(gradient / w, w, u, knots, weight, coefficients, m)
    if np.isinf(stiffness):
        none, unused = np.zeros(m, np.bool_), np.empty(m)
        zero = np.zeros(len(y))
        return project(gradient / w, w, zero, none, coefficients, m, unused), 0.0
    return _pull_back_smooth(gradient / w, w, y, stiffness, penalty, coefficients, m)


@no_type_check
@kernel
def _pull_back_start(moved, y, penalty, coefficients, m):
    """Where the weight starts to act: on the differences of the signal itself."""
    d, pull = np.empty(m), np.empty(len(y))
    differences(y, coefficients, m, d)
    if penalty == L1:
        d = np.sign(d)
    elif penalty == L2:
        norm = np.sqrt(inner_product(d, d))
        d *= 1 / norm if norm > 0 else 0.0
    else:
        d *= 2.0
    adjoint_differences(d, coefficients, len(y), pull)
    return moved, -inner_product(pull, moved)


@no_type_check
@kernel
def _pull_back_face(scaled, w, u, knots, weight, coefficients, m):
    """On the face of the knots, which are pulled at by their signs."""
    n = len(scaled)
    pull, signs, unused = np.empty(n), np.zeros(m), np.empty(m)
    moved = project(scaled, w, np.zeros(n), knots, coefficients, m, unused)
    for j in range(m):
        signs[j] = u[j] / weight if knots[j] else 0.0
    adjoint_differences(signs, coefficients, n, pull)
    return moved, -inner_product(pull, moved)


@no_type_check
@kernel
def _pull_back_smooth(scaled, w, y, stiffness, penalty, coefficients, m):
    """Through the smoother of this stiffness, which that of a norm depends on."""
    n = len(y)
    d, pull, unused = np.empty(m), np.empty(n), np.empty(m)
    differences(y, coefficients, m, d)
    moved, _ = smooth(scaled, w, stiffness, coefficients, m, unused)
    if penalty == L2:
        # The norm has no curvature along the differences themselves.
        adjoint_differences(d / np.sqrt(inner_product(d, d)), coefficients, n, pull)
        along, _ = smooth(pull / w, w, stiffness, coefficients, m, unused)
        share = stiffness * inner_product(pull, along)
        moved = moved + along * (stiffness * inner_product(pull, moved) / (1 - share))
    else:
        adjoint_differences(2 * d, coefficients, n, pull)
    return moved, -inner_product(pull, moved)
