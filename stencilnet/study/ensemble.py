"""Ensembles of reference trajectories, solved and kept block by block.

The samples of a study count through all its splits. They are solved in batches, whose
samples take common steps; what the coarse grids hold of a batch is written as a block
as soon as it is solved, in a store with a checksum for each block, see `BlockWriter`.
Where a batch would not fit memory, its blocks are parts of it: the steps of the batch
are found first, and each block takes them: results depend on the size of the blocks by
rounding at most.

The variables of that store, all over samples, beside those of each coarse grid:

largest     size of the largest mode, at any time
tail        of the largest in the upper eighth of the spectrum
steepness   squared norm of `u_x`, summed over the times
steps       time steps of each interval
"""

import functools
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from stencilnet.grid import Grid
from stencilnet.storage import BlockWriter
from stencilnet.study.bounded import coarse_averages, solution_of
from stencilnet.study.config import Config
from stencilnet.study.loading import validate_config
from stencilnet.study.problem import SPLITS, domain_of, problem_of_samples
from stencilnet.study.reference import (
    InitialValueProblem,
    coarsening,
    onto,
    unheld,
)
from stencilnet.study.resolution import energy

# Enough rows for the transforms to run at full speed, few enough to stay in cache. The
# steps are common to a batch, so its size decides the last bits of every result.
_BATCH = 128
# Of what a block keeps, at most, unless one sample takes more.
_BLOCK_BYTES = 2**28
# Arrays of the size of a state that a step works on.
_STAGES = 12

Told = Callable[[int], None]
"""`told(intervals)`, called when so many more intervals of a batch are solved."""


@dataclass(frozen=True)
class Ensemble:
    """The samples of a study on a reference grid: plain values, for any process.

    Attributes:
        text: the config in JSON.
        points: of the reference.
        courant: its steps, see `reference_solution`.
        folder: of the blocks.
    """

    text: str
    points: int
    courant: float
    folder: Path

    @property
    def config(self) -> Config:
        """The study."""
        return _config(self.text)

    @property
    def grid(self) -> Grid:
        """The grid of the reference."""
        return domain_of(self.config, self.points)

    @property
    def samples(self) -> int:
        """Number of samples in all splits."""
        return sum(getattr(self.config.data, split) for split in SPLITS)

    def batch(self, sample: int) -> range:
        """The samples that are solved together with one."""
        start = sample // _BATCH * _BATCH
        return range(start, min(start + _BATCH, self.samples))

    def blocks(self) -> BlockWriter:
        """The store of the blocks, made where there is none."""
        problem = problem_of_samples(self.config, range(1))
        empty = _Kept(problem, self.grid, coarse_grids(self.config)).dataset([0])
        size = min(rows_in_block(self.config), self.samples)
        return BlockWriter(self.folder, empty, samples=self.samples, block=size)

    def solve(
        self,
        number: int,
        writer: BlockWriter | None = None,
        told: Told = lambda _intervals: None,
    ) -> int:
        """Solves for a block, writes it, and returns its number.

        Args:
            number: of the block.
            writer: of `blocks`, where this process has it.
            told: about the intervals.

        Raises:
            UnresolvedError: if the solution is not finite.
        """
        writer = writer or self.blocks()
        rows = range(self.samples)[writer.rows(number)]
        batch = self.batch(rows.start)
        steps = None if len(rows) == len(batch) else _steps(self, batch.start)
        writer.write(
            number, self.solution(rows, coarse_grids(self.config), steps, told)
        )
        return number

    def solution(
        self,
        samples: Iterable[int],
        grids: Sequence[tuple[Grid, bool]] = (),
        steps: Sequence[int] | None = None,
        told: Told = lambda _intervals: None,
    ) -> xr.Dataset:
        """The solution for some samples, as it is kept; on no grid by default."""
        problem = problem_of_samples(self.config, samples)
        kept, taken = _Kept(problem, self.grid, grids), []
        for state, substeps in solution_of(
            problem,
            self.grid,
            courant=self.courant,
            steps=steps,
            device=self.config.device,
        ):
            kept.add(state.cpu())
            taken.append(substeps)
            told(1)
        return kept.dataset(taken[1:])


class _Kept:
    """What is kept of a solution that is told state by state.

    Args:
        problem: that is solved.
        fine: grid of the modes.
        grids: coarse ones, and whether each holds averages.
    """

    def __init__(
        self,
        problem: InitialValueProblem,
        fine: Grid,
        grids: Sequence[tuple[Grid, bool]],
    ) -> None:
        self.problem, self.fine, self.grids = problem, fine, grids
        rows, times = len(problem.forcing), len(problem.times) - problem.start
        self.u = [np.zeros((rows, times, grid.shape[-1])) for grid, _ in grids]
        self.unheld = [np.zeros((rows, times)) for _ in grids]
        self.largest = torch.zeros(rows, dtype=torch.float64)
        self.tail = torch.zeros(rows, dtype=torch.float64)
        self.energies: list[Tensor] = []
        self.seen = 0

    def add(self, state: Tensor) -> None:
        """The next state."""
        self.seen += 1
        place = self.seen - 1 - self.problem.start
        if place < 0:
            return
        if self.fine.boundaries is None:
            self._add_modes(state, place)
        else:
            self._add_averages(state, place)

    def _add_averages(self, u: Tensor, place: int) -> None:
        """A state between boundaries, where nothing is known of a spectrum."""
        self.largest = torch.maximum(self.largest, u.abs().amax(-1))
        self.energies.append(u.diff(dim=-1).square().sum(-1))
        for number, (grid, _) in enumerate(self.grids):
            coarse = coarse_averages(u, self.fine, grid.shape[-1])
            self.u[number][:, place] = coarse.numpy()

    def _add_modes(self, u_hat: Tensor, place: int) -> None:
        """A state on a period."""
        size = u_hat.abs()
        upper = max(size.shape[-1] // 8, 1)
        self.largest = torch.maximum(self.largest, size.amax(-1))
        self.tail = torch.maximum(self.tail, size[:, -upper:].amax(-1))
        self.energies.append(energy(torch.arange(u_hat.shape[-1]) * u_hat))
        for number, (grid, averages) in enumerate(self.grids):
            u = onto(u_hat, self.fine, grid, averages=averages)
            missing = unheld(u_hat, self.fine, grid, averages=averages)
            self.u[number][:, place] = u.numpy()
            self.unheld[number][:, place] = missing.numpy()

    def dataset(self, steps: Sequence[int]) -> xr.Dataset:
        """All that was kept; `steps` are those of each interval."""
        rows, intervals = len(self.largest), len(self.problem.times) - 1
        steepness = torch.zeros(rows, dtype=torch.float64)
        if self.energies:
            steepness = torch.stack(self.energies, dim=1).sum(-1)
        common = np.zeros((rows, intervals), dtype=np.int32)
        common[:] = steps
        variables = {
            "largest": ("sample", self.largest.numpy()),
            "tail": ("sample", self.tail.numpy()),
            "steepness": ("sample", steepness.numpy()),
            "steps": (("sample", "interval"), common),
        }
        for number, (grid, averages) in enumerate(self.grids):
            u, missing = grid_names(grid, averages=averages)
            x = f"x_{u}"
            variables[u] = (("sample", "time", x), self.u[number])
            variables[missing] = (("sample", "time"), self.unheld[number])
        return xr.Dataset(variables)


def coarse_grids(config: Config) -> list[tuple[Grid, bool]]:
    """The coarse grids of a study, and whether each one holds cell averages.

    Raises:
        ValueError: if one does not divide the reference's, or shall hold point values
            between boundaries.
    """
    period, points = config.problem.length, config.reference.points
    if config.problem.boundaries is not None and config.data.values:
        raise ValueError(
            "Between boundaries the reference has cell averages: name the grids in "
            "data.averages instead of data.values."
        )
    grids = [
        (domain_of(config, size), averages)
        for averages, sizes in (
            (True, config.data.averages),
            (False, config.data.values),
        )
        for size in dict.fromkeys(sizes)
    ]
    if points != "auto":
        for grid, _ in grids:
            coarsening(Grid.line(points, period), grid.shape[-1])
    return grids


def grid_names(grid: Grid, *, averages: bool) -> tuple[str, str]:
    """Names of the two variables of a coarse grid, its solution and what it misses."""
    name = f"{'averages' if averages else 'values'}_{grid.shape[-1]}"
    return name, f"unheld_{name}"


def rows_in_block(config: Config) -> int:
    """Samples of a block: a batch, or the largest part of it that memory holds."""
    rows = _BATCH
    while rows > 1 and rows * sample_bytes(config) > _BLOCK_BYTES:
        rows //= 2
    return rows


def sample_bytes(config: Config) -> int:
    """Bytes that are kept of a sample, on all coarse grids."""
    problem = config.problem
    states = round(problem.duration / problem.interval) + 1
    return sum(8 * states * (grid.shape[-1] + 1) for grid, _ in coarse_grids(config))


def working_bytes(config: Config, points: int) -> int:
    """Bytes that the solution of a block takes, beside the libraries."""
    rows = sum(getattr(config.data, split) for split in SPLITS)
    state = 16 * (points // 2 + 1) * min(rows, _BATCH)
    # A block is compressed before it is written.
    block = 2 * sample_bytes(config) * min(rows, rows_in_block(config))
    return block + _STAGES * state


@functools.lru_cache(maxsize=8)
def _config(text: str) -> Config:
    return validate_config(json.loads(text), "The config")


@functools.lru_cache(maxsize=1)
def _steps(ensemble: Ensemble, start: int) -> tuple[int, ...]:
    """The time steps of each interval of a batch."""
    kept = ensemble.solution(ensemble.batch(start))
    return tuple(kept["steps"].values[0].tolist())
