"""A learned stencil taken apart into what runs without torch and this package."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stencilnet.discretizations.constant import ConstantOutput
from stencilnet.discretizations.learned import LearnedStencil
from stencilnet.discretizations.networks import Perceptron
from stencilnet.discretizations.standalone_ends import End, ends_of
from stencilnet.equations import (
    Advection,
    AdvectionDiffusion,
    Burgers,
    CentralFlux,
    Convective,
    Equation,
    FisherKPP,
    KortewegDeVries,
    KuramotoSivashinsky,
    UpwindFlux,
)
from stencilnet.stencils import CoefficientLayer, PolyhedralLayer

Expression = Callable[..., str]
"""Text of a formula, the same in Python and C, from the text of its arguments."""


@dataclass(frozen=True)
class Stencil:
    """Coefficients of one derivative: `c = offset + matrix bounded(raw)`.

    Attributes:
        name: of the derivative.
        window: number of its window among those that the network reads.
        first: its first cell, relative to the point.
        start: its first raw number among the outputs of the network.
        limit: bound of the raw numbers.
        matrix, offset: of the affine map onto dimensionless coefficients.
        factor: `dx**-d`.
        partner: number of the stencil at the mirrored place, -1 for no mirror.
        parity: `(-1)**d`.
    """

    name: str
    window: int
    first: int
    start: int
    limit: float
    matrix: np.ndarray
    offset: np.ndarray
    factor: float
    partner: int
    parity: int


@dataclass(frozen=True)
class Standalone:
    """All that the right-hand side of a learned stencil computes.

    Attributes:
        points, spacing, scale: of grid and operator.
        dtype: "float32" or "float64".
        windows: first cell of each, and their common length.
        layers: weight and bias of each, SiLU between them.
        stencils: one per derivative, in the order of the network's outputs.
        equation: in words.
        form: name of the form.
        linear: factor of each derivative in `u_t`, or in the flux, by number.
        formulas: those of flux, speed, source and Riemann problem that there are.
        ends: the left and the right one, None on a periodic grid.
    """

    points: int
    spacing: float
    scale: float
    dtype: str
    windows: tuple[int, ...]
    length: int
    layers: tuple[tuple[np.ndarray, np.ndarray], ...]
    stencils: tuple[Stencil, ...]
    equation: str
    form: str
    linear: dict[int, float]
    formulas: dict[str, Expression] = field(default_factory=dict)
    ends: tuple[End, End] | None = None

    def number_of(self, name: str) -> int:
        """The number of a derivative by its name."""
        return [stencil.name for stencil in self.stencils].index(name)


def affine_map(layer: CoefficientLayer) -> tuple[np.ndarray, np.ndarray]:
    """Matrix and offset of a layer in closed form, from bounded raw numbers.

    Raises:
        ValueError: if the layer solves an optimization problem for each stencil.
    """
    if isinstance(layer, PolyhedralLayer):
        raise ValueError(
            "A convex constraint solves an optimization problem for each stencil, "
            "which has no closed form to export: train with a constraint that has one, "
            "null_space, projection or soft."
        )
    with torch.no_grad():
        offset = layer.coefficients(torch.zeros(layer.inputs, dtype=torch.float64))
        images = layer.coefficients(torch.eye(layer.inputs, dtype=torch.float64))
    return (images - offset).mT.cpu().numpy(), offset.cpu().numpy()


def stencil_arrays(operator: LearnedStencil) -> dict[str, np.ndarray]:
    """What turns the network's output into stencils, by derivative, for a store.

    Offsets in units of `dx`, moment conditions `matrix c = moments`, and, for layers in
    closed form, the affine map `c = reference + map bounded(raw)`.

    Example:
        >>> from stencilnet import Burgers, Grid, LearnedStencil
        >>> from stencilnet.discretizations import stencil_arrays
        >>> arrays = stencil_arrays(LearnedStencil(Burgers(0.02), Grid.line(16)))
        >>> (60 * arrays["u.reference"]).round().astype(int).tolist()
        [1, -8, 37, 37, -8, 1]
        >>> arrays["u.map"].shape, arrays["u_x.conditions"].shape
        ((6, 5), (2, 6))
    """
    arrays: dict[str, np.ndarray] = {}
    for name, layer in operator.layers.items():
        conditions: Any = layer.conditions
        arrays[f"{name}.offsets"] = _array(conditions.offsets)
        arrays[f"{name}.conditions"] = _array(conditions.matrix)
        arrays[f"{name}.moments"] = _array(conditions.target)
        if not isinstance(layer, PolyhedralLayer):
            matrix, offset = affine_map(layer)  # type: ignore[arg-type]
            arrays[f"{name}.map"], arrays[f"{name}.reference"] = matrix, offset
    return arrays


def take_apart(operator: LearnedStencil) -> Standalone:
    """What a learned stencil computes, as plain numbers and formulas.

    Raises:
        ValueError: if its network, constraint, form, equation or boundaries are not of
            those that are known here.

    Example:
        >>> from stencilnet import MLP, Burgers, Grid, LearnedStencil
        >>> from stencilnet.discretizations import take_apart
        >>> learned = LearnedStencil(Burgers(0.02), Grid.line(16), network=MLP(8))
        >>> parts = take_apart(learned)
        >>> [weight.shape for weight, bias in parts.layers]
        [(8, 6), (9, 8)]
        >>> parts.form, parts.formulas["flux"]("u"), parts.linear
        ('CentralFlux', '0.5 * u * u', {1: 0.02})
    """
    form = type(operator.form)
    if form not in (CentralFlux, UpwindFlux, Convective):
        raise ValueError(
            f"The form {form.__name__} is not one of the package's, whose formulas are "
            f"known for export: export to torch instead, with format='torch'."
        )
    distinct = list(dict.fromkeys(operator.windows.values()))
    names = list(operator.stencils)
    stencils, start = [], 0
    for name, layer in operator.layers.items():
        known: Any = layer
        matrix, offset = affine_map(known)
        derivative = operator.form.requires[name].order
        partner = operator.partners.get(name)
        stencils.append(
            Stencil(
                name,
                distinct.index(operator.windows[name]),
                operator.stencils[name][0],
                start,
                known.limit,
                matrix,
                offset,
                operator.grid.spacing[-1] ** -derivative,
                -1 if partner is None else names.index(partner),
                (-1) ** derivative,
            )
        )
        start += known.inputs
    equation = operator.equation
    lowered = 0 if form is Convective else 1
    return Standalone(
        points=operator.grid.shape[-1],
        spacing=operator.grid.spacing[-1],
        scale=float(operator.scale),
        dtype=str(operator.dtype).removeprefix("torch."),
        windows=tuple(window[0] for window in distinct),
        length=len(distinct[0]),
        layers=_layers(operator),
        stencils=tuple(stencils),
        equation=", ".join(f"{key} {value}" for key, value in equation.spec().items()),
        form=form.__name__,
        linear={
            names.index(_derivative(order - lowered)): float(coefficient)
            for order, coefficient in equation.linear().items()
        },
        formulas=_formulas(equation),
        ends=ends_of(operator),
    )


def _derivative(order: int) -> str:
    return "u_" + "x" * order if order else "u"


def _layers(operator: LearnedStencil) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    network = operator.network
    if isinstance(network, ConstantOutput):
        values = _array(network.values)
        length = len(next(iter(operator.windows.values())))
        return ((np.zeros((len(values), length), values.dtype), values),)
    if type(network) is not Perceptron:
        raise ValueError(
            f"The network {type(network).__name__} is not one of the package's, whose "
            f"formulas are known for export: export to torch instead, with "
            f"format='torch' or 'onnx'."
        )
    linear = [layer for layer in network if isinstance(layer, torch.nn.Linear)]
    return tuple((_array(layer.weight), _array(layer.bias)) for layer in linear)


def _formulas(equation: Equation) -> dict[str, Expression]:
    """The formulas of an equation.

    Raises:
        ValueError: if it is not one of the package's.
    """
    kind = type(equation)
    if kind in (Burgers, KortewegDeVries, KuramotoSivashinsky):
        f = 1.0 if kind is Burgers else float(equation.factor)  # type: ignore[attr-defined]
        return {
            "flux": lambda u: f"{f / 2!r} * {u} * {u}",
            "speed": lambda u: f"{f!r} * {u}",
            "riemann": lambda a, b: f"godunov({f!r} * {a}, {f!r} * {b}) / {f!r}",
        }
    if kind in (Advection, AdvectionDiffusion):
        v = float(equation.velocity)  # type: ignore[attr-defined]
        return {
            "flux": lambda u: f"{v!r} * {u}",
            "speed": lambda u: f"{v!r} + 0.0 * {u}",
            "riemann": lambda a, b: f"{v!r} * {a if v > 0 else b}",
        }
    if kind is FisherKPP:
        r = float(equation.rate)  # type: ignore[attr-defined]
        return {"source": lambda u: f"{r!r} * {u} * (1.0 - {u})"}
    raise ValueError(
        f"The equation {kind.__name__} is not one of the package's, whose formulas are "
        f"known for export: export to torch instead, with format='torch'."
    )


def _array(values: Tensor) -> np.ndarray:
    return values.detach().cpu().numpy()
