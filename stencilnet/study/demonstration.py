"""The whole pipeline in one call: generate, train, compare, draw."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import xarray as xr

from stencilnet.progress import Progress, bars, no_progress
from stencilnet.report import summarize, write_json, write_report
from stencilnet.storage import claimed, local_path
from stencilnet.study.comparison import check_comparison, compare_study
from stencilnet.study.config import Config
from stencilnet.study.figures import save_training_figures
from stencilnet.study.generation import generate
from stencilnet.study.training import check_training, train


@dataclass(frozen=True)
class DemoResult:
    """Measurements of a demo, and where they are stored.

    Attributes:
        comparisons: one dataset per grid.
        result: path of `result.json`.
        paths: of everything else that was written.

    Example:
        >>> import torch
        >>> from stencilnet import Grid, Muscl, compare
        >>> from stencilnet.equations import Advection
        >>> from stencilnet.report import summarize, write_json
        >>> from stencilnet.storage import trajectories
        >>> from stencilnet.study import DemoResult
        >>> grid, times = Grid.line(16), torch.linspace(0, 1, 5).double()
        >>> wave = (grid.points() - times[:, None]).sin()
        >>> data = trajectories(wave, times, grid, averages=True)
        >>> comparison = compare({"muscl": Muscl(Advection(1.0), grid)}, data)
        >>> path = write_json({"samples": 1}, "result.json")
        >>> result = DemoResult([comparison], result=path, paths=[])
        >>> [(row["method"], row["points"]) for row in summarize(result.comparisons)]
        [('muscl', 16)]
    """

    comparisons: list[xr.Dataset]
    result: Path
    paths: list[Path]


def demo(
    config: Config,
    run: Path | str,
    *,
    overwrite: bool = False,
    progress: Callable[[str], Progress] | bool = False,
) -> DemoResult:
    """Generates data, trains an operator, compares it and leaves `result.json`.

    The result holds `seconds`, `learned_rel_l2`, `weno_z_rel_l2` and, per method, how
    many of the test rollouts blew up in `blow_ups`, all on the operator's grid.

    Args:
        config: the study; its comparison has WENO-Z among its methods.
        run: folder of the run.
        overwrite: whether to replace what an earlier run left.
        progress: makes a progress display for a named stage; True for the usual one.

    Raises:
        ValueError: if the comparison lacks WENO-Z, or a name in the config is unknown.
        Otherwise as `generate`, `train`, `compare_study` and `write_report`.

    Example:
        >>> import json
        >>> from stencilnet import load_config
        >>> from stencilnet.study import demo
        >>> small = "data.training=1 data.validation=1 data.test=1 data.values=[]"
        >>> small += " problem.equation.viscosity=0.1 problem.duration=1 forcing=null"
        >>> small += " reference.points=64 comparison.methods=[weno_z]"
        >>> small += " training.iterations=1 training.horizon=[1]"
        >>> result = demo(load_config("demo", small.split()), "small")
        >>> json.loads(result.result.read_text())["blow_ups"]
        {'learned': 0, 'weno_z': 0}
    """
    run = local_path(run)
    if "weno_z" not in config.comparison.methods:
        raise ValueError("The demo compares with WENO-Z: add weno_z to its methods.")
    check_training(config)
    check_comparison(config)
    if isinstance(progress, bool):
        with bars() if progress else nullcontext(_silent) as each:
            return demo(config, run, overwrite=overwrite, progress=each)
    begin = time.perf_counter()
    with claimed(run):
        generate(config, run, overwrite=overwrite, progress=progress("Generating"))
        operator = train(
            config, run, overwrite=overwrite, progress=progress("Training")
        )
        comparisons = compare_study(config, run, progress=progress("Comparing"))
        paths = write_report(comparisons, run / "comparison", overwrite=overwrite)
        paths += save_training_figures(operator)
    own = {
        row["method"]: row
        for row in summarize(comparisons)
        if row["points"] == config.operator.points
    }
    values = {
        "seconds": round(time.perf_counter() - begin, 1),
        "learned_rel_l2": own["learned"]["relative_l2"],
        "weno_z_rel_l2": own["weno_z"]["relative_l2"],
        "blow_ups": {name: row["blow_ups"] for name, row in own.items()},
    }
    result = write_json(values, run / "result.json", overwrite=overwrite)
    return DemoResult(comparisons, result, [operator, *paths])


def _silent(_stage: str) -> Progress:
    return no_progress
