"""What a training learns from: trajectories in memory, or many of them on disk."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from stencilnet.discretizations import LearnedStencil
from stencilnet.equations import form_from_name
from stencilnet.storage import open_trajectories
from stencilnet.study.config import Config
from stencilnet.study.devices import DTYPES
from stencilnet.study.generation import check_split, read_split, store_path
from stencilnet.study.streaming import Source, stored
from stencilnet.study.windows import Trajectories

# Samples that a certificate is measured on, of data that stay on disk.
_CERTIFIED = 64


@dataclass(frozen=True)
class Sources:
    """The trajectories of a training.

    Attributes:
        learning: of which it takes its windows.
        validation: that choose the best weights.
        learned, validated: their datasets, or samples of those that stay on disk.
    """

    learning: Source
    validation: Source
    learned: xr.Dataset
    validated: xr.Dataset


@contextmanager
def sources(
    config: Config, run: Path, operator: LearnedStencil | None, device: str
) -> Iterator[Sources]:
    """What to train and to validate on, of the operator's kind and grid.

    A split whose solution takes more than `training.memory` stays on disk.

    Args:
        config: of the study.
        run: folder of the trajectories.
        operator: to train, in place of that of the config.
        device: to train on.

    Raises:
        FileNotFoundError, OSError, ValueError: as `read_split`.
    """
    points = config.operator.points
    averages = form_from_name(config.operator.form, config.extensions).averages
    if operator is not None:
        points, averages = operator.grid.shape[-1], operator.averages
    dtype = DTYPES[config.training.dtype]
    memory = int(config.training.memory * 2**30)
    with ExitStack() as stack:
        found: list[tuple[Source, xr.Dataset]] = []
        for split in ("training", "validation"):
            path = store_path(run, split, points, averages=averages)
            with open_trajectories(path) as dataset:
                size = dataset["u"].nbytes
            if size > memory:
                own = config.extensions
                source = stored(path, dtype, device, memory=memory, extensions=own)
                trajectories, dataset = stack.enter_context(source)
                check_split(config, dataset, path, split)
                some = dataset if split == "training" else _part(dataset)
                found.append((trajectories, some))
            else:
                whole = read_split(config, run, split, points, averages=averages)
                held = Trajectories.of(whole, dtype, config.extensions)
                found.append((held.to(device), whole))
        (learning, learned), (validation, validated) = found
        yield Sources(learning, validation, learned, validated)


def _part(dataset: xr.Dataset) -> xr.Dataset:
    """Some samples in memory, spread evenly, of a dataset that is on disk."""
    samples = dataset.sizes["sample"]
    rows = np.unique(np.linspace(0, samples - 1, min(samples, _CERTIFIED)).astype(int))
    # One after another: those of one file are read together.
    parts = [dataset.isel(sample=slice(row, row + 1)).load() for row in rows]
    plain: dict[str, Any] = {"compat": "override", "join": "override"}
    return xr.concat(parts, "sample", data_vars="minimal", coords="minimal", **plain)
