"""Figures of an explorer in Bokeh, an optional dependency."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from bokeh.models import ColorBar, ColumnDataSource, HoverTool, LinearColorMapper
from bokeh.plotting import figure

from stencilnet.report import LABELS, diverging_colours

# Colours with enough contrast on white.
_LINES = {
    "reference": ("#595959", 4),
    "chosen": ("#8A4FBF", 2),
    "learned": ("#C24E00", 2),
    "classical": ("#0072B2", 2),
}
_COLOURS = ("#00795A", "#A8568A", "#8A6500", "#4B5FC1", "#A3262A", "#3F6B00")
_DIAGRAMS = ("field", "learned", "classical")
_TIMES, _CELLS = 200, 400  # drawn of each axis of a diagram, at most
_LOOK = {"height": 260, "sizing_mode": "stretch_width"}


@dataclass
class Figures:
    """Figures and the sources of what they show, by name.

    Attributes:
        x: positions.
        period: of the domain, its length between boundaries.
        periodic: whether there are none.
        plots: state, spectrum, error, and the diagrams field, learned, classical.
        stencils: coefficients along a state, by derivative.
        sources: of the plots, and of `stencils` by "stencil" and their name.
    """

    x: np.ndarray
    period: float
    periodic: bool = True
    plots: dict[str, Any] = field(default_factory=dict)
    stencils: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._along("state", "x", {"y_axis_label": "u"})
        logarithmic = {"x_axis_type": "log", "y_axis_type": "log"}
        self._along("spectrum", "k", {"y_axis_label": "energy", **logarithmic})
        self._errors()
        self.mapper = LinearColorMapper(diverging_colours(), low=-1.0, high=1.0)
        for name in _DIAGRAMS:
            self._diagram(name)

    def scale(self, limit: float) -> None:
        """Shows values from `-limit` to `limit`."""
        limit = limit if np.isfinite(limit) and limit > 0 else 1.0
        self.mapper.low, self.mapper.high = -limit, limit
        state = self.plots["state"].y_range
        state.start, state.end = -1.15 * limit, 1.15 * limit

    def show_lines(self, lines: Mapping[str, np.ndarray]) -> None:
        """Shows states at one time and their spectra; what is not given vanishes."""
        nothing = np.full(len(self.x), np.nan)
        states = {name: lines.get(name, nothing) for name in _LINES}
        self.sources["state"].data = {"x": self.x, **states}
        if not self.periodic:
            # As in tables: with their even reflection states have no jump at the ends.
            states = {name: np.concatenate([u, u[::-1]]) for name, u in states.items()}
        count = len(next(iter(states.values())))
        length = self.period * count / len(self.x)
        waves = 2 * np.pi / length * np.arange(1, count // 2 + 1)
        energy = {name: _energies(u) for name, u in states.items()}
        self.sources["spectrum"].data = {"k": waves, **energy}

    def show_errors(
        self, lines: Sequence[tuple[str, str | int, np.ndarray, np.ndarray]]
    ) -> None:
        """Shows errors: each with label, line, times and values.

        A line is one of those of the states, or the number of a colour.
        """
        self.sources["error"].data = {
            "method": [label for label, _, _, _ in lines],
            "colour": [
                _COLOURS[line % len(_COLOURS)]
                if isinstance(line, int)
                else _LINES[line][0]
                for _, line, _, _ in lines
            ],
            "t": [times for _, _, times, _ in lines],
            "error": [_positive(values) for _, _, _, values in lines],
        }

    def show_diagram(
        self, name: str, title: str, u: np.ndarray | None, times: np.ndarray
    ) -> None:
        """A space-time diagram of at most a screen's points; empty for None."""
        self.plots[name].title.text = title
        if u is None:
            self.sources[name].data = _no_image()
            return
        rows, cells = (
            max(1, -(-size // most))
            for size, most in zip(u.shape, (_TIMES, _CELLS), strict=True)
        )
        image = np.ascontiguousarray(u[::rows, ::cells].T, dtype=np.float32)
        self.sources[name].data = {
            "image": [image],
            "x": [times[0]],
            "y": [self.x[0]],
            "dw": [times[-1] - times[0]],
            "dh": [self.period],
        }

    def show_coefficients(self, name: str, values: np.ndarray) -> None:
        """Coefficients (x, offset) of a derivative about the state."""
        columns = {f"c{j}": values[:, j] for j in range(values.shape[1])}
        self.sources[f"stencil {name}"].data = {"x": self.x, **columns}

    def add_stencil(self, name: str, offsets: np.ndarray) -> None:
        """A figure of the coefficients of a derivative along the state."""
        columns = ["x", *(f"c{j}" for j in range(len(offsets)))]
        source = ColumnDataSource({column: [] for column in columns})
        plot = figure(
            **_LOOK,
            title=f"coefficients of {name}, without dx",
            x_axis_label="x",
            y_axis_label="c",
        )
        for index, offset in enumerate(offsets):
            plot.line(
                "x",
                f"c{index}",
                source=source,
                color=_COLOURS[index % len(_COLOURS)],
                line_dash="solid" if index < len(_COLOURS) else "dashed",
                legend_label=f"{offset:+g} dx",
            )
        _finish(plot, [("x", "$x"), ("c", "$y")])
        self.stencils[name], self.sources[f"stencil {name}"] = plot, source

    def _along(self, name: str, axis: str, settings: Mapping[str, Any]) -> None:
        """A figure of states or spectra."""
        source = ColumnDataSource({axis: [], **{line: [] for line in _LINES}})
        source.name = name
        plot = figure(**_LOOK, **settings, x_axis_label=axis)
        for line, (colour, width) in _LINES.items():
            look = {"color": colour, "line_width": width, "legend_label": line}
            plot.line(axis, line, source=source, **look)
        _finish(plot, [(axis, f"@{axis}"), *((line, f"@{line}") for line in _LINES)])
        self.plots[name], self.sources[name] = plot, source

    def _errors(self) -> None:
        columns = ("method", "colour", "t", "error")
        source = ColumnDataSource({column: [] for column in columns})
        plot = figure(
            **_LOOK,
            x_axis_label="t",
            y_axis_label="relative L2 error",
            y_axis_type="log",
        )
        look = {"color": "colour", "legend_field": "method", "line_width": 2}
        plot.multi_line("t", "error", source=source, **look)
        _finish(plot, [("method", "@method"), ("t", "$x"), ("error", "$y")])
        self.plots["error"], self.sources["error"] = plot, source

    def _diagram(self, name: str) -> None:
        source = ColumnDataSource(_no_image())
        plot = figure(**_LOOK, x_axis_label="t", y_axis_label="x", title=" ")
        place = {key: key for key in ("image", "x", "y", "dw", "dh")}
        plot.image(source=source, color_mapper=self.mapper, **place)
        plot.add_layout(ColorBar(color_mapper=self.mapper, title="u", width=8), "right")
        _finish(plot, [("t", "$x"), ("x", "$y"), ("u", "@image")])
        self.plots[name], self.sources[name] = plot, source


def label(name: str) -> str:
    """A field or method as figures write it."""
    return LABELS.get(name, name)


def _no_image() -> dict[str, list[Any]]:
    return {key: [] for key in ("image", "x", "y", "dw", "dh")}


def _energies(u: np.ndarray) -> np.ndarray:
    """Energy `|u_k|**2` of the waves of a state, without the mean."""
    if not np.isfinite(u).all():
        return np.full(len(u) // 2, np.nan)
    return _positive(np.abs(np.fft.rfft(u, norm="forward")[1:]) ** 2)


def _positive(values: np.ndarray) -> np.ndarray:
    """What a logarithmic axis can show."""
    return np.where(values > 0, values, np.nan)


def _finish(plot: Any, tips: Sequence[tuple[str, str]]) -> None:
    """Hover values, a legend that hides lines, no logo."""
    plot.add_tools(HoverTool(tooltips=list(tips)))
    plot.toolbar.logo = None
    if plot.legend:
        plot.legend.click_policy = "hide"
        plot.legend.label_text_font_size = "9pt"
        plot.add_layout(plot.legend[0], "right")
