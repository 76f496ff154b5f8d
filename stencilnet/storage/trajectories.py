"""Trajectories in zarr, through xarray.

A trajectory store is one xarray dataset, written as `datasets` describes:

    u                   (sample, time, x)  solution; its attribute `averages` is 1 for
                                           cell averages, 0 for point values
    unheld              (sample, time)     root mean square of the waves of a resolved
                                           solution that the grid cannot hold; written
                                           by the stage `generate`
    u_noisy, u_denoised (sample, time, x)  added by the stage `denoise`
    forcing_amplitude, forcing_frequency, forcing_wavenumber, forcing_phase
                        (sample, mode)     forcing `f(t)`; absent if there is none
    time, x             coordinates; `x` has the attribute `period`

    attributes          schema, content_hash, versions, git_commit, created, and those
                        of the writer: config (JSON), equation (JSON), seed, ...

The clock of the forcing is the coordinate `time`: the state at `time = 3` is under the
force `f(3)`, whatever the first time of the store. A part of a store, such as its times
from 3 on, therefore has the same forcing parameters.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
import zarr
from jaxtyping import Float
from torch import Tensor

from stencilnet.errors import plain
from stencilnet.forcing import RandomForcing
from stencilnet.grid import Grid
from stencilnet.storage.atomic import new_store
from stencilnet.storage.datasets import (
    COMPRESSOR,
    consolidate,
    decode_labels,
    encode_labels,
)
from stencilnet.storage.diagnosis import damaged
from stencilnet.storage.paths import local_path
from stencilnet.storage.provenance import (
    check_hash,
    check_schema,
    content_hash,
    contents,
    open_attributes,
    provenance,
    samples_in_chunk,
)

SCHEMA = "stencilnet.trajectories/2"
_FORCING = ("amplitude", "frequency", "wavenumber", "phase")


def trajectories(
    u: Float[Tensor, "sample time x"],
    times: Float[Tensor, " time"],
    grid: Grid,
    forcing: RandomForcing,
    *,
    averages: bool,
    attributes: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """A dataset in the schema of a trajectory store.

    Args:
        u: solution.
        times: of the states, on the clock of `forcing`.
        grid: of the solution; one axis.
        forcing: one row per sample.
        averages: whether `u` holds cell averages.
        attributes: further attributes of the dataset, plain values.

    Raises:
        ValueError: if the sizes do not fit each other.
    """
    expected = (len(forcing), len(times), grid.shape[-1])
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
        **{
            f"forcing_{name}": (
                ("sample", "mode"),
                getattr(forcing, name).detach().cpu().numpy(),
            )
            for name in (_FORCING if forcing.amplitude.shape[-1] else ())
        },
    }
    dataset = xr.Dataset(
        variables,
        coords={"time": times.detach().cpu().numpy(), "x": grid.points().numpy()},
        attrs={"schema": SCHEMA, **plain(dict(attributes or {}))},
    )
    dataset["u"].attrs.update(
        long_name="solution", units="length/time", averages=int(averages)
    )
    dataset["time"].attrs.update(long_name="time", units="time")
    dataset["x"].attrs.update(
        long_name="position", units="length", period=grid.extent[-1]
    )
    return dataset


def equidistant_times(intervals: int, interval: float) -> Float[Tensor, " time"]:
    """The times `0, interval, ..., intervals * interval`, in float64.

    Each is the float64 nearest to the decimal number, so that `.sel(time=0.3)` finds
    the third of the times with the interval 0.1, which `3 * 0.1` misses.
    """
    exact = Decimal(repr(float(interval)))
    times = [float(index * exact) for index in range(intervals + 1)]
    return torch.tensor(times, dtype=torch.float64)


def write_trajectories(
    dataset: xr.Dataset, path: Path | str, *, overwrite: bool = False
) -> Path:
    """Writes a dataset of `trajectories` as a store that appears when complete.

    Raises:
        FileExistsError: if `path` exists and `overwrite` is false.
        TypeError, ValueError: if `path` is not a local path.
    """
    return write_in_blocks([dataset], path, overwrite=overwrite)


def write_in_blocks(
    blocks: Iterable[xr.Dataset], path: Path | str, *, overwrite: bool = False
) -> Path:
    """Writes datasets of some samples each as one store that appears when complete.

    Only one block is in memory at a time. All but the last hold as many samples as the
    chunks of the store, or a multiple; variables that do not run over samples come from
    the first.

    Raises:
        FileExistsError: if `path` exists and `overwrite` is false.
        TypeError, ValueError: if `path` is not a local path, or a later block has
            labels that run over samples.
    """
    path = local_path(path)
    with new_store(path, kind="trajectories", overwrite=overwrite) as partial:
        for number, block in enumerate(blocks):
            by_sample = [
                str(name)
                for name, variable in block.variables.items()
                if variable.dims[:1] == ("sample",)
            ]
            if number:
                _append(block[by_sample], partial)
                continue
            block = encode_labels(block.drop_encoding())
            encoding: dict[str, Any] = {
                str(name): {"compressors": (COMPRESSOR,)} for name in block.variables
            }
            for name in by_sample:
                samples = samples_in_chunk(block[name])
                encoding[name]["chunks"] = (samples, *block[name].shape[1:])
            block.to_zarr(
                partial,
                mode="w",
                zarr_format=3,
                consolidated=False,
                encoding=encoding,
            )
        with xr.open_zarr(partial, consolidated=False, chunks=None) as written:
            digest = content_hash(*contents(written))
        group = zarr.open_group(partial, mode="r+")
        group.attrs.update({**provenance(), "content_hash": digest})
        consolidate(partial)
    return path


def _append(block: xr.Dataset, partial: Path) -> None:
    """Writes a further block of samples into a store that is being made."""
    for name, variable in block.variables.items():
        if variable.dtype.kind in "OTUS":
            raise ValueError(
                f"The labels {name!r} run over samples, which blocks cannot be written "
                f"with: write all samples at once, or drop them."
            )
    block.to_zarr(partial, append_dim="sample", consolidated=False)


@contextlib.contextmanager
def open_trajectories(path: Path | str) -> Iterator[xr.Dataset]:
    """A trajectory store whose values are read when they are used.

    Raises:
        FileNotFoundError: if there is nothing at `path`.
        TypeError, ValueError: if `path` is not a local path, or if the store is not one
            of trajectories, has another schema, was changed after it was written, or is
            damaged or half-written.
    """
    path = local_path(path)
    attributes = open_attributes(path)
    check_schema(path, attributes, SCHEMA)
    try:
        opened = xr.open_dataset(
            path, engine="zarr", consolidated=False, chunks=None, cache=False
        )
    except (KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise damaged(path, error) from error
    with opened:
        try:
            actual = content_hash(*contents(opened))
        except (KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
            raise damaged(path, error) from error
        expected, detail = attributes.get("content_hash"), ""
        if actual != expected and "u" in opened:
            detail = _not_finite(opened["u"])
        remedy = (
            "if the change is meant, open it with xarray.open_zarr and write it anew "
            "with write_trajectories"
        )
        check_hash(path, expected, actual, detail=detail, remedy=remedy)
        yield opened


def read_trajectories(path: Path | str, *, finite: bool = True) -> xr.Dataset:
    """Reads a trajectory store whole, after a check of its content.

    Args:
        path: of the store.
        finite: whether to refuse NaN and infinities in `u`.

    Raises:
        FileNotFoundError, TypeError, ValueError: as `open_trajectories`, or if a value
            is not finite.
    """
    with open_trajectories(path) as opened:
        dataset = decode_labels(opened.load())
    words = _not_finite(dataset["u"]) if "u" in dataset else ""
    if finite and words:
        raise ValueError(
            f"In {path}, {words}: remove these samples or make the store again."
        )
    return dataset


def forcing_of(dataset: xr.Dataset) -> RandomForcing:
    """The forcing of the trajectories on the clock `time`, in its stored dtype."""
    if not any(f"forcing_{name}" in dataset for name in _FORCING):
        return RandomForcing.none(dataset.sizes["sample"])
    return RandomForcing(*(tensor_of(dataset[f"forcing_{name}"]) for name in _FORCING))


def tensor_of(variable: xr.DataArray, dtype: torch.dtype | None = None) -> Tensor:
    """The values of a variable as a tensor, which shares no memory with them."""
    # Reversed views have strides that torch does not take.
    return torch.tensor(np.ascontiguousarray(variable.values), dtype=dtype)


def grid_of(dataset: xr.Dataset) -> Grid:
    """The grid that the trajectories live on."""
    return Grid.line(dataset.sizes["x"], float(dataset["x"].attrs["period"]))


def _not_finite(u: xr.DataArray) -> str:
    """A clause on the values that are NaN or infinite; empty if all are finite."""
    bad = np.argwhere(~np.isfinite(u.values))
    if not len(bad):
        return ""
    sample, time, x = bad[0]
    return (
        f"{len(bad)} values of u are NaN or infinite, the first in sample {sample} at "
        f"time {float(u.time[time]):g}, cell {x}"
    )
