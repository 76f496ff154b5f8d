"""Integration in time: integrators as values, and rollouts."""

from stencilnet.solver.adaptive import solve_adaptively
from stencilnet.solver.adaptive_state import AdaptiveSolution
from stencilnet.solver.base import (
    Field,
    Forcing,
    Integrator,
    RightHandSide,
    Step,
    evaluate,
)
from stencilnet.solver.catalogue import INTEGRATORS
from stencilnet.solver.cell_picture import CellPicture
from stencilnet.solver.exact_evolution import ColeHopf
from stencilnet.solver.exponential import (
    ETDRK4,
    ETDRK4B,
    IFRK4,
    ExponentialTimeDifferencing,
    IntegratingFactor,
    Lawson,
    TimeDifferencing,
)
from stencilnet.solver.implicit_explicit import ARS222, ARS443, ImplicitExplicit
from stencilnet.solver.integration import rollout, substeps_within
from stencilnet.solver.named_splittings import (
    CHIN_4A,
    CHIN_4B,
    FIVE_DRIFTS,
    FOUR_DRIFTS,
    FOUR_LONG_DRIFTS,
    SIX_DRIFTS,
    SIX_LONG_DRIFTS,
    STRANG,
    THREE_DRIFTS,
)
from stencilnet.solver.runge_kutta import (
    RK4,
    SSPRK3,
    BogackiShampine32,
    DormandPrince54,
    EmbeddedPair,
    Euler,
    Heun,
    Kutta3,
    RungeKutta,
)
from stencilnet.solver.semilinear import SemilinearIntegrator
from stencilnet.solver.splittings import Splitting
from stencilnet.solver.steps import Adaptive, StableStep

__all__ = [
    "ARS222",
    "ARS443",
    "CHIN_4A",
    "CHIN_4B",
    "ETDRK4",
    "ETDRK4B",
    "FIVE_DRIFTS",
    "FOUR_DRIFTS",
    "FOUR_LONG_DRIFTS",
    "IFRK4",
    "INTEGRATORS",
    "RK4",
    "SIX_DRIFTS",
    "SIX_LONG_DRIFTS",
    "SSPRK3",
    "STRANG",
    "THREE_DRIFTS",
    "Adaptive",
    "AdaptiveSolution",
    "BogackiShampine32",
    "CellPicture",
    "ColeHopf",
    "DormandPrince54",
    "EmbeddedPair",
    "Euler",
    "ExponentialTimeDifferencing",
    "Field",
    "Forcing",
    "Heun",
    "ImplicitExplicit",
    "IntegratingFactor",
    "Integrator",
    "Kutta3",
    "Lawson",
    "RightHandSide",
    "RungeKutta",
    "SemilinearIntegrator",
    "Splitting",
    "StableStep",
    "Step",
    "TimeDifferencing",
    "evaluate",
    "rollout",
    "solve_adaptively",
    "substeps_within",
]
