"""Trajectories, learned operators and other datasets in zarr stores."""

from stencilnet.storage.arrays import trajectories
from stencilnet.storage.atomic import new_store, refuse_existing, workspace
from stencilnet.storage.blocks import BlockWriter, samples_in_block
from stencilnet.storage.datasets import (
    DATASET_SCHEMA,
    open_dataset,
    read_dataset,
    save_dataset,
    write_dataset,
)
from stencilnet.storage.disk import remove
from stencilnet.storage.exporting import LAYOUTS, write_foreign
from stencilnet.storage.forcings import forcing_of, tensor_of
from stencilnet.storage.foreign import read_foreign
from stencilnet.storage.git import git_commit
from stencilnet.storage.interruption import STOPS, Interrupted, stop, uninterrupted
from stencilnet.storage.leftovers import has_work, sweep_below
from stencilnet.storage.locks import claimed
from stencilnet.storage.operators import (
    OPERATOR_SCHEMA,
    StoredOperator,
    read_operator,
    write_operator,
)
from stencilnet.storage.ownership import (
    CREATOR,
    LATEX_MARK,
    RESULT_SCHEMA,
    TABLE_MARK,
    mark_report,
)
from stencilnet.storage.paths import local_path
from stencilnet.storage.pieces import Pieces
from stencilnet.storage.provenance import library_versions, schema_of
from stencilnet.storage.signatures import check_signature, sign_statement, statement
from stencilnet.storage.trajectories import (
    boundary_classes,
    equidistant_times,
    grid_of,
    length_of,
)
from stencilnet.storage.trajectory_stores import (
    open_pieces,
    open_trajectories,
    read_trajectories,
)
from stencilnet.storage.trajectory_writing import (
    write_block,
    write_in_blocks,
    write_trajectories,
)

__all__ = [
    "CREATOR",
    "DATASET_SCHEMA",
    "LATEX_MARK",
    "LAYOUTS",
    "OPERATOR_SCHEMA",
    "RESULT_SCHEMA",
    "STOPS",
    "TABLE_MARK",
    "BlockWriter",
    "Interrupted",
    "Pieces",
    "StoredOperator",
    "boundary_classes",
    "check_signature",
    "claimed",
    "equidistant_times",
    "forcing_of",
    "git_commit",
    "grid_of",
    "has_work",
    "length_of",
    "library_versions",
    "local_path",
    "mark_report",
    "new_store",
    "open_dataset",
    "open_pieces",
    "open_trajectories",
    "read_dataset",
    "read_foreign",
    "read_operator",
    "read_trajectories",
    "refuse_existing",
    "remove",
    "samples_in_block",
    "save_dataset",
    "schema_of",
    "sign_statement",
    "statement",
    "stop",
    "sweep_below",
    "tensor_of",
    "trajectories",
    "uninterrupted",
    "workspace",
    "write_block",
    "write_dataset",
    "write_foreign",
    "write_in_blocks",
    "write_operator",
    "write_trajectories",
]
