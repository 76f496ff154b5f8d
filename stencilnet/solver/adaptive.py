"""Integration in time with steps that follow an error estimate, sample by sample."""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from stencilnet.solver.integration import at_time, check_fit, check_state, check_times
from stencilnet.solver.runge_kutta import DormandPrince54, EmbeddedPair, RungeKutta

# A step aims at this part of the tolerance and changes by these factors at most.
_SAFETY = 0.9
_SMALLEST_FACTOR, _LARGEST_FACTOR = 0.2, 5.0


@dataclass(frozen=True)
class AdaptiveSolution:
    """What `adaptive_rollout` returns.

    Attributes:
        u: the trajectory at the times asked for.
        accepted: steps taken by each sample.
        rejected: further steps that each sample tried.
    """

    u: Float[Tensor, "*batch time x"]
    accepted: Int[Tensor, "*batch"]
    rejected: Int[Tensor, "*batch"]


def adaptive_rollout(
    rhs: Callable[[Tensor], Tensor],
    u0: Float[Tensor, "*batch x"],
    times: Float[Tensor, " time"],
    forcing: Callable[[Tensor], Tensor] | None = None,
    *,
    pair: RungeKutta = DormandPrince54,
    relative_tolerance: float = 1e-6,
    absolute_tolerance: float = 1e-9,
    first_step: float | None = None,
    max_steps: int = 100_000,
) -> AdaptiveSolution:
    """Solves `u_t = rhs(u) + forcing(t)` with an error per step below a tolerance.

    Every sample has a clock and a step of its own, which end exactly at the kept
    `times`. A step from `u` to `u'` is accepted if its estimated error `e` has

        mean_x (e / (absolute_tolerance + relative_tolerance max(|u|, |u'|)))**2 <= 1,

    and a proportional-integral controller chooses the next one. A sample does not
    depend on the others; those at the last time wait for them.

    Differentiable with respect to `u0`, everything in `rhs` and `forcing`, with the
    steps as constants. A sample that blows up, where no step is short enough, is NaN
    from the next kept time on and leaves the other samples untouched.

    Source: Hairer, Norsett and Wanner (1993), Solving Ordinary Differential Equations
    I, Sec. II.4; the controller is that of Gustafsson (1991),
    doi:10.1145/210232.210242.

    Args:
        rhs: the right-hand side `u -> u_t`, such as a `Discretization`.
        u0: state at `times[0]`, the first of the states returned.
        times: strictly monotone; decreasing times integrate backward.
        forcing: `t -> f` for a float64 tensor `(*batch, 1)` of one time per sample,
            with `f` broadcastable to `u0`, such as `RandomForcing.on(grid)`.
        pair: a method with an error estimate.
        relative_tolerance: of the error per step, relative to the solution.
        absolute_tolerance: what is added to it, in the units of the solution.
        first_step: length of the first step, positive; estimated by default.
        max_steps: bound of the steps that a sample may try; past it the sample counts
            as blown up, and a warning tells.

    Raises:
        ValueError: if `pair` has no error estimate, if `times` has no entry or is not
            strictly monotone, if a tolerance, `first_step` or `max_steps` is not
            positive, or if the forcing does not fit the batch.
        TypeError: if the forcing has another dtype than `u0`.
    """
    if not isinstance(pair, EmbeddedPair):
        raise ValueError(
            "Adaptive steps need a method with an error estimate: take an "
            "EmbeddedPair, such as DormandPrince54, or `rollout` with fixed steps."
        )
    for name, value in (
        ("relative_tolerance", relative_tolerance),
        ("absolute_tolerance", absolute_tolerance),
        ("first_step", 1.0 if first_step is None else first_step),
        ("max_steps", max_steps),
    ):
        if not (math.isfinite(value) and value > 0):
            raise ValueError(
                f"An adaptive rollout needs a positive {name}, not {value}."
            )
    clock = times.to(u0.device, torch.float64)
    check_times(clock)
    check_state(u0)
    solver = _Solver(rhs, forcing, pair, relative_tolerance, absolute_tolerance)
    return solver.solve(u0, clock, first_step, max_steps)


@dataclass(frozen=True)
class _Solver:
    """A problem with its method and tolerances; the clocks have the shape `batch`."""

    rhs: Callable[[Tensor], Tensor]
    forcing: Callable[[Tensor], Tensor] | None
    pair: EmbeddedPair
    relative_tolerance: float
    absolute_tolerance: float

    def solve(
        self, u0: Tensor, times: Tensor, first_step: float | None, max_steps: int
    ) -> AdaptiveSolution:
        last = len(times) - 1
        sign = -1.0 if last and float(times[1]) < float(times[0]) else 1.0
        t = times[0].expand(u0.shape[:-1]).clone()
        if self.forcing is not None:
            check_fit(at_time(self.forcing, t.unsqueeze(-1)), u0)

        # A sample that starts without a finite slope is given the state of another one
        # and not shown: NaN would otherwise reach the gradients of the others.
        with torch.no_grad():
            blown = ~(_finite(u0) & _finite(self._u_t(t, u0)))
        u = torch.where(blown.unsqueeze(-1), _first_row(u0, ~blown), u0)
        slope = self._u_t(t, u)
        step = self._first_step(t, u, slope, sign, first_step)

        kept = [u0] + [torch.full_like(u0, math.nan)] * last
        following = torch.ones_like(t, dtype=torch.int64)
        accepted, rejected = torch.zeros_like(following), torch.zeros_like(following)
        previous_error = torch.ones_like(t)
        failed = torch.zeros_like(blown)
        while True:
            exceeded = (accepted + rejected >= max_steps) & (following <= last)
            blown = blown | self._used_up(exceeded & ~blown, t, times)
            moving = (following <= last) & ~blown
            if not bool(moving.any()):
                return AdaptiveSolution(torch.stack(kept, dim=-2), accepted, rejected)

            remaining = times[following.clamp(max=last)] - t
            # A last step that is a little longer saves a tiny one.
            arrives = step.abs() * 1.01 >= remaining.abs()
            dt = torch.where(moving, torch.where(arrives, remaining, step), 0.0)
            trial, slopes = self._advance(t, u, slope, dt)
            error = self._error(u, trial, slopes, dt)
            fits = moving & (error <= 1)
            if trial.requires_grad and bool((moving & ~fits).any()):
                # Rejected states may be infinite, and zero times infinity would reach
                # the gradients: the samples that were rejected stand still instead.
                taken = torch.where(fits, dt, 0.0)
                trial, slopes = self._advance(t, u, slope, taken)

            hits = fits & arrives
            t = torch.where(hits, times[following.clamp(max=last)], t + dt * fits)
            u = torch.where(fits.unsqueeze(-1), trial, u)
            if self.pair.first_same_as_last:
                slope = torch.where(fits.unsqueeze(-1), slopes[-1], slope)
            else:
                slope = self._u_t(t, u)
            for index in sorted(set(following[hits].tolist())):
                here = (hits & (following == index)).unsqueeze(-1)
                kept[index] = torch.where(here, u, kept[index])

            step_tried = step
            proposed = self._next_step(dt, step, error, previous_error, fits, failed)
            # A step that was cut short to arrive says little about the next one.
            longer = torch.where(proposed.abs() > step.abs(), proposed, step)
            proposed = torch.where(hits, longer, proposed)
            step = torch.where(moving, proposed, step)
            remembered = fits & ~(hits & (dt.abs() < step_tried.abs()))
            previous_error = torch.where(
                remembered, error.clamp(min=1e-4), previous_error
            )
            failed = torch.where(moving, ~fits, failed)
            accepted, rejected = accepted + fits, rejected + (moving & ~fits)
            following = following + hits
            shortest = 16 * torch.finfo(torch.float64).eps * times.abs().max()
            blown = blown | (moving & ~fits & (step.abs() <= shortest))

    def _u_t(self, t: Tensor, u: Tensor) -> Tensor:
        if self.forcing is None:
            return self.rhs(u)
        return self.rhs(u) + self.forcing(t.unsqueeze(-1))

    def _advance(
        self, t: Tensor, u: Tensor, slope: Tensor, dt: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """The state after a step, and the slopes of all stages."""
        slopes = [slope]
        for row, c in zip(self.pair.a[1:], self.pair.c[1:], strict=True):
            slopes.append(self._u_t(t + c * dt, u + _sum(row, slopes, dt)))
        return u + _sum(self.pair.b, slopes, dt), slopes

    def _error(
        self, u: Tensor, trial: Tensor, slopes: list[Tensor], dt: Tensor
    ) -> Float[Tensor, "*batch"]:
        """Estimated error in units of the tolerance, infinite if it is not finite."""
        with torch.no_grad():
            error = _sum(self.pair.error_weights, slopes, dt)
            size = self._norm(error, torch.maximum(u.abs(), trial.abs()))
            return torch.where(_finite(trial) & size.isfinite(), size, math.inf)

    def _norm(self, v: Tensor, scale: Tensor) -> Float[Tensor, "*batch"]:
        allowed = self.absolute_tolerance + self.relative_tolerance * scale.double()
        return (v.double() / allowed).square().mean(-1).sqrt()

    def _next_step(
        self,
        dt: Tensor,
        step: Tensor,
        error: Tensor,
        previous_error: Tensor,
        fits: Bool[Tensor, "*batch"],
        failed: Bool[Tensor, "*batch"],
    ) -> Float[Tensor, "*batch"]:
        """Gustafsson's controller; after a rejection, the elementary one."""
        order = self.pair.low_order + 1
        now = error.clamp(min=1e-10)
        growth = _SAFETY * now ** (-0.7 / order) * previous_error ** (0.4 / order)
        growth = growth.clamp(_SMALLEST_FACTOR, _LARGEST_FACTOR)
        growth = torch.where(failed, growth.clamp(max=1.0), growth)
        shrink = (_SAFETY * now ** (-1 / order)).clamp(_SMALLEST_FACTOR, _SAFETY)
        return dt * torch.where(fits, growth, shrink)

    def _first_step(
        self, t: Tensor, u: Tensor, slope: Tensor, sign: float, given: float | None
    ) -> Float[Tensor, "*batch"]:
        """Signed first step; estimated from two slopes, as in Hairer et al."""
        if given is not None:
            return torch.full_like(t, sign * given)
        with torch.no_grad():
            scale = u.abs()
            size, speed = self._norm(u, scale), self._norm(slope, scale)
            guess = torch.where(
                (size < 1e-5) | (speed < 1e-5), 1e-6, 0.01 * size / speed
            )
            after = u + _times(sign * guess, slope)
            change = self._u_t(t + sign * guess, after) - slope
            bend = self._norm(change, scale) / guess
            fastest = torch.maximum(speed, bend)
            step = (0.01 / fastest) ** (1 / (self.pair.low_order + 1))
            step = torch.where(fastest <= 1e-15, (1e-3 * guess).clamp(min=1e-6), step)
            step = torch.minimum(100 * guess, step)
            # The trial state may have blown up already.
            return sign * torch.where(step > 0, step, guess)

    def _used_up(
        self, exceeded: Bool[Tensor, "*batch"], t: Tensor, times: Tensor
    ) -> Bool[Tensor, "*batch"]:
        """The samples without a step left, which a warning names."""
        if bool(exceeded.any()):
            indices = exceeded.flatten().nonzero().flatten().tolist()
            warnings.warn(
                f"Sample {', '.join(map(str, indices))} has used up its steps at time "
                f"{float(t.flatten()[indices[0]]):g} of {float(times[-1]):g}: raise "
                f"max_steps or the tolerances, or take an implicit-explicit or "
                f"exponential integrator if the problem is stiff.",
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
