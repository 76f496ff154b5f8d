"""Whether a reference is resolved, and the grid on which it is."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from stencilnet.grid import Grid
from stencilnet.progress import Progress, no_progress
from stencilnet.study.reference import (
    InitialValueProblem,
    UnresolvedError,
    reference_solution,
)

# Enough rows for the transforms to run at full speed, few enough to stay in cache.
_BATCH = 128
# Rows of a trial, which tells early whether a grid resolves the solution.
_TRIAL = 2
# Of the largest mode; beyond it the grid visibly truncates the solution.
_TAIL = 1e-4
# Past them "auto" gives up.
_MOST_POINTS, _FEWEST_STEPS = 2**15, 32


@dataclass(frozen=True)
class Accuracy:
    """Accuracy demanded of a reference.

    Attributes:
        courant: step in units of the time in which the fastest wave crosses the
            shortest length, see `reference_solution`.
        tolerance: largest self-convergence error accepted, relative.
        checked: number of trajectories whose self-convergence is measured.
    """

    courant: float = 0.8
    tolerance: float = 1e-5
    checked: int = 4


@dataclass(frozen=True)
class ReferenceQuality:
    """Measured quality of a set of reference trajectories.

    Attributes:
        self_convergence: largest relative L2 difference, over the whole trajectory,
            from a solution with twice the points and half the step.
        spectral_tail: largest mode in the upper eighth of the spectrum, at any time,
            relative to the largest mode.
        steps: time steps taken.
        courant: their length, see `Accuracy`.
    """

    self_convergence: float
    spectral_tail: float
    steps: int
    courant: float


def solve_reference(
    problem: InitialValueProblem,
    grid: Grid,
    accuracy: Accuracy | None = None,
    *,
    progress: Progress = no_progress,
) -> tuple[Complex[Tensor, "sample time modes"], ReferenceQuality]:
    """Solves a problem on a fine grid and measures the quality of the solution.

    A trial of the first samples tells early if the grid is too coarse.

    Args:
        problem: the initial value problem.
        grid: fine enough to resolve it.
        accuracy: what to ask of the solution.
        progress: told about the intervals.

    Returns:
        The Fourier modes from `problem.start` on, see `onto`, and their quality.

    Raises:
        UnresolvedError: if the solution is not finite, not resolved, or misses the
            tolerance of self-convergence, with a remedy.
    """
    accuracy = accuracy or Accuracy()
    samples = len(problem.forcing)
    starts = range(0, samples, _BATCH)
    trial = samples > 2 * _TRIAL
    total = len(problem.times) * (len(starts) + 1 + trial)
    done = 0

    def solve(rows: slice | Tensor, refinement: int, note: str) -> tuple[Tensor, int]:
        nonlocal done
        finer = Grid.line(refinement * grid.shape[-1], grid.extent[-1])
        solution = reference_solution(
            problem.select(rows), finer, courant=accuracy.courant / refinement
        )
        states, steps = [], 0
        for u_hat, substeps in solution:
            states.append(u_hat)
            steps += substeps
            done += 1
            progress(done, total, note)
        return torch.stack(states[problem.start :], dim=1), steps

    if trial:
        _check_resolved(solve(slice(_TRIAL), 1, "trying")[0], grid)
    parts = [
        solve(slice(start, start + _BATCH), 1, "solving the reference")
        for start in starts
    ]
    modes = torch.cat([part for part, _ in parts])
    tail = _check_resolved(modes, grid)
    hardest = _steepest(modes)[: accuracy.checked]
    finer, _ = solve(hardest, 2, "checking the resolution")
    error = _relative_difference(modes[hardest], finer)
    if not error <= accuracy.tolerance:
        # What the spectrum cuts off is far below the error: the step is its cause.
        remedy = "courant" if tail < error / 30 else "points"
        change = {
            "courant": f"lower reference.courant below {accuracy.courant:g}",
            "points": f"raise reference.points above {grid.shape[-1]}",
        }[remedy]
        raise UnresolvedError(
            f"The reference of {grid.shape[-1]} points differs by {error:.1e} from one "
            f"with twice the points and half the step, above the tolerance "
            f"{accuracy.tolerance:.1e}: {change}.",
            remedy=remedy,
        )
    taken = sum(steps for _, steps in parts)
    return modes, ReferenceQuality(error, tail, taken, accuracy.courant)


def resolve(
    problem: InitialValueProblem,
    coarsest: Grid,
    accuracy: Accuracy | None = None,
    *,
    progress: Progress = no_progress,
) -> tuple[Grid, Complex[Tensor, "sample time modes"], ReferenceQuality]:
    """Solves on the coarsest grid and with the longest steps that are accurate enough.

    Points are doubled and steps halved, whichever the error comes from, so that all
    attempts together cost about as much as the last one.

    Args:
        problem: the initial value problem.
        coarsest: where the doubling begins.
        accuracy: what to ask of the solution, with the longest steps to try.
        progress: told about the intervals of each attempt.

    Returns:
        The grid, and what `solve_reference` returns on it.

    Raises:
        UnresolvedError: if no grid and no step of a feasible size do.
    """
    accuracy = accuracy or Accuracy()
    points, courant = coarsest.shape[-1], accuracy.courant
    while points <= _MOST_POINTS and courant >= accuracy.courant / _FEWEST_STEPS:
        grid = Grid.line(points, coarsest.extent[-1])
        attempt = replace(accuracy, courant=courant)
        try:
            return grid, *solve_reference(problem, grid, attempt, progress=progress)
        except UnresolvedError as error:
            if error.remedy == "points":
                points *= 2
            else:
                courant /= 2
    raise UnresolvedError(
        f"No reference of at most {_MOST_POINTS} points, with steps of at least "
        f"1/{_FEWEST_STEPS} of reference.courant, meets the tolerance "
        f"{accuracy.tolerance:.1e}: raise the viscosity or reference.tolerance."
    )


def _check_resolved(modes: Complex[Tensor, "sample time modes"], grid: Grid) -> float:
    """The spectral tail; raises with a number of points if it is too large.

    The spectrum of an analytic solution decays exponentially in `k`, so twice as many
    points square the tail; the number has a margin, as other samples may be harder.
    """
    size = modes.abs().amax((0, 1))
    upper = size[-max(len(size) // 8, 1) :]
    tail = float(upper.max() / size.max().clamp(min=torch.finfo(size.dtype).tiny))
    if not tail <= _TAIL:
        doublings = 1
        while tail ** (2**doublings) > _TAIL / 100 and doublings < 6:
            doublings += 1
        raise UnresolvedError(
            f"The reference is not resolved, its highest modes reach {tail:.1e} of the "
            f"largest: raise reference.points from {grid.shape[-1]} to about "
            f"{grid.shape[-1] * 2**doublings}, or set it to auto."
        )
    return tail


def _steepest(modes: Complex[Tensor, "sample time modes"]) -> Tensor:
    """Rows by falling norm of `u_x` over time; steep trajectories are the hard ones."""
    k = torch.arange(modes.shape[-1])
    return _energy(k * modes).sum(-1).argsort(descending=True, stable=True)


def _relative_difference(
    modes: Complex[Tensor, "sample time modes"],
    finer: Complex[Tensor, "sample time more"],
) -> float:
    """Largest relative L2 difference over a trajectory; missing modes count as zero."""
    missing = finer.shape[-1] - modes.shape[-1]
    difference = torch.nn.functional.pad(modes, (0, missing)) - finer
    norm = _energy(finer).sum(-1)
    ratio = _energy(difference).sum(-1) / norm.clamp(min=torch.finfo(norm.dtype).tiny)
    return float(ratio.max().sqrt())


def _energy(modes: Complex[Tensor, "*batch modes"]) -> Float[Tensor, "*batch"]:
    """Squared norm in space; every mode but the mean stands for two."""
    square = torch.view_as_real(modes).square().sum(-1)
    return 2 * square.sum(-1) - square[..., 0]
