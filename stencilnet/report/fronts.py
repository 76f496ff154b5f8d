"""Errors of methods against what they cost."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from stencilnet.report.style import (
    WIDTH,
    legend_below,
    letter_panels,
    line_styles,
    package_style,
)

Points = Sequence[tuple[float, float]]
"""Cost and error of the settings on a front."""


@package_style()
def fronts_figure(
    panels: Mapping[str, Mapping[str, Mapping[str, Points]]],
    *,
    highlight: Sequence[str] = (),
) -> Figure:
    """The front of each method, a row per problem and a column per cost.

    Args:
        panels: by problem and by the name of a cost, which is the label of its axis,
            the points of each method, by its label.
        highlight: labels drawn bold.
    """
    columns = max(len(costs) for costs in panels.values())
    names = [
        name for costs in panels.values() for lines in costs.values() for name in lines
    ]
    styles = line_styles(dict.fromkeys(names))
    size = (WIDTH, 2.2 * len(panels) + 0.6)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(panels), columns, squeeze=False, sharey="row")
    handles = {}
    for row, (problem, costs) in zip(axes, panels.items(), strict=True):
        for axis, (cost, lines) in zip(row, costs.items(), strict=False):
            for name, points in lines.items():
                if points:
                    bold = {"linewidth": 2.2, "zorder": 3} if name in highlight else {}
                    handles[name] = axis.loglog(
                        *zip(*points, strict=True),
                        marker="o",
                        label=name,
                        **styles[name] | bold,
                    )[0]
            axis.xaxis.set_minor_formatter(NullFormatter())
            axis.set_xlabel(cost)
            axis.set_title(problem)
        row[0].set_ylabel("relative $L_2$ error")
    letter_panels(axes.ravel())
    legend_below(figure, list(handles.values()), columns=4)
    return figure
