"""Nearest points of polyhedra, for many points at once and differentiably."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

# Both are relative to normals of unit length.
_VIOLATION = 1e-13
_DEPENDENCE = 1e-13


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
    spoilt = (blocked >= 0) | ~torch.isfinite(bounds).all(-1)
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
    scale = 1 + points.norm(dim=-1) + bounds.norm(dim=-1)
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
        until_met = torch.where(length > _DEPENDENCE, gap / length, torch.inf)
        step = torch.minimum(until_drop, until_met)
        met = until_met <= until_drop
        possible = torch.isfinite(step)
        blocked[left[~possible]] = chosen[~possible]
        left, chosen, leaving, met, step, shares, rest, length = (
            of[possible]
            for of in (left, chosen, leaving, met, step, shares, rest, length)
        )
        travel = torch.where(length > _DEPENDENCE, step, 0.0)
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
    chosen, used, normals = _gather(normals, active)
    excess = _excess(points, normals, bounds.gather(-1, chosen)) * used
    multipliers = torch.linalg.solve(_gram(normals, used), excess)
    return points - (multipliers.unsqueeze(-2) @ normals).squeeze(-2)


def _split_normal(
    normals: Tensor, active: Tensor, entering: Tensor
) -> tuple[Tensor, Tensor]:
    """An entering normal as a combination of active normals, and what is left of it.

    Returns:
        shares: one per inequality, zero where it is not active, shape `(rows, m)`.
        rest: the part that is orthogonal to all active normals, shape `(rows, n)`.
    """
    rows = torch.arange(len(entering), device=entering.device)
    rest = normals[entering] if normals.ndim == 2 else normals[rows, entering]
    chosen, used, face = _gather(normals, active)
    combined = torch.zeros_like(used)
    if face.shape[-2]:
        gram = _gram(face, used)
        for _ in range(2):  # The second pass removes what rounding left of the first.
            along = (face @ rest.unsqueeze(-1)).squeeze(-1) * used
            part = torch.linalg.solve(gram, along)
            combined = combined + part
            rest = rest - (part.unsqueeze(-2) @ face).squeeze(-2)
    shares = torch.zeros(active.shape, dtype=rest.dtype, device=rest.device)
    # Several unused places may share one inequality: add instead of set.
    return shares.scatter_add(-1, chosen, combined * used), rest


def _gather(normals: Tensor, active: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Indices, use and normals of the active inequalities, as few as rows need."""
    most = int(active.sum(-1).max())
    used, chosen = active.to(normals).topk(most, dim=-1)
    if normals.ndim == 2:
        return chosen, used, normals[chosen]
    rows = torch.arange(len(chosen), device=chosen.device).unsqueeze(-1)
    return chosen, used, normals[rows, chosen]


def _gram(normals: Tensor, used: Tensor) -> Tensor:
    """Inner products of the normals in use, with ones for the others."""
    both = used.unsqueeze(-1) * used.unsqueeze(-2)
    return normals @ normals.mT * both + torch.diag_embed(1 - used)


def _excess(points: Tensor, normals: Tensor, bounds: Tensor) -> Tensor:
    """`B y - e` for each row."""
    return (normals @ points.unsqueeze(-1)).squeeze(-1) - bounds


def _of(normals: Tensor, rows: Tensor) -> Tensor:
    """The normals that belong to some rows."""
    return normals if normals.ndim == 2 else normals[rows]
