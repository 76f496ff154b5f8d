"""Network that ignores the solution, for the best constant stencil."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn


class ConstantOutput(nn.Module):
    """A network with the same output for every window, zero until it is trained.

    `LearnedStencil(equation, grid, network=Constant())` has one stencil per derivative
    for all cells. Trained as any other it is the best constant stencil under
    its constraint: what a learned stencil gains over it, it gains by reading the
    solution.

    Args:
        outputs: raw numbers of the coefficient layers, all together; a `LearnedStencil`
            that gets another number says how many it needs.

    Raises:
        ValueError: if there is no output.

    Example:
        >>> from stencilnet import Burgers, Grid, LearnedStencil
        >>> from stencilnet.discretizations import ConstantOutput
        >>> network = ConstantOutput(9)
        >>> learned = LearnedStencil(Burgers(0.02), Grid.line(16), network=network)
        >>> network.values.data[0] = 0.5  # as training would
        >>> learned.moment_residual(learned.grid.points().sin()) < 1e-12
        True
    """

    def __init__(self, outputs: int) -> None:
        super().__init__()
        if outputs < 1:
            raise ValueError(
                f"A constant stencil needs at least 1 number, not {outputs}."
            )
        self.values = nn.Parameter(torch.zeros(outputs, dtype=torch.float64))

    def forward(
        self, window: Float[Tensor, "*batch window"]
    ) -> Float[Tensor, "*batch outputs"]:
        return self.values.expand(*window.shape[:-1], -1)

    def spec(self) -> dict[str, Any]:
        """The value that builds it, as plain values."""
        return Constant().spec()


@dataclass(frozen=True)
class Constant:
    """A `ConstantOutput` that `LearnedStencil` builds to measure.

    Example:
        >>> import torch
        >>> from stencilnet import Burgers, Grid, LearnedStencil
        >>> from stencilnet.discretizations import Constant
        >>> learned = LearnedStencil(Burgers(0.02), Grid.line(16), network=Constant())
        >>> sum(weight.numel() for weight in learned.parameters())
        9
        >>> table = learned.coefficients(learned.grid.points().sin())["u"].detach()
        >>> [round(60 * c) for c in table[0].tolist()], torch.allclose(table, table[0])
        ([1, -8, 37, 37, -8, 1], True)
    """

    def build(self, inputs: int, outputs: int, *, seed: int) -> ConstantOutput:
        """The network of `outputs` raw numbers, whatever windows and seed are."""
        return ConstantOutput(outputs)

    def spec(self) -> dict[str, Any]:
        """The network as plain values, for `network_from_spec`."""
        return {"kind": "constant"}
