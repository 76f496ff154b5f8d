"""Trajectories read from stores, whole or in part, see `trajectories`."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import xarray as xr

from stencilnet.storage.blocks import CHECKSUMS, pin_checksums, whole_hash
from stencilnet.storage.datasets import decode_labels, open_variables
from stencilnet.storage.diagnosis import ChangedError, DamagedError, damaged
from stencilnet.storage.guard import GuardedStore
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


@contextlib.contextmanager
def open_trajectories(path: Path | str) -> Iterator[xr.Dataset]:
    """A trajectory store whose values are read, and checked, when they are used.

    Raises:
        FileNotFoundError: if there is nothing at `path`.
        TypeError, ValueError: if `path` is not a local path, or if the store is not one
            of trajectories, has another schema, was changed after it was written, or is
            damaged or half-written; also where a value is used that is.
        OSError: if the system refuses to read it.

    Example:
        >>> import numpy as np
        >>> from stencilnet.storage import open_trajectories, trajectories
        >>> from stencilnet.storage import write_trajectories
        >>> u = np.arange(24.0).reshape(2, 3, 4)
        >>> dataset = trajectories(u, times=[0.0, 0.1, 0.2], period=1.0)
        >>> with open_trajectories(write_trajectories(dataset, "u.zarr")) as dataset:
        ...     last = dataset["u"].sel(time=0.2).values
        >>> np.array_equal(last, u[:, -1])
        True
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

    Example:
        >>> import numpy as np
        >>> from stencilnet.storage import open_pieces, trajectories, write_trajectories
        >>> u = np.arange(24.0).reshape(2, 3, 4)
        >>> dataset = trajectories(u, times=[0.0, 0.1, 0.2], period=1.0)
        >>> with open_pieces(write_trajectories(dataset, "u.zarr")) as (_, pieces):
        ...     drawn = pieces("u").read(np.array([1, 0]), np.array([0, 1]), length=2)
        >>> drawn[:, 0].tolist()  # u[1, 0] and u[0, 1]
        [[12.0, 13.0, 14.0, 15.0], [4.0, 5.0, 6.0, 7.0]]
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
