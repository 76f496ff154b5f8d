"""Tables and figures of a comparison, in a folder."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr
from rich.box import SIMPLE_HEAD
from rich.table import Table

from stencilnet import plots
from stencilnet.storage import new_store


@dataclass(frozen=True)
class Row:
    """One method on one grid, over all samples. Errors are infinite after a blow-up.

    Attributes:
        method: its name.
        points: of the grid.
        step: time step.
        relative_l2: mean relative L2 error over the rollout.
        spread: its standard deviation over the samples.
        worst: its maximum.
        mean_absolute_error: mean over samples.
        valid_time: mean time until the relative error passes the threshold.
        mean_drift: largest departure of the spatial mean.
        blow_ups: samples that did not stay finite.
        samples: how many there were.
    """

    method: str
    points: int
    step: float
    relative_l2: float
    spread: float
    worst: float
    mean_absolute_error: float
    valid_time: float
    mean_drift: float
    blow_ups: int
    samples: int


def summarize(comparisons: Sequence[xr.Dataset]) -> list[Row]:
    """A row per method and grid, grids in the order given."""
    rows = []
    for comparison in comparisons:
        for name in comparison["scheme"].values:
            of = comparison.sel(scheme=name)
            errors = of["relative_l2"].values
            rows.append(
                Row(
                    method=str(name),
                    points=int(comparison.attrs["points"]),
                    step=float(of["step"]),
                    relative_l2=float(errors.mean()),
                    spread=float(errors.std()) if np.isfinite(errors).all() else np.inf,
                    worst=float(errors.max()),
                    mean_absolute_error=float(of["mean_absolute_error"].mean()),
                    valid_time=float(of["valid_time"].mean()),
                    mean_drift=float(of["mean_drift"].max()),
                    blow_ups=int(of["blow_up"].sum()),
                    samples=comparison.sizes["sample"],
                )
            )
    return rows


_HEADINGS = (
    "method",
    "points",
    "dt",
    "rel. L2",
    "spread",
    "worst",
    "MAE",
    "valid t",
    "drift",
    "blow-ups",
)


def screen_table(rows: Sequence[Row]) -> Table:
    """The rows for a terminal of 80 columns; the spread is in the files only."""
    table = Table(box=SIMPLE_HEAD, padding=0, show_edge=False)
    shown = [index for index, name in enumerate(_HEADINGS) if name != "spread"]
    for index in shown:
        justify: Literal["left", "right"] = "right" if index else "left"
        table.add_column(_HEADINGS[index], justify=justify, no_wrap=True)
    for row in rows:
        cells = _cells(row)
        style = "bold" if row.method == "learned" else None
        table.add_row(*(cells[index] for index in shown), style=style)
    return table


def markdown_table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    lines = [
        "| " + " | ".join(_HEADINGS) + " |",
        "| --- |" + " ---: |" * (len(_HEADINGS) - 1),
        *("| " + " | ".join(_cells(row)) + " |" for row in rows),
    ]
    return "\n".join(lines) + "\n"


def write_report(
    comparisons: Sequence[xr.Dataset], folder: Path, *, overwrite: bool = False
) -> list[Path]:
    """Writes tables, figures and the datasets of a comparison.

    Args:
        comparisons: from `evaluation.compare_study`.
        folder: where; it appears when everything in it is written.
        overwrite: whether to replace it.

    Returns:
        The paths of tables and figures.

    Raises:
        FileExistsError: if the folder exists and `overwrite` is false.
    """
    rows = summarize(comparisons)
    with new_store(folder, overwrite=overwrite) as partial:
        partial.mkdir()
        names = [_write_tables(rows, partial)]
        for comparison in comparisons:
            points = comparison.attrs["points"]
            comparison.to_zarr(
                partial / f"comparison-{points}.zarr", zarr_format=3, consolidated=False
            )
            names.append(_write_figures(comparison, partial))
    return [folder / name for group in names for name in group]


def _write_tables(rows: Sequence[Row], folder: Path) -> list[str]:
    with (folder / "table.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(vars(rows[0])))
        writer.writeheader()
        writer.writerows(vars(row) for row in rows)
    (folder / "table.md").write_text(markdown_table(rows), encoding="utf-8")
    return ["table.csv", "table.md"]


def _write_figures(comparison: xr.Dataset, folder: Path) -> list[str]:
    names = [str(name) for name in comparison["scheme"].values]
    shown = [name for name in ("learned", "weno_z") if name in names] or names[:2]
    points = comparison.attrs["points"]
    figures = {
        "space-time": plots.space_time(comparison, methods=shown),
        "error-against-time": plots.error_against_time(comparison),
        "snapshots": plots.snapshots(comparison, methods=shown),
        "spectra": plots.spectra(comparison),
    }
    return [
        path.name
        for name, figure in figures.items()
        for path in plots.save(figure, folder / f"{name}-{points}")
    ]


def write_json(values: dict[str, Any], path: Path, *, overwrite: bool = False) -> Path:
    """Writes plain values; numbers that are not finite become null."""
    with new_store(path, overwrite=overwrite) as partial:
        text = json.dumps(_finite_only(values), indent=2, allow_nan=False)
        partial.write_text(text + "\n", encoding="utf-8")
    return path


def _finite_only(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite_only(inner) for key, inner in value.items()}
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def _cells(row: Row) -> list[str]:
    return [
        plots.LABELS.get(row.method, row.method),
        str(row.points),
        f"{row.step:.3g}",
        _error(row.relative_l2),
        _error(row.spread),
        _error(row.worst),
        f"{row.mean_absolute_error:.1e}",
        f"{row.valid_time:.1f}",
        f"{row.mean_drift:.0e}",
        f"{row.blow_ups}/{row.samples}",
    ]


def _error(value: float) -> str:
    """Three significant digits, without an exponent where it would not help."""
    return f"{value:.3g}" if value >= 1 or value < 1e-4 else f"{value:.5f}"
