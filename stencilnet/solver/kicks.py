"""Kicks: what a forcing adds to the solution of Burgers' equation at one time."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.grid import Grid
from stencilnet.solver.splittings import Number, Splitting


class Kick(NamedTuple):
    """What the forcing adds at one time, or along a first axis at several.

    Attributes:
        average: to cell averages.
        shape: to the potential of `u` at the nodes, relative to the left face; none
            where the forcing is known by its averages only.
        force: cell averages of the forcing itself.
    """

    average: Tensor
    shape: Tensor | None
    force: Tensor

    def at(self, index: int) -> "Kick":
        """One of several kicks."""
        return Kick(*(None if v is None else v[index] for v in self))  # type: ignore[arg-type]


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
        self, splitting: Splitting, t: Tensor, dt: float, nodes: Tensor, points: int
    ) -> Kick:
        """The kicks of a step from `t` to `t + dt`, first and last included.

        A kick adds `v F + g f**2 + c f**2 f_x` to the potential.

        Args:
            splitting: of the step.
            t: start, of shape `()`.
            dt: length.
            nodes: positions in cells, 0 at the left and 1 at the right face.
            points: of the grid.
        """
        times = t + dt * _column(splitting.times, t)
        v, g, c = (
            dt**power * _column(weights, t)
            for power, weights in (
                (1, splitting.kicks),
                (3, splitting.gradients),
                (5, splitting.slopes),
            )
        )
        dx = self._grid.spacing[-1]
        if not hasattr(self._forcing, "within"):
            values = [self._forcing(time).double() for time in times]
            mean = torch.stack([f.expand(*f.shape[:-1], points) for f in values])
            v, g, c = (_broadcast(weight, mean) for weight in (v, g, c))
            force, slope = _at_faces(mean, dx)
            potential = force**2 * (g + c * slope)
            rise = potential.roll(-1, -1) - potential
            return Kick(v * mean + rise / dx, None, mean)
        within = self._within(nodes)(times.reshape(-1, 1, 1))
        integral, force, slope = (value.double() for value in within)
        v, g, c = (_broadcast(weight, integral) for weight in (v, g, c))
        potential = v * integral + force**2 * (g + c * slope)
        left, right = potential[..., -2, :], potential[..., -1, :]
        mean = (integral[..., -1, :] - integral[..., -2, :]) / dx
        shape = potential[..., :-2, :] - left.unsqueeze(-2)
        return Kick((right - left) / dx, shape, mean)

    def _within(self, nodes: Tensor) -> Callable[..., tuple[Tensor, Tensor, Tensor]]:
        """The forcing at nodes, then at the left and the right face of each cell."""
        if len(nodes) not in self._potentials:
            positions = torch.cat([nodes, torch.tensor([0.0, 1.0]).to(nodes)])
            self._potentials[len(nodes)] = self._forcing.within(positions)
        return self._potentials[len(nodes)]


def _column(numbers: tuple[Number, ...], like: Tensor) -> Float[Tensor, " kick"]:
    """Scalars of a splitting as one tensor, differentiable where they are."""
    if any(isinstance(number, Tensor) for number in numbers):
        return torch.stack(
            [torch.as_tensor(number, dtype=like.dtype) for number in numbers]
        ).to(like)
    return torch.tensor(numbers).to(like)


def _broadcast(weight: Float[Tensor, " kick"], like: Tensor) -> Tensor:
    return weight.reshape(-1, *[1] * (like.ndim - 1))


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
