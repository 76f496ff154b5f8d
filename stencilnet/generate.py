"""Reference trajectories from a config: resolved, checked, stored on coarse grids."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from stencilnet.config import Config
from stencilnet.discretizations.spectral import PseudoSpectral
from stencilnet.equations import ConvectiveBurgers
from stencilnet.forcing import RandomForcing
from stencilnet.grid import Grid
from stencilnet.integrators import RK4, IntegratingFactor
from stencilnet.storage import refuse_existing, trajectories, write_trajectories

SPLITS = ("training", "validation", "test")
# Enough rows for the transforms to run at full speed, few enough to stay in cache.
_BATCH = 128
# Of the largest mode; beyond it the grid visibly truncates the solution.
_TAIL = 1e-4

Progress = Callable[[int, int, str], None]
"""`progress(done, total, note)`, called now and then during long work."""


def no_progress(_done: int, _total: int, _note: str) -> None:
    """Shows nothing."""


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


def store_path(run: Path, split: str, points: int, *, averages: bool) -> Path:
    """Where `generate` keeps a split on a grid within a run's folder."""
    kind = "averages" if averages else "values"
    return run / "data" / split / f"{kind}-{points}.zarr"


def generate(
    config: Config,
    run: Path,
    *,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> list[Path]:
    """Solves for reference trajectories and stores them on coarse grids.

    The equation is solved by `reference_solution` for all splits, whose forcings have
    disjoint random streams. What is stored is exact on each coarse grid: cell averages
    by the Fourier symbol `sinc(k dx / 2)`, or point values, of the resolved solution.

    Args:
        config: the study; sections problem, forcing, reference and data are read.
        run: folder of the run; stores go to `data/SPLIT/KIND-POINTS.zarr` within.
        overwrite: whether to replace stores.
        progress: told about the time steps.

    Returns:
        The paths of the stores.

    Raises:
        FileExistsError: if a store exists and `overwrite` is false.
        ValueError: if a grid does not divide the reference's, or if the solution is
            not finite, not resolved, or misses the tolerance of self-convergence.
    """
    problem, reference, data = config.problem, config.reference, config.data
    fine = Grid.line(reference.points, problem.length)
    grids = [
        (fine.coarsen(_factor(fine, points)), averages)
        for averages, sizes in ((True, data.averages), (False, data.values))
        for points in dict.fromkeys(sizes)
    ]
    targets = {
        (split, grid, averages): store_path(
            run, split, grid.shape[-1], averages=averages
        )
        for split in SPLITS
        for grid, averages in grids
    }
    for path in targets.values():
        refuse_existing(path, overwrite=overwrite)

    forcings = {split: split_forcing(config, split) for split in SPLITS}
    together = RandomForcing.join(list(forcings.values()))
    intervals = round(problem.duration / problem.interval)
    times = torch.arange(intervals + 1, dtype=torch.float64) * problem.interval
    fields = {
        (grid, averages): torch.empty(
            len(together), len(times), grid.shape[-1], dtype=torch.float64
        )
        for grid, averages in grids
    }

    def keep(rows: slice, index: int, u_hat: Tensor) -> None:
        for (grid, averages), field in fields.items():
            field[rows, index] = onto(u_hat, fine, grid, averages=averages)

    quality = solve_and_check(config, together, keep, progress)

    start = 0
    paths = []
    for split, forcing in forcings.items():
        rows = slice(start, start + len(forcing))
        start = rows.stop
        for grid, averages in grids:
            dataset = trajectories(
                fields[grid, averages][rows],
                times,
                grid,
                forcing.starting_at(problem.warm_up),
                averages=averages,
                attributes={
                    "config": config.model_dump_json(),
                    "split": split,
                    "seed": data.seed,
                    "viscosity": problem.viscosity,
                    "self_convergence": quality.self_convergence,
                    "spectral_tail": quality.spectral_tail,
                    "steps": quality.steps,
                },
            )
            path = targets[split, grid, averages]
            paths.append(write_trajectories(dataset, path, overwrite=overwrite))
    return paths


def split_forcing(config: Config, split: str) -> RandomForcing:
    """The forcings of a split, on a clock that starts before the warm-up."""
    forcing = config.forcing
    return RandomForcing.sample(
        getattr(config.data, split),
        modes=forcing.modes,
        amplitude=forcing.amplitude,
        frequency=forcing.frequency,
        wavenumbers=forcing.wavenumbers,
        seed=np.random.SeedSequence(config.data.seed, spawn_key=(SPLITS.index(split),)),
    )


def initial_state(config: Config, grid: Grid) -> Float[Tensor, " x"]:
    """Point values of the problem's initial state."""
    x = grid.points()
    if config.problem.initial == "bump":
        return torch.exp(-((x - 3) ** 2))
    return torch.zeros_like(x)


def solve_and_check(
    config: Config,
    forcing: RandomForcing,
    keep: Callable[[slice, int, Tensor], None],
    progress: Progress = no_progress,
) -> ReferenceQuality:
    """Solves for the reference of every row of `forcing` and measures its quality.

    Args:
        config: the study.
        forcing: on a clock that starts before the warm-up.
        keep: called as `keep(rows, index, u_hat)` with the modes of each state.
        progress: told about the intervals.

    Raises:
        ValueError: as `generate`.
    """
    problem, reference = config.problem, config.reference
    fine = Grid.line(reference.points, problem.length)
    skipped = round(problem.warm_up / problem.interval)
    intervals = skipped + round(problem.duration / problem.interval)
    chunks = [
        slice(start, min(start + _BATCH, len(forcing)))
        for start in range(0, len(forcing), _BATCH)
    ]
    modes = (reference.points - 1) // 2 + 1
    ik = 1j * fine.wavenumbers()[:modes]
    checked = min(reference.checked, len(forcing))
    # A finer solution with a small batch costs about a third of the whole.
    total = intervals * (len(chunks) + 1)
    done, steps, tail = 0, 0, 0.0
    steepness = torch.zeros(len(forcing), dtype=torch.float64)
    states = []
    for rows in chunks:
        u_hat = torch.zeros(0)
        kept = []
        solution = reference_solution(
            config, forcing.select(rows), fine, reference.courant
        )
        for index, (u_hat, substeps) in enumerate(solution):
            steps += substeps
            if index >= skipped:
                keep(rows, index - skipped, u_hat)
                kept.append(u_hat)
                tail = max(tail, _spectral_tail(u_hat))
                slope = torch.fft.irfft(u_hat * ik, n=reference.points, norm="forward")
                steepness[rows] = torch.maximum(steepness[rows], slope.abs().amax(-1))
            done += 1
            progress(min(done, total), total, "solving")
        states.append(torch.stack(kept, dim=1))
    if tail > _TAIL:
        raise ValueError(
            f"The reference is not resolved, its highest modes reach {tail:.1e} of the "
            f"largest: raise reference.points above {reference.points}."
        )

    # The steepest trajectories are the hardest ones.
    hardest = steepness.argsort(descending=True, stable=True)[:checked]
    coarse = torch.cat(states)[hardest]
    finer = Grid.line(2 * reference.points, problem.length)
    difference = torch.zeros(checked, dtype=torch.float64)
    norm = torch.zeros(checked, dtype=torch.float64)
    solution = reference_solution(
        config, forcing.select(hardest), finer, reference.courant / 2
    )
    for index, (u_hat, _) in enumerate(solution):
        if index >= skipped:
            missing = u_hat.shape[-1] - modes
            known = torch.nn.functional.pad(coarse[:, index - skipped], (0, missing))
            difference += _energy(known - u_hat)
            norm += _energy(u_hat)
        done += 1
        progress(min(done, total), total, "checking the resolution")
    error = float((difference / norm.clamp(min=torch.finfo(norm.dtype).tiny)).max())
    error = math.sqrt(error)
    if not error <= reference.tolerance:
        raise ValueError(
            f"The reference differs by {error:.1e} from one with twice the points and "
            f"half the step, above the tolerance {reference.tolerance:.1e}: lower "
            f"reference.courant or raise reference.points."
        )
    return ReferenceQuality(error, tail, steps)


def reference_solution(
    config: Config, forcing: RandomForcing, grid: Grid, courant: float
) -> Iterator[tuple[Complex[Tensor, "sample modes"], int]]:
    """Dealiased pseudo-spectral solution with an integrating factor and RK4.

    Diffusion is exact in time and the forcing enters through its Fourier coefficients
    at the stage times. Each interval between kept states is divided into equal steps

        dt <= courant / (k max |u|),    k = min(k_max, max |u| / nu),

    the time in which the fastest wave crosses the shortest length that the solution
    has: the grid's, or the width of a viscous shock.

    Yields:
        The modes after 0, 1, 2, ... intervals from time 0 on, warm-up included, and
        the steps taken to get there.

    Raises:
        ValueError: if the solution is not finite, with the time and the sample.
    """
    problem = config.problem
    method = PseudoSpectral(ConvectiveBurgers(problem.viscosity), grid)
    force = forcing.spectrum(grid.shape[-1])
    k_max = float(method.get_buffer("k")[-1])

    added: dict[float, Tensor] = {}

    def nonlinear(t: float, u_hat: Tensor) -> Tensor:
        # Both middle stages of a step share their time.
        if t not in added:
            added.clear()
            added[t] = force(t)
        slope = method.nonlinear(u_hat)
        slope[..., : added[t].shape[-1]] += added[t]
        return slope

    schemes: dict[int, IntegratingFactor] = {}
    u_hat = method.to_modes(initial_state(config, grid)).expand(len(forcing), -1)
    yield u_hat, 0
    for index in range(round((problem.warm_up + problem.duration) / problem.interval)):
        speed = float(method.to_values(u_hat).abs().max())
        k = min(k_max, speed / problem.viscosity)
        substeps = max(1, math.ceil(problem.interval * k * speed / courant))
        if substeps not in schemes:
            dt = problem.interval / substeps
            schemes[substeps] = IntegratingFactor(RK4, method.symbol(), dt)
        scheme = schemes[substeps]
        for step in range(substeps):
            t = index * problem.interval + step * scheme.dt
            u_hat = scheme.step(nonlinear, t, u_hat)
        bad = ~torch.isfinite(torch.view_as_real(u_hat)).all(-1).all(-1)
        if bad.any():
            raise ValueError(
                f"The reference blew up in sample {int(bad.nonzero()[0])} before time "
                f"{(index + 1) * problem.interval:g}: lower reference.courant below "
                f"{courant:g}."
            )
        yield u_hat, substeps


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
    return values[..., :: _factor(fine, coarse.shape[-1])]


def _factor(fine: Grid, points: int) -> int:
    if fine.shape[-1] % points:
        raise ValueError(
            f"A reference of {fine.shape[-1]} points cannot be kept on {points}: "
            f"choose a number that divides {fine.shape[-1]}."
        )
    return fine.shape[-1] // points


def _spectral_tail(u_hat: Tensor) -> float:
    size = u_hat.abs()
    largest = size.max()
    if largest == 0:
        return 0.0
    return float(size[..., -(size.shape[-1] // 8) :].max() / largest)


def _energy(u_hat: Tensor) -> Tensor:
    """Squared norm per row; every mode but the mean stands for two."""
    square = torch.view_as_real(u_hat).square().sum(-1)
    return 2 * square.sum(-1) - square[..., 0]
