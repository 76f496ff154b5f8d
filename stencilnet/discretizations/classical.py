"""Classical methods by name, as tables, figures and contract tests show them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from stencilnet.discretizations.base import Discretization
from stencilnet.discretizations.blended_weno import BlendedWeno
from stencilnet.discretizations.compact import Compact
from stencilnet.discretizations.dg import DiscontinuousGalerkin
from stencilnet.discretizations.dg_split import SplitGalerkin
from stencilnet.discretizations.eno import Eno
from stencilnet.discretizations.finite_difference import FiniteDifference
from stencilnet.discretizations.hybrid_parabola import HybridParabola
from stencilnet.discretizations.kappa import Kappa
from stencilnet.discretizations.muscl import Muscl
from stencilnet.discretizations.pictures import (
    Linear,
    Parabola,
    SubCellShocks,
    WenoParabola,
)
from stencilnet.discretizations.spectral import ExponentialFilter, PseudoSpectral
from stencilnet.discretizations.teno import Teno
from stencilnet.discretizations.weno import Weno
from stencilnet.equations import Equation, UpwindFlux
from stencilnet.errors import unknown
from stencilnet.grid import Grid


@dataclass(frozen=True)
class Classical:
    """A classical method under a name.

    Attributes:
        build: makes it from an equation and a grid.
        label: how tables and figures write it.
        order: of accuracy on smooth solutions; 0 where it is spectral.

    Example:
        >>> from functools import partial
        >>> from stencilnet import Burgers, FiniteDifference, Grid
        >>> from stencilnet.discretizations import Classical, refine
        >>> entry = Classical(partial(FiniteDifference, order=8), "central 8", 8)
        >>> method = entry.build(Burgers(viscosity=0.02), Grid.line(32))
        >>> round(refine(method, size=1.0, levels=2).orders["u_t"]) == entry.order
        True
    """

    build: Callable[[Equation, Grid], Discretization]
    label: str
    order: int


_FINITE_VOLUMES = {
    "central_2": Classical(partial(FiniteDifference, order=2), "central 2", 2),
    "central_4": Classical(partial(FiniteDifference, order=4), "central 4", 4),
    "central_6": Classical(partial(FiniteDifference, order=6), "central 6", 6),
    "compact_3": Classical(partial(Compact, order=3), "compact upwind 3", 3),
    "compact_6": Classical(partial(Compact, order=6), "compact 6", 6),
    "upwind_1": Classical(
        partial(FiniteDifference, order=1, form=UpwindFlux), "upwind 1", 1
    ),
    "upwind_3": Classical(
        partial(FiniteDifference, order=3, form=UpwindFlux), "upwind 3", 3
    ),
    "upwind_5": Classical(
        partial(FiniteDifference, order=5, form=UpwindFlux), "upwind 5", 5
    ),
    "muscl": Classical(Muscl, "MUSCL", 2),
    "weno_js": Classical(partial(Weno, weights="JS"), "WENO-JS", 4),
    "weno_z": Classical(Weno, "WENO-Z (exponent 2)", 4),
    "weno_z_1": Classical(partial(Weno, exponent=1.0), "WENO-Z (exponent 1)", 4),
    "weno_7": Classical(
        partial(Weno, order=7, exponent=1.5, viscous_order=6), "WENO7-Z", 6
    ),
    "weno_9": Classical(
        partial(Weno, order=9, weights="JS", viscous_order=8), "WENO9-JS", 8
    ),
    "teno_5": Classical(Teno, "TENO5", 4),
    "eno_5": Classical(partial(Eno, order=5), "ENO5", 4),
    "eno_subcell": Classical(
        partial(Eno, order=5, subcell=True), "ENO5, sub-cell shocks", 4
    ),
}
# What `simulations/tuning.py` finds on training forcings, P1 on 64 and P2 on 32 cells.
_KAPPAS = {
    "p1": partial(Kappa, kappa=0.158, behind=1.913, ahead=1.611, viscous_order=4),
    "p2": partial(Kappa, kappa=0.295, behind=2.459, ahead=1.999, viscous_order=4),
}
_BLENDS = {
    "p1": partial(BlendedWeno, exponent=1.0, sensitivity=0.781, upwind=0.143),
    "p2": partial(BlendedWeno, exponent=1.0, sensitivity=0.443, upwind=0.148),
}
_TUNED = {
    **{
        f"muscl_{name}": Classical(build, f"MUSCL, tuned on {name.upper()}", 2)
        for name, build in _KAPPAS.items()
    },
    **{
        f"weno_z_{name}": Classical(build, f"WENO-Z, tuned on {name.upper()}", 4)
        for name, build in _BLENDS.items()
    },
}
_GALERKIN = {
    **{
        f"dg{degree}": Classical(
            partial(DiscontinuousGalerkin, degree=degree), f"DG p{degree}", degree + 1
        )
        for degree in (1, 2, 3, 7)
    },
    **{
        f"dg{degree}_split": Classical(
            partial(SplitGalerkin, degree=degree), f"DG p{degree}, split", degree + 1
        )
        for degree in (1, 3, 7)
    },
}
_SPECTRAL = {
    "spectral": Classical(PseudoSpectral, "pseudo-spectral", 0),
    "spectral_averages": Classical(
        partial(PseudoSpectral, averages=True), "spectral, averages", 0
    ),
    "spectral_filtered": Classical(
        partial(PseudoSpectral, averages=True, damping=ExponentialFilter()),
        "spectral, filtered",
        ExponentialFilter().order - 1,
    ),
}
CLASSICAL: Mapping[str, Classical] = MappingProxyType(
    _FINITE_VOLUMES | _TUNED | _GALERKIN | _SPECTRAL
)
"""Classical methods for any equation, made from it and a grid.

Central and upwind ones are finite volumes of the order in their name, the central ones
of the central flux form and the upwind ones of the upwind flux form. WENO is of order 5
with weights Z of exponent 2 or 1, or JS; of order 7 with weights Z of exponent 1.5; of
order 9 with weights JS. `muscl_p1` and `weno_z_p1` have three numbers that were tuned
on the training forcings of P1, see `simulations/tuning.py`; `_p2` on those of P2. A
discontinuous Galerkin method of degree `p` takes grids whose number of points is a
multiple of `p + 1`. The filtered spectral method holds averages.

Example:
    >>> from stencilnet import Burgers, Grid
    >>> from stencilnet.discretizations import CLASSICAL
    >>> [name for name, entry in CLASSICAL.items() if entry.order > 5]
    ['central_6', 'compact_6', 'weno_7', 'weno_9', 'dg7', 'dg7_split']
    >>> CLASSICAL["weno_9"].build(Burgers(viscosity=0.02), Grid.line(32)).weights
    'JS'
"""


PICTURES: Mapping[str, Classical] = MappingProxyType(
    {
        "exact_linear": Classical(Linear, "exact evolution, lines", 2),
        "exact_parabola": Classical(Parabola, "exact evolution, parabolas", 3),
        "exact_weno": Classical(WenoParabola, "exact evolution, WENO parabolas", 3),
        "exact_hybrid": Classical(
            HybridParabola, "exact evolution, hybrid parabolas", 3
        ),
        "exact_subcell": Classical(SubCellShocks, "exact evolution, shocks", 3),
    }
)
"""Pictures of a cell for the exact evolution of Burgers' equation, see `ColeHopf`.

Example:
    >>> from stencilnet import Burgers, Grid, rollout
    >>> from stencilnet.discretizations import PICTURES
    >>> from stencilnet.equations import DecayingWave
    >>> from stencilnet.solver import ColeHopf
    >>> wave, grid = DecayingWave(viscosity=0.1), Grid.line(32)
    >>> u0, exact = wave.averages(grid, 0.0), wave.averages(grid, 1.0)
    >>> for name in ("exact_linear", "exact_weno"):
    ...     method = PICTURES[name].build(Burgers(viscosity=0.1), grid)
    ...     u = rollout(method, u0, [0.0, 1.0], integrator=ColeHopf())  # one step
    ...     print(name, f"{float((u[-1] - exact).abs().max()):.0e}")
    exact_linear 6e-05
    exact_weno 7e-06
"""


def classical(name: str, equation: Equation, grid: Grid) -> Discretization:
    """The classical method of a name.

    Raises:
        ValueError: if there is none, naming the nearest one.

    Example:
        >>> from stencilnet import Burgers, Grid
        >>> from stencilnet.discretizations import classical
        >>> method = classical("upwind_5", Burgers(viscosity=0.02), Grid.line(32))
        >>> list(method.form.requires), method.order
        (['u_left', 'u_right', 'u_x'], 5)
        >>> classical("upwind5", Burgers(viscosity=0.02), Grid.line(32))
        Traceback (most recent call last):
        ValueError: ...'upwind_5'...
    """
    known = {**CLASSICAL, **PICTURES}
    if name not in known:
        raise unknown("method", name, known)
    return known[name].build(equation, grid)
