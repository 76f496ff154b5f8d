"""Resolved solutions of a config's problem, and measurements of their quality."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from stencilnet.discretizations import PseudoSpectral
from stencilnet.equations import Equation, equation_from_spec
from stencilnet.forcing import RandomForcing
from stencilnet.grid import Grid
from stencilnet.progress import Progress, no_progress
from stencilnet.solver.exponential import TimeDifferencing
from stencilnet.study.config import Config

# Enough rows for the transforms to run at full speed, few enough to stay in cache.
_BATCH = 128
# Of the largest mode; beyond it the grid visibly truncates the solution.
_TAIL = 1e-4


@dataclass(frozen=True)
class ReferenceQuality:
    """What was measured about a set of reference trajectories.

    Attributes:
        self_convergence: largest relative L2 difference, over the whole trajectory,
            from a solution with twice the points and half the step.
        spectral_tail: largest mode in the upper eighth of the spectrum, at any time,
            relative to the largest mode.
        steps: time steps taken.
    """

    self_convergence: float
    spectral_tail: float
    steps: int


def solve_and_check(
    config: Config, forcing: RandomForcing, progress: Progress = no_progress
) -> tuple[Complex[Tensor, "sample time modes"], ReferenceQuality]:
    """Solves for the reference of every row of `forcing` and measures its quality.

    Args:
        config: the study; sections problem and reference are read.
        forcing: on a clock that starts before the warm-up.
        progress: told about the intervals.

    Returns:
        The Fourier modes after the warm-up, see `onto`, and their quality.

    Raises:
        ValueError: if the solution is not finite, not resolved, or misses the tolerance
            of self-convergence.
    """
    problem, reference = config.problem, config.reference
    starts = range(0, len(forcing), _BATCH)
    intervals = round((problem.warm_up + problem.duration) / problem.interval)
    total = (intervals + 1) * (len(starts) + 1)
    done = 0

    def solve(rows: RandomForcing, refinement: int, note: str) -> tuple[Tensor, int]:
        nonlocal done
        grid = Grid.line(refinement * reference.points, problem.length)
        courant = reference.courant / refinement
        kept, steps = [], 0
        for u_hat, substeps in reference_solution(config, rows, grid, courant):
            kept.append(u_hat)
            steps += substeps
            done += 1
            progress(done, total, note)
        skipped = round(problem.warm_up / problem.interval)
        return torch.stack(kept[skipped:], dim=1), steps

    parts = [
        solve(forcing.select(slice(start, start + _BATCH)), 1, "solving")
        for start in starts
    ]
    modes = torch.cat([part for part, _ in parts])
    tail = _spectral_tail(modes)
    if tail > _TAIL:
        raise ValueError(
            f"The reference is not resolved, its highest modes reach {tail:.1e} of the "
            f"largest: raise reference.points above {reference.points}."
        )
    hardest = _steepest(modes)[: reference.checked]
    finer, _ = solve(forcing.select(hardest), 2, "checking the resolution")
    error = _relative_difference(modes[hardest], finer)
    if not error <= reference.tolerance:
        raise ValueError(
            f"The reference differs by {error:.1e} from one with twice the points and "
            f"half the step, above the tolerance {reference.tolerance:.1e}: lower "
            f"reference.courant or raise reference.points."
        )
    return modes, ReferenceQuality(error, tail, sum(steps for _, steps in parts))


def reference_solution(
    config: Config, forcing: RandomForcing, grid: Grid, courant: float
) -> Iterator[tuple[Complex[Tensor, "sample modes"], int]]:
    """Dealiased pseudo-spectral solution with exponential time differencing.

    The linear part is exact in time and the forcing enters through its Fourier
    coefficients at the stage times. Each interval between kept states is divided into
    equal steps

        dt <= courant / (k max |F'(u)| + max |S'(u)|),

    the time in which the fastest wave crosses the shortest length `1 / k` that the
    solution has: the grid's, or the one at which damping balances steepening, such as
    the width `nu / max |u|` of a viscous shock.

    Yields:
        The modes after 0, 1, 2, ... intervals from time 0 on, warm-up included, and
        the steps taken to get there.

    Raises:
        ValueError: if the solution is not finite, with the time and the sample.
    """
    problem = config.problem
    equation = equation_from_spec(problem.equation)
    method = PseudoSpectral(equation, grid)
    force = forcing.spectrum(grid.shape[-1])
    symbol = method.symbol()
    k_max = float(method.get_buffer("k")[-1])

    schemes: dict[int, TimeDifferencing] = {}
    u_hat = method.to_modes(initial_state(config, grid)).expand(len(forcing), -1)
    yield u_hat, 0
    for index in range(round((problem.warm_up + problem.duration) / problem.interval)):
        rate = _fastest_rate(equation, method.to_values(u_hat), k_max)
        substeps = max(1, math.ceil(problem.interval * rate / courant))
        if substeps not in schemes:
            dt = problem.interval / substeps
            schemes[substeps] = TimeDifferencing(symbol, dt, krogstad=True)
        start = index * problem.interval
        u_hat = advance(method, schemes[substeps], force, u_hat, start, substeps)
        bad = ~torch.isfinite(torch.view_as_real(u_hat)).all(-1).all(-1)
        if bad.any():
            raise ValueError(
                f"The reference blew up in sample {int(bad.nonzero()[0])} before time "
                f"{(index + 1) * problem.interval:g}: lower reference.courant below "
                f"{courant:g}."
            )
        yield u_hat, substeps


def _fastest_rate(
    equation: Equation, u: Float[Tensor, "sample x"], k_max: float
) -> float:
    """`k max |F'(u)| + max |S'(u)|`, see `reference_solution`."""
    speed = _slope(equation.flux, u) if equation.has_flux else torch.zeros_like(u)
    growth = _slope(equation.source, u) if equation.has_source else torch.zeros_like(u)
    fastest = float(speed.abs().max())
    shortest = k_max
    for order, coefficient in equation.linear().items():
        # Only even derivatives damp, with alternating signs.
        size = float(torch.as_tensor(coefficient).max()) * (-1) ** (order // 2 + 1)
        if order % 2 == 0 and size > 0:
            shortest = min(shortest, (fastest / size) ** (1 / (order - 1)))
    return shortest * fastest + float(growth.abs().max())


def _slope(function: Callable[[Tensor], Tensor], u: Tensor) -> Tensor:
    """The derivative of a pointwise function."""
    state = u.detach().requires_grad_()
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(function(state).sum(), state)
    return slope


def advance(
    method: PseudoSpectral,
    scheme: TimeDifferencing,
    force: Callable[[Tensor], Complex[Tensor, "time sample m"]],
    u_hat: Complex[Tensor, "sample modes"],
    start: float,
    steps: int,
) -> Complex[Tensor, "sample modes"]:
    """The modes after some steps from the time `start` on.

    Args:
        method: gives the nonlinear part.
        scheme: a step of it.
        force: of the lowest modes, see `RandomForcing.spectrum`.
        u_hat: the modes at `start`.
        start: in units of time.
        steps: of the length `scheme.dt`.
    """
    half = scheme.dt / 2
    # All stage times at once: a call for each would take as long as a transform.
    times = start + half * torch.arange(2 * steps + 1, dtype=torch.float64)
    forces = force(times[:, None, None]).unbind()
    lowest = forces[0].shape[-1]

    def nonlinear(t: float, u_hat: Tensor) -> Tensor:
        slope = method.nonlinear(u_hat)
        slope[..., :lowest].add_(forces[round((t - start) / half)])
        return slope

    # A twentieth of the time goes into bookkeeping for gradients otherwise.
    with torch.inference_mode():
        for step in range(steps):
            u_hat = scheme.step(nonlinear, start + step * scheme.dt, u_hat)
    return u_hat.clone()


def initial_state(config: Config, grid: Grid) -> Float[Tensor, " x"]:
    """Point values of the problem's initial state."""
    x = grid.points()
    if config.problem.initial == "bump":
        return torch.exp(-((x - 3) ** 2))
    return torch.zeros_like(x)


def onto(
    u_hat: Complex[Tensor, "*batch modes"], fine: Grid, coarse: Grid, *, averages: bool
) -> Float[Tensor, "*batch x"]:
    """Values or exact cell averages on a coarse grid of a solution given by modes.

    Args:
        u_hat: Fourier coefficients, as `PseudoSpectral.to_modes` scales them.
        fine: grid that resolves them.
        coarse: grid whose points are among those of `fine`.
        averages: whether to average over the cells of `coarse`.
    """
    if averages:
        k = fine.wavenumbers()[: u_hat.shape[-1]]
        u_hat = u_hat * torch.sinc(k * coarse.spacing[-1] / (2 * math.pi))
    values = torch.fft.irfft(u_hat, n=fine.shape[-1], norm="forward")
    return values[..., :: coarsening(fine, coarse.shape[-1])]


def coarsening(fine: Grid, points: int) -> int:
    """How many points of `fine` there are to one of a grid of `points`.

    Raises:
        ValueError: if that is no whole number.
    """
    if fine.shape[-1] % points:
        raise ValueError(
            f"A reference of {fine.shape[-1]} points cannot be kept on {points}: "
            f"choose a number that divides {fine.shape[-1]}."
        )
    return fine.shape[-1] // points


def _spectral_tail(modes: Complex[Tensor, "sample time modes"]) -> float:
    """Largest mode of the upper eighth, relative to the largest of all."""
    size = modes.abs().amax((0, 1))
    upper = size[-max(len(size) // 8, 1) :]
    return float(upper.max() / size.max().clamp(min=torch.finfo(size.dtype).tiny))


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
