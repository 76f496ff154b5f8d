"""Plans of sweeps: every combination of some settings, and the data they share."""

import hashlib
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from stencilnet.equations import form_from_name
from stencilnet.storage import local_path
from stencilnet.study.comparison import check_comparison
from stencilnet.study.config import Config
from stencilnet.study.constant import CONSTANT
from stencilnet.study.loading import load_config
from stencilnet.study.outline import check_study
from stencilnet.study.problem import domain_of, method_of
from stencilnet.study.training import check_training


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

    Example:
        >>> from stencilnet.study import Sweep, plan_sweep
        >>> settings = ["operator.points=[16,32]", "comparison.methods=[[weno_z]]"]
        >>> plan: Sweep = plan_sweep("demo", settings)
        >>> [(run.folder.name, run.config.comparison.points) for run in plan.runs]
        [('points-16', (16,)), ('points-32', (32,))]
        >>> [config.data.averages for config in plan.data.values()]  # they share them
        [(16, 32)]
    """

    runs: Sequence[Member]
    data: Mapping[Path, Config]

    def outline(self) -> str:
        """What would run, in words."""
        names = "\n".join(f"  {member.folder}" for member in self.runs)
        runs = "1 run" if len(self.runs) == 1 else f"{len(self.runs)} runs"
        count = len(self.data)
        sets = "1 set" if count == 1 else f"{count} sets"
        data = f"{sets} of trajectories" if count else "given trajectories"
        return f"{runs} on {data}:\n{names}"


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

    Example:
        >>> from stencilnet.study import plan_sweep
        >>> settings = ["problem.duration=[20,40]", "training.seed=[0,1]"]
        >>> settings += ["comparison.methods=[[weno_z]]"]
        >>> print(plan_sweep("demo", settings).outline())
        4 runs on 2 sets of trajectories:
          runs/demo-sweep/duration-20_seed-0
          runs/demo-sweep/duration-20_seed-1
          runs/demo-sweep/duration-40_seed-0
          runs/demo-sweep/duration-40_seed-1
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


def _combined(
    source: str | Path, fixed: Sequence[str], values: Mapping[str, Any]
) -> Config:
    """The study with one value for each key that varies."""

    def load(values: Mapping[str, Any]) -> Config:
        overrides = [
            f"{key}={json.dumps(value, default=str)}" for key, value in values.items()
        ]
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
            words = " ".join(
                f"{k}=[{json.dumps(value, default=str)}]" for k, value in trial.items()
            )
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
        words.append(f"{label}-{_word(values[key], axes[key])}")
    return "_".join(words)


def _word(value: Any, others: Sequence[Any]) -> str:
    """A value in the name of a folder, and a digest where another would read alike."""
    word = _legible(value)
    alike = {
        json.dumps(other, default=str) for other in others if _legible(other) == word
    }
    if len(alike) == 1:
        return word
    text = json.dumps(value, default=str)
    return f"{word}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def _legible(value: Any) -> str:
    if isinstance(value, int | float):
        return str(value)
    return re.sub(r"[^A-Za-z0-9.+-]+", "-", str(value)).strip("-")


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
