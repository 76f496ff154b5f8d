"""Derivatives, stencils, and the moment conditions that make a stencil consistent."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
from jaxtyping import Float
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

    Source: Fornberg (1988), doi:10.1090/S0025-5718-1988-0935077-0. The paper's
    Proposition 3.2.1 states the same with offsets of the opposite sign.

    Attributes:
        offsets: `s_j`, shape `(*batch, points)`, in units of dx.
        derivative: order `d` of the derivative.
        order: accuracy order `r`.
        averages: whether the data are cell averages.
        matrix: `A`, shape `(*batch, conditions, points)`.
        target: `b`, shape `(conditions,)`.
        particular: the solution of `A c = b` of least norm, shape `(*batch, points)`.
        null_space: orthonormal rows that span the solutions of `A c = 0`, shape
            `(*batch, points - conditions, points)`.

    Raises:
        ValueError: if `order` is below 1, two offsets coincide, an offset is not
            finite, or the stencil has too few points.
    """

    def __init__(
        self,
        offsets: Float[Tensor, "*batch points"] | Sequence[float],
        derivative: int,
        order: int,
        *,
        averages: bool = False,
    ) -> None:
        offsets = torch.as_tensor(offsets, dtype=torch.float64)
        points = offsets.shape[-1] if offsets.ndim else 0
        conditions = derivative + order
        if derivative < 0:
            raise ValueError(
                f"A derivative cannot have the order {derivative}: give 0 or more."
            )
        if order < 1:
            raise ValueError(
                f"The accuracy order must be at least 1 for a consistent operator, "
                f"but is {order}: raise it."
            )
        if not torch.isfinite(offsets).all():
            raise ValueError("Stencil offsets must be finite numbers in units of dx.")
        if points < conditions:
            raise ValueError(
                f"Derivative {derivative} at order {order} imposes {conditions} "
                f"conditions, but the stencil has only {points} points: widen the "
                f"stencil or lower the order."
            )
        ordered = offsets.sort(dim=-1).values
        if points > 1 and (ordered.diff(dim=-1) == 0).any():
            raise ValueError(
                f"Stencil offsets must differ, but {offsets.tolist()} repeats one: "
                f"remove the duplicate."
            )
        self.offsets = offsets
        self.derivative = derivative
        self.order = order
        self.averages = averages
        self.matrix = torch.stack(
            [_moment(offsets, m, averages) for m in range(conditions)], dim=-2
        )
        self.target = torch.zeros(conditions, dtype=torch.float64)
        self.target[derivative] = 1.0
        # A.mT = Q R: the first columns of Q span the rows of A, the others its null
        # space. Normal equations would square the condition number.
        q, r = torch.linalg.qr(self.matrix.mT, mode="complete")
        weights = torch.linalg.solve_triangular(
            r[..., :conditions, :].mT, self.target.unsqueeze(-1), upper=False
        )
        self.particular = (q[..., :conditions] @ weights).squeeze(-1)
        self.null_space = q[..., conditions:].mT.contiguous()

    def residual(
        self, coefficients: Float[Tensor, "*rows points"]
    ) -> Float[Tensor, "*rows conditions"]:
        """`A c - b` for dimensionless `coefficients`, in their dtype and device."""
        matrix = self.matrix.to(coefficients)
        moments = (matrix @ coefficients.unsqueeze(-1)).squeeze(-1)
        return moments - self.target.to(coefficients)


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
        ValueError: as `MomentConditions`.
    """
    MomentConditions(offsets, derivative, len(offsets) - derivative, averages=averages)
    size = len(offsets)
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
