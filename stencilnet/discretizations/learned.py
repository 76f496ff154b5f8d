"""Stencils whose coefficients a network chooses from the local solution."""

import copy
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from stencilnet.discretizations.constant import Constant
from stencilnet.discretizations.finite_difference import reference_coefficients
from stencilnet.discretizations.learned_spec import (
    Constraints,
    arguments_from_spec,
    constraint_of,
    spec_of_constraints,
    spec_of_network,
)
from stencilnet.discretizations.mirror import (
    Choice,
    choices_of,
    mirror_of,
    with_image,
)
from stencilnet.discretizations.networks import MLP, check_outputs
from stencilnet.discretizations.stencil_method import StencilMethod
from stencilnet.discretizations.windows import patches, shifted
from stencilnet.equations import CentralFlux, Equation, Form
from stencilnet.errors import real_number, whole_number
from stencilnet.grid import Grid
from stencilnet.stencils import (
    Derivative,
    NullSpace,
    stencil_indices,
    stencil_offsets,
)


class LearnedStencil(StencilMethod):
    """Finite differences or volumes with coefficients that depend on the solution.

    A network reads the window of values around each point, and a coefficient layer per
    derivative turns its raw output into a stencil:

        derivative_i = dx**-d sum_j c_ij u_(i+j),  c_i = layer(network(window / scale))

    A null-space, projection or convex constraint makes every stencil satisfy its moment
    conditions, so the operator has its accuracy order for any weights; a soft one does
    so in part, and an unconstrained one not at all. Untrained it is the classical
    scheme: the last layer of an `MLP` starts at zero, and the coefficient layer maps
    zero to the classical coefficients within the stencil, upwind for one-sided
    derivatives. With `mirror` it commutes with `(x, u) -> (-x, -u)` for any weights.

    Args:
        equation: the equation to discretize.
        grid: the grid to discretize on.
        form: which derivatives the equation takes.
        constraint: what coefficients satisfy, for all derivatives, or by the name of
            each in `form.requires`.
        network: a value such as `MLP(32, 32)`, or a module that maps windows of shape
            `(*batch, window)` to raw numbers of shape `(*batch, inputs)`, where
            `inputs` is the sum over the layers. A module is used as it is.
        width: points of each stencil, even for faces, odd for points; by default 6
            where a derivative is taken at faces or within cells, and 7 at points.
        window: points that the network reads; as many as the stencil by default.
        mirror: whether stencils are averaged with their mirror images, see `Choice`,
            at twice the evaluations of the network; None for wherever equation, form
            and constraints allow it. The attribute is True or False.
        scale: typical size of the solution, such as its standard deviation.
        seed: fixes the initial weights of a network given as a value.
        dtype: of the weights, and of the fields that the operator takes.

    Raises:
        ValueError: if a stencil has too few points for its conditions, the width has
            the wrong parity, a stencil does not fit the grid, a parameter is not
            positive, a constraint names no derivative, the network returns another
            number of values, or `mirror` is true and not possible.

    Example:
        >>> from stencilnet import MLP, Burgers, Grid, LearnedStencil
        >>> learned = LearnedStencil(Burgers(0.02), Grid.line(32), network=MLP(16))
        >>> tuple(learned(learned.grid.points().sin()).shape)
        (32,)
    """

    takes_boundaries = True

    def __init__(
        self,
        equation: Equation,
        grid: Grid,
        *,
        form: type[Form] | Form = CentralFlux,
        constraint: Constraints = NullSpace(),  # noqa: B008
        network: MLP | Constant | nn.Module = MLP(32, 32),  # noqa: B008
        width: int | None = None,
        window: int | None = None,
        mirror: bool | None = False,
        scale: float = 1.0,
        seed: int = 0,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__(equation, grid, form)
        width = None if width is None else whole_number("The width", width)
        window = None if window is None else whole_number("The window", window)
        self.width, self.window = width, window
        self.scale = real_number("The scale of the solution", scale, positive=True)
        self.seed = whole_number("The seed", seed, least=0)
        self.constraint = constraint
        self.stencils: dict[str, tuple[int, ...]] = {}
        self.windows: dict[str, tuple[int, ...]] = {}
        self.layers = nn.ModuleDict()
        self._scales = {}
        for name, derivative in self.form.requires.items():
            # Stencils are odd at points and even elsewhere.
            points = width or (7 if derivative.at == 0 else 6)
            self._scales[name] = grid.spacing[-1] ** -derivative.order
            self.stencils[name] = self._cells(points, derivative)
            self.windows[name] = self._cells(window or points, derivative)
            self.layers[name] = constraint_of(name, constraint, self.form).layer(
                stencil_offsets(self.stencils[name], derivative),
                derivative.order,
                averages=self.averages,
                reference=reference_coefficients(
                    self.stencils[name], derivative, averages=self.averages
                ),
            )
        cells = self.stencils, self.windows
        self.partners = mirror_of(mirror, self.form, grid, cells, self._layers())
        self.mirror = bool(self.partners)
        self.network = self._network(network)
        conditions = [layer.conditions for layer in self._layers().values()]
        degree = max((c.derivative + c.order - 1 for c in conditions), default=0)
        self._close_ends([*self.stencils.values(), *self.windows.values()], degree)
        self.to(dtype)

    @classmethod
    def supplies(cls, derivative: Derivative) -> bool:
        return True

    def _cells(self, points: int, derivative: Derivative) -> tuple[int, ...]:
        """Cells of a stencil or window, which has to fit the grid."""
        if points > self.grid.shape[-1]:
            raise ValueError(
                f"A stencil of {points} points does not fit a grid of "
                f"{self.grid.shape[-1]}: refine the grid or narrow the stencil."
            )
        return stencil_indices(points, derivative)

    def _network(self, network: MLP | Constant | nn.Module) -> nn.Module:
        """The network, which has to map windows to the layers' raw numbers."""
        sizes = {len(indices) for indices in self.windows.values()}
        if len(sizes) != 1:
            raise ValueError(
                f"One network reads windows of one size, but the derivatives have "
                f"{sorted(sizes)}: give window=."
            )
        inputs = sizes.pop()
        outputs = sum(layer.inputs for layer in self._layers().values())
        if isinstance(network, MLP | Constant):
            return network.build(inputs, outputs, seed=self.seed)
        check_outputs(network, inputs, outputs)
        return network

    @property
    def settings(self) -> dict[str, Any]:
        return {
            "constraint": self.constraint,
            "width": self.width,
            "window": self.window,
            "mirror": self.mirror,
            "scale": self.scale,
            "seed": self.seed,
            **super().settings,
        }

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the weights."""
        return self._like().dtype

    def _like(self) -> Tensor:
        """A weight of the network, or a constant of the layers if it has none."""
        return next(chain(self.network.parameters(), self.layers.buffers()))

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
        around = {cells: patches(u, cells) for cells in set(self.stencils.values())}
        return {
            name: (around[self.stencils[name]] * stencil).sum(-1) * self._scales[name]
            for name, stencil in self.choose(self._windows_of(u)).items()
        }

    def _fused_derivatives(
        self, u: Float[Tensor, "*batch x"]
    ) -> dict[str, Float[Tensor, "*batch x"]]:
        """The same by single fields, of which a compiler makes one vectorized loop."""
        supplied = {}
        for name, choice in self._choices(self._windows_of(u)).items():
            cells = shifted(u, self.stencils[name])
            terms = [c * cell for c, cell in zip(choice.planes(), cells, strict=True)]
            supplied[name] = sum(terms[1:], terms[0]) * self._scales[name]
        return supplied

    def dimensionless(
        self, u: Float[Tensor, "*batch x"]
    ) -> dict[str, Float[Tensor, "*batch x points"]]:
        """`coefficients` before they are divided by `dx**d`."""
        self.check_field(u)
        ends = self.ends
        if ends is None:
            return self.choose(self._windows_of(u))
        longer = self._windows_of(ends.continued(u, ends.values(u, None)))
        return {name: ends.within(c.mT).mT for name, c in self.choose(longer).items()}

    def _windows_of(self, u: Tensor) -> dict[tuple[int, ...], Tensor]:
        """What the network reads of a field."""
        if u.dtype != self.dtype:
            raise TypeError(
                f"The field is {u.dtype} and the operator {self.dtype}: convert one, "
                f"as in operator.to(u.dtype)."
            )
        return {indices: patches(u, indices) for indices in set(self.windows.values())}

    def choose(
        self, values: Mapping[tuple[int, ...], Float[Tensor, "*batch window"]]
    ) -> dict[str, Float[Tensor, "*batch points"]]:
        """Dimensionless coefficients for each derivative, from what the network reads.

        Args:
            values: in the cells of each distinct window in `windows`.
        """
        return {name: c.stencils() for name, c in self._choices(values).items()}

    def _choices(self, values: Mapping[tuple[int, ...], Tensor]) -> dict[str, Choice]:
        """What the network chooses for each derivative."""
        outputs = {}
        for indices, window in values.items():
            scaled = window / self.scale
            outputs[indices] = self.network(
                with_image(scaled) if self.mirror else scaled
            )
        read = {name: outputs[indices] for name, indices in self.windows.items()}
        return choices_of(read, self._layers(), self.partners)

    def moment_residuals(self, u: Float[Tensor, "*batch x"]) -> dict[str, float]:
        """Largest violation of a moment condition over the field, per derivative."""
        with torch.no_grad():
            return {
                name: float(self._layers()[name].residual(stencil).max())
                for name, stencil in self.dimensionless(u).items()
            }

    def moment_residual(self, u: Float[Tensor, "*batch x"]) -> float:
        """Largest violation of any moment condition, dimensionless, over the field."""
        # A NaN stays one.
        return float(torch.tensor(list(self.moment_residuals(u).values())).max())

    def on(self, grid: Grid, equation: Equation | None = None) -> "LearnedStencil":
        """The same weights on another grid, or for other parameters of the equation.

        Raises:
            ValueError: if `equation` is another one.
        """
        moved = type(self)(
            self._same_equation(equation),
            grid,
            network=copy.deepcopy(self.network),
            dtype=self.dtype,
            **self.settings,
        )
        moved.layers.load_state_dict(self.layers.state_dict())
        return moved.to(self._like().device)

    def weights(self) -> dict[str, Tensor]:
        """Weights of network and layers by name; a store keeps these."""
        return {
            name: value
            for name, value in self.state_dict().items()
            if name.startswith(("network.", "layers."))
        }

    def spec(self) -> dict[str, Any]:
        """Everything but the weights, as plain values, for `from_spec`.

        Raises:
            ValueError: if a parameter of the equation differs by sample.
        """
        return {
            "equation": self.equation.spec(),
            "form": type(self.form).__name__,
            "grid": self.grid.spec(),
            "width": self.width,
            "window": self.window,
            "constraint": spec_of_constraints(self.constraint),
            "network": spec_of_network(self.network),
            "mirror": self.mirror,
            "scale": float(self.scale),
            "seed": self.seed,
            "dtype": str(self.dtype).removeprefix("torch."),
        }

    @classmethod
    def from_spec(
        cls,
        spec: Mapping[str, Any],
        *,
        network: nn.Module | None = None,
        extensions: Iterable[type] = (),
    ) -> "LearnedStencil":
        """The untrained operator that `spec` described.

        Args:
            spec: from `spec`.
            network: in place of the one that the spec names, of the same shape.
            extensions: classes of your own that the spec names: equations, forms,
                constraints.

        Raises:
            ValueError: if the spec lacks an entry or has an unknown one.
        """
        try:
            return cls(**arguments_from_spec(spec, network, tuple(extensions)))
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(
                f"This is not a learned stencil's spec: {error}."
            ) from None

    def _layers(self) -> dict[str, Any]:
        return dict(self.layers.items())
