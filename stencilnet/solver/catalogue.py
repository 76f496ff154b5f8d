"""All integrators by name."""

from collections.abc import Mapping
from types import MappingProxyType

from stencilnet.solver.base import Integrator
from stencilnet.solver.exact_evolution import ColeHopf
from stencilnet.solver.exponential import ETDRK4, ETDRK4B, IFRK4
from stencilnet.solver.implicit_explicit import ARS222, ARS443
from stencilnet.solver.runge_kutta import (
    RK4,
    SSPRK3,
    BogackiShampine32,
    DormandPrince54,
    Euler,
    Heun,
    Kutta3,
)

INTEGRATORS: Mapping[str, Integrator] = MappingProxyType(
    {
        "Euler": Euler,
        "Heun": Heun,
        "Kutta3": Kutta3,
        "SSPRK3": SSPRK3,
        "RK4": RK4,
        "BogackiShampine32": BogackiShampine32,
        "DormandPrince54": DormandPrince54,
        "ETDRK4": ETDRK4,
        "ETDRK4B": ETDRK4B,
        "IFRK4": IFRK4,
        "ARS222": ARS222,
        "ARS443": ARS443,
        "ColeHopf": ColeHopf(),
    }
)
"""The integrators by the names that configs and stores use, explicit ones first.

Example:
    >>> from stencilnet.solver import INTEGRATORS
    >>> {name: integrator.order for name, integrator in INTEGRATORS.items()}
    {'Euler': 1, 'Heun': 2, 'Kutta3': 3, 'SSPRK3': 3, 'RK4': 4, 'BogackiShampine32': 3,
    'DormandPrince54': 5, 'ETDRK4': 4, 'ETDRK4B': 4, 'IFRK4': 4, 'ARS222': 2,
    'ARS443': 3, 'ColeHopf': 4}
"""
