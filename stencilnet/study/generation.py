"""Reference trajectories from a config: resolved, checked, stored on coarse grids."""

import json
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from stencilnet.forcing import RandomForcing
from stencilnet.grid import Grid
from stencilnet.progress import Progress, no_progress
from stencilnet.storage import (
    read_trajectories,
    refuse_existing,
    trajectories,
    write_trajectories,
)
from stencilnet.study.config import Config
from stencilnet.study.reference import (
    coarsening,
    onto,
    solve_and_check,
)

SPLITS = ("training", "validation", "test")
# Sections of a config that decide what the data are, beside seed and sizes.
_DECIDE_DATA = ("problem", "forcing", "reference")


def store_path(run: Path, split: str, points: int, *, averages: bool) -> Path:
    """Where `generate` keeps a split on a grid within a run's folder."""
    kind = "averages" if averages else "values"
    return run / "data" / split / f"{kind}-{points}.zarr"


def kept_grids(config: Config) -> list[tuple[Grid, bool]]:
    """The coarse grids of a study, and whether each one holds cell averages.

    Raises:
        ValueError: if one does not divide the reference's.
    """
    fine = Grid.line(config.reference.points, config.problem.length)
    return [
        (fine.coarsen(coarsening(fine, points)), averages)
        for averages, sizes in (
            (True, config.data.averages),
            (False, config.data.values),
        )
        for points in dict.fromkeys(sizes)
    ]


def generate(
    config: Config,
    run: Path | str,
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
    run = Path(run)
    problem, reference = config.problem, config.reference
    fine, grids = Grid.line(reference.points, problem.length), kept_grids(config)
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
    modes, quality = solve_and_check(config, together, progress)

    start = 0
    paths = []
    for split, forcing in forcings.items():
        rows = slice(start, start + len(forcing))
        start = rows.stop
        for grid, averages in grids:
            dataset = trajectories(
                onto(modes[rows], fine, grid, averages=averages),
                times,
                grid,
                forcing.starting_at(problem.warm_up),
                averages=averages,
                attributes={
                    "config": config.model_dump_json(),
                    "split": split,
                    "seed": config.data.seed,
                    "equation": json.dumps(problem.equation),
                    "self_convergence": quality.self_convergence,
                    "spectral_tail": quality.spectral_tail,
                    "steps": quality.steps,
                },
            )
            path = targets[split, grid, averages]
            paths.append(write_trajectories(dataset, path, overwrite=overwrite))
    return paths


def read_split(
    config: Config, run: Path, split: str, points: int, *, averages: bool
) -> xr.Dataset:
    """The trajectories that `generate` kept in a run, if they are of this problem.

    Raises:
        FileNotFoundError: if there are none on this grid.
        ValueError: if they were generated from other settings, or as
            `read_trajectories`.
    """
    path = store_path(run, split, points, averages=averages)
    dataset = read_trajectories(path)
    kept = json.loads(dataset.attrs["config"])
    asked = json.loads(config.model_dump_json())
    keys = [
        *((section, key) for section in _DECIDE_DATA for key in asked[section]),
        ("data", "seed"),
        ("data", split),
    ]
    for section, key in keys:
        found, value = kept[section].get(key), asked[section][key]
        if found != value:
            raise ValueError(
                f"{path} was generated with {section}.{key}={found}, but the config "
                f"says {value}: generate it again, or choose another --run."
            )
    return dataset


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
