"""Integration in time: integrators as values, and rollouts."""

from stencilnet.solver.adaptive import AdaptiveSolution, adaptive_rollout
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
from stencilnet.solver.runge_kutta import (
    INTEGRATORS,
    RK4,
    SSPRK3,
    BogackiShampine32,
    DormandPrince54,
    EmbeddedPair,
    Euler,
    Heun,
    Integrator,
    Kutta3,
    RungeKutta,
)

__all__ = [
    "ARS222",
    "ARS443",
    "ETDRK4",
    "ETDRK4B",
    "IFRK4",
    "INTEGRATORS",
    "RK4",
    "SSPRK3",
    "AdaptiveSolution",
    "BogackiShampine32",
    "DormandPrince54",
    "EmbeddedPair",
    "Euler",
    "ExponentialTimeDifferencing",
    "Heun",
    "ImplicitExplicit",
    "IntegratingFactor",
    "Integrator",
    "Kutta3",
    "Lawson",
    "RungeKutta",
    "TimeDifferencing",
    "adaptive_rollout",
    "rollout",
    "substeps_within",
]
