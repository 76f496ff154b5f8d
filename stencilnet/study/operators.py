"""Methods by name: the classical ones, and learned operators kept in stores."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

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
    Burgers,
    ConservativeBurgers,
    ConvectiveBurgers,
    GodunovBurgers,
)
from stencilnet.errors import nearest
from stencilnet.grid import Grid
from stencilnet.solver.runge_kutta import INTEGRATORS
from stencilnet.storage import StoredOperator, read_operator, write_operator


def _central(viscosity: float, grid: Grid, *, order: int) -> Discretization:
    return FiniteDifference(ConservativeBurgers(viscosity), grid, order=order)


def _upwind(viscosity: float, grid: Grid, *, order: int) -> Discretization:
    return FiniteDifference(GodunovBurgers(viscosity), grid, order=order)


def _muscl(viscosity: float, grid: Grid) -> Discretization:
    return Muscl(GodunovBurgers(viscosity), grid)


def _dg(viscosity: float, grid: Grid, *, degree: int) -> Discretization:
    return DiscontinuousGalerkin(GodunovBurgers(viscosity), grid, degree=degree)


def _weno_z(viscosity: float, grid: Grid) -> Discretization:
    return Weno(GodunovBurgers(viscosity), grid, weights="Z")


def _weno_js(viscosity: float, grid: Grid) -> Discretization:
    return Weno(GodunovBurgers(viscosity), grid, weights="JS")


def _spectral(viscosity: float, grid: Grid) -> Discretization:
    return PseudoSpectral(ConvectiveBurgers(viscosity), grid)


def _spectral_averages(viscosity: float, grid: Grid) -> Discretization:
    return PseudoSpectral(ConservativeBurgers(viscosity), grid)


CLASSICAL: dict[str, Callable[[float, Grid], Discretization]] = {
    "central_2": partial(_central, order=2),
    "central_4": partial(_central, order=4),
    "central_6": partial(_central, order=6),
    "upwind_1": partial(_upwind, order=1),
    "upwind_3": partial(_upwind, order=3),
    "muscl": _muscl,
    "weno_js": _weno_js,
    "weno_z": _weno_z,
    "dg1": partial(_dg, degree=1),
    "dg2": partial(_dg, degree=2),
    "dg3": partial(_dg, degree=3),
    "spectral": _spectral,
    "spectral_averages": _spectral_averages,
}
"""Classical methods for Burgers' equation, made from a viscosity and a grid.

Central and upwind ones are finite volumes of the order in their name, the central ones
of the flux form and the upwind ones with Godunov's flux. A discontinuous Galerkin
method of degree `p` takes grids whose number of points is a multiple of `p + 1`."""


def classical(name: str, viscosity: float, grid: Grid) -> Discretization:
    """The classical method of a name.

    Raises:
        ValueError: if there is none, naming the nearest one.
    """
    if name not in CLASSICAL:
        raise ValueError(
            f"There is no method {name!r}, {nearest(name, list(CLASSICAL))}."
        )
    return CLASSICAL[name](viscosity, grid)


def moved(operator: LearnedStencil, grid: Grid, viscosity: float) -> LearnedStencil:
    """A learned operator for Burgers' equation on another domain or in another fluid.

    Raises:
        ValueError: if the operator is for another equation, or the grid has another
            spacing than the one it was learned on.
    """
    learned_at, spacing = operator.grid.spacing[-1], grid.spacing[-1]
    if not math.isclose(learned_at, spacing, rel_tol=1e-9):
        raise ValueError(
            f"The operator was learned at the spacing {learned_at:.4g}, not "
            f"{spacing:.4g}: give a grid of its spacing."
        )
    if not isinstance(operator.equation, Burgers):
        raise ValueError(
            f"The operator is for {type(operator.equation).__name__}, but the problem "
            f"is Burgers' equation: train one for it."
        )
    return operator.on(grid, type(operator.equation)(viscosity))


def save_operator(
    operator: LearnedStencil,
    path: Path | str,
    *,
    attributes: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Path:
    """Stores a learned operator, weights bit for bit, for `load_operator`.

    What `train` stores has its history, certificate and problem beside.

    Args:
        operator: trained in any way.
        path: of the store.
        attributes: plain values to keep with it.
        overwrite: whether to replace a store.

    Raises:
        FileExistsError: if `path` exists and `overwrite` is false.
        ValueError: if an attribute is no plain value.
    """
    weights = {
        name: value.detach().cpu().numpy()
        for name, value in operator.state_dict().items()
    }
    stored = StoredOperator(operator.spec(), weights, attributes=dict(attributes or {}))
    return write_operator(stored, Path(path), overwrite=overwrite)


def load_operator(path: Path | str) -> tuple[LearnedStencil, StoredOperator]:
    """A learned operator and the store it comes from, weights bit for bit.

    Raises:
        FileNotFoundError: if there is nothing at `path`.
        ValueError: if it is no operator store, or its arrays do not fit its spec.
    """
    path = Path(path)
    stored = read_operator(path)
    operator = LearnedStencil.from_spec(stored.spec)
    set_weights(operator, stored, path)
    return operator, stored


def habits(stored: StoredOperator) -> tuple[str, float | None]:
    """Integrator, by name, and step that an operator was trained with.

    SSPRK3 and none for an operator that was stored without them.

    Raises:
        ValueError: if there is no integrator of that name.
    """
    name = str(stored.attributes.get("integrator", "SSPRK3"))
    if name not in INTEGRATORS:
        raise ValueError(
            f"The operator was trained with the integrator {name!r}, which does not "
            f"exist, {nearest(name, list(INTEGRATORS))}."
        )
    step = stored.attributes.get("step")
    return name, None if step is None else float(step)


def set_weights(operator: LearnedStencil, stored: StoredOperator, path: Path) -> None:
    """Gives an operator the weights of a store.

    Raises:
        ValueError: if they do not fit it.
    """
    expected = operator.state_dict()
    weights = {
        name: torch.tensor(stored.arrays[name])
        for name in expected
        if name in stored.arrays
    }
    for name, value in expected.items():
        found = weights.get(name)
        if found is None or found.shape != value.shape or found.dtype != value.dtype:
            raise ValueError(
                f"{path} has no weights {name!r} of shape {tuple(value.shape)} and "
                f"{value.dtype}: its spec and its arrays do not belong together."
            )
    operator.load_state_dict(weights)
