"""What a method costs and how wrong it is, in one measurement."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from stencilnet.discretizations import Discretization, Picture
from stencilnet.forcing import RandomForcing
from stencilnet.grid import Grid
from stencilnet.solver import Integrator, rollout, substeps_within
from stencilnet.storage import forcing_of, grid_of, tensor_of
from stencilnet.study.fronts import Case
from stencilnet.study.metrics import relative_l2


@dataclass(frozen=True)
class Problem:
    """Trajectories that methods are timed on.

    Attributes:
        u: in the kind that the method holds, in float64.
        times: equidistant.
        grid: of the trajectories.
        forcing: on the clock of `times`.
        averages: whether `u` holds cell averages.
    """

    u: Float[Tensor, "sample time x"]
    times: Float[Tensor, " time"]
    grid: Grid
    forcing: RandomForcing
    averages: bool

    @classmethod
    def of(cls, trajectories: xr.Dataset) -> "Problem":
        """The problem of stored trajectories."""
        return cls(
            tensor_of(trajectories["u"], torch.float64),
            tensor_of(trajectories["time"], torch.float64),
            grid_of(trajectories),
            forcing_of(trajectories).to(dtype=torch.float64),
            bool(trajectories["u"].attrs["averages"]),
        )

    @property
    def interval(self) -> float:
        """Time between two states."""
        return float(self.times[1] - self.times[0])


def measure(
    name: str,
    method: Discretization,
    problem: Problem,
    *,
    integrator: Integrator,
    step: float,
    dtype: torch.dtype = torch.float32,
    compile: bool = True,  # noqa: A002
    repeats: int = 10,
) -> Case:
    """Rolls a method out over a whole problem, and times it.

    Exact evolution takes the step as it is, through several intervals if need be, and
    is compared at the stored times that it meets; other methods divide the intervals
    into equal steps of at most `step`. Compilation and a first run are not counted;
    the time is the median of several runs, of a piece of the window where that is long.

    Args:
        name: of the case.
        method: on the problem's grid.
        problem: what to solve.
        integrator: of the method.
        step: in units of time.
        dtype: of the state.
        compile: whether to compile, where the integrator gains from it.
        repeats: timed runs; none for the error alone.
    """
    worth = compile and integrator.compilable
    force = problem.forcing.to(dtype=dtype).on(problem.grid, averages=problem.averages)
    stride, substeps = _meetings(method, problem.interval, step)
    truth, times = problem.u[:, ::stride], problem.times[::stride]
    u0 = truth[:, 0].to(dtype)

    def solve(count: int) -> Tensor:
        return rollout(
            method,
            u0,
            times[: count + 1],
            force,
            integrator=integrator,
            steps=substeps,
            compile=worth,
        )

    intervals = len(times) - 1
    with torch.no_grad():
        u = solve(intervals).double()
        error = float(relative_l2(u, truth).mean())
        seconds = math.nan
        if repeats:
            # At least a hundred steps, or all of them.
            piece = min(intervals, math.ceil(100 / substeps))
            share = piece / intervals
            seconds = _median(lambda: solve(piece), repeats) / share
    stages = len(getattr(integrator, "b", ())) or 1
    splitting = getattr(integrator, "splitting", None)
    stages = stages if splitting is None else len(splitting.drifts)
    taken = stride * problem.interval / substeps
    points = problem.grid.shape[-1]
    return Case(name, points, points, taken, stages / taken, error, seconds)


def _meetings(method: Discretization, interval: float, step: float) -> tuple[int, int]:
    """Stored intervals between two comparisons, and the steps that they take."""
    if not isinstance(method, Picture):
        return 1, substeps_within(interval, step)
    for count in range(1, 10):
        stride = round(count * step / interval)
        if stride and math.isclose(count * step, stride * interval, rel_tol=1e-9):
            return stride, count
    raise ValueError(
        f"Steps of {step:g} do not meet the stored times, {interval:g} apart: "
        f"take a step of which a small multiple is a multiple of that."
    )


def _median(call: Callable[[], object], repeats: int) -> float:
    call()
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return median(taken)
