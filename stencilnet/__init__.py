"""Differentiable PDE solver with learned stencils.

An equation says which spatial derivatives it needs, a discretization supplies them on a
grid, an integrator advances the result, and `rollout` repeats it, differentiably:

    grid = Grid.line(64)
    equation = ConservativeBurgers(viscosity=0.02)
    learned = LearnedStencil(equation, grid, width=6, order=1)
    forcing = RandomForcing.sample(16, seed=0).on(grid, averages=True)
    u = rollout(learned, u0, times, forcing)
"""

from stencilnet.denoising import TotalVariation
from stencilnet.discretizations import (
    DiscontinuousGalerkin,
    Discretization,
    FiniteDifference,
    LearnedStencil,
    Muscl,
    PseudoSpectral,
    Weno,
)
from stencilnet.equations import (
    Advection,
    AdvectionDiffusion,
    ConservativeBurgers,
    ConservativeKortewegDeVries,
    ConservativeKuramotoSivashinsky,
    ConvectiveBurgers,
    Equation,
    GodunovBurgers,
    InviscidBurgers,
    KortewegDeVries,
    KuramotoSivashinsky,
    UpwindAdvection,
    UpwindAdvectionDiffusion,
)
from stencilnet.forcing import RandomForcing
from stencilnet.grid import Grid
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
from stencilnet.solver.integration import rollout
from stencilnet.solver.runge_kutta import (
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
from stencilnet.stencils import (
    Convex,
    NullSpace,
    Projection,
    Soft,
    Unconstrained,
)
from stencilnet.stencils.moments import (
    Derivative,
    MomentConditions,
    finite_difference_coefficients,
)
from stencilnet.storage import read_trajectories, write_trajectories
from stencilnet.study.certificate import certify
from stencilnet.study.comparison import compare
from stencilnet.study.config import Config, load_config
from stencilnet.study.denoising import denoise
from stencilnet.study.generation import generate
from stencilnet.study.operators import load_operator, save_operator
from stencilnet.study.simulation import simulate
from stencilnet.study.training import train
from stencilnet.study.verification import verify

__all__ = [
    "ARS222",
    "ARS443",
    "ETDRK4",
    "ETDRK4B",
    "IFRK4",
    "RK4",
    "SSPRK3",
    "AdaptiveSolution",
    "Advection",
    "AdvectionDiffusion",
    "BogackiShampine32",
    "Config",
    "ConservativeBurgers",
    "ConservativeKortewegDeVries",
    "ConservativeKuramotoSivashinsky",
    "ConvectiveBurgers",
    "Convex",
    "Derivative",
    "DiscontinuousGalerkin",
    "Discretization",
    "DormandPrince54",
    "EmbeddedPair",
    "Equation",
    "Euler",
    "ExponentialTimeDifferencing",
    "FiniteDifference",
    "GodunovBurgers",
    "Grid",
    "Heun",
    "ImplicitExplicit",
    "IntegratingFactor",
    "Integrator",
    "InviscidBurgers",
    "KortewegDeVries",
    "KuramotoSivashinsky",
    "Kutta3",
    "Lawson",
    "LearnedStencil",
    "MomentConditions",
    "Muscl",
    "NullSpace",
    "Projection",
    "PseudoSpectral",
    "RandomForcing",
    "RungeKutta",
    "Soft",
    "TimeDifferencing",
    "TotalVariation",
    "Unconstrained",
    "UpwindAdvection",
    "UpwindAdvectionDiffusion",
    "Weno",
    "adaptive_rollout",
    "certify",
    "compare",
    "denoise",
    "finite_difference_coefficients",
    "generate",
    "load_config",
    "load_operator",
    "read_trajectories",
    "rollout",
    "save_operator",
    "simulate",
    "train",
    "verify",
    "write_trajectories",
]
