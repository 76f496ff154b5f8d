"""Runs of sweeps: trained and compared on shared data, several at once."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import torch

from stencilnet.errors import in_words
from stencilnet.progress import Progress, no_progress
from stencilnet.report import write_report
from stencilnet.storage import read_operator
from stencilnet.study.comparison import compare_study
from stencilnet.study.config import Config
from stencilnet.study.ensemble import coarse_grids
from stencilnet.study.generation import generate, store_path
from stencilnet.study.loading import validate_config
from stencilnet.study.problem import SPLITS
from stencilnet.study.sweep_plans import Sweep
from stencilnet.study.training import train
from stencilnet.study.workers import crew, finished

# Number, config in JSON, folder and folder of the data of a run.
Message = tuple[int, str, Path, Path]


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

    Example:
        >>> from stencilnet.study import plan_sweep, run_sweep
        >>> settings = ["training.seed=[0,1]", "comparison.methods=[[weno_z]]"]
        >>> plan = plan_sweep("demo", settings, "seeds", data="demo")
        >>> for folder, failure in run_sweep(plan, jobs=1).items():
        ...     print(f"{folder.name}: {failure}")
        seed-0: There is no store at demo/data/training/averages-32.zarr: make it first.
        seed-1: There is no store at demo/data/training/averages-32.zarr: make it first.
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


def _stores(config: Config, run: Path) -> list[Path]:
    return [
        store_path(run, split, grid.shape[-1], averages=averages)
        for split in SPLITS
        for grid, averages in coarse_grids(config)
    ]
