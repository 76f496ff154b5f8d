"""Rules for the length of steps, as values."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from stencilnet.errors import as_number


@dataclass(frozen=True)
class StableStep:
    """Equal steps, a share of the stable one.

    The limit is that of `Discretization.stable_step` for the initial state. A solution
    that outgrows this, as one does from rest under a forcing, is solved again for the
    range that it reached, a few times at most.

    Stable is not accurate: at shocks WENO-Z on 256 cells of P1 has an error of .0060 at
    .6 and of .0120 at .9 of its stable step. Half of it is a choice that is seldom far
    from the best. Where methods are compared by cost, sweep the step for each of them,
    as `simulations/pareto.py` does; where time must not matter, halve the step until
    the error stays. For exact evolution, which nothing limits, half of `stable_step` is
    the step that is recommended; shorter ones are less accurate.

    Attributes:
        safety: share of the stable step.

    Raises:
        ValueError: if `safety` is not positive.

    Example:
        >>> import torch
        >>> from stencilnet import SSPRK3, Burgers, Grid, Weno, rollout
        >>> from stencilnet.solver import StableStep, substeps_within
        >>> weno = Weno(Burgers(viscosity=0.02), Grid.line(16))
        >>> u0 = weno.grid.points().sin()
        >>> steps = substeps_within(1.0, 0.8 * weno.stable_step(u0, SSPRK3))
        >>> u = rollout(weno, u0, [0.0, 1.0], steps=StableStep(safety=0.8))
        >>> torch.equal(u, rollout(weno, u0, [0.0, 1.0], steps=steps))
        True
    """

    safety: float = 0.5

    def __post_init__(self) -> None:
        safety = as_number(self.safety)
        if safety is None or not 0 < safety < math.inf:
            raise ValueError(
                f"A share of the stable step must be positive, not {self.safety!r}."
            )
        object.__setattr__(self, "safety", safety)

    def spec(self) -> dict[str, Any]:
        """Everything that defines the steps, as plain values."""
        return {"kind": "stable", "safety": self.safety}


@dataclass(frozen=True)
class Adaptive:
    """Steps whose estimated error stays below a tolerance, each sample with its own.

    A step from `u` to `u'` is accepted if its estimated error `e` has

        mean_x (e / (absolute + relative max(|u|, |u'|)))**2 <= 1.

    An estimate sees what the stages of a step see: a pulse of forcing between them
    leaves no trace. Where a forcing is short or jumps, list the times in `through`, or
    bound the steps by `largest_step`.

    Attributes:
        relative: tolerance of the error per step, relative to the solution.
        absolute: what is added to it, in the units of the solution.
        first_step: length of the first step; estimated by default.
        largest_step: bound of all steps, in units of time; none by default.
        through: times that no step crosses, such as those where a forcing jumps: it is
            evaluated just before and just after them. Those outside of the rollout do
            not count.
        max_steps: bound of the steps that a sample may try. A sample that exceeds it is
            treated as blown up, with a warning.

    Raises:
        ValueError: if a tolerance, a step or `max_steps` is not positive, or if a time
            of `through` is not finite.

    Example:
        >>> import torch
        >>> from stencilnet import Adaptive, rollout
        >>> times, u0 = torch.tensor([0.0, 1.0]).double(), torch.ones(1).double()
        >>> u = rollout(lambda u: -u, u0, times, steps=Adaptive(relative=1e-8))
        >>> round(float(u[-1]), 6)
        0.367879
    """

    relative: float = 1e-6
    absolute: float = 1e-9
    first_step: float | None = None
    largest_step: float | None = None
    through: Sequence[float] = ()
    max_steps: int = 100_000

    def __post_init__(self) -> None:
        for name in ("relative", "absolute", "first_step", "largest_step", "max_steps"):
            value = getattr(self, name)
            if value is None and name in ("first_step", "largest_step"):
                continue
            number = as_number(value)
            if number is None or not 0 < number < math.inf:
                raise ValueError(
                    f"Adaptive steps need a positive {name}, not {value!r}."
                )
            plain = int(number) if name == "max_steps" else number
            object.__setattr__(self, name, plain)
        times = tuple(as_number(t) for t in self.through)
        if not all(t is not None and math.isfinite(t) for t in times):
            raise ValueError(
                f"The times in `through` must be finite, not {self.through}."
            )
        object.__setattr__(self, "through", times)

    def spec(self) -> dict[str, Any]:
        """Everything that defines the steps, as plain values."""
        settings = {item.name: getattr(self, item.name) for item in fields(self)}
        return {"kind": "adaptive", **settings, "through": list(self.through)}


@dataclass(frozen=True)
class Knots:
    """The times at which steps end, in their order.

    Attributes:
        values: of the knots, float64.
        jumps: whether the forcing may jump at a knot.
        position: index among the states to store, by knot.
        stored: number of states to store.
        sign: direction of time.
    """

    values: Float[Tensor, " knot"]
    jumps: Bool[Tensor, " knot"]
    position: dict[int, int]
    stored: int
    sign: float

    @classmethod
    def between(
        cls, times: Float[Tensor, " time"], through: Sequence[float]
    ) -> "Knots":
        """The knots of a rollout: its times, and those of `through` between them."""
        ends = times.tolist()
        low, high = min(ends), max(ends)
        sign = -1.0 if ends[-1] < ends[0] else 1.0
        inside = {t for t in through if low <= t <= high}
        values = sorted({*ends, *inside}, reverse=sign < 0)
        knots = {t: knot for knot, t in enumerate(values)}
        return cls(
            torch.tensor(values, dtype=torch.float64, device=times.device),
            torch.tensor([t in inside for t in values], device=times.device),
            {knots[t]: index for index, t in enumerate(ends)},
            len(ends),
            sign,
        )

    def after(self, t: Tensor, jumps: Bool[Tensor, "*batch"]) -> Tensor:
        """Times just past those where the forcing jumps."""
        return torch.where(jumps, self._next(t, self.sign), t)

    def before(self, t: Tensor, jumps: Bool[Tensor, "*batch"]) -> Tensor:
        """Times just short of those where the forcing jumps."""
        return torch.where(jumps, self._next(t, -self.sign), t)

    def _next(self, t: Tensor, sign: float) -> Tensor:
        return torch.nextafter(t, torch.full_like(t, sign * math.inf))
