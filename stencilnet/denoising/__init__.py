"""Total-variation denoising: exact, differentiable, with a choice of its weight."""

from stencilnet.denoising.choice import (
    Choice,
    Method,
    choose_weight,
    denoise_by,
    noise_level,
    search_weight,
)
from stencilnet.denoising.layer import TotalVariation
from stencilnet.denoising.solvers import Denoised, Penalty, denoise, weight_max

__all__ = [
    "Choice",
    "Denoised",
    "Method",
    "Penalty",
    "TotalVariation",
    "choose_weight",
    "denoise",
    "denoise_by",
    "noise_level",
    "search_weight",
    "weight_max",
]
