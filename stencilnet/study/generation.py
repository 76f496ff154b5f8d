"""Reference trajectories from a config: resolved, checked, stored on coarse grids."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import xarray as xr

from stencilnet.grid import Grid
from stencilnet.progress import Progress, no_progress, shown
from stencilnet.storage import (
    STOPS,
    BlockWriter,
    claimed,
    has_work,
    library_versions,
    local_path,
    open_trajectories,
    read_trajectories,
    refuse_existing,
    remove,
    samples_in_block,
    sweep_below,
    trajectories,
    workspace,
    write_in_blocks,
)
from stencilnet.study.blockwise import solve_ensemble
from stencilnet.study.config import Config, Problem
from stencilnet.study.devices import as_device
from stencilnet.study.ensemble import Ensemble, coarse_grids, grid_names
from stencilnet.study.problem import (
    SPLITS,
    problem_of_samples,
    split_forcing,
    times_of,
)
from stencilnet.study.reference import UnresolvedError
from stencilnet.study.resolution import Accuracy, ReferenceQuality, resolve
from stencilnet.study.workers import crew

# Sections of a config that decide what the data are, beside seed and sizes.
_DECIDE_DATA = ("problem", "forcing", "reference")
_UNHELD = {"long_name": "root mean square of the waves that the grid cannot hold"}
# With which the search for a resolving grid begins.
_FEWEST_POINTS = 64
# Of the hidden folder of the blocks.
_WORK = "generated"
_STOPPED = "Stopped: blocks that are whole stay in {}; the same command goes on there."


@dataclass(frozen=True)
class _Target:
    """A store: rows of a split, the first of them and their number, on a grid."""

    split: str
    first: int
    samples: int
    grid: Grid
    averages: bool
    path: Path


def store_path(run: Path | str, split: str, points: int, *, averages: bool) -> Path:
    """Path of a split on a grid within a run's folder.

    Example:
        >>> from stencilnet.study import store_path
        >>> store_path("runs/p2", "test", 32, averages=True).as_posix()
        'runs/p2/data/test/averages-32.zarr'
    """
    kind = "averages" if averages else "values"
    return local_path(run) / "data" / split / f"{kind}-{points}.zarr"


def generate(
    config: Config,
    run: Path | str,
    *,
    overwrite: bool = False,
    workers: int | None = None,
    scheduler: str | None = None,
    device: torch.device | str | None = None,
    progress: Progress | bool = no_progress,
) -> list[Path]:
    """Solves for reference trajectories and stores them on coarse grids.

    The equation is solved by `solution_of` for all splits, whose forcings have
    disjoint random streams. What is stored is exact on each coarse grid: cell averages
    by the Fourier symbol `sinc(k dx / 2)`, or point values, of the resolved solution,
    beside the size `unheld` of the waves in it that the coarse grid cannot hold;
    between boundaries the means of cell averages on a fine grid.

    Blocks of samples are solved and written one after another, or by workers, see
    `Ensemble`; memory does not grow with their number. If it is stopped or killed, the
    same call goes on after the blocks that are whole. The result has the same bits for
    any number of workers, stopped or not.

    Args:
        config: the study; sections problem, forcing, reference and data are read.
        run: folder of the run; stores go to `data/SPLIT/KIND-POINTS.zarr` within.
        overwrite: whether to replace stores, and to discard what was begun with other
            settings.
        workers: processes of one thread each, on this machine; the work is done in
            this process by default. A script that asks for some needs
            `if __name__ == "__main__":`.
        scheduler: address of a Dask cluster, whose workers see the folder `run`.
        device: to solve on, in double precision; that of the config by default. The
            last bits depend on it.
        progress: told about the time steps; True for a display.

    Returns:
        The paths of the stores.

    Raises:
        BlockingIOError: if another process generates or trains in the run.
        FileExistsError: if a store exists, or if stores with other settings were begun
            in the run, and `overwrite` is false.
        ValueError: if a grid does not divide the reference's, or if the solution is
            not finite, not resolved, or misses the tolerance of self-convergence; also
            as `crew`.
        ConnectionError, ChildProcessError: if the cluster does not answer, or workers
            die again and again.

    Example:
        >>> from stencilnet import generate, load_config
        >>> small = ["data.training=2", "data.validation=1", "data.test=1"]
        >>> small += ["problem.duration=1", "problem.equation.viscosity=0.1"]
        >>> small += ["forcing.wavenumbers=[1,2]", "reference.points=64"]
        >>> paths = generate(load_config("demo", small), "generated", overwrite=True)
        >>> sorted({path.parent.name for path in paths})
        ['test', 'training', 'validation']
    """
    run = local_path(run)
    place = as_device(device or config.device, needs=torch.float64)
    config = config.model_copy(update={"device": str(place)})
    targets = _targets(config, run)
    identity = _identity(config)
    with claimed(run):
        sweep_below(run)
        begun = has_work(run / _WORK, identity) and not overwrite
        for target in targets:
            if not (begun and _is_of(target.path, config)):
                refuse_existing(target.path, overwrite=overwrite, kind="trajectories")
        with (
            crew(workers, scheduler) as client,
            workspace(run / _WORK, identity=identity, overwrite=overwrite) as folder,
            shown(progress, "Generating") as told,
        ):
            try:
                ensemble, quality = _solved(config, folder, client, told)
                blocks = ensemble.blocks()
                for target in targets:
                    if overwrite or not target.path.exists():
                        _store(target, ensemble, blocks, quality, overwrite=overwrite)
            except STOPS as stop:
                stop.args = (_STOPPED.format(run),)
                raise
    return [target.path for target in targets]


def _solved(
    config: Config, folder: Path, client: Any, progress: Progress
) -> tuple[Ensemble, ReferenceQuality]:
    """The ensemble of a study, solved in a folder, and its quality."""
    accuracy = Accuracy(**config.reference.model_dump(exclude={"points"}))
    record = folder / "attempt.json"

    def attempt(points: int, courant: float) -> tuple[Ensemble, ReferenceQuality]:
        blocks = folder / f"{points}-{courant:g}"
        ensemble = Ensemble(config.model_dump_json(), points, courant, blocks)
        written = record.with_suffix(".new")
        written.write_text(json.dumps([points, courant]), encoding="utf-8")
        written.replace(record)
        try:
            return ensemble, solve_ensemble(ensemble, accuracy, client, progress)
        except UnresolvedError:
            remove(blocks)
            raise

    points = config.reference.points
    if points != "auto":
        return attempt(points, accuracy.courant)
    points, courant = _coarsest_points(config), accuracy.courant
    if record.exists():
        # The attempts before failed already.
        points, courant = json.loads(record.read_text(encoding="utf-8"))
    return resolve(attempt, points, courant, accuracy)


def _store(
    target: _Target,
    ensemble: Ensemble,
    blocks: BlockWriter,
    quality: ReferenceQuality,
    *,
    overwrite: bool,
) -> None:
    """Writes the store of a split on a grid from the blocks of an ensemble."""
    config = ensemble.config
    problem = problem_of_samples(config, range(1))
    times = times_of(len(problem.times) - problem.start - 1, config.problem.interval)
    name, missing = grid_names(target.grid, averages=target.averages)
    attributes = {
        "config": ensemble.text,
        "split": target.split,
        "seed": config.data.seed,
        "equation": json.dumps(problem.equation.spec()),
        "self_convergence": quality.self_convergence,
        "spectral_tail": quality.spectral_tail,
        "steps": quality.steps,
        "reference_points": ensemble.points,
        "courant": quality.courant,
    }

    def some(rows: slice) -> xr.Dataset:
        samples = slice(target.first + rows.start, target.first + rows.stop)
        forcing = split_forcing(config, target.split, rows)
        dataset = trajectories(
            torch.from_numpy(blocks.read(name, samples)),
            times,
            target.grid,
            forcing.starting_at(config.problem.warm_up),
            averages=target.averages,
            attributes=attributes,
        )
        if target.grid.boundaries is None:
            unheld = blocks.read(missing, samples)
            dataset["unheld"] = (("sample", "time"), unheld, _UNHELD)
        return dataset

    write_in_blocks(
        some,
        target.path,
        samples=target.samples,
        block=samples_in_block(some(slice(0, 1)), target.samples),
        overwrite=overwrite,
    )


def _targets(config: Config, run: Path) -> list[_Target]:
    """The stores of a run."""
    targets, first = [], 0
    for split in SPLITS:
        samples = getattr(config.data, split)
        for grid, averages in coarse_grids(config):
            path = store_path(run, split, grid.shape[-1], averages=averages)
            targets.append(_Target(split, first, samples, grid, averages, path))
        first += samples
    return targets


def _identity(config: Config) -> str:
    """What decides the bits of all blocks."""
    parts = {*_DECIDE_DATA, "data", "extensions", "device"}
    values = config.model_dump(mode="json", include=parts)
    return json.dumps([values, library_versions()], sort_keys=True)


def _is_of(path: Path, config: Config) -> bool:
    """Whether there is a store that was generated with the settings of a config."""
    if not path.exists():
        return False
    with open_trajectories(path) as dataset:
        stored = _config_of(dataset, path)
    asked = json.loads(config.model_dump_json())
    return all(stored[part] == asked[part] for part in (*_DECIDE_DATA, "data"))


def read_split(
    config: Config, run: Path | str, split: str, points: int, *, averages: bool
) -> xr.Dataset:
    """The trajectories that `generate` stored in a run.

    Raises:
        FileNotFoundError: if there are none on this grid.
        ValueError: if they were generated from other settings, or as
            `read_trajectories`.

    Example:
        >>> from stencilnet import generate, load_config
        >>> from stencilnet.study import read_split
        >>> small = "data.training=1 data.validation=1 data.test=2 data.values=[]"
        >>> small += " problem.equation.viscosity=0.1 problem.duration=1 forcing=null"
        >>> small += " reference.points=64"
        >>> config = load_config("demo", small.split())
        >>> paths = generate(config, "small")
        >>> dict(read_split(config, "small", "test", 32, averages=True)["u"].sizes)
        {'sample': 2, 'time': 11, 'x': 32}
    """
    path = store_path(run, split, points, averages=averages)
    dataset = read_trajectories(path)
    check_split(config, dataset, path, split)
    return dataset


def check_split(config: Config, dataset: xr.Dataset, path: Path, split: str) -> None:
    """Raises unless a store of a split was generated with the settings of a config.

    Raises:
        ValueError: naming the first setting that differs.
    """
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


def _coarsest_points(config: Config) -> int:
    """With how many points the search for a resolving grid begins."""
    # Every coarse grid has its points among those of the reference.
    points = math.lcm(*config.data.averages, *config.data.values)
    while points < _FEWEST_POINTS:
        points *= 2
    return points
