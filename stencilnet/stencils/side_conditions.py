"""Side conditions: inequalities and symmetries of coefficients.

Each is a value that turns offsets into linear rows. Configs and stores hold their
specs, such as `{"kind": "dissipation", "sign": 1, "at": 0.5}`.
"""

import abc
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.stencils.specs import from_spec, is_finite, is_integer, to_spec


@dataclass(frozen=True)
class SideCondition(abc.ABC):
    """Linear inequalities `G c <= h`, or equalities `G c = h`, for one stencil."""

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
    """

    kind = "sign"
    index: int
    sign: int

    def __post_init__(self) -> None:
        _check_integer("An index", self.index)
        _check_sign(self.sign)

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
    """

    kind = "upwind_bias"
    side: int

    def __post_init__(self) -> None:
        _check_sign(self.side)

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
    """

    kind = "symmetry"
    equality = True
    parity: int

    def __post_init__(self) -> None:
        _check_sign(self.parity)

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
class Dissipation(SideCondition):
    """No sampled wave is amplified: the real part of its symbol is at most zero.

        Re(sign S(k)) <= 0,    S(k) = D(k) sum_j c_j exp(i s_j k)

    at evenly spaced wavenumbers `k dx` in (0, pi]. Between them the real part may be
    positive, by an amount that falls with the square of their distance. At points
    `D = 1`; the derivative at faces enters `u_t` through a divergence,
    `D(k) = 2 i sin(k / 2)`.

    Attributes:
        sign: sign with which the derivative enters `u_t`: 1 for a second derivative
            that diffuses, or for `u_x` at faces under a viscosity; -1 for advection to
            the right.
        at: position of the derivative in units of dx: 0 for points, 0.5 for faces.
        wavenumbers: number of samples.
    """

    kind = "dissipation"
    sign: int = 1
    at: float = 0.0
    wavenumbers: int = 16

    def __post_init__(self) -> None:
        _check_sign(self.sign)
        _check_integer("A number of wavenumbers", self.wavenumbers)
        if not is_finite(self.at) or self.at not in (0.0, 0.5):
            raise ValueError(
                f"Dissipation is defined at points and faces only: give at=0.0 or "
                f"at=0.5, not {self.at!r}."
            )
        object.__setattr__(self, "at", float(self.at))
        if self.wavenumbers < 1:
            raise ValueError(
                f"A symbol cannot be sampled at {self.wavenumbers} wavenumbers: give "
                f"at least 1."
            )

    def rows(
        self, offsets: Float[Tensor, " points"], derivative: int
    ) -> tuple[Float[Tensor, "rows points"], Float[Tensor, " rows"]]:
        self._check_position(offsets)
        count = self.wavenumbers
        k = torch.arange(1, count + 1, dtype=torch.float64) * (math.pi / count)
        angle = k.unsqueeze(-1) * offsets
        if self.at:
            real = -2 * torch.sin(k / 2).unsqueeze(-1) * angle.sin()
        else:
            real = angle.cos()
        return self.sign * real, real.new_zeros(count)

    def _check_position(self, offsets: Tensor) -> None:
        """Raises if the offsets are those of cells about another position."""
        steps = offsets - offsets[0]
        if float((steps - steps.round()).abs().max()) > 1e-9:
            return  # Points of no uniform grid have no position in a cell.
        position = float(-offsets[0] % 1)
        distance = abs(position - self.at)
        if min(distance, 1 - distance) < 1e-9:
            return
        remedy = (
            f"give it at={position}"
            if position in (0.0, 0.5)
            else "it is defined at points and faces only"
        )
        raise ValueError(
            f"A dissipation at {self.at} does not fit a stencil {position:.4g} dx from "
            f"a point: {remedy}."
        )


@dataclass(frozen=True)
class Linear(SideCondition):
    """Linear inequalities `matrix c <= bounds`.

    Attributes:
        matrix: one row per inequality, one column per point; tuples after construction.
        bounds: one per inequality; a tuple after construction.
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


SIDE_CONDITIONS: Mapping[str, type[SideCondition]] = MappingProxyType(
    {
        condition.kind: condition
        for condition in (Sign, Bounds, UpwindBias, Symmetry, Dissipation, Linear)
    }
)
"""The side conditions by the names that configs and stores use."""


def side_condition_from_spec(
    spec: Any, extensions: Iterable[type] = ()
) -> SideCondition:
    """The condition that `spec` described.

    Args:
        spec: a mapping with a kind.
        extensions: further classes of side conditions, whose `kind` takes
            precedence over those of the package; other classes are ignored.

    Raises:
        ValueError: if the kind is unknown, or an entry is missing, unknown or out of
            range.
    """
    condition: SideCondition = from_spec(
        "side condition", SideCondition, SIDE_CONDITIONS, spec, extensions
    )
    return condition


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value


def _check_sign(sign: int) -> None:
    if not is_integer(sign) or sign not in (-1, 1):
        raise ValueError(f"A sign, side or parity must be 1 or -1, not {sign!r}.")


def _check_integer(name: str, value: int) -> None:
    if not is_integer(value):
        raise ValueError(f"{name} must be a whole number, not {value!r}.")
