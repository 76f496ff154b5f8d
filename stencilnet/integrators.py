"""Time integrators: explicit Runge-Kutta methods and their integrating-factor form."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

RightHandSide = Callable[[Any, Tensor], Tensor]
"""`rhs(t, u) -> u_t`; `t` is a float or a scalar tensor."""

Forcing = Callable[[Any], Tensor]
"""`forcing(t) -> f`, what is added to `u_t`."""

Step = Callable[[Any, Tensor, Any], Tensor]
"""`step(t, u, dt) -> u` at `t + dt`."""


@dataclass(frozen=True)
class RungeKutta:
    """An explicit Runge-Kutta method given by its Butcher tableau.

        k_i = rhs(t + c_i dt, u + dt sum_{j<i} a_ij k_j),    u' = u + dt sum_i b_i k_i

    Attributes:
        a: strictly lower triangular rows, the first one empty.
        b: weights of the stages.
        order: classical order of accuracy.

    Raises:
        ValueError: if the rows are not strictly lower triangular, or if `b` has
            another length or does not sum to 1.
    """

    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    order: int

    def __post_init__(self) -> None:
        lengths = [len(row) for row in self.a]
        if lengths != list(range(len(self.b))):
            raise ValueError(
                f"An explicit tableau with {len(self.b)} weights needs rows of length "
                f"0, ..., {len(self.b) - 1}, not {lengths}: list only entries left of "
                f"the diagonal."
            )
        if abs(sum(self.b) - 1) > 1e-12:
            raise ValueError(
                f"The weights of a tableau must sum to 1, but sum to {sum(self.b)}."
            )

    @property
    def c(self) -> tuple[float, ...]:
        """Stage times in units of dt, the row sums of `a`."""
        return tuple(sum(row) for row in self.a)

    def step(
        self, rhs: RightHandSide, t: float | Tensor, u: Tensor, dt: float | Tensor
    ) -> Tensor:
        """The solution after one step of length `dt`, which may be negative."""
        slopes: list[Tensor] = []
        for row, c in zip(self.a, self.c, strict=True):
            slopes.append(rhs(t + c * dt, _advance(u, dt, row, slopes)))
        return _advance(u, dt, self.b, slopes)

    def bind(
        self, rhs: Callable[[Tensor], Tensor], forcing: Forcing | None = None
    ) -> Step:
        """The step for `u_t = rhs(u) + forcing(t)`."""

        def u_t(t: float | Tensor, u: Tensor) -> Tensor:
            return rhs(u) if forcing is None else rhs(u) + forcing(t)

        def step(t: float | Tensor, u: Tensor, dt: float | Tensor) -> Tensor:
            return self.step(u_t, t, u, dt)

        return step

    def amplification(self, z: Tensor) -> Tensor:
        """Stability function `R(z)`: one step maps `u` to `R(lambda dt) u` when
        `u_t = lambda u`. Complex `z` of any shape.
        """
        one = torch.ones_like(z)
        slopes: list[Tensor] = []
        for row in self.a:
            slopes.append(z * _advance(one, 1.0, row, slopes))
        return _advance(one, 1.0, self.b, slopes)

    def stable_step(self, eigenvalues: Tensor, *, growth: float = 1e-4) -> float:
        """The largest `dt` with `|R(lambda dt)| <= 1` for all eigenvalues `lambda`.

        A mode that grows by itself is held to its own growth `exp(Re(lambda) dt)`.

        Args:
            eigenvalues: of the linearized right-hand side, complex, of any shape, in
                units of inverse time.
            growth: excess over 1 that counts as rounding, times `|lambda| dt` of the
                fastest mode.

        Returns:
            The step in units of time, infinite if nothing limits it.
        """
        allowed = eigenvalues.real.clamp(min=0)
        scale = float(eigenvalues.abs().max())

        def stable(dt: float) -> bool:
            factor = self.amplification(eigenvalues * dt).abs()
            return bool((factor <= torch.exp(allowed * dt) + growth * scale * dt).all())

        if scale == 0:
            return math.inf
        # The stable steps need not form an interval: walk up in small steps first,
        # then bisect across the first failure. No explicit method here is stable for
        # an eigenvalue of size 40 / dt.
        stride = 0.02 / scale
        steps = 1
        while stable(steps * stride):
            steps += 1
            if steps > 2000:
                return math.inf
        good, bad = (steps - 1) * stride, steps * stride
        for _ in range(20):
            middle = (good + bad) / 2
            good, bad = (middle, bad) if stable(middle) else (good, middle)
        return good


def _advance(
    u: Tensor, dt: float | Tensor, weights: tuple[float, ...], slopes: list[Tensor]
) -> Tensor:
    """`u + dt sum_j w_j k_j`, without the terms of weight zero."""
    for weight, slope in zip(weights, slopes, strict=True):
        if weight:
            u = u + (weight * dt) * slope
    return u


Euler = RungeKutta(a=((),), b=(1.0,), order=1)
"""Explicit Euler method."""

Heun = RungeKutta(a=((), (1.0,)), b=(1 / 2, 1 / 2), order=2)
"""Heun's method, which is also the optimal SSP method of second order."""

Kutta3 = RungeKutta(a=((), (1 / 2,), (-1.0, 2.0)), b=(1 / 6, 4 / 6, 1 / 6), order=3)
"""Kutta's third-order method."""

SSPRK3 = RungeKutta(a=((), (1.0,), (1 / 4, 1 / 4)), b=(1 / 6, 1 / 6, 4 / 6), order=3)
"""Strong-stability-preserving method of third order (Shu and Osher 1988)."""

RK4 = RungeKutta(
    a=((), (1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)),
    b=(1 / 6, 2 / 6, 2 / 6, 1 / 6),
    order=4,
)
"""The classical fourth-order method."""

INTEGRATORS = {
    "Euler": Euler,
    "Heun": Heun,
    "Kutta3": Kutta3,
    "SSPRK3": SSPRK3,
    "RK4": RK4,
}
"""The explicit methods by the names that configs and stores use."""


class IntegratingFactor:
    """A Runge-Kutta method that treats a diagonal linear part exactly (Lawson).

    For `u_t = L u + N(t, u)`, the method is applied to `v = exp(-L t) u`:

        U_i = e^(c_i L dt) u + dt sum_j a_ij e^((c_i - c_j) L dt) N(t + c_j dt, U_j)

    and likewise for the result, with `b` and `c = 1`. Stiffness of `L` then sets no
    limit on the step, and the order is the tableau's.

    Source: Lawson (1967), doi:10.1137/0704033.

    Args:
        tableau: the underlying method, with stage times that do not decrease.
        symbol: the diagonal of `L`, broadcastable to the state.
        dt: the step; the exponentials are computed once for it.

    Raises:
        ValueError: if the stage times decrease, where `exp(L dt)` could overflow.
    """

    def __init__(self, tableau: RungeKutta, symbol: Tensor, dt: float) -> None:
        nodes = (*tableau.c, 1.0)
        if any(later < earlier for earlier, later in pairwise(nodes)):
            raise ValueError(
                f"An integrating factor needs stage times that do not decrease, not "
                f"{tableau.c}: choose another tableau, such as RK4."
            )
        self.tableau = tableau
        self.dt = dt
        self._nodes = nodes
        gaps = {late - early for late in nodes for early in (0.0, *nodes)}
        self._factors = {
            gap: None if gap == 0 else torch.exp(symbol * (gap * dt))
            for gap in gaps
            if gap >= 0
        }

    def step(self, rhs: RightHandSide, t: float | Tensor, u: Tensor) -> Tensor:
        """The solution after one step; `rhs` is the nonlinear part `N(t, u)`."""
        slopes: list[Tensor] = []
        for row, c in zip(self.tableau.a, self.tableau.c, strict=True):
            slopes.append(rhs(t + c * self.dt, self._combine(u, c, row, slopes)))
        return self._combine(u, 1.0, self.tableau.b, slopes)

    def _combine(
        self, u: Tensor, c: float, weights: tuple[float, ...], slopes: list[Tensor]
    ) -> Tensor:
        """State at stage time `c` from the start of the step and earlier slopes."""
        result = self._propagate(u, c)
        for weight, slope, node in zip(weights, slopes, self._nodes, strict=False):
            if weight:
                factor, scale = self._factor(c - node, u), weight * self.dt
                if factor is None:
                    result = torch.add(result, slope, alpha=scale)
                else:
                    result = torch.addcmul(result, factor, slope, value=scale)
        return result

    def _propagate(self, u: Tensor, gap: float) -> Tensor:
        factor = self._factor(gap, u)
        return u if factor is None else factor * u

    def _factor(self, gap: float, like: Tensor) -> Tensor | None:
        """`exp(gap L dt)`, in the dtype of the state: conversions cost as much."""
        factor = self._factors[gap]
        if factor is not None and factor.dtype != like.dtype:
            factor = self._factors[gap] = factor.to(like.dtype)
        return factor
