"""Training of learned pictures through exact evolution, on several regimes at once."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from stencilnet.discretizations import LearnedPicture, Picture, WenoParabola
from stencilnet.errors import whole_number
from stencilnet.progress import Progress, no_progress
from stencilnet.storage import StoredOperator, write_operator
from stencilnet.study.regimes import Regime


@dataclass(frozen=True)
class PictureRecipe:
    """How a picture is trained.

    Attributes:
        updates: of Adam; each takes one regime in turn.
        learning_rate: the highest; it rises over 100 updates, then falls to zero.
        horizons: steps of the windows, in phases of equal length.
        cells: of all windows of an update together.
        averaging: decay of the moving average of the weights, which is what counts.
        clip: largest norm of a gradient.
        validate_every: updates between two validations.
        seed: of the windows.

    Raises:
        ValueError: if a number is not positive, or `averaging` is not in [0, 1).
    """

    updates: int = 20_000
    learning_rate: float = 5e-3
    horizons: tuple[int, ...] = (1, 1, 2, 2, 4)
    cells: int = 1024
    averaging: float = 0.998
    clip: float = 1.0
    validate_every: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("updates", "learning_rate", "cells", "clip", "validate_every"):
            if not getattr(self, name) > 0:
                raise ValueError(
                    f"`{name}` must be positive, not {getattr(self, name)}."
                )
        if not self.horizons or min(self.horizons) < 1:
            raise ValueError(
                f"`horizons` must be positive numbers of steps, not {self.horizons}."
            )
        if not 0 <= self.averaging < 1:
            raise ValueError(f"`averaging` must be in [0, 1), not {self.averaging}.")

    def rate(self, update: int) -> float:
        """Learning rate of an update."""
        rise = min(1.0, (update + 1) / 100)
        return (
            self.learning_rate
            * rise
            * (1 + math.cos(math.pi * update / self.updates))
            / 2
        )

    def horizon(self, update: int) -> int:
        """Steps of the windows of an update."""
        return self.horizons[update * len(self.horizons) // self.updates]


@dataclass(frozen=True)
class Polish:
    """How a picture is polished: by BFGS, on windows that stay the same.

    Attributes:
        iterations: in each phase.
        horizons: steps of the windows, one phase each.
        cells: of all windows of a regime together.
        validate_every: iterations between two validations.
        seed: of the windows.

    Raises:
        ValueError: if a number is not positive.
    """

    iterations: int = 150
    horizons: tuple[int, ...] = (2, 4)
    cells: int = 32_768
    validate_every: int = 25
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("iterations", "cells", "validate_every"):
            whole_number(f"`{name}`", getattr(self, name))
        if not self.horizons or min(self.horizons) < 1:
            raise ValueError(
                f"`horizons` must be positive numbers of steps, not {self.horizons}."
            )


@dataclass
class PictureHistory:
    """What a training recorded.

    Attributes:
        update: of each validation.
        errors: relative L2 error of each regime there, by its name.
        untrained: the same of the classical picture that training begins as.
    """

    untrained: dict[str, float]
    update: list[int] = field(default_factory=list)
    errors: dict[str, list[float]] = field(default_factory=dict)

    @classmethod
    def of(cls, stored: StoredOperator) -> "PictureHistory":
        """The history that `save_picture` stored."""
        mark = "validation "
        return cls(
            dict(stored.attributes["untrained"]),
            stored.history["update"].tolist(),
            {
                name.removeprefix(mark): values.tolist()
                for name, values in stored.history.items()
                if name.startswith(mark)
            },
        )

    def record(self, update: int, errors: dict[str, float]) -> float:
        """Adds a validation and returns its score."""
        self.update.append(update)
        for name, error in errors.items():
            self.errors.setdefault(name, []).append(error)
        return self.score(errors)

    def score(self, errors: dict[str, float]) -> float:
        """Mean logarithm of the ratios to the errors before training; low is good."""
        return float(
            np.mean([math.log(errors[name] / self.untrained[name]) for name in errors])
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """As arrays, for a store."""
        return {
            "update": np.asarray(self.update),
            **{f"validation {name}": np.asarray(e) for name, e in self.errors.items()},
        }


def train_picture(
    picture: LearnedPicture,
    regimes: Sequence[Regime],
    recipe: PictureRecipe = PictureRecipe(),
    *,
    progress: Progress = no_progress,
) -> PictureHistory:
    """Trains a picture in place, on one regime or on several.

    Windows of random samples and start times are rolled out by exact evolution, and
    their error is differentiated back to the weights. Regimes take turns, and errors
    are in units of those of `WenoParabola`, so that no regime outweighs another. The
    moving averages of the weights are validated, and the best of them are the result.
    Every draw depends only on the seed and the number of the update.

    Args:
        picture: what to train, of any grid and viscosity.
        regimes: what to train it on.
        recipe: see there.
        progress: told about the updates.

    Returns:
        The history.

    Raises:
        ValueError: if there is no regime.
        FloatingPointError: if the loss is not finite.
    """
    if not regimes:
        raise ValueError("There is nothing to learn from: give at least one regime.")
    models = [shared(picture, regime) for regime in regimes]
    classical = [
        WenoParabola(regime.equation, regime.learning.grid) for regime in regimes
    ]
    units = [_units(*pair, recipe) for pair in zip(regimes, classical, strict=True)]
    history = PictureHistory(errors_of(regimes, [m.classical for m in models]))
    parameters = [p for p in picture.network.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters)
    averages = [p.detach().clone() for p in parameters]
    best, best_score = [p.clone() for p in averages], math.inf
    for update in range(recipe.updates):
        turn, horizon = update % len(regimes), recipe.horizon(update)
        regime = regimes[turn]
        count = max(1, recipe.cells // regime.learning.grid.shape[-1])
        draws = np.random.default_rng([recipe.seed, update])
        loss = regime.loss(models[turn], regime.windows(draws, count, horizon))
        optimizer.zero_grad()
        (loss / units[turn][horizon]).backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(parameters, recipe.clip)
        if not bool(loss.isfinite() & norm.isfinite()):
            raise FloatingPointError(
                f"The loss turned {float(loss):g} in update {update + 1} of "
                f"{regime.name}: lower learning_rate or shorten horizons."
            )
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate(update)
        optimizer.step()
        decay = min(recipe.averaging, (update + 1) / (update + 10))
        with torch.no_grad():
            torch._foreach_lerp_(averages, [p.detach() for p in parameters], 1 - decay)
        if (update + 1) % recipe.validate_every == 0 or update + 1 == recipe.updates:
            with _weights(parameters, averages):
                score = history.record(update + 1, errors_of(regimes, models))
            if score < best_score:
                best, best_score = [p.clone() for p in averages], score
            progress(update + 1, recipe.updates, f"gain {math.exp(-score):.1f}")
    _set(parameters, best)
    return history


def save_picture(
    picture: LearnedPicture,
    path: Path | str,
    regimes: Sequence[Regime],
    recipe: PictureRecipe | Polish,
    history: PictureHistory,
    *,
    attributes: dict[str, Any] | None = None,
    certificate: xr.Dataset | None = None,
    overwrite: bool = False,
) -> Path:
    """Stores a trained picture with its recipe, regimes and history.

    Splitting and step of the first regime become its own, see `habits`.
    """
    weights = {
        name: value.detach().cpu().numpy() for name, value in picture.weights().items()
    }
    first = regimes[0]
    described = {
        "integrator": "ColeHopf",
        "splitting": first.integrator.splitting.spec(),
        "step": first.step,
        "regimes": [regime.name for regime in regimes],
        "recipe": {**vars(recipe), "horizons": list(recipe.horizons)},
        "untrained": history.untrained,
        **(attributes or {}),
    }
    stored = StoredOperator(
        picture.spec(), weights, history.arrays(), described, certificate
    )
    return write_operator(stored, Path(path), overwrite=overwrite)


def shared(picture: LearnedPicture, regime: Regime) -> LearnedPicture:
    """The picture for a regime, with the network of another."""
    return LearnedPicture(
        regime.equation,
        regime.learning.grid,
        network=picture.network,
        dtype=picture.dtype,
        **picture.settings,
    )


def errors_of(
    regimes: Sequence[Regime], pictures: Sequence[Picture]
) -> dict[str, float]:
    """Validation errors of pictures by the names of their regimes."""
    return {
        regime.name: regime.error(picture)
        for regime, picture in zip(regimes, pictures, strict=True)
    }


def _units(
    regime: Regime, classical: Picture, recipe: PictureRecipe
) -> dict[int, float]:
    """Losses of the classical picture, by horizon."""
    draws = np.random.default_rng([recipe.seed, 0])
    with torch.no_grad():
        return {
            horizon: float(regime.loss(classical, regime.windows(draws, 64, horizon)))
            for horizon in set(recipe.horizons)
        }


@contextmanager
def _weights(parameters: Sequence[Tensor], values: Sequence[Tensor]) -> Iterator[None]:
    """Context in which parameters have other values."""
    before = [parameter.detach().clone() for parameter in parameters]
    _set(parameters, values)
    try:
        yield
    finally:
        _set(parameters, before)


@torch.no_grad()
def _set(parameters: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    for parameter, value in zip(parameters, values, strict=True):
        parameter.copy_(value)
