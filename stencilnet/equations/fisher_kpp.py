"""The Fisher-KPP equation."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from stencilnet.equations.base import Equation


@dataclass(frozen=True)
class FisherKPP(Equation):
    """The Fisher-KPP equation `u_t = diffusivity u_xx + rate u (1 - u)`.

    A population spreads into empty space in fronts whose speed tends to
    `2 sqrt(rate diffusivity)`; 0 is unstable and 1 stable.

    Sources: Fisher (1937), doi:10.1111/j.1469-1809.1937.tb02153.x; Kolmogorov,
    Petrovsky and Piskunov (1937), Moscow University Mathematics Bulletin 1, 1-25.

    Attributes:
        diffusivity: not negative.
        rate: of growth, not negative.

    Example:
        >>> import torch
        >>> from stencilnet import FiniteDifference, Grid, rollout
        >>> from stencilnet.equations import FisherKPP
        >>> method = FiniteDifference(FisherKPP(), Grid.line(8))
        >>> times = torch.tensor([0.0, 1.0]).double()
        >>> u0 = torch.full((8,), 0.5).double()
        >>> u = rollout(method, u0, times, steps=10)
        >>> round(float(u[-1, 0]), 4)  # logistic growth, 1 / (1 + exp(-1))
        0.7311
    """

    diffusivity: float | Tensor = 1.0
    rate: float | Tensor = 1.0

    def __post_init__(self) -> None:
        self.check("diffusivity", least=0.0)
        self.check("rate", least=0.0)

    def linear(self) -> dict[int, float | Tensor]:
        return {2: self.diffusivity}

    def source(self, u: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
        return self.rate * u * (1 - u)
