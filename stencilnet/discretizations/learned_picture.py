"""A learned picture of Burgers' equation within cells."""

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from stencilnet.discretizations.constant import Constant
from stencilnet.discretizations.hybrid_parabola import HybridParabola
from stencilnet.discretizations.networks import MLP, check_outputs, network_from_spec
from stencilnet.discretizations.pictures import (
    Branch,
    SingleBranch,
    TwoBranches,
    WenoParabola,
)
from stencilnet.discretizations.windows import shifted
from stencilnet.equations import Equation, equation_from_spec
from stencilnet.errors import unknown
from stencilnet.grid import Grid
from stencilnet.stencils import CoefficientLayer, NullSpace, in_full_precision

_SPEC = {
    "kind",
    "equation",
    "grid",
    "order",
    "window",
    "forcing_window",
    "network",
    "base",
    "seed",
    "dtype",
}
_BASES: dict[str, Callable[..., SingleBranch]] = {
    "hybrid": HybridParabola,
    "weno": WenoParabola,
}


class LearnedPicture(TwoBranches):
    """Two branches within each cell, whose stencils a network chooses.

    Mean, slope and curvature of the left branch are those of a classical parabola and a
    correction by three stencils on a window of cells,

        v = v_base + sum_j c_ij u_(i+j),  c_i = layer(network(inputs_i)) - layer(0),

    where null-space layers make the stencils satisfy the moment conditions of a cell's
    mean, slope and curvature for any weights: both branches are exact for polynomials
    of degree below `order`. The right branch is that of the mirror image. Whatever the
    branches are, the mean of the cell is kept. Untrained it is the classical picture.

    The network sees `asinh((u_(i+j) - u_i) dx / 2 nu)` in a window of cells, and
    `asinh(f_(i+j) dx (dx / 2 nu)**2)` in one of the forcing. So the picture
    commutes with the mirror `(x, u, f) -> (-x, -u, -f)`, with Galilean boosts and with
    Burgers' scaling, and serves any viscosity, spacing and step.

    Args:
        equation, grid: as `Picture`.
        order: order of the branches.
        window: number of cells that stencils and network read, odd.
        forcing_window: number of cells whose forcing the network reads, odd, or 0.
        network: a value such as `MLP(32, 32)`, or a module that maps inputs of shape
            `(*batch, inputs)` to raw numbers of shape `(*batch, outputs)`.
        base: the classical picture: "hybrid" for `HybridParabola`, "weno" for
            `WenoParabola`.
        seed: fixes the initial weights of a network given as a value.
        dtype: of the weights.

    Raises:
        ValueError: if a window is not odd or does not fit the grid, the window has too
            few cells for the order, the network returns another number of values, or
            the classical picture is unknown or needs more cells, "hybrid" 9.

    Example:
        >>> import torch
        >>> from stencilnet import MLP, Burgers, Grid, rollout
        >>> from stencilnet.discretizations import LearnedPicture
        >>> from stencilnet.solver import ColeHopf
        >>> picture = LearnedPicture(Burgers(0.02), Grid.line(16), network=MLP(8))
        >>> _ = torch.nn.init.ones_(picture.network[-1].weight)  # or train it
        >>> u0 = picture.grid.points().sin()
        >>> u = rollout(picture, u0, [0.0, 1.0], integrator=ColeHopf())
        >>> picture.moment_residual(u0) < 1e-10, bool(u.mean(-1).abs().max() < 1e-12)
        (True, True)
    """

    def __init__(
        self,
        equation: Equation,
        grid: Grid,
        *,
        order: int = 3,
        window: int = 9,
        forcing_window: int = 7,
        network: MLP | Constant | nn.Module = MLP(32, 32),  # noqa: B008
        base: str = "hybrid",
        seed: int = 0,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__(equation, grid)
        if base not in _BASES:
            raise unknown("classical picture", base, _BASES)
        self.base = base
        self._base: SingleBranch = _BASES[base](self._equation, grid)
        for name, size, least in (
            ("window", window, 3),
            ("forcing_window", forcing_window, 0),
        ):
            if size != int(size) or size < least or (size % 2 == 0 and size):
                raise ValueError(
                    f"`{name}` must be an odd number of cells from "
                    f"{max(least, 1)} on, not {size!r}."
                )
            if size > grid.shape[-1]:
                raise ValueError(
                    f"A window of {size} cells does not fit a grid of "
                    f"{grid.shape[-1]}: refine the grid or narrow the window."
                )
        self.order, self.window, self.seed = order, window, seed
        self.forcing_window = forcing_window
        self.layers = nn.ModuleList(_layers(window, order))
        layers = self._coefficient_layers()
        self._sizes = [layer.inputs for layer in layers]
        spaces = [layer.conditions.null_space for layer in layers]
        self.register_constant("null_spaces", torch.cat(spaces))
        self.network = self._network(network)
        self.to(dtype)

    def _network(self, network: MLP | Constant | nn.Module) -> nn.Module:
        inputs = self.window - 1 + self.forcing_window
        outputs = sum(self._sizes)
        if isinstance(network, MLP | Constant):
            return network.build(inputs, outputs, seed=self.seed)
        check_outputs(network, inputs, outputs)
        return network

    def _coefficient_layers(self) -> list[CoefficientLayer]:
        return list(self.layers)  # type: ignore[arg-type]

    @property
    def classical(self) -> SingleBranch:
        """The classical picture that it is before training."""
        return self._base

    @property
    def settings(self) -> dict[str, Any]:
        return {
            "order": self.order,
            "window": self.window,
            "forcing_window": self.forcing_window,
            "base": self.base,
            "seed": self.seed,
        }

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the weights."""
        return next(self.network.parameters()).dtype

    def pair(
        self, u: Float[Tensor, "*batch x"], force: Float[Tensor, "*#batch x"] | None
    ) -> tuple[Branch, Branch]:
        base = self._base.parabola(u)
        inputs, cells = self._windows(u, force)
        raw = self._raw(inputs)
        # `layer(raw) . cells` without the coefficients: first the null spaces meet the
        # cells, all at once.
        basis = self.get_constant("null_spaces", cells)
        free = in_full_precision(torch.matmul, basis, cells.flatten(1))
        sums = [
            (layer.bound(numbers.mT).mT.to(part) * part).sum(0)
            for layer, numbers, part in zip(
                self._coefficient_layers(),
                torch.split(raw.flatten(1), self._sizes),
                torch.split(free, self._sizes),
                strict=True,
            )
        ]
        corrections = torch.stack(sums).reshape(-1, *cells.shape[1:]).to(u)
        left, right = (Branch(*corrections[:, side]) for side in (0, 1))
        right = right.mirrored()
        return (
            Branch(*(a + b for a, b in zip(base, left, strict=True))),
            Branch(*(a + b for a, b in zip(base, right, strict=True))),
        )

    def _windows(
        self, u: Tensor, force: Tensor | None
    ) -> tuple[
        Float[Tensor, "input side *batch x"], Float[Tensor, "window side *batch x"]
    ]:
        """What the network reads, and the cells that stencils multiply, without `u_i`.

        Along `side`, first the windows and then their mirror images, reversed in space
        and sign.
        """
        scale = self.scale(u)
        cells = [value - u for value in shifted(u, _around(self.window))]
        middle = self.window // 2
        peclet = torch.stack(cells[:middle] + cells[middle + 1 :]) * scale
        neighbours = peclet.to(self.dtype).asinh()
        forces = neighbours.new_zeros(self.forcing_window, *u.shape)
        if force is not None and self.forcing_window:
            strength = (self.grid.spacing[-1] * scale**2 * force).to(self.dtype)
            around = shifted(
                strength.expand_as(u).asinh(), _around(self.forcing_window)
            )
            forces = torch.stack(around)
        images = [-group.flip(0) for group in (neighbours, forces)]
        inputs = torch.stack(
            [torch.cat([neighbours, forces]), torch.cat(images)], dim=1
        )
        values = torch.stack(cells).to(self.dtype)
        return inputs, torch.stack([values, -values.flip(0)], dim=1)

    def _raw(
        self, inputs: Float[Tensor, "input *batch"]
    ) -> Float[Tensor, "output *batch"]:
        """Raw numbers of all stencils, from one plane per input."""
        columns = inputs.flatten(1)
        planes = getattr(self.network, "planes", None)
        raw = self.network(columns.mT).mT if planes is None else planes(columns)
        return raw.reshape(-1, *inputs.shape[1:])

    def moment_residual(
        self,
        u: Float[Tensor, "*batch x"],
        force: Float[Tensor, "*#batch x"] | None = None,
    ) -> float:
        """Largest violation of a moment condition by any stencil over a field."""
        with torch.no_grad():
            raw = torch.split(self._raw(self._windows(u, force)[0]), self._sizes)
            return max(
                float(layer.residual(layer(numbers.movedim(0, -1))).max())
                for layer, numbers in zip(self._coefficient_layers(), raw, strict=True)
            )

    def on(self, grid: Grid, equation: Equation | None = None) -> "LearnedPicture":
        """The same weights on another grid, or for another viscosity."""
        moved = type(self)(
            self._same_equation(equation),
            grid,
            network=copy.deepcopy(self.network),
            dtype=self.dtype,
            **self.settings,
        )
        return moved.to(next(self.network.parameters()).device)

    def weights(self) -> dict[str, Tensor]:
        """Weights of the network by name; a store keeps these."""
        return {
            name: value
            for name, value in self.state_dict().items()
            if name.startswith("network.")
        }

    def spec(self) -> dict[str, Any]:
        """Everything but the weights, as plain values, for `from_spec`.

        Raises:
            ValueError: if the viscosity differs by sample.
        """
        described = getattr(self.network, "spec", None)
        network = {"kind": "custom", "class": type(self.network).__qualname__}
        return {
            "kind": "picture",
            "equation": self.equation.spec(),
            "grid": self.grid.spec(),
            "network": described() if callable(described) else network,
            "dtype": str(self.dtype).removeprefix("torch."),
            **self.settings,
        }

    @classmethod
    def from_spec(
        cls,
        spec: Mapping[str, Any],
        *,
        network: nn.Module | None = None,
        extensions: Iterable[type] = (),
    ) -> "LearnedPicture":
        """The untrained picture that `spec` described.

        Args:
            spec: from `spec`.
            network: in place of the one that the spec names, of the same shape.
            extensions: classes of your own that the spec names.

        Raises:
            ValueError: if the spec lacks an entry or has an unknown one.
        """
        spec = dict(spec)
        if "base" not in spec and spec.get("weights") == "Z":
            # Stores from before there was a choice.
            spec.pop("weights")
            spec["base"] = "weno"
        if set(spec) != _SPEC or spec["kind"] != "picture":
            raise ValueError(
                f"The spec of a learned picture has the entries "
                f"{', '.join(sorted(_SPEC))}, not {', '.join(sorted(spec))}."
            )
        dtypes = {"float32": torch.float32, "float64": torch.float64}
        if spec["dtype"] not in dtypes:
            raise ValueError(
                f"A learned picture has the dtype float32 or float64, not "
                f"{spec['dtype']!r}."
            )
        names = ("order", "window", "forcing_window", "base", "seed")
        try:
            return cls(
                equation_from_spec(spec["equation"], tuple(extensions)),
                Grid(tuple(spec["grid"]["shape"]), tuple(spec["grid"]["extent"])),
                network=network_from_spec(spec["network"])
                if network is None
                else network,
                dtype=dtypes[spec["dtype"]],
                **{name: spec[name] for name in names},
            )
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(
                f"This is not a learned picture's spec: {error}."
            ) from None


def _around(cells: int) -> tuple[int, ...]:
    """Consecutive cells, as many on either side of the middle one."""
    return tuple(range(-(cells // 2), cells // 2 + 1)) if cells else ()


def _layers(window: int, order: int) -> list[CoefficientLayer]:
    """Layers for a cell's mean, slope and curvature, exact below degree `order`.

    The average over a cell is a polynomial of the cell's position where the function
    is one, so that a stencil for the mean of the middle cell interpolates averages like
    point values.
    """
    offsets = [float(j) for j in _around(window)]
    return [
        NullSpace(order=max(order - derivative, 1)).layer(
            offsets, derivative, averages=derivative > 0
        )
        for derivative in (0, 1, 2)
    ]
