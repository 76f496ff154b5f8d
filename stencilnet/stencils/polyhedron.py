"""Nearest points of polyhedra, for many points at once and differentiably."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

# Both apply to normals of unit length.
_VIOLATION = 1e-13
_DEPENDENCE = 1e-12


def nearest_in_polyhedron(
    points: Float[Tensor, "rows n"],
    normals: Float[Tensor, "m n"] | Float[Tensor, "rows m n"],
    bounds: Float[Tensor, "rows m"],
) -> Float[Tensor, "rows n"]:
    """The nearest point to each of `points` that satisfies `normals y <= bounds`.

        y = argmin |y - p|**2  subject to  B y <= e

    `active_inequalities` determines the active set; the nearest point is then the
    projection onto its face,

        y = p - B_a.T l,    (B_a B_a.T) l = B_a p - e_a.

    Differentiating this projection is the implicit function theorem at the active set.
    Where a multiplier `l` vanishes the result is one of the generalized gradients.

    Args:
        points: float64.
        normals: `B`, rows of unit length, or zero; one set for all points or one per
            point.
        bounds: `e`.

    Returns:
        A point per row; NaN in rows without a feasible point and in rows with NaN.
    """
    if not bounds.shape[-1]:
        return points
    with torch.no_grad():
        active, blocking = active_inequalities(points, normals, bounds)
    # Most rows of a well-posed layer are interior and stay as they are.
    exterior = active.any(-1).nonzero().squeeze(-1)
    if exterior.numel():
        on_faces = _nearest_on_face(
            points[exterior],
            _rows_of(normals, exterior),
            bounds[exterior],
            active[exterior],
        )
        nearest = points.index_copy(0, exterior, on_faces)
    else:
        nearest = points
    size = points.norm(dim=-1) + bounds.clamp(max=0).norm(dim=-1)
    invalid = (blocking >= 0) | ~torch.isfinite(size) | bounds.isnan().any(-1)
    return torch.where(invalid.unsqueeze(-1), torch.nan, nearest)


def active_inequalities(
    points: Float[Tensor, "rows n"],
    normals: Float[Tensor, "m n"] | Float[Tensor, "rows m n"],
    bounds: Float[Tensor, "rows m"],
) -> tuple[Bool[Tensor, "rows m"], Int[Tensor, " rows"]]:
    """The linearly independent inequalities that are active at the nearest point.

    The dual active-set method starts from the point itself. In each iteration the most
    violated inequality enters, the point moves onto it along the face of the active
    inequalities, and an inequality whose multiplier would become negative leaves. All
    rows iterate together and finish after finitely many iterations.

    Source: Goldfarb and Idnani (1983), doi:10.1007/BF02591962, with the identity for
    the Hessian.

    The arguments are those of `nearest_in_polyhedron`.

    Returns:
        active: which inequalities are active at the nearest point, at most `n`.
        blocking: the inequality that contradicts the active ones, -1 if none does.
    """
    size, count = points.shape[-1], bounds.shape[-1]
    y = points.clone()
    active = torch.zeros_like(bounds, dtype=torch.bool)
    multipliers = torch.zeros_like(bounds)
    none = torch.full_like(bounds[:, 0], -1, dtype=torch.long)
    entering, blocking = none.clone(), none.clone()
    limits = torch.where(bounds == torch.inf, 0.0, bounds)
    scale = 1 + points.norm(dim=-1) + limits.norm(dim=-1)
    # Rows that still iterate; all other tensors below have one entry for each of them.
    rows = torch.isfinite(scale).nonzero().squeeze(-1)
    for _ in range(10 * (count + size)):
        # An inequality keeps entering until it holds.
        excess = _excess(y[rows], _rows_of(normals, rows), bounds[rows])
        worst = torch.where(active[rows], -torch.inf, excess).max(-1)
        idle = entering[rows] < 0
        unfinished = ~idle | (worst.values > _VIOLATION * scale[rows])
        entrant = torch.where(idle, worst.indices, entering[rows])[unfinished]
        gap = excess[unfinished].gather(-1, entrant.unsqueeze(-1)).squeeze(-1)
        rows = rows[unfinished]
        if not rows.numel():
            return active, blocking
        shares, direction = _split_normal(
            _rows_of(normals, rows), active[rows], entrant
        )
        # The step that makes a multiplier vanish, and the one that closes the gap.
        ratios = torch.where(shares > 0, multipliers[rows] / shares, torch.inf)
        until_drop, leaving = ratios.min(-1)
        length = (direction * direction).sum(-1)
        is_free = length > _DEPENDENCE**2
        until_closed = torch.where(is_free, gap / length, torch.inf)
        step = torch.minimum(until_drop, until_closed)
        closes = until_closed <= until_drop
        solvable = torch.isfinite(step)
        blocking[rows[~solvable]] = entrant[~solvable]
        rows, entrant, leaving, closes, step, shares, direction, is_free = (
            tensor[solvable]
            for tensor in (
                rows,
                entrant,
                leaving,
                closes,
                step,
                shares,
                direction,
                is_free,
            )
        )
        travel = torch.where(is_free, step, 0.0)
        y[rows] -= travel.unsqueeze(-1) * direction
        multipliers[rows] -= step.unsqueeze(-1) * shares
        multipliers[rows, entrant] += step
        multipliers[rows[~closes], leaving[~closes]] = 0.0
        active[rows, torch.where(closes, entrant, leaving)] = closes
        entering[rows] = torch.where(closes, -1, entrant)
    blocking[rows] = entering[rows].clamp(min=0)
    return active, blocking


def _nearest_on_face(
    points: Tensor, normals: Tensor, bounds: Tensor, active: Tensor
) -> Tensor:
    """The projection of points onto the affine hull of their active inequalities."""
    indices, mask, face = _gather(normals, active)
    basis, triangle = _orthonormal(face, mask)
    limits = bounds.gather(-1, indices)
    # A second pass removes the rounding of the first, which grows with the distance.
    for _ in range(2):
        excess = (_excess(points, face, limits) * mask).unsqueeze(-1)
        along = torch.linalg.solve_triangular(triangle.mT, excess, upper=False)
        points = points - (along.mT @ basis).squeeze(-2)
    return points


def _split_normal(
    normals: Tensor, active: Tensor, entrant: Tensor
) -> tuple[Tensor, Tensor]:
    """An entering normal as a combination of active normals, and the remainder.

    Returns:
        shares: one per inequality, zero where it is not active, shape `(rows, m)`.
        remainder: orthogonal to all active normals, shape `(rows, n)`.
    """
    rows = torch.arange(len(entrant), device=entrant.device)
    normal = normals[entrant] if normals.ndim == 2 else normals[rows, entrant]
    indices, mask, face = _gather(normals, active)
    basis, triangle = _orthonormal(face, mask)
    if not basis.shape[-2]:
        return torch.zeros_like(active, dtype=normal.dtype), normal
    remainder, along = _orthogonal_part(normal, basis)
    combination = torch.linalg.solve_triangular(
        triangle, along.unsqueeze(-1), upper=True
    ).squeeze(-1)
    shares = torch.zeros(active.shape, dtype=normal.dtype, device=normal.device)
    return shares.scatter(-1, indices, combination * mask), remainder


def _orthonormal(face: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Orthonormal rows that span the active normals, and the triangle between them.

    `face = triangle.mT @ basis` for the active normals, which come first; the others
    have zero rows in the basis and a one in the triangle. A Gram matrix instead would
    square the condition number.
    """
    basis, triangle = torch.zeros_like(face), torch.diag_embed(1 - mask)
    for index in range(face.shape[-2]):
        remainder, is_active = face[..., index, :], mask[..., index]
        if index:
            remainder, along = _orthogonal_part(remainder, basis[..., :index, :])
            triangle[..., :index, index] = along * is_active.unsqueeze(-1)
        length = torch.linalg.vector_norm(remainder, dim=-1)
        triangle[..., index, index] += length * is_active
        scale = is_active / torch.where(length > 0, length, 1.0)
        basis[..., index, :] = remainder * scale.unsqueeze(-1)
    return basis, triangle


def _orthogonal_part(vectors: Tensor, basis: Tensor) -> tuple[Tensor, Tensor]:
    """The part of vectors orthogonal to a basis, and their components along it."""
    along = (basis @ vectors.unsqueeze(-1)).squeeze(-1)
    remainder = vectors - (along.unsqueeze(-2) @ basis).squeeze(-2)
    # A second pass removes the rounding of the first.
    more = (basis @ remainder.unsqueeze(-1)).squeeze(-1)
    return remainder - (more.unsqueeze(-2) @ basis).squeeze(-2), along + more


def _gather(normals: Tensor, active: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Active inequalities: their indices, a mask of them, and their normals.

    Each row has as many entries as the longest needs; the mask is 1 at active ones.
    """
    most = int(active.sum(-1).max())
    mask, indices = active.to(normals).topk(most, dim=-1)
    if normals.ndim == 2:
        return indices, mask, normals[indices]
    rows = torch.arange(len(indices), device=indices.device).unsqueeze(-1)
    return indices, mask, normals[rows, indices]


def _excess(points: Tensor, normals: Tensor, bounds: Tensor) -> Tensor:
    """`B y - e` for each row."""
    return (normals @ points.unsqueeze(-1)).squeeze(-1) - bounds


def _rows_of(normals: Tensor, rows: Tensor) -> Tensor:
    """The normals of some rows; all of them where rows share one set."""
    return normals if normals.ndim == 2 else normals[rows]
