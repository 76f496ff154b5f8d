"""The values that a config stands for: equation, initial state, forcing, methods."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.discretizations import (
    CLASSICAL,
    PICTURES,
    Classical,
    Discretization,
)
from stencilnet.equations import Equation, equation_from_spec
from stencilnet.errors import unknown
from stencilnet.forcing import RandomForcing
from stencilnet.grid import Grid
from stencilnet.solver import INTEGRATORS, Integrator
from stencilnet.storage import equidistant_times
from stencilnet.study.config import Config
from stencilnet.study.initial import States
from stencilnet.study.initial_kinds import initial_state_from_spec
from stencilnet.study.reference import InitialValueProblem
from stencilnet.study.transformations import (
    boosted_forcing,
    boosted_states,
    check_symmetries,
    mirrored_forcing,
    mirrored_states,
)

SPLITS = ("training", "validation", "test")


def equation_of(config: Config) -> Equation:
    """The equation of a problem.

    Raises:
        ValueError: if its name is unknown or its parameters do not fit it.
    """
    return equation_from_spec(config.problem.equation, config.extensions)


def states_of(
    config: Config, samples: int, seed: int | np.random.SeedSequence
) -> States:
    """Initial states of some samples, mirrored and boosted as the config says.

    Raises:
        ValueError: if the name of the state is unknown, its parameters do not fit, or
            the equation has not the symmetry that is asked for.
    """
    problem = config.problem
    check_symmetries(
        equation_of(config), mirrored=problem.mirrored, boost=problem.boost
    )
    state = initial_state_from_spec(problem.initial, config.extensions)
    states = state.sample(samples, seed)
    if problem.mirrored:
        states = mirrored_states(states)
    return boosted_states(states, problem.boost) if problem.boost else states


def forcing_of(
    config: Config, samples: int, seed: int | np.random.SeedSequence
) -> RandomForcing:
    """Forcings of some samples, on a clock that starts at the initial state.

    Mirrored and boosted as the config says.
    """
    draw = config.forcing
    if draw is None:
        return RandomForcing.none(samples)
    forcing = RandomForcing.sample(
        samples,
        modes=draw.modes,
        amplitude=draw.amplitude,
        frequency=draw.frequency,
        wavenumbers=draw.wavenumbers,
        seed=seed,
    )
    problem = config.problem
    if problem.mirrored:
        forcing = mirrored_forcing(forcing)
    return boosted_forcing(forcing, problem.boost, problem.length)


def split_seed(config: Config, split: str) -> np.random.SeedSequence:
    """The random streams of a split, disjoint from those of the others."""
    return np.random.SeedSequence(config.data.seed, spawn_key=(SPLITS.index(split),))


def split_forcing(config: Config, split: str) -> RandomForcing:
    """The forcings of a split, on a clock that starts before the warm-up."""
    return forcing_of(config, getattr(config.data, split), split_seed(config, split))


def split_states(config: Config, split: str) -> States:
    """The initial states of a split, before the warm-up."""
    return states_of(config, getattr(config.data, split), split_seed(config, split))


def times_of(intervals: int, interval: float) -> Float[Tensor, " time"]:
    """Equidistant times from 0 on, as decimals that a user would write."""
    return equidistant_times(intervals, interval)


def problem_of(config: Config, *splits: str) -> InitialValueProblem:
    """Initial value problem of some splits, warm-up included."""
    problem = config.problem
    skipped = round(problem.warm_up / problem.interval)
    intervals = skipped + round(problem.duration / problem.interval)
    states = [split_states(config, split) for split in splits]
    return InitialValueProblem(
        equation_of(config),
        lambda grid: torch.cat([draw(grid) for draw in states]),
        RandomForcing.join([split_forcing(config, split) for split in splits]),
        times_of(intervals, problem.interval),
        skipped,
    )


def methods_of(config: Config) -> dict[str, Classical]:
    """The classical methods that a config may name, its own discretizations included.

    A class of its own is built from equation and grid and goes by its name.
    """
    own = {
        cls.__name__: Classical(cls, cls.__name__, 0)
        for cls in config.extensions
        if issubclass(cls, Discretization)
    }
    return {**CLASSICAL, **PICTURES, **own}


def method_of(config: Config, name: str, grid: Grid) -> Discretization:
    """A classical method for the equation of a config.

    Raises:
        ValueError: if there is none of this name, or it does not take the equation.
    """
    methods = methods_of(config)
    if name not in methods:
        raise unknown("method", name, methods)
    return methods[name].build(equation_of(config), grid)


def integrator_of(name: str) -> Integrator:
    """The integrator of a name.

    Raises:
        ValueError: if there is none, naming the nearest one.
    """
    if name not in INTEGRATORS:
        raise unknown("integrator", name, INTEGRATORS)
    return INTEGRATORS[name]
