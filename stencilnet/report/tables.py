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
from rich.console import Group
from rich.table import Table

from stencilnet.report import plots
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


def denoising_table(compared: xr.Dataset) -> Table:
    """Errors of filters, for a terminal of 80 columns.

    Args:
        compared: from `denoise.compare_denoisers`, with a known clean field.
    """
    table = Table(box=SIMPLE_HEAD, padding=(0, 1), show_edge=False)
    table.add_column("filter", no_wrap=True)
    for name in ("u", "u_x", "u_xx"):
        table.add_column(name, justify="right")
    table.add_column("SNR gain", justify="right", no_wrap=True)
    table.add_column("setting")
    for name in compared["filter"].values:
        of = compared.sel(filter=name)
        errors = [f"{error:.3g}" for error in of["error"].values]
        ours = str(name) == "total_variation"
        table.add_row(
            plots.LABELS.get(str(name), str(name)),
            *errors,
            f"{float(of['snr_gain']):.1f} dB",
            str(of["setting"].item()),
            style="bold" if ours else None,
        )
    return table


def certificate_page(certificate: xr.Dataset) -> Group:
    """A certificate on a page, for a terminal of 80 columns.

    Args:
        certificate: from `certificate.certify`.
    """
    spec = json.loads(certificate.attrs["spec"])
    equation, stencil = spec["equation"], spec["stencil"]
    parameters = ", ".join(
        f"{name} {value:g}" for name, value in equation.items() if name != "name"
    )
    where = "{points} points over {period:.4g}".format_map(certificate.attrs)
    title = (
        f"{equation['name']}, {parameters}, on {where}; {stencil['width']} points per "
        f"stencil, order {stencil['order']}, layer {stencil['layer']}"
    )
    names = [str(name) for name in certificate["derivative"].values]
    table = Table(box=SIMPLE_HEAD, padding=0, show_edge=False)
    table.add_column("")
    for heading in (*names, "all"):
        table.add_column(heading, justify="right", no_wrap=True)

    def value(variable: str) -> float:
        return float(certificate[variable])

    def add(label: str, variable: str | None, form: str, whole: str = "") -> None:
        of = certificate[variable].values if variable else [None] * len(names)
        cells = ["" if cell is None else form.format(cell) for cell in of]
        table.add_row(label, *cells, whole)

    samples = certificate.sizes["sample"]
    error, drift = certificate["relative_l2"], certificate["mean_drift"]
    add("largest moment residual", "moment_residual", "{:.0e}")
    order = f"{value('observed_order_u_t'):.2f}"
    add("observed order on smooth fields", "observed_order", "{:.2f}", order)
    add("exact to 1 % up to k dx", "resolved_k_dx", "{:.2f}")
    add("stencils that reverse some wave", "reversed_share", "{:.1%}")
    bound = f"<= {value('lipschitz_bound'):.3g}"
    add("Lipschitz constant, on the data", "lipschitz", "{:.3g}", bound)
    step = f"{value('step'):.3g}"
    add("time step", None, "", step)
    add("  stable about constant states", None, "", f"{value('stable_step'):.3g}")
    of_data = f"{value('stable_step_of_data'):.3g}"
    add("  stable about states of the data", None, "", of_data)
    rate = value("growth_rate")
    rate = 0.0 if abs(rate) < 1e-10 else rate
    add("fastest growth about the data", None, "", f"{rate:.2g}")
    add("drift of the mean, rollouts", None, "", f"{float(drift.max()):.0e}")
    add("relative L2, rollouts", None, "", _error(float(error.mean())))
    blown = f"{int(certificate['blow_up'].sum())}/{samples}"
    add("blow-ups", None, "", blown)
    return Group(title, "", table)


def trajectories_table(dataset: xr.Dataset) -> Table:
    """What a trajectory store holds, for a terminal of 80 columns."""
    u = dataset["u"]
    kind = "cell averages" if u.attrs["averages"] else "point values"
    sizes = ", ".join(f"{size} {name}" for name, size in u.sizes.items())
    time, period = dataset["time"].values, dataset["x"].attrs["period"]
    table = Table(box=SIMPLE_HEAD, padding=0, show_edge=False, show_header=False)
    rows = {
        "u": f"{kind}: {sizes}; from {float(u.min()):.4g} to {float(u.max()):.4g}",
        "time": f"{time[0]:g} to {time[-1]:g}",
        "period": f"{period:.6g}",
        **{
            name: f"{value:.3g}" if isinstance(value, float) else str(value)
            for name, value in dataset.attrs.items()
            if name != "config"
        },
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table


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
