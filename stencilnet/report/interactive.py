"""Figures of a comparison, an operator and its training that zoom and tell values.

They are Bokeh's, an optional dependency: install stencilnet[report].
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
import xarray as xr
from bokeh.embed import components
from bokeh.models import ColumnDataSource, HoverTool, LinearColorMapper
from bokeh.plotting import figure
from bokeh.resources import Resources

from stencilnet.discretizations import FrozenStencils
from stencilnet.report.fields import with_fields
from stencilnet.report.methods import leading_methods
from stencilnet.report.style import diverging_colours, labels, line_styles

_TIMES, _CELLS = 151, 256  # kept of each axis of a field, at most
# Of the lines beside a learned one, and of the places of a stencil.
_CLASSICAL = ("#0072B2", "#00795A", "#A8568A", "#8A6500")
_OFFSETS = ("#0072B2", "#C24E00", "#00795A", "#A8568A", "#8A6500", "#595959")
# Entries beside each other that a phone has room for, and the height of a row of them.
_LEGEND_COLUMNS, _LEGEND_ROW = 2, 22
_LOOK = {"sizing_mode": "stretch_width", "height": 320}


def library() -> str:
    """The script of the plotting library, as text that asks nothing from outside."""
    return str(Resources(mode="inline", components=["bokeh"]).render_js())


def embedded(figures: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """The script of some figures, and the place of each in a page."""
    script, places = components(dict(figures))
    return str(script), {str(name): str(place) for name, place in places.items()}


def player(comparison: xr.Dataset, sample: int = 0) -> tuple[Any, list[float]]:
    """Reference and leading methods at one time, and the times that it can show.

    The sources `states` and `now` hold all times and the one that is shown.
    """
    trajectory = _thinned(with_fields(comparison).isel(sample=sample))
    methods = leading_methods(comparison)
    x = trajectory["x"].values
    fields = {"reference": trajectory["reference"].sel(scheme=methods[0])}
    fields |= {name: trajectory["u"].sel(scheme=name) for name in methods}
    states = {
        name: field.transpose("time", "x").values.astype(np.float32)
        for name, field in fields.items()
    }
    now = ColumnDataSource(
        {"x": x, **{name: values[0] for name, values in states.items()}}, name="now"
    )
    plot = figure(**_LOOK, x_axis_label="x", y_axis_label="u", title=" ", name="player")
    limit = 1.1 * float(np.nanmax(np.abs(states["reference"])) or 1.0)
    plot.y_range.start, plot.y_range.end = -limit, limit
    names = labels(comparison, "scheme")
    for name, colour in _colours(comparison, methods).items():
        look = {"color": colour, "legend_label": names.get(name, name)}
        wide = 4 if name == "reference" else 2
        plot.line("x", name, source=now, line_width=wide, **look)
        if name != "reference":
            plot.scatter("x", name, source=now, color=colour, size=5)
    _finish(plot, [("x", "@x"), *((names.get(n, n), f"@{n}") for n in fields)])
    flat = {name: values.ravel() for name, values in states.items()}
    # A tag travels with the page although nothing draws it.
    plot.tags = [ColumnDataSource(flat, name="states")]
    return plot, [float(t) for t in trajectory["time"].values]


def error_lines(comparison: xr.Dataset) -> Any:
    """Error of each method against time, mean over the samples."""
    error = _thinned(comparison)["error"].mean("sample")
    return _lines(
        error.where(np.isfinite(error) & (error > 0)),
        "time",
        comparison,
        {"x_axis_label": "t", "y_axis_label": "relative L2 error"},
    )


def spectrum_lines(comparison: xr.Dataset) -> Any:
    """Energy of the waves of reference and methods."""
    spectrum = comparison["spectrum"].isel(k=slice(1, None))
    reference = comparison["reference_spectrum"].isel(scheme=0, k=slice(1, None))
    return _lines(
        spectrum.where(spectrum > 0),
        "k",
        comparison,
        {"x_axis_label": "k", "y_axis_label": "energy", "x_axis_type": "log"},
        reference=reference.values,
    )


def space_time(comparison: xr.Dataset, sample: int = 0) -> dict[str, Any]:
    """Space-time diagrams of reference and leading methods, which zoom together."""
    trajectory = _thinned(with_fields(comparison).isel(sample=sample))
    methods = leading_methods(comparison)
    names = labels(comparison, "scheme")
    fields = {"reference": trajectory["reference"].sel(scheme=methods[0])}
    fields |= {names[name]: trajectory["u"].sel(scheme=name) for name in methods}
    limit = float(np.nanmax(np.abs(fields["reference"].values)) or 1.0)
    period = float(comparison.attrs["period"])
    colours = LinearColorMapper(diverging_colours(), low=-limit, high=limit)
    start, end = (float(trajectory["time"].values[index]) for index in (0, -1))
    plots: dict[str, Any] = {}
    for name, field in fields.items():
        shared = next(iter(plots.values()), None)
        ranges = (
            {}
            if shared is None
            else {"x_range": shared.x_range, "y_range": shared.y_range}
        )
        plot = figure(
            **{**_LOOK, "height": 220},
            title=name,
            x_axis_label="t",
            y_axis_label="x",
            **ranges,
        )
        values = field.transpose("x", "time").values.astype(np.float32)
        plot.image(
            [values],
            x=start,
            y=0,
            dw=end - start,
            dh=period,
            color_mapper=colours,
        )
        _finish(plot, [("t", "$x"), ("x", "$y"), ("u", "@image")])
        plots[name] = plot
    return plots


def training_lines(history: Mapping[str, np.ndarray]) -> Any:
    """Loss of each update and error of each validation."""
    plot = figure(**_LOOK, x_axis_label="update", y_axis_type="log")
    updates = np.arange(1, len(history["loss"]) + 1)
    plot.line(updates, history["loss"], color="#888888", legend_label="loss")
    if len(history.get("validation_iteration", [])):
        plot.line(
            history["validation_iteration"],
            history["validation_relative_l2"],
            color="#C24E00",
            line_width=2,
            legend_label="validation error",
        )
    _finish(plot, [("update", "$x{0}"), ("value", "$y")])
    return plot


def wavenumbers(
    certificate: xr.Dataset,
    derivative: str,
    beside: Mapping[str, FrozenStencils] = MappingProxyType({}),
) -> list[Any]:
    """Median modified wavenumber of the stencils of a derivative, a figure per part.

    Args:
        certificate: of the learned operator.
        derivative: which of its stencils.
        beside: constant stencils for the same derivative, by label.
    """
    k_dx = certificate["k_dx"].values
    values = certificate["modified_wavenumber"].sel(derivative=derivative)
    order = int(certificate["modified_order"].sel(derivative=derivative))
    classical = {
        label: stencils.modified(torch.tensor(k_dx))[0].numpy()
        for label, stencils in beside.items()
    }
    plots = []
    parts = (("real", k_dx**order), ("imaginary", 0 * k_dx))
    for index, (part, exact) in enumerate(parts[: values.sizes["part"]]):
        plot = figure(
            **{**_LOOK, "height": 280},
            x_axis_label="k dx",
            title=f"stencils of {derivative}, {part} part",
        )
        look = {"line_dash": "dotted", "line_width": 2, "legend_label": "exact"}
        plot.line(k_dx, exact, color="#595959", **look)
        for colour, (label, symbol) in zip(_CLASSICAL, classical.items(), strict=False):
            line = symbol.real if part == "real" else symbol.imag
            plot.line(k_dx, line, color=colour, legend_label=label, line_width=2)
        middle = values.isel(part=index).sel(quantile=0.5, method="nearest").values
        look = {"legend_label": "learned, median", "line_width": 3}
        plot.line(k_dx, middle, color="#C24E00", **look)
        _finish(plot, [("k dx", "$x"), ("value", "$y")])
        plots.append(plot)
    return plots


def coefficients(state: xr.Dataset) -> dict[str, Any]:
    """Coefficients along a state, a figure for each derivative.

    Args:
        state: of each derivative its coefficients (x, offset), whose coordinate is
            their place in units of dx; the attribute `time`.
    """
    x, plots = state["x"].values, {}
    for name in map(str, state.data_vars):
        values = state[name]
        (axis,) = set(map(str, values.dims)) - {"x"}
        plot = figure(
            **_LOOK, x_axis_label="x", y_axis_label="c", title=f"stencils of {name}"
        )
        for index, offset in enumerate(state[axis].values):
            colour = _OFFSETS[index % len(_OFFSETS)]
            line = values.isel({axis: index}).values
            dash = "solid" if index < len(_OFFSETS) else "dashed"
            look = {"color": colour, "line_dash": dash, "line_width": 2}
            plot.line(x, line, legend_label=f"{offset:+g} dx", **look)
        _finish(plot, [("x", "$x"), ("c", "$y")])
        plots[name] = plot
    return plots


def cost_lines(comparisons: Sequence[xr.Dataset]) -> Any:
    """Mean error of each method against the cells that it advances per unit of time.

    Args:
        comparisons: of several grids; a method has a point for each.
    """
    plot = figure(
        **_LOOK,
        x_axis_label="cells advanced per unit of time, points / dt",
        y_axis_label="relative L2 error",
        x_axis_type="log",
        y_axis_type="log",
    )
    points: dict[str, list[tuple[float, float]]] = {}
    names: dict[str, str] = {}
    for comparison in comparisons:
        names |= labels(comparison, "scheme")
        for name in map(str, comparison["scheme"].values):
            row = comparison.sel(scheme=name)
            error = float(row["relative_l2"].mean())
            if np.isfinite(error) and error > 0:
                cost = float(comparison.attrs["points"]) / float(row["step"])
                points.setdefault(name, []).append((cost, error))
    styles = line_styles(list(points))
    for name, pairs in points.items():
        costs, errors = zip(*sorted(pairs), strict=True)
        colour = str(styles[name]["color"])
        look = {"color": colour, "legend_label": names[name]}
        plot.line(costs, errors, line_width=2, name=names[name], **look)
        plot.scatter(costs, errors, size=8, name=names[name], **look)
    _finish(plot, [("method", "$name"), ("cost", "$x"), ("error", "$y")])
    return plot


def _lines(
    values: xr.DataArray,
    axis: str,
    comparison: xr.Dataset,
    settings: Mapping[str, str],
    *,
    reference: np.ndarray | None = None,
) -> Any:
    plot = figure(**_LOOK, y_axis_type="log", **settings)
    names = labels(comparison, "scheme")
    points = values[axis].values
    if reference is not None:
        look = {"color": "#666666", "legend_label": "reference"}
        plot.line(points, reference, line_width=4, **look)
    for name, colour in _colours(comparison, list(names)).items():
        if name != "reference":
            line = values.sel(scheme=name).values
            plot.line(
                points,
                line,
                color=colour,
                line_width=2,
                legend_label=names[name],
                name=names[name],
            )
    _finish(plot, [("method", "$name"), (axis, "$x"), ("value", "$y")])
    return plot


def _finish(plot: Any, tips: Sequence[tuple[str, str]]) -> None:
    """Hover values, a legend that hides lines, no logo."""
    plot.add_tools(HoverTool(tooltips=list(tips)))
    plot.toolbar.logo = None
    if plot.legend:
        legend = plot.legend[0]
        legend.click_policy = "hide"
        legend.label_text_font_size = "9pt"
        # Below, so that a phone has its width for the figure.
        legend.orientation, legend.ncols = "horizontal", _LEGEND_COLUMNS
        plot.add_layout(legend, "below")
        plot.height += _LEGEND_ROW * -(-len(legend.items) // _LEGEND_COLUMNS)


def _colours(comparison: xr.Dataset, methods: Sequence[str]) -> dict[str, str]:
    names = [str(name) for name in comparison["scheme"].values]
    styles = line_styles(names)
    return {
        "reference": "#666666",
        **{name: str(styles[name]["color"]) for name in methods},
    }


def _thinned(dataset: xr.Dataset) -> xr.Dataset:
    """Every n-th time and cell, so that a page stays small."""
    steps = {
        axis: max(1, -(-dataset.sizes[axis] // most))
        for axis, most in (("time", _TIMES), ("x", _CELLS))
    }
    return dataset.isel({axis: slice(None, None, step) for axis, step in steps.items()})
