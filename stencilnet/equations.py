"""Equations: which derivatives they need and how these combine into `u_t`.

Burgers' equation comes in three forms. They have the same solutions and ask
different things of a discretization: derivatives of point values (convective form),
fluxes of centred face values (flux form), or an upwind flux between one-sided
reconstructions (Godunov form).
"""

import abc
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.grid import Grid
from stencilnet.moments import Derivative


class Equation(abc.ABC):
    """An evolution equation `u_t = -F(u)_x + L u` on a periodic domain.

    Attributes:
        requires: derivatives that `time_derivative` reads, by name.
        averages: whether the field holds cell averages rather than point values.
    """

    requires: ClassVar[Mapping[str, Derivative]]
    averages: ClassVar[bool] = False

    @abc.abstractmethod
    def time_derivative(
        self,
        u: Float[Tensor, "*batch x"],
        d: Mapping[str, Float[Tensor, "*batch x"]],
        grid: Grid,
    ) -> Float[Tensor, "*batch x"]:
        """`u_t` from the field and the derivatives that `requires` names."""

    @abc.abstractmethod
    def flux(self, u: Float[Tensor, "*batch x"]) -> Float[Tensor, "*batch x"] | None:
        """Nonlinear flux `F(u)`, pointwise; None where the equation is linear."""

    @abc.abstractmethod
    def symbol(self, k: Float[Tensor, " k"]) -> Tensor:
        """Fourier symbol of the linear part `L` at angular wavenumbers `k`."""

    def spec(self) -> dict[str, Any]:
        """Name and parameters as plain values, for `equation_from_spec`."""
        fields = {name: float(value) for name, value in vars(self).items()}
        return {"name": type(self).__name__, **fields}


def divergence(
    flux: Float[Tensor, "*batch x"], grid: Grid
) -> Float[Tensor, "*batch x"]:
    """`(flux[i] - flux[i-1]) / dx`, where `flux[i]` sits at `x_i + dx/2`."""
    return (flux - flux.roll(1, -1)) / grid.spacing[-1]


class FluxForm(Equation):
    """A conservation law for cell averages with one flux across each face.

    `u_t = -(face_flux)_x`, where the flux of equal values on both sides is the
    physical one.
    """

    averages = True

    @abc.abstractmethod
    def face_flux(
        self, d: Mapping[str, Float[Tensor, "*faces"]]
    ) -> Float[Tensor, "*faces"]:
        """Flux, viscous part included, from the values that `requires` names."""

    def time_derivative(
        self,
        u: Float[Tensor, "*batch x"],
        d: Mapping[str, Float[Tensor, "*batch x"]],
        grid: Grid,
    ) -> Float[Tensor, "*batch x"]:
        return -divergence(self.face_flux(d), grid)


@dataclass(frozen=True)
class Burgers(Equation):
    """What the forms of Burgers' equation share.

    Attributes:
        viscosity: `nu`, positive; a scalar tensor to differentiate with respect to it,
            or a tensor `(sample, 1)` with one for each sample.
    """

    viscosity: float | Tensor

    def __post_init__(self) -> None:
        if not bool(torch.all(torch.as_tensor(self.viscosity) > 0)):
            raise ValueError(
                f"Burgers' equation needs a positive viscosity, not {self.viscosity}: "
                f"shocks of the inviscid equation have no resolved reference."
            )

    def flux(self, u: Float[Tensor, "*batch x"]) -> Float[Tensor, "*batch x"]:
        return 0.5 * u.square()

    def symbol(self, k: Float[Tensor, " k"]) -> Tensor:
        return -self.viscosity * k**2


@dataclass(frozen=True)
class ConvectiveBurgers(Burgers):
    """Viscous Burgers' equation for point values: `u_t = -u u_x + nu u_xx`."""

    requires = {"u_x": Derivative(1), "u_xx": Derivative(2)}

    def time_derivative(
        self,
        u: Float[Tensor, "*batch x"],
        d: Mapping[str, Float[Tensor, "*batch x"]],
        grid: Grid,
    ) -> Float[Tensor, "*batch x"]:
        return -u * d["u_x"] + self.viscosity * d["u_xx"]


@dataclass(frozen=True)
class ConservativeBurgers(Burgers):
    """Viscous Burgers' equation, flux form: `u_t = -(u**2 / 2 - nu u_x)_x`."""

    requires = {"u": Derivative(0, face=True), "u_x": Derivative(1, face=True)}
    averages = True

    def time_derivative(
        self,
        u: Float[Tensor, "*batch x"],
        d: Mapping[str, Float[Tensor, "*batch x"]],
        grid: Grid,
    ) -> Float[Tensor, "*batch x"]:
        return -divergence(d["u"] ** 2 / 2 - self.viscosity * d["u_x"], grid)


@dataclass(frozen=True)
class GodunovBurgers(Burgers, FluxForm):
    """Viscous Burgers' equation, flux form with Godunov's flux.

    At each face the Riemann problem between the two reconstructions is solved exactly:

        F(u_left, u_right) = max(max(u_left, 0)**2 / 2, min(u_right, 0)**2 / 2)

    This is the minimum of `u**2 / 2` over `[u_left, u_right]` in a rarefaction, zero
    at the sonic point included, and the maximum over `[u_right, u_left]` in a shock.

    Source: LeVeque (2002), Finite Volume Methods for Hyperbolic Problems, Eq. (12.4).
    """

    requires = {
        "u_left": Derivative(0, face=True, side=-1),
        "u_right": Derivative(0, face=True, side=1),
        "u_x": Derivative(1, face=True),
    }
    averages = True

    def face_flux(
        self, d: Mapping[str, Float[Tensor, "*faces"]]
    ) -> Float[Tensor, "*faces"]:
        convection = godunov_flux(d["u_left"], d["u_right"])
        return convection - self.viscosity * d["u_x"]


def godunov_flux(
    left: Float[Tensor, "*faces"], right: Float[Tensor, "*faces"]
) -> Float[Tensor, "*faces"]:
    """Exact Riemann flux of `u**2 / 2` between the states `left` and `right`."""
    # Squaring first and comparing the squares would differentiate to the mean of both
    # sides where they are equal; an upwind scheme must take the upwind one there.
    return torch.maximum(left.clamp(min=0), -right.clamp(max=0)) ** 2 / 2


@dataclass(frozen=True)
class Advection(Equation):
    """Linear advection for point values: `u_t = -speed u_x`.

    Attributes:
        speed: constant velocity, of either sign.
    """

    requires = {"u_x": Derivative(1)}

    speed: float | Tensor

    def time_derivative(
        self,
        u: Float[Tensor, "*batch x"],
        d: Mapping[str, Float[Tensor, "*batch x"]],
        grid: Grid,
    ) -> Float[Tensor, "*batch x"]:
        return -self.speed * d["u_x"]

    def flux(self, u: Float[Tensor, "*batch x"]) -> None:
        return None

    def symbol(self, k: Float[Tensor, " k"]) -> Tensor:
        return -1j * self.speed * k


@dataclass(frozen=True)
class UpwindAdvection(FluxForm, Advection):
    """Linear advection, flux form: the upwind side of each face is carried."""

    requires = {
        "u_left": Derivative(0, face=True, side=-1),
        "u_right": Derivative(0, face=True, side=1),
    }
    averages = True

    def face_flux(
        self, d: Mapping[str, Float[Tensor, "*faces"]]
    ) -> Float[Tensor, "*faces"]:
        return self.speed * (d["u_left"] if self.speed > 0 else d["u_right"])


EQUATIONS: dict[str, type[Equation]] = {
    equation.__name__: equation
    for equation in (
        ConvectiveBurgers,
        ConservativeBurgers,
        GodunovBurgers,
        Advection,
        UpwindAdvection,
    )
}
"""The equations by the names that configs and stores use."""


def equation_from_spec(spec: Mapping[str, Any]) -> Equation:
    """The equation that `Equation.spec` described.

    Raises:
        ValueError: if the name is unknown or the parameters do not fit it.
    """
    name = spec.get("name")
    if name not in EQUATIONS:
        raise ValueError(
            f"There is no equation {name!r}: use one of {', '.join(EQUATIONS)}."
        )
    parameters = {key: value for key, value in spec.items() if key != "name"}
    equation = EQUATIONS[name]
    expected = {field.name for field in dataclasses.fields(equation)}  # type: ignore[arg-type]
    if set(parameters) != expected:
        raise ValueError(
            f"{name} takes the parameters {sorted(expected)}, not {sorted(parameters)}."
        )
    return equation(**parameters)
