"""Provenance and content hashes of stores."""

import hashlib
import importlib.metadata
import json
import math
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from stencilnet.errors import plain
from stencilnet.storage.diagnosis import ChangedError, damaged
from stencilnet.storage.git import git_commit
from stencilnet.storage.guard import GuardedStore, read_regular
from stencilnet.storage.leftovers import recover
from stencilnet.storage.metadata import MOST_METADATA, parse
from stencilnet.storage.paths import local_path

CIRCUMSTANCES = ("versions", "git_commit", "created", "content_hash", "origin")
"""Attributes on the circumstances of writing, which the content hash leaves out."""

_CHUNK_BYTES = 8 * 2**20
_LIBRARIES = ("stencilnet", "torch", "numpy", "xarray", "zarr")


def library_versions() -> str:
    """The versions of the package and of the libraries that decide bits, in JSON.

    Example:
        >>> import json
        >>> from stencilnet.storage import library_versions
        >>> list(json.loads(library_versions()))
        ['stencilnet', 'torch', 'numpy', 'xarray', 'zarr']
    """
    versions = {}
    for name in _LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "unknown"
    return json.dumps(versions)


def provenance() -> dict[str, str]:
    """Library versions, git commit of the working folder, and time of creation."""
    return {
        "versions": library_versions(),
        "git_commit": git_commit(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def described(digest: str) -> dict[str, str]:
    """The attributes on what a store holds and on the circumstances of its writing.

    Args:
        digest: the hash of its content.

    Returns:
        Those of `provenance`, `content_hash`, and the hash `origin` of all of them.
    """
    attributes = {**provenance(), "content_hash": digest}
    return {**attributes, "origin": _origin(attributes)}


def check_origin(path: Path, attributes: Mapping[str, Any]) -> None:
    """Raises unless the circumstances of writing are those that were written.

    A store of an older version has no hash of them.

    Raises:
        ValueError: if they were changed.
    """
    named = {key: attributes.get(key) for key in CIRCUMSTANCES if key != "origin"}
    if attributes.get("origin") not in (None, _origin(named)):
        raise ChangedError(
            f"{path} was changed after it was written: its versions, commit or date "
            f"do not match their checksum. Restore a copy of it, or make it again."
        )


def _origin(attributes: Mapping[str, Any]) -> str:
    text = json.dumps(dict(attributes), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def contents(dataset: xr.Dataset) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arguments of `content_hash` for a dataset.

    Returns:
        Its arrays, and its attributes together with the dimensions and attributes of
        each variable, which carry the meaning of the numbers.
    """
    attributes = {
        key: value for key, value in dataset.attrs.items() if key not in CIRCUMSTANCES
    }
    attributes["variables"] = {
        str(name): [list(map(str, variable.dims)), variable.attrs]
        for name, variable in dataset.variables.items()
    }
    arrays = {str(name): variable for name, variable in dataset.variables.items()}
    return arrays, attributes


def content_hash(arrays: Mapping[str, Any], attributes: Mapping[str, Any]) -> str:
    """SHA-256 of named arrays, with dtypes and shapes, and of attributes.

    Arrays are read in blocks along their first axis, so a store may be larger than
    memory.
    """
    digest = hashlib.sha256()
    for name in sorted(arrays):
        values = arrays[name]
        if values.dtype.kind in "OTUS":
            # Texts are pointers in memory, or padded to a width of no meaning.
            values = np.array(np.asarray(values).tolist(), dtype=np.str_)
        if not values.shape:
            values = np.ascontiguousarray(values)
        digest.update(f"{name}|{values.dtype.str}|{values.shape}|".encode())
        rows = samples_in_chunk(values)
        for start in range(0, len(values), rows):
            block = np.ascontiguousarray(values[start : start + rows])
            digest.update(block.tobytes())
    text = json.dumps(plain(dict(attributes)), sort_keys=True)
    digest.update(text.encode())
    return digest.hexdigest()


def samples_in_chunk(values: Any) -> int:
    """Number of entries of the first axis in a chunk of 8 MiB, at least one."""
    row = math.prod(values.shape[1:]) * values.dtype.itemsize
    return max(1, min(_CHUNK_BYTES // max(row, 1), values.shape[0]))


def open_attributes(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The attributes of any zarr group.

    Raises:
        FileNotFoundError: if there is nothing at `path`.
        TypeError, ValueError: if `path` is not a local path, or no zarr group.
    """
    path = local_path(path)
    recover(path)
    if not os.path.lexists(path):
        raise FileNotFoundError(f"There is no store at {path}: make it first.")
    try:
        document = parse(read_regular(path / "zarr.json", MOST_METADATA))
        attributes = document.get("attributes", {})
        if document.get("node_type") != "group" or not isinstance(attributes, dict):
            raise ValueError("it is no group")
    except (OSError, ValueError) as error:
        cause = damaged(path, error)
        if not isinstance(cause, ValueError):
            raise cause from error
        raise ValueError(
            f"{path} is not a readable zarr store: give a store that stencilnet wrote."
        ) from error
    return attributes


def open_guarded(path: Path, *schemas: str) -> tuple[GuardedStore, dict[str, Any]]:
    """A store whose content is checked as it is read, and its attributes.

    Args:
        path: of the store.
        schemas: of which it has one.

    Raises:
        FileNotFoundError, TypeError, ValueError: as `open_attributes`, or if the store
            has another schema or metadata that this package does not write.
        OSError: if the system refuses to read it.
    """
    check_schema(path, open_attributes(path), *schemas)
    try:
        store = GuardedStore(path)
    except (OSError, ValueError) as error:
        raise damaged(path, error) from error
    attributes = dict(store.metadata.groups[""])
    check_schema(path, attributes, *schemas)
    return store, attributes


def schema_of(path: str | os.PathLike[str]) -> str:
    """The schema in the attributes of a store, empty if there is none.

    Raises:
        FileNotFoundError, TypeError, ValueError: as `open_attributes`.

    Example:
        >>> import xarray as xr
        >>> from stencilnet.storage import save_dataset, schema_of
        >>> schema_of(save_dataset(xr.Dataset({"error": 0.25}), "error.zarr"))
        'stencilnet.dataset/1'
    """
    return str(open_attributes(path).get("schema", ""))


def check_schema(path: Path, attributes: Mapping[str, Any], *schemas: str) -> None:
    """Raises unless a store has one of the schemas, the newest first.

    Raises:
        ValueError: with the schema that the store has.
    """
    actual = attributes.get("schema")
    if actual not in schemas:
        raise ValueError(
            f"{path} has the schema {str(actual)[:80]!r} instead of {schemas[0]!r}: "
            f"give a store of that kind, or generate and train it again with this "
            f"version."
        )


def check_hash(
    path: Path, expected: Any, actual: str, *, detail: str = "", remedy: str = ""
) -> None:
    """Raises unless the content of a store is that which was written.

    Args:
        path: of the store.
        expected: the hash in its attributes.
        actual: the hash of its content.
        detail: more on the content, for the message.
        remedy: a way to accept the content, for the message.

    Raises:
        ValueError: if the hashes differ.
    """
    if expected != actual:
        raise ChangedError(
            f"{path} was changed after it was written, or is damaged or half-written: "
            f"its content does not match its checksum"
            f"{', and ' + detail if detail else ''}. Restore a copy of it, or make it "
            f"again{', or ' + remedy if remedy else ''}."
        )
