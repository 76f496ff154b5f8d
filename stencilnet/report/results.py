"""Results as text: headline figures as JSON, tables and pages."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from stencilnet.storage import local_path, new_store


def write_json(
    values: dict[str, Any], path: Path | str, *, overwrite: bool = False
) -> Path:
    """Writes plain values; numbers that are not finite become null.

    Raises:
        FileExistsError: if the file exists and `overwrite` is false.
    """
    return write_text(json_text(values), path, overwrite=overwrite)


def json_text(values: Any) -> str:
    """Plain values as JSON; numbers that are not finite become null."""
    return json.dumps(_finite_only(values), indent=2, allow_nan=False) + "\n"


def write_text(text: str, path: Path | str, *, overwrite: bool = False) -> Path:
    """Writes a text file, which appears when it is complete.

    Raises:
        FileExistsError: if the file exists and `overwrite` is false.
    """
    path = local_path(path)
    with new_store(path, overwrite=overwrite) as partial:
        partial.write_text(text, encoding="utf-8")
    return path


def _finite_only(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite_only(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite_only(inner) for inner in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
