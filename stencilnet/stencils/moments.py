"""Derivatives, stencils, and the moment conditions that make a stencil consistent."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class Derivative:
    """A spatial derivative that an equation asks a discretization for.

    Attributes:
        order: order `d` of the derivative; 0 asks for the function itself.
        face: whether it is wanted at the faces `x_i + dx/2` rather than at `x_i`.
        side: -1 or +1 for a one-sided reconstruction that leans to the left or to
            the right of where it is wanted, 0 for a centred one.
    """

    order: int
    face: bool = False
    side: int = 0

    def __post_init__(self) -> None:
        if self.order < 0:
            raise ValueError(
                f"A derivative cannot have the order {self.order}: give 0 or more."
            )
        if self.side not in (-1, 0, 1):
            raise ValueError(
                f"The side of a derivative is -1, 0 or 1, not {self.side}: "
                f"-1 leans to the left."
            )


def stencil_indices(width: int, derivative: Derivative) -> tuple[int, ...]:
    """Cells `i + j` that a compact stencil of `width` points around `x_i` reads.

    A stencil with a middle (odd at points, even at faces) is centred. One without
    leans by half a cell to the side that `derivative.side` names.

    Returns:
        The consecutive integers `j`.

    Raises:
        ValueError: if `width` is below 1, or if a stencil without a middle is asked
            for a derivative without a side.
    """
    if width < 1:
        raise ValueError(f"A stencil cannot have {width} points: give at least 1.")
    centred = width % 2 == (0 if derivative.face else 1)
    if not centred and derivative.side == 0:
        where, parity = ("faces", "even") if derivative.face else ("points", "odd")
        raise ValueError(
            f"A stencil of {width} points has no middle for a centred derivative at "
            f"{where}: choose an {parity} width or a side."
        )
    # Twice the position of the middle, so that everything stays an integer.
    middle = int(derivative.face) + (0 if centred else derivative.side)
    first = (middle - (width - 1)) // 2
    return tuple(range(first, first + width))


def stencil_offsets(
    indices: Sequence[int], derivative: Derivative
) -> Float[Tensor, " points"]:
    """Positions `s_j = (x_j - x) / dx` of cells relative to where the value is wanted.

    Args:
        indices: cells `i + j`, as from `stencil_indices`.
        derivative: says whether `x` is the point `x_i` or the face `x_i + dx/2`.
    """
    shift = 0.5 if derivative.face else 0.0
    return torch.tensor([j - shift for j in indices], dtype=torch.float64)


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
    dropped, while for odd `d` it is kept. `with_centre` turns such coefficients into
    those of a plain stencil.

    Symmetry may satisfy some conditions by itself, as for the second derivative at
    second order on three points; conditions that depend on lower ones and agree with
    them cost no point.

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
        offsets, derivative, order, averages, differences: as given.
        moments: the `m` of each condition.
        matrix: `A`, shape `(*batch, conditions, points)`.
        target: `b`, shape `(conditions,)`.
        particular: the solution of `A c = b` of least norm, shape `(*batch, points)`.
        null_space: orthonormal rows that span the solutions of `A c = 0`, shape
            `(*batch, freedom, points)`; `freedom` is `points - conditions`, or 0 if
            that is negative.

    Raises:
        ValueError: if `order` is below 1, two offsets coincide, an offset is not
            finite, the conditions have no solution, the stencils of a batch leave
            different freedom, or the difference form is asked for averages, for
            `d = 0`, or with an offset of 0.
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
        _check_offsets(offsets, derivative, order)
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
        matrix = self.matrix.to(coefficients)
        moments = (matrix @ coefficients.unsqueeze(-1)).squeeze(-1)
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
                "Only coefficients of the difference form lack a centre: build the "
                "conditions with differences=True."
            )
        centre = coefficients.sum(-1, keepdim=True) * (-1) ** (self.derivative + 1)
        return torch.cat([coefficients, centre], dim=-1)

    def _check_solved(self) -> None:
        """Names the first moment that the stencil cannot satisfy."""
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
                f"as two of its points nearly coincide or all lie far away: change its "
                f"offsets."
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
    """All solutions of `A c = b`, which may hold dependent conditions.

    Args:
        matrix: `A`, float64.
        target: `b`.

    Returns:
        The solution of least norm, and orthonormal rows that span the solutions of
        `A c = 0`. A condition that depends on those before it is not imposed, so check
        the residual if it may contradict them.

    Raises:
        ValueError: if the matrices of a batch leave different freedom.
    """
    lengths = torch.linalg.vector_norm(matrix, dim=-1, keepdim=True)
    rows = matrix / torch.where(lengths > 0, lengths, 1.0)
    independent = _independent_rows(rows.reshape(-1, *rows.shape[-2:]))
    kept = independent[0]
    if (independent != kept).any():
        raise ValueError(
            "The stencils of a batch must leave the same freedom, but symmetry makes "
            "conditions redundant in some only: lower the order, or keep those apart."
        )
    # A.mT = Q R: the first columns of Q span the rows of A, the others its null space.
    # Normal equations would square the condition number.
    rank = int(kept.sum())
    matrix, target = matrix[..., kept, :], target[..., kept]
    q, r = torch.linalg.qr(matrix.mT, mode="complete")

    def least_norm(right: Tensor) -> Tensor:
        weights = torch.linalg.solve_triangular(
            r[..., :rank, :].mT, right.unsqueeze(-1), upper=False
        )
        return (q[..., :rank] @ weights).squeeze(-1)

    particular = least_norm(target)
    # One step of refinement leaves the rounding of the coefficients themselves.
    particular = particular + least_norm(_remainder(matrix, particular, target))
    return particular, q[..., rank:].mT.contiguous()


def _remainder(matrix: Tensor, solution: Tensor, target: Tensor) -> Tensor:
    """`b - A c`, in numpy's long double before it is rounded to float64."""
    wide = np.longdouble
    a, c, b = (of.cpu().numpy().astype(wide) for of in (matrix, solution, target))
    remainder = b - (a @ c[..., np.newaxis])[..., 0]
    return torch.from_numpy(remainder.astype(np.float64)).to(matrix.device)


def _check_offsets(offsets: Tensor, derivative: int, order: int) -> None:
    if derivative < 0:
        raise ValueError(
            f"A derivative cannot have the order {derivative}: give 0 or more."
        )
    if order < 1:
        raise ValueError(
            f"The accuracy order must be at least 1 for a consistent operator, "
            f"but is {order}: raise it."
        )
    if offsets.ndim == 0 or offsets.numel() == 0:
        raise ValueError(
            f"A stencil needs at least one point, but the offsets have the shape "
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
        raise ValueError(
            "The difference form is one of point values: leave out averages=True."
        )
    if derivative == 0:
        raise ValueError(
            "Differences from the value at x cannot give that value: use the plain "
            "form for derivative 0."
        )
    if (offsets == 0).any():
        raise ValueError(
            "The difference form has no coefficient at x: remove the offset 0."
        )


def _independent_rows(
    rows: Float[Tensor, "stencil conditions points"],
) -> Bool[Tensor, "stencil conditions"]:
    """Which rows of unit length do not depend on the rows before them."""
    basis = torch.zeros_like(rows)
    independent = []
    for index in range(rows.shape[-2]):
        rest = rows[:, index]
        for _ in range(2):  # The second pass removes what rounding left of the first.
            rest = rest - (basis.mT @ (basis @ rest.unsqueeze(-1))).squeeze(-1)
        length = torch.linalg.vector_norm(rest, dim=-1, keepdim=True)
        new = length > 1e-10
        basis[:, index] = torch.where(new, rest / length, 0.0)
        independent.append(new.squeeze(-1))
    return torch.stack(independent, dim=-1)


def finite_difference_coefficients(
    offsets: Sequence[float], derivative: int, *, averages: bool = False
) -> Float[Tensor, " points"]:
    """Coefficients of the highest accuracy order that the stencil allows.

    Solves the moment conditions with as many conditions as points, in exact rational
    arithmetic, so that each coefficient is the float64 nearest to the true one.

    Args:
        offsets: `s_j` in units of dx.
        derivative: order `d` of the derivative.
        averages: whether the data are cell averages.

    Returns:
        Dimensionless coefficients; divide by `dx**d` to apply them.

    Raises:
        ValueError: if the stencil has too few points, or its offsets coincide or are
            not finite.
    """
    size = len(offsets)
    if size <= derivative:
        raise ValueError(
            f"Derivative {derivative} needs at least {derivative + 1} points, but the "
            f"stencil has only {size}: widen it."
        )
    _check_offsets(
        torch.as_tensor(offsets, dtype=torch.float64), derivative, size - derivative
    )
    rows = [
        [_exact_moment(Fraction(float(s)), m, averages) for s in offsets]
        + [Fraction(int(m == derivative))]
        for m in range(size)
    ]
    for column in range(size):
        pivot = next(row for row in range(column, size) if rows[row][column])
        rows[column], rows[pivot] = rows[pivot], rows[column]
        scale = rows[column][column]
        rows[column] = [value / scale for value in rows[column]]
        for row in range(size):
            factor = rows[row][column]
            if row != column and factor:
                rows[row] = [
                    value - factor * base
                    for value, base in zip(rows[row], rows[column], strict=True)
                ]
    return torch.tensor([float(row[-1]) for row in rows], dtype=torch.float64)


def _moment(offsets: Tensor, m: int, averages: bool) -> Tensor:
    """`s**m / m!`, or its mean over the unit cell about `s`."""
    if not averages:
        return offsets**m / math.factorial(m)
    right, left = offsets + 0.5, offsets - 0.5
    return (right ** (m + 1) - left ** (m + 1)) / math.factorial(m + 1)


def _exact_moment(offset: Fraction, m: int, averages: bool) -> Fraction:
    """`_moment` of one offset without rounding."""
    if not averages:
        return offset**m / math.factorial(m)
    half = Fraction(1, 2)
    return ((offset + half) ** (m + 1) - (offset - half) ** (m + 1)) / math.factorial(
        m + 1
    )
