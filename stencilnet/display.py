"""How objects show themselves: a few lines of text, a table in a notebook."""

import dataclasses
import html
import math
from collections.abc import Mapping
from typing import Any

LIMIT = 2000
"""Characters that no object exceeds."""

_VALUE = 120  # characters of one part
_PARTS = 12


class Displayed:
    """An object that shows what matters of it, and arrays by shape and range.

    The parts of a dataclass are its fields; other classes override `_parts`.
    """

    def _parts(self) -> Mapping[str, object]:
        """What to show, by name, the most important first."""
        names = [field.name for field in dataclasses.fields(self)]  # type: ignore[arg-type]
        return {name: getattr(self, name) for name in names}

    def __repr__(self) -> str:
        parts = [f"{name}={text}" for name, text in _texts(self._parts()).items()]
        name = type(self).__name__
        line = f"{name}({', '.join(parts)})"
        if len(line) <= 88:
            return line
        return f"{name}(\n  " + ",\n  ".join(parts) + "\n)"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
            f"<td style='text-align:left'>{html.escape(text)}</td></tr>"
            for name, text in _texts(self._parts(), room=LIMIT // 2).items()
        )
        return f"<strong>{type(self).__name__}</strong><table>{rows}</table>"


def brief(value: object) -> str:
    """A value in at most a line: arrays by shape, type and range, the rest cut off."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return _array(value)
    if isinstance(value, Mapping):
        inner = ", ".join(f"{key}: {brief(entry)}" for key, entry in value.items())
        return _cut(f"{{{inner}}}")
    if isinstance(value, float):
        return f"{value:.6g}"
    return _cut(" ".join(repr(value).split()))


def _texts(parts: Mapping[str, object], room: int = LIMIT - 100) -> dict[str, str]:
    """Texts of the parts that fit into the room, names included."""
    texts: dict[str, str] = {}
    for name, value in list(parts.items())[:_PARTS]:
        text = brief(value)
        room -= len(name) + len(text) + 8
        if room < 0:
            break
        texts[name] = text
    return texts


def _array(value: Any) -> str:
    kind = str(value.dtype).removeprefix("torch.")
    shape = tuple(int(size) for size in value.shape)
    try:
        missing = int((value != value).sum()) if shape else 0
        if missing and missing == math.prod(shape):
            return f"{kind} array {shape}, all NaN"
        present = value[value == value] if missing else value
        low, high = float(present.min()), float(present.max())
    except (TypeError, ValueError, RuntimeError):
        return f"{kind} array {shape}"
    if not shape:
        return f"{low:.6g}"
    rest = f", {missing} NaN" if missing else ""
    return f"{kind} array {shape} from {low:.4g} to {high:.4g}{rest}"


def _cut(text: str) -> str:
    return text if len(text) <= _VALUE else f"{text[: _VALUE - 3]}..."
