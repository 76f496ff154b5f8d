"""Stencils whose coefficients a network chooses from the local solution."""

import inspect
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from stencilnet.discretizations.base import StencilMethod, patches, shifted
from stencilnet.discretizations.finite_difference import reference_coefficients
from stencilnet.equations import Equation, equation_from_spec
from stencilnet.grid import Grid
from stencilnet.stencils import (
    COEFFICIENT_LAYERS,
    CoefficientLayer,
    Dissipation,
    SideCondition,
    side_condition_from_spec,
)
from stencilnet.stencils.moments import (
    Derivative,
    MomentConditions,
    stencil_indices,
    stencil_offsets,
)


class LearnedStencil(StencilMethod):
    """Finite differences or volumes with coefficients that depend on the solution.

    A multilayer perceptron reads the window of values around each point, and a
    coefficient layer per derivative turns its output into a stencil:

        derivative_i = dx**-d sum_j c_ij u_(i+j),    c_i = layer(mlp(u_window / scale))

    A null-space, projection or convex layer makes every stencil satisfy its moment
    conditions, so the operator has its accuracy order for any weights; a soft one does
    so in part, and an unconstrained one not at all. Untrained it is the classical
    scheme: the last layer of the network starts at zero, and the coefficient layer maps
    zero to the classical coefficients within the stencil, upwind for one-sided
    derivatives.

    Args:
        equation: what is discretized.
        grid: where.
        width: points of each stencil, even for faces, odd for points; 6 or 7 by
            default.
        order: accuracy order `r` that the conditions impose on each derivative.
        window: points that the network reads; `width` by default.
        hidden: sizes of the hidden layers.
        layer: a name in `COEFFICIENT_LAYERS`, or the class of a layer.
        limit: bound of the raw numbers, see `CoefficientLayer`.
        layer_options: further arguments of the layer, such as `mu` of `Soft`.
        side_conditions: inequalities and symmetries of a convex layer, or their specs,
            by the name of the derivative in `equation.requires`.
        scale: typical size of the solution, such as its standard deviation.
        seed: fixes the initial weights.
        dtype: of the weights, and of the fields that the operator takes.

    Raises:
        ValueError: if a stencil has too few points for its conditions, the width has
            the wrong parity, a stencil does not fit the grid, a parameter is not
            positive, or the layer does not take an option.
    """

    def __init__(
        self,
        equation: Equation,
        grid: Grid,
        *,
        width: int | None = None,
        order: int = 1,
        window: int | None = None,
        hidden: Sequence[int] = (32, 32),
        layer: str | type[CoefficientLayer] = "null_space",
        limit: float = 10.0,
        layer_options: Mapping[str, Any] | None = None,
        side_conditions: Mapping[str, Sequence[SideCondition | Mapping[str, Any]]]
        | None = None,
        scale: float = 1.0,
        seed: int = 0,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__(equation, grid)
        if width is None:
            faces = any(wanted.face for wanted in equation.requires.values())
            width = 6 if faces else 7
        window = width if window is None else window
        if not scale > 0:
            raise ValueError(
                f"The scale of the solution must be positive, not {scale}."
            )
        if not hidden or min(hidden) < 1:
            raise ValueError(
                f"A network needs hidden layers of at least 1 unit, not "
                f"{tuple(hidden)}."
            )
        conditions_beside = _side_conditions(equation, side_conditions or {})
        if max(width, window) > grid.shape[-1]:
            raise ValueError(
                f"A stencil of {max(width, window)} points does not fit a grid of "
                f"{grid.shape[-1]}: refine the grid or narrow the stencil."
            )
        self._settings: dict[str, Any] = {
            "width": width,
            "order": order,
            "window": window,
            "hidden": list(hidden),
            "layer": layer if isinstance(layer, str) else layer.name,
            "limit": limit,
            "layer_options": dict(layer_options or {}),
            "side_conditions": {
                name: [condition.spec() for condition in conditions]
                for name, conditions in conditions_beside.items()
            },
            "scale": scale,
            "seed": seed,
        }
        self.scale = scale
        self._layer_class = _layer_class(layer)
        self._scales = {
            name: grid.spacing[-1] ** -derivative.order
            for name, derivative in equation.requires.items()
        }
        self.stencils: dict[str, tuple[int, ...]] = {}
        self.windows: dict[str, tuple[int, ...]] = {}
        self.layers = nn.ModuleDict()
        for name, derivative in equation.requires.items():
            indices = stencil_indices(width, derivative)
            self.stencils[name] = indices
            self.windows[name] = stencil_indices(window, derivative)
            self.layers[name] = _make_layer(
                self._layer_class,
                indices,
                derivative,
                order,
                averages=equation.averages,
                limit=limit,
                options=layer_options or {},
                side_conditions=conditions_beside.get(name, []),
            )
        self.network = _perceptron(
            window,
            hidden,
            sum(constraint.inputs for constraint in self._constraints.values()),
            seed,
        )
        self.to(dtype)

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the weights."""
        return next(self.network.parameters()).dtype

    def coefficients(
        self, u: Float[Tensor, "*batch x"]
    ) -> dict[str, Float[Tensor, "*batch x points"]]:
        """Coefficients at each point, for each derivative; they carry `dx**-d`.

        Raises:
            TypeError: if `u` has another dtype than the weights.
        """
        return {
            name: stencil * self._scales[name]
            for name, stencil in self.dimensionless(u).items()
        }

    def derivatives(
        self, u: Float[Tensor, "*batch x"]
    ) -> dict[str, Float[Tensor, "*batch x"]]:
        if torch.compiler.is_compiling():
            return self._fused_derivatives(u)
        # Neighbours of each distinct stencil once, and dx**-d after the sum: most of
        # the cost of a small network is in such operations.
        around = {
            indices: patches(u, indices) for indices in set(self.stencils.values())
        }
        return {
            name: (around[self.stencils[name]] * stencil).sum(-1) * self._scales[name]
            for name, stencil in self.dimensionless(u).items()
        }

    def _fused_derivatives(
        self, u: Float[Tensor, "*batch x"]
    ) -> dict[str, Float[Tensor, "*batch x"]]:
        """The same by single fields, of which a compiler makes one vectorized loop."""
        supplied = {}
        for name, (layer, raw) in self._raw(self._windows_of(u)).items():
            cells = shifted(u, self.stencils[name])
            stencil = layer.planes(raw.unbind(-1))
            terms = [c * cell for c, cell in zip(stencil, cells, strict=True)]
            supplied[name] = sum(terms[1:], terms[0]) * self._scales[name]
        return supplied

    def dimensionless(
        self, u: Float[Tensor, "*batch x"]
    ) -> dict[str, Float[Tensor, "*batch x points"]]:
        """`coefficients` before they are divided by `dx**d`."""
        return self.choose(self._windows_of(u))

    def _windows_of(self, u: Tensor) -> dict[tuple[int, ...], Tensor]:
        """What the network sees of a field."""
        if u.dtype != self.dtype:
            raise TypeError(
                f"The field is {u.dtype} and the operator {self.dtype}: convert one, "
                f"as in operator.to(u.dtype)."
            )
        self.check_field(u)
        return {indices: patches(u, indices) for indices in set(self.windows.values())}

    def choose(
        self, seen: Mapping[tuple[int, ...], Float[Tensor, "*batch window"]]
    ) -> dict[str, Float[Tensor, "*batch points"]]:
        """Dimensionless coefficients for each derivative, from what the network sees.

        Args:
            seen: values in the cells of each distinct window in `windows`.
        """
        return {name: layer(raw) for name, (layer, raw) in self._raw(seen).items()}

    def _raw(
        self, seen: Mapping[tuple[int, ...], Tensor]
    ) -> dict[str, tuple[CoefficientLayer, Tensor]]:
        """For each derivative its layer, and what the network puts into it."""
        put_out = {
            indices: self.network(values / self.scale)
            for indices, values in seen.items()
        }
        inputs, start = {}, 0
        for name, layer in self._constraints.items():
            stop = start + layer.inputs
            inputs[name] = layer, put_out[self.windows[name]][..., start:stop]
            start = stop
        return inputs

    def moment_residuals(self, u: Float[Tensor, "*batch x"]) -> dict[str, float]:
        """Largest violation of a moment condition over the field, per derivative."""
        with torch.no_grad():
            return {
                name: float(self._constraints[name].residual(stencil).max())
                for name, stencil in self.dimensionless(u).items()
            }

    def moment_residual(self, u: Float[Tensor, "*batch x"]) -> float:
        """Largest violation of any moment condition, dimensionless, over the field."""
        # A NaN stays one.
        return float(torch.tensor(list(self.moment_residuals(u).values())).max())

    def on(self, grid: Grid, equation: Equation | None = None) -> "LearnedStencil":
        """The same weights on another grid, or for another viscosity.

        Raises:
            ValueError: if `equation` is of another form.
        """
        equation = self.equation if equation is None else equation
        if type(equation) is not type(self.equation):
            raise ValueError(
                f"Weights learned for {type(self.equation).__name__} do not fit "
                f"{type(equation).__name__}: keep the form of the equation."
            )
        settings = {**self._settings, "layer": self._layer_class}
        moved = type(self)(equation, grid, dtype=self.dtype, **settings)
        moved.load_state_dict(self.state_dict())
        return moved.to(next(self.network.parameters()).device)

    def spec(self) -> dict[str, Any]:
        """Everything but the weights, as plain values, for `from_spec`."""
        return {
            "equation": self.equation.spec(),
            "grid": {"shape": list(self.grid.shape), "extent": list(self.grid.extent)},
            "stencil": dict(self._settings),
            "dtype": str(self.dtype).removeprefix("torch."),
        }

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> "LearnedStencil":
        """The untrained operator that `spec` described.

        Raises:
            ValueError: if the spec lacks an entry or has an unknown one.
        """
        if set(spec) != {"equation", "grid", "stencil", "dtype"}:
            raise ValueError(
                f"The spec of a learned stencil has the entries equation, grid, "
                f"stencil and dtype, not {', '.join(sorted(spec))}."
            )
        dtypes = {"float32": torch.float32, "float64": torch.float64}
        if spec["dtype"] not in dtypes:
            raise ValueError(
                f"A learned stencil has the dtype float32 or float64, not "
                f"{spec['dtype']!r}."
            )
        try:
            return cls(
                equation_from_spec(spec["equation"]),
                Grid(tuple(spec["grid"]["shape"]), tuple(spec["grid"]["extent"])),
                dtype=dtypes[spec["dtype"]],
                **spec["stencil"],
            )
        except (TypeError, KeyError) as error:
            raise ValueError(
                f"This is not a learned stencil's spec: {error}."
            ) from None

    @property
    def _constraints(self) -> dict[str, Any]:
        return dict(self.layers.items())


def _layer_class(layer: str | type[CoefficientLayer]) -> type[CoefficientLayer]:
    if not isinstance(layer, str):
        return layer
    if layer not in COEFFICIENT_LAYERS:
        raise ValueError(
            f"There is no coefficient layer {layer!r}: use one of "
            f"{', '.join(COEFFICIENT_LAYERS)}."
        )
    return COEFFICIENT_LAYERS[layer]


def _side_conditions(
    equation: Equation,
    given: Mapping[str, Sequence[SideCondition | Mapping[str, Any]]],
) -> dict[str, list[SideCondition]]:
    """The side conditions of each derivative as values."""
    for name in given:
        if name not in equation.requires:
            raise ValueError(
                f"{type(equation).__name__} has no derivative {name!r} for side "
                f"conditions: use one of {', '.join(equation.requires)}."
            )
    found = {
        name: [
            condition
            if isinstance(condition, SideCondition)
            else side_condition_from_spec(condition)
            for condition in conditions
        ]
        for name, conditions in given.items()
        if conditions
    }
    for name, conditions in found.items():
        face = equation.requires[name].face
        for condition in conditions:
            if isinstance(condition, Dissipation) and condition.face != face:
                where = "faces" if face else "points"
                raise ValueError(
                    f"{type(equation).__name__} wants {name!r} at {where}: give its "
                    f"dissipation face={str(face).lower()}."
                )
    return found


def _make_layer(
    layer: type[CoefficientLayer],
    indices: tuple[int, ...],
    derivative: Derivative,
    order: int,
    *,
    averages: bool,
    limit: float,
    options: Mapping[str, Any],
    side_conditions: Sequence[SideCondition],
) -> CoefficientLayer:
    """The layer of one derivative, around the classical scheme."""
    conditions = MomentConditions(
        stencil_offsets(indices, derivative),
        derivative.order,
        order,
        averages=averages,
    )
    classical = reference_coefficients(indices, derivative, averages=averages)
    known = set(inspect.signature(layer).parameters)
    own = {"conditions", "reference", "limit", "side_conditions"}
    for name in options:
        if name not in known - own:
            raise ValueError(
                f"The coefficient layer {layer.name!r} takes no option {name!r}: leave "
                f"it out, or choose another layer."
            )
    given = dict(options)
    if side_conditions:
        if "side_conditions" not in known:
            raise ValueError(
                f"The coefficient layer {layer.name!r} takes no side conditions: leave "
                f"them out, or choose the layer 'convex'."
            )
        given["side_conditions"] = side_conditions
    return layer(conditions, classical, limit=limit, **given)


def _perceptron(
    inputs: int, hidden: Sequence[int], outputs: int, seed: int
) -> nn.Sequential:
    """A multilayer perceptron whose output is zero until it is trained."""
    generator = torch.Generator().manual_seed(seed)
    sizes = (inputs, *hidden)
    modules: list[nn.Module] = []
    for size, following in pairwise(sizes):
        linear = _empty(size, following)
        bound = size**-0.5
        with torch.no_grad():
            linear.weight.uniform_(-bound, bound, generator=generator)
            linear.bias.uniform_(-bound, bound, generator=generator)
        modules += [linear, nn.SiLU()]
    last = _empty(sizes[-1], outputs)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(*modules, last)


def _empty(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer that has drawn nothing from torch's global generator."""
    layer: nn.Linear = nn.utils.skip_init(  # type: ignore[no-untyped-call]
        nn.Linear, inputs, outputs, dtype=torch.float64
    )
    return layer
