"""Runge-Kutta pairs that treat the linear part of an equation implicitly."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from stencilnet.solver.runge_kutta import Field, Forcing, Step
from stencilnet.solver.splitting import Split


@dataclass(frozen=True, eq=False)
class ImplicitExplicit:
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
        symbol: of the linear part, see `Split`.

    Raises:
        ValueError: if the rows do not have these lengths, or if the two methods have
            different stage times.
    """

    compilable: ClassVar[bool] = False

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

    def bind(self, rhs: Field, forcing: Forcing | None) -> Step:
        """See `Integrator.bind`."""

        def prepare(symbol: Tensor, dt: float, dtype: torch.dtype) -> list[Tensor]:
            inverses = [1 / (1 - dt * row[-1] * symbol) for row in self.implicit]
            return [inverse.to(dtype) for inverse in inverses]

        split = Split("An implicit-explicit method", rhs, forcing, self.symbol, prepare)

        def step(t: float, u: Tensor, dt: float) -> Tensor:
            if not u.numel():
                # Some libraries of transforms refuse an empty batch.
                return u.clone()
            points = u.shape[-1]
            start = split.to_modes(u)
            symbol = split.symbol.to(start)
            inverses = split.coefficients(dt, start)
            stage = start
            slopes: list[Tensor] = []
            linear: list[Tensor] = []
            for index, (row, solved) in enumerate(
                zip(self.explicit, self.implicit, strict=True)
            ):
                if index:
                    time = t + self.c[index - 1] * dt
                    slopes.append(split.remainder(time, stage, points))
                    linear.append(symbol * stage)
                stage = start
                for weight, slope in zip(row, slopes, strict=True):
                    if weight:
                        stage = stage + (weight * dt) * slope
                for weight, slope in zip(solved[:-1], linear, strict=True):
                    if weight:
                        stage = stage + (weight * dt) * slope
                if solved[-1]:
                    stage = inverses[index] * stage
            return torch.fft.irfft(stage, n=points)

        return step


_GAMMA = 1 - 2**0.5 / 2
_DELTA = 1 - 1 / (2 * _GAMMA)

ARS222 = ImplicitExplicit(
    explicit=((), (_GAMMA,), (_DELTA, 1 - _DELTA)),
    implicit=((0.0,), (0.0, _GAMMA), (0.0, 1 - _GAMMA, _GAMMA)),
    order=2,
)
"""Second order, two implicit stages, L-stable (Ascher, Ruuth and Spiteri, Sec. 2.6)."""

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
"""Third order, four implicit stages, L-stable (Ascher, Ruuth and Spiteri, Sec. 2.8)."""
