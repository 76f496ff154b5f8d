"""What a store says about where it comes from, and whether it is what was written."""

import hashlib
import importlib.metadata
import json
import math
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from zarr.codecs import ZstdCodec

CIRCUMSTANCES = ("versions", "git_commit", "created", "content_hash")
"""Attributes that tell when and by what a store was written, not what it holds."""

COMPRESSOR = ZstdCodec(level=3, checksum=True)
"""Of every chunk; a bit that flips on disk is noticed."""

_CHUNK_BYTES = 8 * 2**20
_LIBRARIES = ("stencilnet", "torch", "numpy", "xarray", "zarr")


def provenance() -> dict[str, str]:
    """Library versions, git commit of the working folder, and time of creation."""
    versions = {}
    for name in _LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "unknown"
    return {
        "versions": json.dumps(versions),
        "git_commit": _git_commit(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def contents(dataset: xr.Dataset) -> tuple[dict[str, Any], dict[str, Any]]:
    """What `content_hash` takes of a dataset.

    Returns:
        Its arrays, and its attributes with the dimensions and attributes of each
        variable, which say what the numbers mean.
    """
    attributes = {
        key: value for key, value in dataset.attrs.items() if key not in CIRCUMSTANCES
    }
    attributes["variables"] = {
        str(name): [list(map(str, variable.dims)), variable.attrs]
        for name, variable in dataset.variables.items()
    }
    return {str(name): of for name, of in dataset.variables.items()}, attributes


def content_hash(arrays: Mapping[str, Any], attributes: Mapping[str, Any]) -> str:
    """SHA-256 of named arrays, with dtypes and shapes, and of attributes.

    Arrays are read in blocks along their first axis, so that variables of a store that
    is larger than memory can be given.
    """
    digest = hashlib.sha256()
    for name in sorted(arrays):
        values = arrays[name]
        if values.dtype.kind in "OT":
            # Texts of variable length are pointers in memory.
            values = np.array(np.asarray(values).tolist(), dtype=np.str_)
        if not values.shape:
            values = np.ascontiguousarray(values)
        digest.update(f"{name}|{values.dtype.str}|{values.shape}|".encode())
        rows = samples_in_chunk(values)
        for start in range(0, len(values), rows):
            block = np.ascontiguousarray(values[start : start + rows])
            digest.update(block.tobytes())
    plain = json.dumps(dict(attributes), sort_keys=True, default=_plain)
    digest.update(plain.encode())
    return digest.hexdigest()


def samples_in_chunk(values: Any) -> int:
    """How many entries of the first axis make a chunk of 8 MiB, at least one."""
    row = math.prod(values.shape[1:]) * values.dtype.itemsize
    return max(1, min(_CHUNK_BYTES // max(row, 1), values.shape[0]))


def _plain(value: Any) -> Any:
    """A number of numpy's as one of Python's, which is what a store gives back."""
    return value.item()


def open_attributes(path: Path) -> dict[str, Any]:
    """The attributes of any zarr group.

    Raises:
        FileNotFoundError: if there is nothing at `path`.
        ValueError: if what is there is no zarr group.
    """
    if not path.exists():
        raise FileNotFoundError(f"There is no store at {path}: make it first.")
    try:
        return dict(zarr.open_group(path, mode="r").attrs)
    except Exception as error:
        raise ValueError(
            f"{path} is not a readable zarr store: give a store that stencilnet wrote."
        ) from error


def schema_of(path: Path) -> str:
    """The schema that a store says it has, empty if it says nothing.

    Raises:
        FileNotFoundError, ValueError: as `open_attributes`.
    """
    return str(open_attributes(path).get("schema", ""))


def check_schema(path: Path, attributes: Mapping[str, Any], schema: str) -> None:
    """Refuses attributes of a store that is not of `schema`.

    Raises:
        ValueError: naming the schema found.
    """
    found = attributes.get("schema")
    if found != schema:
        raise ValueError(
            f"{path} has the schema {found!r} instead of {schema!r}: give a store of "
            f"that kind, or generate and train it again with this version."
        )


def check_hash(path: Path, expected: Any, found: str, *, detail: str = "") -> None:
    """Refuses content that is not what was written.

    Raises:
        ValueError: if the hashes differ.
    """
    if expected != found:
        raise ValueError(
            f"{path} is damaged or half-written, its content does not match its "
            f"checksum{', and ' + detail if detail else ''}: make it again."
        )


def _git_commit() -> str:
    """The commit that is checked out in the working folder, empty outside of git."""
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""
