"""What a method costs and how wrong it is, in one measurement."""

import math
import time
from collections.abc import Callable
from statistics import median

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.discretizations import Discretization, MovingMesh, Picture
from stencilnet.solver import SSPRK3, Integrator, rollout, substeps_within
from stencilnet.study.fronts import Case
from stencilnet.study.metrics import longest_interval, relative_l2
from stencilnet.study.windows import Trajectories


def measure(
    name: str,
    method: Discretization,
    problem: Trajectories,
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
        problem: what to solve, in float64 and in the kind that the method holds.
        integrator: of the method.
        step: in units of time.
        dtype: of the state.
        compile: whether to compile, where the integrator gains from it.
        repeats: timed runs; none for the error alone.

    Raises:
        ValueError: if there are fewer than two times, the step is not positive, or
            steps of exact evolution do not meet the stored times.
    """
    worth = compile and integrator.compilable
    force = problem.forcing.to(dtype=dtype).on(problem.grid, averages=problem.averages)
    interval = longest_interval(problem.times)
    stride, substeps = _meetings(method, interval, step)
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
        seconds = _timed(solve, intervals, substeps, repeats)
    stages = len(getattr(integrator, "b", ())) or 1
    splitting = getattr(integrator, "splitting", None)
    stages = stages if splitting is None else len(splitting.drifts)
    taken = stride * interval / substeps
    points = problem.grid.shape[-1]
    return Case(name, points, points, taken, stages / taken, error, seconds)


def measure_moving_mesh(
    name: str,
    mesh: MovingMesh,
    problem: Trajectories,
    u0: Float[Tensor, "sample fine"],
    *,
    share: float,
    compile: bool = True,  # noqa: A002
    repeats: int = 10,
) -> Case:
    """Rolls cells that follow the solution out over a whole problem, and times them.

    They are compared by their averages over the problem's grid, and start from the
    solution on a finer one: what they would know of the initial state. Each holds two
    unknowns, its average and its place. Always in float64.

    Args:
        name: of the case.
        mesh: with the forcing of the problem.
        problem: what to solve, in cell averages.
        u0: its first states, averages on a grid as fine as there is.
        share: of the stable step.
        compile: whether to compile.
        repeats: timed runs; none for the error alone.
    """
    interval = longest_interval(problem.times)
    start = mesh.start(u0.double(), float(problem.times[0]))
    substeps = substeps_within(interval, share * mesh.stable_step(start))

    def solve(count: int) -> Tensor:
        return rollout(
            mesh,
            start,
            problem.times[: count + 1],
            integrator=SSPRK3,
            steps=substeps,
            compile=compile,
        )

    intervals = len(problem.times) - 1
    with torch.no_grad():
        error = float(relative_l2(mesh.averages(solve(intervals)), problem.u).mean())
        seconds = _timed(solve, intervals, substeps, repeats)
    points, taken = problem.grid.shape[-1], interval / substeps
    stages = len(SSPRK3.b)
    return Case(name, points, 2 * points, taken, stages / taken, error, seconds)


def _timed(
    solve: Callable[[int], object], intervals: int, substeps: int, repeats: int
) -> float:
    """Seconds of a whole rollout, from pieces of at least a hundred steps."""
    if not repeats:
        return math.nan
    piece = min(intervals, math.ceil(100 / substeps))
    return _median(lambda: solve(piece), repeats) * (intervals / piece)


def _meetings(method: Discretization, interval: float, step: float) -> tuple[int, int]:
    """Stored intervals between two comparisons, and the steps that they take."""
    substeps = substeps_within(interval, step)
    if not isinstance(method, Picture):
        return 1, substeps
    for count in range(1, 10) if math.isfinite(step) else ():
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
