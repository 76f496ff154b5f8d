"""Constraints by the names that configs and stores use."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from stencilnet.stencils.constraints import (
    Constraint,
    Convex,
    NullSpace,
    Projection,
    Soft,
    Unconstrained,
)
from stencilnet.stencils.side_condition_kinds import side_conditions_from_specs
from stencilnet.stencils.specs import from_spec

CONSTRAINTS: Mapping[str, type[Constraint]] = MappingProxyType(
    {
        constraint.kind: constraint
        for constraint in (NullSpace, Projection, Soft, Convex, Unconstrained)
    }
)
"""The constraints by the names that configs and stores use.

Example:
    >>> from stencilnet.stencils import CONSTRAINTS
    >>> list(CONSTRAINTS)
    ['null_space', 'projection', 'soft', 'convex', 'unconstrained']
    >>> CONSTRAINTS["soft"](order=2)
    Soft(order=2, limit=10.0, mu=1.0, learn_mu=False)
"""


def constraint_from_spec(spec: Any, extensions: Iterable[type] = ()) -> Constraint:
    """The constraint that `spec` described.

    Args:
        spec: a mapping with a kind; its `side_conditions`, if any, are values or specs.
        extensions: further classes of constraints and side conditions, whose `kind`
            takes precedence over those of the package; other classes are ignored.

    Raises:
        ValueError: if the kind is unknown, or an entry is missing, unknown or out of
            range.

    Example:
        >>> from stencilnet.stencils import constraint_from_spec
        >>> constraint_from_spec(
        ...     {"kind": "convex", "side_conditions": [{"kind": "bounds", "lower": 0}]}
        ... )
        Convex(order=1, limit=10.0, side_conditions=(Bounds(lower=0.0, upper=None),))
    """
    extensions = tuple(extensions)
    if isinstance(spec, Mapping) and "side_conditions" in spec:
        side_conditions = side_conditions_from_specs(
            spec["side_conditions"], extensions
        )
        spec = {**spec, "side_conditions": side_conditions}
    constraint: Constraint = from_spec(
        "constraint", Constraint, CONSTRAINTS, spec, extensions
    )
    return constraint
