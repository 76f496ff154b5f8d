"""Integration of a semi-discrete equation in time."""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from stencilnet.errors import as_number, holds
from stencilnet.solver.adaptive import solve_adaptively
from stencilnet.solver.base import Forcing, Integrator, Step
from stencilnet.solver.cell_picture import CellPicture
from stencilnet.solver.checkpoint import run_segment
from stencilnet.solver.compiling import compiler, retaining_graphs
from stencilnet.solver.problem import (
    Numbers,
    as_state,
    as_times,
    check_forcing,
    check_shape,
    refused_under_vmap,
)
from stencilnet.solver.runge_kutta import SSPRK3, DormandPrince54
from stencilnet.solver.steps import Adaptive, StableStep

# How often at most a solution that outgrew its stable steps is solved again, and how
# many times shorter each time: what blows up under any steps comes to an end.
_TRIES, _SHORTER = 3, 4
# A size past which eigenvalues overflow single precision.
_BLOWN = 1e30


def rollout(
    rhs: Callable[[Tensor], Tensor] | CellPicture,
    u0: Float[Tensor, "*batch x"] | Numbers,
    times: Float[Tensor, " time"] | Numbers,
    forcing: Forcing | None = None,
    *,
    integrator: Integrator | None = None,
    steps: int | str | Adaptive | StableStep = 1,
    checkpoint: bool | int = False,
    compile: bool = False,  # noqa: A002
) -> Float[Tensor, "*batch time x"]:
    """Solves `u_t = rhs(u) + forcing(t)` and returns the solution at `times`.

    Differentiable with respect to `u0`, everything in `rhs` and `forcing`. The
    forcing is evaluated at the stage times of the integrator. A blow-up shows as
    infinities or NaN in the result and leaves the other samples and their gradients
    untouched, at the price of a second run where there are gradients.

    Args:
        rhs: the right-hand side `u -> u_t`, such as a `Discretization`; a picture of
            the solution within cells under `ColeHopf`.
        u0: state at `times[0]`, the first of the states returned.
        times: strictly monotone; decreasing times integrate backward.
        forcing: `t -> f` with `f` broadcastable to `u0`, such as
            `RandomForcing.on(grid)`; none by default. The time is a float64 tensor on
            the device of `u0`: one number, or `(*batch, 1)` under adaptive steps.
        integrator: advances the state by one step: `SSPRK3` by default, and
            `DormandPrince54` under adaptive steps.
        steps: between two of the `times`: a number of equal steps; `StableStep()`, or
            "stable" for short, for as many equal steps as stability needs at half of
            the limit, which need not be the best at equal cost, solved again with
            more of them where the solution outgrows its initial state; or
            `Adaptive()` for steps that follow an error estimate, sample by sample.
            `solve_adaptively` counts the latter.
        checkpoint: whether gradients store only the state at the start of each segment
            of steps and recompute the steps in between during backward, which takes
            memory `O(sqrt(steps))` for one more solution without gradients. A number is
            the length of the segments, `sqrt(steps)` by default. The values are the
            same. Gradients are those of leaf tensors and of `u0`, and cannot be
            differentiated again. For equal steps only.
        compile: whether the step is compiled by `torch.compile`, once per shape; worth
            it from hundreds of steps on. It needs a C++ compiler. For equal steps only.

    Raises:
        ValueError: if `times` has fewer than one entry or is not strictly monotone,
            if `steps` or `checkpoint` is not a positive integer, if the right-hand side
            has no stable step where one is needed, if the integrator has no error
            estimate where one is needed, or if the forcing does not fit the batch.
        TypeError: if `u0` is not floating-point, or if the forcing or the right-hand
            side has another dtype.

    Example:
        >>> import torch
        >>> from stencilnet import Burgers, Grid, RandomForcing, Weno, rollout
        >>> weno = Weno(Burgers(viscosity=0.02), Grid.line(32))
        >>> force = RandomForcing.sample(4, seed=0).on(weno.grid, averages=True)
        >>> times = torch.linspace(0, 1, 11).double()
        >>> u = rollout(weno, 0 * force(0.0), times, force, steps=2)
        >>> tuple(u.shape)  # (sample, time, x)
        (4, 11, 32)
    """
    u, clock = as_state(u0), as_times(times)
    # Whether it is a function or a picture is for the integrator to say.
    method: Any = rhs
    if isinstance(steps, Adaptive):
        if checkpoint is not False or compile:
            raise ValueError(
                "Adaptive steps are neither checkpointed nor compiled: choose a number "
                "of steps, or drop checkpoint and compile."
            )
        pair = DormandPrince54 if integrator is None else _checked(integrator)
        return solve_adaptively(
            method, u, clock, forcing, integrator=pair, steps=steps
        ).u
    integrator = SSPRK3 if integrator is None else _checked(integrator)
    if not isinstance(checkpoint, bool):
        _positive("checkpoint", checkpoint)
    if forcing is not None:
        check_forcing(forcing, clock[0].to(u.device), u)
    knots = clock.tolist()
    counts = _step_counts(method, u, knots, integrator, steps)
    context: AbstractContextManager[None] = nullcontext()
    if compile:
        if not integrator.compilable:
            raise ValueError(
                f"{type(integrator).__name__} works on complex transforms, which "
                f"torch.compile does not speed up: drop compile=True."
            )
        retained = checkpoint is not False
        context = retaining_graphs() if retained else context
        faster = compiler(method, forcing, u.device, retained=retained)
        step = integrator.bind_compiled(method, forcing, faster)
    else:
        step = integrator.bind(method, forcing)
    with context:
        solution = _isolated(_EqualSteps(step, knots, counts, checkpoint), u)
        if solution.dtype != u.dtype:
            raise TypeError(
                f"The right-hand side turns a {u.dtype} state into {solution.dtype}: "
                f"convert its parameters, or the state."
            )
        for _ in range(_TRIES):
            counts = _outgrown(rhs, solution, knots, integrator, steps, counts)
            if not counts:
                break
            solution = _isolated(_EqualSteps(step, knots, counts, checkpoint), u)
    return solution


def substeps_within(interval: float, step: float) -> int:
    """The fewest equal steps of at most `step` that make up `interval`.

    Raises:
        ValueError: if `step` is not positive.

    Example:
        >>> from stencilnet.solver import substeps_within
        >>> substeps_within(1.0, 0.3), substeps_within(2.1, 0.7)
        (4, 3)
    """
    if not step > 0:
        raise ValueError(f"A step must be positive, not {step}.")
    return max(1, math.ceil(interval / step * (1 - 1e-9)))


def _checked(integrator: Any) -> Integrator:
    if not isinstance(integrator, Integrator):
        raise TypeError(
            f"An integrator is a value such as RK4 or ETDRK4, not {integrator!r}."
        )
    return integrator


def _positive(name: str, value: Any) -> int:
    """A setting as an integer, if it is a positive one."""
    number = as_number(value)
    if number is None or number < 1 or not number.is_integer():
        raise ValueError(f"`{name}` must be a positive integer, not {value!r}.")
    return int(number)


def _step_counts(
    rhs: Any,
    u0: Tensor,
    times: list[float],
    integrator: Integrator,
    steps: Any,
) -> list[int]:
    """Numbers of equal steps, one for each gap between two times."""
    if isinstance(steps, str):
        if steps != "stable":
            raise ValueError(
                f"`steps` is a positive integer, 'stable', StableStep() or Adaptive(), "
                f"not {steps!r}."
            )
        steps = StableStep()
    if not isinstance(steps, StableStep):
        return [_positive("steps", steps)] * (len(times) - 1)
    if not hasattr(rhs, "stable_step"):
        raise ValueError(
            f"A stable step needs a Discretization, which knows its eigenvalues, not "
            f"{type(rhs).__name__}: choose a number of steps, or Adaptive()."
        )
    with refused_under_vmap("A stable step", "choose a number of steps"):
        limit = steps.safety * rhs.stable_step(u0, integrator)
    if not limit > 0:
        raise ValueError(
            f"{integrator!r} has no stable step for this right-hand side: take another "
            f"integrator, such as RK4."
        )
    return [substeps_within(abs(b - a), limit) for a, b in pairwise(times)]


def _outgrown(
    rhs: Any,
    solution: Tensor,
    times: list[float],
    integrator: Integrator,
    steps: Any,
    counts: list[int],
) -> list[int]:
    """Numbers of stable steps for a solution that its own were too long for, or none.

    Steps were chosen for the initial state, and a forcing may have driven the solution
    out of its range: they are too long if they pass the limit at its largest state.
    """
    if not isinstance(steps, str | StableStep) or not counts:
        return []
    safety = StableStep().safety if isinstance(steps, str) else steps.safety
    gaps = [abs(stop - start) for start, stop in pairwise(times)]
    longest = max(gap / count for gap, count in zip(gaps, counts, strict=True))
    sizes = solution.detach().abs().amax(-1)
    limit = longest / _SHORTER / safety
    if holds((sizes < _BLOWN).all()):
        peak = int(sizes.reshape(-1, sizes.shape[-1]).amax(0).argmax())
        stable = rhs.stable_step(solution.detach()[..., peak, :], integrator)
        if longest <= stable * max(safety, 1.0) * (1 + 1e-9):
            return []
        limit = max(limit, stable)
    return [substeps_within(gap, safety * limit) for gap in gaps]


def _isolated(solver: "_EqualSteps", u0: Tensor) -> Tensor:
    """A solution in which a sample that blows up spoils no gradient but its own."""
    solution = solver.solve(u0)
    finite = solution.isfinite().all(-1)
    if not solution.requires_grad or holds(finite.all()):
        return solution
    # Zero times infinity would reach the gradients of what the samples share.
    blown = (~finite).long().cummax(-1).values > 0
    isolated = solver.solve(u0, blown)
    return torch.where(blown.unsqueeze(-1), solution.detach(), isolated)


@dataclass(frozen=True)
class _EqualSteps:
    """Equal steps between two times: how many, and by what."""

    step: Step
    times: list[float]
    counts: Sequence[int]
    checkpoint: bool | int

    def solve(
        self, u0: Tensor, blown: Bool[Tensor, "*batch time"] | None = None
    ) -> Float[Tensor, "*batch time x"]:
        """The states at all times; a sample stands at zero in steps it is blown in."""
        # Times as Python floats: arithmetic on scalar tensors would cost as much as the
        # small fields themselves.
        steps = [
            (start + i * dt, dt, index, i == count - 1)
            for index, (start, stop) in enumerate(pairwise(self.times), start=1)
            for count in [self.counts[index - 1]]
            for dt in [(stop - start) / count]
            for i in range(count)
        ]

        def advance(u: Tensor, start: int, stop: int) -> tuple[Tensor, ...]:
            """The state after some of the steps, and those to return on the way."""
            states = []
            for t, dt, index, arrived in steps[start:stop]:
                if blown is not None:
                    u = torch.where(blown[..., index, None], 0.0, u)
                u = self.step(t, u, dt)
                if arrived:
                    states.append(u)
            return (u, *states)

        if self.checkpoint is False or not steps or not torch.is_grad_enabled():
            return _stacked([u0, *advance(u0, 0, len(steps))[1:]])
        length = int(self.checkpoint)
        if self.checkpoint is True:
            length = math.isqrt(len(steps)) + 1
        u, states = u0, [u0]
        for start in range(0, len(steps), length):
            segment = partial(advance, start=start, stop=start + length)
            u, *arrivals = run_segment(segment, u)
            states += arrivals
        return _stacked(states)


def _stacked(states: list[Tensor]) -> Float[Tensor, "*batch time x"]:
    """States along a time axis, once the right-hand side has kept their shape."""
    for u in states:
        check_shape(u, states[0])
    return torch.stack(states, dim=-2)
