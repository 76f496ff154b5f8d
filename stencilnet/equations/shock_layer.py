"""A travelling shock of Burgers' equation with its viscous profile."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.equations.exact import ExactSolution, faces
from stencilnet.grid import Grid


@dataclass(frozen=True)
class ShockLayer(ExactSolution):
    """A shock of Burgers' equation between two states, at rest or travelling.

        u = mean - half tanh(half (x - centre - mean t) / (2 viscosity)),
        mean = (left + right) / 2,    half = (left - right) / 2

    It moves at the speed `mean`, a layer at rest for opposite states; without viscosity
    it is a jump. Averages follow from the integral
    `mean x - 2 viscosity log cosh(half (x - centre - mean t) / (2 viscosity))`. Between
    boundaries, as a period has no room for two states.

    Source: Whitham (1974), Linear and Nonlinear Waves, Section 4.2.

    Attributes:
        left, right: states before and behind, `left > right`.
        centre: of the shock at `t = 0`.
        viscosity: not negative.

    Raises:
        ValueError: if `left` is not above `right`, or the viscosity negative.

    Example:
        >>> import torch
        >>> from stencilnet.equations import ShockLayer
        >>> layer = ShockLayer(left=1.0, right=0.0, centre=0.0, viscosity=0.05)
        >>> x = torch.tensor([-5.0, 1.0, 7.0]).double()
        >>> layer.u(x, 2.0).tolist()  # its middle has moved to 1
        [1.0, 0.5, 0.0]
    """

    left: float = 1.0
    right: float = 0.0
    centre: float = 0.0
    viscosity: float = 0.0

    def __post_init__(self) -> None:
        if not (self.left > self.right and self.viscosity >= 0):
            raise ValueError(
                f"A shock needs left > right and a viscosity of at least 0, not "
                f"{self.left}, {self.right} and {self.viscosity}."
            )

    def u(self, x: Float[Tensor, "*any"], t: float | Tensor) -> Float[Tensor, "*any"]:
        """The solution at any positions and times."""
        mean, half = (self.left + self.right) / 2, (self.left - self.right) / 2
        distance = x - self.centre - mean * t
        if self.viscosity == 0:
            return mean - half * distance.sign()
        return mean - half * (half * distance / (2 * self.viscosity)).tanh()

    def values(self, grid: Grid, t: float) -> Float[Tensor, " x"]:
        return self.u(grid.points(), t)

    def averages(self, grid: Grid, t: float) -> Float[Tensor, " x"]:
        left, right = (self._primitive(x, t) for x in faces(grid))
        return (right - left) / grid.spacing[-1]

    def _primitive(self, x: Tensor, t: float) -> Tensor:
        """An integral of `u` over `x`."""
        mean, half = (self.left + self.right) / 2, (self.left - self.right) / 2
        distance = (x - self.centre - mean * t).abs()
        if self.viscosity == 0:
            return mean * x - half * distance
        z = half * distance / self.viscosity
        # log cosh(z / 2), without overflow.
        rise = z / 2 + torch.log1p((-z).exp()) - math.log(2)
        return mean * x - 2 * self.viscosity * rise
