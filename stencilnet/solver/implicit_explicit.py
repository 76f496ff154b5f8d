"""Runge-Kutta pairs that treat the linear part of an equation implicitly."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Complex
from torch import Tensor

from stencilnet.solver.base import RightHandSide
from stencilnet.solver.semilinear import Scheme, SemilinearIntegrator


@dataclass(frozen=True, eq=False)
class ImplicitExplicit(SemilinearIntegrator):
    """An implicit-explicit Runge-Kutta method, for any discretization.

    For `u_t = L u + N(t, u)` with `L` diagonal in Fourier space,

        U_i = u + dt sum_{j<i} a_ij N(t + c_j dt, U_j) + dt sum_{j<=i} d_ij L U_j

    and `u'` is the last `U_i`: both methods are stiffly accurate. Each stage is solved
    exactly by a division, so stiffness of `L` sets no limit on the step.

    Source: Ascher, Ruuth and Spiteri (1997), doi:10.1016/S0168-9274(97)00056-1.

    Attributes:
        explicit: rows of `a`, strictly lower triangular, the first one empty.
        implicit: rows of `d`, lower triangular with the diagonal; the first one is 0.
        order: classical order of accuracy.
        symbol: of the linear part, see `SemilinearIntegrator`.

    Raises:
        ValueError: if the rows do not have these lengths, or if the two methods have
            different stage times.

    Example:
        >>> import torch
        >>> from stencilnet import Grid, PseudoSpectral, rollout
        >>> from stencilnet.equations import AdvectionDiffusion
        >>> from stencilnet.solver import ImplicitExplicit
        >>> euler = ImplicitExplicit(((), (1.0,)), ((0.0,), (0.0, 1.0)), order=1)
        >>> heat = PseudoSpectral(AdvectionDiffusion(0.0, 1.0), Grid.line(16))
        >>> u0 = (2 * heat.grid.points()).sin()
        >>> u = rollout(heat, u0, [0.0, 1.0], integrator=euler, steps=1)
        >>> torch.allclose(u[-1], u0 / (1 + 2**2))
        True
    """

    description: ClassVar[str] = "An implicit-explicit method"

    explicit: tuple[tuple[float, ...], ...]
    implicit: tuple[tuple[float, ...], ...]
    order: int
    symbol: Tensor | None = None

    def __post_init__(self) -> None:
        stages = len(self.explicit)
        lengths = [len(row) for row in self.explicit]
        diagonal = [len(row) - 1 for row in self.implicit]
        fitting = lengths == diagonal == list(range(stages))
        if not (stages and fitting and self.implicit[0] == (0.0,)):
            raise ValueError(
                f"An implicit-explicit pair needs explicit rows of length 0, 1, ... "
                f"and implicit ones of length 1, 2, ..., the first of which is zero, "
                f"not {lengths} and {[len(row) for row in self.implicit]}."
            )
        for explicit, implicit in zip(self.explicit, self.implicit, strict=True):
            if abs(sum(explicit) - sum(implicit)) > 1e-12:
                raise ValueError(
                    f"Both methods of a pair need the same stage times, not "
                    f"{sum(explicit)} and {sum(implicit)}."
                )
        if abs(sum(self.explicit[-1]) - 1) > 1e-12:
            raise ValueError(
                f"The last stage of a pair is its result and lies at time 1, not "
                f"{sum(self.explicit[-1])}."
            )

    @property
    def c(self) -> tuple[float, ...]:
        """Stage times in units of dt, the row sums of both tableaux."""
        return tuple(sum(row) for row in self.explicit)

    def scheme(
        self, symbol: Complex[Tensor, "*shape"], dt: float, dtype: torch.dtype
    ) -> "DiagonallyImplicit":
        """See `SemilinearIntegrator.scheme`."""
        return DiagonallyImplicit(self, symbol, dt, dtype)


class DiagonallyImplicit(Scheme):
    """Steps of one length of an implicit-explicit pair, with a diagonal linear part.

    Args:
        pair: the method.
        symbol: the diagonal of `L`, broadcastable to the state.
        dt: the step; what the stages divide by is computed once for it.
        dtype: of the state, complex.
    """

    def __init__(
        self, pair: ImplicitExplicit, symbol: Tensor, dt: float, dtype: torch.dtype
    ) -> None:
        self.pair = pair
        self.dt = dt
        self._nodes = pair.c
        self._symbol = symbol.to(dtype)
        inverses = [1 / (1 - dt * row[-1] * symbol) for row in pair.implicit]
        self._inverses = [inverse.to(dtype) for inverse in inverses]

    def step(self, rhs: RightHandSide, t: float | Tensor, u: Tensor) -> Tensor:
        """The solution after one step; `rhs` is the nonlinear part `N(t, u)`."""
        pair, stage = self.pair, u
        slopes: list[Tensor] = []
        linear: list[Tensor] = []
        for index in range(1, len(pair.explicit)):
            slopes.append(rhs(t + self._nodes[index - 1] * self.dt, stage))
            linear.append(self._symbol * stage)
            *row, diagonal = pair.implicit[index]
            stage = u
            for weights, terms in ((pair.explicit[index], slopes), (row, linear)):
                for weight, term in zip(weights, terms, strict=True):
                    if weight:
                        stage = stage + (weight * self.dt) * term
            if diagonal:
                stage = self._inverses[index] * stage
        return stage


_GAMMA = 1 - 2**0.5 / 2
_DELTA = 1 - 1 / (2 * _GAMMA)

ARS222 = ImplicitExplicit(
    explicit=((), (_GAMMA,), (_DELTA, 1 - _DELTA)),
    implicit=((0.0,), (0.0, _GAMMA), (0.0, 1 - _GAMMA, _GAMMA)),
    order=2,
)
"""Second order, two implicit stages, L-stable (Ascher, Ruuth and Spiteri, Sec. 2.6).

Example:
    >>> import torch
    >>> from stencilnet.solver import ARS222
    >>> z = torch.tensor([-1.0, -1e3, -1e6]).to(torch.complex128)
    >>> ARS222.amplification(z, linear=z).abs().round(decimals=2).tolist()
    [0.35, 0.0, 0.0]
"""

ARS443 = ImplicitExplicit(
    explicit=(
        (),
        (1 / 2,),
        (11 / 18, 1 / 18),
        (5 / 6, -5 / 6, 1 / 2),
        (1 / 4, 7 / 4, 3 / 4, -7 / 4),
    ),
    implicit=(
        (0.0,),
        (0.0, 1 / 2),
        (0.0, 1 / 6, 1 / 2),
        (0.0, -1 / 2, 1 / 2, 1 / 2),
        (0.0, 3 / 2, -3 / 2, 1 / 2, 1 / 2),
    ),
    order=3,
)
"""Third order, four implicit stages, L-stable (Ascher, Ruuth and Spiteri, Sec. 2.8).

Example:
    >>> from stencilnet import Burgers, Grid, PseudoSpectral, rollout
    >>> from stencilnet.equations import DecayingWave
    >>> from stencilnet.solver import ARS443
    >>> method = PseudoSpectral(Burgers(viscosity=0.3), Grid.line(32))
    >>> wave = DecayingWave(viscosity=0.3)
    >>> u0, end = (wave.values(method.grid, t) for t in (0.0, 1.0))
    >>> errors = []
    >>> for steps in (16, 32):
    ...     u = rollout(method, u0, [0.0, 1.0], integrator=ARS443, steps=steps)
    ...     errors.append(float((u[-1] - end).abs().max()))
    ...
    >>> 7 < errors[0] / errors[1] < 9  # third order
    True
"""
