"""Solves while one looks on: a learned and a classical method side by side."""

import dataclasses
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from stencilnet.discretizations import CLASSICAL, Discretization, Picture
from stencilnet.equations import Burgers, Equation
from stencilnet.errors import real_number, unknown
from stencilnet.forcing import StoredForcing
from stencilnet.grid import Grid
from stencilnet.solver import SSPRK3, Integrator
from stencilnet.study.following import follow, usual_integrator
from stencilnet.study.operators import Operator, habits, load_operator, moved

# States of a solve, and its most steps, which take some minutes.
_STATES, _MOST_STEPS = 50, 100_000
# Share of the stable step, for an answer at once; `compare` takes half of it. Pictures
# have their best step there.
_SAFETY, _SAFETY_OF_PICTURES = 0.9, 0.5


@dataclass(frozen=True)
class Live:
    """What to solve.

    Attributes:
        sample: whose initial state and, by default, forcing.
        classical: method beside the learned one.
        viscosity: another one than the store's.
        seed: of a forcing drawn anew.
        duration: from the initial state on.

    Example:
        >>> from stencilnet import load_config, simulate
        >>> from stencilnet.study import Live, opened
        >>> p2 = load_config("p2")
        >>> path = simulate("weno_z", "p2.zarr", config=p2, duration=1.0, points=16)
        >>> viscous = Live(sample=0, classical="muscl", viscosity=0.1, duration=1.0)
        >>> with opened(path) as explorer:
        ...     solved = explorer.solve(viscous)
        >>> sorted(solved.fields), solved.errors  # the store solves another problem
        (['learned', 'muscl'], {})
    """

    sample: int
    classical: str = "weno_z"
    viscosity: float | None = None
    seed: int | None = None
    duration: float = 20.0


@dataclass
class Solution:
    """What was solved.

    Attributes:
        times: of the states.
        fields: (time, x) by method.
        errors: relative L2 errors at `times`, by method, NaN where the store has no
            state to compare with; empty if it solves another problem.
        seconds: that each method took.
        steps: that each method made, in units of time.

    Example:
        >>> from stencilnet import load_config, simulate
        >>> from stencilnet.study import Live, Solution, opened
        >>> p2 = load_config("p2")
        >>> path = simulate("weno_z", "p2.zarr", config=p2, duration=1.0, points=16)
        >>> with opened(path) as explorer:
        ...     again: Solution = explorer.solve(Live(sample=0, duration=1.0))
        >>> again.fields["weno_z"].shape, bool(again.errors["weno_z"].max() < 1e-12)
        ((11, 16), True)
    """

    times: np.ndarray
    fields: dict[str, np.ndarray] = field(default_factory=dict)
    errors: dict[str, np.ndarray] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    steps: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Bench:
    """Methods for one equation and grid.

    Attributes:
        equation: of the store.
        grid: of the store.
        averages: whether states are cell averages.
        operator: the learned method in float64, None if none fits.
        name: of the operator.
        integrator: that it was trained with.
        step: that it was trained with, if it is at home on this grid.
    """

    equation: Equation
    grid: Grid
    averages: bool
    operator: Operator | None = None
    name: str = ""
    integrator: Integrator = SSPRK3
    step: float | None = None

    @property
    def viscosity(self) -> float | None:
        """The viscosity, of an equation that has one number of it."""
        value = getattr(self.equation, "viscosity", None)
        return float(value) if isinstance(value, int | float) else None

    @property
    def classical(self) -> list[str]:
        """Names of the classical methods that hold what the store holds."""
        return [name for name in CLASSICAL if self._holds(name)]

    def solve(
        self,
        live: Live,
        truth: np.ndarray,
        stored: np.ndarray,
        forcing: StoredForcing,
        *,
        compare_with: bool = True,
    ) -> Solution:
        """Solves for all that `live` asks for, from the first state of a sample.

        Args:
            live: what to solve.
            truth: the states of the sample, (time, x).
            stored: their times.
            forcing: on their clock.
            compare_with: whether the states solve the same problem, if the viscosity
                is the same.
        """
        equation = self._equation(live.viscosity)
        methods: dict[str, tuple[Discretization, Integrator, float | None]] = {}
        if self.operator is not None:
            at_home = equation == self.equation
            learned: Any = moved(self.operator, self.grid, equation).double()
            step = self.step if at_home else None
            methods["learned"] = (learned, self.integrator, step)
        method = self._method(live.classical, equation)
        methods[live.classical] = (method, usual_integrator(method), None)
        times = _times(stored, live.duration)
        result = Solution(times)
        range_ = torch.tensor(truth[:: max(1, len(truth) // 16)], dtype=torch.float64)
        for name, (each, integrator, step) in methods.items():
            started = time.perf_counter()
            with torch.inference_mode():
                share = _SAFETY_OF_PICTURES if isinstance(each, Picture) else _SAFETY
                longest = step or share * each.stable_step(range_, integrator)
                _refuse_long(name, times, longest)
                u, taken = follow(
                    each,
                    range_[:1],
                    torch.from_numpy(times),
                    forcing,
                    integrator=integrator,
                    step=longest,
                )
            result.seconds[name] = time.perf_counter() - started
            result.fields[name], result.steps[name] = u[0].numpy(), taken
        if compare_with and equation == self.equation:
            result.errors = {
                name: _errors(u, times, truth, stored)
                for name, u in result.fields.items()
            }
        return result

    def _equation(self, viscosity: float | None) -> Equation:
        if viscosity is None or viscosity == self.viscosity:
            return self.equation
        if self.viscosity is None:
            raise ValueError(
                f"{type(self.equation).__name__} has no viscosity to change."
            )
        least = real_number("The viscosity", viscosity, positive=True)
        changed: Equation = dataclasses.replace(
            self.equation,  # type: ignore[type-var]
            viscosity=least,
        )
        return changed

    def _method(self, name: str, equation: Equation) -> Discretization:
        if name not in CLASSICAL:
            raise unknown("method", name, CLASSICAL)
        return CLASSICAL[name].build(equation, self.grid).double()

    def _holds(self, name: str) -> bool:
        try:
            return self._method(name, self.equation).averages == self.averages
        except (TypeError, ValueError):
            return False


def bench_of(
    path: Path,
    grid: Grid,
    equation: Equation,
    averages: bool,
    operator: Path | str | None,
    extensions: Sequence[type],
) -> Bench:
    """Methods for the problem of a store.

    Args:
        path: of the store. The operator of the run around it is taken if `operator`
            is None and there is one that fits, or the pretrained one for Burgers'
            equation.
        grid: of its states.
        equation: that they solve.
        averages: whether they are cell averages.
        operator: store, or name of a pretrained operator.
        extensions: classes of your own that it names.

    Raises:
        ValueError: if the operator that was asked for does not fit.
    """
    plain = Bench(equation, grid, averages)
    candidates: list[Path | str] = [parent / "operator.zarr" for parent in path.parents]
    candidates = [place for place in candidates if Path(place).exists()][:1]
    if isinstance(equation, Burgers) and averages:
        candidates.append("burgers")
    for candidate in candidates if operator is None else [operator]:
        try:
            learned, stored = load_operator(candidate, extensions=extensions)
            there = moved(learned, grid, equation).double()
            if there.averages != averages:
                raise ValueError(
                    f"{candidate} and the states of {path} hold different kinds, cell "
                    f"averages and point values: give another store or operator."
                )
        except ValueError:
            if operator is not None:
                raise
            continue
        integrator, step = habits(stored)
        # Elsewhere the step of a picture may be far from the best.
        at_home = learned.grid == grid and learned.equation == equation
        if isinstance(learned, Picture) and not at_home:
            step = None
        return dataclasses.replace(
            plain,
            operator=there,
            name=str(candidate),
            integrator=integrator,
            step=step,
        )
    return plain


def _times(stored: np.ndarray, duration: float) -> Float[np.ndarray, " time"]:
    """Equidistant times from the first stored one on, stored ones where there are."""
    duration = real_number("The duration", duration, positive=True)
    gaps = np.diff(stored)
    interval = duration / _STATES
    if len(gaps) and np.allclose(gaps, gaps[0], rtol=1e-6):
        interval = gaps[0] * max(1, round(interval / gaps[0]))
    count = max(1, math.ceil(duration / interval - 1e-9))
    times = stored[0] + interval * np.arange(count + 1)
    return times.astype(np.float64)


def _refuse_long(name: str, times: np.ndarray, step: float) -> None:
    if not step > 0 or (times[-1] - times[0]) / step > _MOST_STEPS:
        raise ValueError(
            f"{name} would take steps of {step:.2g}, more than {_MOST_STEPS} of them: "
            f"choose a shorter duration, or another method or viscosity."
        )


def _errors(
    u: np.ndarray, times: np.ndarray, truth: np.ndarray, stored: np.ndarray
) -> np.ndarray:
    """Relative L2 error at the times that are stored, NaN at others."""
    nearest = np.abs(stored - times[:, np.newaxis]).argmin(1)
    tolerance = 1e-6 * max(times[-1] - times[0], 1e-300)
    known = np.abs(stored[nearest] - times) < tolerance
    with np.errstate(all="ignore"):
        distance = np.sqrt(((u - truth[nearest]) ** 2).sum(-1))
        error = distance / np.sqrt((truth[nearest] ** 2).sum(-1))
    return np.where(known & np.isfinite(error), error, np.nan)
