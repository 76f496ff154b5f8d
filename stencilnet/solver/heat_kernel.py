"""The heat kernel on a periodic grid of cells, exact for any step.

With `psi_x = u` and `phi = exp(-psi / 2 nu)`, Burgers' equation without forcing is
`phi_t = nu phi_xx` (Hopf 1950, doi:10.1002/cpa.3160030302; Cole 1951,
doi:10.1090/qam/42889), so that

    phi(x, h) = int G(x - y) phi(y, 0) dy,    G(d) = exp(-d**2 / 4 nu h).

The values of `psi` at faces are sums of cell averages, periodic up to the mean flow;
what `phi` is *within* a cell is for the caller to say.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

# Largest exponent of an exponential in float64, with room for products.
LARGEST_EXPONENT = 600.0
# Deviations of the kernel after which a contribution is below the rounding of a dtype.
_TAIL = {torch.float32: 5.7, torch.float64: 8.5}
# Faces that share one matrix, at most: it grows with their square.
_BLOCK = 64


def gauss_legendre(
    nodes: int,
) -> tuple[Float[Tensor, " node"], Float[Tensor, " node"]]:
    """Nodes and weights of Gauss and Legendre's quadrature on `[0, 1]`, in float64."""
    x, weights = _leggauss(nodes)
    return torch.from_numpy(x), torch.from_numpy(weights)


# Not as tensors: those that are made in inference mode serve no gradients later.
@lru_cache(maxsize=32)
def _leggauss(nodes: int) -> tuple[np.ndarray, np.ndarray]:
    x, weights = np.polynomial.legendre.leggauss(nodes)
    return (x + 1) / 2, weights / 2


class Reach(NamedTuple):
    """Cells that the kernel takes into account.

    Attributes:
        left, right: number of cells to either side of a face; negative where the flow
            carries all of them to the other side.
        block: number of faces that share one matrix and one reference exponent.
    """

    left: int
    right: int
    block: int

    @property
    def cells(self) -> int:
        """Cells around a block."""
        return self.block + self.left + self.right - 1

    @classmethod
    def cover(
        cls,
        speeds: tuple[float, float],
        h: float,
        *,
        viscosity: float,
        dx: float,
        dtype: torch.dtype,
    ) -> "Reach":
        """The reach for states within a range of speeds.

        The exponent `psi(y) + (x - y)**2 / 2 h` has its minimum at `y = x - h u(y)`,
        and outside of `[x - h max u - d, x - h min u + d]` it exceeds its value at the
        ends by at least `d**2 / 2 h`. `d` is chosen so that what is left out is below
        the rounding of `dtype`, and a cell is added, as averages hide extremes. Blocks
        have one face.
        """
        tail = _TAIL[dtype] * math.sqrt(2 * viscosity * h) + dx
        left, right = (
            _rounded_up((tail + h * speed) / dx) for speed in (speeds[1], -speeds[0])
        )
        return cls(left, right, 1)


def _rounded_up(cells: float) -> int:
    """An even number at most a half larger, as a compiler should meet few."""
    step = 2 ** max(1, math.floor(math.log2(max(abs(cells), 1))) - 1)
    return step * math.ceil(cells / step)


def block_lengths(points: int) -> list[int]:
    """Numbers of faces that a block may have on a grid, largest first."""
    largest = min(points, _BLOCK)
    return [b for b in range(largest, 0, -1) if points % b == 0]


def kernel_matrix(
    width: Float[Tensor, "*#sample"],
    reach: Reach,
    nodes: int,
    shift: float | Tensor = 0.0,
) -> Float[Tensor, "*#sample entry face"]:
    """The kernel from the nodes of the cells around a block to its faces.

    Args:
        width: `4 nu h / dx**2`, in float64.
        reach: of the drift.
        nodes: quadrature nodes of a cell.
        shift: cells by which the frame moves, where `phi` belongs to a moving one.

    Returns:
        One row for each node of each cell, nodes first; without the norm of the
        kernel, which drops out of differences of `log(phi)`.
    """
    positions, weights = (value.to(width.device) for value in gauss_legendre(nodes))
    # One value for each distance between a cell and a face, and copies of these.
    offset = torch.arange(reach.cells + reach.block - 1, device=width.device)
    offset = offset - (reach.left + reach.block - 1)
    # In double precision before a number is added, or torch rounds to single.
    distance = positions.unsqueeze(-1) + offset.to(positions) + shift
    inside = (offset >= -reach.left) & (offset < reach.right)
    kernel = weights.unsqueeze(-1) * (-(distance**2) / width[..., None, None]).exp()
    around = torch.where(inside, kernel, 0.0).unfold(-1, reach.cells, 1)
    return around.flip(-2).mT.flatten(-3, -2)


def drift(
    u: Float[Tensor, "*batch x"],
    exponents: tuple[Float[Tensor, "*batch node x"], ...],
    scale: float | Float[Tensor, "*#batch 1"],
    matrix: Float[Tensor, "*#sample entry face"],
    reach: Reach,
) -> Float[Tensor, "*batch x"]:
    """Cell averages after the heat kernel has acted for a time.

        u'_i = u_i - 2 nu / dx (g_(i+1/2) - g_(i-1/2)),    g = log(phi' / phi)

    so that the mean is kept to rounding.

    Args:
        u: cell averages before, in float64.
        exponents: `log(phi)` at the nodes of each cell relative to its left face, for
            each of the branches whose exponentials add up to `phi`.
        scale: `dx / 2 nu`.
        matrix: from `kernel_matrix`.
        reach: likewise.
    """
    rise = scale * u
    whole = rise.sum(-1, keepdim=True)
    heights = _around(rise - rise.cumsum(-1), reach, -whole)
    # The largest exponent of a block becomes zero; it cancels in the logarithm.
    reference = heights.detach().amax(-1, keepdim=True)
    heights = (heights - reference).unsqueeze(-3)
    terms = [(_around(branch, reach) + heights).exp() for branch in exponents]
    phi = sum(terms[1:], terms[0]).transpose(-2, -3).flatten(-2) @ matrix
    psi = -(phi.log() + reference).flatten(-2)
    following = torch.cat([psi[..., 1:], psi[..., :1] + whole], dim=-1)
    return (following - psi) / scale


def _around(
    field: Float[Tensor, "*batch x"], reach: Reach, jump: Tensor | None = None
) -> Float[Tensor, "*batch block cell"]:
    """Cells around each block of faces, from a field that is periodic up to a jump."""
    points = field.shape[-1]
    first, last = -reach.left, points + reach.right - 1
    parts = []
    for period in range(math.floor(first / points), math.ceil(last / points)):
        start, stop = first - period * points, last - period * points
        part = field[..., max(start, 0) : min(stop, points)]
        parts.append(part if jump is None or period == 0 else part + period * jump)
    padded = torch.cat(parts, dim=-1) if len(parts) > 1 else parts[0]
    if points == reach.block:
        return padded.unsqueeze(-2)
    return padded.unfold(-1, reach.cells, reach.block)
