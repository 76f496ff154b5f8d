"""Discretizations: methods that turn an equation into `u -> u_t` on a grid."""

from stencilnet.discretizations.base import (
    Discretization,
    StencilMethod,
    patches,
    shifted,
)
from stencilnet.discretizations.classical import CLASSICAL, Classical, classical
from stencilnet.discretizations.dg import DiscontinuousGalerkin
from stencilnet.discretizations.finite_difference import FiniteDifference
from stencilnet.discretizations.learned import LearnedStencil, constraints_from_spec
from stencilnet.discretizations.learned_picture import LearnedPicture
from stencilnet.discretizations.muscl import (
    LIMITERS,
    MINMOD,
    MONOTONIZED_CENTRAL,
    SUPERBEE,
    VAN_LEER,
    Limiter,
    Muscl,
)
from stencilnet.discretizations.networks import MLP, Perceptron, network_from_spec
from stencilnet.discretizations.pictures import (
    Linear,
    Parabola,
    Picture,
    SubCellShocks,
    TwoBranches,
    WenoParabola,
)
from stencilnet.discretizations.reconstruction import Reconstruction
from stencilnet.discretizations.spectral import PseudoSpectral
from stencilnet.discretizations.weno import Weno

__all__ = [
    "CLASSICAL",
    "LIMITERS",
    "MINMOD",
    "MLP",
    "MONOTONIZED_CENTRAL",
    "SUPERBEE",
    "VAN_LEER",
    "Classical",
    "DiscontinuousGalerkin",
    "Discretization",
    "FiniteDifference",
    "LearnedPicture",
    "LearnedStencil",
    "Limiter",
    "Linear",
    "Muscl",
    "Parabola",
    "Perceptron",
    "Picture",
    "PseudoSpectral",
    "Reconstruction",
    "StencilMethod",
    "SubCellShocks",
    "TwoBranches",
    "Weno",
    "WenoParabola",
    "classical",
    "constraints_from_spec",
    "network_from_spec",
    "patches",
    "shifted",
]
