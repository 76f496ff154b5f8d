"""Trajectories written to and read from stores, see `trajectories`."""

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import xarray as xr
import zarr

from stencilnet.storage.atomic import new_store
from stencilnet.storage.blocks import (
    CHECKSUMS,
    BlockWriter,
    pin_checksums,
    samples_in_block,
    whole_hash,
)
from stencilnet.storage.datasets import decode_labels, encode_labels, open_variables
from stencilnet.storage.diagnosis import ChangedError, DamagedError, damaged
from stencilnet.storage.guard import GuardedStore
from stencilnet.storage.interruption import uninterrupted
from stencilnet.storage.paths import local_path
from stencilnet.storage.pieces import Pieces
from stencilnet.storage.provenance import (
    check_hash,
    check_origin,
    content_hash,
    contents,
    open_guarded,
)
from stencilnet.storage.schemas import (
    check_trajectories,
    check_trajectory_attributes,
)
from stencilnet.storage.trajectories import TRAJECTORIES_SCHEMA

_OLDER = "stencilnet.trajectories/2"
_REMEDY = (
    "if the change is meant, open it with xarray.open_zarr and write it anew with "
    "write_trajectories"
)
_UNREADABLE = (KeyError, OSError, RuntimeError, TypeError, ValueError)
# Times that a store which is replaced while it is read is read again.
_ATTEMPTS = 10


def write_trajectories(
    dataset: xr.Dataset, path: Path | str, *, overwrite: bool = False
) -> Path:
    """Writes a dataset of `trajectories` as a store that appears when complete.

    Raises:
        FileExistsError: if `path` exists and `overwrite` is false.
        TypeError, ValueError: if `path` is not a local path.

    Example:
        >>> import torch
        >>> from stencilnet import Grid, write_trajectories
        >>> from stencilnet.storage import trajectories
        >>> grid, times = Grid.line(16), torch.arange(3).double()
        >>> u = (grid.points() - times.unsqueeze(-1)).sin().unsqueeze(0)
        >>> dataset = trajectories(u, times, grid, averages=False)
        >>> write_trajectories(dataset, "wave.zarr", overwrite=True).name
        'wave.zarr'
    """
    # Labels are coded once for all blocks.
    dataset = encode_labels(dataset.drop_encoding())
    return write_in_blocks(
        lambda rows: dataset.isel(sample=rows),
        path,
        samples=dataset.sizes["sample"],
        block=samples_in_block(dataset),
        overwrite=overwrite,
    )


def write_in_blocks(
    make: Callable[[slice], xr.Dataset],
    path: Path | str,
    *,
    samples: int,
    block: int,
    overwrite: bool = False,
    identity: str | None = None,
    elsewhere: Callable[[Path, list[int]], None] | None = None,
) -> Path:
    """Writes datasets of some samples each as one store that appears when complete.

    Two blocks are in memory at most: one is made, or written, while another is written.

    Args:
        make: the block of some samples, without labels that run over them, in memory of
            its own; variables that do not run over samples come from the first.
        path: of the store.
        samples: of all blocks together.
        block: samples of each block but the last.
        overwrite: whether to replace a store of trajectories.
        identity: of what is written, as for `new_store`; blocks that a process wrote
            which was stopped are then made no more, but for the first.
        elsewhere: has other processes write blocks by `write_block`, given the folder
            that they go to and their numbers; `make` then makes one sample only.

    Raises:
        OSError: if blocks that other processes wrote are not here.
        FileExistsError: if `path` exists and `overwrite` is false.
        TypeError, ValueError: if `path` is not a local path, labels run over samples,
            or a variable or an attribute is not as `schemas` has it.
    """
    path = local_path(path)
    with new_store(
        path, kind="trajectories", overwrite=overwrite, identity=identity
    ) as partial:
        rows = 1 if elsewhere else min(block, samples)
        first = [_prepared(make(slice(0, rows)))]
        check_trajectory_attributes(first[0].attrs, f"These data for {path}")
        check_trajectories(first[0], f"These data for {path}")
        writer = BlockWriter(
            partial, first[0], samples=samples, block=min(block, samples)
        )
        if elsewhere is not None:
            elsewhere(partial, writer.missing)
            # What they wrote is compared with its checksums here.
            if writer.missing:
                raise OSError(
                    f"Blocks that workers wrote are not in {partial}, or damaged: give "
                    f"the workers a file system that they share with this process."
                )
        _write_all(writer, make, first)
        writer.finish()
    return path


def _write_all(
    writer: BlockWriter, make: Callable[[slice], xr.Dataset], first: list[xr.Dataset]
) -> None:
    """Writes what is missing, one block while the one before is finished.

    Args:
        writer: of the store.
        make: see `write_in_blocks`.
        first: the first block, taken from the list so that its memory is free again.
    """
    threads, flushing = ThreadPoolExecutor(2), ThreadPoolExecutor(1)

    def write(number: int, made: xr.Dataset) -> None:
        writer.write(number, made)
        # Early, so that little is left to wait for; the whole store is flushed later.
        flushing.submit(writer.flush, number)

    # A chunk of zeros is a file as any other. The setting is that of all threads.
    with zarr.config.set({"array.write_empty_chunks": True}):
        try:
            latest: Future[None] | None = None
            for number in writer.missing:
                if number:
                    first.clear()
                made = _prepared(make(writer.rows(number))) if number else first.pop()
                before, latest = latest, threads.submit(write, number, made)
                del made
                if before is not None:
                    before.result()
            if latest is not None:
                latest.result()
        finally:
            # Whatever ends this, also a second signal: no thread writes after it.
            with uninterrupted():
                threads.shutdown(cancel_futures=True)
                flushing.shutdown(cancel_futures=True)


def write_block(
    folder: Path, block: xr.Dataset, number: int, *, samples: int, size: int
) -> None:
    """Writes one block of a store that another process makes by `write_in_blocks`.

    Args:
        folder: of the store.
        block: its samples.
        number: of the block.
        samples: of all blocks together.
        size: samples of each block but the last.
    """
    made = _prepared(block)
    writer = BlockWriter(folder, made, samples=samples, block=min(size, samples))
    writer.write(number, made)


def _prepared(block: xr.Dataset) -> xr.Dataset:
    """A block as it is stored, of numbers."""
    for name, variable in block.variables.items():
        if variable.dtype.kind in "OTUS" and "sample" in variable.dims:
            raise ValueError(
                f"The labels {name!r} run over samples, which blocks cannot be written "
                f"with: write all samples at once, or drop them."
            )
    block = block.drop_vars(CHECKSUMS, errors="ignore").drop_encoding()
    return encode_labels(block.assign_attrs(schema=TRAJECTORIES_SCHEMA))


@contextlib.contextmanager
def open_trajectories(path: Path | str) -> Iterator[xr.Dataset]:
    """A trajectory store whose values are read, and checked, when they are used.

    Raises:
        FileNotFoundError: if there is nothing at `path`.
        TypeError, ValueError: if `path` is not a local path, or if the store is not one
            of trajectories, has another schema, was changed after it was written, or is
            damaged or half-written; also where a value is used that is.
        OSError: if the system refuses to read it.
    """
    path = local_path(path)
    with _opened(path) as (_, dataset):
        yield dataset


@contextlib.contextmanager
def open_pieces(
    path: Path | str, memory: int = 0
) -> Iterator[tuple[xr.Dataset, Callable[[str], Pieces]]]:
    """A store as `open_trajectories` opens it, and random pieces of its variables.

    Args:
        path: of the store.
        memory: bytes of each variable that are kept for the next pieces.

    Raises:
        FileNotFoundError, OSError, TypeError, ValueError: as `open_trajectories`.
    """
    with _opened(local_path(path)) as (store, dataset):
        yield dataset, lambda name: Pieces(store, name, memory)


def read_trajectories(path: Path | str, *, finite: bool = True) -> xr.Dataset:
    """Reads a trajectory store whole, after a check of its content.

    Args:
        path: of the store.
        finite: whether to refuse NaN and infinities in `u`.

    Raises:
        FileNotFoundError, TypeError, ValueError: as `open_trajectories`, or if a value
            is not finite.

    Example:
        >>> from stencilnet import read_trajectories, simulate
        >>> path = simulate("burgers-p1-16", "read.zarr", duration=2.0, overwrite=True)
        >>> dataset = read_trajectories(path)
        >>> dict(dataset["u"].sizes)
        {'sample': 1, 'time': 21, 'x': 16}
    """
    path = local_path(path)
    for attempt in range(_ATTEMPTS):
        with _opened(path) as (store, opened):
            try:
                dataset = decode_labels(opened.load())
            except _UNREADABLE as error:
                if store.is_replaced() and attempt < _ATTEMPTS - 1:
                    continue
                raise damaged(path, error, remedy=_REMEDY) from error
        break
    words = _not_finite(dataset["u"]) if "u" in dataset else ""
    if finite and words:
        raise ValueError(
            f"In {path}, {words}: remove these samples or make the store again."
        )
    return dataset


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[GuardedStore, xr.Dataset]]:
    """A store of trajectories, and its variables without the checksums."""
    for attempt in range(_ATTEMPTS):
        store, attributes = open_guarded(path, TRAJECTORIES_SCHEMA, _OLDER)
        try:
            expected = attributes.get("content_hash")
            if attributes["schema"] == _OLDER:
                dataset = open_variables(store)
                actual, detail = content_hash(*contents(dataset)), ""
                if actual != expected and "u" in dataset:
                    detail = _not_finite(dataset["u"])
                check_hash(path, expected, actual, detail=detail, remedy=_REMEDY)
            else:
                if CHECKSUMS not in store.metadata.arrays:
                    raise DamagedError("it has no checksums")
                check_hash(path, expected, whole_hash(store), remedy=_REMEDY)
                pin_checksums(store)
                dataset = open_variables(store).drop_vars(CHECKSUMS)
            check_origin(path, attributes)
        except _UNREADABLE as error:
            if store.is_replaced() and attempt < _ATTEMPTS - 1:
                continue
            if isinstance(error, ChangedError):
                raise
            raise damaged(path, error, remedy=_REMEDY) from error
        break
    with dataset:
        check_trajectory_attributes(attributes, str(path))
        try:
            check_trajectories(dataset, str(path))
        except (DamagedError, OSError) as error:
            raise damaged(path, error, remedy=_REMEDY) from error
        try:
            yield store, dataset
        except DamagedError as error:
            # Of several open stores, each names itself.
            if error.root != Path(store.root):
                raise
            raise damaged(path, error, remedy=_REMEDY) from error


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
