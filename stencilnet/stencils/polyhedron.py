"""Nearest points of polyhedra, for many points at once and differentiably."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

# Both are relative to normals of unit length.
_VIOLATION = 1e-13
_DEPENDENCE = 1e-12


def nearest_in_polyhedron(
    points: Float[Tensor, "rows n"],
    normals: Float[Tensor, "m n"] | Float[Tensor, "rows m n"],
    bounds: Float[Tensor, "rows m"],
) -> Float[Tensor, "rows n"]:
    """The nearest point to each of `points` that satisfies `normals y <= bounds`.

        y = argmin |y - p|**2  subject to  B y <= e

    The active inequalities are found by `active_inequalities`; the nearest point is
    then the projection onto their face,

        y = p - B_a.T l,    (B_a B_a.T) l = B_a p - e_a,

    which is differentiated as it stands: the implicit function theorem at the active
    set. Where a multiplier `l` vanishes the gradient is one of the generalized ones.

    Args:
        points: float64.
        normals: `B`, rows of unit length, or zero, shared by all points or one set
            each.
        bounds: `e`.

    Returns:
        A point per row; NaN in rows without any such point and in rows with NaN.
    """
    if not bounds.shape[-1]:
        return points
    with torch.no_grad():
        active, blocked = active_inequalities(points, normals, bounds)
    # Most rows of a well-posed layer are interior.
    touched = active.any(-1).nonzero().squeeze(-1)
    if touched.numel():
        on_faces = _nearest_on_face(
            points[touched],
            normals if normals.ndim == 2 else normals[touched],
            bounds[touched],
            active[touched],
        )
        nearest = points.index_copy(0, touched, on_faces)
    else:
        nearest = points
    size = points.norm(dim=-1) + bounds.clamp(max=0).norm(dim=-1)
    spoilt = (blocked >= 0) | ~torch.isfinite(size) | bounds.isnan().any(-1)
    return torch.where(spoilt.unsqueeze(-1), torch.nan, nearest)


def active_inequalities(
    points: Float[Tensor, "rows n"],
    normals: Float[Tensor, "m n"] | Float[Tensor, "rows m n"],
    bounds: Float[Tensor, "rows m"],
) -> tuple[Bool[Tensor, "rows m"], Int[Tensor, " rows"]]:
    """The linearly independent inequalities that hold the nearest point back.

    The dual active-set method: from the point itself, the most violated inequality
    enters at each turn, the point moves onto it along the face of the inequalities
    that are active, and one whose multiplier would become negative leaves. All rows
    take their turns together, and are done in finitely many.

    Source: Goldfarb and Idnani (1983), doi:10.1007/BF02591962, with the identity for
    the Hessian.

    The arguments are those of `nearest_in_polyhedron`.

    Returns:
        active: which inequalities are active at the nearest point, at most `n`.
        blocked: the inequality that contradicts the active ones, -1 if none does.
    """
    size, count = points.shape[-1], bounds.shape[-1]
    y = points.clone()
    active = torch.zeros_like(bounds, dtype=torch.bool)
    multipliers = torch.zeros_like(bounds)
    none = torch.full_like(bounds[:, 0], -1, dtype=torch.long)
    entering, blocked = none.clone(), none.clone()
    limits = torch.where(bounds == torch.inf, 0.0, bounds)
    scale = 1 + points.norm(dim=-1) + limits.norm(dim=-1)
    left = torch.isfinite(scale).nonzero().squeeze(-1)
    for _ in range(10 * (count + size)):
        # An inequality that enters stays the one until it holds.
        excess = _excess(y[left], _of(normals, left), bounds[left])
        worst = torch.where(active[left], -torch.inf, excess).max(-1)
        fresh = entering[left] < 0
        more = ~fresh | (worst.values > _VIOLATION * scale[left])
        chosen = torch.where(fresh, worst.indices, entering[left])[more]
        gap = excess[more].gather(-1, chosen.unsqueeze(-1)).squeeze(-1)
        left = left[more]
        if not left.numel():
            return active, blocked
        shares, rest = _split_normal(_of(normals, left), active[left], chosen)
        # How far the multipliers let it go, and how far it has to go.
        ratios = torch.where(shares > 0, multipliers[left] / shares, torch.inf)
        until_drop, leaving = ratios.min(-1)
        length = (rest * rest).sum(-1)
        free = length > _DEPENDENCE**2
        until_met = torch.where(free, gap / length, torch.inf)
        step = torch.minimum(until_drop, until_met)
        met = until_met <= until_drop
        possible = torch.isfinite(step)
        blocked[left[~possible]] = chosen[~possible]
        left, chosen, leaving, met, step, shares, rest, free = (
            of[possible]
            for of in (left, chosen, leaving, met, step, shares, rest, free)
        )
        travel = torch.where(free, step, 0.0)
        y[left] -= travel.unsqueeze(-1) * rest
        multipliers[left] -= step.unsqueeze(-1) * shares
        multipliers[left, chosen] += step
        multipliers[left[~met], leaving[~met]] = 0.0
        active[left, torch.where(met, chosen, leaving)] = met
        entering[left] = torch.where(met, -1, chosen)
    blocked[left] = entering[left].clamp(min=0)
    return active, blocked


def _nearest_on_face(
    points: Tensor, normals: Tensor, bounds: Tensor, active: Tensor
) -> Tensor:
    """The projection of points onto the affine hull of their active inequalities."""
    chosen, used, face = _gather(normals, active)
    basis, triangle = _orthonormal(face, used)
    limits = bounds.gather(-1, chosen)
    # Once more, as a point far away leaves rounding of its own size.
    for _ in range(2):
        excess = (_excess(points, face, limits) * used).unsqueeze(-1)
        along = torch.linalg.solve_triangular(triangle.mT, excess, upper=False)
        points = points - (along.mT @ basis).squeeze(-2)
    return points


def _split_normal(
    normals: Tensor, active: Tensor, entering: Tensor
) -> tuple[Tensor, Tensor]:
    """An entering normal as a combination of active normals, and what is left of it.

    Returns:
        shares: one per inequality, zero where it is not active, shape `(rows, m)`.
        rest: the part that is orthogonal to all active normals, shape `(rows, n)`.
    """
    rows = torch.arange(len(entering), device=entering.device)
    normal = normals[entering] if normals.ndim == 2 else normals[rows, entering]
    chosen, used, face = _gather(normals, active)
    basis, triangle = _orthonormal(face, used)
    if not basis.shape[-2]:
        return torch.zeros_like(active, dtype=normal.dtype), normal
    rest, along = _apart(normal, basis)
    combined = torch.linalg.solve_triangular(
        triangle, along.unsqueeze(-1), upper=True
    ).squeeze(-1)
    shares = torch.zeros(active.shape, dtype=rest.dtype, device=rest.device)
    return shares.scatter(-1, chosen, combined * used), rest


def _orthonormal(face: Tensor, used: Tensor) -> tuple[Tensor, Tensor]:
    """Orthonormal rows that span the normals in use, and the triangle between them.

    `face = triangle.mT @ basis` for the normals in use, which come first; the others
    have zero rows in the basis and a one in the triangle. A Gram matrix instead would
    square the condition number.
    """
    basis, triangle = torch.zeros_like(face), torch.diag_embed(1 - used)
    for index in range(face.shape[-2]):
        rest, share = face[..., index, :], used[..., index]
        if index:
            rest, along = _apart(rest, basis[..., :index, :])
            triangle[..., :index, index] = along * share.unsqueeze(-1)
        length = torch.linalg.vector_norm(rest, dim=-1)
        triangle[..., index, index] += length * share
        scale = share / torch.where(length > 0, length, 1.0)
        basis[..., index, :] = rest * scale.unsqueeze(-1)
    return basis, triangle


def _apart(vectors: Tensor, basis: Tensor) -> tuple[Tensor, Tensor]:
    """What of vectors is orthogonal to a basis, and their components along it."""
    along = (basis @ vectors.unsqueeze(-1)).squeeze(-1)
    rest = vectors - (along.unsqueeze(-2) @ basis).squeeze(-2)
    # A second pass removes what rounding left of the first.
    more = (basis @ rest.unsqueeze(-1)).squeeze(-1)
    return rest - (more.unsqueeze(-2) @ basis).squeeze(-2), along + more


def _gather(normals: Tensor, active: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Indices, use and normals of the active inequalities, as few as rows need."""
    most = int(active.sum(-1).max())
    used, chosen = active.to(normals).topk(most, dim=-1)
    if normals.ndim == 2:
        return chosen, used, normals[chosen]
    rows = torch.arange(len(chosen), device=chosen.device).unsqueeze(-1)
    return chosen, used, normals[rows, chosen]


def _excess(points: Tensor, normals: Tensor, bounds: Tensor) -> Tensor:
    """`B y - e` for each row."""
    return (normals @ points.unsqueeze(-1)).squeeze(-1) - bounds


def _of(normals: Tensor, rows: Tensor) -> Tensor:
    """The normals that belong to some rows."""
    return normals if normals.ndim == 2 else normals[rows]
