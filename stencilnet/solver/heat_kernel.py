"""The heat kernel on a periodic grid of cells, exact for any step."""

import math

import torch
from torch import Tensor


def gauss_legendre(nodes: int) -> tuple[Tensor, Tensor]:
    """Nodes and weights on `[0, 1]`, float64."""
    import numpy as np

    x, w = np.polynomial.legendre.leggauss(nodes)
    return torch.from_numpy((x + 1) / 2), torch.from_numpy(w / 2)


def kernel_matrix(
    width: Tensor, positions: Tensor, weights: Tensor, low: int, high: int, faces: int
) -> Tensor:
    """Matrix from the nodes of cells around a block of faces to these faces.

    Args:
        width: `4 nu h / dx**2`, shape `(*sample)`.
        low, high: cells in reach to the left and right of a face.
        faces: of the block; cell 0 of the block lies `low` cells left of the first.

    Returns:
        shape `(*sample, node * cells, faces)` with `cells = faces + low + high - 1`.
    """
    cells = faces + low + high - 1
    cell = torch.arange(cells, dtype=positions.dtype) - low
    face = torch.arange(faces, dtype=positions.dtype)
    offset = cell.unsqueeze(-1) - face
    distance = positions.reshape(-1, 1, 1) + offset
    inside = (offset >= -low) & (offset < high)
    width = torch.as_tensor(width, dtype=positions.dtype)[..., None, None, None]
    kernel = weights.reshape(-1, 1, 1) * (-(distance**2) / width).exp()
    return torch.where(inside, kernel, 0.0).flatten(-3, -2)


def drift(
    u: Tensor,
    exponents: list[Tensor],
    scale: Tensor | float,
    matrix: Tensor,
    low: int,
    high: int,
    block: int,
) -> Tensor:
    """Cell averages after the heat kernel has acted on `exp(-psi / 2 nu)`.

    Args:
        u: cell averages at the start, float64, `(*batch, x)`.
        exponents: of each branch, `-psi / 2 nu` at the nodes relative to the cell's
            left face, `(*batch, node, x)`; the exponentials add up.
        scale: `dx / 2 nu`.
        matrix: of `kernel_matrix`.
    """
    points = u.shape[-1]
    steps = scale * u
    whole = steps.sum(-1, keepdim=True)
    # psi / 2 nu at left faces
    left = steps.cumsum(-1) - steps
    blocks = points // block
    cells = block + low + high - 1

    def windows(field: Tensor, jump: Tensor | None) -> Tensor:
        """Cells around each block, `(*batch, ..., block, cells)`."""
        parts = []
        first = -low
        last = points + high - 1
        for k in range(math.floor(first / points), math.ceil(last / points)):
            piece = field[..., max(first - k * points, 0) : min(last - k * points, points)]
            parts.append(piece if jump is None or k == 0 else piece + k * jump)
        padded = torch.cat(parts, -1) if len(parts) > 1 else parts[0]
        return padded.unfold(-1, cells, block) if blocks > 1 else padded.unsqueeze(-2)

    heights = -windows(left, whole)  # (*batch, block, cells)
    reference = heights.detach().amax(-1, keepdim=True)
    heights = (heights - reference).unsqueeze(-3)
    phi = sum((windows(e, None) + heights).exp() for e in exponents)
    phi = phi.transpose(-2, -3).flatten(-2)  # (*batch, block, node * cells)
    phi = phi @ matrix
    potential = -(phi.log() + reference).flatten(-2)  # psi / 2 nu at left faces
    after = torch.cat([potential[..., 1:], potential[..., :1] + whole], -1)
    return (after - potential) / scale
