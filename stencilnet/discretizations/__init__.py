"""Discretizations: methods that turn an equation into `u -> u_t` on a grid."""

from stencilnet.discretizations.base import Discretization, StencilMethod, patches
from stencilnet.discretizations.finite_difference import FiniteDifference
from stencilnet.discretizations.learned import LearnedStencil
from stencilnet.discretizations.spectral import PseudoSpectral
from stencilnet.discretizations.weno import Weno

__all__ = [
    "Discretization",
    "FiniteDifference",
    "LearnedStencil",
    "PseudoSpectral",
    "StencilMethod",
    "Weno",
    "patches",
]
