"""Trajectories from files of other programs, and the traps in them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from stencilnet.boundaries import Boundary
from stencilnet.equations import Equation
from stencilnet.errors import as_number, unknown
from stencilnet.storage.arrays import both_ends, spacing_of, trajectories
from stencilnet.storage.foreign_axes import (
    TIME,
    Sizes,
    X,
    axes_by_lengths,
    named_axes,
    ordered,
)
from stencilnet.storage.foreign_ends import ends_of, grid_between
from stencilnet.storage.foreign_files import Contents, file_contents
from stencilnet.storage.paths import local_path
from stencilnet.storage.units import warn_of_units

_NU = ("visc", "viscosity", "nu", "Nu")
# A boundary, its name, or its name with parameters.
_Ends = Boundary | str | Mapping[str, Any]
# Imaginary part that counts as rounding, relative to the largest value.
_IMAGINARY = 1e-5


def read_foreign(
    path: Path | str,
    *,
    variable: str | None = None,
    x: str | None = None,
    time: str | None = None,
    axes: Sequence[str] | None = None,
    period: float | None = None,
    boundaries: _Ends | Sequence[_Ends] | None = None,
    length: float | None = None,
    interval: float | None = None,
    equation: Equation | None = None,
    averages: bool = False,
    drop_end: bool | None = None,
    finite: bool = True,
) -> xr.Dataset:
    """The trajectories in a file of MATLAB, numpy, HDF5, netCDF or torch.

    Layouts are told by their first bytes; those of PDEBench and The Well are known.
    Nothing in the file is run. What had to be decided is said in sentences in the
    attribute `notes`.

    Args:
        path: of the file.
        variable: name of the solution in it; the largest array by default, or "u".
        x: name of the positions; by default a usual one, such as "x".
        time: name of the times; by default a usual one, such as "t".
        axes: names of the axes of the solution, of "sample", "time" and "x"; by default
            those that the lengths of positions and times tell.
        period: of the domain; needed where the file has no positions.
        boundaries: what holds at the ends of a domain that is no period, values or
            names such as "wall", one for both ends or two. Positions are then the
            centres of cells. Files of this package say it themselves.
        length: of the domain between boundaries; needed where the file has no
            positions.
        interval: between two states, from time 0 on, in place of the file's times.
        equation: that the data solve. A warning tells if they change much faster or
            slower than it says.
        averages: whether they are cell averages rather than point values.
        drop_end: whether the last point is the periodic image of the first, to be left
            out; by default wherever every state is equal at both.
        finite: whether to refuse NaN and infinities.

    Returns:
        A dataset as `trajectories` makes it.

    Raises:
        FileNotFoundError: if there is no file.
        ValueError: if the file cannot be read, does not say what is needed, or holds
            what cannot be, see `trajectories`.

    Example:
        >>> import numpy as np
        >>> from stencilnet.storage import read_foreign
        >>> x, t = np.arange(8) / 8, np.linspace(0, 1, 3)
        >>> np.savez("wave.npz", usol=np.sin(2 * np.pi * (x[:, None] - t)), t=t, x=x)
        >>> dataset = read_foreign("wave.npz")
        >>> dict(dataset["u"].sizes), dataset["x"].attrs["period"]
        ({'sample': 1, 'time': 3, 'x': 8}, 1.0)
        >>> dataset.attrs["notes"]
        ['usol has the axes (x, time): they are turned.']
    """
    contents = file_contents(path)
    notes: list[str] = []
    name = _solution(contents, path, variable)
    u = _real_part(name, contents.arrays[name], notes)
    positions, clock = (
        _coordinate(contents, path, kind, asked, usual)
        for kind, asked, usual in (("x", x, X), ("time", time, TIME))
    )
    if interval is not None:
        clock = None
    names = named_axes(contents, name, axes) or axes_by_lengths(
        Sizes(name, u.shape, positions, clock), notes
    )
    u = ordered(name, u, names, notes)
    if clock is None:
        clock = _equal_times(path, u.shape[1], interval)
    clock = _fitting_times(contents, clock, u.shape[1], notes)
    ends = None if period is not None else ends_of(contents, path, boundaries)
    if ends is None:
        place = _on_period(u, positions, period, drop_end, notes)
    else:
        place = grid_between(contents, positions, u.shape[-1], ends, length, notes)
    asked_between = boundaries is not None or length is not None
    if (ends is None and asked_between) or (ends is not None and drop_end):
        raise ValueError(
            "A domain has either a period, or boundaries and a length: leave out what "
            "belongs to the other, drop_end too between boundaries."
        )
    notes += _on_physics(contents, equation)
    dataset = trajectories(
        u,
        clock,
        **place,
        equation=equation,
        averages=averages,
        finite=finite,
        attributes={"source": local_path(path).name, "notes": notes},
    )
    if equation is not None:
        warn_of_units(dataset, equation)
    return dataset


def _on_period(
    u: np.ndarray,
    positions: np.ndarray | None,
    period: float | None,
    drop_end: bool | None,
    notes: list[str],
) -> dict[str, Any]:
    """Where the points of a period are, as `trajectories` takes it."""
    if positions is not None and positions[0]:
        notes.append(
            f"x starts at {positions[0]:g}: it is stored from 0 on, and this as its "
            f"attribute origin."
        )
    if drop_end is None:
        drop_end = _has_both_ends(u, positions, period)
    if drop_end:
        notes.append(
            f"Both ends of the domain are in the file and one point of the period: "
            f"{u.shape[-1] - 1} of {u.shape[-1]} points are kept."
        )
    return {"x": positions, "period": period, "drop_end": drop_end}


def _solution(contents: Contents, path: Path | str, variable: str | None) -> str:
    """The name of the array that holds the solution."""
    if variable is not None:
        if variable not in contents.arrays:
            raise unknown(f"array in {path} called", variable, contents.arrays)
        return variable
    sizes = {
        name: values.size
        for name, values in contents.arrays.items()
        if sum(size > 1 for size in values.shape) >= 2
    }
    for usual in ("u", "tensor"):
        if usual in sizes:
            return usual
    largest = [name for name, size in sizes.items() if size == max(sizes.values())]
    if len(largest) != 1:
        raise ValueError(
            f"{path} ({contents.layout}) holds {contents.describe()}: say which is the "
            f"solution with variable={largest[0] if largest else 'NAME'!r}, and where "
            f"its axes are with x= and time=."
        )
    return largest[0]


def _real_part(name: str, u: np.ndarray, notes: list[str]) -> np.ndarray:
    if u.dtype.kind != "c":
        return u
    largest = float(np.abs(u.imag).max(initial=0.0))
    if largest > _IMAGINARY * float(np.abs(u.real).max(initial=0.0)):
        raise ValueError(
            f"{name} is complex, with imaginary parts up to {largest:.2g}, which is "
            f"more than rounding: save its real part, or what you mean by it."
        )
    notes.append(
        f"{name} is complex with imaginary parts of at most {largest:.1e}: they are "
        f"left out."
    )
    return u.real


def _coordinate(
    contents: Contents,
    path: Path | str,
    kind: str,
    asked: str | None,
    usual: Sequence[str],
) -> np.ndarray | None:
    """A coordinate as one row, whatever its shape in the file; None if unknown."""
    if asked is not None and asked not in contents.arrays:
        raise unknown(f"array in {path} called", asked, contents.arrays)
    for name in (asked,) if asked is not None else usual:
        values = contents.arrays.get(str(name))
        if values is not None and values.size > 1 and max(values.shape) == values.size:
            return values.reshape(-1).astype(np.float64)
    if asked is not None:
        raise ValueError(
            f"{asked} has the shape {contents.arrays[asked].shape}, which is no row of "
            f"{kind} coordinates: name another array."
        )
    return None


def _equal_times(path: Path | str, states: int, interval: float | None) -> np.ndarray:
    if interval is None:
        raise ValueError(
            f"{path} does not say the times of its {states} states: give interval=, "
            f"the time between two of them, or time=, the name of an array."
        )
    step = as_number(interval)
    if step is None or not (np.isfinite(step) and step > 0):
        raise ValueError(f"The interval must be positive and finite, not {interval!r}.")
    return np.arange(states) * step


def _fitting_times(
    contents: Contents, clock: np.ndarray, states: int, notes: list[str]
) -> np.ndarray:
    """The times of the states, where the file has more of them."""
    if len(clock) == states + 1 and contents.layout == "PDEBench":
        notes.append(
            "PDEBench stores the ends of its intervals: the last time has no state."
        )
        return clock[:-1]
    if len(clock) in (2 * states, 2 * states - 1):
        step = float(clock[1] - clock[0])
        raise ValueError(
            f"There are {len(clock)} times for {states} states: give interval={step:g} "
            f"if these are the first of the times, {2 * step:g} if every second one."
        )
    return clock


def _has_both_ends(
    u: np.ndarray, positions: np.ndarray | None, period: float | None
) -> bool:
    """Whether the last point is the image of the first, by the period or by values."""
    if positions is None or period is None:
        return both_ends(u)
    spacing = spacing_of(positions)
    length = float(as_number(period) or 0)
    return abs(length - spacing * (len(positions) - 1)) < 0.01 * spacing


def _on_physics(contents: Contents, equation: Equation | None) -> list[str]:
    """What the file says of its equation, where the caller does not."""
    notes = []
    given = {name: contents.arrays[name] for name in _NU if name in contents.arrays}
    for name, value in given.items():
        if equation is None and value.size == 1:
            notes.append(
                f"{name} = {value.item():g} is in the file, but not which equation: "
                f"say it, as in equation=Burgers({value.item():g})."
            )
    if contents.layout == "PDEBench":
        notes.append(
            "PDEBench writes its Burgers' equation with the viscosity nu / pi: divide "
            "the nu in the name of the file by pi."
        )
    return notes
