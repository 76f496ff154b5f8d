"""Tables of plain rows, as Markdown, CSV and LaTeX."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stencilnet.errors import unknown
from stencilnet.report.latex import latex


@dataclass(frozen=True)
class Rows:
    """A table of plain rows.

    Attributes:
        columns: the heading of each column and its format, a template of `str.format`
            such as "{:.3g}"; columns without a format hold text. A number that is None
            or NaN leaves its cell empty.
        rows: a value per column.

    Raises:
        ValueError: if a row is longer or shorter than the columns.

    Example:
        >>> from stencilnet.report import Rows
        >>> columns = {"method": "", "error": "{:.1e}"}
        >>> print(Rows(columns, [["mine", 0.00123], ["other", None]]).markdown())
        | method | error |
        | --- | ---: |
        | mine | 1.2e-03 |
        | other |  |
    """

    columns: Mapping[str, str]
    rows: Sequence[Sequence[object]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for number, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise ValueError(
                    f"Row {number} has {len(row)} values, but the table has the "
                    f"columns {', '.join(self.columns)}: give one for each."
                )

    def markdown(self) -> str:
        """The table in Markdown, numbers to the right."""
        rules = ["---:" if template else "---" for template in self.columns.values()]
        lines = [list(self.columns), rules, *self._cells()]
        return "".join(f"| {' | '.join(line)} |\n" for line in lines)

    def csv(self) -> str:
        """The table as comma-separated values, numbers in full."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows([list(self.columns), *self.rows])
        return text.getvalue()

    def latex(self) -> str:
        """The table as a LaTeX `tabular` with rules of the package booktabs."""
        right = [bool(template) for template in self.columns.values()]
        return latex(list(self.columns), self._cells(), right=right)

    def text(self, suffix: str) -> str:
        """The table in the format of a file.

        Args:
            suffix: ".csv", ".md" or ".tex".

        Raises:
            ValueError: if it is another one.
        """
        writers = {".csv": self.csv, ".md": self.markdown, ".tex": self.latex}
        if suffix not in writers:
            raise unknown("format of tables", suffix, writers)
        return writers[suffix]()

    def records(self) -> list[dict[str, Any]]:
        """The rows as dictionaries."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]

    def _cells(self) -> list[list[str]]:
        formats = self.columns.values()
        return [
            [
                _cell(value, template)
                for value, template in zip(row, formats, strict=True)
            ]
            for row in self.rows
        ]


def _cell(value: object, template: str) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return (template or "{}").format(value)
