"""Trajectories written to stores, whole or block by block, see `trajectories`."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import xarray as xr
import zarr

from stencilnet.storage.atomic import new_store
from stencilnet.storage.blocks import CHECKSUMS, BlockWriter, samples_in_block
from stencilnet.storage.datasets import encode_labels
from stencilnet.storage.interruption import uninterrupted
from stencilnet.storage.paths import local_path
from stencilnet.storage.schemas import check_trajectories, check_trajectory_attributes
from stencilnet.storage.trajectories import TRAJECTORIES_SCHEMA


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

    Example:
        >>> import numpy as np
        >>> from stencilnet.storage import read_trajectories, trajectories
        >>> from stencilnet.storage import write_in_blocks
        >>> def make(rows):
        ...     numbers = np.arange(5.0)[rows].reshape(-1, 1, 1)
        ...     return trajectories(np.tile(numbers, (2, 4)), [0.0, 0.1], period=1.0)
        >>> path = write_in_blocks(make, "u.zarr", samples=5, block=2)
        >>> read_trajectories(path)["u"][:, 0, 0].values.tolist()
        [0.0, 1.0, 2.0, 3.0, 4.0]
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

    Example:
        >>> import numpy as np
        >>> from stencilnet.storage import read_trajectories, trajectories
        >>> from stencilnet.storage import write_block, write_in_blocks
        >>> dataset = trajectories(np.arange(8.0).reshape(4, 1, 2), [0.0], period=1.0)
        >>> def make(rows):
        ...     return dataset.isel(sample=rows)
        >>> def work(folder, numbers):
        ...     for number in numbers:
        ...         block = make(slice(2 * number, 2 * number + 2))
        ...         write_block(folder, block, number, samples=4, size=2)
        >>> path = write_in_blocks(make, "u.zarr", samples=4, block=2, elsewhere=work)
        >>> np.array_equal(read_trajectories(path)["u"], dataset["u"])
        True
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
