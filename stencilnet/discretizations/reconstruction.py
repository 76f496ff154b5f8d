"""Methods that reconstruct both sides of each face from cell averages."""

import abc
from typing import Any

from jaxtyping import Float
from torch import Tensor

from stencilnet.discretizations.finite_difference import classical_scheme
from stencilnet.discretizations.stencil_method import StencilMethod
from stencilnet.discretizations.windows import shifted
from stencilnet.equations import Equation, Form
from stencilnet.errors import as_integer
from stencilnet.grid import Grid
from stencilnet.stencils import Derivative, weighted_sum

LEFT = Derivative(0, 0.5, -1)
RIGHT = Derivative(0, 0.5, 1)


class Reconstruction(StencilMethod):
    """One-sided face values by a nonlinear reconstruction, the rest by fixed stencils.

    Args:
        equation: the equation to discretize.
        grid: the grid to discretize on.
        form: a form of cell averages.
        viscous_order: order of the centred differences across faces, even.
        reach: number of cells that the face values read.
        value_order: order of values within the cell, at which a source is evaluated.

    Raises:
        ValueError: if the form takes point values or requires a derivative that the
            method does not supply, if the viscous order is odd or below 2, or if the
            grid has fewer points than the stencils need.

    Example:
        >>> import torch
        >>> from stencilnet import Burgers, Grid, UpwindFlux
        >>> from stencilnet.discretizations import Reconstruction
        >>> class Godunov(Reconstruction):
        ...     def __init__(self, equation, grid):
        ...         numbers = {"viscous_order": 2, "reach": 2, "value_order": 1}
        ...         super().__init__(equation, grid, UpwindFlux, **numbers)
        ...     def face_values(self, u):
        ...         return u, u.roll(-1, -1)
        >>> method = Godunov(Burgers(viscosity=0.0), Grid.line(4, 4.0))
        >>> u = torch.tensor([1.0, 2.0, 3.0, 4.0])
        >>> method(u).tolist()  # (u[i - 1]**2 - u[i]**2) / 2
        [7.5, -1.5, -2.5, -3.5]
    """

    takes_boundaries = True

    def __init__(
        self,
        equation: Equation,
        grid: Grid,
        form: type[Form] | Form,
        *,
        viscous_order: int,
        reach: int,
        value_order: int,
    ) -> None:
        super().__init__(equation, grid, form)
        name = type(self).__name__
        if not self.averages:
            raise ValueError(
                f"{name} reconstructs from cell averages, but "
                f"{type(self.form).__name__} takes point values: choose UpwindFlux."
            )
        even = as_integer(viscous_order)
        if even is None or even < 2 or even % 2:
            raise ValueError(
                f"The viscous flux takes an even order of at least 2, not "
                f"{viscous_order}."
            )
        self.viscous_order = even
        if grid.shape[-1] < reach:
            raise ValueError(
                f"{name} needs a grid of at least {reach} points, not {grid.shape[-1]}."
            )
        self._stencils: dict[str, tuple[int, ...]] = {}
        for key, derivative in self.form.requires.items():
            if derivative not in (LEFT, RIGHT):
                order = even if derivative.at == 0.5 else value_order
                indices, coefficients = classical_scheme(
                    derivative, order, grid, averages=True
                )
                self._stencils[key] = indices
                self.register_constant(key, coefficients)
        sides = range(-(reach // 2), reach // 2 + 2)
        viscous = even if equation.linear() else 0
        degree = max(value_order - 1, viscous)
        self._close_ends([*self._stencils.values(), sides], degree, limited=True)

    @classmethod
    def supplies(cls, derivative: Derivative) -> bool:
        if derivative in (LEFT, RIGHT):
            return True
        if derivative.order == 0:
            return abs(derivative.at) < 0.5
        return derivative.at == 0.5 and derivative.side == 0

    @property
    def settings(self) -> dict[str, Any]:
        return {"viscous_order": self.viscous_order, **super().settings}

    @abc.abstractmethod
    def face_values(
        self, u: Float[Tensor, "*batch x"]
    ) -> tuple[Float[Tensor, "*batch x"], Float[Tensor, "*batch x"]]:
        """Values at the faces `x_i + dx/2`, from the left and from the right."""

    def derivatives(
        self, u: Float[Tensor, "*batch x"]
    ) -> dict[str, Float[Tensor, "*batch x"]]:
        supplied = {
            name: weighted_sum(self.get_numbers(name), shifted(u, indices))
            for name, indices in self._stencils.items()
        }
        if len(supplied) < len(self.form.requires):
            sides = dict(zip((LEFT, RIGHT), self.face_values(u), strict=True))
            for name, derivative in self.form.requires.items():
                if derivative in sides:
                    supplied[name] = sides[derivative]
        return supplied
