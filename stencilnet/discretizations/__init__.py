"""Discretizations: methods that turn an equation into `u -> u_t` on a grid."""

from stencilnet.discretizations.base import Discretization
from stencilnet.discretizations.blended_weno import BlendedWeno
from stencilnet.discretizations.cell_picture import Picture
from stencilnet.discretizations.classical import (
    CLASSICAL,
    PICTURES,
    Classical,
    classical,
)
from stencilnet.discretizations.compact import Compact
from stencilnet.discretizations.constant import Constant, ConstantOutput
from stencilnet.discretizations.dg import DiscontinuousGalerkin
from stencilnet.discretizations.dg_split import SplitGalerkin
from stencilnet.discretizations.eno import Eno
from stencilnet.discretizations.finite_difference import FiniteDifference
from stencilnet.discretizations.hybrid_parabola import HybridParabola
from stencilnet.discretizations.kappa import Kappa
from stencilnet.discretizations.learned import LearnedStencil
from stencilnet.discretizations.learned_picture import LearnedPicture
from stencilnet.discretizations.learned_spec import constraints_from_spec
from stencilnet.discretizations.lipschitz import lipschitz_bound, local_lipschitz
from stencilnet.discretizations.moving_mesh import MovingMesh
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
    Branch,
    Linear,
    Parabola,
    SubCellShocks,
    TwoBranches,
    WenoParabola,
)
from stencilnet.discretizations.reconstruction import Reconstruction
from stencilnet.discretizations.refinement import Refinement, refine
from stencilnet.discretizations.spectral import (
    ExponentialFilter,
    PseudoSpectral,
    truncation_floor,
)
from stencilnet.discretizations.standalone import stencil_arrays, take_apart
from stencilnet.discretizations.standalone_c import c_code
from stencilnet.discretizations.standalone_numpy import numpy_code
from stencilnet.discretizations.stencil_method import StencilMethod
from stencilnet.discretizations.symbols import FrozenStencils, frozen_stencils
from stencilnet.discretizations.teno import Teno
from stencilnet.discretizations.weno import Weno
from stencilnet.discretizations.windows import patches, shifted

__all__ = [
    "CLASSICAL",
    "LIMITERS",
    "MINMOD",
    "MLP",
    "MONOTONIZED_CENTRAL",
    "PICTURES",
    "SUPERBEE",
    "VAN_LEER",
    "BlendedWeno",
    "Branch",
    "Classical",
    "Compact",
    "Constant",
    "ConstantOutput",
    "DiscontinuousGalerkin",
    "Discretization",
    "Eno",
    "ExponentialFilter",
    "FiniteDifference",
    "FrozenStencils",
    "HybridParabola",
    "Kappa",
    "LearnedPicture",
    "LearnedStencil",
    "Limiter",
    "Linear",
    "MovingMesh",
    "Muscl",
    "Parabola",
    "Perceptron",
    "Picture",
    "PseudoSpectral",
    "Reconstruction",
    "Refinement",
    "SplitGalerkin",
    "StencilMethod",
    "SubCellShocks",
    "Teno",
    "TwoBranches",
    "Weno",
    "WenoParabola",
    "c_code",
    "classical",
    "constraints_from_spec",
    "frozen_stencils",
    "lipschitz_bound",
    "local_lipschitz",
    "network_from_spec",
    "numpy_code",
    "patches",
    "refine",
    "shifted",
    "stencil_arrays",
    "take_apart",
    "truncation_floor",
]
