"""Network that ignores the solution, for the best constant stencil."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class ConstantOutput(nn.Module):
    """A network with the same output for every window, zero until it is trained.

    `LearnedStencil(equation, grid, network=ConstantOutput(9))` has one stencil per
    derivative for all cells. Trained as any other it is the best constant stencil under
    its constraint: what a learned stencil gains over it, it gains by reading the
    solution.

    Args:
        outputs: raw numbers of the coefficient layers, all together; a `LearnedStencil`
            that gets another number says how many it needs.

    Raises:
        ValueError: if there is no output.
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
