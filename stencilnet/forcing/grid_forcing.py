"""A random forcing on a grid, as a function of time."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from stencilnet.display import Displayed
from stencilnet.grid import Grid


@runtime_checkable
class Waves(Protocol):
    """A forcing that is known within cells, such as a `RandomForcing`."""

    def within(
        self, grid: Grid, positions: Float[Tensor, " position"]
    ) -> Callable[..., tuple[Tensor, Tensor, Tensor]]:
        """See `RandomForcing.within`."""


@dataclass(frozen=True, repr=False)
class GridForcing(Displayed):
    """A random forcing on a grid: a function of time that knows its shape within cells.

    Attributes:
        waves: the forcing.
        grid: the grid.
        averages: whether calls return cell averages rather than point values.
        evaluate: the forcing on the grid, a function of time.

    Example:
        >>> import torch
        >>> from stencilnet import Grid, RandomForcing
        >>> from stencilnet.forcing import GridForcing
        >>> grid = Grid.line(16)
        >>> forcing = RandomForcing.sample(2, seed=0).on(grid, averages=True)
        >>> faces = torch.tensor([0.0, 1.0])
        >>> integral, _, _ = forcing.within(faces)(0.5)
        >>> means = (integral[:, 1] - integral[:, 0]) / grid.spacing[-1]
        >>> isinstance(forcing, GridForcing), torch.allclose(means, forcing(0.5))
        (True, True)
    """

    waves: Waves
    grid: Grid
    averages: bool
    evaluate: Callable[..., Tensor]

    def __call__(self, t: float | Tensor) -> Float[Tensor, "*sample x"]:
        return self.evaluate(t)

    def within(
        self, positions: Float[Tensor, " position"]
    ) -> Callable[..., tuple[Tensor, Tensor, Tensor]]:
        """See `RandomForcing.within`."""
        return self.waves.within(self.grid, positions)
