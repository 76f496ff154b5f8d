"""The state of samples under adaptive steps, and the solution that results."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from stencilnet.display import Displayed


@dataclass
class Clocks:
    """Where each sample is: all of shape `batch`, but `u`, `slope` and `states`."""

    t: Tensor
    u: Tensor
    slope: Tensor
    step: Tensor
    blown: Tensor
    states: list[Tensor]
    following: Tensor = field(init=False)  # the knot ahead
    on_jump: Tensor = field(init=False)
    accepted: Tensor = field(init=False)
    rejected: Tensor = field(init=False)
    previous_error: Tensor = field(init=False)
    failed: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.following = torch.ones_like(self.t, dtype=torch.int64)
        self.accepted = torch.zeros_like(self.following)
        self.rejected = torch.zeros_like(self.following)
        self.previous_error = torch.ones_like(self.t)
        self.failed = torch.zeros_like(self.blown)
        self.on_jump = torch.zeros_like(self.blown)


@dataclass(frozen=True, repr=False)
class AdaptiveSolution(Displayed):
    """A trajectory with the number of steps behind it.

    Attributes:
        u: the trajectory at the times asked for.
        accepted: steps taken by each sample.
        rejected: further steps that each sample tried.

    Example:
        >>> import torch
        >>> from stencilnet.solver import AdaptiveSolution, solve_adaptively
        >>> rates = torch.tensor([[1.0], [20.0]]).double()
        >>> solution: AdaptiveSolution = solve_adaptively(
        ...     lambda u: -rates * u, [[1.0], [1.0]], [0.0, 1.0]
        ... )
        >>> slow, fast = (solution.accepted + solution.rejected).tolist()
        >>> tuple(solution.u.shape), slow < fast
        ((2, 2, 1), True)
    """

    u: Float[Tensor, "*batch time x"]
    accepted: Int[Tensor, "*batch"]
    rejected: Int[Tensor, "*batch"]
