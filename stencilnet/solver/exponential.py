"""Integrators that treat the linear part of an equation exactly, in Fourier space."""

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import ClassVar

import torch
from jaxtyping import Complex, Inexact
from torch import Tensor

from stencilnet.solver.base import RightHandSide
from stencilnet.solver.runge_kutta import RK4, RungeKutta
from stencilnet.solver.semilinear import Scheme, SemilinearIntegrator


class IntegratingFactor(Scheme):
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

    Example:
        >>> import torch
        >>> from stencilnet import RK4
        >>> from stencilnet.solver import IntegratingFactor
        >>> rates = torch.tensor([-1.0, -1000.0]).double()
        >>> method = IntegratingFactor(RK4, rates, dt=2.0)
        >>> u = method.step(lambda t, u: 0 * u, 0.0, torch.ones(2).double())
        >>> torch.allclose(u, (2.0 * rates).exp())  # a step of any length is exact
        True
    """

    def __init__(self, tableau: RungeKutta, symbol: Tensor, dt: float) -> None:
        nodes = _stage_times(tableau)
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


def _stage_times(tableau: RungeKutta) -> tuple[float, ...]:
    """Stage times and the end, which must not decrease; sums are rounded off."""
    nodes = tuple(round(c, 14) for c in (*tableau.c, 1.0))
    if any(later < earlier for earlier, later in pairwise(nodes)):
        raise ValueError(
            f"An integrating factor needs stage times that do not decrease, not "
            f"{tableau.c}: choose another tableau, such as RK4."
        )
    return nodes


class TimeDifferencing(Scheme):
    """Fourth-order exponential time differencing with a diagonal linear part.

    For `u_t = L u + N(t, u)`, with `z = L dt` and `phi_k(z) = sum_j z**j / (j + k)!`,

        a  = e^(z/2) u + dt phi_1(z/2) / 2 N(t, u)
        b  = e^(z/2) u + dt (b_1 N(t, u) + b_2 N(t + dt/2, a))
        c  = e^z u + dt (c_1 N(t, u) + c_3 N(t + dt/2, b))
        u' = e^z u + dt ((phi_1 - 3 phi_2 + 4 phi_3) N(t, u)
                         + (2 phi_2 - 4 phi_3) (N(t + dt/2, a) + N(t + dt/2, b))
                         + (4 phi_3 - phi_2) N(t + dt, c))

    where Cox and Matthews take

        b_1 = 0,    b_2 = phi_1(z/2) / 2,    c_3 = phi_1(z/2),
        c_1 = (e^(z/2) - 1) phi_1(z/2) / 2

    and Krogstad, whose stages are one order more accurate,

        b_1 = phi_1(z/2) / 2 - phi_2(z/2),    b_2 = phi_2(z/2),
        c_1 = phi_1 - 2 phi_2,    c_3 = 2 phi_2.

    Stiffness of `L` sets no limit on the step, and a slow `N` stays slow.

    Sources: Cox and Matthews (2002), doi:10.1006/jcph.2002.6995, Eqs. (26) to (29);
    Krogstad (2005), doi:10.1016/j.jcp.2004.08.006, Eq. (51).

    Args:
        symbol: the diagonal of `L`, broadcastable to the state.
        dt: the step; the weights are computed once for it.
        krogstad: which of the two.
        dtype: of the state, complex.

    Example:
        >>> import torch
        >>> from stencilnet.solver import TimeDifferencing
        >>> rates = torch.tensor([-1.0, -1000.0]).to(torch.complex128)
        >>> method = TimeDifferencing(rates, dt=2.0)
        >>> u = method.step(lambda t, u: 0 * u + 1, 0.0, torch.zeros_like(rates))
        >>> torch.allclose(u, (1 - (2.0 * rates).exp()) / -rates)  # exact for N = 1
        True
    """

    def __init__(
        self,
        symbol: Tensor,
        dt: float,
        *,
        krogstad: bool = False,
        dtype: torch.dtype = torch.complex128,
    ) -> None:
        self.dt = dt
        z = symbol * dt
        decay, half_decay = z.exp(), (z / 2).exp()
        one, two, three = phi_functions(z, 3)
        half_one, half_two = phi_functions(z / 2, 2)
        if krogstad:
            b_1, b_2 = half_one / 2 - half_two, half_two
            c_1, c_3 = one - 2 * two, 2 * two
        else:
            b_1, b_2 = torch.zeros_like(z), half_one / 2
            c_1, c_3 = (half_decay - 1) * half_one / 2, half_one
        first, middle = one - 3 * two + 4 * three, 2 * two - 4 * three
        last = 4 * three - two
        weights = (half_one / 2, b_1, b_2, c_1, c_3, first, middle, last)
        self._decays = decay.to(dtype), half_decay.to(dtype)
        self._weights = tuple((dt * weight).to(dtype) for weight in weights)
        self._krogstad = krogstad

    def step(self, rhs: RightHandSide, t: float | Tensor, u: Tensor) -> Tensor:
        """The solution after one step; `rhs` is the nonlinear part `N(t, u)`."""
        decay, half_decay = self._decays
        a_1, b_1, b_2, c_1, c_3, first, middle, last = self._weights
        half_time = t + self.dt / 2
        start = rhs(t, u)
        whole, half = decay * u, half_decay * u
        a = torch.addcmul(half, a_1, start)
        at_a = rhs(half_time, a)
        b = torch.addcmul(half, b_2, at_a)
        if self._krogstad:
            b = torch.addcmul(b, b_1, start)
        at_b = rhs(half_time, b)
        c = torch.addcmul(torch.addcmul(whole, c_1, start), c_3, at_b)
        at_c = rhs(t + self.dt, c)
        result = torch.addcmul(whole, first, start)
        result = torch.addcmul(result, middle, at_a + at_b)
        return torch.addcmul(result, last, at_c)


def phi_functions(
    z: Inexact[Tensor, "*shape"], highest: int
) -> list[Inexact[Tensor, "*shape"]]:
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


@dataclass(frozen=True, eq=False)
class Lawson(SemilinearIntegrator):
    """A Runge-Kutta method in integrating-factor form, for any discretization.

    See `IntegratingFactor`. Cheap, and exact for a linear equation without forcing. It
    turns a slow forcing of fast modes into a fast one: an error that `ETDRK4` avoids.

    Attributes:
        tableau: the underlying method, with stage times that do not decrease.
        symbol: of the linear part, see `SemilinearIntegrator`.
        order: that of the tableau.

    Example:
        >>> from stencilnet import Grid, PseudoSpectral, rollout
        >>> from stencilnet.equations import AdvectionDiffusion, TravellingWave
        >>> from stencilnet.solver import Heun, Lawson
        >>> grid = Grid.line(16)
        >>> method = PseudoSpectral(AdvectionDiffusion(1.0, diffusivity=0.1), grid)
        >>> wave = TravellingWave(1.0, diffusivity=0.1)
        >>> u0 = wave.values(grid, 0.0)
        >>> u = rollout(method, u0, [0.0, 5.0], integrator=Lawson(Heun), steps=1)
        >>> bool((u[-1] - wave.values(grid, 5.0)).abs().max() < 1e-12)
        True
    """

    description: ClassVar[str] = "An integrating factor"

    tableau: RungeKutta
    symbol: Tensor | None = None
    order: int = field(init=False)

    def __post_init__(self) -> None:
        _stage_times(self.tableau)
        object.__setattr__(self, "order", self.tableau.order)

    def scheme(
        self, symbol: Complex[Tensor, "*shape"], dt: float, dtype: torch.dtype
    ) -> IntegratingFactor:
        """See `SemilinearIntegrator.scheme`."""
        return IntegratingFactor(self.tableau, symbol.to(dtype), dt)


@dataclass(frozen=True, eq=False)
class ExponentialTimeDifferencing(SemilinearIntegrator):
    """Fourth-order exponential time differencing, for any discretization.

    See `TimeDifferencing`. It is exact where the nonlinear part is constant.

    Attributes:
        symbol: of the linear part, see `SemilinearIntegrator`.
        krogstad: whether the stages are Krogstad's or those of Cox and Matthews.
        order: 4.

    Example:
        >>> import torch
        >>> from stencilnet import rollout
        >>> from stencilnet.solver import ExponentialTimeDifferencing
        >>> etd = ExponentialTimeDifferencing(torch.tensor([-1000.0, -1000.0, -1000.0]))
        >>> u = rollout(lambda u: 1.0 - 1000.0 * u, [0.0] * 4, [0, 1], integrator=etd)
        >>> u[-1].round(decimals=9).tolist()
        [0.001, 0.001, 0.001, 0.001]
    """

    description: ClassVar[str] = "Exponential time differencing"

    symbol: Tensor | None = None
    krogstad: bool = False
    order: int = field(default=4, init=False)

    def scheme(
        self, symbol: Complex[Tensor, "*shape"], dt: float, dtype: torch.dtype
    ) -> TimeDifferencing:
        """See `SemilinearIntegrator.scheme`."""
        return TimeDifferencing(symbol, dt, krogstad=self.krogstad, dtype=dtype)


IFRK4 = Lawson(RK4)
"""The classical Runge-Kutta method with an integrating factor (Lawson 1967).

Example:
    >>> from stencilnet import RK4, Burgers, Grid, PseudoSpectral
    >>> from stencilnet.solver import IFRK4
    >>> method = PseudoSpectral(Burgers(viscosity=0.5), Grid.line(16))
    >>> u = method.grid.points().sin()
    >>> method.stable_step(u, IFRK4) > 10 * method.stable_step(u, RK4)
    True
"""

ETDRK4 = ExponentialTimeDifferencing()
"""Exponential time differencing of fourth order (Cox and Matthews 2002).

Example:
    >>> import torch
    >>> from stencilnet import ETDRK4, Burgers, Grid, PseudoSpectral, rollout
    >>> method = PseudoSpectral(Burgers(viscosity=0.1), Grid.line(32))
    >>> times = torch.linspace(0, 1, 5).double()
    >>> u0 = method.grid.points().sin()
    >>> u = rollout(method, u0, times, integrator=ETDRK4, steps=5)
    >>> tuple(u.shape)  # (time, x)
    (5, 32)
"""

ETDRK4B = ExponentialTimeDifferencing(krogstad=True)
"""Exponential time differencing of fourth order with stages of higher order, whose
error is smaller where the nonlinear part varies in time (Krogstad 2005).

Example:
    >>> from stencilnet import ETDRK4, Burgers, Grid, PseudoSpectral, rollout
    >>> from stencilnet.equations import DecayingWave
    >>> from stencilnet.solver import ETDRK4B
    >>> method = PseudoSpectral(Burgers(viscosity=0.3), Grid.line(32))
    >>> wave = DecayingWave(viscosity=0.3)
    >>> u0, end = (wave.values(method.grid, t) for t in (0.0, 1.0))
    >>> errors = []
    >>> for integrator in (ETDRK4B, ETDRK4):
    ...     u = rollout(method, u0, [0.0, 1.0], integrator=integrator, steps=4)
    ...     errors.append(float((u[-1] - end).abs().max()))
    ...
    >>> errors[0] < 0.7 * errors[1]
    True
"""
