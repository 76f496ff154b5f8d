"""Solutions of a comparison over space and time: diagrams and snapshots."""

from collections.abc import Sequence
from itertools import cycle
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from stencilnet.report.fields import with_fields
from stencilnet.report.methods import drawn_methods, method_names
from stencilnet.report.style import (
    LABELS,
    WIDTH,
    labels,
    legend_below,
    letter_panels,
    line_styles,
    package_style,
    positive,
    reference_colour,
    thin,
)


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

    Example:
        >>> import torch
        >>> from stencilnet import FiniteDifference, Grid, compare
        >>> from stencilnet.equations import Advection
        >>> from stencilnet.report import space_time
        >>> from stencilnet.storage import trajectories
        >>> grid, times = Grid.line(16), torch.linspace(0, 1, 3)
        >>> u = (grid.points() - times.unsqueeze(-1)).sin()
        >>> wave = trajectories(u, times, grid, averages=True)
        >>> central = FiniteDifference(Advection(1.0), grid)
        >>> comparison = compare({"central_2": central}, wave)
        >>> figure = space_time(comparison)
        >>> [axis.get_title(loc="left") for axis in figure.axes[:4]]
        ['(a) reference', '(b) central 2', '(c) relative $L^2$ error', '(d) error']
    """
    methods = drawn_methods(comparison, methods)
    columns = len(methods) + 1
    width = max(WIDTH, 1.7 * columns)
    figure = Figure(figsize=(width, 4.1), layout="constrained")
    axes = figure.subplots(2, columns, squeeze=False)
    trajectory = with_fields(comparison).isel(sample=sample)
    names, styles = labels(comparison, "scheme"), line_styles(method_names(comparison))
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
def snapshots(comparison: xr.Dataset, methods: Sequence[str] | None = None) -> Figure:
    """The solution before, at and after the steepest moment, and the errors below.

    A period is turned so that the steepest place of all is in the middle. Values beyond
    three times the largest of the reference are left out.

    Args:
        comparison: of methods.
        methods: which to draw beside the reference; `leading_methods` by default.

    Raises:
        ValueError: if a method is not in the comparison.

    Example:
        >>> import torch
        >>> from stencilnet import FiniteDifference, Grid, compare
        >>> from stencilnet.equations import Advection
        >>> from stencilnet.report import snapshots
        >>> from stencilnet.storage import trajectories
        >>> grid, times = Grid.line(16), torch.linspace(0, 1, 3)
        >>> u = (grid.points() - times.unsqueeze(-1)).sin()
        >>> wave = trajectories(u, times, grid, averages=True)
        >>> central = FiniteDifference(Advection(1.0), grid)
        >>> comparison = compare({"central_2": central}, wave)
        >>> figure = snapshots(comparison)
        >>> [axis.get_title(loc="left") for axis in figure.axes[:3]]
        ['(a) $t = 0.0$', '(b) $t = 0.5$', '(c) $t = 1.0$']
    """
    methods = drawn_methods(comparison, methods)
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
    names, styles = labels(comparison, "scheme"), line_styles(method_names(comparison))
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
