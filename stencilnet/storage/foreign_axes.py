"""Which axes of an array in a file are samples, times and positions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stencilnet.errors import unknown
from stencilnet.storage.foreign_files import Contents

X = ("x", "dimensions/x", "x-coordinate", "x_space", "xspace", "xx", "grid", "X")
TIME = ("t", "time", "dimensions/time", "t-coordinate", "tspan", "tt", "T", "times")
_AXES = ("sample", "time", "x")


@dataclass(frozen=True)
class Sizes:
    """The solution and the coordinates that its axes may have."""

    name: str
    shape: tuple[int, ...]
    positions: np.ndarray | None
    clock: np.ndarray | None

    def text(self) -> str:
        coordinates = (("x", self.positions), ("time", self.clock))
        known = [f"{len(v)} of {name}" for name, v in coordinates if v is not None]
        return f"{self.shape}, with {' and '.join(known) or 'no coordinates'}"


def named_axes(
    contents: Contents, name: str, axes: Sequence[str] | None
) -> tuple[str, ...] | None:
    """The axes that a user or the file names."""
    if axes is not None:
        for axis in axes:
            if axis not in _AXES:
                raise unknown("axis", axis, _AXES)
        return tuple(axes)
    usual = {**dict.fromkeys(X, "x"), **dict.fromkeys(TIME, "time")}
    names = [usual.get(axis, axis) for axis in contents.dims.get(name, ())]
    others = [axis for axis in names if axis not in ("x", "time")]
    if "x" not in names or len(others) > 1 or len(set(names)) < len(names):
        return None
    return tuple(axis if axis in ("x", "time") else "sample" for axis in names)


def axes_by_lengths(sizes: Sizes, notes: list[str]) -> tuple[str, ...]:
    """The axes of the solution, by the lengths of the coordinates.

    Raises:
        ValueError: if the lengths leave it open.
    """
    shape = sizes.shape
    if len(shape) not in (2, 3):
        raise ValueError(
            f"{sizes.name} has the shape {shape}: trajectories have the axes sample, "
            f"time and x. Save one field of one dimension."
        )
    usual = _AXES[-len(shape) :]
    if sizes.positions is None and sizes.clock is None:
        notes.append(
            f"The file has no coordinates for {sizes.name}: its axes {shape} are taken "
            f"as ({', '.join(usual)})."
        )
        return usual
    orders = _orders(len(shape))
    # Times that do not fit are judged once the axes are known.
    fitting = [names for names in orders if _fit(names, sizes, times=True)] or [
        names
        for names in orders
        if sizes.positions is not None and _fit(names, sizes, times=False)
    ]
    if usual in fitting or len(fitting) == 1:
        return usual if usual in fitting else fitting[0]
    raise ValueError(
        f"The axes of {sizes.name} are not clear from their lengths: {sizes.text()}. "
        f"Name them, as in axes=('x', 'time'), or give interval= or period=."
    )


def _orders(count: int) -> list[tuple[str, ...]]:
    if count == 2:
        return [("time", "x"), ("x", "time")]
    rest = [("sample", "time", "x"), ("sample", "x", "time"), ("time", "sample", "x")]
    return [*rest, ("x", "time", "sample"), ("time", "x", "sample")]


def _fit(names: tuple[str, ...], sizes: Sizes, *, times: bool) -> bool:
    known = dict(zip(names, sizes.shape, strict=True))
    positions, clock = sizes.positions, sizes.clock if times else None
    return (positions is None or known["x"] == len(positions)) and (
        clock is None or known["time"] == len(clock)
    )


def ordered(
    name: str, u: np.ndarray, names: tuple[str, ...], notes: list[str]
) -> np.ndarray:
    """The solution as `(sample, time, x)`."""
    if len(names) != u.ndim or len(set(names)) < u.ndim or "x" not in names:
        raise ValueError(
            f"{name} has {u.ndim} axes, {u.shape}, but {len(names)} names, "
            f"{', '.join(names)}: name each once, x among them."
        )
    if tuple(sorted(names, key=_AXES.index)) != names:
        notes.append(f"{name} has the axes ({', '.join(names)}): they are turned.")
    missing = [axis for axis in _AXES if axis not in names]
    u = u[(np.newaxis,) * len(missing)]
    return u.transpose([(*missing, *names).index(axis) for axis in _AXES])
