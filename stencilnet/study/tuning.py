"""Numbers of a classical scheme, fitted to the trajectories that learning sees."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import optimize

from stencilnet.discretizations import Discretization
from stencilnet.solver import SSPRK3, Integrator
from stencilnet.study.timing import measure
from stencilnet.study.windows import Trajectories

# What takes the place of an infinite error, larger than any other.
_BLOWN_UP = 1e3


@dataclass(frozen=True)
class Tuning:
    """The numbers that were found.

    Attributes:
        numbers: by name.
        error: relative L2 error with them on the trajectories they were fitted to.
        before: the same with the numbers that the search began with.
        evaluations: rollouts that the search took.
    """

    numbers: dict[str, float]
    error: float
    before: float
    evaluations: int


def tune(
    build: Callable[..., Discretization],
    start: Mapping[str, float],
    bounds: Mapping[str, tuple[float, float]],
    learning: Trajectories,
    *,
    step: float,
    integrator: Integrator = SSPRK3,
    evaluations: int = 100,
) -> Tuning:
    """Minimizes the error of rollouts over whole trajectories by Nelder and Mead.

    Source: Nelder and Mead (1965), doi:10.1093/comjnl/7.4.308.

    Args:
        build: `build(**numbers)` makes the method on the grid of the trajectories.
        start: the numbers to begin with, by name.
        bounds: the least and the largest value of each.
        learning: trajectories to fit to, in float64.
        step: in units of time.
        integrator: of the rollouts.
        evaluations: rollouts, at most.

    Raises:
        ValueError: if the names of `bounds` are others, or a number begins outside.
    """
    names = list(start)
    if set(names) != set(bounds):
        raise ValueError(
            f"Each of {', '.join(names)} needs bounds, but there are those of "
            f"{', '.join(bounds)}."
        )
    for name, value in start.items():
        low, high = bounds[name]
        if not low <= value <= high:
            raise ValueError(
                f"{name} begins at {value}, outside of its bounds {low} and {high}."
            )

    def error(values: np.ndarray) -> float:
        numbers = dict(zip(names, map(float, values), strict=True))
        case = measure(
            "tuned",
            build(**numbers),
            learning,
            integrator=integrator,
            step=step,
            compile=False,
            repeats=0,
        )
        return case.error if math.isfinite(case.error) else _BLOWN_UP

    first = np.array(list(start.values()))
    least, most = (np.array([bounds[name][side] for name in names]) for side in (0, 1))
    # A simplex of a quarter of the bounds, which points inwards.
    edges = np.where(first + (most - least) / 4 <= most, 1, -1) * (most - least) / 4
    simplex = np.vstack([first, first + np.diag(edges)])
    found = optimize.minimize(
        error,
        first,
        method="Nelder-Mead",
        bounds=list(zip(least, most, strict=True)),
        options={
            "initial_simplex": simplex,
            "maxfev": evaluations,
            "xatol": 1e-3,
            "fatol": 1e-6,
        },
    )
    numbers = dict(zip(names, map(float, found.x), strict=True))
    return Tuning(numbers, float(found.fun), error(first), int(found.nfev))
