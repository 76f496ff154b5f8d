"""What exact evolution asks of a method: the solution within cells."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from stencilnet.grid import Grid


@runtime_checkable
class CellPicture(Protocol):
    """A method that says what the solution of Burgers' equation is within cells.

    Attributes:
        grid: of the cells.
        viscosity: `nu`, a number or a tensor `(*sample, 1)`.

    Example:
        >>> import torch
        >>> from stencilnet import Grid, rollout
        >>> from stencilnet.solver import CellPicture, ColeHopf
        >>> class Flat:
        ...     grid, viscosity = Grid.line(32), 0.1
        ...
        ...     def branches(self, u, positions, force=None):
        ...         peclet = u * self.grid.spacing[-1] / (2 * self.viscosity)
        ...         return (-positions.unsqueeze(-1) * peclet.unsqueeze(-2),)
        ...
        >>> flat, u0 = Flat(), 1 + Flat.grid.points().sin()
        >>> u = rollout(flat, u0, [0.0, 2.0], integrator=ColeHopf(), steps=1)
        >>> isinstance(flat, CellPicture), round(float(u[-1].mean()), 9)
        (True, 1.0)
    """

    grid: Grid

    @property
    def viscosity(self) -> float | Tensor: ...

    def branches(
        self,
        u: Float[Tensor, "*batch x"],
        positions: Float[Tensor, " node"],
        force: Float[Tensor, "*#batch x"] | None = None,
    ) -> tuple[Float[Tensor, "*batch node x"], ...]:
        """`log(phi)` relative to the left face of each cell, for smooth branches.

        Args:
            u: cell averages.
            positions: of nodes, 0 at the left and 1 at the right face of a cell.
            force: cell averages of the forcing; none where there is no forcing.

        Returns:
            Exponents whose exponentials add up to `phi(s) / phi(0)`; so they are 1 at
            the left and `exp(-u dx / 2 nu)` at the right face.
        """
