"""Resolved solutions of an equation, on the grids of a study."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from stencilnet.discretizations import PseudoSpectral
from stencilnet.equations import Equation
from stencilnet.forcing import RandomForcing
from stencilnet.grid import Grid
from stencilnet.solver import TimeDifferencing
from stencilnet.study.initial import States


class UnresolvedError(ValueError):
    """A reference that its grid or its step does not resolve.

    Attributes:
        remedy: "points" or "courant", whichever of them to change.
    """

    def __init__(self, message: str, *, remedy: str = "points") -> None:
        super().__init__(message)
        self.remedy = remedy


@dataclass(frozen=True)
class InitialValueProblem:
    """Initial value problem of some samples.

    Attributes:
        equation: whose right-hand side a pseudo-spectral method takes.
        states: point values at `times[0]` on any grid, one row per sample.
        forcing: one row per sample, on the clock of `times`.
        times: increasing; states are kept at each.
        start: index of the first time that counts; what precedes it is the warm-up.

    Example:
        >>> import torch
        >>> from stencilnet import Grid, RandomForcing
        >>> from stencilnet.equations import Advection
        >>> from stencilnet.study import InitialValueProblem
        >>> phases = torch.arange(3.0)[:, None]
        >>> waves = lambda grid: (grid.points() + phases).sin()
        >>> times = torch.linspace(0, 1, 11).double()
        >>> none = RandomForcing.none(3)
        >>> problem = InitialValueProblem(Advection(1.0), waves, none, times)
        >>> tuple(problem.select(slice(2)).states(Grid.line(16)).shape)
        (2, 16)
    """

    equation: Equation
    states: States
    forcing: RandomForcing
    times: Float[Tensor, " time"]
    start: int = 0

    def select(self, rows: slice | Tensor) -> "InitialValueProblem":
        """The problem of some of the samples."""
        return InitialValueProblem(
            self.equation,
            lambda grid: self.states(grid)[rows],
            self.forcing.select(rows),
            self.times,
            self.start,
        )


def reference_solution(
    problem: InitialValueProblem,
    grid: Grid,
    *,
    courant: float = 0.8,
    steps: Sequence[int] | None = None,
    device: torch.device | str = "cpu",
) -> Iterator[tuple[Complex[Tensor, "sample modes"], int]]:
    """Dealiased pseudo-spectral solution with exponential time differencing.

    The linear part is exact in time and the forcing enters through its Fourier
    coefficients at the stage times. Each interval between two times is divided into
    equal steps

        dt <= courant / (k max |F'(u)| + max |S'(u)|),

    the time in which the fastest wave crosses the shortest length `1 / k` that the
    solution has: the grid's, or the one at which damping balances steepening, such as
    the width `nu / max |u|` of a viscous shock.

    Args:
        problem: the initial value problem.
        grid: fine enough to resolve the solution.
        courant: see above.
        steps: of each interval, in place of those that `courant` makes.
        device: to solve on, in double precision.

    Yields:
        The modes at each of the times, and the steps taken to get there.

    Raises:
        UnresolvedError: if the solution is not finite, with the time and the sample.

    Example:
        >>> import math
        >>> import torch
        >>> from stencilnet import Grid, RandomForcing
        >>> from stencilnet.equations import AdvectionDiffusion
        >>> from stencilnet.study import InitialValueProblem, onto, reference_solution
        >>> heat, grid = AdvectionDiffusion(0.0, diffusivity=0.5), Grid.line(16)
        >>> wave = lambda grid: grid.points().sin()[None]
        >>> none, times = RandomForcing.none(1), torch.tensor([0.0, 2.0]).double()
        >>> problem = InitialValueProblem(heat, wave, none, times)
        >>> *_, (modes, steps) = reference_solution(problem, grid)
        >>> u = onto(modes, grid, grid, averages=False)
        >>> torch.allclose(u, math.exp(-1) * wave(grid)), steps  # exact in 1 step
        (True, 1)
    """
    equation, times = problem.equation, problem.times.tolist()
    method = PseudoSpectral(equation, grid).to(device)
    equation = method.equation
    force = problem.forcing.to(device).spectrum(grid.shape[-1])
    symbol = method.symbol()
    k_max = float(method.get_buffer("k")[-1])

    schemes: dict[float, TimeDifferencing] = {}
    u_hat = method.to_modes(problem.states(grid).to(device))
    yield u_hat, 0
    for number, (start, stop) in enumerate(pairwise(times)):
        # Differences of equidistant times, which vary in their last bits.
        interval = float(f"{stop - start:.12g}")
        if steps is None:
            rate = _fastest_rate(equation, method.to_values(u_hat), k_max)
            substeps = max(1, math.ceil(interval * rate / courant))
        else:
            substeps = steps[number]
        dt = interval / substeps
        if dt not in schemes:
            schemes[dt] = TimeDifferencing(symbol, dt, krogstad=True)
        u_hat = advance(method, schemes[dt], force, u_hat, start, substeps)
        bad = ~torch.isfinite(torch.view_as_real(u_hat)).all(-1).all(-1)
        if bad.any():
            raise UnresolvedError(
                f"The reference blew up in sample {int(bad.nonzero()[0])} before time "
                f"{stop:g}: lower reference.courant below {courant:g}, or raise "
                f"reference.points above {grid.shape[-1]}."
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
        size = float(torch.as_tensor(coefficient, dtype=torch.float64).max()) * (
            -1
        ) ** (order // 2 + 1)
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
    numbers = torch.arange(2 * steps + 1, dtype=torch.float64, device=u_hat.device)
    times = start + half * numbers
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


def onto(
    u_hat: Complex[Tensor, "*batch modes"], fine: Grid, coarse: Grid, *, averages: bool
) -> Float[Tensor, "*batch x"]:
    """Values or exact cell averages on a coarse grid of a solution given by modes.

    Args:
        u_hat: Fourier coefficients, as `PseudoSpectral.to_modes` scales them.
        fine: grid that resolves them.
        coarse: grid whose points are among those of `fine`.
        averages: whether to average over the cells of `coarse`.

    Example:
        >>> import torch
        >>> from stencilnet import Grid
        >>> from stencilnet.study import onto
        >>> fine, coarse = Grid.line(64), Grid.line(2)
        >>> modes = torch.fft.rfft(fine.points().cos(), norm="forward")
        >>> onto(modes, fine, coarse, averages=False).numpy().round(4).tolist()
        [1.0, -1.0]
        >>> onto(modes, fine, coarse, averages=True).numpy().round(4).tolist()  # 2 / pi
        [0.6366, -0.6366]
    """
    if averages:
        k = fine.wavenumbers()[: u_hat.shape[-1]]
        u_hat = u_hat * torch.sinc(k * coarse.spacing[-1] / (2 * math.pi))
    values = torch.fft.irfft(u_hat, n=fine.shape[-1], norm="forward")
    return values[..., :: coarsening(fine, coarse.shape[-1])]


def unheld(
    u_hat: Complex[Tensor, "*batch modes"], fine: Grid, coarse: Grid, *, averages: bool
) -> Float[Tensor, "*batch"]:
    """Root mean square, at the points of a coarse grid, of waves that it cannot hold.

    Relative to the solution that is the error of `truncation_floor`: no spectral method
    on the coarse grid does better on the whole. Arguments are those of `onto`.
    """
    k = torch.arange(u_hat.shape[-1])
    missing = torch.where(k > coarse.shape[-1] // 2, u_hat, 0)
    return onto(missing, fine, coarse, averages=averages).square().mean(-1).sqrt()


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
