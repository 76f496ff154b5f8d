"""Problems whose right-hand sides or solutions are known."""

import math
from dataclasses import dataclass

from torch import Tensor

from stencilnet import Burgers, CentralFlux, Convective, Grid, UpwindFlux
from stencilnet.equations import (
    EQUATIONS,
    Advection,
    AdvectionDiffusion,
    FisherKPP,
    KortewegDeVries,
    KuramotoSivashinsky,
)

_PARAMETERS = [
    Burgers(0.1),
    Burgers(0.0),
    Advection(-0.7),
    AdvectionDiffusion(1.3, 0.2),
    KortewegDeVries(),
    KuramotoSivashinsky(),
    FisherKPP(0.3, 0.7),
]

EXAMPLES = _PARAMETERS + [
    equation()
    for equation in EQUATIONS.values()
    if equation not in map(type, _PARAMETERS)
]
"""Every equation, with some parameters, those without an entry with their defaults."""

CASES = [
    (equation, form)
    for equation in EXAMPLES
    for form in (Convective, CentralFlux, UpwindFlux)
]
"""Every equation in every form."""


def case_name(value):
    """A readable id for a parametrized test."""
    return getattr(value, "__name__", type(value).__name__)


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
