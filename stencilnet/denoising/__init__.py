"""Total-variation denoising: exact, differentiable, with a choice of its weight."""

from stencilnet.denoising.choice import (
    METHODS,
    Choice,
    Method,
    choose_weight,
    denoise_by,
    noise_level,
    search_weight,
)
from stencilnet.denoising.layer import TotalVariation
from stencilnet.denoising.signals import (
    PENALTIES,
    Denoised,
    Penalty,
    denoise,
    fill_linearly,
    weight_max,
)

__all__ = [
    "METHODS",
    "PENALTIES",
    "Choice",
    "Denoised",
    "Method",
    "Penalty",
    "TotalVariation",
    "choose_weight",
    "denoise",
    "denoise_by",
    "fill_linearly",
    "noise_level",
    "search_weight",
    "weight_max",
]
