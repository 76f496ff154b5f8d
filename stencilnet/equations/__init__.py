"""Equations: which derivatives they need and how these combine into `u_t`."""

import dataclasses
import difflib
from collections.abc import Mapping
from typing import Any

from stencilnet.equations.advection import (
    Advection,
    AdvectionDiffusion,
    UpwindAdvection,
    UpwindAdvectionDiffusion,
)
from stencilnet.equations.base import Equation, FluxForm, divergence
from stencilnet.equations.burgers import (
    Burgers,
    ConservativeBurgers,
    ConvectiveBurgers,
    GodunovBurgers,
    InviscidBurgers,
    godunov_flux,
)
from stencilnet.equations.korteweg_de_vries import (
    ConservativeKortewegDeVries,
    KortewegDeVries,
)
from stencilnet.equations.kuramoto_sivashinsky import (
    ConservativeKuramotoSivashinsky,
    KuramotoSivashinsky,
)

__all__ = [
    "EQUATIONS",
    "Advection",
    "AdvectionDiffusion",
    "Burgers",
    "ConservativeBurgers",
    "ConservativeKortewegDeVries",
    "ConservativeKuramotoSivashinsky",
    "ConvectiveBurgers",
    "Equation",
    "FluxForm",
    "GodunovBurgers",
    "InviscidBurgers",
    "KortewegDeVries",
    "KuramotoSivashinsky",
    "UpwindAdvection",
    "UpwindAdvectionDiffusion",
    "divergence",
    "equation_from_spec",
    "godunov_flux",
]

EQUATIONS: dict[str, type[Equation]] = {
    equation.__name__: equation
    for equation in (
        ConvectiveBurgers,
        ConservativeBurgers,
        GodunovBurgers,
        InviscidBurgers,
        Advection,
        UpwindAdvection,
        AdvectionDiffusion,
        UpwindAdvectionDiffusion,
        KortewegDeVries,
        ConservativeKortewegDeVries,
        KuramotoSivashinsky,
        ConservativeKuramotoSivashinsky,
    )
}
"""The equations by the names that configs and stores use."""


def equation_from_spec(spec: Mapping[str, Any]) -> Equation:
    """The equation that `Equation.spec` described.

    Raises:
        ValueError: if the name is unknown or the parameters do not fit it.
    """
    name = spec.get("name")
    if name not in EQUATIONS:
        close = difflib.get_close_matches(str(name), EQUATIONS, n=1)
        hint = (
            f"did you mean {close[0]!r}"
            if close
            else f"use one of {', '.join(EQUATIONS)}"
        )
        raise ValueError(f"There is no equation {name!r}: {hint}.")
    parameters = {key: value for key, value in spec.items() if key != "name"}
    equation = EQUATIONS[name]
    expected = {field.name for field in dataclasses.fields(equation)}  # type: ignore[arg-type]
    if set(parameters) != expected:
        raise ValueError(
            f"{name} takes the parameters {sorted(expected)}, not {sorted(parameters)}."
        )
    if not all(isinstance(value, int | float) for value in parameters.values()):
        raise ValueError(
            f"The parameters of {name} are numbers, not {list(parameters.values())}."
        )
    return equation(**parameters)
