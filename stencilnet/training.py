"""Training of learned stencils through the solver."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from stencilnet.config import Config, Training, nearest
from stencilnet.discretizations import LearnedStencil
from stencilnet.equations import EQUATIONS, Burgers
from stencilnet.forcing import RandomForcing
from stencilnet.generate import Progress, no_progress, store_path
from stencilnet.grid import Grid
from stencilnet.integrators import INTEGRATORS, RungeKutta
from stencilnet.methods import set_weights
from stencilnet.solve import rollout
from stencilnet.storage import (
    StoredOperator,
    forcing_of,
    grid_of,
    read_operator,
    read_trajectories,
    refuse_existing,
    write_operator,
)
from stencilnet.storage.atomic import remove

_DTYPES = {"float32": torch.float32, "float64": torch.float64}


@dataclass(frozen=True)
class Trajectories:
    """Trajectories to learn from, as tensors.

    Attributes:
        u: solution, shape `(sample, time, x)`.
        times: equidistant, in float64.
        grid: where.
        forcing: one row per sample, in float64.
        averages: whether `u` holds cell averages.
    """

    u: Float[Tensor, "sample time x"]
    times: Float[Tensor, " time"]
    grid: Grid
    forcing: RandomForcing
    averages: bool

    @classmethod
    def of(cls, dataset: xr.Dataset, dtype: torch.dtype) -> "Trajectories":
        """Those of a trajectory store, with the solution in `dtype`."""
        return cls(
            torch.tensor(dataset["u"].values, dtype=dtype),
            torch.tensor(dataset["time"].values),
            grid_of(dataset),
            forcing_of(dataset),
            bool(dataset["u"].attrs["averages"]),
        )

    def windows(
        self, generator: np.random.Generator, count: int, horizon: int
    ) -> "Trajectories":
        """Random pieces of `horizon` intervals, all on one clock that starts at 0.

        Raises:
            ValueError: if the trajectories are shorter than that.
        """
        samples, length = self.u.shape[:2]
        if horizon >= length:
            raise ValueError(
                f"A window of {horizon} intervals does not fit trajectories of "
                f"{length - 1}: shorten training.horizon or lengthen problem.duration."
            )
        rows = torch.from_numpy(generator.integers(samples, size=count))
        starts = torch.from_numpy(generator.integers(length - horizon, size=count))
        pieces = self.u[
            rows.unsqueeze(-1), starts.unsqueeze(-1) + torch.arange(horizon + 1)
        ]
        forcing = self.forcing.select(rows).starting_at(self.times[starts])
        times = self.times[: horizon + 1] - self.times[0]
        return Trajectories(pieces, times, self.grid, forcing, self.averages)

    def force(self) -> Callable[[float | Tensor], Tensor]:
        """The forcing on the grid, in the dtype of the solution."""
        forcing = self.forcing.to(self.u.device, self.u.dtype)
        return forcing.on(self.grid, averages=self.averages)


def window_loss(
    operator: LearnedStencil,
    window: Trajectories,
    *,
    integrator: RungeKutta,
    substeps: int,
    backward: float = 0.0,
) -> Float[Tensor, ""]:
    """Mean squared error of a rollout over a window, in units of the squared scale.

    Args:
        operator: what is trained.
        window: the trajectories to follow.
        integrator: of the rollout.
        substeps: steps per kept state.
        backward: weight of the error of the rollout that starts from the last state
            and runs backward in time.
    """
    forcing = window.force()
    settings: dict[str, Any] = {"integrator": integrator, "substeps": substeps}
    u = rollout(operator, window.u[:, 0], window.times, forcing, **settings)
    error = (u - window.u)[:, 1:].square().mean()
    if backward:
        reverse = window.times.flip(0)
        u = rollout(operator, window.u[:, -1], reverse, forcing, **settings)
        error = error + backward * (u - window.u.flip(1))[:, 1:].square().mean()
    return error / operator.scale**2


def relative_l2(
    u: Float[Tensor, "sample time x"], reference: Float[Tensor, "sample time x"]
) -> Float[Tensor, " sample"]:
    """`|u - reference| / |reference|` over time and space; infinite after a blow-up."""
    error = (u - reference).square().sum((-2, -1)).sqrt()
    norm = reference.square().sum((-2, -1)).sqrt()
    return torch.nan_to_num(error / norm, nan=math.inf)


def learning_rate(training: Training, iteration: int) -> float:
    """Linear rise over the warm-up, then half a cosine down to zero."""
    rise = training.warm_up * training.iterations
    if iteration < rise:
        return training.learning_rate * (iteration + 1) / (rise + 1)
    done = (iteration - rise) / max(training.iterations - rise, 1)
    return training.learning_rate * (1 + math.cos(math.pi * done)) / 2


def horizon_at(training: Training, iteration: int) -> int:
    """Length of the windows, which grows in phases of equal length."""
    phase = iteration * len(training.horizon) // training.iterations
    return training.horizon[min(phase, len(training.horizon) - 1)]


def new_operator(config: Config, grid: Grid, scale: float) -> LearnedStencil:
    """The untrained operator of a config.

    Raises:
        ValueError: if the equation or a setting is not one of those that exist.
    """
    operator = config.operator
    return LearnedStencil(
        _equation(config)(config.problem.viscosity),
        grid,
        width=operator.width,
        order=operator.order,
        window=operator.window,
        hidden=operator.hidden,
        layer=operator.layer,
        limit=operator.limit,
        scale=scale,
        seed=config.training.seed,
        dtype=_DTYPES[config.training.dtype],
    )


def _equation(config: Config) -> type[Burgers]:
    """The form of Burgers' equation that the operator of a config discretizes."""
    name = config.operator.equation
    forms = [key for key, form in EQUATIONS.items() if issubclass(form, Burgers)]
    if name not in forms:
        raise ValueError(
            f"There is no form {name!r} of Burgers' equation, {nearest(name, forms)}."
        )
    return EQUATIONS[name]  # type: ignore[return-value]


@dataclass
class _Progress:
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
            name: value.numpy() for name, value in self.operator.state_dict().items()
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


def train(
    config: Config,
    run: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> Path:
    """Trains a learned stencil on the trajectories of a run and stores the best.

    Windows of random samples and start times are rolled out through the solver, and
    their error is differentiated back to the weights. Every `validate_every` updates
    the operator is rolled out over the whole validation trajectories; the weights of
    the lowest relative L2 error are the result. Every draw depends only on the seed and
    the number of the update, so a resumed training ends at the same bits as one that
    was never interrupted (on one machine, with one number of threads).

    Args:
        config: the study; sections problem, operator and training are read.
        run: its folder, which `generate` has filled. The operator goes to
            `operator.zarr`, checkpoints to `checkpoints/`.
        resume: whether to continue from the last checkpoint, if there is one.
        overwrite: whether to replace an operator and older checkpoints.
        progress: told about the updates.

    Returns:
        The path of the operator's store.

    Raises:
        FileNotFoundError: if the run lacks the trajectories.
        FileExistsError: if there is an operator, or there are checkpoints and
            neither `resume` nor `overwrite` is given.
        FloatingPointError: if the loss is not finite; the last checkpoint stays.
        ValueError: if a setting does not fit the data.
    """
    training = config.training
    target, checkpoints = run / "operator.zarr", run / "checkpoints"
    refuse_existing(target, overwrite=overwrite)
    if not resume:
        refuse_existing(checkpoints, overwrite=overwrite)
    if training.integrator not in INTEGRATORS:
        raise ValueError(
            f"There is no integrator {training.integrator!r}, "
            f"{nearest(training.integrator, list(INTEGRATORS))}."
        )
    integrator = INTEGRATORS[training.integrator]
    dtype = _DTYPES[training.dtype]
    averages = _equation(config).averages
    datasets = [
        read_trajectories(
            store_path(run, split, config.operator.points, averages=averages)
        )
        for split in ("training", "validation")
    ]
    learning, validation = (Trajectories.of(dataset, dtype) for dataset in datasets)
    operator = new_operator(config, learning.grid, float(learning.u.double().std()))
    attributes = {
        "config": config.model_dump_json(),
        "data_hash": datasets[0].attrs["content_hash"],
        "integrator": training.integrator,
        "step": config.problem.interval / training.substeps,
    }
    operator.warn_if_unstable(learning.u, integrator, attributes["step"])
    state = _Progress(operator, torch.optim.Adam(operator.parameters()))
    if resume:
        _resume(state, checkpoints, attributes)
    else:
        remove(checkpoints)

    while state.iteration < training.iterations:
        _update(state, learning, training, integrator, checkpoints)
        last = state.iteration == training.iterations
        if last or state.iteration % training.validate_every == 0:
            _validate(state, validation, integrator, training.substeps)
        if last or state.iteration % training.checkpoint_every == 0:
            _checkpoint(state, checkpoints, attributes)
        note = f"loss {state.history['loss'][-1]:.1e}"
        if state.history["validation_relative_l2"]:
            note += f", validation {state.history['validation_relative_l2'][-1]:.4f}"
        progress(state.iteration, training.iterations, note)

    stored = StoredOperator(
        operator.spec(),
        {name: value.numpy() for name, value in state.best.items()},
        {name: np.asarray(values) for name, values in state.history.items()},
        {**attributes, "validation_relative_l2": state.best_error},
    )
    return write_operator(stored, target, overwrite=overwrite)


def _update(
    state: _Progress,
    learning: Trajectories,
    training: Training,
    integrator: RungeKutta,
    checkpoints: Path,
) -> None:
    """One step of the optimizer."""
    draws = np.random.default_rng([training.seed, state.iteration])
    horizon = horizon_at(training, state.iteration)
    window = learning.windows(draws, training.batch, horizon)
    rate = learning_rate(training, state.iteration)
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    state.optimizer.zero_grad()
    loss = window_loss(
        state.operator,
        window,
        integrator=integrator,
        substeps=training.substeps,
        backward=training.backward,
    )
    loss.backward()  # type: ignore[no-untyped-call]
    norm = torch.nn.utils.clip_grad_norm_(state.operator.parameters(), training.clip)
    if not (torch.isfinite(loss) and torch.isfinite(norm)):
        saved = _last_checkpoint(checkpoints)
        kept = f"the last good checkpoint is {saved}" if saved else "there is none yet"
        raise FloatingPointError(
            f"The loss turned {loss.item():g} with a gradient of {norm.item():g} in "
            f"update {state.iteration + 1}; {kept}: lower training.learning_rate or "
            f"shorten training.horizon, then use --resume."
        )
    state.optimizer.step()
    state.iteration += 1
    state.record(
        loss=loss.item(), gradient_norm=norm.item(), learning_rate=rate, horizon=horizon
    )


def _validate(
    state: _Progress, validation: Trajectories, integrator: RungeKutta, substeps: int
) -> None:
    """Measures the error over whole trajectories and keeps the best weights."""
    with torch.no_grad():
        u = rollout(
            state.operator,
            validation.u[:, 0],
            validation.times - validation.times[0],
            validation.force(),
            integrator=integrator,
            substeps=substeps,
        )
    error = float(relative_l2(u, validation.u).mean())
    state.record(validation_iteration=state.iteration, validation_relative_l2=error)
    if error < state.best_error or not state.best:
        state.best_error = error
        state.best = {
            name: value.clone() for name, value in state.operator.state_dict().items()
        }


def _checkpoint(state: _Progress, folder: Path, attributes: dict[str, Any]) -> None:
    """Writes a checkpoint, then removes those before the last but one."""
    path = folder / f"{state.iteration:08d}.zarr"
    write_operator(state.stored(attributes), path, overwrite=True)
    for old in sorted(folder.glob("*.zarr"))[:-2]:
        remove(old)


def _last_checkpoint(folder: Path) -> Path | None:
    return max(folder.glob("*.zarr"), default=None)


def _resume(state: _Progress, folder: Path, attributes: dict[str, Any]) -> None:
    """Continues from the last checkpoint of a folder, if it has one."""
    path = _last_checkpoint(folder)
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
    state.restore(stored, path)
