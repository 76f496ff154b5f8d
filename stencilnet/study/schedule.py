"""The schedule of a training, and how it tells where it stands."""

import math
from collections.abc import Mapping, Sequence

from stencilnet.study.config import Training


def warm_cosine(highest: float, index: int, total: int, warm_up: float = 0.1) -> float:
    """Linear rise over the warm-up, then half a cosine down to zero."""
    rise = warm_up * total
    if index < rise:
        return highest * (index + 1) / (rise + 1)
    done = (index - rise) / max(total - rise, 1)
    return highest * (1 + math.cos(math.pi * done)) / 2


def learning_rate(training: Training, iteration: int) -> float:
    """The learning rate of an update, see `warm_cosine`."""
    return warm_cosine(
        training.learning_rate, iteration, training.iterations, training.warm_up
    )


def horizon_at(training: Training, iteration: int) -> int:
    """Length of the windows, which grows in phases of equal length."""
    phase = iteration * len(training.horizon) // training.iterations
    return training.horizon[min(phase, len(training.horizon) - 1)]


def note(history: Mapping[str, Sequence[float]]) -> str:
    """The latest losses, for the progress bar."""
    note = f"loss {history['loss'][-1]:.1e}"
    if history["validation_relative_l2"]:
        note += f", validation {history['validation_relative_l2'][-1]:.4f}"
    return note
