"""Reference trajectories from a config: resolved, checked, stored on coarse grids."""

import json
import math
from pathlib import Path
from typing import Any

import xarray as xr

from stencilnet.grid import Grid
from stencilnet.progress import Progress, no_progress, shown
from stencilnet.storage import (
    claimed,
    local_path,
    read_trajectories,
    refuse_existing,
    sweep_below,
    trajectories,
    write_trajectories,
)
from stencilnet.study.config import Config, Problem
from stencilnet.study.problem import (
    SPLITS,
    problem_of,
    split_forcing,
    times_of,
)
from stencilnet.study.reference import coarsening, onto, unheld
from stencilnet.study.resolution import (
    Accuracy,
    resolve,
    solve_reference,
)

# Sections of a config that decide what the data are, beside seed and sizes.
_DECIDE_DATA = ("problem", "forcing", "reference")
_UNHELD = {"long_name": "root mean square of the waves that the grid cannot hold"}
# With which the search for a resolving grid begins.
_FEWEST_POINTS = 64


def store_path(run: Path | str, split: str, points: int, *, averages: bool) -> Path:
    """Path of a split on a grid within a run's folder."""
    kind = "averages" if averages else "values"
    return local_path(run) / "data" / split / f"{kind}-{points}.zarr"


def coarse_grids(config: Config) -> list[tuple[Grid, bool]]:
    """The coarse grids of a study, and whether each one holds cell averages.

    Raises:
        ValueError: if one does not divide the reference's.
    """
    period, points = config.problem.length, config.reference.points
    grids = [
        (Grid.line(size, period), averages)
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


def generate(
    config: Config,
    run: Path | str,
    *,
    overwrite: bool = False,
    progress: Progress | bool = no_progress,
) -> list[Path]:
    """Solves for reference trajectories and stores them on coarse grids.

    The equation is solved by `reference_solution` for all splits, whose forcings have
    disjoint random streams. What is stored is exact on each coarse grid: cell averages
    by the Fourier symbol `sinc(k dx / 2)`, or point values, of the resolved solution,
    beside the size `unheld` of the waves in it that the coarse grid cannot hold.

    Args:
        config: the study; sections problem, forcing, reference and data are read.
        run: folder of the run; stores go to `data/SPLIT/KIND-POINTS.zarr` within.
        overwrite: whether to replace stores.
        progress: told about the time steps; True for a display.

    Returns:
        The paths of the stores.

    Raises:
        BlockingIOError: if another process generates or trains in the run.
        FileExistsError: if a store exists and `overwrite` is false.
        ValueError: if a grid does not divide the reference's, or if the solution is
            not finite, not resolved, or misses the tolerance of self-convergence.
    """
    run = local_path(run)
    grids = coarse_grids(config)
    with claimed(run):
        sweep_below(run)
        return _generate(config, run, grids, overwrite, progress)


def _generate(
    config: Config,
    run: Path,
    grids: list[tuple[Grid, bool]],
    overwrite: bool,
    progress: Progress | bool,
) -> list[Path]:
    """See `generate`."""
    targets = {
        (split, grid, averages): store_path(
            run, split, grid.shape[-1], averages=averages
        )
        for split in SPLITS
        for grid, averages in grids
    }
    for path in targets.values():
        refuse_existing(path, overwrite=overwrite, kind="trajectories")

    forcings = {split: split_forcing(config, split) for split in SPLITS}
    problem = problem_of(config, *SPLITS)
    accuracy = Accuracy(**config.reference.model_dump(exclude={"points"}))
    with shown(progress, "Generating") as told:
        if config.reference.points == "auto":
            coarsest = _coarsest_reference(config)
            fine, modes, quality = resolve(problem, coarsest, accuracy, progress=told)
        else:
            fine = Grid.line(config.reference.points, config.problem.length)
            modes, quality = solve_reference(problem, fine, accuracy, progress=told)

    last = len(problem.times) - problem.start - 1
    times = times_of(last, config.problem.interval)
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
                forcing.starting_at(config.problem.warm_up),
                averages=averages,
                attributes={
                    "config": config.model_dump_json(),
                    "split": split,
                    "seed": config.data.seed,
                    "equation": json.dumps(problem.equation.spec()),
                    "self_convergence": quality.self_convergence,
                    "spectral_tail": quality.spectral_tail,
                    "steps": quality.steps,
                    "reference_points": fine.shape[-1],
                    "courant": quality.courant,
                },
            )
            missing = unheld(modes[rows], fine, grid, averages=averages)
            dataset["unheld"] = (("sample", "time"), missing.numpy(), _UNHELD)
            path = targets[split, grid, averages]
            paths.append(write_trajectories(dataset, path, overwrite=overwrite))
    return paths


def read_split(
    config: Config, run: Path | str, split: str, points: int, *, averages: bool
) -> xr.Dataset:
    """The trajectories that `generate` stored in a run.

    Raises:
        FileNotFoundError: if there are none on this grid.
        ValueError: if they were generated from other settings, or as
            `read_trajectories`.
    """
    path = store_path(run, split, points, averages=averages)
    dataset = read_trajectories(path)
    stored = _config_of(dataset, path)
    asked = json.loads(config.model_dump_json())
    keys = [
        *((part, key) for part in _DECIDE_DATA for key in asked[part] or ["modes"]),
        ("data", "seed"),
        ("data", split),
    ]
    for section, key in keys:
        # A store from before a key existed was made with its default.
        usual = Problem.model_fields[key].default if section == "problem" else None
        generated = (stored[section] or {}).get(key, usual)
        value = (asked[section] or {}).get(key)
        if generated != value:
            raise ValueError(
                f"{path} was generated with {section}.{key}={generated}, but the "
                f"config says {value}: generate it again, or choose another --run."
            )
    return dataset


def _config_of(dataset: xr.Dataset, path: Path) -> dict[str, Any]:
    """The config in a store, with a section for all that decides what data are."""
    config = json.loads(str(dataset.attrs.get("config", "{}")))
    for section in (*_DECIDE_DATA, "data"):
        absent = section == "forcing" and config.get(section, 0) is None
        if not absent and not isinstance(config.get(section), dict):
            raise ValueError(
                f"{path} does not state its config, with a section {section!r}: "
                f"generate it again, or choose another --run."
            )
    return dict(config)


def _coarsest_reference(config: Config) -> Grid:
    """Where the search for a resolving grid begins."""
    # Every coarse grid has its points among those of the reference.
    points = math.lcm(*config.data.averages, *config.data.values)
    while points < _FEWEST_POINTS:
        points *= 2
    return Grid.line(points, config.problem.length)
