"""Comparison of methods: its figures, and its report in a folder.

Figures take a comparison as `study.compare` gives it: `u`, `reference` (scheme, sample,
time, x), `error` (scheme, sample, time), `relative_l2` (scheme, sample), `spectrum` and
`reference_spectrum` (scheme, k), and the attributes `points` and `period`. Two things
are optional: a coordinate `label` (scheme) with display names, and an attribute
`highlight` with the names of the methods to single out, by default "learned".
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from stencilnet.report.columns import write_tables
from stencilnet.report.diagrams import snapshots, space_time
from stencilnet.report.files import save
from stencilnet.report.methods import drawn_methods, leading_methods, method_names
from stencilnet.report.style import (
    GREY,
    LABELS,
    WIDTH,
    band,
    band_handle,
    highlighted,
    labels,
    legend_below,
    letter_panels,
    line_styles,
    package_style,
    positive,
    reference_colour,
    thin,
)
from stencilnet.storage import local_path, mark_report, new_store, write_dataset

# Amplitudes below it, relative to the largest one, are rounding.
_ROUNDING = 1e-12


def comparison_figures(comparison: xr.Dataset) -> dict[str, Figure]:
    """All figures of a comparison, by the name of their file.

    Example:
        >>> import torch
        >>> from stencilnet import FiniteDifference, Grid, compare
        >>> from stencilnet.equations import Advection
        >>> from stencilnet.report import comparison_figures
        >>> from stencilnet.storage import trajectories
        >>> grid, times = Grid.line(16), torch.linspace(0, 1, 3)
        >>> u = (grid.points() - times.unsqueeze(-1)).sin()
        >>> wave = trajectories(u, times, grid, averages=True)
        >>> central = FiniteDifference(Advection(1.0), grid)
        >>> comparison = compare({"central_2": central}, wave)
        >>> list(comparison_figures(comparison))
        ['space-time', 'error-against-time', 'snapshots', 'spectra']
    """
    return {
        "space-time": space_time(comparison),
        "error-against-time": error_against_time(comparison),
        "snapshots": snapshots(comparison),
        "spectra": spectra(comparison),
    }


@package_style()
def error_against_time(
    comparison: xr.Dataset, methods: Sequence[str] | None = None
) -> Figure:
    """Mean relative L2 error at each time, over the samples that are finite there.

    Highlighted methods, and the best others up to three, have a band from the smallest
    to the largest error of a sample.

    Args:
        comparison: of methods.
        methods: to draw; all by default.

    Raises:
        ValueError: if a method is not in the comparison.

    Example:
        >>> import torch
        >>> from stencilnet import FiniteDifference, Grid, compare
        >>> from stencilnet.equations import Advection
        >>> from stencilnet.report import error_against_time
        >>> from stencilnet.storage import trajectories
        >>> grid, times = Grid.line(16), torch.linspace(0, 1, 3)
        >>> u = (grid.points() - times.unsqueeze(-1)).sin()
        >>> wave = trajectories(u, times, grid, averages=True)
        >>> central = FiniteDifference(Advection(1.0), grid)
        >>> comparison = compare({"central_2": central}, wave)
        >>> (axis,) = error_against_time(comparison).axes
        >>> axis.get_lines()[0].get_ydata().round(3)  # a zero has no logarithm
        array([  nan, 0.013, 0.025])
    """
    methods = drawn_methods(comparison, methods, everything=True)
    names, styles = labels(comparison, "scheme"), line_styles(method_names(comparison))
    drawn = comparison.sel(scheme=methods)
    single_out = set(highlighted(comparison, "scheme", "learned")) & set(methods)
    banded = leading_methods(drawn.assign_attrs(highlight=sorted(single_out)))
    figure = Figure(figsize=(WIDTH / 2 * 1.2, 2.9), layout="constrained")
    axis = figure.subplots()
    for name in methods:
        error = positive(drawn["error"].sel(scheme=name))
        axis.plot(
            error["time"],
            error.mean("sample"),
            label=names[name],
            zorder=2.5 if name in single_out else 2,
            **styles[name],
        )
        if name in banded:
            ends = (error.min("sample"), error.max("sample"))
            band(axis, error["time"], *ends, styles[name]["color"])
    axis.set(yscale="log", xlabel="$t$", ylabel="relative $L^2$ error")
    handles = [*axis.get_legend_handles_labels()[0]]
    handles.append(band_handle(GREY, "range of samples"))
    legend_below(figure, handles, columns=3)
    return figure


@package_style()
def spectra(comparison: xr.Dataset, methods: Sequence[str] | None = None) -> Figure:
    """Energy spectra, averaged over time, and their ratio to the reference's.

    Args:
        comparison: of methods.
        methods: to draw; all by default. Those without a finite sample have no lines.

    Raises:
        ValueError: if a method is not in the comparison.

    Example:
        >>> import torch
        >>> from stencilnet import FiniteDifference, Grid, compare
        >>> from stencilnet.equations import Advection
        >>> from stencilnet.report import spectra
        >>> from stencilnet.storage import trajectories
        >>> grid, times = Grid.line(16), torch.linspace(0, 1, 3)
        >>> u = (grid.points() - times.unsqueeze(-1)).sin()
        >>> wave = trajectories(u, times, grid, averages=True)
        >>> central = FiniteDifference(Advection(1.0), grid)
        >>> comparison = compare({"central_2": central}, wave)
        >>> spectrum, ratio = spectra(comparison).axes
        >>> [line.get_label() for line in spectrum.get_lines()]
        ['reference', 'central 2']
        >>> round(float(ratio.get_lines()[1].get_ydata()[0]), 2)  # of the wave k = 1
        1.0
    """
    methods = drawn_methods(comparison, methods, everything=True)
    names, styles = labels(comparison, "scheme"), line_styles(method_names(comparison))
    figure = Figure(figsize=(WIDTH, 3.0), layout="constrained")
    left, right = figure.subplots(1, 2)
    black = reference_colour()
    k = comparison["k"][1:]
    first = comparison["reference_spectrum"].sel(scheme=methods[0])[1:]
    left.loglog(k, first, ".-", color=black, label=LABELS["reference"], zorder=3)
    right.axhline(1, color=black, linewidth=thin())
    for name in methods:
        spectrum = comparison["spectrum"].sel(scheme=name)[1:]
        if np.isfinite(spectrum).any():
            own = comparison["reference_spectrum"].sel(scheme=name)[1:]
            left.plot(k, positive(spectrum), label=names[name], **styles[name])
            # Of waves that the reference lacks both are rounding.
            own = own.where(own > _ROUNDING**2 * own.max())
            right.plot(k, positive(spectrum / own), **styles[name])
    left.set_ylim(bottom=float(first.min()) / 30)
    left.set(title="spectrum", ylabel="energy $|u_k|^2$", xlabel="$k$")
    right.set(xscale="log", ylim=(0, 2), xlabel="$k$", ylabel="energy / reference")
    right.set_title("ratio to the reference")
    handles = left.get_legend_handles_labels()[0]
    legend_below(figure, handles)
    letter_panels((left, right))
    return figure


def write_report(
    comparisons: Sequence[xr.Dataset], folder: Path | str, *, overwrite: bool = False
) -> list[Path]:
    """Writes tables, figures and the datasets of a comparison.

    Args:
        comparisons: one per grid.
        folder: where; it appears when everything in it is written.
        overwrite: whether to replace it.

    Returns:
        The paths of tables and figures.

    Raises:
        FileExistsError: if the folder exists and `overwrite` is false, or if something
            in it is not of such a report.

    Example:
        >>> import torch
        >>> from stencilnet import FiniteDifference, Grid, compare
        >>> from stencilnet.equations import Advection
        >>> from stencilnet.report import write_report
        >>> from stencilnet.storage import trajectories
        >>> grid, times = Grid.line(16), torch.linspace(0, 1, 3)
        >>> u = (grid.points() - times.unsqueeze(-1)).sin()
        >>> wave = trajectories(u, times, grid, averages=True)
        >>> central = FiniteDifference(Advection(1.0), grid)
        >>> comparison = compare({"central_2": central}, wave)
        >>> paths = write_report([comparison], "report")
        >>> [path.name for path in paths[:4]], len(paths)
        (['table.csv', 'table.md', 'table.tex', 'space-time-16.png'], 11)
    """
    folder = local_path(folder)
    with new_store(folder, kind="report", overwrite=overwrite) as partial:
        partial.mkdir()
        names = write_tables(comparisons, partial)
        for comparison in comparisons:
            points = comparison.attrs["points"]
            write_dataset(comparison, partial / f"comparison-{points}.zarr")
            for name, figure in comparison_figures(comparison).items():
                paths = save(figure, partial / f"{name}-{points}")
                names += [path.name for path in paths]
        mark_report(partial)
    return [folder / name for name in names]
