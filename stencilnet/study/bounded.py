"""Resolved solutions between boundaries, and on a period by the same call."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.discretizations import CLASSICAL
from stencilnet.grid import Grid
from stencilnet.solver import RK4, rollout
from stencilnet.study.initial import averaged
from stencilnet.study.reference import (
    InitialValueProblem,
    UnresolvedError,
    coarsening,
    reference_solution,
)

# Smooth solutions converge at seventh order, shocks stay calm.
_METHOD = "weno_7"
# Through so many parts of a cell the averages of an initial state are taken.
_PARTS = 4


def solution_of(
    problem: InitialValueProblem,
    grid: Grid,
    *,
    courant: float = 0.8,
    steps: Sequence[int] | None = None,
    device: torch.device | str = "cpu",
) -> Iterator[tuple[Tensor, int]]:
    """The solution at each of the times, and the steps taken to get there.

    On a period its modes, see `reference_solution`; between boundaries cell averages,
    by WENO of seventh order and RK4 in steps of `courant` times the stable one.

    Raises:
        UnresolvedError: if the solution is not finite, with the time and the sample.
    """
    if grid.boundaries is None:
        yield from reference_solution(
            problem, grid, courant=courant, steps=steps, device=device
        )
        return
    method = CLASSICAL[_METHOD].build(problem.equation, grid).to(device)
    force = problem.forcing.to(device).on(grid, averages=True)
    u = averaged(problem.states, grid, _PARTS).to(device)
    yield u, 0
    for number, (start, stop) in enumerate(pairwise(problem.times.tolist())):
        if steps is None:
            stable = courant * method.stable_step(u, RK4)
            substeps = max(1, math.ceil((stop - start) / stable))
        else:
            substeps = steps[number]
        interval = torch.tensor([start, stop], dtype=torch.float64)
        with torch.no_grad():
            u = rollout(method, u, interval, force, integrator=RK4, steps=substeps)
        u = u[:, -1]
        bad = ~torch.isfinite(u).all(-1)
        if bad.any():
            raise UnresolvedError(
                f"The reference blew up in sample {int(bad.nonzero()[0])} before time "
                f"{stop:g}: lower reference.courant below {courant:g}, or raise "
                f"reference.points above {grid.shape[-1]}."
            )
        yield u, substeps


def coarse_averages(
    u: Float[Tensor, "*batch x"], fine: Grid, points: int
) -> Float[Tensor, "*batch coarse"]:
    """Averages over the cells of a coarse grid, exact from those of a fine one."""
    parts = coarsening(fine, points)
    return u.reshape(*u.shape[:-1], points, parts).mean(-1)
