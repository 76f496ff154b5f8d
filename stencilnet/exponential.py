"""Integrators that treat the linear part of an equation exactly, in Fourier space."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from stencilnet.integrators import (
    RK4,
    Field,
    Forcing,
    IntegratingFactor,
    RungeKutta,
    Step,
)

T = TypeVar("T")
# Past it the least recent coefficients are forgotten; steps of a rollout take a few
# values, which differ by rounding.
_REMEMBERED = 32


class Split(Generic[T]):
    """A problem as `u_t = L u + N(t, u)`, where `L` is diagonal in Fourier space.

    The remainder is `N(t, u) = rhs(u) + forcing(t) - L u`, so any `L` is consistent.
    One that contains the stiff part leaves a remainder that is not.

    Args:
        method: name of the integrator, for messages.
        rhs: a `Discretization`, or any function if `symbol` is given.
        forcing: `t -> f`.
        symbol: of `L`, one number per mode of `rfft`; that of `rhs.linear_symbol()` by
            default. Its gradient is kept.
        prepare: what the integrator needs for steps of one length, from the symbol in
            double precision, `dt` and the dtype that is wanted.

    Raises:
        ValueError: if there is no symbol or if it is zero for all modes.
    """

    def __init__(
        self,
        method: str,
        rhs: Field,
        forcing: Forcing | None,
        symbol: Tensor | None,
        prepare: Callable[[Tensor, float, torch.dtype], T],
    ) -> None:
        if symbol is None and hasattr(rhs, "linear_symbol"):
            symbol = rhs.linear_symbol()
        if symbol is None:
            raise ValueError(
                f"{method} needs the Fourier symbol of the linear part, which this "
                f"right-hand side does not tell: give a Discretization, or the "
                f"integrator the argument `symbol`."
            )
        if not bool(symbol.detach().abs().max() > 0):
            raise ValueError(
                f"{method} has nothing to treat exactly, the linear part is zero for "
                f"all modes: take an explicit method such as RK4."
            )
        self.symbol = symbol.to(torch.complex128)
        self._method = method
        self._rhs = rhs
        self._forcing = forcing
        self._prepare = prepare
        self._prepared: dict[tuple[float, torch.dtype, torch.device, bool], T] = {}

    def to_modes(self, u: Float[Tensor, "*batch x"]) -> Complex[Tensor, "*batch mode"]:
        """Fourier coefficients, without scaling."""
        modes = u.shape[-1] // 2 + 1
        if modes != self.symbol.shape[-1]:
            raise ValueError(
                f"{self._method} has a symbol of {self.symbol.shape[-1]} modes, but a "
                f"field of {u.shape[-1]} points has {modes}: put both on one grid."
            )
        return torch.fft.rfft(u)

    def coefficients(self, dt: float, like: Complex[Tensor, "*batch mode"]) -> T:
        """What `prepare` returned for `dt`, in the precision of `like`."""
        # What was made without gradients has none to give later.
        key = (dt, like.dtype, like.device, torch.is_grad_enabled())
        if key not in self._prepared:
            if len(self._prepared) >= _REMEMBERED:
                del self._prepared[next(iter(self._prepared))]
            symbol = self.symbol.to(like.device)
            self._prepared[key] = self._prepare(symbol, dt, like.dtype)
        return self._prepared[key]

    def remainder(
        self, t: float | Tensor, u_hat: Complex[Tensor, "*batch mode"], points: int
    ) -> Complex[Tensor, "*batch mode"]:
        """`N(t, u)` in Fourier space."""
        u_t = self._rhs(torch.fft.irfft(u_hat, n=points))
        if self._forcing is not None:
            u_t = u_t + self._forcing(t)
        return torch.fft.rfft(u_t) - self.symbol.to(u_hat) * u_hat


@dataclass(frozen=True, eq=False)
class Lawson:
    """A Runge-Kutta method in integrating-factor form, for any discretization.

    See `IntegratingFactor`. Cheap, and exact for a linear equation without forcing. It
    turns a slow forcing of fast modes into a fast one: an error that `ETDRK4` avoids.

    Attributes:
        tableau: the underlying method, with stage times that do not decrease.
        symbol: of the linear part, see `Split`.
    """

    tableau: RungeKutta
    symbol: Tensor | None = None

    @property
    def order(self) -> int:
        """Classical order of accuracy."""
        return self.tableau.order

    def bind(self, rhs: Field, forcing: Forcing | None) -> Step:
        """See `Integrator.bind`."""

        def prepare(symbol: Tensor, dt: float, dtype: torch.dtype) -> IntegratingFactor:
            return IntegratingFactor(self.tableau, symbol.to(dtype), dt)

        split = Split("An integrating factor", rhs, forcing, self.symbol, prepare)

        def step(t: float, u: Tensor, dt: float) -> Tensor:
            points = u.shape[-1]
            u_hat = split.to_modes(u)
            scheme = split.coefficients(dt, u_hat)

            def nonlinear(t: float | Tensor, u_hat: Tensor) -> Tensor:
                return split.remainder(t, u_hat, points)

            return torch.fft.irfft(scheme.step(nonlinear, t, u_hat), n=points)

        return step


@dataclass(frozen=True, eq=False)
class ExponentialTimeDifferencing:
    """Fourth-order exponential time differencing, for any discretization.

    With `z = L dt` and `phi_k(z) = sum_j z**j / (j + k)!`,

        a  = e^(z/2) u + dt/2 phi_1(z/2) N(t, u)
        b  = e^(z/2) u + dt/2 phi_1(z/2) N(t + dt/2, a)
        c  = e^(z/2) a + dt/2 phi_1(z/2) (2 N(t + dt/2, b) - N(t, u))
        u' = e^z u + dt ((phi_1 - 3 phi_2 + 4 phi_3) N(t, u)
                         + (2 phi_2 - 4 phi_3) (N(t + dt/2, a) + N(t + dt/2, b))
                         + (4 phi_3 - phi_2) N(t + dt, c))

    It is exact where `N` is constant. The weights are those of Cox and Matthews; the
    `phi_k` are evaluated without cancellation.

    Sources: Cox and Matthews (2002), doi:10.1006/jcph.2002.6995, Eqs. (26) to (29);
    Kassam and Trefethen (2005), doi:10.1137/S1064827502410633.

    Attributes:
        symbol: of the linear part, see `Split`.
    """

    symbol: Tensor | None = None

    @property
    def order(self) -> int:
        """Classical order of accuracy."""
        return 4

    def bind(self, rhs: Field, forcing: Forcing | None) -> Step:
        """See `Integrator.bind`."""
        split = Split("ETDRK4", rhs, forcing, self.symbol, _cox_matthews_weights)

        def step(t: float, u: Tensor, dt: float) -> Tensor:
            points = u.shape[-1]
            u_hat = split.to_modes(u)
            weights = split.coefficients(dt, u_hat)
            decay, half_decay, half, first, middle, last = weights
            start = split.remainder(t, u_hat, points)
            halfway = half_decay * u_hat
            a = halfway + half * start
            at_a = split.remainder(t + dt / 2, a, points)
            b = halfway + half * at_a
            at_b = split.remainder(t + dt / 2, b, points)
            c = half_decay * a + half * (2 * at_b - start)
            at_c = split.remainder(t + dt, c, points)
            u_hat = decay * u_hat + first * start + middle * (at_a + at_b) + last * at_c
            return torch.fft.irfft(u_hat, n=points)

        return step


def _cox_matthews_weights(
    symbol: Tensor, dt: float, dtype: torch.dtype
) -> tuple[Tensor, ...]:
    """`e^z, e^(z/2)` and the four weights, which include the step."""
    z = symbol * dt
    one, two, three = phi_functions(z, 3)
    weights = (
        z.exp(),
        (z / 2).exp(),
        dt / 2 * phi_functions(z / 2, 1)[0],
        dt * (one - 3 * two + 4 * three),
        dt * (2 * two - 4 * three),
        dt * (4 * three - two),
    )
    return tuple(weight.to(dtype) for weight in weights)


def phi_functions(
    z: Complex[Tensor, "*shape"], highest: int
) -> list[Complex[Tensor, "*shape"]]:
    """`phi_1, ..., phi_highest` with `phi_k(z) = sum_j z**j / (j + k)!`.

    By their series within the unit disc, where the recurrence
    `phi_(k+1) = (phi_k - 1/k!) / z` would cancel, and by the recurrence outside. Both
    are differentiable, and accurate to a few roundings.
    """
    near = z.detach().abs() < 1
    inside = torch.where(near, z, 0.0)
    outside = torch.where(near, 1.0, z)
    recurrence = outside.exp()
    functions = []
    for k in range(1, highest + 1):
        recurrence = (recurrence - 1 / math.factorial(k - 1)) / outside
        series = torch.zeros_like(inside)
        for j in reversed(range(18)):
            series = series * inside + 1 / math.factorial(j + k)
        functions.append(torch.where(near, series, recurrence))
    return functions


IFRK4 = Lawson(RK4)
"""The classical Runge-Kutta method with an integrating factor (Lawson 1967)."""

ETDRK4 = ExponentialTimeDifferencing()
"""Exponential time differencing of fourth order (Cox and Matthews 2002)."""
