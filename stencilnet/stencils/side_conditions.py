"""Inequalities and symmetries that coefficients satisfy beside the moments.

Each is a value that turns offsets into linear rows. They stand in configs and stores as
plain values, such as `{"kind": "dissipation", "sign": 1, "face": true}`.
"""

import abc
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class SideCondition(abc.ABC):
    """Linear inequalities `G c <= h`, or equalities `G c = h`, for one stencil."""

    kind: ClassVar[str]
    """What configs and stores call it."""
    equality: ClassVar[bool] = False

    @abc.abstractmethod
    def rows(
        self, offsets: Float[Tensor, " points"], derivative: int
    ) -> tuple[Float[Tensor, "rows points"], Float[Tensor, " rows"]]:
        """`G` and `h` for offsets in units of dx and a derivative's order.

        Raises:
            ValueError: if the condition makes no sense for them.
        """

    def spec(self) -> dict[str, Any]:
        """The condition as plain values."""
        return {"kind": self.kind, **asdict(self)}


@dataclass(frozen=True)
class Sign(SideCondition):
    """The sign of one coefficient: `sign c_index >= 0`.

    Attributes:
        index: which coefficient, in the order of the offsets; negative from the end.
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
            if bound is not None and not _is_number(bound):
                raise ValueError(
                    f"A bound is a finite number, not {bound!r}: leave it out for none."
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

    For a first derivative this asks the centre to take part as in an upwind
    difference; a centred scheme meets it with equality.

    Attributes:
        side: where the wind comes from, -1 for the left.
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
                f"An upwind bias is one of values and first derivatives, not of "
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
                f"The stencil {offsets.tolist()} is not its own mirror image, so that "
                f"its coefficients have no symmetry: centre it."
            )
        points = len(offsets)
        matrix = torch.zeros(points, points, dtype=torch.float64)
        matrix[torch.arange(points), order] += 1
        matrix[torch.arange(points), order.flip(0)] -= self.parity
        half = matrix[: (points + 1) // 2]
        kept = half[half.abs().sum(-1) > 0]
        return kept, kept.new_zeros(len(kept))


@dataclass(frozen=True)
class Dissipation(SideCondition):
    """No wave is amplified, of those that are sampled: real parts are at most zero.

        Re(sign S(k)) <= 0,    S(k) = D(k) sum_j c_j exp(i s_j k)

    at evenly spaced wavenumbers `k dx` in (0, pi]. Between them the real part may be
    positive, by an amount that falls with the square of their distance. At points
    `D = 1`; the derivative at faces enters `u_t` through a divergence,
    `D(k) = 2 i sin(k / 2)`.

    Attributes:
        sign: with which the derivative enters `u_t`: 1 for a second derivative that
            diffuses, or for `u_x` at faces under a viscosity; -1 for advection to the
            right.
        face: whether the stencil belongs to a face.
        wavenumbers: how many are sampled.
    """

    kind = "dissipation"
    sign: int = 1
    face: bool = False
    wavenumbers: int = 16

    def __post_init__(self) -> None:
        _check_sign(self.sign)
        _check_integer("A number of wavenumbers", self.wavenumbers)
        if not isinstance(self.face, bool):
            raise ValueError(
                f"Whether a stencil belongs to a face is true or false, not "
                f"{self.face!r}."
            )
        if self.wavenumbers < 1:
            raise ValueError(
                f"A symbol cannot be sampled at {self.wavenumbers} wavenumbers: give "
                f"at least 1."
            )

    def rows(
        self, offsets: Float[Tensor, " points"], derivative: int
    ) -> tuple[Float[Tensor, "rows points"], Float[Tensor, " rows"]]:
        count = self.wavenumbers
        k = torch.arange(1, count + 1, dtype=torch.float64) * (math.pi / count)
        angle = k.unsqueeze(-1) * offsets
        if self.face:
            real = -2 * torch.sin(k / 2).unsqueeze(-1) * angle.sin()
        else:
            real = angle.cos()
        return self.sign * real, real.new_zeros(count)


@dataclass(frozen=True)
class Linear(SideCondition):
    """Any inequalities `matrix c <= bounds`.

    Attributes:
        matrix: one row per inequality, one column per point.
        bounds: one per inequality.
    """

    kind = "linear"
    matrix: tuple[tuple[float, ...], ...]
    bounds: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.matrix) != len(self.bounds) or not self.bounds:
            raise ValueError(
                f"Linear inequalities need a bound for each row, but there are "
                f"{len(self.matrix)} rows and {len(self.bounds)} bounds."
            )
        numbers = [*self.bounds, *(value for row in self.matrix for value in row)]
        if not all(map(_is_number, numbers)):
            raise ValueError("Linear inequalities hold finite numbers only.")

    def rows(
        self, offsets: Float[Tensor, " points"], derivative: int
    ) -> tuple[Float[Tensor, "rows points"], Float[Tensor, " rows"]]:
        for row in self.matrix:
            if len(row) != len(offsets):
                raise ValueError(
                    f"A linear inequality has {len(row)} coefficients, but the "
                    f"stencil {len(offsets)} points: give one per point."
                )
        return (
            torch.tensor(self.matrix, dtype=torch.float64),
            torch.tensor(self.bounds, dtype=torch.float64),
        )


SIDE_CONDITIONS: dict[str, type[SideCondition]] = {
    condition.kind: condition
    for condition in (Sign, Bounds, UpwindBias, Symmetry, Dissipation, Linear)
}


def side_condition_from_spec(spec: Mapping[str, Any]) -> SideCondition:
    """The condition that `spec` described.

    Raises:
        ValueError: if the kind is unknown, or the other entries do not fit it.
    """
    if not isinstance(spec, Mapping):
        raise ValueError(
            f"A side condition is a mapping with a kind, not {spec!r}: write it as in "
            f"{{kind: sign, index: 0, sign: 1}}."
        )
    values = dict(spec)
    kind = values.pop("kind", None)
    if not isinstance(kind, str) or kind not in SIDE_CONDITIONS:
        raise ValueError(
            f"There is no side condition {kind!r}: use one of "
            f"{', '.join(SIDE_CONDITIONS)}."
        )
    if kind == Linear.kind:
        values = {key: _tuples(value) for key, value in values.items()}
    try:
        return SIDE_CONDITIONS[kind](**values)
    except TypeError as error:
        raise ValueError(
            f"This is not a side condition of the kind {kind!r}: {error}."
        ) from None


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value


def _check_sign(sign: int) -> None:
    if sign not in (-1, 1):
        raise ValueError(f"A sign, side or parity is 1 or -1, not {sign!r}.")


def _check_integer(what: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{what} is a whole number, not {value!r}.")


def _is_number(value: object) -> bool:
    is_real = isinstance(value, int | float) and not isinstance(value, bool)
    return is_real and math.isfinite(value)  # type: ignore[arg-type]
