"""Splittings of a step into kicks by the forcing and drifts without it."""

import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor

Number = float | Tensor


@dataclass(frozen=True)
class Splitting:
    """A symmetric composition of kicks and drifts, kicks first and last.

    For `phi_t = (T + V) phi`, a step is

        exp(w_n) exp(t_n dt T) exp(w_(n-1)) ... exp(t_1 dt T) exp(w_0),
        w_j = v_j dt V + g_j dt**3 [V, [T, V]]

    where `V` is taken at the time that the drifts have reached. Under Cole-Hopf's
    transform `V = -F / 2 nu` with `F_x = f`, and a kick adds to the potential of `u`

        v_j dt F + g_j dt**3 f**2.

    With partial sums `V_i = v_0 + ... + v_(i-1)` before drift `i`, the order is 2 if
    both sums are 1, and 4 if also

        sum_i t_i V_i (1 - 2 tau_i) = 1/6      (tau_i: middle of drift i)
        sum_j g_j = sum_i t_i V_i**2 / 2 - 1/6

    hold. All weights of drifts are positive, as the heat equation demands.

    Sources: Takahashi and Imada (1984), doi:10.1143/JPSJ.53.3765; Chin (1997),
    doi:10.1016/S0375-9601(97)00003-0; Omelyan, Mryglod and Folk (2003),
    doi:10.1016/S0010-4655(02)00754-3.

    Attributes:
        drifts: `t_i`, in units of the step.
        kicks: `v_j`, one more than drifts.
        gradients: `g_j`, likewise.
    """

    drifts: tuple[Number, ...]
    kicks: tuple[Number, ...]
    gradients: tuple[Number, ...]

    def spec(self) -> dict[str, Any]:
        """The splitting as plain values."""
        return {
            name: [float(value) for value in getattr(self, name)]
            for name in ("drifts", "kicks", "gradients")
        }

    @property
    def times(self) -> tuple[Number, ...]:
        """When each kick happens, in units of the step."""
        times: list[Number] = [0.0]
        for drift in self.drifts:
            times.append(times[-1] + drift)
        return tuple(times)


STRANG = Splitting((1.0,), (0.5, 0.5), (0.0, 0.0))


def chin_4a(outer: Number = 0.0) -> Splitting:
    g = 1 / 72
    return Splitting(
        (0.5, 0.5), (1 / 6, 2 / 3, 1 / 6), (outer * g, (1 - 2 * outer) * g, outer * g)
    )


def three_drifts(first: Number = 0.29, outer: Number = -0.1) -> Splitting:
    """Three drifts `t1, 1 - 2 t1, t1`."""
    q = (0.5 - first) ** 2
    v0 = (1 / 12 - q) / (0.5 - 2 * q)
    v1 = 0.5 - v0
    t = (first, 1 - 2 * first, first)
    total = (t[0] * v0**2 + t[1] * 0.25 + t[2] * (1 - v0) ** 2) / 2 - 1 / 6
    inner = 0.5 - outer
    g = tuple(share * total for share in (outer, inner, inner, outer))
    return Splitting(t, (v0, v1, v1, v0), g)


def four_drifts(
    first: Number = (1 - math.sqrt(3 / 7)) / 2,
    v0: Number = 1 / 20,
    outer: Number = 0.0,
    inner: Number = 0.25,
) -> Splitting:
    """Four drifts `t1, 1/2 - t1, 1/2 - t1, t1`."""
    # 2 v0 (1/2)**2 + 2 v1 (1/2 - t1)**2 = 1/12: exact for quadratics
    v1 = (1 / 24 - v0 / 4) / (0.5 - first) ** 2
    v2 = 1 - 2 * v0 - 2 * v1
    t = (first, 0.5 - first, 0.5 - first, first)
    sums = (v0, v0 + v1, 1 - v0 - v1, 1 - v0)
    total = sum(a * b**2 for a, b in zip(t, sums)) / 2 - 1 / 6
    middle = 1 - 2 * outer - 2 * inner
    g = tuple(share * total for share in (outer, inner, middle, inner, outer))
    return Splitting(t, (v0, v1, v2, v1, v0), g)
