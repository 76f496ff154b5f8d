"""Learned operators in stores."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from stencilnet.discretizations import LearnedStencil
from stencilnet.equations import Equation
from stencilnet.grid import Grid
from stencilnet.storage import StoredOperator, read_operator, write_operator


def moved(operator: LearnedStencil, grid: Grid, equation: Equation) -> LearnedStencil:
    """A learned operator on a longer domain or for other parameters of its equation.

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
    return operator.on(grid, equation)


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
        name: value.detach().cpu().numpy() for name, value in operator.weights().items()
    }
    stored = StoredOperator(operator.spec(), weights, attributes=dict(attributes or {}))
    return write_operator(stored, Path(path), overwrite=overwrite)


def load_operator(
    path: Path | str,
    *,
    network: nn.Module | None = None,
    extensions: Iterable[type] = (),
) -> tuple[LearnedStencil, StoredOperator]:
    """A learned operator and the store it comes from, weights bit for bit.

    Args:
        path: of the store.
        network: a module of the shape of the stored one, where that is not one of the
            package's; it receives the stored weights.
        extensions: classes of your own that the operator was built from, such as its
            equation. Nothing that a store names is ever imported.

    Raises:
        FileNotFoundError: if there is nothing at `path`.
        ValueError: if it is no operator store, or its arrays do not fit its spec.
    """
    path = Path(path)
    stored = read_operator(path)
    operator = LearnedStencil.from_spec(
        stored.spec, network=network, extensions=extensions
    )
    set_weights(operator, stored, path)
    return operator, stored


def habits(stored: StoredOperator) -> tuple[str, float | None]:
    """Integrator, by name, and step that an operator was trained with.

    SSPRK3 and none for an operator that was stored without them.
    """
    step = stored.attributes.get("step")
    name = str(stored.attributes.get("integrator", "SSPRK3"))
    return name, None if step is None else float(step)


def set_weights(operator: LearnedStencil, stored: StoredOperator, path: Path) -> None:
    """Gives an operator the weights of a store.

    Raises:
        ValueError: if they do not fit it.
    """
    expected = operator.weights()
    weights = {
        name: torch.tensor(stored.arrays[name])
        for name in expected
        if name in stored.arrays
    }
    for name, value in expected.items():
        array = weights.get(name)
        if array is None or array.shape != value.shape or array.dtype != value.dtype:
            raise ValueError(
                f"{path} has no weights {name!r} of shape {tuple(value.shape)} and "
                f"{value.dtype}: its spec and its arrays do not belong together."
            )
    operator.load_state_dict({**operator.state_dict(), **weights})
