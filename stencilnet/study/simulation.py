"""Simulation: rollouts of one method for new forcings, in a store."""

import json
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.discretizations import CLASSICAL, Discretization, Picture
from stencilnet.errors import real_number, whole_number
from stencilnet.forcing import RandomForcing
from stencilnet.grid import Grid
from stencilnet.solver import INTEGRATORS, Integrator
from stencilnet.storage import (
    local_path,
    refuse_existing,
    trajectories,
    write_trajectories,
)
from stencilnet.study.config import Config, Problem
from stencilnet.study.devices import as_device, as_dtype
from stencilnet.study.following import follow_on, usual_integrator
from stencilnet.study.initial import States, averaged
from stencilnet.study.loading import stored_config
from stencilnet.study.operators import habits, load_operator, moved, pretrained
from stencilnet.study.problem import (
    domain_of,
    equation_of,
    forcing_of,
    integrator_of,
    method_of,
    methods_of,
    states_of,
    times_of,
)
from stencilnet.study.reference import onto

# Share of the stable step that a classical method takes.
_SAFETY = 0.5
# Points of the grid through which averages of an initial state are taken, at least.
_FINE = 512


@dataclass(frozen=True)
class _Setup:
    """A method with all that a rollout of it needs.

    Attributes:
        method: the right-hand side, in float64.
        config: its problem.
        integrator: of the rollout.
        step: the step it was trained with, if it was.
    """

    method: Discretization
    config: Config
    integrator: Integrator
    step: float | None = None


def simulate(
    method: str,
    out: Path | str,
    *,
    config: Config | None = None,
    seed: int = 0,
    samples: int = 1,
    duration: float | None = None,
    points: int | None = None,
    substeps: int | None = None,
    extensions: Sequence[type] = (),
    overwrite: bool = False,
    device: torch.device | str | None = None,
    dtype: torch.dtype | str = torch.float64,
) -> Path:
    """Solves the problem of a config for forcings of a seed.

    Args:
        method: path of an operator store, or the name of a pretrained operator or of
            a classical method.
        out: path of the trajectory store to write.
        config: the problem. An operator brings the one it was trained on; a classical
            method needs it.
        seed: of the forcings.
        samples: number of forcings, one trajectory each.
        duration: time from the initial state on; the problem's own by default.
        points: grid of a classical method; the first of the config's comparison by
            default. An operator keeps its spacing, so the domain sets its points.
        substeps: steps per kept state; an operator's own, or what keeps a classical
            method at half its stable step, by default.
        extensions: classes of your own that an operator's store names.
        overwrite: whether to replace a store at `out`.
        device: to solve on; that of `config` by default, or the processor.
        dtype: precision, float64 or float32.

    Returns:
        The path of the store. A blow-up is kept in it and counted in `blow_ups`.

    Raises:
        FileExistsError: if `out` exists and `overwrite` is false.
        FileNotFoundError: if `method` is neither a store nor a known name.
        ValueError: if a number does not fit the problem or the operator.

    Example:
        >>> from stencilnet import load_config, simulate
        >>> p2 = load_config("p2")
        >>> simulate("weno_z", "p2.zarr", config=p2, duration=1.0, points=32).name
        'p2.zarr'
    """
    out = local_path(out)
    refuse_existing(out, overwrite=overwrite, kind="trajectories")
    precision = as_dtype(dtype)
    device = device or ("cpu" if config is None else config.device)
    place = as_device(device, needs=precision), precision
    setup = _setup(method, config, points, extensions)
    problem, grid = setup.config.problem, setup.method.grid
    intervals = _intervals(problem, duration)
    if substeps is not None and substeps < 1:
        raise ValueError(f"`substeps` must be a positive integer, not {substeps}.")
    times = times_of(intervals, problem.interval)
    streams = np.random.SeedSequence(whole_number("A seed", seed, least=0))
    forcing = forcing_of(setup.config, samples, streams)
    averages = setup.method.averages
    u0 = _on_grid(states_of(setup.config, samples, streams), grid, averages=averages)
    if substeps is None:
        longest = setup.step or _cautious_step(setup, u0, forcing)
    else:
        longest = problem.interval / substeps
    how: dict[str, Any] = {"integrator": setup.integrator, "step": longest}
    u, step = follow_on(place, setup.method, u0, times, forcing, **how)
    blow_ups = _warn_of_trouble(setup, u, times, step)
    dataset = trajectories(
        u,
        times,
        grid,
        forcing,
        averages=averages,
        finite=False,
        attributes={
            "config": setup.config.model_dump_json(),
            "method": method,
            "seed": seed,
            "equation": json.dumps(setup.method.equation.spec()),
            "integrator": _name_of(setup.integrator),
            "step": step,
            "blow_ups": blow_ups,
        },
    )
    return write_trajectories(dataset, out, overwrite=overwrite)


def _intervals(problem: Problem, duration: float | None) -> int:
    """Intervals between kept states in the duration of a simulation."""
    duration = problem.duration if duration is None else duration
    duration = real_number("The duration", duration)
    if not 0 < duration < math.inf:
        raise ValueError(
            f"The duration of a simulation is positive and finite, not {duration:g}."
        )
    intervals = round(duration / problem.interval)
    if not (intervals >= 1 and math.isclose(intervals * problem.interval, duration)):
        raise ValueError(
            f"The duration {duration:g} is no whole number of intervals of "
            f"{problem.interval:g} between kept states: change it."
        )
    return intervals


def _warn_of_trouble(
    setup: _Setup,
    u: Float[Tensor, "sample time x"],
    times: Float[Tensor, " time"],
    step: float,
) -> int:
    """Warns of steps that are not stable and of blow-ups, and counts these."""
    finite = torch.isfinite(u).all(-1)
    good = finite.all(-1)
    blow_ups = int((~good).sum())
    # What was reached long before a blow-up; the states right before it say nothing.
    lasted = finite.int().cumprod(-1).sum(-1)
    until = torch.where(good, len(times) - 1, lasted // 2).unsqueeze(-1)
    early = torch.arange(len(times)) <= until
    setup.method.warn_if_unstable(u[early].double(), setup.integrator, step)
    if blow_ups:
        first = float(times[int((~finite).any(0).int().argmax())])
        warnings.warn(
            f"{blow_ups} of {len(u)} trajectories blew up, the first at "
            f"t = {first:g}: use more substeps, more points or another method.",
            stacklevel=3,
        )
    return blow_ups


def _setup(
    method: str,
    config: Config | None,
    points: int | None,
    extensions: Sequence[type],
) -> _Setup:
    """Method and problem of a simulation."""
    path = local_path(method)
    if not path.exists() and method not in pretrained():
        return _classical_setup(method, config, points)
    at_home = config is None and points is None
    if config is not None:
        extensions = (*config.extensions, *extensions)
    learned, stored = load_operator(path, extensions=extensions)
    config = config or stored_config(stored.attributes, path, extensions)
    problem = config.problem
    if isinstance(learned, Picture) and points is not None:
        learned = learned.on(domain_of(config, points))
    spacing = learned.grid.spacing[-1]
    grid = domain_of(config, max(round(problem.length / spacing), 1))
    fits = math.isclose(grid.spacing[-1], spacing, rel_tol=1e-9)
    if not fits or points not in (None, grid.shape[-1]):
        raise ValueError(
            f"The operator in {path} was learned at the spacing {spacing:.4g}: give a "
            f"domain that it divides, and no other number of points."
        )
    integrator, step = habits(stored)
    if isinstance(learned, Picture) and not at_home:
        # Elsewhere its own step may be far from the best.
        step = None
    method_there = moved(learned, grid, equation_of(config)).double()
    return _Setup(method_there, config, integrator, step)


def _classical_setup(method: str, config: Config | None, points: int | None) -> _Setup:
    """A classical method of the package or of a config."""
    known = CLASSICAL if config is None else methods_of(config)
    if method not in known:
        raise FileNotFoundError(
            f"{method} is neither an operator store nor a classical method: give a "
            f"path or one of {', '.join(known)}."
        )
    if config is None:
        raise ValueError(
            f"The classical method {method} needs a problem: name a config, as in "
            f"--config p2."
        )
    points = config.comparison.points[0] if points is None else points
    grid = domain_of(config, points)
    built = method_of(config, method, grid)
    if isinstance(built, Picture):
        return _Setup(built, config, usual_integrator(built))
    return _Setup(built, config, integrator_of(config.comparison.integrator))


def _name_of(integrator: Integrator) -> str:
    """The name of an integrator in `INTEGRATORS`, or that of its class."""
    names = (name for name, value in INTEGRATORS.items() if value is integrator)
    return next(names, type(integrator).__name__)


def _cautious_step(
    setup: _Setup, u0: Float[Tensor, "sample x"], forcing: RandomForcing
) -> float:
    """Half the stable step for twice the range of the initial state and the forcing.

    A state at rest has no speed yet; the forcing soon gives it one.
    """
    force = forcing.on(setup.method.grid, averages=setup.method.averages)(0.0)
    range_ = torch.cat([2 * u0, force, -force])
    return _SAFETY * setup.method.stable_step(range_, setup.integrator)


def _on_grid(
    states: States, grid: Grid, *, averages: bool
) -> Float[Tensor, "sample x"]:
    """Initial states on a grid, through a fine grid that has its points."""
    refinement = max(1, math.ceil(_FINE / grid.shape[-1]))
    if grid.boundaries is not None:
        return averaged(states, grid, refinement) if averages else states(grid)
    fine = Grid.line(grid.shape[-1] * refinement, grid.extent[-1])
    u = states(fine)
    modes = torch.fft.rfft(u, norm="forward")
    return onto(modes, fine, grid, averages=averages)
