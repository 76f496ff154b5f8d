"""Training as a function: any data, network, loss, optimizer and forcing."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from stencilnet.discretizations import LearnedStencil
from stencilnet.errors import real_number, whole_number
from stencilnet.forcing import StoredForcing
from stencilnet.progress import Progress, no_progress
from stencilnet.solver import SSPRK3, Integrator, substeps_within
from stencilnet.storage import (
    boundary_classes,
    grid_of,
    local_path,
    read_trajectories,
)
from stencilnet.study.devices import as_device
from stencilnet.study.kinds import in_kind
from stencilnet.study.metrics import longest_interval
from stencilnet.study.schedule import warm_cosine
from stencilnet.study.state import TrainingState
from stencilnet.study.streaming import Source, stored
from stencilnet.study.updates import Updates
from stencilnet.study.windows import Loss, Trajectories

Callback = Callable[[Mapping[str, float]], bool | None]
"""Sees the numbers of an update; one that returns True ends the training."""

# Share of the stable step of the untrained operator.
_SAFETY = 0.5


def fit(
    operator: LearnedStencil,
    data: xr.Dataset | Path | str,
    validation: xr.Dataset | Path | str | None = None,
    *,
    iterations: int = 1000,
    batch: int = 64,
    horizon: int | Sequence[int] = (2, 4, 8, 16),
    substeps: int | None = None,
    integrator: Integrator = SSPRK3,
    loss: Loss | None = None,
    optimizer: Callable[[list[Tensor]], torch.optim.Optimizer] | None = None,
    learning_rate: float = 1e-2,
    schedule: Callable[[int], float] | None = None,
    forcing: StoredForcing | None = None,
    parameters: Iterable[Tensor] = (),
    callbacks: Iterable[Callback] = (),
    clip: float = 1.0,
    averaging: float = 0.0,
    compile: bool = False,  # noqa: A002
    backward: float = 0.0,
    validate_every: int = 100,
    seed: int = 0,
    device: torch.device | str | None = None,
    memory: float = 4.0,
    progress: Progress = no_progress,
) -> dict[str, np.ndarray]:
    """Trains an operator in place on any trajectories; what `train` does to a config's.

    Windows of random samples and start times are rolled out through the solver, and
    their error is differentiated back to the weights, to an `nn.Parameter` of the
    equation, and to `parameters`. At the end the operator has the weights with the
    least error over whole trajectories of `validation`.

    Args:
        operator: to train, on the grid of the data; its network is any `nn.Module`.
        data: trajectories, of `trajectories` or a store, or the path of a store.
            Averages and point values are converted into each other where the grid
            resolves them.
        validation: other trajectories; `data` by default.
        iterations: number of updates.
        batch: windows per update.
        horizon: kept states that a window is unrolled over; several in phases of equal
            length. Those beyond the length of the data are cut to it.
        substeps: steps per kept state; by default so many that the untrained operator
            takes half its stable step.
        integrator: of the rollouts.
        loss: `loss(u, reference)` of the states after the first one, each of shape
            (window, time, x); by default the mean squared error over `scale**2`.
        optimizer: makes one of the list of parameters; Adam by default.
        learning_rate: the highest one, after a rise over a tenth of the updates; it
            then falls along a cosine. A given optimizer keeps its own rate.
        schedule: rate of each update by its number, in place of that.
        forcing: in place of that of the data, one row per sample of `data`; it may hold
            tensors to train.
        parameters: to train beside those of the operator.
        callbacks: called after each update with its numbers, see `Callback`.
        clip: largest norm of the gradient.
        averaging: decay of the moving averages of the weights, such as .998, which are
            what is validated and kept; 0 for the weights themselves.
        compile: whether to compile the steps, for long trainings.
        backward: weight of the error of windows integrated backward in time.
        validate_every: updates between two validations.
        seed: of the draws of windows.
        device: to train on; that of the operator by default.
        memory: GiB that the solution in a store may take in memory; of a larger one
            each update reads its windows from disk.
        progress: told about the updates.

    Returns:
        The recorded numbers, one array each: loss, gradient_norm, learning_rate and
        horizon per update, validation_iteration and validation_relative_l2.

    Raises:
        FloatingPointError: if the loss is not finite.
        ValueError: if the data live on another grid, or a setting does not fit.

    Example:
        >>> from stencilnet import Burgers, Grid, LearnedStencil, fit
        >>> from stencilnet import read_trajectories, simulate
        >>> path = simulate("burgers-p1-16", "fit.zarr", duration=4.0, overwrite=True)
        >>> learned = LearnedStencil(Burgers(viscosity=0.01), Grid.line(16))
        >>> history = fit(learned, read_trajectories(path), iterations=3, batch=4)
        >>> history["loss"].shape
        (3,)
    """
    if device is not None:
        operator.to(as_device(device))
    with ExitStack() as held:
        first = _source(operator, data, memory, forcing)
        learning = checked = held.enter_context(first)
        if validation is not None:
            checked = held.enter_context(_source(operator, validation, memory))
        horizons = _horizons(horizon, len(learning.times) - 1)
        total = whole_number("The number of iterations", iterations)
        substeps = _substeps(operator, learning, integrator, substeps)
        extra = tuple(parameters)
        trained = [p for p in (*operator.parameters(), *extra) if p.requires_grad]
        make, rate = _steps(optimizer, learning_rate, schedule, total)
        state = TrainingState(operator, make(trained))
        updates = Updates(
            integrator,
            substeps,
            whole_number("The batch", batch),
            lambda index: horizons[min(index, total - 1) * len(horizons) // total],
            rate,
            whole_number("The seed", seed, least=0),
            backward,
            real_number("The clip", clip, positive=True),
            loss,
            extra,
            _share("The averaging", averaging),
            compile,
        )
        both = (learning, checked)
        _run(state, updates, both, total, validate_every, callbacks, progress)
        operator.load_state_dict({**operator.state_dict(), **state.best})
        return {name: np.asarray(values) for name, values in state.history.items()}


def _steps(
    optimizer: Callable[[list[Tensor]], torch.optim.Optimizer] | None,
    learning_rate: float,
    schedule: Callable[[int], float] | None,
    total: int,
) -> tuple[
    Callable[[list[Tensor]], torch.optim.Optimizer], Callable[[int], float] | None
]:
    """What makes the optimizer, and its rate by update."""
    highest = real_number("The learning rate", learning_rate, positive=True)
    if schedule is None and optimizer is None:
        schedule = lambda index: warm_cosine(highest, index, total)  # noqa: E731
    return optimizer or (lambda found: torch.optim.Adam(found, lr=highest)), schedule


def _substeps(
    operator: LearnedStencil,
    learning: Source,
    integrator: Integrator,
    substeps: int | None,
) -> int:
    """Steps per kept state, as asked or stable; warns of those that are not."""
    longest = longest_interval(learning.times)
    extremes = learning.summary().extremes.to(learning.device)
    if substeps is None:
        limit = _SAFETY * operator.stable_step(extremes, integrator)
        substeps = substeps_within(longest, limit)
    operator.warn_if_unstable(extremes, integrator, longest / substeps)
    return substeps


def _share(name: str, value: float) -> float:
    """A number in [0, 1)."""
    number = real_number(name, value)
    if not 0 <= number < 1:
        raise ValueError(f"{name} must be in [0, 1), not {value}.")
    return number


def _horizons(horizon: int | Sequence[int], longest: int) -> list[int]:
    """Lengths of the windows by phase, none longer than the trajectories."""
    lengths = [horizon] if isinstance(horizon, int) else horizon
    return [min(whole_number("A horizon", length), longest) for length in lengths]


def _run(
    state: TrainingState,
    updates: Updates,
    sources: tuple[Source, Source],
    total: int,
    validate_every: int,
    callbacks: Iterable[Callback],
    progress: Progress,
) -> None:
    learning, validation = sources
    watching = tuple(callbacks)
    while state.iteration < total:
        updates.update(state, learning)
        due = state.iteration % validate_every == 0 or state.iteration == total
        if due:
            updates.validate(state, validation)
        latest = state.numbers()
        # All are asked, whatever the first one answers.
        stop = any([bool(callback(latest)) for callback in watching])  # noqa: C419
        progress(state.iteration, total, f"loss {latest['loss']:.1e}")
        if stop:
            if not due:
                updates.validate(state, validation)
            break


@contextmanager
def _source(
    operator: LearnedStencil,
    data: xr.Dataset | Path | str,
    memory: float,
    forcing: StoredForcing | None = None,
) -> Iterator[Source]:
    """Data as the operator holds them: on its grid, of its kind, precision, device."""
    if isinstance(data, xr.Dataset):
        yield _trajectories(operator, data, forcing)
        return
    path, most = local_path(data), int(memory * 2**30)
    device = next(operator.parameters(), torch.empty(0)).device
    own = boundary_classes(operator.grid)
    opened = stored(path, operator.dtype, device, memory=most, extensions=own)
    with opened as (source, dataset):
        if dataset["u"].nbytes > most:
            _check_grid(operator, dataset)
            if forcing is not None or source.averages != operator.averages:
                raise ValueError(
                    f"{path} takes more than {memory:g} GiB and is read from disk as "
                    f"it is: give it in the operator's kind with its own forcing, or "
                    f"raise memory."
                )
            yield source
            return
    yield _trajectories(operator, read_trajectories(path), forcing)


def _check_grid(operator: LearnedStencil, data: xr.Dataset) -> None:
    """Raises if data live on another grid than the operator."""
    grid = grid_of(data, boundary_classes(operator.grid))
    if grid != operator.grid:
        raise ValueError(
            f"The operator lives on {operator.grid.describe()}, the data on "
            f"{grid.describe()}: build it on grid_of(data)."
        )


def _trajectories(
    operator: LearnedStencil, data: xr.Dataset, forcing: StoredForcing | None = None
) -> Trajectories:
    """Data as the operator holds them: on its grid, of its kind, precision, device."""
    _check_grid(operator, data)
    u = in_kind("The operator", operator.averages, data)
    like = next(operator.parameters(), u)
    own = boundary_classes(operator.grid)
    found = Trajectories.of(data, operator.dtype, own)
    return Trajectories(
        u.to(like.device, operator.dtype),
        found.times,
        operator.grid,
        found.forcing if forcing is None else forcing,
        operator.averages,
    ).to(like.device)
