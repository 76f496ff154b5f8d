"""Stencils: derivatives, moment conditions, constraints and coefficient layers.

The layer through cvxpylayers is in `stencilnet.stencils.cvxpy_convex`.
"""

from stencilnet.stencils.base import CoefficientLayer
from stencilnet.stencils.closed_form import (
    NullSpaceLayer,
    ProjectionLayer,
    SoftLayer,
    UnconstrainedLayer,
)
from stencilnet.stencils.constants import ConstantModule, weighted_sum
from stencilnet.stencils.constraint_kinds import CONSTRAINTS, constraint_from_spec
from stencilnet.stencils.constraints import (
    Constraint,
    Convex,
    NullSpace,
    Projection,
    Soft,
    Unconstrained,
)
from stencilnet.stencils.convex import ConvexLayer, PolyhedralLayer
from stencilnet.stencils.derivative import (
    Derivative,
    stencil_indices,
    stencil_offsets,
)
from stencilnet.stencils.dissipation import Dissipation
from stencilnet.stencils.finite_differences import finite_difference_coefficients
from stencilnet.stencils.moments import MomentConditions
from stencilnet.stencils.precision import in_full_precision
from stencilnet.stencils.side_condition_kinds import (
    SIDE_CONDITIONS,
    side_condition_from_spec,
)
from stencilnet.stencils.side_conditions import (
    Bounds,
    Linear,
    SideCondition,
    Sign,
    Symmetry,
    UpwindBias,
)

__all__ = [
    "CONSTRAINTS",
    "SIDE_CONDITIONS",
    "Bounds",
    "CoefficientLayer",
    "ConstantModule",
    "Constraint",
    "Convex",
    "ConvexLayer",
    "Derivative",
    "Dissipation",
    "Linear",
    "MomentConditions",
    "NullSpace",
    "NullSpaceLayer",
    "PolyhedralLayer",
    "Projection",
    "ProjectionLayer",
    "SideCondition",
    "Sign",
    "Soft",
    "SoftLayer",
    "Symmetry",
    "Unconstrained",
    "UnconstrainedLayer",
    "UpwindBias",
    "constraint_from_spec",
    "finite_difference_coefficients",
    "in_full_precision",
    "side_condition_from_spec",
    "stencil_indices",
    "stencil_offsets",
    "weighted_sum",
]
