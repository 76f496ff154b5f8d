"""What several tests need."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from stencilnet import Grid


def observed_order(
    error: Callable[[int], float], sizes: Sequence[int], *, floor: float = 1e-13
) -> float:
    """Slope of the error against refinement, between the two finest useful sizes.

    Args:
        error: of a number of points or steps.
        sizes: increasing.
        floor: errors below it are rounding and are left out.
    """
    errors = [(size, error(size)) for size in sizes]
    useful = [(size, value) for size, value in errors if value > floor]
    assert len(useful) >= 2, errors
    (coarse, larger), (fine, smaller) = useful[-2:]
    return math.log(larger / smaller) / math.log(fine / coarse)


def randomize(module: nn.Module, seed: int = 0, scale: float = 0.5) -> None:
    """Gives every weight a normal draw."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            draw = torch.randn(
                parameter.shape, generator=generator, dtype=torch.float64
            )
            parameter.copy_(scale * draw)


def smooth_field(grid: Grid, *, samples: int = 3, seed: int = 0) -> Tensor:
    """Random trigonometric polynomials of degree 3."""
    generator = torch.Generator().manual_seed(seed)
    x = grid.points() * (2 * math.pi / grid.extent[-1])
    modes = torch.arange(1, 4, dtype=torch.float64).unsqueeze(-1)
    waves = torch.cat([(modes * x).sin(), (modes * x).cos()])
    weights = torch.randn(samples, 6, generator=generator, dtype=torch.float64)
    return 0.3 * weights @ waves
