"""Uniform periodic grids."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.display import Displayed
from stencilnet.errors import as_integer, as_number


@dataclass(frozen=True)
class Grid(Displayed):
    """A uniform periodic grid, one entry per spatial axis.

    Spatial axes are the trailing axes of every field, so a negative `axis`
    addresses a tensor and its grid alike: `u.shape[-1]`, `grid.spacing[-1]`.
    A value at `points()[i]` is a point value or the average over the cell
    `[x_i - dx/2, x_i + dx/2]`; the form decides which.

    Attributes:
        shape: number of points along each axis; a tuple of `int` after construction.
            The left end of the domain is a point and the right end, its periodic
            image, is not.
        extent: period along each axis, in length units of the equation; a tuple of
            `float` after construction.

    Raises:
        ValueError: if a number of points is not a positive whole number, or a period
            not a positive finite number.
    """

    shape: tuple[int, ...]
    extent: tuple[float, ...]

    def __post_init__(self) -> None:
        try:
            shape, extent = tuple(self.shape), tuple(self.extent)
        except TypeError:
            raise ValueError(
                f"A grid takes tuples of one entry per axis, not {self.shape!r} and "
                f"{self.extent!r}: for one axis give Grid.line(points, length)."
            ) from None
        if len(shape) != len(extent) or not shape:
            raise ValueError(
                f"A grid needs one number of points and one period per axis, not "
                f"{len(shape)} and {len(extent)}: give as many of each."
            )
        sizes = tuple(as_integer(points) for points in shape)
        for points, size in zip(shape, sizes, strict=True):
            if size is None or size < 1:
                raise ValueError(
                    f"A grid cannot have {points} points: give a whole number of at "
                    f"least 1 per axis."
                )
        periods = tuple(as_number(length) for length in extent)
        for length, period in zip(extent, periods, strict=True):
            if period is None or not 0 < period < math.inf:
                raise ValueError(
                    f"A grid cannot have the period {length}: give a positive length."
                )
        object.__setattr__(self, "shape", sizes)
        object.__setattr__(self, "extent", periods)

    @classmethod
    def line(cls, points: int, length: float = 2 * math.pi) -> "Grid":
        """A grid of `points` points on the interval `[0, length)`."""
        return cls((points,), (length,))

    @property
    def spacing(self) -> tuple[float, ...]:
        """Distance `dx` between neighbouring points, one per axis."""
        return tuple(
            length / points
            for points, length in zip(self.shape, self.extent, strict=True)
        )

    def points(self, axis: int = -1) -> Float[Tensor, " x"]:
        """Coordinates `x_i = i dx` along `axis`, in float64."""
        return torch.arange(self.shape[axis], dtype=torch.float64) * self.spacing[axis]

    def wavenumbers(self, axis: int = -1) -> Float[Tensor, " k"]:
        """Angular wavenumbers `2 pi m / L` of `torch.fft.rfft` along `axis`.

        In float64, for `m = 0, ..., N // 2`.
        """
        modes = torch.arange(self.shape[axis] // 2 + 1, dtype=torch.float64)
        return modes * (2 * math.pi / self.extent[axis])

    def coarsen(self, factor: int) -> "Grid":
        """The grid of every `factor`-th point of this one."""
        step = as_integer(factor) or 0
        for points in self.shape:
            if step < 1 or points % step:
                raise ValueError(
                    f"Cannot coarsen {points} points by {factor}: choose a factor "
                    f"that divides {points}."
                )
        return Grid(tuple(points // step for points in self.shape), self.extent)
