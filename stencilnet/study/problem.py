"""The values that a config stands for: equation, initial state, forcing, methods."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.boundaries import boundary_from_spec
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

    Example:
        >>> from stencilnet import load_config
        >>> from stencilnet.study import equation_of
        >>> equation_of(load_config("p2", ["problem.equation.viscosity=0.1"]))
        Burgers(viscosity=0.1)
    """
    return equation_from_spec(config.problem.equation, config.extensions)


def domain_of(config: Config, points: int) -> Grid:
    """The grid of a number of points on the domain of a problem.

    Raises:
        ValueError: if a boundary is unknown or its parameters do not fit it.
    """
    problem, ends = config.problem, None
    if problem.boundaries is not None:
        left, right = (
            boundary_from_spec(problem.boundaries[end], config.extensions)
            for end in ("left", "right")
        )
        ends = left, right
    return Grid.line(points, problem.length, boundaries=ends)


def states_of(
    config: Config,
    samples: int,
    seed: int | np.random.SeedSequence,
    *,
    first: int = 0,
) -> States:
    """Initial states of some samples, mirrored and boosted as the config says.

    The first of them is that of the number `first` in a draw of more.

    Raises:
        ValueError: if the name of the state is unknown, its parameters do not fit, or
            the equation has not the symmetry that is asked for.

    Example:
        >>> import torch
        >>> from stencilnet import Grid, load_config
        >>> from stencilnet.study import states_of
        >>> p2 = load_config("p2")
        >>> u, third = states_of(p2, 3, seed=0), states_of(p2, 1, seed=0, first=2)
        >>> tuple(u(Grid.line(32)).shape), tuple(u(Grid.line(64)).shape)
        ((3, 32), (3, 64))
        >>> torch.equal(u(Grid.line(32))[2:], third(Grid.line(32)))
        True
    """
    problem = config.problem
    check_symmetries(
        equation_of(config), mirrored=problem.mirrored, boost=problem.boost
    )
    state = initial_state_from_spec(problem.initial, config.extensions)
    states = state.sample(samples, seed, first=first)
    if problem.mirrored:
        states = mirrored_states(states)
    return boosted_states(states, problem.boost) if problem.boost else states


def forcing_of(
    config: Config,
    samples: int,
    seed: int | np.random.SeedSequence,
    *,
    first: int = 0,
) -> RandomForcing:
    """Forcings of some samples, on a clock that starts at the initial state.

    Mirrored and boosted as the config says. The first of them is that of the number
    `first` in a draw of more.

    Example:
        >>> from stencilnet import Grid, load_config
        >>> from stencilnet.study import forcing_of
        >>> forcing = forcing_of(load_config("p2"), 3, seed=0)
        >>> f = forcing.on(Grid.line(32))(0.5)
        >>> tuple(f.shape), bool(f.mean(-1).abs().max() < 1e-12)
        ((3, 32), True)
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
        first=first,
    )
    problem = config.problem
    if problem.mirrored:
        forcing = mirrored_forcing(forcing)
    return boosted_forcing(forcing, problem.boost, problem.length)


def split_seed(config: Config, split: str) -> np.random.SeedSequence:
    """The random streams of a split, disjoint from those of the others."""
    return np.random.SeedSequence(config.data.seed, spawn_key=(SPLITS.index(split),))


def split_forcing(
    config: Config, split: str, rows: slice = slice(None)
) -> RandomForcing:
    """The forcings of a split, or of some rows, on a clock from before the warm-up."""
    start, stop, _ = rows.indices(getattr(config.data, split))
    return forcing_of(config, stop - start, split_seed(config, split), first=start)


def times_of(intervals: int, interval: float) -> Float[Tensor, " time"]:
    """Equidistant times from 0 on, as decimals that a user would write."""
    return equidistant_times(intervals, interval)


def problem_of(config: Config, *splits: str) -> InitialValueProblem:
    """Initial value problem of some splits, warm-up included.

    Example:
        >>> from stencilnet import load_config
        >>> from stencilnet.study import problem_of
        >>> problem = problem_of(load_config("p2"), "validation", "test")
        >>> problem.equation, len(problem.forcing), len(problem.times)
        (Burgers(viscosity=0.02), 32, 401)
    """
    return _problem(config, [(split, slice(None)) for split in splits])


def problem_of_samples(config: Config, samples: Iterable[int]) -> InitialValueProblem:
    """Initial value problem of some samples, of which no others are drawn.

    Args:
        config: the study.
        samples: their numbers, counted through all splits in the order of `SPLITS`.
    """
    runs: list[tuple[str, slice]] = []
    for sample in samples:
        row = sample
        for split in SPLITS:
            if row < getattr(config.data, split):
                break
            row -= getattr(config.data, split)
        if runs and runs[-1][0] == split and runs[-1][1].stop == row:
            runs[-1] = (split, slice(runs[-1][1].start, row + 1))
        else:
            runs.append((split, slice(row, row + 1)))
    return _problem(config, runs)


def _problem(config: Config, parts: Sequence[tuple[str, slice]]) -> InitialValueProblem:
    """Initial value problem of some rows of splits, one after another."""
    problem = config.problem
    skipped = round(problem.warm_up / problem.interval)
    intervals = skipped + round(problem.duration / problem.interval)
    states = []
    for split, rows in parts:
        start, stop, _ = rows.indices(getattr(config.data, split))
        seed = split_seed(config, split)
        states.append(states_of(config, stop - start, seed, first=start))
    return InitialValueProblem(
        equation_of(config),
        lambda grid: torch.cat([draw(grid) for draw in states]),
        RandomForcing.join([split_forcing(config, *part) for part in parts]),
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
