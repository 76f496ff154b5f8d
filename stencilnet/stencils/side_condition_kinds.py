"""Side conditions by the names that configs and stores use."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from stencilnet.stencils.dissipation import Dissipation
from stencilnet.stencils.side_conditions import (
    Bounds,
    Linear,
    SideCondition,
    Sign,
    Symmetry,
    UpwindBias,
)
from stencilnet.stencils.specs import from_spec

SIDE_CONDITIONS: Mapping[str, type[SideCondition]] = MappingProxyType(
    {
        condition.kind: condition
        for condition in (Sign, Bounds, UpwindBias, Symmetry, Dissipation, Linear)
    }
)
"""The side conditions by the names that configs and stores use.

Example:
    >>> from stencilnet.stencils import SIDE_CONDITIONS
    >>> list(SIDE_CONDITIONS)
    ['sign', 'bounds', 'upwind_bias', 'symmetry', 'dissipation', 'linear']
    >>> SIDE_CONDITIONS["upwind_bias"](side=-1)
    UpwindBias(side=-1)
"""


def side_condition_from_spec(
    spec: Any, extensions: Iterable[type] = ()
) -> SideCondition:
    """The condition that `spec` described.

    Args:
        spec: a mapping with a kind.
        extensions: further classes of side conditions, whose `kind` takes
            precedence over those of the package; other classes are ignored.

    Raises:
        ValueError: if the kind is unknown, or an entry is missing, unknown or out of
            range.

    Example:
        >>> from stencilnet.stencils import side_condition_from_spec
        >>> side_condition_from_spec({"kind": "dissipation", "at": 0.5})
        Dissipation(sign=1, at=0.5, wavenumbers=16)
    """
    condition: SideCondition = from_spec(
        "side condition", SideCondition, SIDE_CONDITIONS, spec, extensions
    )
    return condition


def side_conditions_from_specs(
    entries: object, extensions: Iterable[type] = ()
) -> list[SideCondition]:
    """Values of side conditions that may be specs."""
    if not isinstance(entries, list | tuple):
        raise ValueError(
            f"Side conditions must be a list, such as "
            f"[{{kind: sign, index: 0, sign: 1}}], not {entries!r}."
        )
    return [
        entry
        if isinstance(entry, SideCondition)
        else side_condition_from_spec(entry, extensions)
        for entry in entries
    ]
