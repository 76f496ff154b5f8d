"""Tables in LaTeX, of the package booktabs."""

from collections.abc import Sequence

_SPECIAL = {
    "\\": r"\textbackslash{}",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


def latex(
    headings: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[bool]
) -> str:
    """A `tabular` of texts, whose special letters are escaped.

    Args:
        headings: of the columns.
        rows: a text per column.
        right: whether each column is set to the right.
    """
    lines = [_line(headings), r"\midrule", *map(_line, rows)]
    columns = "".join("r" if each else "l" for each in right)
    begin, end = rf"\begin{{tabular}}{{{columns}}}", r"\end{tabular}"
    return "\n".join([begin, r"\toprule", *lines, r"\bottomrule", end, ""])


def _line(texts: Sequence[str]) -> str:
    cells = ("".join(_SPECIAL.get(letter, letter) for letter in t) for t in texts)
    return f"{' & '.join(cells)} \\\\"
