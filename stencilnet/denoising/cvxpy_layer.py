"""Denoising through cvxpylayers, as the paper does it.

An independent check of `TotalVariation`, and the baseline it is timed against.
"""

from collections.abc import Callable

import cvxpy
import numpy as np
import torch
from cvxpylayers.torch import CvxpyLayer
from torch import Tensor

from stencilnet.denoising.kernels.banded import difference_coefficients
from stencilnet.denoising.signals import Penalty

# Tolerances at which the solution, not just the objective, is known.
_SETTINGS = {
    "solve_method": "Clarabel",
    "tol_gap_abs": 1e-12,
    "tol_gap_rel": 1e-12,
    "tol_feas": 1e-12,
}
# Only where there is a gradient does cvxpylayers take these: one thread.
_GRADIENT_SETTINGS = {"mode": "dense", "n_jobs_forward": 1, "n_jobs_backward": 1}


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
    """The problem of `solvers.denoise` for one signal, in cvxpy."""
    d = matrix @ y
    size = {
        "l1": cvxpy.norm1,
        "l2": cvxpy.norm2,
        "l2_squared": cvxpy.sum_squares,
    }[penalty](d)
    return cvxpy.Problem(cvxpy.Minimize(cvxpy.sum_squares(y - x) / 2 + weight * size))


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
        given = weights.reshape(-1).double().cpu()
        settings = dict(_SETTINGS)
        wanted = rows.requires_grad or given.requires_grad
        if wanted and torch.is_grad_enabled():
            settings |= _GRADIENT_SETTINGS
        (solved,) = layer(rows, given, solver_args=settings)
        if not bool(torch.isfinite(solved).all()):
            raise ValueError(
                "cvxpylayers found no solution: use the exact backend for this signal."
            )
        return solved.reshape(signals.shape).to(signals)

    return solve
