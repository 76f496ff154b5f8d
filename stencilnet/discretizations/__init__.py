"""Discretizations: methods that turn an equation into `u -> u_t` on a grid."""

from stencilnet.discretizations.base import Discretization, StencilMethod, patches
from stencilnet.discretizations.dg import DiscontinuousGalerkin
from stencilnet.discretizations.finite_difference import FiniteDifference
from stencilnet.discretizations.learned import LearnedStencil
from stencilnet.discretizations.muscl import Muscl
from stencilnet.discretizations.spectral import PseudoSpectral
from stencilnet.discretizations.weno import Weno

__all__ = [
    "DiscontinuousGalerkin",
    "Discretization",
    "FiniteDifference",
    "LearnedStencil",
    "Muscl",
    "PseudoSpectral",
    "StencilMethod",
    "Weno",
    "patches",
]
