"""Datasets of trajectories from any arrays, and what arrays cannot be."""

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from stencilnet.equations import Equation
from stencilnet.errors import as_number
from stencilnet.forcing import RandomForcing, SampledForcing
from stencilnet.grid import Grid
from stencilnet.storage.trajectories import dataset_of

# Largest departure of a position from an even one, in units of the spacing. Files in
# single precision have it at 1e-4 for some hundred points.
_EVEN = 1e-3
# Difference between both ends below which they are one point, relative to the scale.
_SAME = 1e-9


def trajectories(
    u: Any,
    times: Any,
    grid: Grid | None = None,
    forcing: Any = None,
    *,
    x: Any = None,
    period: float | None = None,
    equation: Equation | None = None,
    averages: bool = False,
    drop_end: bool = False,
    origin: float = 0.0,
    finite: bool = True,
    attributes: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """A dataset in the schema of a trajectory store, from any array.

    The domain is a grid, positions or a period. What is unknown is left out: training,
    comparison and denoising take the absence of a forcing for none, and need no
    equation in the data.

    Args:
        u: solution, `(sample, time, x)` or, for one sample, `(time, x)`, of numpy or
            torch.
        times: of the states, finite and strictly monotone, on the clock of `forcing`.
        grid: of the solution; one axis.
        forcing: one row per sample: a `RandomForcing`, a `SampledForcing`, or values
            `(sample, time, x)` at `times`; none by default.
        x: positions of the values, evenly spaced, the right end of the period left
            out. They are stored from 0 on, and the first one as `origin`.
        period: of the domain; by default as many spacings as there are points.
        equation: that `u` solves, if known.
        averages: whether `u` holds cell averages rather than point values.
        drop_end: whether to leave out the last point, where it is the periodic image
            of the first.
        origin: where a grid begins, which is stored from 0 on.
        finite: whether to refuse NaN and infinities in `u`, which `denoise` fills in.
        attributes: further attributes of the dataset, plain values.

    Raises:
        TypeError: if `u` is complex or holds no numbers.
        ValueError: if shapes do not fit, axes are swapped, `x` is uneven, holds both
            ends of the period or contradicts `period`, or a value is NaN or infinite.

    Example:
        >>> import numpy as np
        >>> from stencilnet.storage import trajectories
        >>> dataset = trajectories(np.zeros((5, 2, 4)), times=[0.0, 0.1], period=2.0)
        >>> dict(dataset["u"].sizes), dataset["x"].values.tolist()
        ({'sample': 5, 'time': 2, 'x': 4}, [0.0, 0.5, 1.0, 1.5])
        >>> trajectories(np.zeros((4, 2)), times=[0.0, 0.1], period=2.0)
        Traceback (most recent call last):
        ...
        ValueError: The axes of u are swapped: (4, 2) is (x, time), ...
    """
    field, clock = _real("u", u), _real("times", times)
    if field.ndim == 2:
        field = field[np.newaxis]
    if clock.ndim != 1 or field.ndim != 3:
        raise ValueError(
            f"Trajectories are an array (sample, time, x) and its times (time,), not "
            f"{field.shape} and {clock.shape}: add or remove an axis."
        )
    _check_times(clock)
    positions = None if x is None else _real("x", x).reshape(-1)
    points = len(positions) if positions is not None else None
    _check_axes(field, clock, grid.shape[-1] if grid is not None else points)
    if not math.isfinite(origin) or (origin and grid is None):
        raise ValueError(
            f"An origin is finite and belongs to a grid, not {origin!r}: positions x "
            f"have theirs."
        )
    if grid is None:
        field, grid, origin = _on_grid(field, positions, period, drop_end)
    elif x is not None or period is not None:
        raise ValueError("A grid says where the points are: leave out x and period.")
    if finite:
        _check_finite(field, clock)
    known: dict[str, Any] = dict(attributes or {})
    if equation is not None:
        known["equation"] = json.dumps(equation.spec())
    dataset = dataset_of(
        torch.tensor(np.ascontiguousarray(field)),
        torch.tensor(clock, dtype=torch.float64),
        grid,
        _forcing(forcing, clock, averages, len(field)),
        averages=averages,
        attributes=known,
    )
    if origin:
        dataset["x"].attrs["origin"] = origin
    return dataset


def both_ends(field: np.ndarray) -> bool:
    """Whether the last point of every state is the periodic image of the first."""
    first, last = field[..., 0], field[..., -1]
    known = np.isfinite(first) & np.isfinite(last)
    scale = float(np.nanmax(np.abs(field), initial=0.0))
    near = np.abs(first - last)[known] <= _SAME * scale
    # Two neighbours are as equal where nothing happens at all.
    next_to_last = np.abs(field[..., -2] - last)[known].max(initial=0.0)
    return bool(known.any() and near.all() and next_to_last > 10 * _SAME * scale)


def spacing_of(positions: np.ndarray) -> float:
    """The distance between evenly spaced positions.

    Raises:
        ValueError: if they are not even, naming where.
    """
    if len(positions) < 2:
        raise ValueError(
            f"`x` needs at least 2 positions, not {len(positions)}: give the period "
            f"instead."
        )
    spacing = float(positions[-1] - positions[0]) / (len(positions) - 1)
    even = positions[0] + spacing * np.arange(len(positions))
    missed = np.abs(positions - even)
    worst = int(missed.argmax())
    # A NaN is the worst of all, and not even.
    if not (spacing > 0 and missed[worst] <= _EVEN * spacing):
        raise ValueError(
            f"`x` must increase in equal steps, but x[{worst}] = "
            f"{positions[worst]:g} where even steps of {spacing:g} reach "
            f"{even[worst]:g}: interpolate u to even positions first."
        )
    return spacing


def _on_grid(
    field: np.ndarray,
    positions: np.ndarray | None,
    period: float | None,
    drop_end: bool,
) -> tuple[np.ndarray, Grid, float]:
    """Field, grid and origin from positions or a period."""
    points = field.shape[-1]
    if not field.size or points < 2 + drop_end:
        raise ValueError(
            f"Trajectories need a sample and two points in a period, not the shape "
            f"{field.shape}: give more, as (sample, time, x)."
        )
    length = None if period is None else as_number(period)
    if period is not None and not (length and 0 < length < math.inf):
        raise ValueError(f"The period must be positive and finite, not {period!r}.")
    if positions is None and length is None:
        raise ValueError(
            "The data do not say how long their domain is: give x=, the positions of "
            "the points, or period=."
        )
    if positions is None:
        if both_ends(field) and not drop_end:
            raise _two_ends(points, f"u[..., 0] and u[..., {points - 1}] are equal")
        field = field[..., :-1] if drop_end else field
        return field, Grid.line(field.shape[-1], float(length or 0)), 0.0
    spacing = spacing_of(positions)
    short, long = spacing * (points - 1), spacing * points
    ends = both_ends(field) if length is None else _near(length, short, spacing)
    if ends and not drop_end:
        evidence = f"x runs over {short:g}, the period"
        if length is None:
            evidence = f"u[..., 0] and u[..., {points - 1}] are equal"
        raise _two_ends(points, evidence)
    if length is not None and not _near(length, short if drop_end else long, spacing):
        raise ValueError(
            f"{points} points at the distance {spacing:g} make the period "
            f"{short if drop_end else long:g}, not {length:g}: correct x or period."
        )
    field = field[..., :-1] if drop_end else field
    grid = Grid.line(field.shape[-1], length or (short if drop_end else long))
    return field, grid, float(positions[0])


def _near(first: float, second: float, spacing: float) -> bool:
    return abs(first - second) < 0.01 * spacing


def _two_ends(points: int, evidence: str) -> ValueError:
    return ValueError(
        f"The data hold both ends of the period, which are one point ({evidence}): "
        f"drop the last of the {points} with drop_end=True."
    )


def _check_times(clock: np.ndarray) -> None:
    gaps = np.diff(clock)
    if not len(clock) or not np.isfinite(clock).all():
        raise ValueError("`times` must be finite, and at least one.")
    if not ((gaps > 0).all() or (gaps < 0).all()):
        raise ValueError(
            "`times` must increase or decrease strictly: sort the states, and remove "
            "those that come twice."
        )


def _check_axes(field: np.ndarray, clock: np.ndarray, points: int | None) -> None:
    """Raises unless the axes are `(sample, time, x)`, naming those that are swapped."""
    found, expected = field.shape[1:], (len(clock), points)
    if found[0] == len(clock) and points in (None, found[1]):
        return
    if found[1] == len(clock) and points in (None, found[0]):
        raise ValueError(
            f"The axes of u are swapped: {found} is (x, time), as there are "
            f"{len(clock)} times. Give (sample, time, x), as in "
            f"np.swapaxes(u, -1, -2)."
        )
    raise ValueError(
        f"The states have the shape {found}, (time, x), but there are "
        f"{len(clock)} times{'' if points is None else f' and {points} points'}: "
        f"give as many as the states have{_hint(found, expected)}."
    )


def _hint(found: tuple[int, ...], expected: tuple[int, int | None]) -> str:
    times = expected[0]
    if found[0] and times in (2 * found[0], 2 * found[0] - 1):
        return ", perhaps the first half of the times or every second one"
    return ""


def _check_finite(field: np.ndarray, clock: np.ndarray) -> None:
    bad = np.argwhere(~np.isfinite(field))
    if not len(bad):
        return
    sample, time, x = bad[0]
    raise ValueError(
        f"{len(bad)} values of u are NaN or infinite, the first in sample {sample} at "
        f"time {clock[time]:g}, point {x}: correct them, or pass finite=False and let "
        f"denoise fill them in."
    )


def _forcing(
    forcing: Any, clock: np.ndarray, averages: bool, samples: int
) -> RandomForcing | SampledForcing | None:
    if forcing is None or isinstance(forcing, RandomForcing | SampledForcing):
        return forcing
    if callable(forcing):
        raise TypeError(
            "A dataset keeps a forcing as values: sample it, as in "
            "SampledForcing(times, torch.stack([f(t) for t in times], dim=-2))."
        )
    sampled = SampledForcing(clock, forcing, averages=averages)
    if len(sampled) == 1 and samples > 1:
        return sampled.select([0] * samples)
    return sampled


def _real(name: str, values: Any) -> np.ndarray:
    """An argument as a real array of floating-point numbers."""
    known = values.detach().cpu() if isinstance(values, Tensor) else values
    array = np.asarray(known)
    if array.dtype.kind == "c":
        largest = float(np.abs(array.imag).max(initial=0.0))
        raise TypeError(
            f"`{name}` is complex, with imaginary parts up to {largest:.1e}: pass the "
            f"real part, as in {name}.real, if these are rounding."
        )
    if array.dtype.kind not in "fiu":
        raise TypeError(
            f"`{name}` must hold numbers, not {array.dtype}: pass an array of numpy or "
            f"a tensor."
        )
    return array if array.dtype.kind == "f" else array.astype(np.float64)
