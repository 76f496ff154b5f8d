"""Layers from the raw output of a network to coefficients of a consistent operator."""

from stencilnet.stencils.base import CoefficientLayer
from stencilnet.stencils.closed_form import (
    NullSpace,
    Projection,
    Soft,
    Unconstrained,
)
from stencilnet.stencils.convex import Convex
from stencilnet.stencils.side_conditions import (
    Bounds,
    Dissipation,
    Linear,
    SideCondition,
    Sign,
    Symmetry,
    UpwindBias,
    side_condition_from_spec,
)

COEFFICIENT_LAYERS: dict[str, type[CoefficientLayer]] = {
    layer.name: layer for layer in (NullSpace, Projection, Soft, Convex, Unconstrained)
}
"""The layers by the names that configs and stores use."""

__all__ = [
    "COEFFICIENT_LAYERS",
    "Bounds",
    "CoefficientLayer",
    "Convex",
    "Dissipation",
    "Linear",
    "NullSpace",
    "Projection",
    "SideCondition",
    "Sign",
    "Soft",
    "Symmetry",
    "Unconstrained",
    "UpwindBias",
    "side_condition_from_spec",
]
