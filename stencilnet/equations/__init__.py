"""Equations, the forms in which they are discretized, and exact solutions."""

import dataclasses
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from stencilnet.equations.advection import Advection, AdvectionDiffusion
from stencilnet.equations.base import Equation
from stencilnet.equations.burgers import Burgers
from stencilnet.equations.exact import (
    DecayingWave,
    ExactSolution,
    MovingShock,
    Steepening,
    TravellingWave,
)
from stencilnet.equations.fisher_kpp import FisherKPP
from stencilnet.equations.forms import (
    CentralFlux,
    Convective,
    FluxForm,
    Form,
    UpwindFlux,
    divergence,
)
from stencilnet.equations.korteweg_de_vries import KortewegDeVries
from stencilnet.equations.kuramoto_sivashinsky import KuramotoSivashinsky
from stencilnet.equations.manufactured import Manufactured
from stencilnet.equations.mirror import (
    form_has_mirror_symmetry,
    has_mirror_symmetry,
    mirror_partners,
)
from stencilnet.equations.shock_layer import ShockLayer
from stencilnet.equations.solitons import Solitons
from stencilnet.errors import unknown

__all__ = [
    "EQUATIONS",
    "FORMS",
    "Advection",
    "AdvectionDiffusion",
    "Burgers",
    "CentralFlux",
    "Convective",
    "DecayingWave",
    "Equation",
    "ExactSolution",
    "FisherKPP",
    "FluxForm",
    "Form",
    "KortewegDeVries",
    "KuramotoSivashinsky",
    "Manufactured",
    "MovingShock",
    "ShockLayer",
    "Solitons",
    "Steepening",
    "TravellingWave",
    "UpwindFlux",
    "divergence",
    "equation_from_spec",
    "form_from_name",
    "form_has_mirror_symmetry",
    "has_mirror_symmetry",
    "mirror_partners",
]

EQUATIONS: Mapping[str, type[Equation]] = MappingProxyType(
    {
        equation.__name__: equation
        for equation in (
            Burgers,
            Advection,
            AdvectionDiffusion,
            KortewegDeVries,
            KuramotoSivashinsky,
            FisherKPP,
        )
    }
)
"""The equations by the names that configs and stores use.

Example:
    >>> from stencilnet.equations import EQUATIONS
    >>> sorted(EQUATIONS)[:3]
    ['Advection', 'AdvectionDiffusion', 'Burgers']
    >>> EQUATIONS["KuramotoSivashinsky"]().linear()
    {2: -1.0, 4: -1.0}
"""

FORMS: Mapping[str, type[Form]] = MappingProxyType(
    {form.__name__: form for form in (CentralFlux, UpwindFlux, Convective)}
)
"""The forms by the names that configs and stores use.

Example:
    >>> from stencilnet.equations import FORMS
    >>> {name: form.averages for name, form in FORMS.items()}
    {'CentralFlux': True, 'UpwindFlux': True, 'Convective': False}
"""


def equation_from_spec(
    spec: Mapping[str, Any], extensions: Iterable[type] = ()
) -> Equation:
    """The equation that `Equation.spec` described.

    Args:
        spec: the name of an equation and its parameters.
        extensions: classes, of which equations are known by their names as well.

    Raises:
        ValueError: if the name is unknown or the parameters do not fit it.

    Example:
        >>> from stencilnet.equations import equation_from_spec
        >>> equation_from_spec({"name": "Burgers", "viscosity": 0.01})
        Burgers(viscosity=0.01)
        >>> equation_from_spec({"name": "FisherKPP", "rate": 2.0}).spec()
        {'name': 'FisherKPP', 'diffusivity': 1.0, 'rate': 2.0}
    """
    if "name" not in spec:
        raise ValueError(
            f"An equation is written with its name, as in "
            f"{{name: Burgers, viscosity: 0.01}}, not {dict(spec)}."
        )
    name = str(spec["name"])
    known = dict(EQUATIONS) | _named(extensions, Equation)
    if name not in known:
        error = unknown("equation", name, known)
        raise ValueError(
            f"{str(error).removesuffix('.')}; list one of your own as an extension."
        )
    parameters = {key: value for key, value in spec.items() if key != "name"}
    equation = known[name]
    plain = not dataclasses.is_dataclass(equation)
    fields = {f.name: f for f in (() if plain else dataclasses.fields(equation))}
    needed = {
        key for key, field in fields.items() if field.default is dataclasses.MISSING
    }
    if not needed <= set(parameters) <= set(fields):
        raise ValueError(
            f"{name} takes the parameters {sorted(fields)}, not {sorted(parameters)}."
        )
    for key, value in parameters.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(
                f"The {key} of {name} is a number, not {value!r}: give one."
            )
    return equation(**{key: float(value) for key, value in parameters.items()})


def form_from_name(name: str, extensions: Iterable[type] = ()) -> type[Form]:
    """The form of a name.

    Raises:
        ValueError: if there is none, naming the nearest one.

    Example:
        >>> from stencilnet.equations import form_from_name
        >>> form_from_name("UpwindFlux").averages
        True
        >>> form_from_name("Upwind")
        Traceback (most recent call last):
            ...
        ValueError: There is no form 'Upwind', did you mean 'UpwindFlux'.
    """
    known = dict(FORMS) | _named(extensions, Form)
    if name not in known:
        raise unknown("form", name, known)
    return known[name]


def _named(extensions: Iterable[type], kind: type) -> dict[str, Any]:
    """The classes of one kind, by name."""
    return {cls.__name__: cls for cls in extensions if issubclass(cls, kind)}
