"""Linear advection, with and without diffusion."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.equations.base import Equation


@dataclass(frozen=True)
class Advection(Equation):
    """Linear advection `u_t + (velocity u)_x = 0`: waves travel unchanged.

    Source: LeVeque (2002), Finite Volume Methods for Hyperbolic Problems, chapter 4.

    Attributes:
        velocity: constant, of either sign.

    Example:
        >>> import torch
        >>> from stencilnet.equations import Advection
        >>> left, right = torch.tensor(1.0), torch.tensor(3.0)
        >>> [float(Advection(v).riemann(left, right)) for v in (2.0, -2.0)]  # upwind
        [2.0, -6.0]
    """

    velocity: float | Tensor

    def __post_init__(self) -> None:
        self.check("velocity")

    def flux(self, u: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
        return self.velocity * u

    def speed(self, u: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
        return self.velocity + torch.zeros_like(u)

    def riemann(
        self, left: Float[Tensor, "*faces"], right: Float[Tensor, "*faces"]
    ) -> Float[Tensor, "*faces"]:
        """The flux of the side from which the velocity comes."""
        if isinstance(self.velocity, Tensor):
            return self.velocity * torch.where(self.velocity > 0, left, right)
        return self.velocity * (left if self.velocity > 0 else right)


@dataclass(frozen=True)
class AdvectionDiffusion(Advection):
    """Advection and diffusion `u_t + (velocity u)_x = diffusivity u_xx`.

    Waves travel unchanged in shape and decay as `exp(-diffusivity k**2 t)`.

    Source: LeVeque (2007), Finite Difference Methods for Ordinary and Partial
    Differential Equations, section 10.10.

    Attributes:
        velocity: constant, of either sign.
        diffusivity: not negative.

    Example:
        >>> import torch
        >>> from stencilnet import Grid, PseudoSpectral
        >>> from stencilnet.equations import AdvectionDiffusion
        >>> grid = Grid.line(16)
        >>> method = PseudoSpectral(AdvectionDiffusion(1.0, diffusivity=0.1), grid)
        >>> wave = (2 * grid.points()).sin()
        >>> exact = -2 * (2 * grid.points()).cos() - 0.4 * wave
        >>> torch.allclose(method(wave), exact)
        True
    """

    diffusivity: float | Tensor

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check("diffusivity", least=0.0)

    def linear(self) -> dict[int, float | Tensor]:
        return {2: self.diffusivity}
