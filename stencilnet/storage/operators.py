"""Learned operators and checkpoints in zarr: named arrays beside a JSON spec.

Nothing is pickled. An operator store is a zarr group of format 3, written as `datasets`
describes:

    arrays/         one array per parameter, bit for bit
    history/        one array per recorded quantity of the training
    stencils/       offsets, moment conditions and the affine map onto coefficients of
                    each derivative, with which the weights make sense on their own
    certificate/    an xarray dataset, if the operator was certified
    attributes      schema, spec (JSON), content_hash, versions, git_commit, created,
                    and those of the writer, such as the config and the data's hash

The dimensions of an array are named after its layer: a weight `network.0.weight` has
`network.0.out` and `network.0.in`, its bias `network.0.out`. Histories run over
`update`, or over `validation` if their name starts with that word. Any other axis has a
name of its own, such as `layers.u.log_mu.axis_0`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr

from stencilnet.display import Displayed
from stencilnet.errors import plain
from stencilnet.storage.atomic import new_store
from stencilnet.storage.codecs import COMPRESSOR, consolidate
from stencilnet.storage.datasets import read_group, write_dataset
from stencilnet.storage.diagnosis import damaged
from stencilnet.storage.paths import local_path
from stencilnet.storage.provenance import (
    CIRCUMSTANCES,
    check_hash,
    check_origin,
    content_hash,
    contents,
    described,
    open_guarded,
)
from stencilnet.storage.schemas import check_operator_attributes, check_weights

_SHOWN = ("kind", "equation", "form", "grid", "constraint", "network", "scale")

OPERATOR_SCHEMA = "stencilnet.operator/3"
"""The schema of operator stores that this version writes.

Example:
    >>> from stencilnet.storage import OPERATOR_SCHEMA, StoredOperator
    >>> from stencilnet.storage import schema_of, write_operator
    >>> stored = StoredOperator(spec={"kind": "stencil"}, arrays={})
    >>> schema_of(write_operator(stored, "operator.zarr")) == OPERATOR_SCHEMA
    True
"""

_OLDER = ("stencilnet.operator/2",)


@dataclass(frozen=True, repr=False)
class StoredOperator(Displayed):
    """Content of an operator store.

    Attributes:
        spec: the operator without its weights, as plain values.
        arrays: weights and, in a checkpoint, the optimizer's state, by name.
        history: recorded quantities of the training, each with one entry per record.
        attributes: plain values, such as the config and the hash of the data.
        certificate: measurements of the operator, see `certificate.certify`.
        stencils: what turns raw numbers into coefficients, by derivative.

    Example:
        >>> import numpy as np
        >>> from stencilnet.storage import StoredOperator
        >>> weights, loss = {"network.0.bias": np.zeros(8)}, np.array([0.5, 0.25])
        >>> StoredOperator({"kind": "stencil"}, weights, history={"loss": loss})
        StoredOperator(
          kind='stencil',
          numbers=8,
          certificate='none',
          history={loss: 0.25},
          attributes=[]
        )
    """

    spec: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]
    history: Mapping[str, np.ndarray] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    certificate: xr.Dataset | None = None
    stencils: Mapping[str, np.ndarray] = field(default_factory=dict)

    def _parts(self) -> dict[str, object]:
        spec, history = self.spec, self.history
        shown = {name: spec[name] for name in _SHOWN if name in spec}
        return {
            **shown,
            "numbers": sum(values.size for values in self.arrays.values()),
            "certificate": "none" if self.certificate is None else "measured",
            "history": {
                name: values[-1] for name, values in history.items() if values.size
            },
            "attributes": sorted(self.attributes),
        }


def write_operator(
    stored: StoredOperator, path: Path | str, *, overwrite: bool = False
) -> Path:
    """Writes an operator as a store that appears when complete.

    Raises:
        FileExistsError: if `path` exists and `overwrite` is false.
        TypeError: if `path` is not a path.
        ValueError: if `path` is not local, or the spec or an attribute is not a plain
            value.

    Example:
        >>> import numpy as np
        >>> from stencilnet.storage import StoredOperator, read_operator, write_operator
        >>> arrays = {"network.0.bias": np.array([0.1, 0.2])}
        >>> stored = StoredOperator({"kind": "stencil"}, arrays, attributes={"seed": 3})
        >>> read = read_operator(write_operator(stored, "operator.zarr"))
        >>> read.arrays["network.0.bias"].tolist(), read.attributes["seed"]
        ([0.1, 0.2], 3)
    """
    path = local_path(path)
    arrays = _flatten(stored)
    try:
        spec = json.dumps(plain(stored.spec))
        attributes = json.loads(json.dumps(plain(dict(stored.attributes))))
    except TypeError as error:
        raise ValueError(
            f"A spec and its attributes are plain values, but: {error}."
        ) from None
    attributes = {**_lasting(attributes), "spec": spec}
    certificate = stored.certificate
    if certificate is not None:
        weights = {name: np.asarray(values) for name, values in stored.arrays.items()}
        named = operator_hash(json.loads(spec), weights)
        certificate = certificate.assign_attrs(operator_hash=named)
    digest = _hash(arrays, attributes, certificate)
    dimensions = _dimensions(arrays)
    with new_store(path, kind="operator", overwrite=overwrite) as partial:
        group = zarr.open_group(partial, mode="w", zarr_format=3)
        for name, values in arrays.items():
            array = group.create_array(
                name,
                shape=values.shape,
                dtype=values.dtype,
                chunks=tuple(max(size, 1) for size in values.shape),
                compressors=COMPRESSOR,
                dimension_names=dimensions[name],
            )
            array[...] = values
        if certificate is not None:
            write_dataset(certificate, partial, group="certificate")
        group.attrs.update(
            {"schema": OPERATOR_SCHEMA, **attributes, **described(digest)}
        )
        consolidate(partial)
    return path


def read_operator(path: Path | str) -> StoredOperator:
    """Reads what `write_operator` wrote, after a check of its content.

    Raises:
        FileNotFoundError: if there is nothing at `path`.
        TypeError: if `path` is not a path.
        ValueError: if it is not local, or the store is not one of an operator, has
            another schema, was changed after it was written, or is damaged.

    Example:
        >>> from stencilnet import Burgers, Grid, LearnedStencil, save_operator
        >>> from stencilnet.storage import read_operator
        >>> learned = LearnedStencil(Burgers(viscosity=0.02), Grid.line(16))
        >>> stored = read_operator(save_operator(learned, "operator.zarr"))
        >>> stored.spec["equation"], stored.stencils["u_x.offsets"].tolist()
        ({'name': 'Burgers', 'viscosity': 0.02}, [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5])
    """
    path = local_path(path)
    store, attributes = open_guarded(path, OPERATOR_SCHEMA, *_OLDER)
    try:
        group = zarr.open_group(store, mode="r", use_consolidated=True)
        arrays = {
            f"{folder}/{name}": np.asarray(array[...])
            for folder, members in group.groups()
            if folder != "certificate"
            for name, array in members.arrays()
        }
        certificate = None
        if "certificate" in group:
            certificate = read_group(store, "certificate")
    except (KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise damaged(path, error) from error
    actual = _hash(arrays, _lasting(attributes), certificate)
    check_hash(path, attributes.get("content_hash"), actual)
    check_origin(path, attributes)
    check_operator_attributes(attributes, str(path))
    weights = _folder(arrays, "arrays")
    check_weights(weights, str(path))
    spec = json.loads(attributes.pop("spec"))
    if attributes["schema"] == OPERATOR_SCHEMA and certificate is not None:
        _check_bound(path, certificate, spec, weights)
    return StoredOperator(
        spec=spec,
        arrays=weights,
        history=_folder(arrays, "history"),
        attributes=attributes,
        certificate=certificate,
        stencils=_folder(arrays, "stencils"),
    )


def operator_hash(spec: Mapping[str, Any], weights: Mapping[str, np.ndarray]) -> str:
    """The hash of an operator alone, which its certificate names."""
    return content_hash(weights, {"spec": spec})


def _check_bound(
    path: Path,
    certificate: xr.Dataset,
    spec: Mapping[str, Any],
    weights: Mapping[str, np.ndarray],
) -> None:
    """Raises unless a certificate belongs to the spec and the weights beside it."""
    if certificate.attrs.get("operator_hash") != operator_hash(spec, weights):
        raise ValueError(
            f"The certificate in {path} is of another operator than the one in it, so "
            f"it vouches for nothing: certify this one with --data, and do not trust "
            f"the store."
        )


def _dimensions(arrays: Mapping[str, np.ndarray]) -> dict[str, tuple[str, ...]]:
    """Names of the axes of each array; axes of one name in a folder have one size."""
    names: dict[str, tuple[str, ...]] = {}
    sizes: dict[tuple[str, str], int] = {}
    # Weights name the axes that they share with their biases.
    for path in sorted(arrays, key=lambda path: not path.endswith(".weight")):
        shape = arrays[path].shape
        folder, _, name = path.partition("/")
        layer, _, kind = name.rpartition(".")
        wanted: tuple[str, ...] = ()
        if folder == "history" and len(shape) == 1:
            wanted = ("validation" if name.startswith("validation") else "update",)
        elif kind == "weight" and len(shape) == 2:
            wanted = (f"{layer}.out", f"{layer}.in")
        elif kind == "bias" and len(shape) == 1:
            wanted = (f"{layer}.out",)
        fits = all(
            sizes.setdefault((folder, axis), size) == size
            for axis, size in zip(wanted, shape, strict=False)
        )
        if not wanted or not fits:
            wanted = tuple(f"{name}.axis_{index}" for index in range(len(shape)))
        names[path] = wanted
    return names


def _lasting(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes without those of the circumstances of writing."""
    others = ("schema", *CIRCUMSTANCES)
    return {key: value for key, value in attributes.items() if key not in others}


def _hash(
    arrays: Mapping[str, np.ndarray],
    attributes: Mapping[str, Any],
    certificate: xr.Dataset | None,
) -> str:
    """`content_hash` of the content of an operator store."""
    if certificate is None:
        return content_hash(arrays, attributes)
    measured, meaning = contents(certificate)
    named = {f"certificate/{name}": values for name, values in measured.items()}
    return content_hash({**arrays, **named}, {**attributes, "certificate": meaning})


def _flatten(stored: StoredOperator) -> dict[str, np.ndarray]:
    return {
        **{f"arrays/{name}": np.asarray(a) for name, a in stored.arrays.items()},
        **{f"history/{name}": np.asarray(a) for name, a in stored.history.items()},
        **{f"stencils/{name}": np.asarray(a) for name, a in stored.stencils.items()},
    }


def _folder(arrays: Mapping[str, np.ndarray], folder: str) -> dict[str, np.ndarray]:
    prefix = f"{folder}/"
    return {
        name.removeprefix(prefix): values
        for name, values in arrays.items()
        if name.startswith(prefix)
    }
