"""The Kuramoto-Sivashinsky equation."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from stencilnet.equations.base import Equation
from stencilnet.equations.burgers import scaled_godunov_flux


@dataclass(frozen=True)
class KuramotoSivashinsky(Equation):
    """The Kuramoto-Sivashinsky equation, spatio-temporal chaos in one dimension.

        u_t + factor u u_x = -growth u_xx - damping u_xxxx

    Waves longer than `2 pi sqrt(damping / growth)` grow, the nonlinear term hands their
    energy to shorter ones, and fourth-order diffusion dissipates it. With the default
    coefficients the fastest growth is near `k = 1 / sqrt(2)`, and domains longer than
    about 18 hold chaos.

    Sources: Kuramoto and Tsuzuki (1976), doi:10.1143/PTP.55.356; Sivashinsky (1977),
    doi:10.1016/0094-5765(77)90096-0; default coefficients as in Cvitanovic et al.
    (2010), doi:10.1137/070705623.

    Attributes:
        factor: of the convective term, of either sign.
        growth: of long waves, of either sign.
        damping: of short waves, not negative.

    Example:
        >>> import torch
        >>> from stencilnet.equations import KuramotoSivashinsky
        >>> k = torch.tensor([0.5, 1.0, 2.0])
        >>> KuramotoSivashinsky().symbol(k).tolist()  # growth rates: short waves decay
        [0.1875, 0.0, -12.0]
    """

    factor: float | Tensor = 1.0
    growth: float | Tensor = 1.0
    damping: float | Tensor = 1.0

    def __post_init__(self) -> None:
        self.check("factor")
        self.check("growth")
        self.check("damping", least=0.0)

    def flux(self, u: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
        return self.factor / 2 * u**2

    def speed(self, u: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
        return self.factor * u

    def riemann(
        self, left: Float[Tensor, "*faces"], right: Float[Tensor, "*faces"]
    ) -> Float[Tensor, "*faces"]:
        return scaled_godunov_flux(self.factor, left, right)

    def linear(self) -> dict[int, float | Tensor]:
        return {2: -self.growth, 4: -self.damping}
