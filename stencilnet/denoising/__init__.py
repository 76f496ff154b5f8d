"""Total-variation denoising: exact, differentiable, with a choice of its weight."""

from stencilnet.denoising.choice import Choice, choose_weight
from stencilnet.denoising.criteria import (
    CRITERIA,
    Criterion,
    CrossValidation,
    Gcv,
    Sure,
)
from stencilnet.denoising.filters import (
    FILTERS,
    QUANTITIES,
    available_filters,
    filter_at_best,
    relative_errors,
)
from stencilnet.denoising.layer import DenoisingLayer, TotalVariation
from stencilnet.denoising.noise import noise_level
from stencilnet.denoising.penalties import (
    L1,
    L2,
    PENALTIES,
    L2Squared,
    Penalty,
)
from stencilnet.denoising.search import search_weight
from stencilnet.denoising.signals import Denoised, denoise_signals, weight_max
from stencilnet.denoising.trajectories import (
    ALONG,
    DenoisedTrajectory,
    add_noise,
    denoise_trajectory,
    fill_gaps,
)

__all__ = [
    "ALONG",
    "CRITERIA",
    "FILTERS",
    "L1",
    "L2",
    "PENALTIES",
    "QUANTITIES",
    "Choice",
    "Criterion",
    "CrossValidation",
    "Denoised",
    "DenoisedTrajectory",
    "DenoisingLayer",
    "Gcv",
    "L2Squared",
    "Penalty",
    "Sure",
    "TotalVariation",
    "add_noise",
    "available_filters",
    "choose_weight",
    "denoise_signals",
    "denoise_trajectory",
    "fill_gaps",
    "filter_at_best",
    "noise_level",
    "relative_errors",
    "search_weight",
    "weight_max",
]
