"""Kicks: what a forcing adds to the solution of Burgers' equation at one time."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.grid import Grid
from stencilnet.solver.base import outliving_inference
from stencilnet.solver.splittings import Number, Splitting

Within = Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]
"""Integral, value and slope of a forcing at places within cells, at a time."""

# Positions of the left and the right face of a cell.
_FACES = torch.tensor([0.0, 1.0], dtype=torch.float64)


class Shape(NamedTuple):
    """What the shape of a kick within cells is made of, or of several.

    Attributes:
        integral, force, slope: `F`, `f` and `f_x` at the nodes.
        left: the potential at the left face of each cell, with an axis of one node.
        weights: `v`, `g` and `c`, along the last axis.
    """

    integral: Tensor
    force: Tensor
    slope: Tensor
    left: Tensor
    weights: Tensor

    def within(self) -> Tensor:
        """What one kick adds to the potential of `u`, relative to the left face."""
        parts = self.integral, self.force, self.slope
        integral, force, slope = (part.double() for part in parts)
        return _potential(self.weights.unbind(-1), integral, force, slope) - self.left


class Kick(NamedTuple):
    """What the forcing adds at one time, or along a first axis at those of a step.

    Attributes:
        average: to cell averages.
        force: cell averages of the forcing itself.
        shape: within cells; none where the forcing is known by its averages only. Of
            several kicks the last has none.
        multiplicity: how many such kicks the state has had since the one that the
            picture is taken of: 2 for the first of a step, as the last step ended with
            the kick that this one begins with, and 1 for others.
    """

    average: Tensor
    force: Tensor
    shape: Shape | None
    multiplicity: Tensor

    def at(self, index: int) -> "Kick":
        """One of several kicks."""
        shape = None
        if self.shape is not None:
            shape = Shape(*(part[index] for part in self.shape))
        return Kick(
            self.average[index], self.force[index], shape, self.multiplicity[index]
        )


class Kicks:
    """The kicks of a forcing on a grid under a splitting.

    Args:
        forcing: `t -> f` in cell averages. If it has a method `within`, as what
            `RandomForcing.on` returns, its shape within cells is exact.
        grid: the grid of the cells.
        splitting: of the steps.
    """

    def __init__(self, forcing: Any, grid: Grid, splitting: Splitting) -> None:
        self._forcing, self._grid, self._splitting = forcing, grid, splitting
        self.known_within = hasattr(forcing, "within")
        self._columns: dict[torch.device, Tensor] = {}
        # At the faces, or at a number of nodes.
        self._known: dict[Any, Within] = {}

    def columns(self, like: Tensor) -> Float[Tensor, "4 kick"]:
        """Times and weights of the kicks; a kick adds `v F + g f**2 + c f**2 f_x`.

        For a step of length 1: `v`, `g` and `c` grow with its powers 1, 3 and 5.
        """
        known = self._columns.get(like.device)
        if known is None:
            names = ("times", "kicks", "gradients", "slopes")
            rows = [getattr(self._splitting, name) for name in names]
            with outliving_inference():
                known = torch.stack([_column(row, like) for row in rows])
            # Scalars that are learned may change.
            if not any(isinstance(number, Tensor) for row in rows for number in row):
                self._columns[like.device] = known
        return known

    def within(self, nodes: Float[Tensor, " node"]) -> tuple[Within, Within]:
        """The forcing at the faces of cells and at nodes, functions of time."""
        return self._at("faces", _FACES.to(nodes)), self._at(len(nodes), nodes)

    def of_averages(self, t: Tensor, dt: float, points: int) -> Kick:
        """The kicks of a step from `t` to `t + dt`, first and last included.

        Args:
            t: start, of shape `()`.
            dt: length.
            points: of the grid.
        """
        times, v, g, c = _scaled(self.columns(t), t, dt)
        values = [self._forcing(time).double() for time in times]
        mean = torch.stack([f.expand(*f.shape[:-1], points) for f in values])
        v, g, c = (_broadcast(weight, mean) for weight in (v, g, c))
        dx = self._grid.spacing[-1]
        force, slope = _at_faces(mean, dx)
        potential = force**2 * (g + c * slope)
        rise = potential.roll(-1, -1) - potential
        return Kick(v * mean + rise / dx, mean, None, _multiplicities(mean))

    def _at(self, key: Any, positions: Tensor) -> Within:
        if key not in self._known:
            with outliving_inference():
                self._known[key] = self._forcing.within(positions.clone())
        return self._known[key]


def kicks_within(
    faces: Within,
    inner: Within,
    columns: Float[Tensor, "4 kick"],
    t: Tensor,
    dt: float | Tensor,
    dx: float | Tensor,
) -> Kick:
    """As `Kicks.of_averages`, for a forcing that is known within cells.

    Args:
        faces: from `Kicks.within`.
        inner: likewise.
        columns: from `Kicks.columns`.
        t: start, of shape `()`.
        dt: length.
        dx: spacing of the grid.
    """
    times, v, g, c = _scaled(columns, t, dt)
    clock = times.reshape(-1, 1, 1)
    integral, force, slope = (part.double() for part in faces(clock))
    weights = tuple(_broadcast(weight, integral) for weight in (v, g, c))
    left, right = _potential(weights, integral, force, slope).unbind(-2)
    average = (right - left) / dx
    mean = ((integral[..., 1, :] - integral[..., 0, :]) / dx).expand_as(average)
    # A part that is the same for all times has one entry along the first axis.
    start = left[:-1].unsqueeze(-2)
    integral, force, slope = (
        part.expand(*start.shape[:-2], *part.shape[-2:]) for part in inner(clock[:-1])
    )
    shape = Shape(integral, force, slope, start, torch.stack([v, g, c], dim=-1))
    return Kick(average, mean, shape, _multiplicities(mean))


def _multiplicities(kicks: Tensor) -> Float[Tensor, " kick"]:
    """`Kick.multiplicity` of the kicks of a step."""
    first = torch.arange(len(kicks), device=kicks.device) == 0
    return torch.where(first, 2.0, 1.0).to(kicks)


def _scaled(
    columns: Float[Tensor, "4 kick"], t: Tensor, dt: float | Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Times and weights of a step."""
    return t + dt * columns[0], dt * columns[1], dt**3 * columns[2], dt**5 * columns[3]


def _potential(
    weights: tuple[Tensor, ...],
    integral: Tensor,
    force: Tensor,
    slope: Tensor,
) -> Tensor:
    v, g, c = weights
    return v * integral + force**2 * (g + c * slope)


def _column(numbers: tuple[Number, ...], like: Tensor) -> Float[Tensor, " kick"]:
    """Scalars of a splitting in float64, differentiable where they are."""
    scalars = [torch.as_tensor(number, dtype=torch.float64) for number in numbers]
    return torch.stack([scalar.to(like.device) for scalar in scalars])


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
