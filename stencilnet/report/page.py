"""A run as one page that opens from disk and asks nothing from outside."""

import html
import io
import json
from collections.abc import Mapping, Sequence
from importlib import resources

import numpy as np
import xarray as xr
from rich.console import Console

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
) -> str:
    """The page as HTML.

    Args:
        title: heading.
        about: what was run and from what, by name.
        comparisons: one per grid, see `report.comparison`; fields are shown of the
            last, finest one.
        certificate: of the operator, see `report.certificate`.
        history: of its training, see `report.training`.

    Raises:
        ValueError: if the plotting library is not installed.
    """
    try:
        from stencilnet.report import interactive
    except ModuleNotFoundError as error:
        raise ValueError(
            f"A page needs {error.name}: install stencilnet[report]."
        ) from error
    figures, words = {}, {}
    times: list[float] = []
    if comparisons:
        last = comparisons[-1]
        figures["player"], times = interactive.player(last)
        words["player"] = "Reference, learned and classical solution at one time."
        figures["error"] = interactive.error_lines(last)
        words["error"] = "Relative error of each method against time, mean of samples."
        for index, (name, plot) in enumerate(interactive.space_time(last).items()):
            figures[f"field{index}"] = plot
            words[f"field{index}"] = f"Space-time diagram of {name}, blue to red."
        figures["spectrum"] = interactive.spectrum_lines(last)
        words["spectrum"] = "Mean energy of each wavenumber, reference and methods."
    if certificate is not None and "modified_wavenumber" in certificate:
        for name in map(str, certificate["derivative"].values):
            figures[f"symbol-{name}"] = interactive.wavenumbers(certificate, name)
            words[f"symbol-{name}"] = f"Modified wavenumber of the stencils of {name}."
    if history is not None and "loss" in history and len(history["loss"]):
        figures["training"] = interactive.training_lines(history)
        words["training"] = "Loss of each update and error of each validation."
    script, places = interactive.embedded(figures) if figures else ("", {})
    shown = {name: _figure(places[name], words[name]) for name in figures}
    template = (resources.files("stencilnet") / "report" / "page.html").read_text()
    return _filled(
        template,
        {
            "title": html.escape(title),
            "about": _rows(about),
            "table": _table(comparisons),
            "player": shown.get("player", ""),
            "figures": "".join(shown[n] for n in shown if n in ("error", "spectrum")),
            "fields": "".join(shown[n] for n in shown if n.startswith("field")),
            "certificate": _certificate(certificate)
            + "".join(shown[n] for n in shown if n.startswith("symbol")),
            "training": shown.get("training", ""),
            "times": json.dumps(times),
            "last": str(max(len(times) - 1, 0)),
            "library": interactive.library(),
            "script": script,
        },
    )


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
