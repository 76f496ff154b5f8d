"""Uniform grids, periodic or between boundaries."""

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.boundaries import Boundary, boundary_from_spec
from stencilnet.display import Displayed
from stencilnet.errors import as_integer, as_number, whole_number


@dataclass(frozen=True, repr=False)
class Grid(Displayed):
    """A uniform grid, periodic by default, with one entry per spatial axis.

    Spatial axes are the trailing axes of every field, so a negative `axis`
    addresses a tensor and its grid alike: `u.shape[-1]`, `grid.spacing[-1]`.
    A value at `points()[i]` is a point value or the average over the cell
    `[x_i - dx/2, x_i + dx/2]`; the form decides which. On a periodic grid
    `x_i = i dx`: the left end of the domain is a point and the right end, its periodic
    image, is not. Between boundaries `x_i = (i + 1/2) dx`: whole cells fill the domain,
    the ends are faces, and point values lie at the centres of cells.

    Attributes:
        shape: number of points along each axis; a tuple of `int` after construction.
        extent: length of the domain along each axis, the period if there is one, in
            length units of the equation; a tuple of `float` after construction.
        boundaries: what holds at the left and the right end; None for a period.

    Raises:
        ValueError: if a number of points is not a positive whole number, or a period
            not a positive finite number, or if a grid of several axes has boundaries.
        TypeError: if boundaries are not one or two values such as `Wall()`.

    Example:
        >>> from stencilnet import Grid
        >>> grid = Grid.line(64, 2.0)
        >>> grid.spacing, grid.coarsen(4).shape, float(grid.points()[1])
        ((0.03125,), (16,), 0.03125)
    """

    shape: tuple[int, ...]
    extent: tuple[float, ...]
    boundaries: tuple[Boundary, Boundary] | None = None

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
        if self.boundaries is not None:
            object.__setattr__(self, "boundaries", _pair(self.boundaries))
            if len(shape) > 1:
                raise ValueError(
                    f"Boundaries are those of a grid of one axis, not of {len(shape)}: "
                    f"give Grid.line(points, length, boundaries=...)."
                )

    @classmethod
    def line(
        cls,
        points: int,
        length: float = 2 * math.pi,
        *,
        boundaries: Boundary | tuple[Boundary, Boundary] | None = None,
    ) -> "Grid":
        """A grid of `points` points on the interval from 0 to `length`.

        Args:
            points: number of points.
            length: of the interval.
            boundaries: what holds at the left and the right end, or at both; by default
                the interval is a period.
        """
        ends = None if boundaries is None else _pair(boundaries)
        return cls((points,), (length,), ends)

    def require_periodic(self, subject: str) -> None:
        """Raises if the grid has boundaries, which `subject` does not know.

        Args:
            subject: a plural that starts a sentence, such as "Trajectory stores".

        Raises:
            ValueError: naming the boundaries.
        """
        if self.boundaries is not None:
            left, right = self.boundaries
            raise ValueError(
                f"{subject} need a periodic grid, but this one has the boundaries "
                f"{left!r} and {right!r}: give Grid.line(points, length)."
            )

    def spec(self) -> dict[str, Any]:
        """Shape, extent and boundaries if there are any, as plain values.

        Raises:
            ValueError: if a boundary has no spec.
        """
        spec: dict[str, Any] = {"shape": list(self.shape), "extent": list(self.extent)}
        if self.boundaries is not None:
            spec["boundaries"] = [end.spec() for end in self.boundaries]
        return spec

    @classmethod
    def from_spec(
        cls, spec: Mapping[str, Any], extensions: Iterable[type] = ()
    ) -> "Grid":
        """The grid that `spec` described.

        Args:
            spec: from `spec`.
            extensions: classes of boundaries of your own.

        Raises:
            LookupError, TypeError, ValueError: if it describes none.
        """
        ends = spec.get("boundaries")
        if ends is not None:
            ends = tuple(boundary_from_spec(end, extensions) for end in ends)
        return cls(tuple(spec["shape"]), tuple(spec["extent"]), ends)

    def describe(self) -> str:
        """Points, length and boundaries in words, such as "16 points over 2"."""
        text = f"{self.shape[-1]} points over {self.extent[-1]:g}"
        if self.boundaries is None:
            return text
        return f"{text} between {self.boundaries[0]!r} and {self.boundaries[1]!r}"

    def _parts(self) -> Mapping[str, object]:
        parts = dict(super()._parts())
        if self.boundaries is None:
            del parts["boundaries"]
        return parts

    @property
    def spacing(self) -> tuple[float, ...]:
        """Distance `dx` between neighbouring points, one per axis."""
        return tuple(
            length / points
            for points, length in zip(self.shape, self.extent, strict=True)
        )

    def points(self, axis: int = -1) -> Float[Tensor, " x"]:
        """Coordinates `x_i` along `axis`, in float64, see `Grid`."""
        numbers = torch.arange(self.shape[axis], dtype=torch.float64)
        if self.boundaries is not None:
            numbers = numbers + 0.5
        return numbers * self.spacing[axis]

    def wavenumbers(self, axis: int = -1) -> Float[Tensor, " k"]:
        """Angular wavenumbers `2 pi m / L` of `torch.fft.rfft` along `axis`.

        In float64, for `m = 0, ..., N // 2`.

        Raises:
            ValueError: if the grid has boundaries.
        """
        self.require_periodic("Waves")
        modes = torch.arange(self.shape[axis] // 2 + 1, dtype=torch.float64)
        return modes * (2 * math.pi / self.extent[axis])

    def coarsen(self, factor: int) -> "Grid":
        """The grid of every `factor`-th point of this one.

        Raises:
            ValueError: if the factor does not divide the number of points, or the grid
                has boundaries, between which points lie at the centres of cells.
        """
        self.require_periodic("Grids to coarsen")
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
                positions in the domain, shape `(position,)`, and returns values along
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
        x = (self.points().unsqueeze(-1) + inner).flatten()
        x = x.remainder(self.extent[-1]) if self.boundaries is None else x
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


def _pair(boundaries: Any) -> tuple[Boundary, Boundary]:
    """Boundaries of both ends, from one for both or a pair."""
    both = isinstance(boundaries, Boundary)
    pair = (boundaries, boundaries) if both else boundaries
    if not (
        isinstance(pair, tuple | list)
        and len(pair) == 2
        and all(isinstance(end, Boundary) for end in pair)
    ):
        raise TypeError(
            f"Boundaries are one value such as Wall() for both ends, or a pair of them "
            f"for the left and the right end, not {boundaries!r}."
        )
    return pair[0], pair[1]


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
