"""Tables of metrics, a column for each that a comparison declares.

A variable of a comparison becomes a column of every table (screen, Markdown, CSV) by
its attributes. It has the dimension `scheme`, and may have `sample`.

- `heading`: of the column, such as "MAE"; without it the variable is in no table.
- `format`: how cells are written: a template of `str.format` that may use the number of
  `{samples}`, such as "{:.1e}" or "{}/{samples}", or a name in `FORMATS`; "{:.3g}" by
  default.
- `summary`: over the samples, a name in `SUMMARIES`; "mean" by default.
- `column`: the key in a row and in the CSV file; the variable's name by default.
- `position`: where the column stands, ascending; after all others by default.

`heading`, `summary` and `column` may be lists of one length, for several columns of one
variable: `{"heading": ["error", "worst"], "summary": ["mean", "max"], "column":
["error", "worst"]}`. The screen leaves out the summary "spread".
"""

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import xarray as xr
from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table

from stencilnet.errors import unknown
from stencilnet.report.latex import latex
from stencilnet.report.style import cell, highlighted, labels
from stencilnet.storage import LATEX_MARK, TABLE_MARK

SCREEN = 80  # columns of a terminal


def _spread(values: np.ndarray) -> float:
    """Standard deviation, infinite if a value is not finite."""
    return float(values.std()) if np.isfinite(values).all() else np.inf


def _worst(values: np.ndarray) -> float:
    """The largest value, infinite if a sample has none."""
    return float(np.nan_to_num(values, nan=np.inf, posinf=np.inf).max())


SUMMARIES: Mapping[str, Callable[[np.ndarray], Any]] = MappingProxyType(
    {
        "mean": np.mean,
        "spread": _spread,
        "worst": _worst,
        "max": np.max,
        "min": np.min,
        "sum": np.sum,
    }
)
"""What a column may say of a metric's samples."""


def error_text(value: float) -> str:
    """Three significant digits, without an exponent where it would not help."""
    return f"{value:.3g}" if value >= 1 or value < 1e-4 else f"{value:.5f}"


FORMATS: Mapping[str, Callable[[float], str]] = MappingProxyType({"error": error_text})
"""Formats that a template cannot express, by name."""


@dataclass(frozen=True)
class Column:
    """One column of the tables.

    Attributes:
        variable: of the comparison.
        name: key in a row, and column of the CSV file.
        heading: on the screen and in Markdown.
        summary: over the samples.
        format: template or name of a format.
        position: columns stand in ascending order of it.
    """

    variable: str
    name: str
    heading: str
    summary: str
    format: str
    position: float

    def __post_init__(self) -> None:
        if self.summary not in SUMMARIES:
            raise unknown("summary", self.summary, SUMMARIES)
        if "{" not in self.format and self.format not in FORMATS:
            raise unknown("format", self.format, FORMATS)

    def value(self, scheme: xr.Dataset) -> Any:
        """The number of one method, whose dimension `scheme` is gone; None for NaN."""
        metric = scheme[self.variable]
        if "sample" in metric.dims:
            value = np.asarray(SUMMARIES[self.summary](metric.values)).item()
        else:
            value = metric.values.item()
        return None if isinstance(value, float) and math.isnan(value) else value

    def cell(self, row: Mapping[str, Any]) -> str:
        """The text in a row; empty where the method has no such number."""
        value = row.get(self.name)
        if value is None:
            return ""
        if self.format in FORMATS:
            return FORMATS[self.format](value)
        return self.format.format(value, samples=row["samples"])


def metric_columns(comparisons: Sequence[xr.Dataset]) -> list[Column]:
    """The columns that the variables of comparisons declare.

    Raises:
        ValueError: if a declaration is not as the module describes, or two columns
            have one name.
    """
    columns = [
        column
        for comparison in comparisons
        for name, metric in comparison.data_vars.items()
        if "heading" in metric.attrs
        for column in _declared(str(name), metric)
    ]
    # One and the same column of several comparisons counts once.
    columns = sorted(dict.fromkeys(columns), key=lambda column: column.position)
    names = ["method", "points", "samples", *(column.name for column in columns)]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(
                f"Two columns of the table are named {name}: set another one in the "
                f"attribute column of the metric."
            )
    return columns


def summarize(comparisons: Sequence[xr.Dataset]) -> list[dict[str, Any]]:
    """A row per method and grid, grids in the order given.

    Returns:
        Rows with the keys `method` (its name), `points`, those of the metrics' columns,
        and `samples`. Errors are infinite after a blow-up; a number that a method has
        not, NaN, is None.

    Example:
        >>> import xarray as xr
        >>> from stencilnet.report import summarize
        >>> declared = {"heading": "error", "format": "{:.2f}"}
        >>> errors = (("scheme", "sample"), [[0.02, 0.04], [0.1, 0.3]], declared)
        >>> schemes = {"scheme": ["learned", "weno_z"]}
        >>> comparison = xr.Dataset({"error": errors}, schemes, {"points": 16})
        >>> summarize([comparison])[0]
        {'method': 'learned', 'points': 16, 'error': 0.03, 'samples': 2}
    """
    columns = metric_columns(comparisons)
    return [
        {
            "method": str(name),
            "points": int(comparison.attrs["points"]),
            **{
                column.name: column.value(comparison.sel(scheme=name))
                for column in columns
                if column.variable in comparison
            },
            "samples": comparison.sizes["sample"],
        }
        for comparison in comparisons
        for name in comparison["scheme"].values
    ]


def comparison_table(comparisons: Sequence[xr.Dataset]) -> Group:
    """Comparisons for a terminal of 80 columns, highlighted methods in bold.

    Metrics that do not fit beside the others follow in a table below. Spreads are in
    the files only.

    Example:
        >>> import xarray as xr
        >>> from rich.console import Console
        >>> from stencilnet.report import comparison_table
        >>> declared = {"heading": "error", "format": "{:.2f}"}
        >>> errors = (("scheme", "sample"), [[0.02, 0.04], [0.1, 0.3]], declared)
        >>> schemes = {"scheme": ["learned", "weno_z"]}
        >>> comparison = xr.Dataset({"error": errors}, schemes, {"points": 16})
        >>> Console(width=80, color_system=None).print(comparison_table([comparison]))
        method              points error
        ────────────────────────────────
        learned                 16  0.03
        WENO-Z (exponent 2)     16  0.20
    """
    columns = [
        column for column in metric_columns(comparisons) if column.summary != "spread"
    ]
    headings, cells = _cells(comparisons, columns)
    bold = [
        str(name) in highlighted(comparison, "scheme", "learned")
        for comparison in comparisons
        for name in comparison["scheme"].values
    ]
    widths = [max(map(len, texts)) for texts in zip(headings, *cells, strict=True)]
    tables = []
    for shown in _pages(widths):
        table = Table(box=SIMPLE_HEAD, padding=0, show_edge=False)
        for index in shown:
            justify: Literal["left", "right"] = "right" if index else "left"
            table.add_column(cell(headings[index]), justify=justify, no_wrap=True)
        for texts, strong in zip(cells, bold, strict=True):
            style = "bold" if strong else None
            table.add_row(*(cell(texts[index]) for index in shown), style=style)
        tables.append(table)
    return Group(*tables)


def markdown_table(comparisons: Sequence[xr.Dataset]) -> str:
    """Comparisons as a Markdown table.

    Example:
        >>> import xarray as xr
        >>> from stencilnet.report import markdown_table
        >>> declared = {"heading": "error", "format": "{:.2f}"}
        >>> errors = (("scheme", "sample"), [[0.02, 0.04], [0.1, 0.3]], declared)
        >>> schemes = {"scheme": ["learned", "weno_z"]}
        >>> comparison = xr.Dataset({"error": errors}, schemes, {"points": 16})
        >>> print(markdown_table([comparison]))
        | method | points | error |
        | --- | ---: | ---: |
        | learned | 16 | 0.03 |
        | WENO-Z (exponent 2) | 16 | 0.20 |
    """
    headings, cells = _cells(comparisons, metric_columns(comparisons))
    lines = [
        "| " + " | ".join(headings) + " |",
        "| --- |" + " ---: |" * (len(headings) - 1),
        *("| " + " | ".join(texts) + " |" for texts in cells),
    ]
    return "\n".join(lines) + "\n"


def latex_table(comparisons: Sequence[xr.Dataset]) -> str:
    r"""Comparisons as a LaTeX table, which takes the package booktabs.

    Example:
        >>> import xarray as xr
        >>> from stencilnet.report import latex_table
        >>> declared = {"heading": "error", "format": "{:.2f}"}
        >>> errors = (("scheme", "sample"), [[0.02, 0.04], [0.1, 0.3]], declared)
        >>> schemes = {"scheme": ["learned", "weno_z"]}
        >>> comparison = xr.Dataset({"error": errors}, schemes, {"points": 16})
        >>> print(latex_table([comparison]))
        \begin{tabular}{lrr}
        \toprule
        method & points & error \\
        \midrule
        learned & 16 & 0.03 \\
        WENO-Z (exponent 2) & 16 & 0.20 \\
        \bottomrule
        \end{tabular}
    """
    headings, cells = _cells(comparisons, metric_columns(comparisons))
    return latex(headings, cells, right=[False, *[True] * (len(headings) - 1)])


def write_tables(comparisons: Sequence[xr.Dataset], folder: Path) -> list[str]:
    """Writes `table.csv`, with numbers in full, `table.md` and `table.tex`."""
    rows = summarize(comparisons)
    names = [column.name for column in metric_columns(comparisons)]
    with (folder / "table.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["method", "points", *names, "samples"])
        writer.writeheader()
        writer.writerows(rows)
    text = markdown_table(comparisons) + TABLE_MARK
    (folder / "table.md").write_text(text, encoding="utf-8")
    text = latex_table(comparisons) + LATEX_MARK
    (folder / "table.tex").write_text(text, encoding="utf-8")
    return ["table.csv", "table.md", "table.tex"]


def _declared(variable: str, metric: xr.DataArray) -> list[Column]:
    """The columns of one variable, from its attributes."""
    if "scheme" not in metric.dims or set(metric.dims) - {"scheme", "sample"}:
        raise ValueError(
            f"A metric has the dimension scheme and may have sample, but {variable} "
            f"has {', '.join(map(str, metric.dims))}: reduce the others first."
        )
    attributes = metric.attrs
    names = _listed(attributes.get("column", variable))
    headings = _listed(attributes["heading"])
    summaries = _listed(attributes.get("summary", "mean"))
    if not len(names) == len(headings) == len(summaries):
        raise ValueError(
            f"The attributes column, heading and summary of {variable} have "
            f"{len(names)}, {len(headings)} and {len(summaries)} entries: give one of "
            f"each per column."
        )
    return [
        Column(
            variable,
            name,
            heading,
            summary,
            format=str(attributes.get("format", "{:.3g}")),
            position=float(attributes.get("position", np.inf)),
        )
        for name, heading, summary in zip(names, headings, summaries, strict=True)
    ]


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [str(entry) for entry in value]


def _cells(
    comparisons: Sequence[xr.Dataset], columns: Sequence[Column]
) -> tuple[list[str], list[list[str]]]:
    """Headings, and the texts below them in each row."""
    names = [
        label
        for comparison in comparisons
        for label in labels(comparison, "scheme").values()
    ]
    rows = summarize(comparisons)
    cells = [
        [name, str(row["points"]), *(column.cell(row) for column in columns)]
        for name, row in zip(names, rows, strict=True)
    ]
    return ["method", "points", *(column.heading for column in columns)], cells


def _pages(widths: Sequence[int]) -> list[list[int]]:
    """Columns that fit on the screen together, each time after the first column."""
    pages: list[list[int]] = [[0]]
    for index in range(1, len(widths)):
        wanted = [*pages[-1], index]
        # A blank stands between two columns.
        width = sum(widths[column] for column in wanted) + len(wanted) - 1
        if width > SCREEN and len(pages[-1]) > 1:
            pages.append([0, index])
        else:
            pages[-1] = wanted
    return pages
