"""Finite differences of any order, centred or upwind."""

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.discretizations.base import StencilMethod, shifted
from stencilnet.equations import Equation
from stencilnet.grid import Grid
from stencilnet.stencils.constants import weighted_sum
from stencilnet.stencils.moments import (
    Derivative,
    finite_difference_coefficients,
    stencil_indices,
    stencil_offsets,
)


class FiniteDifference(StencilMethod):
    """Classical finite differences, or finite volumes where the field holds averages.

    An even order uses centred stencils everywhere, also for one-sided face values. An
    odd order uses the stencil that leans to the side asked for, which makes an upwind
    scheme of a Godunov form; centred derivatives then take the next even order.

    Args:
        equation: what is discretized.
        grid: where.
        order: accuracy order.

    Raises:
        ValueError: if `order` is below 1, if it is odd and the equation has no
            one-sided derivative, or if the stencil is longer than the grid.
    """

    def __init__(self, equation: Equation, grid: Grid, *, order: int = 2) -> None:
        super().__init__(equation, grid)
        if order < 1:
            raise ValueError(
                f"Finite differences cannot have the order {order}: give at least 1."
            )
        sides = [derivative.side for derivative in equation.requires.values()]
        if order % 2 and not any(sides):
            raise ValueError(
                f"{type(equation).__name__} has no one-sided derivative for the odd "
                f"order {order}: choose an even order, or a Godunov form."
            )
        self.order = order
        self.stencils: dict[str, tuple[int, ...]] = {}
        for name, derivative in equation.requires.items():
            indices = classical_stencil(derivative, order)
            coefficients = finite_difference_coefficients(
                stencil_offsets(indices, derivative).tolist(),
                derivative.order,
                averages=equation.averages,
            )
            scaled = coefficients / grid.spacing[-1] ** derivative.order
            if len(indices) > grid.shape[-1]:
                raise ValueError(
                    f"Order {order} needs stencils of {len(indices)} points, but the "
                    f"grid has only {grid.shape[-1]}: refine it or lower the order."
                )
            self.stencils[name] = indices
            self.register_constant(name, scaled)

    def derivatives(
        self, u: Float[Tensor, "*batch x"]
    ) -> dict[str, Float[Tensor, "*batch x"]]:
        return {
            name: weighted_sum(self.get_numbers(name), shifted(u, indices))
            for name, indices in self.stencils.items()
        }


def classical_stencil(derivative: Derivative, order: int) -> tuple[int, ...]:
    """Cells of the classical stencil of a given accuracy order.

    Even orders are centred, odd ones lean to the derivative's side.
    """
    side = derivative.side if order % 2 else 0
    if side == 0:
        order += order % 2
        # Symmetry gives a centred stencil one order more than its conditions do.
        if derivative.face:
            width = order + 2 * (derivative.order // 2)
        else:
            width = order + 2 * ((derivative.order + 1) // 2) - 1
    else:
        width = order + derivative.order
    return stencil_indices(width, Derivative(derivative.order, derivative.face, side))


def face_slope(
    method: str, grid: Grid, order: int, *, reach: int
) -> tuple[tuple[int, ...], Float[Tensor, " points"]]:
    """Cells and coefficients of a centred `u_x` across faces, from cell averages.

    Args:
        method: its name, for messages.
        grid: where.
        order: of accuracy, even.
        reach: points that the method needs beside.

    Raises:
        ValueError: if the order is odd or below 2, or the grid has too few points.
    """
    if order < 2 or order % 2:
        raise ValueError(
            f"The viscous flux takes an even order of at least 2, not {order}."
        )
    slope = Derivative(1, face=True)
    indices = classical_stencil(slope, order)
    needed = max(reach, len(indices))
    if grid.shape[-1] < needed:
        raise ValueError(
            f"{method} needs a grid of at least {needed} points, not {grid.shape[-1]}."
        )
    coefficients = finite_difference_coefficients(
        stencil_offsets(indices, slope).tolist(), 1, averages=True
    )
    return indices, coefficients / grid.spacing[-1]


def reference_coefficients(
    indices: tuple[int, ...], derivative: Derivative, *, averages: bool
) -> Float[Tensor, " points"]:
    """Dimensionless coefficients of the classical scheme within a given stencil.

    A centred stencil that is asked for a one-sided derivative leaves out the far point
    of the other side, so that an upwind scheme comes out; any other is used whole.
    """
    side = derivative.side
    centred = (indices[0] + indices[-1]) == int(derivative.face)
    used = indices
    if centred and side and len(indices) > derivative.order + 1:
        used = indices[:-1] if side < 0 else indices[1:]
    coefficients = finite_difference_coefficients(
        stencil_offsets(used, derivative).tolist(), derivative.order, averages=averages
    )
    whole = torch.zeros(len(indices), dtype=torch.float64)
    start = used[0] - indices[0]
    whole[start : start + len(used)] = coefficients
    return whole
