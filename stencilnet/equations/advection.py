"""Linear advection, with and without diffusion."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.equations.base import Equation, FluxForm, check_parameter
from stencilnet.grid import Grid
from stencilnet.stencils.moments import Derivative


@dataclass(frozen=True)
class Advection(Equation):
    """Linear advection for point values: `u_t = -speed u_x`.

    Attributes:
        speed: constant velocity, of either sign; a scalar tensor to differentiate with
            respect to it, or a tensor `(sample, 1)` with one for each sample.
    """

    requires = {"u_x": Derivative(1)}

    speed: float | Tensor

    def __post_init__(self) -> None:
        check_parameter("speed", self.speed)

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
        return self.speed * upwind(self.speed, d["u_left"], d["u_right"])


@dataclass(frozen=True)
class AdvectionDiffusion(Equation):
    """Advection and diffusion of point values: `u_t = -speed u_x + diffusivity u_xx`.

    Waves travel unchanged in shape and decay as `exp(-diffusivity k**2 t)`.

    Source: LeVeque (2007), Finite Difference Methods for Ordinary and Partial
    Differential Equations, section 10.10.

    Attributes:
        speed: constant velocity, of either sign; as for `Advection`.
        diffusivity: not negative; likewise.
    """

    requires = {"u_x": Derivative(1), "u_xx": Derivative(2)}

    speed: float | Tensor
    diffusivity: float | Tensor

    def __post_init__(self) -> None:
        check_parameter("speed", self.speed)
        check_parameter("diffusivity", self.diffusivity, least=0.0)

    def time_derivative(
        self,
        u: Float[Tensor, "*batch x"],
        d: Mapping[str, Float[Tensor, "*batch x"]],
        grid: Grid,
    ) -> Float[Tensor, "*batch x"]:
        return -self.speed * d["u_x"] + self.diffusivity * d["u_xx"]

    def flux(self, u: Float[Tensor, "*batch x"]) -> None:
        return None

    def symbol(self, k: Float[Tensor, " k"]) -> Tensor:
        return -1j * self.speed * k - self.diffusivity * k**2


@dataclass(frozen=True)
class UpwindAdvectionDiffusion(FluxForm, AdvectionDiffusion):
    """Advection and diffusion, flux form: `u_t = -(speed u - diffusivity u_x)_x`.

    The upwind side of each face is carried.
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
        carried = upwind(self.speed, d["u_left"], d["u_right"])
        return self.speed * carried - self.diffusivity * d["u_x"]


def upwind(
    speed: float | Tensor,
    left: Float[Tensor, "*faces"],
    right: Float[Tensor, "*faces"],
) -> Float[Tensor, "*faces"]:
    """The side from which a constant velocity comes."""
    if isinstance(speed, Tensor):
        return torch.where(speed > 0, left, right)
    return left if speed > 0 else right
