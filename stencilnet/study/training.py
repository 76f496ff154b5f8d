"""Training of learned stencils through the solver."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

from stencilnet.discretizations import (
    LearnedStencil,
    constraints_from_spec,
    network_from_spec,
)
from stencilnet.equations import form_from_name
from stencilnet.grid import Grid
from stencilnet.progress import Progress, no_progress, shown
from stencilnet.solver import Integrator
from stencilnet.storage import (
    STOPS,
    StoredOperator,
    claimed,
    local_path,
    refuse_existing,
    sweep_below,
    uninterrupted,
    write_operator,
)
from stencilnet.study.certificate import certify
from stencilnet.study.config import Config, Training
from stencilnet.study.constant import CONSTANT, constant_training
from stencilnet.study.devices import DTYPES
from stencilnet.study.losses import LossLog, Watch, tell
from stencilnet.study.operators import stencils_of
from stencilnet.study.problem import domain_of, equation_of, integrator_of
from stencilnet.study.ranks import Ranks, joined
from stencilnet.study.schedule import horizon_at, learning_rate, note
from stencilnet.study.sources import Sources, sources
from stencilnet.study.state import (
    TrainingState,
    checkpoints,
    last_checkpoint,
    remove_checkpoints,
    resume_from,
    write_checkpoint,
)
from stencilnet.study.updates import Updates

_STOPPED = "Stopped after update {}: continue with the same command and --resume."


def new_operator(config: Config, grid: Grid, scale: float) -> LearnedStencil:
    """The untrained operator of a config.

    Raises:
        ValueError: if the equation or a setting is not one of those that exist.
    """
    operator = config.operator
    return LearnedStencil(
        equation_of(config),
        grid,
        form=form_from_name(operator.form, config.extensions),
        constraint=constraints_from_spec(operator.constraint, config.extensions),
        network=network_from_spec(operator.network),
        width=operator.width,
        window=operator.window,
        mirror=operator.mirror,
        scale=scale,
        seed=config.training.seed,
        dtype=DTYPES[config.training.dtype],
    )


def check_training(config: Config) -> None:
    """Validates operator and integrator settings before any work starts.

    Raises:
        ValueError: naming the setting.
    """
    integrator_of(config.training.integrator)
    new_operator(config, domain_of(config, config.operator.points), 1.0)


def train(
    config: Config,
    run: Path | str,
    *,
    operator: LearnedStencil | None = None,
    data: Path | str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    device: torch.device | str | None = None,
    dtype: torch.dtype | str | None = None,
    watch: Watch | None = None,
    progress: Progress | bool = no_progress,
) -> Path:
    """Trains a learned stencil on the trajectories of a run and stores the best.

    Windows of random samples and start times are rolled out through the solver, and
    their error is differentiated back to the weights. Every `validate_every` updates
    the operator is rolled out over the whole validation trajectories; the weights of
    the lowest relative L2 error are the result, with a certificate of them. Where the
    comparison names the best constant stencil, that is trained first. Every draw
    depends only on the seed and the number of the update, so a resumed training ends at
    the same bits as one that was never interrupted (on one machine, with one number of
    threads).

    Args:
        config: the study; sections problem, operator and training are read.
        run: its folder, which `generate` has filled. The operator goes to
            `operator.zarr`, checkpoints to `checkpoints/`, the losses to `losses.csv`
            as they come; the best constant stencil to `constant.zarr`.
        operator: what to train, on the grid of the data, in place of the operator that
            the config describes; it is trained in place.
        data: folder of the run whose trajectories to learn from, this one by default.
        resume: whether to continue from the last checkpoint, if there is one.
        overwrite: whether to replace an operator and older checkpoints.
        device: to train on; that of the config by default.
        dtype: precision, float32 or float64; that of the config by default.
        watch: told the numbers of each update of the operator, as callbacks of `fit`
            are, such as a `TensorBoard`.
        progress: told about the updates; True for a display.

    Returns:
        The path of the operator's store.

    Raises:
        FileNotFoundError: if the run lacks the trajectories.
        BlockingIOError: if another process generates or trains in the run.
        FileExistsError: if there is an operator, or there are checkpoints and
            neither `resume` nor `overwrite` is given.
        FloatingPointError: if the loss is not finite; the last checkpoint stays.
        ValueError: if a setting does not fit the data.

    Example:
        >>> from stencilnet import generate, load_config, train
        >>> sizes = "data.training=2 data.validation=1 data.test=1 reference.points=64"
        >>> problem = "problem.duration=1 problem.equation.viscosity=0.1"
        >>> forcing = "forcing.wavenumbers=[1,2] comparison.methods=[weno_z]"
        >>> short = "training.iterations=2 training.horizon=[1]"
        >>> settings = " ".join((sizes, problem, forcing, short)).split()
        >>> config = load_config("demo", settings)
        >>> paths = generate(config, "trained", overwrite=True)
        >>> train(config, "trained", overwrite=True).name
        'operator.zarr'
    """
    run = local_path(run)
    target = run / "operator.zarr"
    source = run if data is None else local_path(data)
    config = config.on("training", device=device, dtype=dtype)
    check_training(config)
    with joined(str(config.training.device)) as ranks, ExitStack() as stack:
        ranks.share(config.training.batch)
        with ranks.together():
            if ranks.first:
                stack.enter_context(claimed(run))
                sweep_below(run)
            refuse_existing(target, overwrite=overwrite, kind="operator")
            if checkpoints(run / "checkpoints") and not (resume or overwrite):
                raise FileExistsError(
                    f"{run / 'checkpoints'} exists: continue from it with --resume, or "
                    f"replace it with --overwrite (in Python, resume=True, "
                    f"overwrite=True)."
                )
            missing = overwrite or not (run / f"{CONSTANT}.zarr").exists()
            two = missing and CONSTANT in config.comparison.methods
        display = progress if ranks.first else no_progress
        told = stack.enter_context(shown(display, "Training"))
        arguments = (run, source, resume, overwrite, told, ranks)
        if two:
            _train(constant_training(config), *arguments, name=CONSTANT)
        return _train(config, *arguments, operator=operator, watch=watch)


def _train(
    config: Config,
    run: Path,
    source: Path,
    resume: bool,
    overwrite: bool,
    progress: Progress,
    ranks: Ranks,
    *,
    name: str = "operator",
    operator: LearnedStencil | None = None,
    watch: Watch | None = None,
) -> Path:
    """Trains one operator into the store of a name, see `train`."""
    training = config.training
    target = run / f"{name}.zarr"
    folder = run / ("checkpoints" if name == "operator" else f"checkpoints-{name}")
    integrator = integrator_of(training.integrator)
    with ExitStack() as stack:
        with ranks.together():
            data = stack.enter_context(sources(config, source, operator, ranks.device))
            data.learning.check_horizon(max(training.horizon))
            summary = data.learning.summary()
            grid = data.learning.grid
            operator = operator or new_operator(config, grid, summary.deviation)
            attributes = _attributes(config, data.learned)
        step = attributes["step"]
        operator.cpu().warn_if_unstable(summary.extremes, integrator, step)
        operator.to(ranks.device)
        state = TrainingState(operator, torch.optim.Adam(operator.parameters()))
        _begin(state, folder, attributes, ranks, resume=resume)
        stack.enter_context(ranks.named())
        losses = LossLog(run, name, state.history) if ranks.first else None
        _iterate(
            state,
            _updates(training, integrator, folder, ranks),
            data,
            training,
            lambda: write_checkpoint(state, folder, attributes),
            lambda: tell(state, losses, watch) if losses else None,
            progress,
        )
        if ranks.first:
            operator.load_state_dict({**operator.state_dict(), **state.best})
            operator.cpu()
            # The stencils have changed, and the limit of the step with them.
            operator.warn_if_unstable(summary.extremes, integrator, step)
            certificate = certify(
                operator, data.validated, integrator=integrator, step=step
            )
            stored = StoredOperator(
                operator.spec(),
                {name: value.cpu().numpy() for name, value in state.best.items()},
                {name: np.asarray(values) for name, values in state.history.items()},
                {**attributes, "validation_relative_l2": state.best_error},
                certificate,
                stencils_of(operator),
            )
            write_operator(stored, target, overwrite=overwrite)
        ranks.wait()
    return target


def _begin(
    state: TrainingState,
    folder: Path,
    attributes: dict[str, Any],
    ranks: Ranks,
    *,
    resume: bool,
) -> None:
    """Continues from the last checkpoint, or removes those that there are."""
    with ranks.together():
        if ranks.first and resume:
            resume_from(state, folder, attributes)
        elif ranks.first:
            remove_checkpoints(folder)
    # The first one may have put damaged ones aside.
    with ranks.together():
        if resume and not ranks.first:
            resume_from(state, folder, attributes)


def _iterate(
    state: TrainingState,
    updates: Updates,
    data: Sources,
    training: Training,
    keep: Callable[[], None],
    log: Callable[[], None],
    progress: Progress,
) -> None:
    """All updates, with validations and checkpoints; a signal ends it with one.

    Args:
        state: where the training stands.
        updates: how it goes on.
        data: to learn from and to validate on.
        training: its settings.
        keep: writes a checkpoint.
        log: writes the losses of the latest update.
        progress: told about the updates.
    """
    first = updates.ranks.first
    try:
        while state.iteration < training.iterations:
            with uninterrupted():
                updates.update(state, data.learning)
                last = state.iteration == training.iterations
                due = last or state.iteration % training.validate_every == 0
                if first and due:
                    updates.validate(state, data.validation)
                if first and (last or state.iteration % training.checkpoint_every == 0):
                    keep()
                log()
            progress(state.iteration, training.iterations, note(state.history))
    except (*STOPS, ConnectionError) as stop:
        if state.iteration and first:
            with uninterrupted():
                keep()
            if isinstance(stop, STOPS):
                stop.args = (_STOPPED.format(state.iteration),)
        raise


def _attributes(config: Config, dataset: xr.Dataset) -> dict[str, Any]:
    """What a store says of its training."""
    training = config.training
    return {
        "config": config.model_dump_json(),
        "data_hash": dataset.attrs["content_hash"],
        "integrator": training.integrator,
        "step": config.problem.interval / training.substeps,
    }


def _updates(
    training: Training, integrator: Integrator, folder: Path, ranks: Ranks
) -> Updates:
    """The updates that a config asks for."""

    def remedy() -> str:
        saved = last_checkpoint(folder)
        remains = (
            f"the last good checkpoint is {saved}" if saved else "there is none yet"
        )
        return (
            f"{remains}: lower training.learning_rate or shorten training.horizon, "
            f"then use --resume"
        )

    return Updates(
        integrator,
        training.substeps,
        training.batch,
        lambda iteration: horizon_at(training, iteration),
        lambda iteration: learning_rate(training, iteration),
        training.seed,
        training.backward,
        training.clip,
        averaging=training.averaging,
        compile=training.compile,
        remedy=remedy,
        ranks=ranks,
    )
