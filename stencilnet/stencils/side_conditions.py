"""Side conditions: inequalities and symmetries of coefficients.

Each is a value that turns offsets into linear rows. Configs and stores hold their
specs, such as `{"kind": "dissipation", "sign": 1, "at": 0.5}`.
"""

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.errors import as_integer, as_number
from stencilnet.stencils.specs import (
    is_finite,
    is_integer,
    set_plain,
    to_spec,
)


@dataclass(frozen=True)
class SideCondition(abc.ABC):
    """Linear inequalities `G c <= h`, or equalities `G c = h`, for one stencil.

    Example:
        >>> import torch
        >>> from stencilnet.stencils import Convex, SideCondition
        >>> class LargestCentre(SideCondition):
        ...     kind = "largest_centre"
        ...
        ...     def rows(self, offsets, derivative):  # c_j - c_centre <= 0
        ...         centre = (offsets == 0).double()
        ...         others = torch.eye(len(offsets)).double()[centre == 0]
        ...         return others - centre, torch.zeros(len(others)).double()
        >>> convex = Convex(side_conditions=[LargestCentre()])
        >>> layer = convex.layer((-1.0, 0.0, 1.0), derivative=0)
        >>> c = layer(torch.tensor([1.0, -2.0, 1.0]).double())  # the centre is smallest
        >>> [round(x, 3) for x in c.tolist()]
        [0.333, 0.333, 0.333]
    """

    kind: ClassVar[str]
    """Name in configs and stores."""
    equality: ClassVar[bool] = False

    @abc.abstractmethod
    def rows(
        self, offsets: Float[Tensor, " points"], derivative: int
    ) -> tuple[Float[Tensor, "rows points"], Float[Tensor, " rows"]]:
        """`G` and `h` for offsets in units of dx and a derivative's order.

        Raises:
            ValueError: if the condition does not apply to them.
        """

    @final
    def spec(self) -> dict[str, Any]:
        """The condition as plain values, for `side_condition_from_spec`."""
        return to_spec(self)


@dataclass(frozen=True)
class Sign(SideCondition):
    """The sign of one coefficient: `sign c_index >= 0`.

    Attributes:
        index: position of the coefficient in the stencil; negative from the end.
        sign: 1 or -1.

    Example:
        >>> import torch
        >>> from stencilnet.stencils import Convex, Sign
        >>> convex = Convex(side_conditions=[Sign(index=-1, sign=-1)])  # no downwind
        >>> layer = convex.layer((-1.0, 0.0, 1.0), derivative=1)
        >>> torch.allclose(layer(torch.zeros(3)), torch.tensor([-1.0, 1.0, 0.0]))
        True
    """

    kind = "sign"
    index: int
    sign: int

    def __post_init__(self) -> None:
        check_integer("An index", self.index)
        check_sign(self.sign)
        set_plain(self, index=int, sign=int)

    def rows(
        self, offsets: Float[Tensor, " points"], derivative: int
    ) -> tuple[Float[Tensor, "rows points"], Float[Tensor, " rows"]]:
        points = len(offsets)
        if not -points <= self.index < points:
            raise ValueError(
                f"A stencil of {points} points has no coefficient {self.index}: use "
                f"{-points} to {points - 1}."
            )
        matrix = torch.zeros(1, points, dtype=torch.float64)
        matrix[0, self.index] = -self.sign
        return matrix, torch.zeros(1, dtype=torch.float64)


@dataclass(frozen=True)
class Bounds(SideCondition):
    """The same bounds for each coefficient: `lower <= c_j <= upper`, dimensionless.

    Attributes:
        lower, upper: None for no bound.

    Example:
        >>> import torch
        >>> from stencilnet.stencils import Bounds, Convex
        >>> convex = Convex(side_conditions=[Bounds(lower=-0.75, upper=0.75)])
        >>> layer = convex.layer((-1.0, 0.0, 1.0), derivative=1)
        >>> c = layer(torch.tensor([-0.5, 1.0, -0.5]).double())
        >>> [round(x, 3) for x in c.tolist()]
        [-0.75, 0.5, 0.25]
    """

    kind = "bounds"
    lower: float | None = None
    upper: float | None = None

    def __post_init__(self) -> None:
        if self.lower is None and self.upper is None:
            raise ValueError("Bounds need a lower or an upper one: give a number.")
        for bound in (self.lower, self.upper):
            if bound is not None and not is_finite(bound):
                raise ValueError(
                    f"A bound must be a finite number, not {bound!r}: leave it out for "
                    f"none."
                )
        set_plain(self, lower=float, upper=float)
        if (
            self.lower is not None
            and self.upper is not None
            and self.lower > self.upper
        ):
            raise ValueError(
                f"The lower bound {self.lower} lies above the upper one {self.upper}: "
                f"swap them."
            )

    def rows(
        self, offsets: Float[Tensor, " points"], derivative: int
    ) -> tuple[Float[Tensor, "rows points"], Float[Tensor, " rows"]]:
        identity = torch.eye(len(offsets), dtype=torch.float64)
        ones = torch.ones(len(offsets), dtype=torch.float64)
        parts = []
        if self.upper is not None:
            parts.append((identity, self.upper * ones))
        if self.lower is not None:
            parts.append((-identity, -self.lower * ones))
        matrices, bounds = zip(*parts, strict=True)
        return torch.cat(matrices), torch.cat(bounds)


@dataclass(frozen=True)
class UpwindBias(SideCondition):
    """The upwind points weigh at least as much as the downwind ones.

        sum_{upwind} w_j >= sum_{downwind} w_j,    w_j = c_j sign(s_j)**d

    For a first derivative it makes the coefficient at the centre that of an upwind
    difference; a centred scheme satisfies it with equality.

    Attributes:
        side: side that the wind comes from, -1 for the left.

    Example:
        >>> import torch
        >>> from stencilnet.stencils import Convex, UpwindBias
        >>> raw = torch.tensor([-0.5, 1.0, -0.5]).double()  # upwind
        >>> for side in (-1, 1):
        ...     convex = Convex(limit=1e6, side_conditions=[UpwindBias(side)])
        ...     c = convex.layer((-1.0, 0.0, 1.0), derivative=1)(raw)
        ...     print(side, round(float(c[0]), 3))  # central against the wind
        -1 -1.0
        1 -0.5
    """

    kind = "upwind_bias"
    side: int

    def __post_init__(self) -> None:
        check_sign(self.side)
        set_plain(self, side=int)

    def rows(
        self, offsets: Float[Tensor, " points"], derivative: int
    ) -> tuple[Float[Tensor, "rows points"], Float[Tensor, " rows"]]:
        if derivative > 1:
            raise ValueError(
                f"An upwind bias applies to values and first derivatives, not to "
                f"derivative {derivative}: leave it out."
            )
        sides = offsets.sign()
        weights = sides**derivative
        return (-self.side * sides * weights).unsqueeze(0), offsets.new_zeros(1)


@dataclass(frozen=True)
class Symmetry(SideCondition):
    """Coefficients at mirrored offsets agree up to a sign: `c(-s) = parity c(s)`.

    Attributes:
        parity: 1 for symmetric coefficients, -1 for antisymmetric ones.

    Example:
        >>> import torch
        >>> from stencilnet.stencils import Convex, Symmetry
        >>> convex = Convex(side_conditions=[Symmetry(parity=-1)])
        >>> layer = convex.layer((-2.0, -1.0, 1.0, 2.0), derivative=1)
        >>> c = layer(torch.tensor([3.0, -1.0, 4.0, 1.0]).double())
        >>> torch.allclose(c, -c.flip(0))
        True
    """

    kind = "symmetry"
    equality = True
    parity: int

    def __post_init__(self) -> None:
        check_sign(self.parity)
        set_plain(self, parity=int)

    def rows(
        self, offsets: Float[Tensor, " points"], derivative: int
    ) -> tuple[Float[Tensor, "rows points"], Float[Tensor, " rows"]]:
        order = offsets.argsort()
        ordered = offsets[order]
        if not torch.allclose(ordered, -ordered.flip(0), rtol=0, atol=1e-12):
            raise ValueError(
                f"The stencil {offsets.tolist()} is not its own mirror image, so its "
                f"coefficients cannot be symmetric: centre it."
            )
        points = len(offsets)
        matrix = torch.zeros(points, points, dtype=torch.float64)
        matrix[torch.arange(points), order] += 1
        matrix[torch.arange(points), order.flip(0)] -= self.parity
        half = matrix[: (points + 1) // 2]
        # The centre mirrors itself: a row of zeros if it is free.
        nonzero = half[half.abs().sum(-1) > 0]
        return nonzero, nonzero.new_zeros(len(nonzero))


@dataclass(frozen=True)
class Linear(SideCondition):
    """Linear inequalities `matrix c <= bounds`.

    Attributes:
        matrix: one row per inequality, one column per point; tuples after construction.
        bounds: one per inequality; a tuple after construction.

    Example:
        >>> import torch
        >>> from stencilnet.stencils import Convex, Linear
        >>> less = Linear(matrix=[[0.0, 1.0, 0.0]], bounds=[0.5])  # at the centre
        >>> layer = Convex(side_conditions=[less]).layer((-1.0, 0.0, 1.0), derivative=1)
        >>> c = layer(torch.tensor([-0.5, 1.0, -0.5]).double())
        >>> [round(x, 3) for x in c.tolist()]
        [-0.75, 0.5, 0.25]
    """

    kind = "linear"
    matrix: Sequence[Sequence[float]]
    bounds: Sequence[float]

    def __post_init__(self) -> None:
        object.__setattr__(self, "matrix", _tuples(self.matrix))
        object.__setattr__(self, "bounds", _tuples(self.bounds))
        if not isinstance(self.bounds, tuple) or not (
            isinstance(self.matrix, tuple)
            and all(isinstance(row, tuple) for row in self.matrix)
        ):
            raise ValueError(
                "Linear inequalities need a list of rows and a list of bounds."
            )
        if len(self.matrix) != len(self.bounds) or not self.bounds:
            raise ValueError(
                f"Linear inequalities need a bound for each row, but there are "
                f"{len(self.matrix)} rows and {len(self.bounds)} bounds."
            )
        numbers = [*self.bounds, *(value for row in self.matrix for value in row)]
        if not all(map(is_finite, numbers)):
            raise ValueError("Linear inequalities must hold finite numbers only.")

    def rows(
        self, offsets: Float[Tensor, " points"], derivative: int
    ) -> tuple[Float[Tensor, "rows points"], Float[Tensor, " rows"]]:
        for row in self.matrix:
            if len(row) != len(offsets):
                raise ValueError(
                    f"A linear inequality has {len(row)} coefficients, but the stencil "
                    f"has {len(offsets)} points: give one per point."
                )
        return (
            torch.tensor(self.matrix, dtype=torch.float64),
            torch.tensor(self.bounds, dtype=torch.float64),
        )


def _tuples(value: Any) -> Any:
    """Tuples for lists and arrays, plain numbers for those of numpy or torch."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return tuple(map(_tuples, value))
    number = as_number(value)
    return value if number is None else number


def check_sign(sign: int) -> None:
    """Raises unless `sign` is -1 or 1."""
    if as_integer(sign) not in (-1, 1):
        raise ValueError(f"A sign, side or parity must be 1 or -1, not {sign!r}.")


def check_integer(name: str, value: int) -> None:
    """Raises unless `value` is a whole number."""
    if not is_integer(value):
        raise ValueError(f"{name} must be a whole number, not {value!r}.")
