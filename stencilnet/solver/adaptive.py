"""Integration in time with steps that follow an error estimate, sample by sample."""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from stencilnet.solver.adaptive_state import AdaptiveSolution, Clocks
from stencilnet.solver.base import Forcing, Integrator, RightHandSide, with_forcing
from stencilnet.solver.problem import (
    Numbers,
    as_state,
    as_times,
    check_forcing,
    check_shape,
    refused_under_vmap,
)
from stencilnet.solver.runge_kutta import DormandPrince54, EmbeddedPair
from stencilnet.solver.steps import Adaptive, Knots

# A step aims at this part of the tolerance and changes by these factors at most.
_SAFETY = 0.9
_SMALLEST_FACTOR, _LARGEST_FACTOR = 0.2, 5.0
# A last step that is a little longer saves a tiny one.
_STRETCH = 1.01


def solve_adaptively(
    rhs: Callable[[Tensor], Tensor],
    u0: Float[Tensor, "*batch x"] | Numbers,
    times: Float[Tensor, " time"] | Numbers,
    forcing: Forcing | None = None,
    *,
    integrator: Integrator = DormandPrince54,
    steps: Adaptive = Adaptive(),  # noqa: B008
) -> AdaptiveSolution:
    """Solves `u_t = rhs(u) + forcing(t)` as `rollout` does, and counts the steps.

    Every sample has a clock and a step of its own, which end exactly at `times`. A
    proportional-integral controller chooses each step. A sample does not depend on the
    others; those at the last time wait for them.

    Differentiable with respect to `u0`, everything in `rhs` and `forcing`, with the
    steps as constants. A sample that blows up, where no step is short enough, is NaN
    from the next of the `times` on and leaves the other samples untouched.

    Source: Hairer, Norsett and Wanner (1993), Solving Ordinary Differential Equations
    I, Sec. II.4; the controller is that of Gustafsson (1991),
    doi:10.1145/210232.210242.

    Args:
        rhs: the right-hand side `u -> u_t`, such as a `Discretization`.
        u0: state at `times[0]`, the first of the states returned.
        times: strictly monotone; decreasing times integrate backward.
        forcing: `t -> f` for a float64 tensor `(*batch, 1)` of one time per sample,
            with `f` broadcastable to `u0`, such as `RandomForcing.on(grid)`.
        integrator: a method with an error estimate.
        steps: tolerances and bounds of the steps.

    Raises:
        ValueError: if `integrator` has no error estimate, if `times` has no entry or is
            not strictly monotone, or if the forcing does not fit the batch.
        TypeError: if the forcing has another dtype than `u0`.

    Example:
        >>> from stencilnet import Adaptive
        >>> from stencilnet.solver import solve_adaptively
        >>> problem = lambda u: 0 * u, [0.0], [0.0, 2.0], lambda t: (t > 1).double()
        >>> blind = solve_adaptively(*problem)
        >>> aware = solve_adaptively(*problem, steps=Adaptive(through=[1.0]))
        >>> float(aware.u[-1].round(decimals=9)), bool(blind.accepted > aware.accepted)
        (1.0, True)
    """
    if not isinstance(integrator, EmbeddedPair):
        raise ValueError(
            "Adaptive steps need a method with an error estimate: take an "
            "EmbeddedPair, such as DormandPrince54, or a fixed number of steps."
        )
    u = as_state(u0)
    clock = as_times(times).to(u.device)
    start = clock[0].expand(*u.shape[:-1], 1)
    if forcing is not None:
        check_forcing(forcing, start, u)
    knots = Knots.between(clock, steps.through)
    with refused_under_vmap("An adaptive step", "pass the samples as one batch"):
        forced = with_forcing(rhs, forcing)
        return _AdaptiveSteps(forced, integrator, steps, knots).solve(u)


@dataclass(frozen=True)
class _AdaptiveSteps:
    """A problem with its method and the rule for its steps."""

    rhs: RightHandSide
    pair: EmbeddedPair
    settings: Adaptive
    knots: Knots

    def solve(self, u0: Tensor) -> AdaptiveSolution:
        clocks = self._start(u0)
        last = len(self.knots.values) - 1
        while True:
            tried = clocks.accepted + clocks.rejected
            exceeded = (tried >= self.settings.max_steps) & (clocks.following <= last)
            clocks.blown = clocks.blown | self._used_up(
                exceeded & ~clocks.blown, clocks.t
            )
            moving = (clocks.following <= last) & ~clocks.blown
            if not bool(moving.any()):
                u = torch.stack(clocks.states, dim=-2)
                return AdaptiveSolution(u, clocks.accepted, clocks.rejected)
            self._round(clocks, moving)

    def _start(self, u0: Tensor) -> Clocks:
        """All clocks at the first time."""
        t = self.knots.values[0].expand(u0.shape[:-1]).clone()
        on_jump = self.knots.jumps[0].expand(t.shape)
        begin = self.knots.after(t, on_jump)
        # A sample that starts without a finite slope is given the state of another one
        # and not shown: NaN would otherwise reach the gradients of the others.
        with torch.no_grad():
            slope = self._u_t(begin, u0)
            check_shape(slope, u0)
            blown = ~(_finite(u0) & _finite(slope))
        u = torch.where(blown.unsqueeze(-1), _first_row(u0, ~blown), u0)
        slope = self._u_t(begin, u)
        step = self._bounded(self._first_step(begin, u, slope))
        states = [u0] + [torch.full_like(u0, math.nan)] * (self.knots.stored - 1)
        clocks = Clocks(t, u, slope, step, blown, states)
        clocks.on_jump = on_jump
        return clocks

    def _round(self, clocks: Clocks, moving: Bool[Tensor, "*batch"]) -> None:
        """One trial step of each sample that has not arrived at the last time."""
        knots = self.knots
        ahead = clocks.following.clamp(max=len(knots.values) - 1)
        remaining = knots.values[ahead] - clocks.t
        arrives = clocks.step.abs() * _STRETCH >= remaining.abs()
        if self.settings.largest_step is not None:
            arrives &= remaining.abs() <= self.settings.largest_step
        dt = torch.where(moving, torch.where(arrives, remaining, clocks.step), 0.0)
        bounds = None
        if self.settings.through:
            end = torch.where(arrives, knots.values[ahead], clocks.t + dt)
            end = knots.before(end, arrives & knots.jumps[ahead])
            begin = knots.after(clocks.t, clocks.on_jump)
            bounds = torch.minimum(begin, end), torch.maximum(begin, end)
        trial, slopes = self._advance(clocks, dt, bounds)
        error = self._error(clocks.u, trial, slopes, dt)
        fits = moving & (error <= 1)
        if trial.requires_grad and bool((moving & ~fits).any()):
            # Rejected states may be infinite, and zero times infinity would reach
            # the gradients: the samples that were rejected stand still instead.
            trial, slopes = self._advance(clocks, torch.where(fits, dt, 0.0), bounds)

        hits = fits & arrives
        clocks.t = torch.where(hits, knots.values[ahead], clocks.t + dt * fits)
        clocks.u = torch.where(fits.unsqueeze(-1), trial, clocks.u)
        jumps = hits & knots.jumps[ahead] & (ahead < len(knots.values) - 1)
        clocks.on_jump = torch.where(fits, jumps, clocks.on_jump)
        if self.pair.first_same_as_last:
            clocks.slope = torch.where(fits.unsqueeze(-1), slopes[-1], clocks.slope)
        stale = jumps if self.pair.first_same_as_last else fits
        if bool(stale.any()):
            slope = self._u_t(knots.after(clocks.t, clocks.on_jump), clocks.u)
            clocks.slope = torch.where(stale.unsqueeze(-1), slope, clocks.slope)
        for knot in sorted(set(clocks.following[hits].tolist()) & set(knots.position)):
            here = (hits & (clocks.following == knot)).unsqueeze(-1)
            index = knots.position[knot]
            clocks.states[index] = torch.where(here, clocks.u, clocks.states[index])
        self._control(clocks, dt, error, fits, hits, moving)
        clocks.following = clocks.following + hits

    def _control(
        self,
        clocks: Clocks,
        dt: Tensor,
        error: Tensor,
        fits: Bool[Tensor, "*batch"],
        hits: Bool[Tensor, "*batch"],
        moving: Bool[Tensor, "*batch"],
    ) -> None:
        """The next step of each sample, from the error of the last one."""
        proposed = self._next_step(clocks, dt, error, fits)
        # A step that was cut short to arrive says little about the next one.
        longer = torch.where(proposed.abs() > clocks.step.abs(), proposed, clocks.step)
        proposed = torch.where(hits, longer, proposed)
        remembered = fits & ~(hits & (dt.abs() < clocks.step.abs()))
        clocks.step = torch.where(moving, self._bounded(proposed), clocks.step)
        clocks.previous_error = torch.where(
            remembered, error.clamp(min=1e-4), clocks.previous_error
        )
        clocks.failed = torch.where(moving, ~fits, clocks.failed)
        clocks.accepted = clocks.accepted + fits
        clocks.rejected = clocks.rejected + (moving & ~fits)
        shortest = 16 * torch.finfo(torch.float64).eps * self.knots.values.abs().max()
        clocks.blown = clocks.blown | (moving & ~fits & (clocks.step.abs() <= shortest))

    def _u_t(self, t: Tensor, u: Tensor) -> Tensor:
        return self.rhs(t.unsqueeze(-1), u)

    def _advance(
        self, clocks: Clocks, dt: Tensor, bounds: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, list[Tensor]]:
        """The state after a step with stage times in bounds, and all slopes."""
        slopes = [clocks.slope]
        for row, c in zip(self.pair.a[1:], self.pair.c[1:], strict=True):
            t = clocks.t + c * dt
            t = t if bounds is None else t.clamp(*bounds)
            slopes.append(self._u_t(t, clocks.u + _sum(row, slopes, dt)))
        return clocks.u + _sum(self.pair.b, slopes, dt), slopes

    def _error(
        self, u: Tensor, trial: Tensor, slopes: list[Tensor], dt: Tensor
    ) -> Float[Tensor, "*batch"]:
        """Estimated error in units of the tolerance, infinite if it is not finite."""
        with torch.no_grad():
            # Forward-mode derivatives pass by no_grad, but not by detach.
            u, trial = u.detach(), trial.detach()
            slopes = [slope.detach() for slope in slopes]
            error = _sum(self.pair.error_weights, slopes, dt)
            size = self._norm(error, torch.maximum(u.abs(), trial.abs()))
            return torch.where(_finite(trial) & size.isfinite(), size, math.inf)

    def _norm(self, v: Tensor, scale: Tensor) -> Float[Tensor, "*batch"]:
        allowed = self.settings.absolute + self.settings.relative * scale.double()
        return (v.double() / allowed).square().mean(-1).sqrt()

    def _next_step(
        self, clocks: Clocks, dt: Tensor, error: Tensor, fits: Bool[Tensor, "*batch"]
    ) -> Float[Tensor, "*batch"]:
        """Gustafsson's controller; after a rejection, the elementary one."""
        order = self.pair.low_order + 1
        current = error.clamp(min=1e-10)
        growth = (
            _SAFETY * current ** (-0.7 / order) * clocks.previous_error ** (0.4 / order)
        )
        growth = growth.clamp(_SMALLEST_FACTOR, _LARGEST_FACTOR)
        growth = torch.where(clocks.failed, growth.clamp(max=1.0), growth)
        shrink = (_SAFETY * current ** (-1 / order)).clamp(_SMALLEST_FACTOR, _SAFETY)
        return dt * torch.where(fits, growth, shrink)

    def _bounded(self, step: Tensor) -> Float[Tensor, "*batch"]:
        largest = self.settings.largest_step
        return step if largest is None else step.clamp(-largest, largest)

    def _first_step(
        self, t: Tensor, u: Tensor, slope: Tensor
    ) -> Float[Tensor, "*batch"]:
        """Signed first step; estimated from two slopes, as in Hairer et al."""
        sign = self.knots.sign
        if self.settings.first_step is not None:
            return torch.full_like(t, sign * self.settings.first_step)
        with torch.no_grad():
            u, slope = u.detach(), slope.detach()
            scale = u.abs()
            size, speed = self._norm(u, scale), self._norm(slope, scale)
            guess = torch.where(
                (size < 1e-5) | (speed < 1e-5), 1e-6, 0.01 * size / speed
            )
            after = u + _times(sign * guess, slope)
            change = self._u_t(t + sign * guess, after).detach() - slope
            bend = self._norm(change, scale) / guess
            fastest = torch.maximum(speed, bend)
            step = (0.01 / fastest) ** (1 / (self.pair.low_order + 1))
            step = torch.where(fastest <= 1e-15, (1e-3 * guess).clamp(min=1e-6), step)
            step = torch.minimum(100 * guess, step)
            # The trial state may have blown up already.
            return sign * torch.where(step > 0, step, guess)

    def _used_up(
        self, exceeded: Bool[Tensor, "*batch"], t: Tensor
    ) -> Bool[Tensor, "*batch"]:
        """The samples without a step left, which a warning names."""
        if bool(exceeded.any()):
            indices = exceeded.flatten().nonzero().flatten().tolist()
            warnings.warn(
                f"Sample {', '.join(map(str, indices))} has used up its steps at time "
                f"{float(t.flatten()[indices[0]]):g} of "
                f"{float(self.knots.values[-1]):g}: raise max_steps or the tolerances, "
                f"or take an implicit-explicit or exponential integrator if the "
                f"problem is stiff.",
                stacklevel=4,
            )
        return exceeded


def _first_row(u: Tensor, good: Bool[Tensor, "*batch"]) -> Tensor:
    """The state of the first of the good samples, without its gradient."""
    rows = u.detach().reshape(-1, u.shape[-1])[good.flatten()]
    return rows[0] if len(rows) else torch.zeros_like(u[..., :1]).detach()


def _times(dt: Tensor, slope: Tensor) -> Tensor:
    """`dt slope` with one step per sample."""
    return dt.to(slope.dtype).unsqueeze(-1) * slope


def _sum(weights: tuple[float, ...], slopes: list[Tensor], dt: Tensor) -> Tensor:
    """`dt sum_j w_j k_j`, without the terms of weight zero."""
    terms = [
        weight * slope for weight, slope in zip(weights, slopes, strict=True) if weight
    ]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return _times(dt, total)


def _finite(u: Tensor) -> Bool[Tensor, "*batch"]:
    return u.isfinite().all(-1)
