"""Boundaries: what holds at the ends of a domain that is not periodic."""

from stencilnet.boundaries.kinds import (
    BOUNDARIES,
    Boundary,
    Outflow,
    Prescribed,
    Wall,
    ZeroSlope,
)
from stencilnet.boundaries.specs import boundary_from_spec

__all__ = [
    "BOUNDARIES",
    "Boundary",
    "Outflow",
    "Prescribed",
    "Wall",
    "ZeroSlope",
    "boundary_from_spec",
]
