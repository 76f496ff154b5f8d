"""Uniform periodic grids."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Grid:
    """A uniform periodic grid, one entry per spatial axis.

    Spatial axes are the trailing axes of every field, so a negative `axis`
    addresses a tensor and its grid alike: `u.shape[-1]`, `grid.spacing[-1]`.
    A value at `points()[i]` is either the field there or its mean over the cell
    `[x_i - dx/2, x_i + dx/2]`; the equation says which.

    Attributes:
        shape: number of points along each axis. The left end of the domain is
            a point and the right end, its periodic image, is not.
        extent: period along each axis, in length units of the equation.

    Raises:
        ValueError: if a number of points or a period is not positive.
    """

    shape: tuple[int, ...]
    extent: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.shape) != len(self.extent) or not self.shape:
            raise ValueError(
                f"A grid needs one number of points and one period per axis, not "
                f"{len(self.shape)} and {len(self.extent)}: give as many of each."
            )
        for points in self.shape:
            if points < 1:
                raise ValueError(
                    f"A grid cannot have {points} points: give at least 1 per axis."
                )
        for length in self.extent:
            if not (math.isfinite(length) and length > 0):
                raise ValueError(
                    f"A grid cannot have the period {length}: give a positive length."
                )

    @classmethod
    def line(cls, points: int, length: float = 2 * math.pi) -> "Grid":
        """A grid of `points` points on the interval `[0, length)`."""
        return cls((points,), (float(length),))

    @property
    def spacing(self) -> tuple[float, ...]:
        """Distance `dx` between neighbouring points along each axis."""
        return tuple(
            length / points
            for points, length in zip(self.shape, self.extent, strict=True)
        )

    def points(self, axis: int = -1) -> Float[Tensor, " x"]:
        """Coordinates `x_i = i dx` along `axis`, in float64."""
        return torch.arange(self.shape[axis], dtype=torch.float64) * self.spacing[axis]

    def wavenumbers(self, axis: int = -1) -> Float[Tensor, " k"]:
        """Angular wavenumbers `2 pi m / L`, `m = 0, ..., N // 2`, in float64.

        They are those of `torch.fft.rfft` along `axis`.
        """
        modes = torch.arange(self.shape[axis] // 2 + 1, dtype=torch.float64)
        return modes * (2 * math.pi / self.extent[axis])

    def coarsen(self, factor: int) -> "Grid":
        """The grid that keeps every `factor`-th point of this one."""
        for points in self.shape:
            if factor < 1 or points % factor:
                raise ValueError(
                    f"Cannot coarsen {points} points by {factor}: choose a factor "
                    f"that divides {points}."
                )
        return Grid(tuple(points // factor for points in self.shape), self.extent)
