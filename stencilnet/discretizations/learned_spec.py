"""Specs of learned stencils: all but their weights, as plain values."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

from stencilnet.discretizations.networks import network_from_spec
from stencilnet.equations import Form, equation_from_spec, form_from_name
from stencilnet.errors import unknown
from stencilnet.grid import Grid
from stencilnet.stencils import Constraint, constraint_from_spec

Constraints = Constraint | Mapping[str, Constraint]
"""One constraint for all derivatives, or one for each by its name."""

_ENTRIES = {
    "equation",
    "form",
    "grid",
    "width",
    "window",
    "constraint",
    "network",
    "mirror",
    "scale",
    "seed",
    "dtype",
}
_DTYPES = {"float32": torch.float32, "float64": torch.float64}


def arguments_from_spec(
    spec: Mapping[str, Any], network: nn.Module | None, extensions: tuple[type, ...]
) -> dict[str, Any]:
    """Arguments of the `LearnedStencil` that a spec describes.

    Args:
        spec: from `LearnedStencil.spec`.
        network: in place of the one that the spec names.
        extensions: classes that the spec may name beside the package's own.

    Raises:
        ValueError: if the spec lacks an entry or has an unknown one.
    """
    # Specs from before there was a mirror describe operators without.
    spec = {"mirror": False, **spec}
    if set(spec) != _ENTRIES:
        raise ValueError(
            f"The spec of a learned stencil has the entries "
            f"{', '.join(sorted(_ENTRIES))}, not {', '.join(sorted(spec))}."
        )
    if spec["dtype"] not in _DTYPES:
        raise ValueError(
            f"A learned stencil has the dtype float32 or float64, not "
            f"{spec['dtype']!r}."
        )
    return {
        "equation": equation_from_spec(spec["equation"], extensions),
        "grid": Grid.from_spec(spec["grid"], extensions),
        "form": form_from_name(spec["form"], extensions),
        "constraint": constraints_from_spec(spec["constraint"], extensions),
        "network": _network(spec["network"], network),
        "dtype": _DTYPES[spec["dtype"]],
        **{key: spec[key] for key in ("width", "window", "mirror", "scale", "seed")},
    }


def _network(spec: Any, network: nn.Module | None) -> Any:
    """The network of a spec, or the one in its place, which has to be of its class."""
    if network is None:
        return network_from_spec(spec)
    named = spec.get("class") if isinstance(spec, Mapping) else None
    if named is not None and named != type(network).__qualname__:
        raise ValueError(
            f"The operator has a network of the class {named!r}, not "
            f"{type(network).__qualname__!r}: pass one of that class."
        )
    return network


def constraint_of(name: str, constraints: Constraints, form: Form) -> Constraint:
    """The constraint of a derivative that a form requires.

    Raises:
        ValueError: if constraints by name are not those of the form's derivatives.
    """
    if not isinstance(constraints, Mapping):
        return constraints
    for key in constraints:
        if key not in form.requires:
            raise unknown("derivative", key, form.requires)
    if name not in constraints:
        raise ValueError(
            f"{type(form).__name__} requires {name!r}, which has no constraint: give "
            f"one for each of {', '.join(form.requires)}."
        )
    return constraints[name]


def constraints_from_spec(
    spec: Mapping[str, Any], extensions: Iterable[type] = ()
) -> Constraints:
    """A constraint from `{kind: ...}`, or one per derivative from `{name: {...}}`.

    Raises:
        ValueError: if a kind is unknown or an entry does not fit it.

    Example:
        >>> from stencilnet import Burgers, Grid, LearnedStencil
        >>> from stencilnet.discretizations import constraints_from_spec
        >>> fourth, first = {"kind": "null_space", "order": 4}, {"kind": "projection"}
        >>> constraint = constraints_from_spec({"u": fourth, "u_x": first})
        >>> burgers, grid = Burgers(viscosity=0.02), Grid.line(16)
        >>> learned = LearnedStencil(burgers, grid, constraint=constraint)
        >>> {name: layer.conditions.order for name, layer in learned.layers.items()}
        {'u': 4, 'u_x': 1}
    """
    extensions = tuple(extensions)
    if "kind" in spec:
        return constraint_from_spec(spec, extensions)
    return {
        name: constraint_from_spec(inner, extensions) for name, inner in spec.items()
    }


def spec_of_constraints(constraint: Constraints) -> dict[str, Any]:
    """The counterpart of `constraints_from_spec`."""
    if isinstance(constraint, Mapping):
        return {name: value.spec() for name, value in constraint.items()}
    return constraint.spec()


def spec_of_network(network: nn.Module) -> dict[str, Any]:
    """The spec of a network, or the name of its class if it has none."""
    described = getattr(network, "spec", None)
    if callable(described):
        spec: dict[str, Any] = described()
        return spec
    return {"kind": "custom", "class": type(network).__qualname__}
