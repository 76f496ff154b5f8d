"""Integration of a semi-discrete equation in time."""

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.integrators import SSPRK3, RungeKutta


def rollout(
    rhs: Callable[[Tensor], Tensor],
    u0: Float[Tensor, "*batch x"],
    times: Float[Tensor, " time"],
    forcing: Callable[[float | Tensor], Tensor] | None = None,
    *,
    integrator: RungeKutta = SSPRK3,
    substeps: int = 1,
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

    Raises:
        ValueError: if `times` has fewer than one entry or is not strictly monotone,
            if `substeps` is below 1, or if the forcing does not fit the batch.
        TypeError: if the forcing has another dtype than `u0`.
    """
    if times.numel() < 1:
        raise ValueError("A rollout needs at least the start time: give `times`.")
    gaps = times.diff()
    if not (bool((gaps > 0).all()) or bool((gaps < 0).all())):
        raise ValueError(
            "The times of a rollout must increase or decrease strictly: sort them and "
            "remove duplicates."
        )
    if substeps < 1:
        raise ValueError(
            f"A rollout needs at least 1 substep between two times, not {substeps}."
        )
    if forcing is not None:
        _check_fit(forcing(float(times[0])), u0)

    def u_t(t: float | Tensor, u: Tensor) -> Tensor:
        return rhs(u) if forcing is None else rhs(u) + forcing(t)

    u = u0
    kept = [u]
    # Times as Python floats: arithmetic on scalar tensors would cost as much as the
    # small fields themselves.
    for start, stop in pairwise(times.tolist()):
        dt = (stop - start) / substeps
        for i in range(substeps):
            u = integrator.step(u_t, start + i * dt, u, dt)
        kept.append(u)
    return torch.stack(kept, dim=-2)


def substeps_within(interval: float, step: float) -> int:
    """The fewest equal steps of at most `step` that make up `interval`."""
    return max(1, math.ceil(interval / step * (1 - 1e-9)))


def _check_fit(force: Tensor, u0: Tensor) -> None:
    """Refuses a forcing that would change the shape of the state."""
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
