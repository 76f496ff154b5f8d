"""Differentiable PDE solver with learned stencils.

An equation says which spatial derivatives it needs, a discretization supplies them on a
grid, an integrator advances the result, and `rollout` repeats it, differentiably:

    grid = Grid.line(64)
    equation = ConservativeBurgers(viscosity=0.02)
    learned = LearnedStencil(equation, grid, width=6, order=1)
    forcing = RandomForcing.sample(16, seed=0).on(grid, averages=True)
    u = rollout(learned, u0, times, forcing)
"""

from stencilnet.adaptive import AdaptiveSolution, adaptive_rollout
from stencilnet.certificate import certify
from stencilnet.coefficients import (
    Convex,
    NullSpace,
    Projection,
    Soft,
    Unconstrained,
)
from stencilnet.config import Config, load_config
from stencilnet.denoise import denoise
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
from stencilnet.evaluation import compare
from stencilnet.exponential import (
    ETDRK4,
    ETDRK4B,
    IFRK4,
    ExponentialTimeDifferencing,
    IntegratingFactor,
    Lawson,
    TimeDifferencing,
)
from stencilnet.forcing import RandomForcing
from stencilnet.generate import generate
from stencilnet.grid import Grid
from stencilnet.implicit_explicit import ARS222, ARS443, ImplicitExplicit
from stencilnet.integrators import (
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
from stencilnet.methods import load_operator, save_operator
from stencilnet.moments import (
    Derivative,
    MomentConditions,
    finite_difference_coefficients,
)
from stencilnet.simulate import simulate
from stencilnet.solve import rollout
from stencilnet.storage import read_trajectories, write_trajectories
from stencilnet.training import train
from stencilnet.verify import verify

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
