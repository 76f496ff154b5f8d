"""Specs: values of this wing as plain mappings, for configs and stores."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, fields
from typing import Any

from stencilnet.errors import as_integer, as_number, nearest, plain, unknown


def to_spec(value: Any) -> dict[str, Any]:
    """The kind of a dataclass value and its fields, as plain values."""
    entries = {
        field.name: _plain(getattr(value, field.name)) for field in fields(value)
    }
    return {"kind": value.kind, **entries}


def from_spec(
    name: str,
    base: type,
    registry: Mapping[str, type],
    spec: object,
    extensions: Iterable[type] = (),
) -> Any:
    """The value that `to_spec` described.

    Args:
        name: of the kind of value, for messages, such as "side condition".
        base: its class; other classes in `extensions` are ignored.
        registry: classes by kind.
        spec: the mapping to read.
        extensions: further classes; they take precedence over the registry.

    Raises:
        ValueError: if `spec` is no mapping or its kind is unknown, or if an entry is
            missing, unknown or out of range.
    """
    classes = {**registry, **_by_kind(base, extensions)}
    if not isinstance(spec, Mapping):
        raise ValueError(
            f"A {name} must be a mapping with a kind, one of {', '.join(classes)}, not "
            f"{spec!r}."
        )
    entries = dict(spec)
    if "kind" not in entries:
        raise ValueError(f"A {name} needs a kind, one of {', '.join(classes)}.")
    kind = entries.pop("kind")
    if not isinstance(kind, str) or kind not in classes:
        raise unknown(name, kind, classes)
    problem = f"This is not a {name} of the kind {kind!r}: "
    parameters = {field.name: field for field in fields(classes[kind]) if field.init}
    for entry in entries:
        if entry not in parameters:
            hint = nearest(str(entry), parameters)
            raise ValueError(f"{problem}it has no entry {entry!r}, {hint}.")
    for entry, field in parameters.items():
        if entry not in entries and _is_required(field):
            raise ValueError(f"{problem}its entry {entry!r} is missing.")
    try:
        return classes[kind](**entries)
    except TypeError as error:
        raise ValueError(f"{problem}{error}.") from None


def is_integer(value: object) -> bool:
    """Whether a value is a whole number, which a bool is not."""
    return as_integer(value) is not None


def is_finite(value: object) -> bool:
    """Whether a value is a finite real number, which a bool is not."""
    number = as_number(value)
    return number is not None and math.isfinite(number)


def set_plain(value: Any, **types: type) -> None:
    """Converts fields of a frozen dataclass value to plain types of Python.

    Args:
        value: in its `__post_init__`, after its fields were checked.
        types: `int`, `float` or `bool` by the name of a field; None stays.
    """
    for name, kind in types.items():
        entry = getattr(value, name)
        if entry is not None:
            object.__setattr__(value, name, kind(entry))


def _by_kind(base: type, extensions: Iterable[type]) -> dict[str, type]:
    """The classes that derive from `base` and have a kind."""
    return {
        extension.kind: extension
        for extension in extensions
        if issubclass(extension, base) and hasattr(extension, "kind")
    }


def _is_required(field: "Field[Any]") -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _plain(value: Any) -> Any:
    """Lists for tuples, and specs for values that have one."""
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value.spec() if hasattr(value, "spec") else plain(value)
