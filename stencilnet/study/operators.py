"""Learned operators in stores."""

import copy
import json
import math
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stencilnet.discretizations import (
    LearnedPicture,
    LearnedStencil,
    stencil_arrays,
)
from stencilnet.equations import Equation
from stencilnet.errors import nearest, plain, unknown
from stencilnet.grid import Grid
from stencilnet.solver import INTEGRATORS, ColeHopf, Integrator, Splitting
from stencilnet.storage import (
    StoredOperator,
    local_path,
    read_operator,
    write_operator,
)
from stencilnet.study.spec_sizes import check_sizes

Operator = LearnedStencil | LearnedPicture
"""What can be learned and stored."""

_PRETRAINED = Path(str(resources.files("stencilnet"))) / "pretrained"


def moved(operator: Operator, grid: Grid, equation: Equation) -> Operator:
    """A learned operator on a longer domain or for other parameters of its equation.

    Raises:
        ValueError: if the operator is for another equation, or the grid has another
            spacing than the one it was learned on. A picture takes any spacing.
    """
    learned_at, spacing = operator.grid.spacing[-1], grid.spacing[-1]
    free = isinstance(operator, LearnedPicture)
    if not free and not math.isclose(learned_at, spacing, rel_tol=1e-9):
        raise ValueError(
            f"The operator was learned at the spacing {learned_at:.4g}, not "
            f"{spacing:.4g}: give a grid of its spacing."
        )
    return operator.on(grid, equation)


def save_operator(
    operator: Operator,
    path: Path | str,
    *,
    attributes: Mapping[str, Any] | None = None,
    history: Mapping[str, np.ndarray] | None = None,
    overwrite: bool = False,
) -> Path:
    """Stores a learned operator, weights bit for bit, for `load_operator`.

    What `train` stores has its history, certificate and problem beside.

    Args:
        operator: trained in any way.
        path: of the store.
        attributes: plain values to keep with it.
        history: numbers of its training, as `fit` returns them.
        overwrite: whether to replace a store.

    Raises:
        FileExistsError: if `path` exists and `overwrite` is false.
        TypeError: if `path` is not a path.
        ValueError: if `path` is not local, an attribute is not a plain value, or the
            spec of the operator does not describe it, so that it could not be loaded.

    Example:
        >>> from stencilnet import Burgers, Grid, LearnedStencil
        >>> from stencilnet import load_operator, save_operator
        >>> learned = LearnedStencil(Burgers(viscosity=0.02), Grid.line(16), seed=3)
        >>> path = save_operator(learned, "mine.zarr", overwrite=True)
        >>> load_operator(path)[0].seed
        3
    """
    _check_loads(operator)
    weights = {
        name: value.detach().cpu().numpy() for name, value in operator.weights().items()
    }
    stored = StoredOperator(
        operator.spec(),
        weights,
        history=dict(history or {}),
        attributes=dict(attributes or {}),
        stencils=stencils_of(operator),
    )
    return write_operator(stored, path, overwrite=overwrite)


def stencils_of(operator: Operator) -> dict[str, np.ndarray]:
    """What a store keeps of the stencils of an operator; nothing of a picture."""
    if isinstance(operator, LearnedStencil):
        return stencil_arrays(operator)
    return {}


def _check_loads(operator: Operator) -> None:
    """Raises unless spec and weights make the operator again.

    An operator whose network, layers or settings were replaced may differ from its
    spec.
    """
    original = copy.deepcopy(operator).cpu().eval()
    weights = original.weights()
    network = original.network
    described = callable(getattr(network, "spec", None))
    try:
        again = (
            type(original)
            .from_spec(
                json.loads(json.dumps(plain(original.spec()))),
                network=None if described else copy.deepcopy(network),
                extensions=_classes(original),
            )
            .eval()
        )
        stored = StoredOperator(
            {}, {name: value.numpy() for name, value in weights.items()}
        )
        set_weights(again, stored, Path("the operator"))
        equal = _same_answer(again, original)
        # Weights of zero, as before a training, would hide a replaced layer.
        for module in (again, original):
            _randomize(module)
        equal = equal and _same_answer(again, original)
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(
            f"The operator could not be loaded again: {str(error).rstrip('.')}. Build "
            f"it anew with the settings it has now."
        ) from error
    if not equal:
        raise ValueError(
            "The operator is not the one that its settings describe: build it anew "
            "with the layers and settings it has now."
        )


@torch.no_grad()
def _same_answer(one: Operator, other: Operator) -> bool:
    return torch.allclose(_answer(one), _answer(other), 1e-5, equal_nan=True)


@torch.no_grad()
def _randomize(operator: Operator) -> None:
    """Gives the network weights that depend on their shapes alone."""
    generator = torch.Generator().manual_seed(0)
    for weight in operator.network.parameters():
        draw = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
        weight.copy_(0.5 * draw)


def _answer(operator: Operator) -> Tensor:
    """What an operator makes of a smooth wave."""
    grid = operator.grid
    wave = torch.sin(grid.points() * (2 * math.pi / grid.extent[-1]))
    if isinstance(operator, LearnedPicture):
        middle = torch.tensor([0.5], dtype=torch.float64)
        return torch.stack(operator.branches(wave, middle))
    answer: Tensor = operator((operator.scale * wave).to(operator.dtype))
    return answer


def _classes(value: Any) -> list[type]:
    """The classes of a value and of all that it is built from."""
    if isinstance(value, LearnedStencil):
        return _classes([value.equation, value.form, *value.settings.values()])
    if isinstance(value, LearnedPicture):
        return _classes([value.equation, *value.settings.values()])
    if isinstance(value, Mapping):
        return _classes(list(value.values()))
    if isinstance(value, list | tuple):
        return [inner for entry in value for inner in _classes(entry)]
    if isinstance(value, type):
        return [value]
    inner = list(vars(value).values()) if hasattr(value, "spec") else []
    return [type(value), *_classes(inner)]


def load_operator(
    path: Path | str,
    *,
    network: nn.Module | None = None,
    extensions: Iterable[type] = (),
) -> tuple[Any, StoredOperator]:
    """A learned operator and the store it comes from, weights bit for bit.

    A `LearnedStencil`, or a `LearnedPicture` for exact evolution.

    Args:
        path: of the store, or the name of a pretrained operator, see `pretrained`.
        network: a module of the shape of the stored one, where that is not one of the
            package's; it receives the stored weights.
        extensions: classes of your own that the operator was built from, such as its
            equation. Nothing that a store names is ever imported.

    Raises:
        FileNotFoundError: if there is nothing at `path`.
        ValueError: if it is no operator store, or its arrays do not fit its spec.

    Example:
        >>> from stencilnet import load_operator
        >>> operator, stored = load_operator("burgers")
        >>> type(operator).__name__
        'LearnedPicture'
    """
    path = operator_path(path)
    stored = read_operator(path)
    kind: Any = (
        LearnedPicture if stored.spec.get("kind") == "picture" else LearnedStencil
    )
    check_sizes(stored.spec, path)
    try:
        operator = kind.from_spec(stored.spec, network=network, extensions=extensions)
    except (ArithmeticError, AttributeError, LookupError, TypeError) as error:
        raise ValueError(
            f"{path} has a spec that describes no operator ({type(error).__name__}: "
            f"{error}): give a store that stencilnet wrote."
        ) from error
    set_weights(operator, stored, path)
    return operator, stored


def pretrained() -> list[str]:
    """Names of the operators that come with the package, for `load_operator`.

    `burgers` is a `LearnedPicture` for exact evolution at any viscosity, spacing and
    amplitude; the others were trained for one problem and grid. Their stores name the
    regimes, the splitting and the step that they were trained with.
    """
    return sorted(path.stem for path in _PRETRAINED.glob("*.zarr"))


def operator_path(path: Path | str) -> Path:
    """A path, or that of the pretrained operator of this name.

    Raises:
        FileNotFoundError: if a bare name is neither.
        TypeError, ValueError: if it is no local path.
    """
    path = local_path(path)
    if path.exists() or path.suffix or len(path.parts) != 1:
        return path
    if path.name not in pretrained():
        raise FileNotFoundError(
            f"There is neither a store {str(path)!r} nor a pretrained operator of that "
            f"name, {nearest(path.name, pretrained())}."
        )
    return _PRETRAINED / f"{path.name}.zarr"


def habits(stored: StoredOperator) -> tuple[Integrator, float | None]:
    """Integrator and step that an operator was trained with.

    SSPRK3 and none for an operator that was stored without them.

    Raises:
        ValueError: if there is no integrator of the stored name.
    """
    name = str(stored.attributes.get("integrator", "SSPRK3"))
    if name not in INTEGRATORS:
        raise unknown("integrator", name, INTEGRATORS)
    integrator = INTEGRATORS[name]
    splitting = stored.attributes.get("splitting")
    if isinstance(integrator, ColeHopf) and isinstance(splitting, Mapping):
        try:
            integrator = ColeHopf(Splitting.from_spec(splitting))
        except (LookupError, TypeError) as error:
            raise ValueError(
                f"The operator names a splitting that is none ({error}): train it "
                f"again."
            ) from error
    step = stored.attributes.get("step")
    return integrator, None if step is None else float(step)


def set_weights(operator: Operator, stored: StoredOperator, path: Path) -> None:
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
