"""Problems with known solutions, as point values and as cell averages."""

import math
from dataclasses import dataclass

from torch import Tensor

from stencilnet import Grid


@dataclass(frozen=True)
class ColeHopf:
    """Exact decaying solution of Burgers' equation on `[0, 2 pi)`.

    `u = -2 nu phi_x / phi` with `phi = 2 + exp(-nu t) cos x`, which solves the heat
    equation; averages follow from `u = -2 nu (log phi)_x`.
    """

    viscosity: float = 0.3

    def potential(self, x: Tensor, t: float) -> Tensor:
        return 2 + math.exp(-self.viscosity * t) * x.cos()

    def values(self, grid: Grid, t: float) -> Tensor:
        x = grid.points()
        slope = -math.exp(-self.viscosity * t) * x.sin()
        return -2 * self.viscosity * slope / self.potential(x, t)

    def averages(self, grid: Grid, t: float) -> Tensor:
        x, half = grid.points(), grid.spacing[-1] / 2
        right = self.potential(x + half, t).log()
        left = self.potential(x - half, t).log()
        return -2 * self.viscosity * (right - left) / grid.spacing[-1]

    def of(self, grid: Grid, t: float, *, averages: bool) -> Tensor:
        return self.averages(grid, t) if averages else self.values(grid, t)


@dataclass(frozen=True)
class SmoothState:
    """`u = sin x + 0.4 cos(2 x) + 0.2` and the exact right-hand sides there."""

    viscosity: float = 0.1

    def u(self, x: Tensor) -> Tensor:
        return x.sin() + 0.4 * (2 * x).cos() + 0.2

    def u_x(self, x: Tensor) -> Tensor:
        return x.cos() - 0.8 * (2 * x).sin()

    def u_xx(self, x: Tensor) -> Tensor:
        return -x.sin() - 1.6 * (2 * x).cos()

    def flux(self, x: Tensor) -> Tensor:
        return self.u(x) ** 2 / 2 - self.viscosity * self.u_x(x)

    def field(self, grid: Grid, *, averages: bool) -> Tensor:
        x = grid.points()
        if not averages:
            return self.u(x)
        dx = grid.spacing[-1]
        first = 2 * math.sin(dx / 2) / dx
        second = math.sin(dx) / dx
        return first * x.sin() + 0.4 * second * (2 * x).cos() + 0.2

    def burgers(self, grid: Grid, *, averages: bool) -> Tensor:
        x, half = grid.points(), grid.spacing[-1] / 2
        if averages:
            return -(self.flux(x + half) - self.flux(x - half)) / grid.spacing[-1]
        return -self.u(x) * self.u_x(x) + self.viscosity * self.u_xx(x)

    def advection(self, grid: Grid, speed: float, *, averages: bool) -> Tensor:
        x, half = grid.points(), grid.spacing[-1] / 2
        if averages:
            jump = self.u(x + half) - self.u(x - half)
            return -speed * jump / grid.spacing[-1]
        return -speed * self.u_x(x)
