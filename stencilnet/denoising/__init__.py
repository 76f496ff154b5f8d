"""Total-variation denoising: exact, differentiable, with a choice of its weight."""

from stencilnet.denoising.layer import TotalVariation
from stencilnet.denoising.solvers import Denoised, Penalty, denoise, weight_max

__all__ = ["Denoised", "Penalty", "TotalVariation", "denoise", "weight_max"]
