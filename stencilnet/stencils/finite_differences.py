"""Classical finite-difference coefficients, in exact rational arithmetic."""

import math
from collections.abc import Sequence
from fractions import Fraction

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.stencils.moments import check_offsets


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

    Example:
        >>> from stencilnet.stencils import finite_difference_coefficients
        >>> c = finite_difference_coefficients((-2, -1, 0, 1, 2), derivative=1)
        >>> (12 * c).tolist()
        [1.0, -8.0, 0.0, 8.0, -1.0]
        >>> c = finite_difference_coefficients((-1.5, -0.5, 0.5), 0, averages=True)
        >>> (6 * c).tolist()  # the value at a face from averages
        [-1.0, 5.0, 2.0]
    """
    size = len(offsets)
    check_offsets(torch.as_tensor(offsets, dtype=torch.float64), derivative, 1)
    if size <= derivative:
        raise ValueError(
            f"Derivative {derivative} needs at least {derivative + 1} points, but the "
            f"stencil has only {size}: widen it."
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


def _exact_moment(offset: Fraction, m: int, averages: bool) -> Fraction:
    """`s**m / m!`, or its mean over the unit cell about `s`."""
    if not averages:
        return offset**m / math.factorial(m)
    right, left = offset + Fraction(1, 2), offset - Fraction(1, 2)
    return (right ** (m + 1) - left ** (m + 1)) / math.factorial(m + 1)
