"""The convex layer through cvxpylayers, as the paper solves it.

It agrees with `ConvexLayer`, row by row, and serves as an independent check and as the
paper's baseline. Import it from this module: the package itself does not, so that
nothing else waits for cvxpy to load.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import clarabel
import cvxpy
import numpy as np
import torch
from cvxpylayers.interfaces.base import SolverInterface
from cvxpylayers.torch import CvxpyLayer
from jaxtyping import Float
from scipy.sparse import csc_array
from torch import Tensor

from stencilnet.stencils.constraints import PolyhedralConstraint
from stencilnet.stencils.convex import PolyhedralLayer
from stencilnet.stencils.moments import MomentConditions
from stencilnet.stencils.side_conditions import SideCondition


class CvxpyConvexLayer(PolyhedralLayer):
    """`PolyhedralLayer` through cvxpylayers and Clarabel, with its residual checked.

    cvxpylayers fails on a batch with a single NaN, ignores the solver's status, and
    returns float64. Here rows with NaN do not reach it, a solution that violates a
    condition by more than the tolerance is NaN, and the dtype stays. There are no
    second derivatives.

    By default cvxpylayers gives a solver a cone program whose objective is the squared
    distance; a duality gap of 1e-12 then allows errors of 1e-6 in the coefficients.
    Here Clarabel solves the quadratic program itself, see `ClarabelQuadratic`.

    Source: Agrawal et al. (2019), arXiv:1910.12430.

    Args:
        conditions, reference, side_conditions, limit: as `PolyhedralLayer`, for one
            stencil.
        tolerance: largest violation of a moment, symmetry or inequality, relative to
            the size of the coefficients.

    Raises:
        ValueError: as `PolyhedralLayer`, or if the conditions are a batch.
    """

    def __init__(
        self,
        conditions: MomentConditions,
        reference: Float[Tensor, " points"] | None = None,
        *,
        side_conditions: Sequence[SideCondition] = (),
        limit: float = math.inf,
        tolerance: float = 1e-8,
    ) -> None:
        if conditions.offsets.ndim != 1:
            raise ValueError(
                f"The layer through cvxpylayers takes the conditions of one stencil, "
                f"not a batch of shape {tuple(conditions.offsets.shape[:-1])}: use "
                f"ConvexLayer, which takes batches."
            )
        super().__init__(
            conditions, reference, side_conditions=side_conditions, limit=limit
        )
        self.tolerance = tolerance
        self._solver = self._make_solver()

    def _make_solver(self) -> tuple[CvxpyLayer]:
        """The layer of cvxpylayers; in a tuple it is no submodule.

        Its matrices are constants in float64.
        """
        z = cvxpy.Variable(self.points)
        target = cvxpy.Parameter(self.points)
        # All solutions of the equalities, moments and symmetries alike, share these
        # coordinates; as constraints they have full rank.
        exact = {name: value.cpu() for name, value in self._exact.items()}
        null_space = exact["null_space"]
        across = torch.linalg.qr(null_space.mT, mode="complete").Q
        across = across[:, len(null_space) :].mT.numpy()
        constraints = [across @ z == across @ exact["particular"].numpy()]
        parameters = [target]
        if len(self.bounds):
            bounds = cvxpy.Parameter(len(self.bounds))
            constraints.append(exact["matrix"].numpy() @ z <= bounds)
            parameters.append(bounds)
        objective = cvxpy.Minimize(cvxpy.sum_squares(z - target))
        problem = cvxpy.Problem(objective, constraints)
        return (CvxpyLayer(problem, parameters, [z], solver=ClarabelQuadratic()),)

    def __getstate__(self) -> dict[str, Any]:
        # Sparse matrices cannot be copied: a copy makes its own solver.
        return {key: value for key, value in vars(self).items() if key != "_solver"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._solver = self._make_solver()

    def within(
        self,
        raw: Float[Tensor, "*batch inputs"],
        bounds: Float[Tensor, "*#batch inequalities"],
    ) -> Float[Tensor, "*batch points"]:
        exact = raw.double().cpu()
        rows, count = math.prod(raw.shape[:-1]), bounds.shape[-1]
        target = self.get_constant("reference", exact) + exact
        target = target.reshape(rows, self.points)
        limits = bounds.double().cpu().expand(*raw.shape[:-1], count)
        limits = limits.reshape(rows, count)
        finite = torch.isfinite(target).all(-1) & torch.isfinite(limits).all(-1)
        solution = torch.full_like(target, torch.nan)
        if finite.any():
            values = [target[finite]]
            if limits.shape[-1]:
                values.append(limits[finite])
            (nearest,) = self._solver[0](*values)
            nearest = torch.where(
                self._is_feasible(nearest.detach(), limits[finite]).unsqueeze(-1),
                nearest,
                torch.nan,
            )
            solution = solution.index_put((finite.nonzero().squeeze(-1),), nearest)
        return solution.reshape(raw.shape).to(raw)

    def _is_feasible(self, z: Tensor, bounds: Tensor) -> Tensor:
        """Whether each row satisfies equalities and inequalities."""
        tolerance = self.tolerance * (1 + z.abs().amax(-1))
        null_space = self.get_constant("null_space", z)
        shift = z - self.get_constant("particular", z)
        residual = shift - shift @ null_space.mT @ null_space
        excess = z @ self.get_constant("matrix", z).mT - bounds
        largest = torch.cat([residual.abs(), excess], dim=-1).amax(-1)
        return largest <= tolerance


@dataclass(frozen=True)
class CvxpyConvex(PolyhedralConstraint):
    """`Convex` through cvxpylayers.

    It has the spec of `Convex`, so that a store made with it opens without cvxpy. To
    read specs of that kind as `CvxpyConvex`, pass it as an extension.
    """

    kind = "convex"
    layer_class = CvxpyConvexLayer


class _ProgramState(NamedTuple):
    """A solved program, as its derivative needs it."""

    hessian: np.ndarray
    rows: np.ndarray
    solution: np.ndarray
    dual: np.ndarray
    active: np.ndarray


class ClarabelQuadratic(SolverInterface):
    """Clarabel for cvxpylayers, without a detour from quadratic to cone programs.

        minimize x.T P x / 2 + q.T x  subject to  A x + s = b,  s = 0 or s >= 0

    The solution has tolerances of 1e-12, or 1e-10 where Clarabel stalls, and is NaN if
    there is none. Its derivative is that of the Karush-Kuhn-Tucker conditions with the
    active inequalities as equalities, where they are differentiable.

    Source of the derivative: Amos and Kolter (2017), arXiv:1703.00443, Eq. (7) and (8).
    """

    canon_solver = "CLARABEL"
    supports_quad_obj = True

    def setup(self, ctx: Any) -> None:
        """Stores the sparsity pattern of the matrices."""
        self._hessian = ctx.reduced_P.problem_data_index
        self._constraints = ctx.reduced_A.problem_data_index

    def solve_numpy(
        self,
        P: np.ndarray | None,
        q: np.ndarray,
        A: np.ndarray,
        dims: Any,
        solver_args: dict[str, Any],
        needs_grad: bool,
    ) -> tuple[np.ndarray, np.ndarray, _ProgramState]:
        """Solution, dual and state of one program; the values of A end with b."""
        assert P is not None, "the objective is quadratic"
        hessian = _matrix(P, self._hessian)
        constraints = _matrix(A, self._constraints)
        # The last column is b, and A comes with the opposite sign.
        rows = csc_array(-constraints[:, :-1])
        right = constraints[:, [-1]].toarray().ravel()
        cones = [clarabel.ZeroConeT(dims.zero), clarabel.NonnegativeConeT(dims.nonneg)]
        # Clarabel rarely stalls: shorter steps help, and a wider tolerance for
        # inequalities that are nearly linearly dependent.
        for longest, tolerance in ((0.99, 1e-12), (0.95, 1e-12), (0.9, 1e-10)):
            settings = clarabel.DefaultSettings()
            settings.verbose = False
            settings.max_threads = 1
            settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = tolerance
            settings.max_step_fraction = longest
            result = clarabel.DefaultSolver(
                hessian, q[:-1], rows, right, cones, settings
            ).solve()
            if result.status == clarabel.SolverStatus.Solved:
                break
        solution, dual, slack = map(np.array, (result.x, result.z, result.s))
        if result.status != clarabel.SolverStatus.Solved:
            solution[:] = np.nan
        active = np.concatenate(
            [np.ones(dims.zero, bool), dual[dims.zero :] > slack[dims.zero :]]
        )
        state = _ProgramState(hessian.toarray(), rows.toarray(), solution, dual, active)
        return solution, dual, state

    def derivative_numpy(
        self, dprimal: np.ndarray, ddual: np.ndarray, saved_state: _ProgramState
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Gradients with respect to the values of P, q and A from that of `x`."""
        hessian, rows, solution, dual, active = saved_state
        size, face = len(solution), rows[active]
        saddle = np.block([[hessian, face.T], [face, np.zeros((len(face), len(face)))]])
        right = np.concatenate([-dprimal, np.zeros(len(face))])
        # Least squares: active inequalities may depend on one another.
        adjoint = np.linalg.lstsq(saddle, right, rcond=1e-14)[0]
        dx, dy = adjoint[:size], np.zeros(len(rows))
        dy[active] = adjoint[size:]
        hessian_gradient = (np.outer(dx, solution) + np.outer(solution, dx)) / 2
        row_gradient = np.outer(dy, solution) + np.outer(dual, dx)
        # The same signs as in `solve_numpy`: -A, and b in the last column.
        constraint_gradient = np.column_stack([-row_gradient, -dy])
        return (
            _values(hessian_gradient, self._hessian),
            np.append(dx, 0.0),
            _values(constraint_gradient, self._constraints),
        )


def _matrix(values: np.ndarray, structure: Any) -> csc_array:
    indices, pointers, shape = structure
    return csc_array((values, indices, pointers), shape=shape)


def _values(matrix: np.ndarray, structure: Any) -> np.ndarray:
    """The entries of a matrix in a sparsity pattern, in its order."""
    indices, pointers, _ = structure
    columns = np.repeat(np.arange(len(pointers) - 1), np.diff(pointers))
    return matrix[indices, columns]
