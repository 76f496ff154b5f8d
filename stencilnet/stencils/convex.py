"""Convex coefficient layers: the nearest point of a polyhedron."""

import abc
import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.stencils.base import CoefficientLayer
from stencilnet.stencils.moments import MomentConditions, solve_linear
from stencilnet.stencils.polyhedron import (
    active_inequalities,
    nearest_in_polyhedron,
)
from stencilnet.stencils.side_conditions import SideCondition


class PolyhedralLayer(CoefficientLayer, abc.ABC):
    """The consistent coefficients nearest to raw ones under side conditions.

        c = argmin |c - (c0 + xi)|**2  subject to  A c = b,  E c = f,  G c <= h

    Raw zeros give the reference if it satisfies the side conditions, and the feasible
    coefficients nearest to it otherwise.

    Args:
        conditions, reference, limit: as `CoefficientLayer`.
        side_conditions: inequalities and symmetries.

    Attributes:
        matrix: `G`, shape `(*stencils, inequalities, points)`.
        bounds: `h`, shape `(*stencils, inequalities)`.

    Raises:
        ValueError: as `CoefficientLayer`, or if the side conditions contradict the
            moment conditions or one another.

    Example:
        >>> import torch
        >>> from stencilnet.stencils import Linear, MomentConditions
        >>> from stencilnet.stencils import ConvexLayer, PolyhedralLayer
        >>> conditions = MomentConditions((-1.0, 0.0, 1.0), derivative=1, order=1)
        >>> centre = Linear(matrix=[[0.0, 1.0, 0.0]], bounds=[1.0])
        >>> layer = ConvexLayer(conditions, side_conditions=[centre])
        >>> raw, bounds = torch.tensor([-0.5, 1.0, -0.5]), torch.tensor([[1.0], [0.5]])
        >>> c = layer.within(raw.expand(2, -1), bounds)
        >>> isinstance(layer, PolyhedralLayer), [round(x, 3) for x in c[:, 1].tolist()]
        (True, [1.0, 0.5])
    """

    matrix: Tensor
    bounds: Tensor
    particular: Tensor
    null_space: Tensor
    normals: Tensor
    lengths: Tensor

    def __init__(
        self,
        conditions: MomentConditions,
        reference: Float[Tensor, "*stencils points"] | None = None,
        *,
        side_conditions: Sequence[SideCondition] = (),
        limit: float = math.inf,
    ) -> None:
        super().__init__(conditions, reference, limit=limit)
        self.side_conditions = tuple(side_conditions)
        matrix, bounds, kinds = _rows(conditions, side_conditions, equality=False)
        particular, null_space = _consistent_set(conditions, side_conditions)
        # In the null space the inequalities bound coordinates y: c = particular + y N.
        normals = matrix @ null_space.mT
        lengths = torch.linalg.vector_norm(normals, dim=-1)
        # Shorter normals are rounding: the moments alone decide those inequalities.
        shortest = 1e-8 * torch.linalg.vector_norm(matrix, dim=-1)
        lengths = torch.where(lengths > shortest, lengths, torch.inf)
        self.register_constant("matrix", matrix)
        self.register_constant("bounds", bounds)
        self.register_constant("particular", particular)
        self.register_constant("null_space", null_space)
        # An inequality that the moments alone decide has the normal zero.
        self.register_constant("normals", normals / lengths.unsqueeze(-1))
        self.register_constant(
            "lengths", torch.where(torch.isinf(lengths), 1.0, lengths)
        )
        self._check_feasible(kinds)

    def coefficients(
        self, raw: Float[Tensor, "*batch inputs"]
    ) -> Float[Tensor, "*batch points"]:
        return self.within(raw, self.get_constant("bounds", raw))

    @abc.abstractmethod
    def within(
        self,
        raw: Float[Tensor, "*batch inputs"],
        bounds: Float[Tensor, "*#batch inequalities"],
    ) -> Float[Tensor, "*batch points"]:
        """The nearest coefficients under bounds `h` that depend on the data.

        Args:
            raw: `xi`.
            bounds: `h`, one set for all rows or one each; differentiable like `raw`.

        Returns:
            Dimensionless coefficients in the dtype of `raw`; NaN in rows that have NaN
            or no feasible point, which leave the other rows unchanged.
        """

    def violation(
        self, coefficients: Float[Tensor, "*batch points"]
    ) -> Float[Tensor, "*batch"]:
        """Largest violation of an inequality of the layer, per stencil, in float64."""
        coefficients = coefficients.double()
        matrix = self.get_constant("matrix", coefficients)
        values = (matrix @ coefficients.unsqueeze(-1)).squeeze(-1)
        excess = values - self.get_constant("bounds", coefficients)
        if not excess.shape[-1]:
            return torch.zeros_like(coefficients[..., 0])
        return excess.amax(-1).clamp(min=0)

    def _check_feasible(self, kinds: Sequence[str]) -> None:
        """Raises with the first inequality that no consistent coefficients satisfy."""
        if not kinds:
            return
        offsets, bounds = self._coordinates(torch.zeros_like(self.reference))
        _, blocking = active_inequalities(offsets, self._normals(offsets), bounds)
        contradictions = blocking[blocking >= 0]
        if len(contradictions):
            first = int(contradictions[0])
            row = kinds[: first + 1].count(kinds[first])
            raise ValueError(
                f"The side condition {kinds[first]!r} (its row {row}) contradicts the "
                f"moment conditions or the other side conditions: no coefficients of "
                f"{self.points} points satisfy all of them; drop one, lower the order "
                f"or widen the stencil."
            )

    def _coordinates(
        self, raw: Tensor, bounds: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Rows of `y` for the raw coefficients, and the slack of each inequality."""
        bounds = self.get_constant("bounds", raw) if bounds is None else bounds
        origin = self.get_constant("particular", raw)
        null_space = self.get_constant("null_space", raw)
        shift = self.get_constant("reference", raw) + raw - origin
        y = (shift.unsqueeze(-2) @ null_space.mT).squeeze(-2)
        matrix = self.get_constant("matrix", raw)
        slack = bounds - (matrix @ origin.unsqueeze(-1)).squeeze(-1)
        slack = slack / self.get_constant("lengths", raw)
        rows, count = math.prod(y.shape[:-1]), slack.shape[-1]
        slack = slack.expand(*y.shape[:-1], count)
        return y.reshape(rows, y.shape[-1]), slack.reshape(rows, count)

    def _normals(self, rows: Tensor) -> Tensor:
        """Unit normals: shared, or one set per row with a batch of stencils."""
        normals = self.get_constant("normals", rows)
        if normals.ndim == 2:
            return normals
        flat = normals.flatten(end_dim=-3)
        return flat.repeat(len(rows) // max(len(flat), 1), 1, 1)


class ConvexLayer(PolyhedralLayer):
    """`PolyhedralLayer` solved for all rows at once by a dual active-set method.

    The solution is exact up to rounding, computed in float64 for any dtype of the raw
    numbers; gradients follow from the implicit function theorem at the active set, see
    `polyhedron.nearest_in_polyhedron`.

    Example:
        >>> import torch
        >>> from stencilnet.stencils import Bounds, ConvexLayer, MomentConditions
        >>> conditions = MomentConditions((-0.5, 0.5, 1.5), derivative=0, order=1)
        >>> layer = ConvexLayer(conditions, side_conditions=[Bounds(lower=0.0)])
        >>> c = layer(torch.tensor([0.5, 0.0, -0.5]).double())
        >>> [round(x, 3) for x in c[:2].tolist()], bool(layer.violation(c) < 1e-12)
        ([0.75, 0.25], True)
    """

    def within(
        self,
        raw: Float[Tensor, "*batch inputs"],
        bounds: Float[Tensor, "*#batch inequalities"],
    ) -> Float[Tensor, "*batch points"]:
        exact = raw.double()
        y, slack = self._coordinates(exact, bounds.double())
        nearest = nearest_in_polyhedron(y, self._normals(y), slack)
        nearest = nearest.reshape(*raw.shape[:-1], y.shape[-1])
        null_space = self.get_constant("null_space", exact)
        solution = self.get_constant("particular", exact) + (
            nearest.unsqueeze(-2) @ null_space
        ).squeeze(-2)
        return solution.to(raw.dtype)


def _rows(
    conditions: MomentConditions,
    side_conditions: Sequence[SideCondition],
    *,
    equality: bool,
) -> tuple[Tensor, Tensor, list[str]]:
    """Rows and bounds of all inequalities, or equalities, and the kind of each row."""
    selection = [
        condition for condition in side_conditions if condition.equality == equality
    ]
    shape = conditions.offsets.shape
    stencils = conditions.offsets.reshape(-1, shape[-1])
    matrices, bounds = [], []
    kinds: list[str] = []
    for stencil in stencils:
        parts = [
            condition.rows(stencil, conditions.derivative) for condition in selection
        ]
        kinds = [
            condition.kind
            for condition, (_, bound) in zip(selection, parts, strict=True)
            for _ in bound
        ]
        empty = stencil.new_zeros(0, shape[-1])
        matrices.append(torch.cat([empty, *(matrix for matrix, _ in parts)]))
        bounds.append(torch.cat([empty[:, 0], *(bound for _, bound in parts)]))
    return (
        torch.stack(matrices).reshape(*shape[:-1], len(kinds), shape[-1]),
        torch.stack(bounds).reshape(*shape[:-1], len(kinds)),
        kinds,
    )


def _consistent_set(
    conditions: MomentConditions, side_conditions: Sequence[SideCondition]
) -> tuple[Tensor, Tensor]:
    """A solution of all equalities, and a basis of their null space."""
    matrix, target, kinds = _rows(conditions, side_conditions, equality=True)
    if not kinds:
        return conditions.particular, conditions.null_space
    matrix = torch.cat([conditions.matrix, matrix], dim=-2)
    moments = conditions.target.expand(*target.shape[:-1], -1)
    target = torch.cat([moments, target], dim=-1)
    particular, null_space = solve_linear(matrix, target)
    residual = (matrix @ particular.unsqueeze(-1)).squeeze(-1) - target
    if float(residual.abs().max()) > 1e-9 * (1 + float(particular.abs().max())):
        raise ValueError(
            f"The side condition {kinds[0]!r} contradicts the moment conditions of "
            f"derivative {conditions.derivative}: drop it or lower the order."
        )
    return particular, null_space
