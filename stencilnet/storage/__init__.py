"""Trajectories, learned operators and other datasets in zarr stores."""

from stencilnet.storage.atomic import new_store, refuse_existing, remove
from stencilnet.storage.datasets import read_dataset, write_dataset
from stencilnet.storage.operators import (
    OPERATOR_SCHEMA,
    StoredOperator,
    read_operator,
    write_operator,
)
from stencilnet.storage.paths import local_path
from stencilnet.storage.provenance import schema_of
from stencilnet.storage.trajectories import (
    equidistant_times,
    forcing_of,
    grid_of,
    open_trajectories,
    read_trajectories,
    tensor_of,
    trajectories,
    write_in_blocks,
    write_trajectories,
)

__all__ = [
    "OPERATOR_SCHEMA",
    "StoredOperator",
    "equidistant_times",
    "forcing_of",
    "grid_of",
    "local_path",
    "new_store",
    "open_trajectories",
    "read_dataset",
    "read_operator",
    "read_trajectories",
    "refuse_existing",
    "remove",
    "schema_of",
    "tensor_of",
    "trajectories",
    "write_dataset",
    "write_in_blocks",
    "write_operator",
    "write_trajectories",
]
