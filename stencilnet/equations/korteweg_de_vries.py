"""The Korteweg-de Vries equation."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from stencilnet.equations.base import Equation
from stencilnet.equations.burgers import scaled_godunov_flux


@dataclass(frozen=True)
class KortewegDeVries(Equation):
    """The Korteweg-de Vries equation `u_t + factor u u_x + dispersion u_xxx = 0`.

    Steepening and dispersion balance in solitons, which pass through each other; mean,
    momentum and energy are conserved. With the default coefficients a soliton of speed
    `c` is `c/2 sech(sqrt(c)/2 (x - c t))**2`.

    Source: Korteweg and de Vries (1895), doi:10.1080/14786449508620739; default
    coefficients as in Gardner et al. (1967), doi:10.1103/PhysRevLett.19.1095, with the
    opposite sign of `u`.

    Attributes:
        factor: of the convective term, of either sign.
        dispersion: coefficient of `u_xxx`, of either sign.

    Example:
        >>> import torch
        >>> from stencilnet import ETDRK4, Grid, PseudoSpectral, rollout
        >>> from stencilnet.equations import KortewegDeVries, Solitons
        >>> grid = Grid.line(128, 40.0)
        >>> soliton = Solitons(rates=(1.0,), centres=(16.0,))
        >>> method = PseudoSpectral(KortewegDeVries(), grid)
        >>> times, u0 = torch.tensor([0.0, 2.0]).double(), soliton.values(grid, 0.0)
        >>> u = rollout(method, u0, times, integrator=ETDRK4, steps=40)
        >>> bool((u[-1] - soliton.values(grid, 2.0)).abs().max() < 1e-4)
        True
    """

    factor: float | Tensor = 6.0
    dispersion: float | Tensor = 1.0

    def __post_init__(self) -> None:
        self.check("factor")
        self.check("dispersion")

    def flux(self, u: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
        return self.factor / 2 * u**2

    def speed(self, u: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
        return self.factor * u

    def riemann(
        self, left: Float[Tensor, "*faces"], right: Float[Tensor, "*faces"]
    ) -> Float[Tensor, "*faces"]:
        return scaled_godunov_flux(self.factor, left, right)

    def linear(self) -> dict[int, float | Tensor]:
        return {3: -self.dispersion}
