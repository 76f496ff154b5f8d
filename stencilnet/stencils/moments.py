"""Moment conditions, which make a stencil consistent, and their solutions."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from stencilnet.errors import as_integer
from stencilnet.stencils.precision import in_full_precision


class MomentConditions:
    """Linear conditions `A c = b` under which `c` approximates a derivative.

    Taylor expansion about `x` shows that `sum_j c_j u(x + s_j dx) / dx**d` equals the
    `d`-th derivative of `u` up to `O(dx**r)` exactly when

        sum_j c_j s_j**m / m!  =  (m == d),    m = 0, ..., d + r - 1.

    If `u` holds cell averages, `s_j**m` becomes its mean over a cell of unit width
    about `s_j`. Everything is without dimension: divide coefficients by `dx**d` to
    apply them.

    With `differences` the coefficients belong to DC-PSE's form

        sum_j c_j (u(x + s_j dx) - (-1)**d u(x)) / dx**d,

    in which constants cancel by themselves for even `d`, so that the moment `m = 0` is
    dropped; for odd `d` it stays. `with_centre` turns such coefficients into
    those of a plain stencil.

    Symmetry satisfies some conditions without further points, as for the second
    derivative at second order on three points: a condition that follows from lower ones
    takes no degree of freedom.

    Source: Fornberg (1988), doi:10.1090/S0025-5718-1988-0935077-0; the difference form
    Schrader et al. (2010), doi:10.1016/j.jcp.2010.02.008. The paper's Proposition 3.2.1
    states the plain conditions with offsets of the opposite sign; its rule for the
    lowest moment is that of the difference form.

    Args:
        offsets: `s_j` in units of dx, centred or not, uniform or not, shape
            `(points,)`, or `(*batch, points)` for one stencil each.
        derivative: order `d` of the derivative.
        order: accuracy order `r`.
        averages: whether the data are cell averages.
        differences: whether the coefficients multiply differences with, or for odd `d`
            sums with, the value at `x`.

    Attributes:
        offsets, derivative, order, averages, differences: the arguments.
        moments: the `m` of each condition.
        matrix: `A`, shape `(*batch, conditions, points)`.
        target: `b`, shape `(conditions,)`.
        particular: the solution of `A c = b` of least norm, shape `(*batch, points)`.
        null_space: orthonormal rows that span the solutions of `A c = 0`, shape
            `(*batch, freedom, points)`; `freedom` is `points - conditions`, or 0 if
            that is negative.

    Raises:
        ValueError: if `order` is below 1, two offsets coincide, an offset is not
            finite, the conditions have no solution, the stencils of a batch have
            different numbers of free parameters, or the difference form is combined
            with averages, with `d = 0`, or with an offset of 0.

    Example:
        >>> from stencilnet.stencils import MomentConditions
        >>> conditions = MomentConditions((-1.0, 0.0, 1.0), derivative=2, order=1)
        >>> conditions.matrix.tolist()
        [[1.0, 1.0, 1.0], [-1.0, 0.0, 1.0], [0.5, 0.0, 0.5]]
        >>> [round(c, 6) for c in conditions.particular.tolist()]
        [1.0, -2.0, 1.0]
    """

    def __init__(
        self,
        offsets: Float[Tensor, "*batch points"] | Sequence[float],
        derivative: int,
        order: int,
        *,
        averages: bool = False,
        differences: bool = False,
    ) -> None:
        offsets = torch.as_tensor(offsets, dtype=torch.float64).detach()
        check_offsets(offsets, derivative, order)
        derivative, order = int(derivative), int(order)
        if differences:
            _check_difference_form(offsets, derivative, averages)
        lowest = int(differences and derivative % 2 == 0)
        self.offsets = offsets
        self.derivative = derivative
        self.order = order
        self.averages = averages
        self.differences = differences
        self.moments = tuple(range(lowest, derivative + order))
        self.matrix = torch.stack(
            [_moment(offsets, m, averages) for m in self.moments], dim=-2
        )
        self.target = torch.tensor(
            [float(m == derivative) for m in self.moments], dtype=torch.float64
        )
        self.particular, self.null_space = solve_linear(self.matrix, self.target)
        self._check_solved()

    def residual(
        self, coefficients: Float[Tensor, "*rows points"]
    ) -> Float[Tensor, "*rows conditions"]:
        """`A c - b` for dimensionless `coefficients`, in their dtype and device."""
        moments = in_full_precision(
            torch.matmul, self.matrix.to(coefficients), coefficients.unsqueeze(-1)
        ).squeeze(-1)
        return moments - self.target.to(coefficients)

    def with_centre(
        self, coefficients: Float[Tensor, "*rows points"]
    ) -> Float[Tensor, "*rows more_points"]:
        """The plain stencil of difference coefficients: the centre comes last.

        Its offsets are `(*s, 0)`, its coefficients `(*c, -(-1)**d sum(c))`.

        Raises:
            ValueError: if the conditions are not those of the difference form.
        """
        if not self.differences:
            raise ValueError(
                "Only coefficients of the difference form have no centre: build the "
                "conditions with differences=True."
            )
        centre = coefficients.sum(-1, keepdim=True) * (-1) ** (self.derivative + 1)
        return torch.cat([coefficients, centre], dim=-1)

    def _check_solved(self) -> None:
        """Raises with the first moment that the stencil cannot satisfy."""
        residual = self.residual(self.particular).abs().reshape(-1, len(self.target))
        scale = 1 + float(self.particular.abs().max())
        failing = (residual > 1e-9 * scale).any(0).nonzero().flatten().tolist()
        if not failing:
            return
        points, conditions = self.offsets.shape[-1], len(self.moments)
        moment = self.moments[failing[0]]
        if points >= conditions:
            raise ValueError(
                f"The stencil {self.offsets.tolist()} cannot satisfy moment {moment}, "
                f"because two of its points nearly coincide or all lie far away: "
                f"change its offsets."
            )
        raise ValueError(
            f"Derivative {self.derivative} at order {self.order} imposes {conditions} "
            f"conditions, but the stencil has only {points} points and cannot satisfy "
            f"moment {moment}: widen the stencil to {conditions} points or lower the "
            f"order."
        )


def solve_linear(
    matrix: Float[Tensor, "*batch conditions points"],
    target: Float[Tensor, "*#batch conditions"],
) -> tuple[Float[Tensor, "*batch points"], Float[Tensor, "*batch freedom points"]]:
    """All solutions of `A c = b`; conditions may be linearly dependent.

    Args:
        matrix: `A`, float64.
        target: `b`.

    Returns:
        The solution of least norm, and orthonormal rows that span the solutions of
        `A c = 0`. A condition that depends on earlier ones is left out, so check the
        residual if it may contradict them.

    Raises:
        ValueError: if the null spaces of a batch have different dimensions.
    """
    lengths = torch.linalg.vector_norm(matrix, dim=-1, keepdim=True)
    rows = matrix / torch.where(lengths > 0, lengths, 1.0)
    independent = _independent_rows(rows.reshape(-1, *rows.shape[-2:]))
    rank_rows = independent[0]
    if (independent != rank_rows).any():
        raise ValueError(
            "All stencils of a batch must have equally many free parameters, but in "
            "some of them symmetry makes conditions redundant: lower the order, or "
            "build those in a batch of their own."
        )
    # A.mT = Q R: the first columns of Q span the rows of A, the others its null space.
    # Normal equations would square the condition number.
    rank = int(rank_rows.sum())
    matrix, target = matrix[..., rank_rows, :], target[..., rank_rows]
    q, r = torch.linalg.qr(matrix.mT, mode="complete")

    def least_norm(right: Tensor) -> Tensor:
        weights = torch.linalg.solve_triangular(
            r[..., :rank, :].mT, right.unsqueeze(-1), upper=False
        )
        return (q[..., :rank] @ weights).squeeze(-1)

    particular = least_norm(target)
    # After one step of refinement only the coefficients themselves are rounded.
    particular = particular + least_norm(_remainder(matrix, particular, target))
    return particular, q[..., rank:].mT.contiguous()


def _remainder(matrix: Tensor, solution: Tensor, target: Tensor) -> Tensor:
    """`b - A c`, computed in numpy's long double and rounded to float64."""
    a, c, b = (
        tensor.cpu().numpy().astype(np.longdouble)
        for tensor in (matrix, solution, target)
    )
    remainder = b - (a @ c[..., np.newaxis])[..., 0]
    return torch.from_numpy(remainder.astype(np.float64)).to(matrix.device)


def check_offsets(offsets: Tensor, derivative: int, order: int) -> None:
    """Raises unless the offsets differ, are finite, and both orders are possible."""
    degree, accuracy = as_integer(derivative), as_integer(order)
    if degree is None or degree < 0:
        raise ValueError(
            f"A derivative cannot have the order {derivative}: give a whole number of "
            f"at least 0."
        )
    if accuracy is None or accuracy < 1:
        raise ValueError(
            f"The accuracy order must be a whole number of at least 1 for a consistent "
            f"stencil, not {order}."
        )
    if offsets.ndim == 0 or offsets.numel() == 0:
        raise ValueError(
            f"A stencil needs at least one point, but the offsets have shape "
            f"{tuple(offsets.shape)}."
        )
    if not torch.isfinite(offsets).all():
        raise ValueError("Stencil offsets must be finite numbers in units of dx.")
    ordered = offsets.sort(dim=-1).values
    if (ordered.diff(dim=-1) == 0).any():
        raise ValueError(
            f"Stencil offsets must differ, but {offsets.tolist()} repeats one: "
            f"remove the duplicate."
        )


def _check_difference_form(offsets: Tensor, derivative: int, averages: bool) -> None:
    if averages:
        raise ValueError("The difference form needs point values: drop averages=True.")
    if derivative == 0:
        raise ValueError(
            "The difference form has no derivative 0, the value at x itself: use the "
            "plain form."
        )
    if (offsets == 0).any():
        raise ValueError(
            "The difference form has no coefficient at x: remove the offset 0."
        )


def _independent_rows(
    rows: Float[Tensor, "stencil conditions points"],
) -> Bool[Tensor, "stencil conditions"]:
    """Whether each row, of unit length, is independent of the rows before it."""
    basis = torch.zeros_like(rows)
    independent = []
    for index in range(rows.shape[-2]):
        residual = rows[:, index]
        for _ in range(2):  # The second pass removes the rounding of the first.
            along = basis @ residual.unsqueeze(-1)
            residual = residual - (basis.mT @ along).squeeze(-1)
        length = torch.linalg.vector_norm(residual, dim=-1, keepdim=True)
        is_new = length > 1e-10
        basis[:, index] = torch.where(is_new, residual / length, 0.0)
        independent.append(is_new.squeeze(-1))
    return torch.stack(independent, dim=-1)


def _moment(offsets: Tensor, m: int, averages: bool) -> Tensor:
    """`s**m / m!`, or its mean over the unit cell about `s`."""
    if not averages:
        return offsets**m / math.factorial(m)
    right, left = offsets + 0.5, offsets - 0.5
    return (right ** (m + 1) - left ** (m + 1)) / math.factorial(m + 1)
