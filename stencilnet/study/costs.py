"""What a study will cost, measured on a little of it."""

import math
import time
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from stencilnet.progress import duration_text
from stencilnet.study.bounded import solution_of
from stencilnet.study.config import Config
from stencilnet.study.constant import CONSTANT, constant_training
from stencilnet.study.devices import DTYPES
from stencilnet.study.ensemble import sample_bytes, working_bytes
from stencilnet.study.problem import (
    SPLITS,
    domain_of,
    forcing_of,
    integrator_of,
    problem_of_samples,
)
from stencilnet.study.training import new_operator
from stencilnet.study.windows import Trajectories, window_loss

# Intervals of the reference, samples of it and intervals of a window that are timed.
_INTERVALS, _SAMPLES, _HORIZON = 3, 32, 4


@dataclass(frozen=True)
class Costs:
    """Estimated costs of a study on the processor, to within a factor of two or so.

    Attributes:
        generating: seconds; None where the reference's grid is chosen by itself.
        generating_memory: bytes for a block of trajectories, in each process that
            generates; None likewise.
        generating_disk: bytes of all trajectories before compression, while they are
            generated; half of them stay.
        training: seconds of the updates, without validations.
        training_memory: bytes that gradients take in the longest phase.

    Example:
        >>> from stencilnet.study import Costs
        >>> estimate = Costs(90.0, 2**27, 2**31, training=600.0, training_memory=2**26)
        >>> print(estimate.text())
        Data: about 1 min 30 s on one core and 128 MiB of memory for each process,
        2.0 GiB of disk before compression, half of which stays.
        Training: about 10 min 0 s and 64 MiB of memory for gradients, beside some
        0.5 GiB of the libraries.
    """

    generating: float | None
    generating_memory: int | None
    generating_disk: int
    training: float
    training_memory: int

    def text(self) -> str:
        """The costs in a sentence."""
        if self.generating is None or self.generating_memory is None:
            data = "Time of the data: unknown until the reference's grid is chosen"
        else:
            data = (
                f"Data: about {duration_text(self.generating)} on one core and "
                f"{_size(self.generating_memory)} of memory for each process"
            )
        return (
            f"{data}, {_size(self.generating_disk)} of disk before compression, half "
            f"of which stays.\nTraining: about {duration_text(self.training)} and "
            f"{_size(self.training_memory)} of memory for gradients, beside some "
            f"0.5 GiB of the libraries."
        )

    def record(self) -> dict[str, Any]:
        """The costs for JSON."""
        return {
            "generating_seconds": self.generating,
            "generating_bytes": self.generating_memory,
            "generating_disk_bytes": self.generating_disk,
            "training_seconds": self.training,
            "training_bytes": self.training_memory,
        }


def costs(config: Config) -> Costs:
    """Estimates memory and time of a study from a few steps of it.

    Example:
        >>> from stencilnet import load_config
        >>> from stencilnet.study import costs
        >>> small = ["reference.points=64", "training.batch=2", "training.horizon=[1]"]
        >>> estimate = costs(load_config("demo", small))
        >>> estimate.generating_disk, min(estimate.generating, estimate.training) > 0
        (33876480, True)
    """
    seconds, memory = _training(config)
    if CONSTANT in config.comparison.methods:
        seconds += _training(constant_training(config))[0]
    generating, working = _generating(config)
    samples = sum(getattr(config.data, split) for split in SPLITS)
    # The blocks that are solved, and the stores that are written from them.
    disk = 2 * samples * sample_bytes(config)
    return Costs(generating, working, disk, seconds, memory)


def _training(config: Config) -> tuple[float, int]:
    """Seconds of all updates, and bytes kept for the gradient of the longest."""
    training, problem = config.training, config.problem
    grid = domain_of(config, config.operator.points)
    operator = new_operator(config, grid, 1.0)
    dtype = DTYPES[training.dtype]
    wave = torch.sin(grid.points() * (2 * math.pi / problem.length)).to(dtype)
    seconds, memory = 0.0, 0
    for horizon in training.horizon:
        timed = min(horizon, _HORIZON)
        window = Trajectories(
            wave.expand(training.batch, timed + 1, -1),
            torch.arange(timed + 1, dtype=torch.float64) * problem.interval,
            grid,
            forcing_of(config, training.batch, 0),
            operator.averages,
        )
        kept: dict[int, int] = {}

        def keep(tensor: Tensor, kept: dict[int, int] = kept) -> Tensor:
            kept[tensor.untyped_storage().data_ptr()] = (
                tensor.untyped_storage().nbytes()
            )
            return tensor

        for attempt in ("warm", "timed"):
            begin = time.perf_counter()
            with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
                loss = window_loss(
                    operator,
                    window,
                    integrator=integrator_of(training.integrator),
                    substeps=training.substeps,
                    backward=training.backward,
                )
            if attempt == "warm":
                memory = max(memory, sum(kept.values()) * horizon // timed)
            loss.backward()  # type: ignore[no-untyped-call]
            taken = time.perf_counter() - begin
        seconds += taken * horizon / timed
    return seconds * training.iterations / len(training.horizon), memory


def _generating(config: Config) -> tuple[float | None, int | None]:
    """Seconds of the reference, and bytes that its solution takes."""
    points = config.reference.points
    if points == "auto":
        return None, None
    samples = sum(getattr(config.data, split) for split in SPLITS)
    part = problem_of_samples(config, range(min(samples, _SAMPLES)))
    intervals = len(part.times) - 1
    part = replace(part, times=part.times[: _INTERVALS + 1])
    grid = domain_of(config, points)
    solution = solution_of(part, grid, courant=config.reference.courant)
    next(solution)
    next(solution)
    begin = time.perf_counter()
    count = sum(1 for _state in solution)
    pace = (time.perf_counter() - begin) / max(count, 1) / len(part.forcing)
    # The check solves for some of the samples once more, and on twice the points with
    # half the steps.
    worth = samples + 5 * min(config.reference.checked, samples)
    return pace * worth * intervals, working_bytes(config, points)


def _size(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"
