"""Comparison of methods: its figures, and its report in a folder.

Figures take a comparison as `study.compare` gives it: `u`, `reference` (scheme, sample,
time, x), `error` (scheme, sample, time), `relative_l2` (scheme, sample), `spectrum` and
`reference_spectrum` (scheme, k), and the attributes `points` and `period`. Two things
are optional: a coordinate `label` (scheme) with display names, and an attribute
`highlight` with the names of the methods to single out, by default "learned".
"""

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from stencilnet.errors import unknown
from stencilnet.report.columns import write_tables
from stencilnet.report.fields import with_fields
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
    save,
    thin,
)
from stencilnet.storage import local_path, mark_report, new_store, write_dataset

_SHOWN = 3  # methods in a figure that has a panel or a band for each


def leading_methods(comparison: xr.Dataset, count: int = _SHOWN) -> list[str]:
    """Highlighted methods, then those of the lowest mean relative L2 error.

    Methods with a blow-up are left out, unless they are highlighted or no other is
    there.
    """
    mean = comparison["relative_l2"].mean("sample").values
    names = _names(comparison)
    ranked = sorted(zip(mean, names, strict=True), key=lambda pair: pair[0])
    first = highlighted(comparison, "scheme", "learned")
    best = [name for error, name in ranked if np.isfinite(error) and name not in first]
    return [*first, *best][:count] or names[:count]


def comparison_figures(comparison: xr.Dataset) -> dict[str, Figure]:
    """All figures of a comparison, by the name of their file."""
    return {
        "space-time": space_time(comparison),
        "error-against-time": error_against_time(comparison),
        "snapshots": snapshots(comparison),
        "spectra": spectra(comparison),
    }


@package_style()
def space_time(
    comparison: xr.Dataset, methods: Sequence[str] | None = None, *, sample: int = 0
) -> Figure:
    """Space-time diagrams of the reference and methods, and of their errors.

    The lower left panel shows the relative L2 error at each time instead of the error
    of the reference, which has none. Errors beyond twice the largest value of the
    reference have the colour of that.

    Args:
        comparison: of methods.
        methods: from left to right; `leading_methods` by default.
        sample: which trajectory.

    Raises:
        ValueError: if a method is not in the comparison.
    """
    methods = _methods(comparison, methods)
    columns = len(methods) + 1
    width = max(WIDTH, 1.7 * columns)
    figure = Figure(figsize=(width, 4.1), layout="constrained")
    axes = figure.subplots(2, columns, squeeze=False)
    trajectory = with_fields(comparison).isel(sample=sample)
    names, styles = labels(comparison, "scheme"), line_styles(_names(comparison))
    fields = [trajectory["u"].sel(scheme=name) for name in methods]
    truths = [trajectory["reference"].sel(scheme=name) for name in methods]
    limit = float(abs(truths[0]).max())
    errors = [field - truth for field, truth in zip(fields, truths, strict=True)]
    finite = [abs(error.where(np.isfinite(error))).max() for error in errors]
    largest = min(np.nanmax([0.0, *map(float, finite)]), 2 * limit or np.inf)
    extent = _extent(comparison)
    for axis, field in zip(axes[0], (truths[0], *fields), strict=True):
        image = _image(axis, field, limit, "RdBu_r", extent)
    figure.colorbar(image, ax=axes[0].tolist(), label="$u$", pad=0.01)
    for axis, error in zip(axes[1, 1:], errors, strict=True):
        image = _image(axis, error, largest, "PuOr_r", extent)
    figure.colorbar(image, ax=axes[1].tolist(), label="error", pad=0.01)
    for name in methods:
        error = positive(trajectory["error"].sel(scheme=name))
        axes[1, 0].plot(error["time"], error, label=names[name], **styles[name])
    axes[1, 0].set_yscale("log")
    axes[1, 0].margins(x=0)
    handles = axes[1, 0].get_legend_handles_labels()[0]
    legend_below(figure, handles)
    above = [LABELS["reference"], *(names[name] for name in methods)]
    below = ["relative $L^2$ error", *["error"] * len(methods)]
    for axis, title in zip(axes.flat, above + below, strict=True):
        axis.set_title(title)
    _share_labels(axes)
    letter_panels(axes.ravel())
    return figure


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
    """
    methods = _methods(comparison, methods, everything=True)
    names, styles = labels(comparison, "scheme"), line_styles(_names(comparison))
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
def snapshots(comparison: xr.Dataset, methods: Sequence[str] | None = None) -> Figure:
    """The solution before, at and after the steepest moment, and the errors below.

    A period is turned so that the steepest place of all is in the middle. Values beyond
    three times the largest of the reference are left out.

    Args:
        comparison: of methods.
        methods: which to draw beside the reference; `leading_methods` by default.

    Raises:
        ValueError: if a method is not in the comparison.
    """
    methods = _methods(comparison, methods)
    comparison = with_fields(comparison)
    reference = comparison["reference"].sel(scheme=methods[0])
    sample, moments, cell = _steepest(reference)
    cells = comparison.sizes["x"]
    turned, x, label = comparison.isel(sample=sample), comparison["x"].values, "$x$"
    if _is_periodic(comparison["x"]):
        label = "$x$ from the steepest point"
        turned = turned.roll(x=cells // 2 - cell)
        x = (np.arange(cells) - cells // 2) * (comparison.attrs["period"] / cells)
    limit = 3 * float(abs(reference).max())
    names, styles = labels(comparison, "scheme"), line_styles(_names(comparison))
    figure = Figure(figsize=(WIDTH, 3.9), layout="constrained")
    panels: dict[str, Any] = {"sharex": True, "sharey": "row", "squeeze": False}
    axes = figure.subplots(2, len(moments), height_ratios=(3, 2), **panels)
    for (above, below), moment in zip(axes.T, moments, strict=True):
        state = turned.isel(time=moment)
        truth = state["reference"].sel(scheme=methods[0])
        above.plot(x, truth, color=reference_colour(), label=LABELS["reference"])
        for name, marker in zip(methods, cycle("osd^vP"), strict=False):
            colour = styles[name]["color"]
            u = state["u"].sel(scheme=name)
            u = u.where(abs(u) <= limit)
            hollow = {"color": colour, "markerfacecolor": "none"}
            above.plot(x, u, marker, label=names[name], **hollow)
            error = u - state["reference"].sel(scheme=name)
            below.plot(x, error, marker + "-", linewidth=thin(), color=colour)
        above.set_title(f"$t = {float(state['time']):.1f}$")
        below.set_xlabel(label)
    axes[0, 0].set_ylabel("$u$")
    axes[1, 0].set_ylabel("error")
    handles = axes[0, 0].get_legend_handles_labels()[0]
    legend_below(figure, handles)
    letter_panels(axes.ravel())
    return figure


@package_style()
def spectra(comparison: xr.Dataset, methods: Sequence[str] | None = None) -> Figure:
    """Energy spectra, averaged over time, and their ratio to the reference's.

    Args:
        comparison: of methods.
        methods: to draw; all by default. Those without a finite sample have no lines.

    Raises:
        ValueError: if a method is not in the comparison.
    """
    methods = _methods(comparison, methods, everything=True)
    names, styles = labels(comparison, "scheme"), line_styles(_names(comparison))
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


def _names(comparison: xr.Dataset) -> list[str]:
    return [str(name) for name in comparison["scheme"].values]


def _methods(
    comparison: xr.Dataset, methods: Sequence[str] | None, *, everything: bool = False
) -> list[str]:
    """The methods to draw, validated."""
    names = _names(comparison)
    if methods is None:
        return names if everything else leading_methods(comparison)
    if not methods:
        raise ValueError("There is nothing to draw: name at least one method.")
    for name in methods:
        if name not in names:
            raise unknown("method in the comparison", name, names)
    return list(methods)


def _steepest(reference: xr.DataArray) -> tuple[int, list[int], int]:
    """Sample and cell of the largest jump, and up to three times about it."""
    jump = abs(reference - reference.roll(x=1)).transpose("sample", "time", "x").values
    jump[..., 0] *= _is_periodic(reference["x"])  # Ends are no neighbours.
    place = np.unravel_index(int(jump.argmax()), jump.shape)
    sample, moment, cell = (int(index) for index in place)
    last = reference.sizes["time"] - 1
    gap = max(1, min(10, last // 4))
    middle = max(min(max(moment, gap), last - gap), 0)
    moments = {middle - gap, middle, middle + gap}
    return sample, sorted(time for time in moments if 0 <= time <= last), cell


def _is_periodic(x: xr.DataArray) -> bool:
    """Whether positions run over a period rather than between boundaries."""
    return "boundaries" not in x.attrs


def _share_labels(axes: Any) -> None:
    """Labels of a space-time diagram at its left and lower edges only."""
    for axis in axes[-1]:
        axis.set_xlabel("$t$")
    axes[0, 0].set_ylabel("$x$")
    for axis in axes[:, 1:].flat:
        axis.set_yticklabels([])


def _extent(comparison: xr.Dataset) -> tuple[float, float, float, float]:
    time = comparison["time"].values
    return float(time[0]), float(time[-1]), 0.0, float(comparison.attrs["period"])


def _image(
    axis: Any,
    field: xr.DataArray,
    limit: float,
    colours: str,
    extent: tuple[float, float, float, float],
) -> Any:
    return axis.imshow(
        field.transpose("x", "time").values,
        origin="lower",
        aspect="auto",
        extent=extent,
        cmap=colours,
        vmin=-limit,
        vmax=limit,
        interpolation="nearest",
        rasterized=True,
    )
