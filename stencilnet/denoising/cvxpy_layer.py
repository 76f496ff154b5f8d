"""Denoising through cvxpylayers, as the paper does it.

An independent check of `TotalVariation`, and the baseline it is timed against.
"""

import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import cvxpy
import numpy as np
import torch
from cvxpylayers.torch import CvxpyLayer
from torch import Tensor

from stencilnet.denoising.kernels.banded import difference_coefficients
from stencilnet.denoising.layer import DenoisingLayer
from stencilnet.denoising.penalties import L1, L2, L2Squared, Penalty
from stencilnet.denoising.rows import as_rows

# Tolerances that determine the solution, not just the objective.
_SETTINGS = MappingProxyType(
    {
        "solve_method": "Clarabel",
        "tol_gap_abs": 1e-12,
        "tol_gap_rel": 1e-12,
        "tol_feas": 1e-12,
    }
)
# cvxpylayers takes these with gradients only: one thread.
_GRADIENT_SETTINGS = MappingProxyType(
    {"mode": "dense", "n_jobs_forward": 1, "n_jobs_backward": 1}
)
_SIZES: Mapping[type[Penalty], Callable[..., Any]] = MappingProxyType(
    {L1: cvxpy.norm1, L2: cvxpy.norm2, L2Squared: cvxpy.sum_squares}
)


class CvxpyTotalVariation(DenoisingLayer):
    """`TotalVariation` by a general cone solver: slow, and exact to 1e-5 or so.

    Takes the arguments of `DenoisingLayer`.
    """

    def _solve(self, x: Tensor, weights: Tensor) -> Tensor:
        # The same checks as those of `TotalVariation`.
        as_rows(x.detach().double().cpu().numpy(), self.order, self.periodic)
        layer = reference_layer(
            x.shape[-1], self.order, self.penalty, periodic=self.periodic
        )
        return layer(x, weights)


def difference_matrix(points: int, order: int, *, periodic: bool) -> np.ndarray:
    """`D` as a dense matrix, `(points, points)` if it wraps around."""
    rows = points if periodic else points - order
    matrix = np.zeros((rows, points))
    for index, coefficient in enumerate(difference_coefficients(order)):
        matrix[np.arange(rows), (np.arange(rows) + index) % points] += coefficient
    return matrix


def penalized(
    y: cvxpy.Variable, x: object, weight: object, penalty: Penalty, matrix: np.ndarray
) -> cvxpy.Problem:
    """The problem of `denoise_signals` for one signal, in cvxpy."""
    size = _SIZES[type(penalty)](matrix @ y)
    return cvxpy.Problem(cvxpy.Minimize(cvxpy.sum_squares(y - x) / 2 + weight * size))


@functools.cache
def reference_layer(
    points: int, order: int, penalty: Penalty, *, periodic: bool
) -> Callable[[Tensor, Tensor], Tensor]:
    """A function of signals `(*batch, points)` and weights `(*batch,)`."""
    y, x = cvxpy.Variable(points), cvxpy.Parameter(points)
    weight = cvxpy.Parameter(nonneg=True)
    matrix = difference_matrix(points, order, periodic=periodic)
    problem = penalized(y, x, weight, penalty, matrix)
    layer = CvxpyLayer(problem, [x, weight], [y])

    def solve(signals: Tensor, weights: Tensor) -> Tensor:
        rows = signals.reshape(-1, points).double().cpu()
        if not len(rows):
            return signals.clone()
        flat = weights.reshape(-1).double().cpu()
        settings = dict(_SETTINGS)
        differentiable = rows.requires_grad or flat.requires_grad
        if differentiable and torch.is_grad_enabled():
            settings |= _GRADIENT_SETTINGS
        (solution,) = layer(rows, flat, solver_args=settings)
        if not bool(torch.isfinite(solution).all()):
            raise ValueError(
                "cvxpylayers found no solution: use TotalVariation for this signal."
            )
        return solution.reshape(signals.shape).to(signals)

    return solve
