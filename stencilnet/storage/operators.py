"""Learned operators and checkpoints in zarr: named arrays beside a JSON spec.

Nothing is pickled. An operator store is a zarr group of format 3 with one array per
parameter under `arrays/`, bit for bit, one per recorded quantity of the training under
`history/`, if it was certified an xarray dataset under `certificate/`, and the
attributes `schema`, `spec` (JSON), `content_hash`, `versions`, `git_commit`, `created`,
and what the writer adds, such as the config and the hash of the data.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr

from stencilnet.storage.atomic import new_store
from stencilnet.storage.provenance import (
    CIRCUMSTANCES,
    COMPRESSOR,
    check_hash,
    check_schema,
    content_hash,
    contents,
    open_attributes,
    provenance,
)

OPERATOR_SCHEMA = "stencilnet.operator/2"
"""The schema of operator stores that this version writes and reads."""


@dataclass(frozen=True)
class StoredOperator:
    """What an operator store holds.

    Attributes:
        spec: the operator without its weights, as plain values.
        arrays: weights and, in a checkpoint, the optimizer's state, by name.
        history: recorded quantities of the training, each with one entry per record.
        attributes: plain values, such as the config and the hash of the data.
        certificate: what was measured of the operator, see `certificate.certify`.
    """

    spec: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]
    history: Mapping[str, np.ndarray] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    certificate: xr.Dataset | None = None


def write_operator(
    stored: StoredOperator, path: Path, *, overwrite: bool = False
) -> Path:
    """Writes an operator as a store that appears when complete.

    Raises:
        FileExistsError: if `path` exists and `overwrite` is false.
        ValueError: if the spec or an attribute is no plain value.
    """
    arrays = _flatten(stored)
    try:
        spec = json.dumps(stored.spec)
        attributes = _lasting(json.loads(json.dumps(dict(stored.attributes))))
    except TypeError as error:
        raise ValueError(
            f"A spec and its attributes are plain values, but: {error}."
        ) from None
    attributes["spec"] = spec
    digest = _hash(arrays, attributes, stored.certificate)
    with new_store(Path(path), overwrite=overwrite) as partial:
        group = zarr.open_group(partial, mode="w", zarr_format=3)
        for name, values in arrays.items():
            array = group.create_array(
                name,
                shape=values.shape,
                dtype=values.dtype,
                chunks=tuple(max(size, 1) for size in values.shape),
                compressors=COMPRESSOR,
            )
            array[...] = values
        if stored.certificate is not None:
            stored.certificate.to_zarr(
                partial,
                group="certificate",
                zarr_format=3,
                consolidated=False,
                encoding={
                    str(name): {"compressors": (COMPRESSOR,)}
                    for name in stored.certificate.variables
                },
            )
        group.attrs.update(
            {
                "schema": OPERATOR_SCHEMA,
                "content_hash": digest,
                **attributes,
                **provenance(),
            }
        )
    return Path(path)


def read_operator(path: Path) -> StoredOperator:
    """Reads what `write_operator` wrote, after checking that it is all there.

    Raises:
        FileNotFoundError: if there is nothing at `path`.
        ValueError: if it is no operator store, has another schema, or is damaged.
    """
    path = Path(path)
    attributes = open_attributes(path)
    check_schema(path, attributes, OPERATOR_SCHEMA)
    try:
        group = zarr.open_group(path, mode="r")
        arrays = {
            f"{folder}/{name}": np.asarray(array[...])
            for folder, members in group.groups()
            if folder != "certificate"
            for name, array in members.arrays()
        }
        certificate = None
        if "certificate" in group:
            with xr.open_zarr(
                path, group="certificate", consolidated=False, chunks=None
            ) as opened:
                certificate = opened.load()
    except (KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} is damaged or half-written and cannot be read: make it again."
        ) from error
    found = _hash(arrays, _lasting(attributes), certificate)
    check_hash(path, attributes.get("content_hash"), found)
    spec = json.loads(attributes.pop("spec"))
    return StoredOperator(
        spec=spec,
        arrays=_folder(arrays, "arrays"),
        history=_folder(arrays, "history"),
        attributes=attributes,
        certificate=certificate,
    )


def _lasting(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes without those that every writing makes anew."""
    made = ("schema", *CIRCUMSTANCES)
    return {key: value for key, value in attributes.items() if key not in made}


def _hash(
    arrays: Mapping[str, np.ndarray],
    attributes: Mapping[str, Any],
    certificate: xr.Dataset | None,
) -> str:
    """`content_hash` of all that an operator store holds."""
    if certificate is None:
        return content_hash(arrays, attributes)
    measured, meaning = contents(certificate)
    named = {f"certificate/{name}": values for name, values in measured.items()}
    return content_hash({**arrays, **named}, {**attributes, "certificate": meaning})


def _flatten(stored: StoredOperator) -> dict[str, np.ndarray]:
    return {
        **{f"arrays/{name}": np.asarray(a) for name, a in stored.arrays.items()},
        **{f"history/{name}": np.asarray(a) for name, a in stored.history.items()},
    }


def _folder(arrays: Mapping[str, np.ndarray], folder: str) -> dict[str, np.ndarray]:
    prefix = f"{folder}/"
    return {
        name.removeprefix(prefix): values
        for name, values in arrays.items()
        if name.startswith(prefix)
    }
