"""Integration of a semi-discrete equation in time."""

import math
from collections.abc import Callable
from functools import lru_cache, partial
from itertools import pairwise
from types import CodeType, FunctionType
from typing import Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.checkpointing import leaves_of, run_segment
from stencilnet.integrators import SSPRK3, Forcing, Integrator, Step

_codes: WeakKeyDictionary[Any, dict[CodeType, CodeType]] = WeakKeyDictionary()


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
    infinities or NaN in the result and leaves the other samples untouched.

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
            `O(sqrt(steps))` and about a third more time. A number is the length of the
            segments, `sqrt(steps)` by default. The values are the same.
        compile: whether the step is compiled by `torch.compile`, once per shape; worth
            it from hundreds of steps on. It needs a C++ compiler.

    Raises:
        ValueError: if `times` has fewer than one entry or is not strictly monotone,
            if `substeps` or `checkpoint` is below 1, or if the forcing does not fit the
            batch.
        TypeError: if the forcing has another dtype than `u0`.
    """
    check_times(times)
    if substeps < 1:
        raise ValueError(
            f"A rollout needs at least 1 substep between two times, not {substeps}."
        )
    if checkpoint is not False and checkpoint < 1:
        raise ValueError(
            f"A segment between checkpoints has at least 1 step, not {checkpoint}."
        )
    if forcing is not None:
        check_fit(forcing(float(times[0])), u0)
    step = integrator.bind(rhs, forcing)
    if compile:
        step = _compiled(step, rhs, u0)
    # Times as Python floats: arithmetic on scalar tensors would cost as much as the
    # small fields themselves.
    steps = [
        (start + i * dt, dt, i == substeps - 1)
        for start, stop in pairwise(times.tolist())
        for dt in [(stop - start) / substeps]
        for i in range(substeps)
    ]

    def advance(u: Tensor, start: int, stop: int) -> tuple[Tensor, ...]:
        """The state after some of the steps, and those to keep on the way."""
        kept = []
        for t, dt, keep in steps[start:stop]:
            u = step(t, u, dt)
            if keep:
                kept.append(u)
        return (u, *kept)

    if checkpoint is False or not steps or not torch.is_grad_enabled():
        return torch.stack([u0, *advance(u0, 0, len(steps))[1:]], dim=-2)
    first_t, first_dt, _ = steps[0]
    leaves = leaves_of(step(first_t, u0.detach().requires_grad_(), first_dt))
    length = math.isqrt(len(steps)) + 1 if checkpoint is True else checkpoint
    u, kept = u0, [u0]
    for start in range(0, len(steps), length):
        segment = partial(advance, start=start, stop=start + length)
        u, *more = run_segment(segment, u, leaves)
        kept += more
    return torch.stack(kept, dim=-2)


def substeps_within(interval: float, step: float) -> int:
    """The fewest equal steps of at most `step` that make up `interval`."""
    return max(1, math.ceil(interval / step * (1 - 1e-9)))


def _compiled(step: Any, rhs: Callable[[Tensor], Tensor], like: Tensor) -> Step:
    """A compiled step, whose times are tensors so that a new one compiles nothing.

    The compiler keeps what it made beside the code of a function: each right-hand side
    gets a copy of it, as they would spoil each other's.
    """
    copies = _codes.setdefault(rhs, {})
    code = copies.setdefault(step.__code__, step.__code__.replace())
    own = FunctionType(code, step.__globals__, "step", None, step.__closure__)
    compiled = torch.compile(own, dynamic=False)

    @lru_cache(maxsize=64)
    def scalar(value: float) -> Tensor:
        return torch.tensor(value, dtype=like.dtype, device=like.device)

    def timed(t: float, u: Tensor, dt: float) -> Tensor:
        result: Tensor = compiled(scalar(t), u, scalar(dt))
        return result

    return timed


def check_times(times: Float[Tensor, " time"]) -> None:
    """Refuses times that are none, or that do not increase or decrease strictly."""
    if times.numel() < 1:
        raise ValueError("A rollout needs at least the start time: give `times`.")
    gaps = times.diff()
    if not (bool((gaps > 0).all()) or bool((gaps < 0).all())):
        raise ValueError(
            "The times of a rollout must increase or decrease strictly: sort them and "
            "remove duplicates."
        )


def check_fit(force: Tensor, u0: Tensor) -> None:
    """Refuses a forcing that would change the shape or precision of the state."""
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
