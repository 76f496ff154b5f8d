"""Headline figures of a study, as JSON, and its tables, as text."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from stencilnet.storage import RESULT_SCHEMA, TABLE_MARK, local_path, new_store


def write_json(
    values: dict[str, Any], path: Path | str, *, overwrite: bool = False
) -> Path:
    """Writes plain values; numbers that are not finite become null.

    The key "schema" marks the file as a result of this package.

    Raises:
        FileExistsError: if the file exists and `overwrite` is false, or if it is no
            such result.
    """
    path = local_path(path)
    with new_store(path, kind="result", overwrite=overwrite) as partial:
        text = json.dumps(
            _finite_only({**values, "schema": RESULT_SCHEMA}),
            indent=2,
            allow_nan=False,
        )
        partial.write_text(text + "\n", encoding="utf-8")
    return path


def write_table(text: str, path: Path | str, *, overwrite: bool = False) -> Path:
    """Writes a table: a Markdown file, with a mark, or a CSV file beside one.

    Raises:
        FileExistsError: if the file exists and `overwrite` is false, or if it is no
            table of this package.
    """
    path = local_path(path)
    mark = TABLE_MARK if path.suffix == ".md" else ""
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
