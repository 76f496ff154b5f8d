"""Long rollouts of a picture from rest, and of their mirror image."""

import torch
from torch import Tensor

from stencilnet.discretizations import Picture
from stencilnet.forcing import RandomForcing
from stencilnet.solver import ColeHopf, rollout
from stencilnet.study.transformations import mirrored_forcing, mirrored_states


def endurance(
    picture: Picture,
    forcing: RandomForcing,
    *,
    until: int,
    start: int = 10,
    after: int = 4,
) -> tuple[int, float]:
    """Blow-ups of a rollout from rest, and how far it is from its mirror image.

    Args:
        picture: of the cells, on the grid to solve on.
        forcing: one row per sample.
        until: length of the rollout, an even number.
        start: time of the state that both images start from, even.
        after: how long they go on, even.

    Returns:
        Number of samples that are not finite or exceed 100, and the largest difference
        between a solution and the mirror image of the mirrored problem's.
    """
    grid, count = picture.grid, len(forcing)
    image = mirrored_forcing(forcing)

    def solve(state: Tensor, waves: RandomForcing, duration: int) -> Tensor:
        return rollout(
            picture,
            state,
            torch.arange(0, duration + 1, 2, dtype=torch.float64),
            waves.on(grid, averages=True),
            integrator=ColeHopf(),
            steps=5,
        )

    with torch.no_grad():
        rest = torch.zeros(count, *grid.shape, dtype=torch.float64)
        u = solve(rest, forcing, until)
        state = u[:, start // 2]
        end = solve(state, forcing, after)
        left = solve(mirrored_states(lambda _: state)(grid), image, after)
    right = mirrored_states(lambda _: left)(grid)
    blown = int((~(u.abs() < 100)).flatten(1).any(-1).sum())
    return blown, float((right - end).abs().max())
