"""Explicit Runge-Kutta methods and embedded pairs."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Complex
from torch import Tensor

from stencilnet.solver.base import (
    Field,
    Forcing,
    Integrator,
    RightHandSide,
    Step,
    with_forcing,
)
from stencilnet.solver.stability import check_eigenvalues, last_stable


@dataclass(frozen=True)
class RungeKutta(Integrator):
    """An explicit Runge-Kutta method given by its Butcher tableau.

        k_i = rhs(t + c_i dt, u + dt sum_{j<i} a_ij k_j),    u' = u + dt sum_i b_i k_i

    Attributes:
        a: strictly lower triangular rows, the first one empty.
        b: weights of the stages.
        order: classical order of accuracy.

    Raises:
        ValueError: if the rows are not strictly lower triangular, or if `b` has
            another length or does not sum to 1.

    Example:
        >>> import torch
        >>> from stencilnet.solver import RungeKutta
        >>> ralston = RungeKutta(a=((), (2 / 3,)), b=(1 / 4, 3 / 4), order=2)
        >>> z = torch.tensor([-1.0, 1.0]).double()
        >>> ralston.amplification(z).round(decimals=9).tolist()  # 1 + z + z**2 / 2
        [0.5, 2.5]
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
        if not abs(sum(self.b) - 1) <= 1e-12:
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

    def bind(self, rhs: Field, forcing: Forcing | None) -> Step:
        """See `Integrator.bind`."""
        u_t = with_forcing(rhs, forcing)

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

    def stable_step(
        self,
        eigenvalues: Complex[Tensor, "*shape"],
        *,
        linear: Complex[Tensor, "*shape"] | None = None,
        growth: float = 1e-4,
    ) -> float:
        """The largest `dt` with `|R(lambda dt)| <= 1` for all eigenvalues `lambda`.

        A mode that grows by itself is held to its own growth `exp(Re(lambda) dt)`. See
        `Integrator.stable_step`; `linear` makes no difference.
        """
        del linear
        check_eigenvalues(eigenvalues)
        eigenvalues = eigenvalues.detach()
        allowed = eigenvalues.real.clamp(min=0)
        scale = float(eigenvalues.abs().max())
        if scale == 0:
            return math.inf

        def stable(dt: float) -> bool:
            factor = self.amplification(eigenvalues * dt).abs()
            return bool((factor <= torch.exp(allowed * dt) + growth * scale * dt).all())

        # No explicit method of s stages is stable for a decaying mode of more than
        # 2 s**2 / dt.
        count = math.floor((2 * len(self.b) ** 2 + 2) / 0.02)
        stride = 0.02 / scale
        return last_stable(stable, (step * stride for step in range(1, count + 1)))


def _advance(
    u: Tensor, dt: float | Tensor, weights: tuple[float, ...], slopes: list[Tensor]
) -> Tensor:
    """`u + dt sum_j w_j k_j`, without the terms of weight zero."""
    for weight, slope in zip(weights, slopes, strict=True):
        if weight:
            u = u + (weight * dt) * slope
    return u


Euler = RungeKutta(a=((),), b=(1.0,), order=1)
"""Explicit Euler method.

Example:
    >>> from stencilnet import rollout
    >>> from stencilnet.solver import Euler
    >>> u = rollout(lambda u: -u, [1.0], [0.0, 1.0], integrator=Euler, steps=4)
    >>> float(u[-1])  # (1 - 1/4)**4
    0.31640625
"""

Heun = RungeKutta(a=((), (1.0,)), b=(1 / 2, 1 / 2), order=2)
"""Heun's method, which is also the optimal SSP method of second order.

Example:
    >>> import torch
    >>> from stencilnet.solver import Heun
    >>> decay, wave = torch.tensor([-10.0 + 0j]), torch.tensor([10.0j])
    >>> round(Heun.stable_step(decay), 3), round(Heun.stable_step(wave), 3)
    (0.2, 0.009)
"""

Kutta3 = RungeKutta(a=((), (1 / 2,), (-1.0, 2.0)), b=(1 / 6, 4 / 6, 1 / 6), order=3)
"""Kutta's third-order method.

Example:
    >>> import math
    >>> from stencilnet import rollout
    >>> from stencilnet.solver import Kutta3
    >>> errors = []
    >>> for steps in (16, 32):
    ...     u = rollout(lambda u: -u, [1.0], [0, 1], integrator=Kutta3, steps=steps)
    ...     errors.append(abs(float(u[-1]) - math.exp(-1)))
    ...
    >>> round(math.log2(errors[0] / errors[1]), 1)
    3.0
"""

SSPRK3 = RungeKutta(a=((), (1.0,), (1 / 4, 1 / 4)), b=(1 / 6, 1 / 6, 4 / 6), order=3)
"""Strong-stability-preserving method of third order (Shu and Osher 1988).

Example:
    >>> from stencilnet import SSPRK3
    >>> SSPRK3.order
    3
"""

RK4 = RungeKutta(
    a=((), (1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)),
    b=(1 / 6, 2 / 6, 2 / 6, 1 / 6),
    order=4,
)
"""The classical fourth-order method.

Example:
    >>> import torch
    >>> from stencilnet import RK4, rollout
    >>> times, u0 = torch.tensor([0.0, 1.0]).double(), torch.ones(1).double()
    >>> u = rollout(lambda u: -u, u0, times, integrator=RK4, steps=10)
    >>> round(float(u[-1]), 5)
    0.36788
"""


@dataclass(frozen=True)
class EmbeddedPair(RungeKutta):
    """A Runge-Kutta method with a second set of weights that estimates its error.

    `dt sum_i (b_i - b_low_i) k_i` is the difference between a step of the two methods,
    of the order `dt**(low_order + 1)`. The solution continues from `b`.

    Attributes:
        b_low: weights of the less accurate method.
        low_order: its order.

    Raises:
        ValueError: as for `RungeKutta`, or if `b_low` has another length, does not sum
            to 1, or if its order is not below the pair's.

    Example:
        >>> from stencilnet import Adaptive, rollout
        >>> from stencilnet.solver import EmbeddedPair
        >>> heun_euler = EmbeddedPair(
        ...     a=((), (1.0,)), b=(0.5, 0.5), order=2, b_low=(1.0, 0.0), low_order=1
        ... )
        >>> steps = Adaptive(relative=1e-4)
        >>> u = rollout(lambda u: -u, [1.0], [0, 1], integrator=heun_euler, steps=steps)
        >>> heun_euler.error_weights, round(float(u[-1]), 3)
        ((-0.5, 0.5), 0.368)
    """

    b_low: tuple[float, ...]
    low_order: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.b_low) != len(self.b) or not abs(sum(self.b_low) - 1) <= 1e-12:
            raise ValueError(
                f"The second weights of a pair need the length {len(self.b)} and the "
                f"sum 1, not {len(self.b_low)} and {sum(self.b_low)}."
            )
        if not 0 < self.low_order < self.order:
            raise ValueError(
                f"The second method of a pair of order {self.order} needs a lower "
                f"order, not {self.low_order}."
            )

    @property
    def first_same_as_last(self) -> bool:
        """Whether the last slope of a step is the first of the next one."""
        return self.b[-1] == 0 and self.a[-1] == self.b[:-1]

    @property
    def error_weights(self) -> tuple[float, ...]:
        """`b - b_low`."""
        return tuple(high - low for high, low in zip(self.b, self.b_low, strict=True))


BogackiShampine32 = EmbeddedPair(
    a=((), (1 / 2,), (0.0, 3 / 4), (2 / 9, 1 / 3, 4 / 9)),
    b=(2 / 9, 1 / 3, 4 / 9, 0.0),
    order=3,
    b_low=(7 / 24, 1 / 4, 1 / 3, 1 / 8),
    low_order=2,
)
"""Third order with an error estimate (Bogacki and Shampine 1989,
doi:10.1016/0893-9659(89)90079-7).

Example:
    >>> from stencilnet.solver import BogackiShampine32, solve_adaptively
    >>> solution = solve_adaptively(
    ...     lambda u: -u, [1.0], [0.0, 1.0], integrator=BogackiShampine32
    ... )
    >>> round(float(solution.u[-1]), 5), int(solution.accepted) > 30
    (0.36788, True)
"""

DormandPrince54 = EmbeddedPair(
    a=(
        (),
        (1 / 5,),
        (3 / 40, 9 / 40),
        (44 / 45, -56 / 15, 32 / 9),
        (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
        (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
        (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
    ),
    b=(35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84, 0.0),
    order=5,
    b_low=(
        5179 / 57600,
        0.0,
        7571 / 16695,
        393 / 640,
        -92097 / 339200,
        187 / 2100,
        1 / 40,
    ),
    low_order=4,
)
"""Fifth order with an error estimate (Dormand and Prince 1980,
doi:10.1016/0771-050X(80)90013-3).

Example:
    >>> from stencilnet.solver import DormandPrince54, solve_adaptively
    >>> solution = solve_adaptively(
    ...     lambda u: -u, [1.0], [0.0, 1.0], integrator=DormandPrince54
    ... )
    >>> round(float(solution.u[-1]), 5), int(solution.accepted) < 15
    (0.36788, True)
"""
