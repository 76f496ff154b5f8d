"""Kicks: what a forcing adds to the solution of Burgers' equation at one time."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.grid import Grid
from stencilnet.solver.splittings import Splitting


class Kick(NamedTuple):
    """What the forcing adds at one time.

    Attributes:
        average: to cell averages.
        shape: to the potential of `u` at the nodes, relative to the left face; none
            where the forcing is known by its averages only.
        force: cell averages of the forcing itself.
    """

    average: Tensor
    shape: Tensor | None
    force: Tensor


class Kicks:
    """The kicks of a forcing on a grid.

    Args:
        forcing: `t -> f` in cell averages. If it has a method `within`, as what
            `RandomForcing.on` returns, its shape within cells is exact.
        grid: the grid of the cells.
    """

    def __init__(self, forcing: Any, grid: Grid) -> None:
        self._forcing, self._grid = forcing, grid
        self._potentials: dict[int, Callable[..., tuple[Tensor, Tensor, Tensor]]] = {}

    def of_step(
        self, splitting: Splitting, t: Any, dt: float, nodes: Tensor, points: int
    ) -> list[Kick]:
        """The kicks of a step from `t` to `t + dt`, first and last included.

        Args:
            splitting: of the step.
            t: start, as a forcing takes it.
            dt: length.
            nodes: positions in cells, 0 at the left and 1 at the right face.
            points: of the grid.
        """
        return [
            self._kick(t + s * dt, (v * dt, g * dt**3, c * dt**5), nodes, points)
            for s, v, g, c in zip(
                splitting.times,
                splitting.kicks,
                splitting.gradients,
                splitting.slopes,
                strict=True,
            )
        ]

    def _kick(
        self, t: Any, weights: tuple[Any, Any, Any], nodes: Tensor, points: int
    ) -> Kick:
        """The kick `psi += v F + g f**2 + c f**2 f_x` at a time."""
        dx = self._grid.spacing[-1]
        v, g, c = weights
        if hasattr(self._forcing, "within"):
            count = len(nodes)
            if count not in self._potentials:
                faces = torch.tensor([0.0, 1.0]).to(nodes)
                self._potentials[count] = self._forcing.within(
                    torch.cat([nodes, faces])
                )
            integral, force, slope = (
                value.double() for value in self._potentials[count](t)
            )
            potential = v * integral + force**2 * (g + c * slope)
            left, right = potential[..., -2, :], potential[..., -1, :]
            mean = (integral[..., -1, :] - integral[..., -2, :]) / dx
            shape = potential[..., :-2, :] - left.unsqueeze(-2)
            return Kick((right - left) / dx, shape, mean)
        mean = self._forcing(t).double()
        mean = mean.expand(*mean.shape[:-1], points)
        force, slope = _at_faces(mean, dx)
        potential = force**2 * (g + c * slope)
        return Kick(v * mean + (potential.roll(-1, -1) - potential) / dx, None, mean)


def _at_faces(
    mean: Float[Tensor, "*batch x"], dx: float
) -> tuple[Float[Tensor, "*batch x"], Float[Tensor, "*batch x"]]:
    """Values and slopes at left faces from cell averages, to sixth order."""
    pairs = [(mean.roll(j, -1), mean.roll(1 - j, -1)) for j in (1, 2, 3)]
    force, slope = torch.zeros_like(mean), torch.zeros_like(mean)
    weights = ((37.0, -245.0), (-8.0, 25.0), (1.0, -2.0))
    for (value, difference), (left, right) in zip(weights, pairs, strict=True):
        force = force + value * (left + right)
        slope = slope + difference * (left - right)
    return force / 60, slope / (180 * dx)
