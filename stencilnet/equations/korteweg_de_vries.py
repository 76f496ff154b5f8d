"""The Korteweg-de Vries equation in two forms."""

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from stencilnet.equations.base import Equation, divergence
from stencilnet.grid import Grid
from stencilnet.stencils.moments import Derivative


@dataclass(frozen=True)
class KortewegDeVries(Equation):
    """The Korteweg-de Vries equation for point values: `u_t = -6 u u_x - u_xxx`.

    Steepening and dispersion balance in solitons, `c/2 sech(sqrt(c)/2 (x - c t))**2`,
    which pass through each other; mean, momentum and energy are conserved.

    Source: Korteweg and de Vries (1895), doi:10.1080/14786449508620739, scaled as in
    Gardner et al. (1967), doi:10.1103/PhysRevLett.19.1095, with the opposite sign of
    `u`.
    """

    requires = {"u_x": Derivative(1), "u_xxx": Derivative(3)}

    def time_derivative(
        self,
        u: Float[Tensor, "*batch x"],
        d: Mapping[str, Float[Tensor, "*batch x"]],
        grid: Grid,
    ) -> Float[Tensor, "*batch x"]:
        return -6 * u * d["u_x"] - d["u_xxx"]

    def flux(self, u: Float[Tensor, "*batch x"]) -> Float[Tensor, "*batch x"]:
        return 3 * u**2

    def symbol(self, k: Float[Tensor, " k"]) -> Tensor:
        return 1j * k**3


@dataclass(frozen=True)
class ConservativeKortewegDeVries(KortewegDeVries):
    """The Korteweg-de Vries equation, flux form: `u_t = -(3 u**2 + u_xx)_x`."""

    requires = {"u": Derivative(0, face=True), "u_xx": Derivative(2, face=True)}
    averages = True

    def time_derivative(
        self,
        u: Float[Tensor, "*batch x"],
        d: Mapping[str, Float[Tensor, "*batch x"]],
        grid: Grid,
    ) -> Float[Tensor, "*batch x"]:
        return -divergence(3 * d["u"] ** 2 + d["u_xx"], grid)
