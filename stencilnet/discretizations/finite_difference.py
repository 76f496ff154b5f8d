"""Finite differences of any order, centred or upwind, and classical stencils."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.discretizations.stencil_method import StencilMethod
from stencilnet.discretizations.windows import shifted
from stencilnet.equations import CentralFlux, Equation, Form, UpwindFlux
from stencilnet.errors import whole_number
from stencilnet.grid import Grid
from stencilnet.stencils import (
    Derivative,
    finite_difference_coefficients,
    stencil_indices,
    stencil_offsets,
    weighted_sum,
)


class FiniteDifference(StencilMethod):
    """Classical finite differences, or finite volumes where the field holds averages.

    An even order uses centred stencils everywhere, also for one-sided face values. An
    odd order uses the stencil that leans to the required side, which makes an upwind
    scheme of `UpwindFlux`; centred derivatives then take the next even order.

    Args:
        equation: the equation to discretize.
        grid: the grid to discretize on.
        order: accuracy order.
        form: by default `CentralFlux` for an even order, `UpwindFlux` for an odd one.

    Raises:
        ValueError: if `order` is below 1, if it is odd and the form has no one-sided
            derivative, or if the stencil is longer than the grid.

    Example:
        >>> from stencilnet import Burgers, FiniteDifference, Grid
        >>> method = FiniteDifference(Burgers(viscosity=0.02), Grid.line(32), order=4)
        >>> {name: len(cells) for name, cells in method.stencils.items()}
        {'u': 4, 'u_x': 4}
    """

    takes_boundaries = True

    def __init__(
        self,
        equation: Equation,
        grid: Grid,
        *,
        order: int = 2,
        form: type[Form] | Form | None = None,
    ) -> None:
        order = whole_number("The order of finite differences", order)
        if form is None:
            form = UpwindFlux if order % 2 else CentralFlux
        super().__init__(equation, grid, form)
        requires = self.form.requires.values()
        sides = [derivative.side for derivative in requires]
        if order % 2 and equation.has_flux and not any(sides):
            raise ValueError(
                f"{type(self.form).__name__} has no one-sided derivative for the odd "
                f"order {order}: choose an even order, or form=UpwindFlux."
            )
        self.order = order
        self.stencils: dict[str, tuple[int, ...]] = {}
        for name, derivative in self.form.requires.items():
            indices, coefficients = classical_scheme(
                derivative, order, grid, averages=self.averages
            )
            self.stencils[name] = indices
            self.register_constant(name, coefficients)
        even = order + order % 2
        degrees = [d.order + (order if d.side else even) - 1 for d in requires]
        self._close_ends(self.stencils.values(), max(degrees, default=0))

    @classmethod
    def supplies(cls, derivative: Derivative) -> bool:
        return True

    @property
    def settings(self) -> dict[str, Any]:
        return {"order": self.order, **super().settings}

    def derivatives(
        self, u: Float[Tensor, "*batch x"]
    ) -> dict[str, Float[Tensor, "*batch x"]]:
        return {
            name: weighted_sum(self.get_numbers(name), shifted(u, indices))
            for name, indices in self.stencils.items()
        }


def classical_scheme(
    derivative: Derivative, order: int, grid: Grid, *, averages: bool
) -> tuple[tuple[int, ...], Float[Tensor, " points"]]:
    """Cells and coefficients of the classical stencil; the latter carry `dx**-d`.

    Raises:
        ValueError: if the stencil is longer than the grid.
    """
    indices = classical_stencil(derivative, order)
    if len(indices) > grid.shape[-1]:
        raise ValueError(
            f"Order {order} needs stencils of {len(indices)} points, but the "
            f"grid has only {grid.shape[-1]}: refine it or lower the order."
        )
    coefficients = finite_difference_coefficients(
        stencil_offsets(indices, derivative).tolist(),
        derivative.order,
        averages=averages,
    )
    return indices, coefficients / grid.spacing[-1] ** derivative.order


def classical_stencil(derivative: Derivative, order: int) -> tuple[int, ...]:
    """Cells of the classical stencil of a given accuracy order.

    At points and faces even orders are centred, and odd ones lean to the derivative's
    side; elsewhere within a cell stencils are as centred as can be.
    """
    side = derivative.side if order % 2 else 0
    at_face, at_point = abs(derivative.at) == 0.5, derivative.at == 0
    if side == 0 and (at_face or at_point):
        order += order % 2
        # Symmetry gives a centred stencil one order more than its conditions do.
        if at_face:
            width = order + 2 * (derivative.order // 2)
        else:
            width = order + 2 * ((derivative.order + 1) // 2) - 1
    else:
        width = order + derivative.order
    return stencil_indices(width, Derivative(derivative.order, derivative.at, side))


def reference_coefficients(
    indices: tuple[int, ...], derivative: Derivative, *, averages: bool
) -> Float[Tensor, " points"]:
    """Dimensionless coefficients of the classical scheme within a given stencil.

    A centred stencil for a one-sided derivative leaves out the far point of the other
    side, which makes it an upwind scheme; any other is used whole.
    """
    side = derivative.side
    centred = (indices[0] + indices[-1]) == 2 * derivative.at
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
