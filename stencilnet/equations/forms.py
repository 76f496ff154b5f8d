"""Forms of an equation: which derivatives it takes and how they combine into `u_t`."""

import abc
import copy
import math
from collections.abc import Mapping
from typing import ClassVar, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.equations.base import Equation
from stencilnet.grid import Grid
from stencilnet.stencils import Derivative

# Two Gauss points integrate a source over a cell to fourth order.
_GAUSS_POINT = 0.5 / math.sqrt(3)
_SOURCE_POINTS = {
    "u_inner_left": Derivative(0, -_GAUSS_POINT),
    "u_inner_right": Derivative(0, _GAUSS_POINT),
}


F = TypeVar("F", bound="Form")


class Form(abc.ABC):
    """An equation as a combination of spatial derivatives.

    What `CentralFlux`, `UpwindFlux` and `Convective` do not cover derives from this
    class: name the derivatives in `requires` and combine them in `time_derivative`.

    Args:
        equation: what is solved.

    Attributes:
        averages: whether the field holds cell averages rather than point values.
        equation: as given.
        requires: the derivatives that `time_derivative` reads, by name.

    Example:
        >>> from stencilnet import Burgers, CentralFlux, Form
        >>> form = CentralFlux(Burgers(viscosity=0.01))
        >>> isinstance(form, Form), form.averages
        (True, True)
    """

    averages: ClassVar[bool]
    requires: Mapping[str, Derivative]

    def __init__(self, equation: Equation) -> None:
        self.equation = equation

    @abc.abstractmethod
    def time_derivative(
        self,
        u: Float[Tensor, "*batch x"],
        derivatives: Mapping[str, Float[Tensor, "*batch x"]],
        grid: Grid,
    ) -> Float[Tensor, "*batch x"]:
        """`u_t` from the field and the derivatives that `requires` names."""

    def of(self: F, equation: Equation) -> F:
        """The same form of an equation with other parameters."""
        form = copy.copy(self)
        form.equation = equation
        return form


class Convective(Form):
    """The convective form, for point values.

        u_t = -F'(u) u_x + sum_p a_p d^p u / dx^p + S(u)

    Raises:
        ValueError: if the equation has a flux but no speed.

    Example:
        >>> from stencilnet import Burgers, Convective
        >>> form = Convective(Burgers(viscosity=0.01))
        >>> form.averages, list(form.requires)
        (False, ['u_x', 'u_xx'])
    """

    averages = False

    def __init__(self, equation: Equation) -> None:
        super().__init__(equation)
        if not equation.has_speed:
            raise ValueError(
                f"{type(equation).__name__} has no speed(u), the derivative of its "
                f"flux, which the convective form needs: define it, or take another "
                f"form."
            )
        orders = ([1] if equation.has_flux else []) + list(linear_orders(equation))
        self.requires = {derivative_name(order): Derivative(order) for order in orders}

    def time_derivative(
        self,
        u: Float[Tensor, "*batch x"],
        derivatives: Mapping[str, Float[Tensor, "*batch x"]],
        grid: Grid,
    ) -> Float[Tensor, "*batch x"]:
        terms = [
            coefficient * derivatives[derivative_name(order)]
            for order, coefficient in self.equation.linear().items()
        ]
        if self.equation.has_flux:
            terms.insert(0, -self.equation.speed(u) * derivatives["u_x"])
        if self.equation.has_source:
            terms.append(self.equation.source(u))
        return sum(terms[1:], terms[0]) if terms else torch.zeros_like(u)


class FluxForm(Form, abc.ABC):
    """A conservation law for cell averages with one flux across each face.

        u_t = -(G[i+1/2] - G[i-1/2]) / dx + mean of S(u) over the cell,
        G = F - sum_p a_p d^(p-1) u / dx^(p-1)

    A source is averaged by two Gauss points in each cell, to fourth order.

    Example:
        >>> from stencilnet import Burgers, Derivative, FiniteDifference, Grid
        >>> from stencilnet.equations import FluxForm
        >>> class EnergyFlux(FluxForm):  # conserves the energy of inviscid Burgers
        ...     @classmethod
        ...     def _values(cls):
        ...         return {"a": Derivative(0, 0.5, -1), "b": Derivative(0, 0.5, 1)}
        ...
        ...     def convective_flux(self, derivatives):
        ...         a, b = derivatives["a"], derivatives["b"]
        ...         return (a**2 + a * b + b**2) / 6
        >>> equation, grid = Burgers(viscosity=0.0), Grid.line(32)
        >>> method = FiniteDifference(equation, grid, order=1, form=EnergyFlux)
        >>> u = 1 + grid.points().sin()
        >>> bool((u * method(u)).sum().abs() < 1e-12)
        True
    """

    averages = True

    def __init__(self, equation: Equation) -> None:
        super().__init__(equation)
        requires = dict(self._values()) if equation.has_flux else {}
        for order in linear_orders(equation):
            requires[derivative_name(order - 1)] = Derivative(order - 1, 0.5)
        if equation.has_source:
            requires |= _SOURCE_POINTS
        self.requires = requires

    @classmethod
    @abc.abstractmethod
    def _values(cls) -> Mapping[str, Derivative]:
        """Values of `u` at the faces that the convective flux reads, by name."""

    @abc.abstractmethod
    def convective_flux(
        self, derivatives: Mapping[str, Float[Tensor, "*faces"]]
    ) -> Float[Tensor, "*faces"]:
        """`F` at the faces."""

    def face_flux(
        self, derivatives: Mapping[str, Float[Tensor, "*faces"]]
    ) -> Float[Tensor, "*faces"] | None:
        """`G` from the values that `requires` names; None if the equation has none."""
        total = None
        if self.equation.has_flux:
            total = self.convective_flux(derivatives)
        for order, coefficient in self.equation.linear().items():
            part = coefficient * derivatives[derivative_name(order - 1)]
            total = -part if total is None else total - part
        return total

    def time_derivative(
        self,
        u: Float[Tensor, "*batch x"],
        derivatives: Mapping[str, Float[Tensor, "*batch x"]],
        grid: Grid,
    ) -> Float[Tensor, "*batch x"]:
        flux = self.face_flux(derivatives)
        u_t = torch.zeros_like(u) if flux is None else -divergence(flux, grid)
        if self.equation.has_source:
            left, right = (
                self.equation.source(derivatives[name]) for name in _SOURCE_POINTS
            )
            u_t = u_t + (left + right) / 2
        return u_t


class CentralFlux(FluxForm):
    """The flux form with `F` of centred face values: `F(u[i+1/2])`.

    Example:
        >>> from stencilnet import Burgers, CentralFlux
        >>> list(CentralFlux(Burgers(viscosity=0.01)).requires)
        ['u', 'u_x']
    """

    @classmethod
    def _values(cls) -> Mapping[str, Derivative]:
        return {"u": Derivative(0, 0.5)}

    def convective_flux(
        self, derivatives: Mapping[str, Float[Tensor, "*faces"]]
    ) -> Float[Tensor, "*faces"]:
        return self.equation.flux(derivatives["u"])


class UpwindFlux(FluxForm):
    """The flux form with a numerical flux between one-sided face values.

        F = riemann(u_left[i+1/2], u_right[i+1/2])

    Raises:
        ValueError: if the equation has a flux, but neither `riemann` nor the speed that
            the default one needs.

    Example:
        >>> from stencilnet import Burgers, UpwindFlux
        >>> list(UpwindFlux(Burgers(viscosity=0.01)).requires)
        ['u_left', 'u_right', 'u_x']
    """

    def __init__(self, equation: Equation) -> None:
        super().__init__(equation)
        if not equation.has_speed and type(equation).riemann is Equation.riemann:
            raise ValueError(
                f"{type(equation).__name__} has neither riemann(left, right) nor "
                f"speed(u), one of which the upwind form needs: define one, or take "
                f"form=CentralFlux."
            )

    @classmethod
    def _values(cls) -> Mapping[str, Derivative]:
        return {"u_left": Derivative(0, 0.5, -1), "u_right": Derivative(0, 0.5, 1)}

    def convective_flux(
        self, derivatives: Mapping[str, Float[Tensor, "*faces"]]
    ) -> Float[Tensor, "*faces"]:
        return self.equation.riemann(derivatives["u_left"], derivatives["u_right"])


def derivative_name(order: int) -> str:
    """`u`, `u_x`, `u_xx`, ... by the order."""
    return "u_" + "x" * order if order else "u"


def linear_orders(equation: Equation) -> tuple[int, ...]:
    """The orders of the linear part.

    Raises:
        ValueError: if one is not a whole number from 1 on.
    """
    orders = tuple(equation.linear())
    for order in orders:
        if not isinstance(order, int) or order < 1:
            raise ValueError(
                f"The linear part of {type(equation).__name__} has the order "
                f"{order!r}, but orders are whole numbers from 1 on: put a term in u "
                f"itself into source(u)."
            )
    return orders


def divergence(
    flux: Float[Tensor, "*batch x"], grid: Grid
) -> Float[Tensor, "*batch x"]:
    """`(flux[i] - flux[i-1]) / dx`, where `flux[i]` sits at `x_i + dx/2`.

    Example:
        >>> import torch
        >>> from stencilnet import Grid
        >>> from stencilnet.equations import divergence
        >>> flux = torch.tensor([0.0, 1.0, 3.0, 2.0])  # to the right of each cell
        >>> divergence(flux, Grid.line(4, 2.0)).tolist()
        [-4.0, 2.0, 4.0, -2.0]
    """
    return (flux - flux.roll(1, -1)) / grid.spacing[-1]
