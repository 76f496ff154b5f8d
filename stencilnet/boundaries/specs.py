"""Boundaries from their names and parameters."""

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

from stencilnet.boundaries.kinds import BOUNDARIES, Boundary
from stencilnet.errors import nearest, unknown


def boundary_from_spec(spec: Any, extensions: Iterable[type] = ()) -> Boundary:
    """The boundary that `Boundary.spec` described.

    Args:
        spec: a name, or a mapping of it and of parameters.
        extensions: dataclasses of your own, which go by the names of the classes.

    Raises:
        ValueError: if the name is unknown or a parameter does not fit it.

    Example:
        >>> from stencilnet.boundaries import boundary_from_spec
        >>> boundary_from_spec({"name": "prescribed", "value": 0.5})
        Prescribed(value=0.5)
        >>> boundary_from_spec("walls")
        Traceback (most recent call last):
            ...
        ValueError: There is no boundary 'walls', did you mean 'wall'.
    """
    own = {
        cls.__name__: cls
        for cls in extensions
        if issubclass(cls, Boundary) and is_dataclass(cls)
    }
    known = {**BOUNDARIES, **own}
    entries = {"name": spec} if isinstance(spec, str) else spec
    if not isinstance(entries, Mapping) or "name" not in entries:
        raise ValueError(
            f"A boundary is a name, one of {', '.join(known)}, or has one, as in "
            f"{{name: prescribed, value: 1.0}}, not {spec!r:.80}."
        )
    name = entries["name"]
    if not isinstance(name, str) or name not in known:
        raise unknown("boundary", str(name), known)
    parameters = {key: value for key, value in entries.items() if key != "name"}
    names = [field.name for field in fields(known[name]) if field.init]
    for key in parameters:
        if key not in names:
            hint = nearest(str(key), names) if names else "it has none"
            raise ValueError(f"The boundary {name} has no parameter {key!r}, {hint}.")
    for field in fields(known[name]):
        given = field.name in parameters or not field.init
        if not given and field.default is MISSING and field.default_factory is MISSING:
            raise ValueError(f"The boundary {name} lacks a parameter: {field.name!r}.")
    try:
        return known[name](**parameters)
    except TypeError as error:
        raise ValueError(f"The boundary {name} cannot be made: {error}.") from None
