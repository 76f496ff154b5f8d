"""The cells around each point of a field."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def shifted(
    u: Float[Tensor, "*batch x"], indices: Sequence[int]
) -> list[Float[Tensor, "*batch x"]]:
    """The fields `u[i + j]`, one for each of consecutive `j` in `indices`.

    Raises:
        ValueError: as for `patches`.

    Example:
        >>> import torch
        >>> from stencilnet.discretizations import shifted
        >>> before, here, after = shifted(torch.arange(5.0) ** 2, (-1, 0, 1))
        >>> (after - 2 * here + before).tolist()  # periodic
        [17.0, 2.0, 2.0, 2.0, -23.0]
    """
    points = u.shape[-1]
    padded, start = _padded(u, indices)
    return [
        padded[..., first : first + points]
        for first in range(start, start + len(indices))
    ]


def patches(
    u: Float[Tensor, "*batch x"], indices: Sequence[int]
) -> Float[Tensor, "*batch x points"]:
    """The values `u[i + j]` around each point `i`, for consecutive `j` in `indices`.

    Raises:
        ValueError: if the stencil reaches further than the grid is long.

    Example:
        >>> import torch
        >>> from stencilnet.discretizations import patches
        >>> patches(torch.arange(4.0), (-1, 0, 1)).tolist()
        [[3.0, 0.0, 1.0], [0.0, 1.0, 2.0], [1.0, 2.0, 3.0], [2.0, 3.0, 0.0]]
    """
    padded, start = _padded(u, indices)
    windows = padded.unfold(-1, len(indices), 1)
    return windows[..., start : start + u.shape[-1], :]


def _padded(u: Tensor, indices: Sequence[int]) -> tuple[Tensor, int]:
    """The field with what the indices reach around it, and where `u[indices[0]]` is."""
    before, after = max(-indices[0], 0), max(indices[-1], 0)
    points = u.shape[-1]
    if max(before, after) > points:
        raise ValueError(
            f"A stencil over the cells {indices[0]} to {indices[-1]} does not fit a "
            f"grid of {points} points: refine the grid or narrow the stencil."
        )
    padded = torch.cat([u[..., points - before :], u, u[..., :after]], dim=-1)
    return padded, indices[0] + before
