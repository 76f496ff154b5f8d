"""Where a training stands, kept so that it can go on from there."""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stencilnet.discretizations import LearnedStencil
from stencilnet.storage import StoredOperator, read_operator, remove, write_operator
from stencilnet.study.operators import set_weights

# Settings of a training that decide what its best weights are best at.
_FIXED = ("seed", "batch", "substeps", "integrator", "backward", "dtype")
# Settings whose change would start the schedule of the rate anew.
_SCHEDULE = ("iterations", "warm_up")


@dataclass
class TrainingState:
    """Where a training stands; all of it goes into a checkpoint.

    Attributes:
        operator: with the current weights.
        optimizer: with its moments.
        iteration: number of updates made.
        best: weights of the lowest validation error so far, by name.
        best_error: that error.
        history: recorded quantities.
    """

    operator: LearnedStencil
    optimizer: torch.optim.Adam
    iteration: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)
    best_error: float = math.inf
    history: dict[str, list[float]] = field(
        default_factory=lambda: {
            name: []
            for name in (
                "loss",
                "gradient_norm",
                "learning_rate",
                "horizon",
                "validation_iteration",
                "validation_relative_l2",
            )
        }
    )

    def record(self, **values: float) -> None:
        for name, value in values.items():
            self.history[name].append(value)

    def stored(self, attributes: dict[str, Any]) -> StoredOperator:
        """Everything, as a checkpoint."""
        arrays = {
            name: value.numpy() for name, value in self.operator.weights().items()
        }
        arrays |= {f"best.{name}": value.numpy() for name, value in self.best.items()}
        for index, moments in self.optimizer.state_dict()["state"].items():
            arrays |= {
                f"adam.{index}.{name}": np.asarray(value)
                for name, value in moments.items()
            }
        return StoredOperator(
            self.operator.spec(),
            arrays,
            {name: np.asarray(values) for name, values in self.history.items()},
            {**attributes, "iteration": self.iteration, "best_error": self.best_error},
        )

    def restore(self, stored: StoredOperator, path: Path) -> None:
        """Continues from a checkpoint."""
        set_weights(self.operator, stored, path)
        self.iteration = int(stored.attributes["iteration"])
        self.best_error = float(stored.attributes["best_error"])
        self.best = {
            name.removeprefix("best."): torch.tensor(values)
            for name, values in stored.arrays.items()
            if name.startswith("best.")
        }
        self.history = {
            name: values.tolist() for name, values in stored.history.items()
        }
        state: dict[int, dict[str, Tensor]] = {}
        for name, values in stored.arrays.items():
            if name.startswith("adam."):
                _, index, moment = name.split(".")
                state.setdefault(int(index), {})[moment] = torch.tensor(values)
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})


def write_checkpoint(
    state: TrainingState, folder: Path, attributes: dict[str, Any]
) -> None:
    """Writes a checkpoint, then removes those before the last but one."""
    path = folder / f"{state.iteration:08d}.zarr"
    write_operator(state.stored(attributes), path, overwrite=True)
    for old in sorted(folder.glob("*.zarr"))[:-2]:
        remove(old)


def last_checkpoint(folder: Path) -> Path | None:
    return max(folder.glob("*.zarr"), default=None)


def resume_from(state: TrainingState, folder: Path, attributes: dict[str, Any]) -> None:
    """Continues from the last checkpoint of a folder, if it has one.

    Raises:
        ValueError: if the checkpoint belongs to another operator, other data, or a
            training with other settings than the highest rate, horizon and clip.
    """
    path = last_checkpoint(folder)
    if path is None:
        return
    stored = read_operator(path)
    if stored.spec != state.operator.spec():
        raise ValueError(
            f"{path} holds another operator than the config asks for: train without "
            f"--resume, or restore the config it began with."
        )
    if stored.attributes["data_hash"] != attributes["data_hash"]:
        raise ValueError(
            f"{path} learned from other trajectories than those of this run: train "
            f"without --resume, or generate the data it began with."
        )
    began = json.loads(str(stored.attributes["config"]))["training"]
    asked = json.loads(str(attributes["config"]))["training"]
    for key in _FIXED:
        if began[key] != asked[key]:
            raise ValueError(
                f"{path} was trained with training.{key}={began[key]}, not "
                f"{asked[key]}: train without --resume, or keep the value."
            )
    for key in _SCHEDULE:
        if began[key] != asked[key]:
            raise ValueError(
                f"{path} is part of a training with training.{key}={began[key]}; with "
                f"{asked[key]} its learning rate would jump: keep the value, or train "
                f"without --resume."
            )
    state.restore(stored, path)
