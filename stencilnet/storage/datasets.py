"""Datasets in zarr that any client reads.

Every store is of zarr format 3 with consolidated metadata, each chunk compressed with a
checksum. Data types are those of the specification, which has none for text. A variable
of labels is therefore stored as integers, positions in a list that is among its
attributes:

    labels                      the list
    flag_values, flag_meanings  positions and labels, with underscores for blanks, as in
                                the conventions for climate and forecast (CF) data

A store that is one dataset, such as a comparison, has the attributes schema,
content_hash, versions, git_commit and created beside its own.
"""

import contextlib
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr

from stencilnet.storage.atomic import new_store
from stencilnet.storage.codecs import COMPRESSOR, consolidate
from stencilnet.storage.diagnosis import damaged
from stencilnet.storage.guard import GuardedStore
from stencilnet.storage.interruption import uninterrupted
from stencilnet.storage.paths import local_path
from stencilnet.storage.provenance import (
    check_hash,
    check_origin,
    content_hash,
    contents,
    described,
    open_guarded,
)

DATASET_SCHEMA = "stencilnet.dataset/1"
"""The schema of stores that are one dataset, other than trajectories.

Example:
    >>> import xarray as xr
    >>> from stencilnet.storage import DATASET_SCHEMA, save_dataset, schema_of
    >>> errors = xr.Dataset({"error": ("points", [0.5, 0.125])})
    >>> schema_of(save_dataset(errors, "errors.zarr")) == DATASET_SCHEMA
    True
"""

_FLAGS = ("labels", "flag_values", "flag_meanings")


def save_dataset(
    dataset: xr.Dataset, path: Path | str, *, overwrite: bool = False
) -> Path:
    """Writes a dataset as a store that appears when complete.

    Raises:
        FileExistsError: if `path` exists and `overwrite` is false.
        TypeError, ValueError: if `path` is not a local path.

    Example:
        >>> import xarray as xr
        >>> from stencilnet.storage import save_dataset
        >>> errors = xr.Dataset({"error": ("points", [0.5, 0.1])}, {"points": [16, 32]})
        >>> path = save_dataset(errors, "errors.zarr")
        >>> with xr.open_zarr(path, chunks=None) as dataset:  # as any client reads it
        ...     print(dataset["error"].sel(points=32).item())
        0.1
    """
    path = local_path(path)
    with new_store(path, kind="dataset", overwrite=overwrite) as partial:
        write_dataset(dataset, partial)
    return path


def write_dataset(dataset: xr.Dataset, path: Path, *, group: str | None = None) -> None:
    """Writes a dataset into a store that is being made, see `new_store`.

    Args:
        dataset: any, of numbers and labels.
        path: of the store.
        group: within the store; its root by default, which then has schema and hash.

    Example:
        >>> import xarray as xr
        >>> from stencilnet.storage import new_store, read_dataset, write_dataset
        >>> errors = xr.Dataset({"error": ("points", [0.5, 0.125])})
        >>> with new_store("errors.zarr", kind="dataset") as partial:
        ...     write_dataset(errors, partial)
        >>> read_dataset("errors.zarr").equals(errors)
        True
    """
    coded = encode_labels(dataset.drop_encoding())
    encoding = {str(name): {"compressors": (COMPRESSOR,)} for name in coded.variables}
    with uninterrupted():
        coded.to_zarr(
            path, group=group, zarr_format=3, consolidated=False, encoding=encoding
        )
        if group is None:
            with xr.open_zarr(path, consolidated=False, chunks=None) as written:
                digest = _hash(written)
            zarr.open_group(path, mode="r+").attrs.update(
                {"schema": DATASET_SCHEMA, **described(digest)}
            )
        consolidate(path)


def read_dataset(path: Path | str) -> xr.Dataset:
    """The dataset that `write_dataset` wrote, in memory, after a check of its content.

    Raises:
        FileNotFoundError: if there is nothing at `path`.
        TypeError, ValueError: if `path` is not a local path, or the store is not one
            of a dataset, was changed after it was written, or is damaged.

    Example:
        >>> import xarray as xr
        >>> from stencilnet.storage import read_dataset, save_dataset
        >>> schemes = {"scheme": ["muscl", "weno_z"]}
        >>> errors = xr.Dataset({"error": ("scheme", [0.5, 0.125])}, schemes)
        >>> dataset = read_dataset(save_dataset(errors, "errors.zarr"))
        >>> dataset["error"].sel(scheme="weno_z").item(), dataset.attrs["schema"]
        (0.125, 'stencilnet.dataset/1')
    """
    path = local_path(path)
    store, attributes = open_guarded(path, DATASET_SCHEMA)
    try:
        dataset = open_variables(store).load()
    except (KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise damaged(path, error) from error
    check_hash(path, attributes.get("content_hash"), _hash(dataset))
    check_origin(path, attributes)
    try:
        return decode_labels(dataset)
    except (IndexError, TypeError, ValueError) as error:
        raise damaged(path, error) from error


@contextlib.contextmanager
def open_dataset(path: Path | str) -> Iterator[xr.Dataset]:
    """The dataset that `write_dataset` wrote, whose values are read when they are used.

    Each chunk is compared with its own checksum then; the hash of the whole, which
    `read_dataset` checks, is not.

    Raises:
        FileNotFoundError: if there is nothing at `path`.
        TypeError, ValueError: if `path` is not a local path, or the store is not one
            of a dataset, or is damaged.

    Example:
        >>> import xarray as xr
        >>> from stencilnet.storage import open_dataset, save_dataset
        >>> error = [[0.0, 0.5], [0.0, 0.25]]
        >>> errors = xr.Dataset({"error": (("scheme", "time"), error)})
        >>> with open_dataset(save_dataset(errors, "errors.zarr")) as dataset:
        ...     last = dataset["error"].isel(time=-1).values
        >>> last.tolist()
        [0.5, 0.25]
    """
    path = local_path(path)
    store, attributes = open_guarded(path, DATASET_SCHEMA)
    check_origin(path, attributes)
    try:
        dataset = decode_labels(open_variables(store))
    except (LookupError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise damaged(path, error) from error
    with dataset:
        yield dataset


def read_group(store: GuardedStore, group: str) -> xr.Dataset:
    """A dataset in a group of a store, in memory."""
    return decode_labels(open_variables(store, group).load())


def open_variables(store: GuardedStore, group: str | None = None) -> xr.Dataset:
    """The variables of a group as they are stored, whose values are read when used.

    Attributes that have a meaning to xarray, such as scales and units of time, change
    no value.
    """
    dataset = xr.open_dataset(
        store,  # type: ignore[arg-type]
        engine="zarr",
        group=group,
        consolidated=True,
        chunks=None,
        cache=False,
        mask_and_scale=False,
        decode_times=False,
    )
    for variable in dataset.variables.values():
        variable.attrs.pop("_FillValue", None)
    return dataset


def _hash(dataset: xr.Dataset) -> str:
    arrays, attributes = contents(dataset)
    attributes.pop("schema", None)
    return content_hash(arrays, attributes)


def encode_labels(dataset: xr.Dataset) -> xr.Dataset:
    """The dataset with positions in a list in place of labels."""
    return _assign(
        dataset,
        {
            name: _encoded(variable)
            for name, variable in dataset.variables.items()
            if variable.dtype.kind in "OTUS"
        },
    )


def decode_labels(dataset: xr.Dataset) -> xr.Dataset:
    """The dataset with labels in place of positions in a list."""
    return _assign(
        dataset,
        {
            name: _decoded(variable)
            for name, variable in dataset.variables.items()
            if "labels" in variable.attrs
        },
    )


def _encoded(variable: xr.Variable) -> xr.Variable:
    texts = [
        text.decode() if isinstance(text, bytes) else str(text)
        for text in variable.values.ravel().tolist()
    ]
    labels = list(dict.fromkeys(texts))
    positions = np.array([labels.index(text) for text in texts], dtype=np.int32)
    positions = positions.reshape(variable.shape)
    attributes: dict[str, Any] = {
        "labels": labels,
        "flag_values": list(range(len(labels))),
        "flag_meanings": " ".join("_".join(label.split()) for label in labels),
    }
    return xr.Variable(variable.dims, positions, {**variable.attrs, **attributes})


def _decoded(variable: xr.Variable) -> xr.Variable:
    labels = np.array(variable.attrs["labels"], dtype=np.dtypes.StringDType())
    attributes = {
        key: value for key, value in variable.attrs.items() if key not in _FLAGS
    }
    return xr.Variable(variable.dims, labels[variable.values], attributes)


def _assign(dataset: xr.Dataset, variables: dict[Hashable, xr.Variable]) -> xr.Dataset:
    """The dataset with some of its variables replaced, coordinates as such."""
    return dataset.assign_coords(
        {name: value for name, value in variables.items() if name in dataset.coords}
    ).assign(
        {name: value for name, value in variables.items() if name in dataset.data_vars}
    )
