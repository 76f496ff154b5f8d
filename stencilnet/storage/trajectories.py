"""Trajectories in zarr, through xarray.

A trajectory store is one xarray dataset in zarr format 3, without consolidated
metadata, every chunk compressed with a checksum:

    u                   (sample, time, x)  solution; attribute `averages` tells cell
                                           averages (1) from point values (0)
    u_noisy, u_denoised (sample, time, x)  if the stage `denoise` added them
    forcing_amplitude, forcing_frequency, forcing_wavenumber, forcing_phase
                        (sample, mode)     forcing on the clock of `time`; without it
                                           there is none
    time, x             coordinates; `x` has the attribute `period`

    attributes          schema, content_hash, versions, git_commit, created, and what
                        the writer adds: config (JSON), viscosity, seed, ...
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
import zarr
from jaxtyping import Float
from torch import Tensor

from stencilnet.forcing import RandomForcing
from stencilnet.grid import Grid
from stencilnet.storage.atomic import new_store
from stencilnet.storage.provenance import (
    COMPRESSOR,
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
    attributes: Mapping[str, str | float | int] | None = None,
) -> xr.Dataset:
    """A dataset in the schema of a trajectory store.

    Args:
        u: solution.
        times: when; the clock of `forcing`.
        grid: where; one axis.
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
        coords={"time": times.cpu().numpy(), "x": grid.points().numpy()},
        attrs={"schema": SCHEMA, **(attributes or {})},
    )
    dataset["u"].attrs.update(
        long_name="solution", units="length/time", averages=int(averages)
    )
    dataset["time"].attrs.update(long_name="time", units="time")
    dataset["x"].attrs.update(
        long_name="position", units="length", period=grid.extent[-1]
    )
    return dataset


def write_trajectories(
    dataset: xr.Dataset, path: Path, *, overwrite: bool = False
) -> Path:
    """Writes a dataset of `trajectories` as a store that appears when complete.

    Raises:
        FileExistsError: if `path` exists and `overwrite` is false.
    """
    return write_in_blocks([dataset], path, overwrite=overwrite)


def write_in_blocks(
    blocks: Iterable[xr.Dataset], path: Path, *, overwrite: bool = False
) -> Path:
    """Writes datasets of some samples each as one store that appears when complete.

    Only one block is in memory at a time. All but the last hold as many samples as the
    chunks of the store, or a multiple; what does not run over samples is taken from the
    first.

    Raises:
        FileExistsError: if `path` exists and `overwrite` is false.
    """
    with new_store(Path(path), overwrite=overwrite) as partial:
        for number, block in enumerate(blocks):
            of_samples = [
                str(name)
                for name, variable in block.variables.items()
                if variable.dims[:1] == ("sample",)
            ]
            if number:
                block[of_samples].to_zarr(
                    partial, append_dim="sample", consolidated=False
                )
                continue
            encoding: dict[str, Any] = {
                str(name): {"compressors": (COMPRESSOR,)} for name in block.variables
            }
            for name in of_samples:
                samples = samples_in_chunk(block[name])
                encoding[name]["chunks"] = (samples, *block[name].shape[1:])
            block.drop_encoding().to_zarr(
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
    return Path(path)


@contextlib.contextmanager
def open_trajectories(path: Path) -> Iterator[xr.Dataset]:
    """A trajectory store whose values are read when they are used.

    Raises:
        FileNotFoundError: if there is nothing at `path`.
        ValueError: if it is no trajectory store, has another schema, or is half-written
            or damaged.
    """
    path = Path(path)
    attributes = open_attributes(path)
    check_schema(path, attributes, SCHEMA)
    try:
        opened = xr.open_dataset(
            path, engine="zarr", consolidated=False, chunks=None, cache=False
        )
    except (KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise _damaged(path) from error
    with opened:
        try:
            found = content_hash(*contents(opened))
        except (KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
            raise _damaged(path) from error
        detail = ""
        if found != attributes.get("content_hash") and "u" in opened:
            detail = _not_finite(opened["u"])
        check_hash(path, attributes.get("content_hash"), found, detail=detail)
        yield opened


def read_trajectories(path: Path, *, finite: bool = True) -> xr.Dataset:
    """Reads a trajectory store whole, after checking that it is one.

    Args:
        path: of the store.
        finite: whether to refuse NaN and infinities in `u`.

    Raises:
        FileNotFoundError: if there is nothing at `path`.
        ValueError: if it is no trajectory store, has another schema, is half-written
            or damaged, or holds a value that is not finite.
    """
    with open_trajectories(path) as opened:
        dataset = opened.load()
    spoiled = _not_finite(dataset["u"]) if "u" in dataset else ""
    if finite and spoiled:
        raise ValueError(
            f"In {path}, {spoiled}: remove these samples or make the store again."
        )
    return dataset


def _damaged(path: Path) -> ValueError:
    return ValueError(
        f"{path} is damaged or half-written and cannot be read: make it again."
    )


def forcing_of(dataset: xr.Dataset) -> RandomForcing:
    """The forcing under which the trajectories ran, in the dtype it was stored in."""
    if not any(f"forcing_{name}" in dataset for name in _FORCING):
        return RandomForcing.none(dataset.sizes["sample"])
    return RandomForcing(
        *(torch.tensor(dataset[f"forcing_{name}"].values) for name in _FORCING)
    )


def grid_of(dataset: xr.Dataset) -> Grid:
    """The grid that the trajectories live on."""
    return Grid.line(dataset.sizes["x"], float(dataset["x"].attrs["period"]))


def _not_finite(u: xr.DataArray) -> str:
    """Words on the values that are NaN or infinite; none if there are none."""
    bad = np.argwhere(~np.isfinite(u.values))
    if not len(bad):
        return ""
    sample, time, x = bad[0]
    return (
        f"{len(bad)} values of u are NaN or infinite, the first in sample {sample} at "
        f"time {float(u.time[time]):g}, cell {x}"
    )
