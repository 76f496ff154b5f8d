"""Trajectories and learned operators in zarr stores that are whole or not there."""

from stencilnet.storage.atomic import new_store, refuse_existing, remove
from stencilnet.storage.operators import (
    OPERATOR_SCHEMA,
    StoredOperator,
    read_operator,
    write_operator,
)
from stencilnet.storage.provenance import schema_of
from stencilnet.storage.trajectories import (
    forcing_of,
    grid_of,
    open_trajectories,
    read_trajectories,
    trajectories,
    write_in_blocks,
    write_trajectories,
)

__all__ = [
    "OPERATOR_SCHEMA",
    "StoredOperator",
    "forcing_of",
    "grid_of",
    "new_store",
    "open_trajectories",
    "read_operator",
    "read_trajectories",
    "refuse_existing",
    "remove",
    "schema_of",
    "trajectories",
    "write_in_blocks",
    "write_operator",
    "write_trajectories",
]
