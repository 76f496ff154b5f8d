"""Results as text: headline figures as JSON, tables and pages."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from stencilnet.storage import (
    LATEX_MARK,
    RESULT_SCHEMA,
    TABLE_MARK,
    local_path,
    new_store,
)


def write_json(
    values: dict[str, Any], path: Path | str, *, overwrite: bool = False
) -> Path:
    """Writes plain values; numbers that are not finite become null.

    The key "schema" marks the file as a result of this package.

    Raises:
        FileExistsError: if the file exists and `overwrite` is false, or if it is no
            such result.

    Example:
        >>> from stencilnet.report import write_json
        >>> path = write_json({"order": 1.98, "error": float("inf")}, "results.json")
        >>> print(path.read_text())
        {
          "order": 1.98,
          "error": null,
          "schema": "stencilnet.result/1"
        }
    """
    path = local_path(path)
    with new_store(path, kind="result", overwrite=overwrite) as partial:
        text = json_text({**values, "schema": RESULT_SCHEMA})
        partial.write_text(text, encoding="utf-8")
    return path


def json_text(values: Any) -> str:
    """Plain values as JSON; numbers that are not finite become null.

    Example:
        >>> from stencilnet.report import json_text
        >>> print(json_text({"order": 1.98, "error": float("nan")}))
        {
          "order": 1.98,
          "error": null
        }
    """
    return json.dumps(_finite_only(values), indent=2, allow_nan=False) + "\n"


def write_page(text: str, path: Path | str, *, overwrite: bool = False) -> Path:
    """Writes a page from `report_page`, whose head names the package.

    By that name a page is known as one of this package, which may be overwritten.

    Raises:
        FileExistsError: if the file exists and `overwrite` is false, or if it is no
            page of this package.

    Example:
        >>> from stencilnet.report import report_page, write_page
        >>> page = report_page("First run", {"viscosity": "0.02"}, [])
        >>> path = write_page(page, "run.html")
        >>> path.name, path.read_text() == page
        ('run.html', True)
    """
    path = local_path(path)
    with new_store(path, kind="page", overwrite=overwrite) as partial:
        partial.write_text(text, encoding="utf-8")
    return path


def write_table(text: str, path: Path | str, *, overwrite: bool = False) -> Path:
    """Writes a table: Markdown or LaTeX with a mark, or any other text.

    Raises:
        FileExistsError: if the file exists and `overwrite` is false, or if it is no
            table of this package.

    Example:
        >>> from stencilnet.report import Rows, write_table
        >>> rows = Rows({"method": "", "order": "{:.1f}"}, [["central 2", 1.98]])
        >>> print(write_table(rows.markdown(), "orders.md").read_text())
        | method | order |
        | --- | ---: |
        | central 2 | 2.0 |
        <!-- stencilnet.table/1 -->
    """
    path = local_path(path)
    marks = {".md": TABLE_MARK, ".tex": LATEX_MARK}
    mark = marks.get(path.suffix, "")
    if mark and text and not text.endswith("\n"):
        text += "\n"
    with new_store(path, kind="table", overwrite=overwrite) as partial:
        partial.write_text(text + mark, encoding="utf-8")
    return path


def _finite_only(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite_only(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite_only(inner) for inner in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
