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
"""The side conditions by the names that configs and stores use."""


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
    """
    condition: SideCondition = from_spec(
        "side condition", SideCondition, SIDE_CONDITIONS, spec, extensions
    )
    return condition
