"""Layers from the raw output of a network to coefficients of a consistent operator."""

from stencilnet.coefficients.base import CoefficientLayer
from stencilnet.coefficients.closed_form import (
    COEFFICIENT_LAYERS,
    NullSpace,
    Projection,
)

__all__ = ["COEFFICIENT_LAYERS", "CoefficientLayer", "NullSpace", "Projection"]
