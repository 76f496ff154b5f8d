"""Integration of a semi-discrete equation in time."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import pairwise
from types import CodeType, FunctionType
from typing import Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch._functorch import config as functorch_config

from stencilnet.solver.recompute import run_segment
from stencilnet.solver.runge_kutta import SSPRK3, Forcing, Integrator, Step

_codes: WeakKeyDictionary[Any, dict[tuple[Any, ...], CodeType]] = WeakKeyDictionary()


def rollout(
    rhs: Callable[[Tensor], Tensor],
    u0: Float[Tensor, "*batch x"],
    times: Float[Tensor, " time"],
    forcing: Forcing | None = None,
    *,
    integrator: Integrator = SSPRK3,
    substeps: int = 1,
    checkpoint: bool | int = False,
    compile: bool = False,  # noqa: A002
) -> Float[Tensor, "*batch time x"]:
    """Solves `u_t = rhs(u) + forcing(t)` and keeps the solution at `times`.

    Differentiable with respect to `u0`, everything in `rhs` and `forcing`. The
    forcing is evaluated at the stage times of the integrator. A blow-up shows as
    infinities or NaN in the result and leaves the other samples and their gradients
    untouched, at the price of a second run where there are gradients.

    Args:
        rhs: the right-hand side `u -> u_t`, such as a `Discretization`.
        u0: state at `times[0]`, the first of the states returned.
        times: strictly monotone; decreasing times integrate backward.
        forcing: `t -> f` with `f` broadcastable to `u0`, such as
            `RandomForcing.on(grid)`; none by default.
        integrator: advances the state by one step.
        substeps: steps of equal length between two kept times.
        checkpoint: whether gradients keep only the state at the start of every
            segment of steps and compute what lies between again, which takes memory
            `O(sqrt(steps))` for one more solution without gradients. A number is the
            length of the segments, `sqrt(steps)` by default. The values are the same.
            Gradients are those of leaf tensors and of `u0`, and cannot be
            differentiated again.
        compile: whether the step is compiled by `torch.compile`, once per shape; worth
            it from hundreds of steps on. It needs a C++ compiler.

    Raises:
        ValueError: if `times` has fewer than one entry or is not strictly monotone,
            if `substeps` or `checkpoint` is no whole number from 1 on, or if the
            forcing does not fit the batch.
        TypeError: if `u0` is not floating-point, or if the forcing or the right-hand
            side has another dtype.
    """
    check_times(times)
    check_state(u0)
    if substeps < 1 or substeps != int(substeps):
        raise ValueError(
            f"A rollout needs at least 1 substep between two times, a whole number, "
            f"not {substeps}."
        )
    if checkpoint is not False and (checkpoint < 1 or checkpoint != int(checkpoint)):
        raise ValueError(
            f"A segment between checkpoints has at least 1 step, a whole number, not "
            f"{checkpoint}."
        )
    if not hasattr(integrator, "bind"):
        raise TypeError(
            f"An integrator is a value such as RK4 or ETDRK4, not {integrator!r}."
        )
    if forcing is not None:
        check_fit(at_time(forcing, float(times[0])), u0)
    step = integrator.bind(rhs, forcing)
    if compile:
        if not getattr(integrator, "compilable", True):
            raise ValueError(
                f"{type(integrator).__name__} works with complex transforms, of which "
                f"a compiler makes nothing faster: leave out compile=True."
            )
        step = _compiled(step, rhs, forcing, u0, retained=checkpoint is not False)
    solver = _Solver(step, times.tolist(), int(substeps), checkpoint)
    # The compiler must not reuse what a graph needs that is gone through repeatedly.
    with functorch_config.patch(donated_buffer=checkpoint is False):
        solution = _isolated(solver, u0)
    if solution.dtype != u0.dtype:
        raise TypeError(
            f"The right-hand side turns a {u0.dtype} state into {solution.dtype}: "
            f"convert its parameters, or the state."
        )
    return solution


def _isolated(solver: "_Solver", u0: Tensor) -> Tensor:
    """A solution in which a sample that blows up spoils no gradient but its own."""
    solution = solver.solve(u0)
    finite = solution.isfinite().all(-1)
    if not solution.requires_grad or _all(finite):
        return solution
    # Zero times infinity would reach the gradients of what the samples share.
    blown = (~finite).long().cummax(-1).values > 0
    again = solver.solve(u0, blown)
    return torch.where(blown.unsqueeze(-1), solution.detach(), again)


def _all(flags: Bool[Tensor, "*any"]) -> bool:
    """Whether all are true, and true under `vmap`, where nothing can be asked."""
    try:
        return bool(flags.all())
    except RuntimeError:
        return True


@dataclass(frozen=True)
class _Solver:
    """Fixed steps between given times."""

    step: Step
    times: list[float]
    substeps: int
    checkpoint: bool | int

    def solve(
        self, u0: Tensor, blown: Bool[Tensor, "*batch time"] | None = None
    ) -> Float[Tensor, "*batch time x"]:
        """The states at all times; a sample stands at zero in steps it is blown in."""
        # Times as Python floats: arithmetic on scalar tensors would cost as much as the
        # small fields themselves.
        steps = [
            (start + i * dt, dt, index, i == self.substeps - 1)
            for index, (start, stop) in enumerate(pairwise(self.times), start=1)
            for dt in [(stop - start) / self.substeps]
            for i in range(self.substeps)
        ]

        def advance(u: Tensor, start: int, stop: int) -> tuple[Tensor, ...]:
            """The state after some of the steps, and those to keep on the way."""
            kept = []
            for t, dt, index, keep in steps[start:stop]:
                if blown is not None:
                    u = torch.where(blown[..., index, None], 0.0, u)
                u = self.step(t, u, dt)
                if keep:
                    kept.append(u)
            return (u, *kept)

        if self.checkpoint is False or not steps or not torch.is_grad_enabled():
            return torch.stack([u0, *advance(u0, 0, len(steps))[1:]], dim=-2)
        length = int(self.checkpoint)
        if self.checkpoint is True:
            length = math.isqrt(len(steps)) + 1
        u, kept = u0, [u0]
        for start in range(0, len(steps), length):
            segment = partial(advance, start=start, stop=start + length)
            u, *more = run_segment(segment, u)
            kept += more
        return torch.stack(kept, dim=-2)


def substeps_within(interval: float, step: float) -> int:
    """The fewest equal steps of at most `step` that make up `interval`."""
    return max(1, math.ceil(interval / step * (1 - 1e-9)))


def _compiled(
    step: Any,
    rhs: Callable[[Tensor], Tensor],
    forcing: Forcing | None,
    like: Tensor,
    *,
    retained: bool,
) -> Step:
    """A compiled step, whose times are tensors so that a new one compiles nothing.

    The compiler keeps what it made beside the code of a function: each right-hand side
    gets a copy of it for each kind of forcing, as they would spoil each other's.
    """
    if hasattr(step, "__code__"):
        try:
            copies = _codes.setdefault(rhs, {})
        except TypeError:
            # Some objects, as those with slots, cannot be keys.
            copies = {}
        kind = (step.__code__, getattr(forcing, "__code__", type(forcing)), retained)
        code = copies.setdefault(kind, step.__code__.replace())
        step = FunctionType(code, step.__globals__, "step", None, step.__closure__)
    compiled = torch.compile(step, dynamic=False)

    @lru_cache(maxsize=64)
    def scalar(value: float) -> Tensor:
        return torch.tensor(value, dtype=like.dtype, device=like.device)

    def timed(t: float, u: Tensor, dt: float) -> Tensor:
        result: Tensor = compiled(scalar(t), u, scalar(dt))  # type: ignore[no-untyped-call]
        return result

    return timed


def check_times(times: Any) -> None:
    """Refuses times that are none, or that do not increase or decrease strictly."""
    if not isinstance(times, Tensor) or times.ndim != 1:
        given = tuple(times.shape) if isinstance(times, Tensor) else type(times)
        raise ValueError(
            f"The times of a rollout are a tensor with one axis, not {given}: give "
            f"one, as in torch.linspace(0, 1, 11)."
        )
    if times.numel() < 1:
        raise ValueError("A rollout needs at least the start time: give `times`.")
    if not bool(times.isfinite().all()):
        raise ValueError("The times of a rollout must be finite, but one is not.")
    gaps = times.diff()
    if not (bool((gaps > 0).all()) or bool((gaps < 0).all())):
        raise ValueError(
            "The times of a rollout must increase or decrease strictly: sort them and "
            "remove duplicates."
        )


def check_state(u0: Tensor) -> None:
    """Refuses a state without points, or of whole numbers."""
    if not u0.is_floating_point():
        raise TypeError(
            f"A state is floating-point, not {u0.dtype}: convert it, as in u0.double()."
        )
    if u0.ndim == 0:
        raise ValueError("A state has at least the axis x, but this is one number.")


def at_time(forcing: Any, t: Any) -> Any:
    """What a forcing returns, after a check that it is one."""
    if not callable(forcing):
        raise TypeError(
            f"A forcing is a function of time, not {type(forcing).__name__}: a "
            f"RandomForcing becomes one by .on(grid)."
        )
    return forcing(t)


def check_fit(force: Any, u0: Tensor) -> None:
    """Refuses a forcing that would change the shape or precision of the state."""
    if not isinstance(force, Tensor):
        raise TypeError(
            f"A forcing returns a tensor, not {type(force).__name__}: give one that is "
            f"broadcastable to the state."
        )
    if force.dtype != u0.dtype:
        raise TypeError(
            f"The forcing is {force.dtype} and the state {u0.dtype}: convert one, as "
            f"in forcing.to(u0.device, u0.dtype)."
        )
    try:
        fits = (force + u0).shape == u0.shape
    except RuntimeError:
        fits = False
    if not fits:
        raise ValueError(
            f"The forcing has shape {tuple(force.shape)}, which does not fit the state "
            f"of shape {tuple(u0.shape)}: select one row of forcing per sample, on the "
            f"state's grid."
        )
