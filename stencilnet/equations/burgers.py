"""Burgers' equation, viscous in three forms and inviscid.

The forms of the viscous equation have the same solutions and ask different things of a
discretization: derivatives of point values (convective form), fluxes of centred face
values (flux form), or an upwind flux between one-sided reconstructions (Godunov form).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.equations.base import (
    Equation,
    FluxForm,
    check_parameter,
    divergence,
)
from stencilnet.grid import Grid
from stencilnet.stencils.moments import Derivative


@dataclass(frozen=True)
class Burgers(Equation):
    """What the forms of Burgers' equation share.

    Attributes:
        viscosity: `nu`, positive; a scalar tensor to differentiate with respect to it,
            or a tensor `(sample, 1)` with one for each sample.
    """

    viscosity: float | Tensor

    def __post_init__(self) -> None:
        advice = ": without one take InviscidBurgers"
        check_parameter("viscosity", self.viscosity, least=5e-324, advice=advice)

    def flux(self, u: Float[Tensor, "*batch x"]) -> Float[Tensor, "*batch x"]:
        return half_square(u)

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


def half_square(u: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    """`u**2 / 2`, with one large field to allocate instead of two."""
    return torch.addcmul(u.new_zeros(()), u, u, value=0.5)


def godunov_flux(
    left: Float[Tensor, "*faces"], right: Float[Tensor, "*faces"]
) -> Float[Tensor, "*faces"]:
    """Exact Riemann flux of `u**2 / 2` between the states `left` and `right`."""
    # Squaring first and comparing the squares would differentiate to the mean of both
    # sides where they are equal; an upwind scheme must take the upwind one there.
    return torch.maximum(left.clamp(min=0), -right.clamp(max=0)) ** 2 / 2


@dataclass(frozen=True)
class InviscidBurgers(FluxForm):
    """Burgers' equation without viscosity, in Godunov's form: `u_t = -(u**2 / 2)_x`.

    Smooth data steepen into shocks at `t = -1 / min(u_x)`; Godunov's flux then picks
    the weak solution that gains no entropy. Take upwind stencils: centred ones
    oscillate at shocks.

    Source: LeVeque (2002), Finite Volume Methods for Hyperbolic Problems, chapter 11.
    """

    requires = {
        "u_left": Derivative(0, face=True, side=-1),
        "u_right": Derivative(0, face=True, side=1),
    }
    averages = True

    def face_flux(
        self, d: Mapping[str, Float[Tensor, "*faces"]]
    ) -> Float[Tensor, "*faces"]:
        return godunov_flux(d["u_left"], d["u_right"])

    def flux(self, u: Float[Tensor, "*batch x"]) -> Float[Tensor, "*batch x"]:
        return half_square(u)

    def symbol(self, k: Float[Tensor, " k"]) -> Tensor:
        return torch.zeros_like(k)
