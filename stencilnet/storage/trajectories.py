"""Trajectories in zarr, through xarray.

A trajectory store is one xarray dataset, written as `datasets` describes:

    u                   (sample, time, x)  solution; its attribute `averages` is 1 for
                                           cell averages, 0 for point values
    unheld              (sample, time)     root mean square of the waves of a resolved
                                           solution that the grid cannot hold; written
                                           by the stage `generate`
    u_noisy, u_denoised (sample, time, x)  added by the stage `denoise`
    forcing_amplitude, forcing_frequency, forcing_wavenumber, forcing_phase
                        (sample, mode)     forcing `f(t)`; or
    forcing             (sample, forcing_time, x)
                                           any other, sampled, with the attributes
                                           `averages` and `order`; neither for none
    time, x             coordinates; `x` has the attribute `period`, or, between
                        boundaries, `length` and `boundaries` (JSON)
    block_checksum      (block, checked, byte)  of the files of each block of samples,
                                           see `blocks`

    attributes          schema, content_hash, versions, git_commit, created, origin, and
                        those of the writer: config (JSON), equation (JSON), seed, ...

The clock of the forcing is the coordinate `time`: the state at `time = 3` is under the
force `f(3)`, whatever the first time of the store. A part of a store, such as its times
from 3 on, therefore has the same forcing parameters.
"""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from stencilnet.boundaries import boundary_from_spec
from stencilnet.errors import plain
from stencilnet.forcing import StoredForcing
from stencilnet.grid import Grid
from stencilnet.storage.forcings import forcing_variables

TRAJECTORIES_SCHEMA = "stencilnet.trajectories/3"
"""The schema of trajectory stores that this version writes."""


def dataset_of(
    u: Float[Tensor, "sample time x"],
    times: Float[Tensor, " time"],
    grid: Grid,
    forcing: StoredForcing | None,
    *,
    averages: bool,
    attributes: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """A dataset in the schema of a trajectory store, see `arrays.trajectories`.

    Args:
        u: solution.
        times: of the states, on the clock of `forcing`.
        grid: of the solution; one axis.
        forcing: one row per sample; None for none.
        averages: whether `u` holds cell averages.
        attributes: further attributes of the dataset, plain values.

    Raises:
        ValueError: if the sizes do not fit each other, or a boundary of the grid is
            none that a store keeps.
    """
    rows = len(u) if forcing is None else len(forcing)
    expected = (rows, len(times), grid.shape[-1])
    if tuple(u.shape) != expected:
        raise ValueError(
            f"The solution has the shape {tuple(u.shape)}, but forcing, times and grid "
            f"make {expected}: give one forcing row per sample."
        )
    if len(grid.shape) != 1:
        raise ValueError(
            f"Trajectories live on a grid of one axis, not of {len(grid.shape)}: give "
            f"Grid.line(points, length)."
        )
    variables: dict[str, Any] = {
        "u": (("sample", "time", "x"), u.detach().cpu().numpy()),
        **forcing_variables(forcing, times),
    }
    dataset = xr.Dataset(
        variables,
        coords={"time": times.detach().cpu().numpy(), "x": grid.points().numpy()},
        attrs={"schema": TRAJECTORIES_SCHEMA, **plain(dict(attributes or {}))},
    )
    dataset["u"].attrs.update(
        long_name="solution", units="length/time", averages=int(averages)
    )
    dataset["time"].attrs.update(long_name="time", units="time")
    dataset["x"].attrs.update(
        long_name="position", units="length", **_domain_attributes(grid)
    )
    return dataset


def _domain_attributes(grid: Grid) -> dict[str, Any]:
    """What a store says of the domain beside its points."""
    if grid.boundaries is None:
        return {"period": grid.extent[-1]}
    ends = json.dumps(grid.spec()["boundaries"])
    return {"length": grid.extent[-1], "boundaries": ends}


def length_of(dataset: xr.Dataset) -> float:
    """Length of the domain of trajectories, the period if there is one.

    Example:
        >>> import numpy as np
        >>> from stencilnet.storage import length_of, trajectories
        >>> x = np.array([0.0, 0.25, 0.5, 0.75])
        >>> length_of(trajectories(np.zeros((2, 4)), times=[0.0, 1.0], x=x))
        1.0
    """
    attributes = dataset["x"].attrs
    return float(attributes["length" if "boundaries" in attributes else "period"])


def equidistant_times(intervals: int, interval: float) -> Float[Tensor, " time"]:
    """The times `0, interval, ..., intervals * interval`, in float64.

    Each is the float64 nearest to the decimal number, so that `.sel(time=0.3)` finds
    the third of the times with the interval 0.1, which `3 * 0.1` misses.

    Example:
        >>> from stencilnet.storage import equidistant_times
        >>> equidistant_times(intervals=3, interval=0.1).tolist(), 3 * 0.1
        ([0.0, 0.1, 0.2, 0.3], 0.30000000000000004)
    """
    exact = Decimal(repr(float(interval)))
    times = [float(index * exact) for index in range(intervals + 1)]
    return torch.tensor(times, dtype=torch.float64)


def boundary_classes(*grids: Grid) -> tuple[type, ...]:
    """Classes of the boundaries of some grids, as extensions of `grid_of`.

    Example:
        >>> from stencilnet import Grid
        >>> from stencilnet.boundaries import Wall
        >>> from stencilnet.storage import boundary_classes
        >>> walled, periodic = Grid.line(8, boundaries=Wall()), Grid.line(8)
        >>> boundary_classes(walled, periodic) == (Wall,)
        True
    """
    ends = (type(end) for grid in grids for end in grid.boundaries or ())
    return tuple(dict.fromkeys(ends))


def grid_of(dataset: xr.Dataset, extensions: Sequence[type] = ()) -> Grid:
    """The grid that the trajectories live on.

    Args:
        dataset: the trajectories.
        extensions: classes of boundaries of your own.

    Raises:
        ValueError: if they do not say it, or its points are not equidistant over the
            domain.

    Example:
        >>> import numpy as np
        >>> from stencilnet.storage import grid_of, trajectories
        >>> dataset = trajectories(np.zeros((2, 8)), times=[0.0, 1.0], period=4.0)
        >>> coarse = grid_of(dataset.isel(x=slice(None, None, 2)))
        >>> coarse.shape, coarse.extent
        ((4,), (4.0,))
    """
    attributes = dataset["x"].attrs if "x" in dataset.coords else {}
    if not ("period" in attributes or {"length", "boundaries"} <= set(attributes)):
        raise ValueError(
            "The dataset has no coordinate x with the attribute period: make it by "
            "trajectories(u, times, period=...)."
        )
    ends = None
    if "boundaries" in attributes:
        specs = json.loads(attributes["boundaries"])
        left, right = (boundary_from_spec(spec, extensions) for spec in specs)
        ends = left, right
    points, period = dataset.sizes["x"], length_of(dataset)
    gaps = np.diff(dataset["x"].values)
    if not np.allclose(gaps, period / points, rtol=1e-3, atol=0):
        raise ValueError(
            f"{points} points over the {'length' if ends else 'period'} "
            f"{period:.6g} are {period / points:.4g} apart, but those of x from "
            f"{gaps.min():.4g} to {gaps.max():.4g}: take all of x, in its order."
        )
    return Grid.line(points, period, boundaries=ends)
