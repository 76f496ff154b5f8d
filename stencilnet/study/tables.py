"""Tables over several runs: mean and spread over the seeds of the training."""

import json
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stencilnet.errors import unknown
from stencilnet.report import Rows, labels, summarize
from stencilnet.storage import local_path, read_dataset

_NUMBER = re.compile(r"(\d+(?:\.\d+)?(?:e[+-]?\d+)?)")
_SEED = "training.seed"
# What no column tells runs apart by: seeds are what is averaged over, grids have a
# column of their own, and the others change no result.
_NO_COLUMN = (
    _SEED,
    "name",
    "extensions",
    "data.averages",
    "data.values",
    "comparison.points",
    "training.checkpoint_every",
)


@dataclass(frozen=True)
class _Entry:
    """One number of one method in one run."""

    study: str
    settings: Mapping[str, Any]
    method: str
    label: str
    points: int
    value: float | None


def tabulate(runs: Iterable[Path | str], *, metric: str = "relative_l2") -> Rows:
    """A row for each method and grid, and each combination of what the runs differ in.

    Runs that differ in nothing but the seed of their training share a row. A method
    whose numbers are the same in all combinations, such as a classical one, has one
    row.

    Args:
        runs: folders of runs with a comparison, or folders that hold such runs.
        metric: a column of the comparisons, see `report.summarize`.

    Returns:
        Rows with the settings that differ, `method`, `points`, `runs`, and `mean`,
        `spread` (the standard deviation, from two runs on) and `worst` over them.

    Raises:
        FileNotFoundError: if a folder holds no comparison.
        ValueError: if there is no such column.

    Example:
        >>> import torch
        >>> from stencilnet import Grid, Muscl, compare, load_config
        >>> from stencilnet.equations import Advection
        >>> from stencilnet.storage import save_dataset, trajectories
        >>> from stencilnet.study import tabulate
        >>> grid, times = Grid.line(16), torch.linspace(0, 1, 5).double()
        >>> wave = (grid.points() - times[:, None]).sin()
        >>> data = trajectories(wave, times, grid, averages=True)
        >>> result = compare({"muscl": Muscl(Advection(1.0), grid)}, data)
        >>> result.attrs["config"] = load_config("p2").model_dump_json()
        >>> path = save_dataset(result, "runs/p2/comparison/comparison-16.zarr")
        >>> print(tabulate(["runs"]).markdown())
        | method | points | runs | mean | spread | worst |
        | --- | ---: | ---: | ---: | ---: | ---: |
        | MUSCL | 16 | 1 | 0.0198 |  | 0.0198 |
        <BLANKLINE>
    """
    folders = [folder for run in runs for folder in _compared(local_path(run))]
    folders = list(dict.fromkeys(folders))
    entries = [entry for folder in folders for entry in _entries(folder, metric)]
    keys = _differing(entries)
    several = len({entry.study for entry in entries}) > 1
    groups: dict[tuple[str, ...], list[_Entry]] = {}
    for entry in entries:
        shown = [_shown(entry.settings.get(key)) for key in keys]
        if _constant(entries, entry):
            shown = [""] * len(keys)
        group = (entry.study, *shown, entry.method, str(entry.points))
        groups.setdefault(group, []).append(entry)
    rows = [
        [
            *key[0 if several else 1 : 1 + len(keys)],
            group[0].label,
            group[0].points,
            len(group),
            *_statistics([entry.value for entry in group]),
        ]
        for key, group in groups.items()
    ]
    columns = {
        **({"study": ""} if several else {}),
        **dict.fromkeys(keys, ""),
        "method": "",
        "points": "{}",
        "runs": "{}",
        **dict.fromkeys(("mean", "spread", "worst"), "{:.3g}"),
    }
    return Rows(columns, rows)


def _compared(folder: Path) -> list[Path]:
    """Runs with a comparison: a folder itself, or those within."""
    found = sorted(
        {path.parent.parent for path in folder.rglob("comparison/comparison-*.zarr")},
        key=_by_numbers,
    )
    if not found:
        raise FileNotFoundError(
            f"There is no comparison in {folder}: run `stencilnet compare`."
        )
    return found


def _by_numbers(path: Path) -> list[list[tuple[float, str]]]:
    """Puts `hidden-8` before `hidden-16`, and `rate-0.05` before `rate-0.1`."""
    return [
        [
            (float(text) if number % 2 else -1.0, text)
            for number, text in enumerate(_NUMBER.split(part))
        ]
        for part in path.parts
    ]


def _entries(folder: Path, metric: str) -> Iterable[_Entry]:
    for path in sorted((folder / "comparison").glob("comparison-*.zarr")):
        comparison = read_dataset(path)
        values = json.loads(comparison.attrs["config"])
        names = labels(comparison, "scheme")
        for row in summarize([comparison]):
            if metric not in row:
                raise unknown("column of the comparison", metric, row)
            yield _Entry(
                values["name"],
                _flat(values),
                row["method"],
                names[row["method"]],
                row["points"],
                row[metric],
            )


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by dotted key; null sections have none."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= {f"{name}.{key}": entry for key, entry in value.items()}
        else:
            flat[name] = value
    return flat


def _differing(entries: Sequence[_Entry]) -> list[str]:
    """Settings in which runs of one study differ."""
    keys = dict.fromkeys(key for entry in entries for key in entry.settings)
    seen: dict[tuple[str, str], set[str]] = {}
    for entry in entries:
        for key in keys:
            shown = _shown(entry.settings.get(key))
            seen.setdefault((entry.study, key), set()).add(shown)
    differing = {key for (_, key), values in seen.items() if len(values) > 1}
    return [key for key in keys if key in differing and key not in _NO_COLUMN]


def _kin(one: _Entry, other: _Entry) -> bool:
    """Whether two numbers are of one method, on one grid of one study."""
    return (one.study, one.method, one.points) == (
        other.study,
        other.method,
        other.points,
    )


def _constant(entries: Sequence[_Entry], one: _Entry) -> bool:
    """Whether the number of a method is the same in several combinations."""
    kin = [entry for entry in entries if _kin(entry, one)]
    return len(kin) > 1 and len({entry.value for entry in kin}) == 1


def _statistics(entries: Sequence[float | None]) -> list[float | None]:
    """Mean, standard deviation and largest value."""
    values = [value for value in entries if value is not None]
    if not values:
        return [None, None, None]
    spread = statistics.stdev(values) if len(values) > 1 else None
    return [statistics.fmean(values), spread, max(values)]


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
