"""Rollouts to stored times, in steps that may be longer than the intervals."""

import copy
import dataclasses
import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.discretizations import Discretization, Picture
from stencilnet.forcing import StoredForcing
from stencilnet.solver import (
    CHIN_4A,
    FOUR_DRIFTS,
    SSPRK3,
    STRANG,
    THREE_DRIFTS,
    ColeHopf,
    Integrator,
    rollout,
    substeps_within,
)
from stencilnet.study.metrics import longest_interval

# By their number of drifts.
_SPLITTINGS = (STRANG, CHIN_4A, THREE_DRIFTS, FOUR_DRIFTS)


def usual_integrator(method: Discretization) -> Integrator:
    """Exact evolution for pictures of a cell, SSPRK3 for all other methods."""
    return ColeHopf() if isinstance(method, Picture) else SSPRK3


def follow(
    method: Discretization,
    u0: Float[Tensor, "sample x"],
    times: Float[Tensor, " time"],
    forcing: StoredForcing,
    *,
    integrator: Integrator,
    step: float,
) -> tuple[Float[Tensor, "sample time x"], float]:
    """The solution at all times, and the step taken.

    Intervals are divided into equal steps of at most `step`. Exact evolution takes
    steps of several intervals where `step` allows it, as its error grows with their
    number; the states in between are side steps, from which nothing continues, in
    fewer drifts the shorter they are. They are less accurate than the steps.

    Args:
        method: the right-hand side, or a picture of a cell.
        u0: states at `times[0]`.
        times: equidistant where steps span several intervals.
        forcing: one row per sample, on the clock of `times`.
        integrator: of the rollout.
        step: the longest step, in units of time.
    """
    interval = longest_interval(times)
    stride = int(min(step / interval * (1 + 1e-9), len(times) - 1))
    if not isinstance(integrator, ColeHopf) or stride < 2:
        substeps = substeps_within(interval, step)
        force = forcing.on(method.grid, averages=method.averages)
        u = rollout(method, u0, times, force, integrator=integrator, steps=substeps)
        return u, interval / substeps
    force = forcing.on(method.grid, averages=True)
    u = u0.new_empty(*u0.shape[:-1], len(times), u0.shape[-1])
    u[:, ::stride] = rollout(method, u0, times[::stride], force, integrator=integrator)
    for ahead in range(1, stride):
        reached = u[:, ahead::stride].shape[1]
        # All side steps of one length are one batch: a row for each start.
        starts = u[:, : reached * stride : stride]
        rows = torch.arange(len(u0)).repeat_interleave(reached)
        clocks = times[: reached * stride : stride].repeat(len(u0))
        shifted = forcing.select(rows).starting_at(clocks)
        ends = rollout(
            method,
            starts.flatten(end_dim=1),
            torch.tensor([0.0, ahead * interval], dtype=torch.float64),
            shifted.on(method.grid, averages=True),
            integrator=shortened(integrator, ahead / stride),
        )[:, -1]
        u[:, ahead::stride] = ends.reshape(len(u0), reached, -1)
    return u, stride * interval


def follow_on(
    place: tuple[torch.device, torch.dtype],
    method: Discretization,
    u0: Float[Tensor, "sample x"],
    times: Float[Tensor, " time"],
    forcing: StoredForcing,
    **settings: Any,
) -> tuple[Float[Tensor, "sample time x"], float]:
    """`follow` on a device, in a precision, by a copy of the method, without gradients.

    The solution is on the processor.
    """
    there, force = copy.deepcopy(method).to(*place), forcing.to(*place)
    with torch.no_grad():
        u, step = follow(there, u0.to(*place), times, force, **settings)
    return u.cpu(), step


def shortened(integrator: ColeHopf, share: float) -> ColeHopf:
    """Exact evolution for a step that is a share of the usual one.

    Each drift adds an error of the picture, so that its drifts stay about as long as
    the usual ones. One drift alone is of second order: it does for half a drift.

    Args:
        integrator: of the usual step.
        share: below 1.
    """
    usual = len(integrator.splitting.drifts)
    whole = share * usual
    drifts = 1 if whole <= 0.5 else max(2, math.floor(whole * (1 + 1e-9)) + 1)
    if drifts >= usual or drifts > len(_SPLITTINGS):
        return integrator
    return dataclasses.replace(integrator, splitting=_SPLITTINGS[drifts - 1])
