"""Stencils whose coefficients a network chooses from the local solution."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from stencilnet.coefficients import COEFFICIENT_LAYERS
from stencilnet.discretizations.base import StencilMethod, patches
from stencilnet.discretizations.finite_difference import reference_coefficients
from stencilnet.equations import Equation, equation_from_spec
from stencilnet.grid import Grid
from stencilnet.moments import MomentConditions, stencil_indices, stencil_offsets


class LearnedStencil(StencilMethod):
    """Finite differences or volumes with coefficients that depend on the solution.

    A multilayer perceptron reads the window of values around each point, and a
    coefficient layer per derivative turns its output into a stencil:

        derivative_i = dx**-d sum_j c_ij u_(i+j),    c_i = layer(mlp(u_window / scale))

    The layer makes every stencil satisfy its moment conditions, so the operator has
    its accuracy order for any weights. Untrained it is the classical scheme: the last
    layer of the network starts at zero, and the coefficient layer maps zero to the
    classical coefficients within the stencil, upwind for one-sided derivatives.

    Args:
        equation: what is discretized.
        grid: where.
        width: points of each stencil; even for faces, odd for points.
        order: accuracy order `r` that the conditions impose on each derivative.
        window: points that the network reads; `width` by default.
        hidden: sizes of the hidden layers.
        layer: "null_space" or "projection".
        limit: bound of the free parameters, see `NullSpace`.
        scale: typical size of the solution, such as its standard deviation.
        seed: fixes the initial weights.
        dtype: of the weights, and of the fields that the operator takes.

    Raises:
        ValueError: if a stencil has too few points for its conditions, the width has
            the wrong parity, a stencil does not fit the grid, or a parameter is not
            positive.
    """

    def __init__(
        self,
        equation: Equation,
        grid: Grid,
        *,
        width: int = 6,
        order: int = 1,
        window: int | None = None,
        hidden: Sequence[int] = (32, 32),
        layer: str = "null_space",
        limit: float = 10.0,
        scale: float = 1.0,
        seed: int = 0,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__(equation, grid)
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
        if layer not in COEFFICIENT_LAYERS:
            raise ValueError(
                f"There is no coefficient layer {layer!r}: use one of "
                f"{', '.join(COEFFICIENT_LAYERS)}."
            )
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
            "layer": layer,
            "limit": limit,
            "scale": scale,
            "seed": seed,
        }
        self.scale = scale
        self._scales = {
            name: grid.spacing[-1] ** -derivative.order
            for name, derivative in equation.requires.items()
        }
        self.stencils: dict[str, tuple[int, ...]] = {}
        self.windows: dict[str, tuple[int, ...]] = {}
        self.layers = nn.ModuleDict()
        for name, derivative in equation.requires.items():
            indices = stencil_indices(width, derivative)
            conditions = MomentConditions(
                stencil_offsets(indices, derivative),
                derivative.order,
                order,
                averages=equation.averages,
            )
            classical = reference_coefficients(
                indices, derivative, averages=equation.averages
            )
            self.stencils[name] = indices
            self.windows[name] = stencil_indices(window, derivative)
            self.layers[name] = COEFFICIENT_LAYERS[layer](
                conditions, classical, limit=limit
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
            for name, stencil in self._dimensionless(u).items()
        }

    def derivatives(
        self, u: Float[Tensor, "*batch x"]
    ) -> dict[str, Float[Tensor, "*batch x"]]:
        # Neighbours of each distinct stencil once, and dx**-d after the sum: most of
        # the cost of a small network is in such operations.
        around = {
            indices: patches(u, indices) for indices in set(self.stencils.values())
        }
        return {
            name: (around[self.stencils[name]] * stencil).sum(-1) * self._scales[name]
            for name, stencil in self._dimensionless(u).items()
        }

    def moment_residual(self, u: Float[Tensor, "*batch x"]) -> float:
        """Largest violation of a moment condition, dimensionless, over the field."""
        with torch.no_grad():
            return max(
                float(self._constraints[name].residual(stencil).max())
                for name, stencil in self._dimensionless(u).items()
            )

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
        moved = type(self)(equation, grid, dtype=self.dtype, **self._settings)
        moved.network.load_state_dict(self.network.state_dict())
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

    def _dimensionless(self, u: Tensor) -> dict[str, Tensor]:
        """Coefficients per derivative before they are divided by `dx**d`."""
        if u.dtype != self.dtype:
            raise TypeError(
                f"The field is {u.dtype} and the operator {self.dtype}: convert one, "
                f"as in operator.to(u.dtype)."
            )
        scaled = u / self.scale
        raw = {
            indices: self.network(patches(scaled, indices))
            for indices in set(self.windows.values())
        }
        stencils, start = {}, 0
        for name, layer in self._constraints.items():
            stop = start + layer.inputs
            stencils[name] = layer(raw[self.windows[name]][..., start:stop])
            start = stop
        return stencils


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
