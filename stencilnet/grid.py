"""Uniform periodic grids."""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.display import Displayed
from stencilnet.errors import as_integer, as_number, whole_number


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

    def averages(self, f: Callable[..., Any], *, nodes: int = 8) -> Any:
        """Cell averages of a function, by Gauss quadrature in each cell.

        Exact for polynomials of degree `2 nodes - 1` in a cell; for what jumps within
        one, take more nodes.

        Args:
            f: `f(x)`, or `f(t, x)` such as a forcing, of numpy or torch. It sees
                positions in `[0, L)`, shape `(position,)`, and returns values along
                its last axis.
            nodes: of the quadrature, per cell.

        Returns:
            The averages, shape `(*batch, x)`, in the precision of what `f` returns;
            for `f(t, x)` a function of time that returns them, as `rollout` takes it.

        Raises:
            TypeError: if `f` is not a function of one or two arguments.
            ValueError: if the grid has more than one axis, or `f` returns another
                number of values.
        """
        if len(self.shape) != 1:
            raise ValueError(
                f"Averages of a function are taken on a grid of one axis, not of "
                f"{len(self.shape)}: give Grid.line(points, length)."
            )
        roots, weights = np.polynomial.legendre.leggauss(
            whole_number("The number of nodes", nodes)
        )
        inner = torch.from_numpy(roots / 2) * self.spacing[-1]
        x = (self.points().unsqueeze(-1) + inner).remainder(self.extent[-1]).flatten()
        shares = torch.from_numpy(weights / 2)

        def mean(values: Any) -> Tensor:
            known = values if isinstance(values, Tensor) else np.asarray(values)
            field = torch.as_tensor(known)
            field = field if field.is_floating_point() else field.double()
            if not field.ndim:
                return field.expand(self.shape[-1])
            if field.shape[-1] != len(x):
                raise ValueError(
                    f"The function maps {len(x)} positions to {field.shape[-1]} "
                    f"values: return one per position, along the last axis."
                )
            cells = field.reshape(*field.shape[:-1], self.shape[-1], len(shares))
            return cells @ shares.to(cells)

        if _arguments(f) == 1:
            return mean(f(x))
        return lambda t: mean(f(t, x.to(getattr(t, "device", None))))


def _arguments(f: Any) -> int:
    """Number of arguments that a function of `x`, or of `t` and `x`, needs."""
    if not callable(f):
        raise TypeError(
            f"Averages are taken of a function f(x) or f(t, x), not of "
            f"{type(f).__name__}."
        )
    try:
        parameters = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):
        return 1
    positional = (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
    )
    count = sum(
        parameter.kind in positional and parameter.default is inspect.Parameter.empty
        for parameter in parameters
    )
    if count > 2:
        raise TypeError(
            f"Averages are taken of a function f(x) or f(t, x), but this one has "
            f"{count} arguments: give the others by functools.partial or a lambda."
        )
    return 2 if count == 2 else 1
