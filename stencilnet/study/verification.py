"""Whether a store is what was written, and what it vouches for."""

import json
from collections.abc import Sequence
from pathlib import Path

import xarray as xr

from stencilnet.equations import equation_from_spec
from stencilnet.storage import (
    DATASET_SCHEMA,
    OPERATOR_SCHEMA,
    grid_of,
    local_path,
    read_dataset,
    read_trajectories,
    schema_of,
)
from stencilnet.study.certificate import certify
from stencilnet.study.operators import habits, load_operator, moved, operator_path


def verify(
    store: Path | str,
    *,
    data: Path | str | None = None,
    extensions: Sequence[type] = (),
) -> xr.Dataset:
    """Checks a store against its checksum and returns what it vouches for.

    Args:
        store: of an operator, of trajectories or of another dataset, or the name of a
            pretrained operator.
        data: trajectories on which to certify an operator anew, with its own integrator
            and step, instead of returning the certificate that its training left.
        extensions: classes of your own that the store names, such as the equation.

    Returns:
        The certificate of an operator, see `certificate.certify`, with the attributes
        that say where it comes from, or the dataset.

    Raises:
        FileNotFoundError: if there is no store.
        ValueError: if the store, or `data`, is damaged or of another schema; if an
            operator has no certificate and no data are given; or if data are given for
            trajectories.
    """
    store = operator_path(store)
    data = None if data is None else local_path(data)
    # Of any version: reading it then says which one is needed.
    kind = schema_of(store).partition("/")[0]
    if kind != OPERATOR_SCHEMA.partition("/")[0]:
        if data is not None:
            raise ValueError(
                f"Only an operator is certified on data, but {store} is none: leave "
                f"out --data."
            )
        if kind == DATASET_SCHEMA.partition("/")[0]:
            return read_dataset(store)
        return read_trajectories(store, finite=False)
    operator, stored = load_operator(store, extensions=extensions)
    if data is None:
        if stored.certificate is None:
            raise ValueError(
                f"{store} holds no certificate: name trajectories to measure one on, "
                f"with --data."
            )
        lineage = {
            key: value
            for key, value in stored.attributes.items()
            if key in ("data_hash", "versions", "git_commit", "created", "origin")
        }
        return stored.certificate.assign_attrs(lineage=json.dumps(lineage))
    dataset = read_trajectories(data)
    if "equation" not in dataset.attrs:
        raise ValueError(
            f"{data} does not state its equation: give trajectories that stencilnet "
            f"generated."
        )
    equation = equation_from_spec(json.loads(dataset.attrs["equation"]), extensions)
    integrator, step = habits(stored)
    return certify(
        moved(operator, grid_of(dataset), equation),
        dataset,
        integrator=integrator,
        step=step,
    )
