"""Where a training stands, kept so that it can go on from there."""

import json
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stencilnet.discretizations import LearnedStencil
from stencilnet.storage import (
    StoredOperator,
    read_operator,
    refuse_existing,
    remove,
    write_operator,
)
from stencilnet.study.config import Training
from stencilnet.study.operators import set_weights

# Settings of a training that decide what its best weights are best at.
_FIXED = (
    "seed", "batch", "substeps", "integrator", "backward", "averaging", "compile",
    "dtype",
)  # fmt: skip
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
        averages: moving averages of what is trained, by name; none without averaging.
        history: recorded quantities.
    """

    operator: LearnedStencil
    optimizer: torch.optim.Optimizer
    iteration: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)
    best_error: float = math.inf
    averages: dict[str, Tensor] = field(default_factory=dict)
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

    @torch.no_grad()
    def average(self, decay: float) -> None:
        """Moves the averages towards the current weights, fast in the beginning.

        Args:
            decay: what is left of the averages after an update, in the long run.
        """
        decay = min(decay, self.iteration / (self.iteration + 9))
        for name, weight in self.operator.named_parameters():
            known = self.averages.setdefault(name, weight.detach().clone())
            known.lerp_(weight, 1 - decay)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """A context in which the operator has the averages for its weights."""
        now = {n: p.detach().clone() for n, p in self.operator.named_parameters()}
        self._put(self.averages)
        try:
            yield
        finally:
            self._put(now)

    def keep_best(self, error: float) -> None:
        """Keeps the weights that the operator has now if this is their least error."""
        if error < self.best_error or not self.best:
            # Parameters of the equation, too, where these are trained.
            values = self.operator.weights() | dict(self.operator.named_parameters())
            self.best_error = error
            self.best = {name: v.detach().clone() for name, v in values.items()}

    @torch.no_grad()
    def _put(self, values: dict[str, Tensor]) -> None:
        for name, parameter in self.operator.named_parameters():
            if name in values:
                parameter.copy_(values[name])

    def numbers(self) -> dict[str, float]:
        """The latest of each recorded quantity, and the number of the update."""
        latest = {name: values[-1] for name, values in self.history.items() if values}
        return {"update": float(self.iteration), **latest}

    def stored(self, attributes: dict[str, Any]) -> StoredOperator:
        """Everything, as a checkpoint."""
        arrays = {
            name: value.cpu().numpy() for name, value in self.operator.weights().items()
        }
        arrays |= {
            f"best.{name}": value.cpu().numpy() for name, value in self.best.items()
        }
        arrays |= {
            f"average.{name}": value.cpu().numpy()
            for name, value in self.averages.items()
        }
        for index, moments in self.optimizer.state_dict()["state"].items():
            arrays |= {
                f"adam.{index}.{name}": np.asarray(torch.as_tensor(value).cpu())
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
        device = next(self.operator.parameters(), torch.empty(0)).device
        self.best, self.averages = (
            {
                name.removeprefix(mark): torch.tensor(values, device=device)
                for name, values in stored.arrays.items()
                if name.startswith(mark)
            }
            for mark in ("best.", "average.")
        )
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
    for old in checkpoints(folder)[:-2]:
        remove(old)


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in a folder, by number of updates."""
    return sorted(folder.glob(f"{'[0-9]' * 8}.zarr"))


def last_checkpoint(folder: Path) -> Path | None:
    return max(checkpoints(folder), default=None)


def remove_checkpoints(folder: Path) -> None:
    """Removes the checkpoints of a folder, and the folder if nothing else is in it.

    Raises:
        FileExistsError: if something has the name of a checkpoint and is none.
    """
    for path in checkpoints(folder):
        refuse_existing(path, overwrite=True, kind="operator")
    for path in checkpoints(folder):
        remove(path)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def resume_from(state: TrainingState, folder: Path, attributes: dict[str, Any]) -> None:
    """Continues from the last checkpoint of a folder that is whole, if it has one.

    Raises:
        ValueError: if the checkpoint belongs to another operator, other data, or a
            training with other settings than the highest rate, horizon and clip, or if
            there are checkpoints and all are damaged.
    """
    latest = _latest(folder)
    if latest is None:
        return
    path, stored = latest
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
    began, asked = (
        Training().model_dump(mode="json") | json.loads(str(config))["training"]
        for config in (stored.attributes["config"], attributes["config"])
    )
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


def _latest(folder: Path) -> tuple[Path, StoredOperator] | None:
    """The last checkpoint that can be read; warns of those after it."""
    failure: ValueError | None = None
    for path in reversed(checkpoints(folder)):
        try:
            stored = read_operator(path)
        except ValueError as error:
            failure = failure or error
            continue
        if failure is not None:
            warnings.warn(
                f"{failure} The training goes on from the checkpoint before, {path}.",
                stacklevel=4,
            )
        for later in checkpoints(folder):
            if later > path:
                aside = later.with_suffix(".damaged")
                remove(aside)
                later.rename(aside)
        return path, stored
    if failure is not None:
        raise ValueError(
            f"No checkpoint in {folder} is whole: train without --resume. {failure}"
        ) from failure
    return None
