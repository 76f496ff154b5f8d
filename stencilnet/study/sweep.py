"""Sweeps: every combination of some settings, trained and compared on shared data."""

import hashlib
import itertools
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
import yaml

from stencilnet.equations import form_from_name
from stencilnet.errors import in_words
from stencilnet.progress import Progress, no_progress
from stencilnet.report import write_report
from stencilnet.storage import local_path, read_operator
from stencilnet.study.comparison import check_comparison, compare_study
from stencilnet.study.config import Config
from stencilnet.study.constant import CONSTANT
from stencilnet.study.ensemble import coarse_grids
from stencilnet.study.generation import generate, store_path
from stencilnet.study.loading import load_config, validate_config
from stencilnet.study.outline import check_study
from stencilnet.study.problem import SPLITS, domain_of, method_of
from stencilnet.study.training import check_training, train
from stencilnet.study.workers import crew, finished

# Number, config in JSON, folder and folder of the data of a run.
Message = tuple[int, str, Path, Path]


@dataclass(frozen=True)
class Member:
    """One run of a sweep.

    Attributes:
        folder: of the run.
        config: its study.
        data: folder of the run whose trajectories it uses.
    """

    folder: Path
    config: Config
    data: Path


@dataclass(frozen=True)
class Sweep:
    """Runs that differ in some settings.

    Attributes:
        runs: all combinations of the settings.
        data: what to generate, by the folder of the run that it goes to.
    """

    runs: Sequence[Member]
    data: Mapping[Path, Config]

    def outline(self) -> str:
        """What would run, in words."""
        names = "\n".join(f"  {member.folder}" for member in self.runs)
        return (
            f"{len(self.runs)} runs on {len(self.data) or 'given'} sets of "
            f"trajectories:\n{names}"
        )


def plan_sweep(
    source: str | Path,
    settings: Sequence[str],
    folder: Path | str | None = None,
    *,
    data: Path | str | None = None,
) -> Sweep:
    """The runs of a sweep.

    Trajectories are shared by runs of equal problem, forcing, reference and data. They
    are kept on every grid that one of these runs needs, and a comparison that lacks the
    grid of its operator takes place on that grid.

    Args:
        source: config, see `load_config`.
        settings: `key=[a,b]` for a key that varies, where a value that is a list is one
            in a list, as in `training.horizon=[[2,4],[8]]`; `key=value` for others.
        folder: of all runs; `runs/NAME-sweep` by default.
        data: folder of a run whose trajectories all runs use.

    Raises:
        ValueError: if no key varies, or a combination is not a valid study.
    """
    fixed, axes = _axes(settings)
    if not axes:
        raise ValueError(
            "A sweep varies a key: give one as key=[a,b], as in training.seed=[0,1,2]."
        )
    base = load_config(source, fixed)
    folder = local_path(folder or Path("runs") / f"{base.name}-sweep")
    configs = {}
    for values in itertools.product(*axes.values()):
        combined = dict(zip(axes, values, strict=True))
        config = _with_own_grid(_combined(source, fixed, combined))
        for check in (check_study, check_training, check_comparison):
            check(config)
        configs[folder / _name(combined, axes)] = config
    if data is not None:
        source = local_path(data)
        return Sweep([Member(run, configs[run], source) for run in configs], {})
    shared: dict[str, list[Config]] = {}
    for config in configs.values():
        shared.setdefault(_data_key(config), []).append(config)
    targets = {key: _with_all_grids(group) for key, group in shared.items()}
    places = {key: folder / f"data-{_digest(targets[key])}" for key in targets}
    runs = [
        Member(run, config, places[_data_key(config)])
        for run, config in configs.items()
    ]
    return Sweep(runs, {places[key]: config for key, config in targets.items()})


def run_sweep(
    plan: Sweep,
    *,
    jobs: int | None = None,
    scheduler: str | None = None,
    progress: Callable[[str], Progress] = lambda _stage: no_progress,
) -> dict[Path, str]:
    """Generates, trains and compares; what is complete already stays.

    Args:
        plan: of `plan_sweep`.
        jobs: runs at once, each in a process of its own; one per core by default. A
            script that asks for more than one needs `if __name__ == "__main__":`.
        scheduler: address of a Dask cluster, which takes data and runs instead.
        progress: makes a progress display for a named stage.

    Returns:
        What went wrong, by the folder of the run; empty if all is well.

    Raises:
        ValueError: if both `jobs` and `scheduler` are given.
        Otherwise as `generate`.
    """
    if jobs is not None and scheduler is not None:
        raise ValueError(
            "Jobs are processes of this machine: give jobs or scheduler, not both."
        )
    for place, config in plan.data.items():
        if not all(path.exists() for path in _stores(config, place)):
            told = progress("Generating")
            generate(config, place, overwrite=True, scheduler=scheduler, progress=told)
    tell = progress("Runs")
    failures: dict[Path, str] = {}
    messages = [
        (number, member.config.model_dump_json(), member.folder, member.data)
        for number, member in enumerate(plan.runs)
    ]
    for done, (number, failure) in enumerate(_ended(messages, jobs, scheduler), 1):
        folder = plan.runs[number].folder
        if failure is not None:
            failures[folder] = failure
        tell(done, len(plan.runs), folder.name)
    return failures


def _ended(
    messages: Sequence[Message], jobs: int | None, scheduler: str | None
) -> Iterator[tuple[int, str | None]]:
    """Numbers of runs as they end, and what went wrong."""
    if scheduler is not None:
        with crew(scheduler=scheduler) as client:
            yield from finished(client, _attempt, messages)
        return
    cores = os.cpu_count() or 1
    jobs = min(jobs or cores, len(messages))
    if jobs == 1:
        yield from map(_attempt, messages)
        return
    # A forked process would share torch's threads.
    with ProcessPoolExecutor(
        jobs,
        mp_context=get_context("spawn"),
        initializer=torch.set_num_threads,
        initargs=(max(1, cores // jobs),),
    ) as pool:
        waiting = [pool.submit(_attempt, message) for message in messages]
        for future in as_completed(waiting):
            yield future.result()


def _attempt(message: Message) -> tuple[int, str | None]:
    """One run of a sweep: its number, and what went wrong in a sentence."""
    number, config, folder, data = message
    try:
        _run(validate_config(json.loads(config), str(folder)), folder, data)
    except (ArithmeticError, MemoryError, OSError, RuntimeError, ValueError) as error:
        return number, in_words(error) or f"{type(error).__name__}: {error}"
    return number, None


def _run(config: Config, folder: Path, data: Path) -> None:
    operator, comparison = folder / "operator.zarr", folder / "comparison"
    if operator.exists():
        trained = json.loads(str(read_operator(operator).attributes["config"]))
        # As `train` stores it, with device and precision.
        if trained != json.loads(config.on("training").model_dump_json()):
            raise ValueError(
                f"{folder} holds a run with other settings: choose another --run, or "
                f"remove it."
            )
    else:
        train(config, folder, data=data, resume=True)
    if not comparison.exists():
        write_report(compare_study(config, folder, data=data), comparison)


def _combined(
    source: str | Path, fixed: Sequence[str], values: Mapping[str, Any]
) -> Config:
    """The study with one value for each key that varies."""

    def load(values: Mapping[str, Any]) -> Config:
        overrides = [f"{key}={json.dumps(value)}" for key, value in values.items()]
        return load_config(source, [*fixed, *overrides])

    try:
        return load(values)
    except ValueError as error:
        lists = {key: [value] for key, value in values.items()}
        for trial in (*({key: value} for key, value in lists.items()), lists):
            try:
                load({**values, **trial})
            except ValueError:
                continue
            words = " ".join(f"{k}=[{json.dumps(value)}]" for k, value in trial.items())
            raise ValueError(
                f"{error} The values of a key that varies stand in brackets, lists "
                f"among them in brackets of their own: {words}."
            ) from None
        raise


def _axes(settings: Sequence[str]) -> tuple[list[str], dict[str, list[Any]]]:
    """Overrides of all runs, and the values of the keys that vary."""
    fixed, axes = [], {}
    for setting in settings:
        key, _, text = setting.partition("=")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            value = None
        if key and isinstance(value, list) and value:
            axes[key] = value
        else:
            # What is no list is an override, and what is wrong is refused as one.
            fixed.append(setting)
    return fixed, axes


def _name(values: Mapping[str, Any], axes: Mapping[str, Sequence[Any]]) -> str:
    """Name of the folder of a combination, such as `seed-0_hidden-16-16`."""
    keys = [key for key in axes if len(axes[key]) > 1] or list(axes)
    last = [key.rpartition(".")[2] for key in keys]
    words = []
    for key, short in zip(keys, last, strict=True):
        label = short if last.count(short) == 1 else key
        value = re.sub(r"[^A-Za-z0-9.+-]+", "-", str(values[key])).strip("-")
        words.append(f"{label}-{value}")
    return "_".join(words)


def _with_own_grid(config: Config) -> Config:
    """A config whose comparison has the grid of its operator."""
    points = config.operator.points
    if points in config.comparison.points:
        return config
    comparison = config.comparison.model_copy(update={"points": (points,)})
    return config.model_copy(update={"comparison": comparison})


def _with_all_grids(configs: Sequence[Config]) -> Config:
    """The config whose trajectories serve all of some configs."""
    kept: dict[bool, set[int]] = {True: set(), False: set()}
    for config in configs:
        kept[True] |= set(config.data.averages)
        kept[False] |= set(config.data.values)
        form = form_from_name(config.operator.form, config.extensions)
        kept[form.averages].add(config.operator.points)
        for points in config.comparison.points:
            grid = domain_of(config, points)
            for name in set(config.comparison.methods) - {CONSTANT}:
                kept[method_of(config, name, grid).averages].add(points)
    data = configs[0].data.model_copy(
        update={
            "averages": tuple(sorted(kept[True])),
            "values": tuple(sorted(kept[False])),
        }
    )
    return configs[0].model_copy(update={"data": data})


def _data_key(config: Config) -> str:
    """What decides the trajectories, but for the grids that they are kept on."""
    values = config.model_dump(mode="json", include={"problem", "forcing", "reference"})
    values["data"] = config.data.model_dump(exclude={"averages", "values"})
    return json.dumps(values, sort_keys=True)


def _digest(config: Config) -> str:
    grids = [config.data.averages, config.data.values]
    text = _data_key(config) + json.dumps(grids)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _stores(config: Config, run: Path) -> list[Path]:
    return [
        store_path(run, split, grid.shape[-1], averages=averages)
        for split in SPLITS
        for grid, averages in coarse_grids(config)
    ]
