"""The Kuramoto-Sivashinsky equation in two forms."""

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from stencilnet.equations.base import Equation, divergence
from stencilnet.grid import Grid
from stencilnet.stencils.moments import Derivative


@dataclass(frozen=True)
class KuramotoSivashinsky(Equation):
    """The Kuramoto-Sivashinsky equation: `u_t = -u u_x - u_xx - u_xxxx`.

    For point values. Waves longer than `2 pi` grow, fastest near `k = 1 / sqrt(2)`,
    the nonlinear term hands their energy to shorter ones, and fourth-order diffusion
    takes it out. Domains longer than about 18 hold chaos.

    Sources: Kuramoto and Tsuzuki (1976), doi:10.1143/PTP.55.356; Sivashinsky (1977),
    doi:10.1016/0094-5765(77)90096-0; this form in Cvitanovic et al. (2010),
    doi:10.1137/070705623.
    """

    requires = {"u_x": Derivative(1), "u_xx": Derivative(2), "u_xxxx": Derivative(4)}

    def time_derivative(
        self,
        u: Float[Tensor, "*batch x"],
        d: Mapping[str, Float[Tensor, "*batch x"]],
        grid: Grid,
    ) -> Float[Tensor, "*batch x"]:
        return -u * d["u_x"] - d["u_xx"] - d["u_xxxx"]

    def flux(self, u: Float[Tensor, "*batch x"]) -> Float[Tensor, "*batch x"]:
        return u**2 / 2

    def symbol(self, k: Float[Tensor, " k"]) -> Tensor:
        return k**2 - k**4


@dataclass(frozen=True)
class ConservativeKuramotoSivashinsky(KuramotoSivashinsky):
    """The Kuramoto-Sivashinsky equation: `u_t = -(u**2 / 2 + u_x + u_xxx)_x`.

    In flux form, for cell averages.
    """

    requires = {
        "u": Derivative(0, face=True),
        "u_x": Derivative(1, face=True),
        "u_xxx": Derivative(3, face=True),
    }
    averages = True

    def time_derivative(
        self,
        u: Float[Tensor, "*batch x"],
        d: Mapping[str, Float[Tensor, "*batch x"]],
        grid: Grid,
    ) -> Float[Tensor, "*batch x"]:
        return -divergence(d["u"] ** 2 / 2 + d["u_x"] + d["u_xxx"], grid)
