"""Comparison of denoising filters, as table and figure.

Both take a dataset over `filter` as `study.compare_denoisers` gives it: `field`
(filter, sample, time, x) and `setting`; if the clean field is known also `clean`,
`error` (filter, quantity) and `snr_gain`. The attribute `highlight` names the filters
to single out, by default "total_variation"; a coordinate `label` (filter) has display
names.
"""

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from rich.box import SIMPLE_HEAD
from rich.table import Table

from stencilnet.report.style import (
    WIDTH,
    cell,
    highlighted,
    labels,
    legend_below,
    letter_panels,
    line_styles,
    package_style,
    reference_colour,
    thin,
)


def denoising_table(compared: xr.Dataset) -> Table:
    """Errors of filters, for a terminal of 80 columns; its caption names the best.

    Args:
        compared: filters, with a known clean field.

    Example:
        >>> import xarray as xr
        >>> from rich.console import Console
        >>> from stencilnet.report import denoising_table
        >>> compared = xr.Dataset(
        ...     {
        ...         "error": (("filter", "quantity"), [[0.1, 0.9], [0.05, 0.2]]),
        ...         "snr_gain": ("filter", [0.0, 6.0]),
        ...         "setting": ("filter", ["", "order 2"]),
        ...     },
        ...     {"filter": ["none", "total_variation"], "quantity": ["u", "u_x"]},
        ... )
        >>> Console(width=80, color_system=None).print(denoising_table(compared))
         filter               u   u_x   SNR gain   setting
        ───────────────────────────────────────────────────
         no filter          0.1   0.9     0.0 dB
         total variation   0.05   0.2     6.0 dB   order 2
        Least errors: u total variation (0.05), u_x total
        variation (0.2).
    """
    table = Table(box=SIMPLE_HEAD, padding=(0, 1), show_edge=False)
    table.caption, table.caption_justify = winners(compared), "left"
    table.add_column("filter", no_wrap=True)
    for quantity in compared["quantity"].values:
        table.add_column(cell(quantity), justify="right")
    table.add_column("SNR gain", justify="right", no_wrap=True)
    table.add_column("setting")
    bold = highlighted(compared, "filter", "total_variation")
    for name, label in labels(compared, "filter").items():
        row = compared.sel(filter=name)
        table.add_row(
            label,
            *(f"{error:.3g}" for error in row["error"].values),
            f"{float(row['snr_gain']):.1f} dB",
            str(row["setting"].item()),
            style="bold" if name in bold else None,
        )
    return table


def winners(compared: xr.Dataset) -> str:
    """Which filter has the least error of each quantity, in a sentence."""
    names = labels(compared, "filter")
    parts = []
    for quantity in compared["quantity"].values:
        error = compared["error"].sel(quantity=quantity)
        best = str(error["filter"].values[int(error.argmin("filter"))])
        parts.append(f"{quantity} {names[best]} ({float(error.min()):.3g})")
    return f"Least errors: {', '.join(parts)}."


@package_style()
def denoising_figure(compared: xr.Dataset) -> Figure:
    """One snapshot after each filter, its slope below, and the errors.

    Args:
        compared: filters.

    Example:
        >>> import numpy as np
        >>> import xarray as xr
        >>> from stencilnet.denoising import denoise_signals
        >>> from stencilnet.report import denoising_figure
        >>> x = 2 * np.pi * np.arange(32) / 32
        >>> noisy = np.sign(np.sin(x)) + 0.1 * np.cos(16 * x)
        >>> smooth = denoise_signals(noisy, 0.5, periodic=True).signal
        >>> fields = np.stack([noisy, smooth])[:, np.newaxis, np.newaxis]
        >>> compared = xr.Dataset(
        ...     {"field": (("filter", "sample", "time", "x"), fields)},
        ...     {"filter": ["none", "total_variation"], "x": x},
        ... )
        >>> figure = denoising_figure(compared)
        >>> [axis.get_title(loc="left") for axis in figure.axes]
        ['(a) no filter', '(b) total variation', '(c)', '(d)']
    """
    names = labels(compared, "filter")
    styles = line_styles(names)
    state = _steepest_state(compared)
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    panels: dict[str, Any] = {"sharex": True, "sharey": "row", "squeeze": False}
    axes = figure.subplots(2, len(names), height_ratios=(3, 2), **panels)
    for name, (above, below) in zip(names, axes.T, strict=True):
        if "clean" in state:
            clean = {"color": reference_colour(), "linewidth": thin()}
            above.plot(state["x"], state["clean"], label="clean", **clean)
            below.plot(state["x"], _slope(state["clean"]), **clean)
        field = state["field"].sel(filter=name)
        line = {"color": styles[name]["color"], "linewidth": 1.4 * thin()}
        above.plot(state["x"], field, **line)
        below.plot(state["x"], _slope(field), **line)
        above.set_title(names[name])
        below.set_xlabel("$x$")
    axes[0, 0].set_ylabel("$u$")
    axes[1, 0].set_ylabel("$u_x$")
    if "clean" in state:
        # The slope of the noise would hide all others.
        slope = _slope(state["clean"])
        low, high = float(slope.min()), float(slope.max())
        margin = 0.25 * (high - low) or 1.0
        axes[1, 0].set_ylim(low - margin, high + margin)
        legend_below(figure, axes[0, 0].get_legend_handles_labels()[0])
    letter_panels(axes.ravel())
    if "error" in compared:
        _write_errors(compared, axes)
    return figure


def _steepest_state(compared: xr.Dataset) -> xr.Dataset:
    """The state with the steepest place of all."""
    truth = compared["clean" if "clean" in compared else "field"]
    if "filter" in truth.dims:
        truth = truth.isel(filter=-1)
    steepest = abs(truth - _moved(truth, 1)).max("x").transpose("sample", "time")
    # A state without any known value is not the steepest.
    place = np.unravel_index(int(steepest.fillna(-1).values.argmax()), steepest.shape)
    return compared.isel(sample=int(place[0]), time=int(place[1]))


def _slope(field: xr.DataArray) -> xr.DataArray:
    """Central differences; none at ends, which have one neighbour."""
    spacing = float(field["x"][1] - field["x"][0])
    return (_moved(field, -1) - _moved(field, 1)) / (2 * spacing)


def _moved(field: xr.DataArray, points: int) -> xr.DataArray:
    """A field moved along x, around a period or off an end."""
    if "boundaries" in field["x"].attrs:
        return field.shift(x=points)
    return field.roll(x=points)


def _write_errors(compared: xr.Dataset, axes: Any) -> None:
    """Errors of `u` and `u_x` over all trajectories, in the titles."""
    for row, quantity in zip(axes, ("u", "u_x"), strict=True):
        for axis, error in zip(
            row, compared["error"].sel(quantity=quantity).values, strict=True
        ):
            title = axis.get_title(loc="left")
            between = " " if quantity == "u_x" else "\n"
            axis.set_title(f"{title}{between}error {error:.2g}", loc="left")
