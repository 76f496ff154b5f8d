"""Classical methods by name, as tables, figures and contract tests show them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from stencilnet.discretizations.base import Discretization
from stencilnet.discretizations.dg import DiscontinuousGalerkin
from stencilnet.discretizations.finite_difference import FiniteDifference
from stencilnet.discretizations.muscl import Muscl
from stencilnet.discretizations.spectral import PseudoSpectral
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
    """

    build: Callable[[Equation, Grid], Discretization]
    label: str
    order: int


CLASSICAL: Mapping[str, Classical] = MappingProxyType(
    {
        "central_2": Classical(partial(FiniteDifference, order=2), "central 2", 2),
        "central_4": Classical(partial(FiniteDifference, order=4), "central 4", 4),
        "central_6": Classical(partial(FiniteDifference, order=6), "central 6", 6),
        "upwind_1": Classical(
            partial(FiniteDifference, order=1, form=UpwindFlux), "upwind 1", 1
        ),
        "upwind_3": Classical(
            partial(FiniteDifference, order=3, form=UpwindFlux), "upwind 3", 3
        ),
        "muscl": Classical(Muscl, "MUSCL", 2),
        "weno_js": Classical(partial(Weno, weights="JS"), "WENO-JS", 4),
        "weno_z": Classical(Weno, "WENO-Z", 4),
        "dg1": Classical(partial(DiscontinuousGalerkin, degree=1), "DG p1", 2),
        "dg2": Classical(partial(DiscontinuousGalerkin, degree=2), "DG p2", 3),
        "dg3": Classical(partial(DiscontinuousGalerkin, degree=3), "DG p3", 4),
        "spectral": Classical(PseudoSpectral, "pseudo-spectral", 0),
        "spectral_averages": Classical(
            partial(PseudoSpectral, averages=True), "spectral, averages", 0
        ),
    }
)
"""Classical methods for any equation, made from it and a grid.

Central and upwind ones are finite volumes of the order in their name, the central ones
of the central flux form and the upwind ones of the upwind flux form. A discontinuous
Galerkin method of degree `p` takes grids whose number of points is a multiple of
`p + 1`."""


def classical(name: str, equation: Equation, grid: Grid) -> Discretization:
    """The classical method of a name.

    Raises:
        ValueError: if there is none, naming the nearest one.
    """
    if name not in CLASSICAL:
        raise unknown("method", name, CLASSICAL)
    return CLASSICAL[name].build(equation, grid)
