"""A run as one page that opens from disk and asks nothing from outside."""

import html
import io
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from types import MappingProxyType
from typing import Any

import numpy as np
import xarray as xr
from rich.console import Console

from stencilnet.discretizations import FrozenStencils
from stencilnet.report.certificate import certificate_table
from stencilnet.report.columns import metric_columns, summarize
from stencilnet.report.style import LABELS


def report_page(
    title: str,
    about: Mapping[str, str],
    comparisons: Sequence[xr.Dataset],
    *,
    certificate: xr.Dataset | None = None,
    history: Mapping[str, np.ndarray] | None = None,
    classical: Mapping[str, Mapping[str, FrozenStencils]] = MappingProxyType({}),
    state: xr.Dataset | None = None,
) -> str:
    """The page as HTML.

    Args:
        title: heading.
        about: what was run and from what, by name.
        comparisons: one per grid, see `report.comparison`; fields are shown of the
            last, finest one.
        certificate: of the operator, see `report.certificate`.
        history: of its training, see `report.training`.
        classical: stencils beside the learned ones, by derivative and label.
        state: coefficients along a state, see `interactive.coefficients`.

    Raises:
        ValueError: if the plotting library is not installed.

    Example:
        >>> import numpy as np
        >>> from stencilnet.report import report_page
        >>> history = {"loss": 0.5 ** np.arange(8.0)}
        >>> page = report_page("First run", {"viscosity": "0.02"}, [], history=history)
        >>> "<title>First run</title>" in page, page.count("<figcaption")
        (True, 1)
    """
    try:
        from stencilnet.report import interactive
    except ModuleNotFoundError as error:
        raise ValueError(
            f"A page needs {error.name}: install stencilnet[report]."
        ) from error
    times: list[float] = []
    shown: dict[str, tuple[Any, str]] = {}
    if comparisons:
        last = comparisons[-1]
        player, times = interactive.player(last)
        shown["player"] = (player, "Reference, learned and classical at one time.")
        shown |= _of_comparisons(comparisons, interactive)
    shown |= _of_operator(interactive, certificate, classical, state)
    if history is not None and "loss" in history and len(history["loss"]):
        text = "Loss of each update and error of each validation."
        shown["training"] = (interactive.training_lines(history), text)
    figures = {name: plot for name, (plot, _) in shown.items()}
    script, places = interactive.embedded(figures) if figures else ("", {})
    drawn = {name: _figure(places[name], text) for name, (_, text) in shown.items()}

    def of(*kinds: str) -> str:
        return "".join(drawn[name] for name in drawn if name.startswith(kinds))

    template = (resources.files("stencilnet") / "report" / "page.html").read_text()
    return _filled(
        template,
        {
            "title": html.escape(title),
            "about": _rows(about),
            "table": _table(comparisons),
            "player": of("player"),
            "figures": of("error", "cost", "spectrum"),
            "fields": of("field"),
            "certificate": _certificate(certificate) + of("symbol"),
            "coefficients": of("stencil"),
            "training": of("training"),
            "times": json.dumps(times),
            "last": str(max(len(times) - 1, 0)),
            "library": interactive.library(),
            "script": script,
        },
    )


def _of_comparisons(
    comparisons: Sequence[xr.Dataset], interactive: Any
) -> dict[str, tuple[Any, str]]:
    """Figures of the finest comparison, and of what several cost."""
    last = comparisons[-1]
    found = {
        "error": (
            interactive.error_lines(last),
            "Relative error of each method against time, mean of samples.",
        )
    }
    if len(comparisons) > 1:
        found["cost"] = (
            interactive.cost_lines(comparisons),
            "Error against cost, a point per grid. A cell of a learned method takes "
            "more arithmetic than one of a classical method.",
        )
    found["spectrum"] = (
        interactive.spectrum_lines(last),
        "Mean energy of each wavenumber, reference and methods.",
    )
    for index, (name, plot) in enumerate(interactive.space_time(last).items()):
        found[f"field{index}"] = (plot, f"Space-time diagram of {name}, blue to red.")
    return found


def _of_operator(
    interactive: Any,
    certificate: xr.Dataset | None,
    classical: Mapping[str, Mapping[str, FrozenStencils]],
    state: xr.Dataset | None,
) -> dict[str, tuple[Any, str]]:
    """Figures of the stencils of an operator."""
    found: dict[str, tuple[Any, str]] = {}
    if certificate is not None and "modified_wavenumber" in certificate:
        for name in map(str, certificate["derivative"].values):
            beside = classical.get(name, {})
            plots = interactive.wavenumbers(certificate, name, beside)
            for part, plot in zip(("real", "imaginary"), plots, strict=False):
                text = f"Modified wavenumber of the stencils of {name}, {part} part."
                found[f"symbol-{name}-{part}"] = (plot, text)
    if state is not None:
        told = f"at t = {state.attrs['time']:.4g}, where the reference is steepest"
        for name, plot in interactive.coefficients(state).items():
            text = f"Learned coefficients of {name}, dx taken out, {told}."
            found[f"stencil-{name}"] = (plot, text)
    return found


def _filled(template: str, values: Mapping[str, str]) -> str:
    """The template with its marks, such as <!--title-->, replaced."""
    for name, value in values.items():
        template = template.replace(f"<!--{name}-->", value)
    return template


def _figure(place: str, words: str) -> str:
    text = html.escape(words)
    return (
        f'<figure role="group" aria-label="{text}">{place}'
        f"<figcaption>{text}</figcaption></figure>"
    )


def _rows(values: Mapping[str, str]) -> str:
    return "".join(
        f"<tr><th scope='row'>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>"
        for name, text in values.items()
    )


def _table(comparisons: Sequence[xr.Dataset]) -> str:
    """The table of the comparison."""
    if not comparisons:
        return ""
    columns = metric_columns(comparisons)
    heads = ["method", "points", *(column.heading for column in columns)]
    lines = "".join(f"<th scope='col'>{html.escape(head)}</th>" for head in heads)
    body = ""
    for row in summarize(comparisons):
        name = LABELS.get(row["method"], row["method"])
        cells = [str(row["points"]), *(column.cell(row) for column in columns)]
        inner = "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
        body += f"<tr><th scope='row'>{html.escape(name)}</th>{inner}</tr>"
    return f"<thead><tr>{lines}</tr></thead><tbody>{body}</tbody>"


def _certificate(certificate: xr.Dataset | None) -> str:
    if certificate is None:
        return ""
    text = io.StringIO()
    Console(file=text, width=80).print(certificate_table(certificate))
    return f"<pre>{html.escape(text.getvalue())}</pre>"
