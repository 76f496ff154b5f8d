"""Trajectories and learned operators in zarr stores that are whole or not there."""

from stencilnet.storage.atomic import new_store, refuse_existing, remove
from stencilnet.storage.operators import StoredOperator, read_operator, write_operator
from stencilnet.storage.trajectories import (
    forcing_of,
    grid_of,
    read_trajectories,
    trajectories,
    write_trajectories,
)

__all__ = [
    "StoredOperator",
    "forcing_of",
    "grid_of",
    "new_store",
    "read_operator",
    "read_trajectories",
    "refuse_existing",
    "remove",
    "trajectories",
    "write_operator",
    "write_trajectories",
]
