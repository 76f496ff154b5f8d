"""Burgers' equation, viscous and inviscid."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.equations.base import Equation


@dataclass(frozen=True)
class Burgers(Equation):
    """Burgers' equation `u_t + (u**2 / 2)_x = viscosity u_xx`.

    Smooth data steepen into shocks, which the viscosity smooths over a width of about
    `4 viscosity / jump`. Without viscosity they form at `t = -1 / min(u_x)`, and the
    upwind form picks the weak solution that satisfies the entropy condition; centred
    stencils oscillate there.

    Source: LeVeque (2002), Finite Volume Methods for Hyperbolic Problems, chapter 11.

    Attributes:
        viscosity: `nu`, not negative; the number 0 is the inviscid equation.

    Example:
        >>> import torch
        >>> from stencilnet import Burgers
        >>> burgers = Burgers(viscosity=0.01)
        >>> burgers.flux(torch.tensor([1.0, 2.0])).tolist(), burgers.linear()
        ([0.5, 2.0], {2: 0.01})
    """

    viscosity: float | Tensor

    def __post_init__(self) -> None:
        self.check("viscosity", least=0.0)

    def flux(self, u: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
        # u**2 / 2, with one large field to allocate instead of two.
        return torch.addcmul(u.new_zeros(()), u, u, value=0.5)

    def speed(self, u: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
        return u

    def riemann(
        self, left: Float[Tensor, "*faces"], right: Float[Tensor, "*faces"]
    ) -> Float[Tensor, "*faces"]:
        return godunov_flux(left, right)

    def linear(self) -> dict[int, float | Tensor]:
        inviscid = not isinstance(self.viscosity, Tensor) and self.viscosity == 0
        return {} if inviscid else {2: self.viscosity}


def godunov_flux(
    left: Float[Tensor, "*faces"], right: Float[Tensor, "*faces"]
) -> Float[Tensor, "*faces"]:
    """Godunov's flux of `u**2 / 2`: the Riemann problem at each face, solved exactly.

        F(u_left, u_right) = max(max(u_left, 0)**2 / 2, min(u_right, 0)**2 / 2)

    This is the minimum of `u**2 / 2` over `[u_left, u_right]` in a rarefaction, zero
    at the sonic point included, and the maximum over `[u_right, u_left]` in a shock.

    Source: LeVeque (2002), Finite Volume Methods for Hyperbolic Problems, Eq. (12.4).
    """
    # Squaring first and comparing the squares would differentiate to the mean of both
    # sides where they are equal; an upwind scheme must take the upwind one there.
    return torch.maximum(left.clamp(min=0), -right.clamp(max=0)) ** 2 / 2


def scaled_godunov_flux(
    factor: float | Tensor,
    left: Float[Tensor, "*faces"],
    right: Float[Tensor, "*faces"],
) -> Float[Tensor, "*faces"]:
    """Godunov's flux of `factor u**2 / 2`, by that of `v**2 / 2` for `v = factor u`."""
    number = torch.as_tensor(factor, dtype=left.dtype, device=left.device)
    safe = torch.where(number == 0, 1.0, number)
    return godunov_flux(number * left, number * right) / safe
