"""Splittings of a step into kicks by the forcing and drifts without it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import accumulate
from typing import Any

from torch import Tensor

Number = float | Tensor
"""A scalar: a number, or a tensor to differentiate with respect to it."""

_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Splitting:
    """A composition of drifts between kicks, the same forward and backward.

    For `phi_t = (T + V) phi` a step of length `h` is

        exp(K_n) exp(t_n h T) exp(K_(n-1)) ... exp(t_1 h T) exp(K_0),
        K_j = v_j h V + g_j h**3 W + c_j h**5 [W, [T, V]],   W = [V, [T, V]],

    with `V` at the time that the drifts before the kick have reached. All of `K_j` are
    functions of space: under Cole and Hopf's transform, where `V = -F / 2 nu` and
    `F_x = f`, a kick adds to the potential of `u`

        v_j h F + g_j h**3 f**2 + c_j h**5 f**2 f_x

    up to a factor in `c_j`. With the sums `V_i = v_0 + ... + v_(i-1)` before drift `i`
    and the times `s_j = t_1 + ... + t_j` of the kicks, the order is 2 if the sums of
    `t` and of `v` are 1, and 4 if also

        sum_j v_j (s_j - 1/2)**2 = 1/12,
        sum_j g_j = sum_i t_i V_i**2 / 2 - 1/6.

    How `g` is spread over the kicks, and `c`, are free. All drifts are positive, as the
    heat equation demands; without `g` that would exclude order 4.

    Sources: Takahashi and Imada (1984), doi:10.1143/JPSJ.53.3765; Chin (1997),
    doi:10.1016/S0375-9601(97)00003-0; Omelyan, Mryglod and Folk (2003),
    doi:10.1016/S0010-4655(02)00754-3.

    Attributes:
        drifts: `t_i`, in units of the step.
        kicks: `v_j`, one more than drifts.
        gradients: `g_j`, likewise.
        slopes: `c_j`, likewise.

    Raises:
        ValueError: if the numbers of drifts and kicks do not fit, a drift is not
            positive, the sums are not 1, or the composition is not symmetric.

    Example:
        >>> from stencilnet.solver import Splitting
        >>> twice = Splitting((0.5, 0.5), (0.25, 0.5, 0.25), (0.0,) * 3, (0.0,) * 3)
        >>> twice.times, twice.order
        ((0.0, 0.5, 1.0), 2)
        >>> fourth = Splitting.symmetric((0.3,), (), (0.0,))
        >>> [round(kick, 4) for kick in fourth.kicks], fourth.order
        ([0.1032, 0.3968, 0.3968, 0.1032], 4)
    """

    drifts: tuple[Number, ...]
    kicks: tuple[Number, ...]
    gradients: tuple[Number, ...]
    slopes: tuple[Number, ...]

    def __post_init__(self) -> None:
        kicks = len(self.drifts) + 1
        for name in ("kicks", "gradients", "slopes"):
            if len(getattr(self, name)) != kicks or kicks < 2:
                raise ValueError(
                    f"A splitting of {len(self.drifts)} drifts has {kicks} {name}, not "
                    f"{len(getattr(self, name))}."
                )
        values = self.spec()
        if not all(t > 0 for t in values["drifts"]):
            raise ValueError(
                f"Drifts must be positive, as the heat equation has no past, not "
                f"{values['drifts']}."
            )
        for name in ("drifts", "kicks"):
            if not abs(sum(values[name]) - 1) <= _TOLERANCE:
                raise ValueError(
                    f"The {name} of a splitting must sum to 1, but sum to "
                    f"{sum(values[name])}."
                )
        for name, numbers in values.items():
            if any(
                not abs(a - b) <= _TOLERANCE
                for a, b in zip(numbers, reversed(numbers), strict=True)
            ):
                raise ValueError(
                    f"The {name} of a splitting must be the same in reverse, not "
                    f"{numbers}."
                )

    @classmethod
    def symmetric(
        cls,
        drifts: Sequence[Number],
        kicks: Sequence[Number],
        gradients: Sequence[Number],
        slopes: Sequence[Number] = (),
    ) -> "Splitting":
        """A splitting of order 4 from the free numbers of its first half.

        Args:
            drifts: the first `ceil(n / 2)` of `n` drifts but for the last of these,
                which follows from the sum.
            kicks: likewise without the last two, which follow from the conditions.
            gradients: shares of the total in the first half of the kicks, without the
                last, which follows; a multiple of the number of kicks on either side
                says whether there is one in the middle.
            slopes: of the first half; zero by default.
        """
        middle = len(gradients) == len(drifts) + 1
        half = [*drifts, 0.5 - sum(drifts)] if middle else [*drifts]
        whole = [*half, *half[::-1]]
        if not middle:
            whole = [*half, 1 - 2 * sum(half), *half[::-1]]
        weights = _kicks(whole, kicks, middle=middle)
        total = _gradient(whole, weights)
        rest = (1.0 if middle else 0.5) - sum(gradients) * (2 if middle else 1)
        shares = _mirrored([*gradients, rest], middle=middle)
        count = (len(weights) + 1) // 2
        outer = [*slopes, *[0.0] * (count - len(slopes))]
        return cls(
            tuple(whole),
            tuple(weights),
            tuple(share * total for share in shares),
            tuple(_mirrored(outer, middle=middle)),
        )

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> "Splitting":
        """The splitting that `spec` described.

        Raises:
            ValueError: if it is not the spec of a splitting.
        """
        names = [item.name for item in fields(cls)]
        if set(spec) != set(names):
            raise ValueError(
                f"The spec of a splitting has the entries {', '.join(names)}, not "
                f"{', '.join(spec)}."
            )
        return cls(*(tuple(float(x) for x in spec[name]) for name in names))

    def spec(self) -> dict[str, list[float]]:
        """The splitting as plain values."""
        return {
            item.name: [_number(value) for value in getattr(self, item.name)]
            for item in fields(self)
        }

    @property
    def times(self) -> tuple[Number, ...]:
        """When each kick happens, in units of the step."""
        return (0.0, *accumulate(self.drifts))

    @property
    def order(self) -> int:
        """Classical order: 4 where both conditions hold, or 2."""
        values = self.spec()
        kicks, drifts = values["kicks"], values["drifts"]
        times = accumulate([0.0, *drifts])
        second = sum(v * (s - 0.5) ** 2 for v, s in zip(kicks, times, strict=True))
        gradient = _number(_gradient(drifts, kicks)) - sum(values["gradients"])
        fourth = abs(second - 1 / 12) <= _TOLERANCE and abs(gradient) <= _TOLERANCE
        return 4 if fourth else 2


def _kicks(
    drifts: Sequence[Number], first: Sequence[Number], *, middle: bool
) -> list[Number]:
    """Kicks that integrate quadratics exactly at the times of the kicks."""
    times = [0.0, *accumulate(drifts)]
    squares = [(s - 0.5) ** 2 for s in times]
    # Half of the second moment, and half of the sum.
    moment = 1 / 24 - sum(v * q for v, q in zip(first, squares, strict=False))
    at = len(first)
    if middle:
        last = moment / squares[at]
        half = [*first, last]
        return _mirrored([*half, 1 - 2 * sum(half)], middle=True)
    rest = 0.5 - sum(first)
    inner = (moment - squares[at] * rest) / (squares[at + 1] - squares[at])
    return _mirrored([*first, rest - inner, inner], middle=False)


def _gradient(drifts: Sequence[Number], kicks: Sequence[Number]) -> Number:
    """The sum of the gradient weights at order 4."""
    sums = list(accumulate(kicks))[:-1]
    return sum(t * v**2 for t, v in zip(drifts, sums, strict=True)) / 2 - 1 / 6


def _mirrored(half: Sequence[Number], *, middle: bool) -> list[Number]:
    return [*half, *(half[:-1] if middle else half)[::-1]]


def _number(value: Number) -> float:
    return float(value.detach()) if isinstance(value, Tensor) else float(value)
