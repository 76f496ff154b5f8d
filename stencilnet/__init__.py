"""Differentiable PDE solver with learned stencils.

An equation states its physics, a form says which spatial derivatives that takes, a
discretization supplies them on a grid, an integrator advances the result, and `rollout`
repeats it, differentiably:

    grid = Grid.line(64)
    learned = LearnedStencil(Burgers(viscosity=0.02), grid, network=MLP(32, 32))
    forcing = RandomForcing.sample(16, seed=0).on(grid, averages=True)
    u = rollout(learned, u0, times, forcing)

More lies in the wings: `stencilnet.equations`, `boundaries`, `discretizations`,
`stencils`, `solver`, `denoising`, `storage`, `report`, `study`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stencilnet.denoising import TotalVariation
    from stencilnet.discretizations import (
        MLP,
        DiscontinuousGalerkin,
        Discretization,
        FiniteDifference,
        LearnedStencil,
        Muscl,
        PseudoSpectral,
        Weno,
    )
    from stencilnet.equations import (
        Burgers,
        CentralFlux,
        Convective,
        Equation,
        Form,
        UpwindFlux,
    )
    from stencilnet.forcing import RandomForcing
    from stencilnet.grid import Grid
    from stencilnet.solver import (
        ETDRK4,
        RK4,
        SSPRK3,
        Adaptive,
        Integrator,
        rollout,
    )
    from stencilnet.stencils import Convex, Derivative, NullSpace
    from stencilnet.storage import read_trajectories, write_trajectories
    from stencilnet.study import (
        Config,
        certify,
        compare,
        denoise,
        fit,
        generate,
        load_config,
        load_operator,
        save_operator,
        simulate,
        train,
        verify,
    )

__all__ = [
    "ETDRK4",
    "MLP",
    "RK4",
    "SSPRK3",
    "Adaptive",
    "Burgers",
    "CentralFlux",
    "Config",
    "Convective",
    "Convex",
    "Derivative",
    "DiscontinuousGalerkin",
    "Discretization",
    "Equation",
    "FiniteDifference",
    "Form",
    "Grid",
    "Integrator",
    "LearnedStencil",
    "Muscl",
    "NullSpace",
    "PseudoSpectral",
    "RandomForcing",
    "TotalVariation",
    "UpwindFlux",
    "Weno",
    "certify",
    "compare",
    "denoise",
    "fit",
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

# Where the names lie. A wing is imported when a name of it is first asked for, so that
# commands which need none, such as `stencilnet --help`, answer at once.
_WINGS = (
    "boundaries",
    "grid",
    "forcing",
    "stencils",
    "solver",
    "equations",
    "discretizations",
    "denoising",
    "storage",
    "report",
    "study",
)


def __getattr__(name: str) -> Any:
    if name in _WINGS:
        return import_module(f"{__name__}.{name}")
    if name in __all__:
        for wing in _WINGS:
            module = import_module(f"{__name__}.{wing}")
            if name in getattr(module, "__all__", [name]) and hasattr(module, name):
                globals()[name] = getattr(module, name)
                return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_WINGS})
