"""Derivatives at a position within a cell, and the stencils that compute them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.errors import as_integer
from stencilnet.stencils.specs import is_finite, is_integer, set_plain

_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")
_POSITIONS = {-0.5: "at the left face", 0.0: "at the point", 0.5: "at the right face"}
_SIDES = {-1: ", from the left", 0: "", 1: ", from the right"}


@dataclass(frozen=True)
class Derivative:
    """A spatial derivative that a form asks a discretization for.

    Attributes:
        order: order `d` of the derivative; 0 asks for the function itself.
        at: position relative to the point `x_i` in units of dx, within [-1, 1]: 0 is
            the point, 0.5 the face to its right.
        side: -1 or +1 for a one-sided reconstruction that leans to the left or to the
            right of the position, 0 for a centred one.

    Raises:
        ValueError: if `order` is not a whole number of at least 0, `at` not a number
            within [-1, 1], or `side` none of -1, 0 and 1.

    Example:
        >>> from stencilnet import Derivative
        >>> Derivative(1, at=0.5) == Derivative(order=1, at=0.5, side=0)
        True
    """

    order: int
    at: float = 0.0
    side: int = 0

    def __post_init__(self) -> None:
        if not is_integer(self.order) or self.order < 0:
            raise ValueError(
                f"A derivative cannot have the order {self.order!r}: give a whole "
                f"number of at least 0."
            )
        if not is_finite(self.at) or not -1 <= self.at <= 1:
            raise ValueError(
                f"A derivative cannot lie at {self.at!r}: give its distance from the "
                f"point in units of dx, within [-1, 1], such as 0.5 for the right face."
            )
        if as_integer(self.side) not in _SIDES:
            raise ValueError(
                f"The side of a derivative is -1, 0 or 1, not {self.side!r}: -1 leans "
                f"to the left."
            )
        set_plain(self, order=int, at=float, side=int)

    def describe(self) -> str:
        """Name for messages, such as "the value at the right face, from the left"."""
        if self.order == 0:
            name = "the value"
        elif self.order <= len(_ORDINALS):
            name = f"the {_ORDINALS[self.order - 1]} derivative"
        else:
            name = f"the derivative of order {self.order}"
        position = _POSITIONS.get(self.at, f"{self.at:.4g} dx from the point")
        return f"{name} {position}{_SIDES[self.side]}"


def stencil_indices(width: int, derivative: Derivative) -> tuple[int, ...]:
    """Cells `i + j` that a compact stencil of `width` points around `x_i` reads.

    These are the consecutive cells whose middle lies nearest to `derivative.at`. At
    points and faces two stencils may be equally near, as of an even width at points;
    then `derivative.side` decides, and the stencil leans by half a cell.

    Returns:
        The consecutive integers `j`.

    Raises:
        ValueError: if `width` is below 1, or if two stencils are equally near and the
            derivative has no side.

    Example:
        >>> from stencilnet import Derivative
        >>> from stencilnet.stencils import stencil_indices
        >>> stencil_indices(4, Derivative(0, at=0.5))  # centred about the right face
        (-1, 0, 1, 2)
        >>> stencil_indices(3, Derivative(0, at=0.5, side=-1))
        (-1, 0, 1)
    """
    size = as_integer(width)
    if size is None or size < 1:
        raise ValueError(
            f"A stencil cannot have {width} points: give a whole number of at least 1."
        )
    # The middle of `width` cells is (width - 1) / 2 from the first one.
    start = Fraction(derivative.at) - Fraction(size - 1, 2)
    first = math.floor(start)
    remainder = start - first
    half = Fraction(1, 2)
    if remainder == half and derivative.side == 0:
        raise ValueError(
            f"A stencil of {width} points has no middle for {derivative.describe()}: "
            f"choose an {'even' if size % 2 else 'odd'} width or a side."
        )
    first += remainder > half or (remainder == half and derivative.side > 0)
    return tuple(range(first, first + size))


def stencil_offsets(
    indices: Sequence[int], derivative: Derivative
) -> Float[Tensor, " points"]:
    """Positions `s_j = (x_j - x) / dx` of cells relative to that of the derivative.

    Args:
        indices: cells `i + j`, as from `stencil_indices`.
        derivative: at `x = x_i + derivative.at dx`.

    Example:
        >>> from stencilnet import Derivative
        >>> from stencilnet.stencils import stencil_offsets
        >>> stencil_offsets((-1, 0, 1, 2), Derivative(0, at=0.5)).tolist()
        [-1.5, -0.5, 0.5, 1.5]
    """
    return torch.tensor([j - derivative.at for j in indices], dtype=torch.float64)
