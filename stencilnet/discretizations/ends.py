"""The ends of a grid with boundaries: ghost cells, and states at the end faces."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.boundaries import Boundary
from stencilnet.stencils import ConstantModule, Derivative, in_full_precision

_SIDES = ("left", "right")
# Waves of 16 cells have roughnesses of 0.004, jumps of 1.
_STEEPNESS = 30.0


class EndValues(NamedTuple):
    """Values at the two ends, one per sample each; None where nothing prescribes one.

    Attributes:
        left: at the left end.
        right: at the right end.
        level: the constant about which ghost cells continue the field, None for 0.
    """

    left: Tensor | None
    right: Tensor | None
    level: Tensor | None = None


class Ends(ConstantModule):
    """What lies beyond the two ends of a grid with boundaries.

    A method works on the field continued by ghost cells as on a periodic one. Cells
    near the seam of this longer field get wrong values and are cut off again: those
    within see nothing of it if there are enough ghosts.

    Args:
        boundaries: at the left and the right end.
        points: of the grid.
        ghosts: cells beyond each end.
        degree: of the polynomials that ghosts continue exactly.
        averages: whether the field holds cell averages.
        limited: whether ghosts are limited where the field is rough. With

                rho = (d^n)**2 / sum((d^1)**2)

            of the differences of the nearest ghost and the `n = degree` cells beside
            it, small for smooth data and of the order 1 for a jump, they depart from
            what the boundary gives for polynomials of degree 0 by the share
            `1 / (1 + (30 rho)**4)`. For methods that stay calm at jumps otherwise, and
            degrees of at least 3: lower ones do not overshoot by much.

    Raises:
        ValueError: if the grid has fewer points than the ghosts follow from.
    """

    def __init__(
        self,
        boundaries: tuple[Boundary, Boundary],
        points: int,
        *,
        ghosts: int,
        degree: int,
        averages: bool,
        limited: bool = False,
    ) -> None:
        super().__init__()
        self.boundaries = boundaries
        self.ghosts = ghosts
        self.degree = degree
        self._limited: set[str] = set()
        self._constant: set[str] = set()  # what continues constants as they are
        for side, boundary in zip(_SIDES, boundaries, strict=True):
            matrix, weight = boundary.continuation(ghosts, degree, averages=averages)
            if len(matrix) > points:
                raise ValueError(
                    f"The boundary {boundary!r} continues the field from "
                    f"{len(matrix)} cells, but the grid has only {points}: "
                    f"refine it or lower the order."
                )
            calm = boundary.continuation(ghosts, 0, averages=averages)
            kinds = {side: (matrix, weight)}
            if limited and degree > 2 and calm[0].shape != matrix.shape:
                self._limited.add(side)
                kinds[f"{side}_calm"] = calm
            for kind, (matrix, weight) in kinds.items():
                self.register_constant(f"{kind}_matrix", matrix)
                self.register_constant(f"{kind}_weight", weight)
                if torch.allclose(matrix.sum(0) + weight, torch.ones_like(weight)):
                    self._constant.add(kind)
        steps = torch.eye(degree + 1).double().diff(n=1, dim=0)
        highest = torch.eye(degree + 1).double().diff(n=degree, dim=0)
        self.register_constant("differences", torch.cat([highest, steps]).mT)

    @property
    def depends_on_time(self) -> bool:
        """Whether the boundaries have to be told the time."""
        return any(boundary.depends_on_time for boundary in self.boundaries)

    def values(self, u: Float[Tensor, "*batch x"], t: Tensor | None) -> EndValues:
        """The values at both ends at a time.

        Raises:
            ValueError: if they depend on time and it is missing.
        """
        return EndValues(*(end.value_at(t, u) for end in self.boundaries))

    def constant_values(self, u: Float[Tensor, "*batch x"]) -> list[Tensor]:
        """Those of the values that do not depend on time."""
        found = [
            boundary.value_at(None, u)
            for boundary in self.boundaries
            if not boundary.depends_on_time
        ]
        return [value.detach().flatten() for value in found if value is not None]

    def at_level(self, level: Float[Tensor, "*batch 1"]) -> EndValues:
        """Ends at which a constant field stays as it is, to linearize about it."""
        left, right = (
            None
            if boundary.value_at(torch.zeros(()).double(), level) is None
            else level
            for boundary in self.boundaries
        )
        return EndValues(left, right, level)

    def continued(
        self, u: Float[Tensor, "*batch x"], values: EndValues
    ) -> Float[Tensor, "*samples longer"]:
        """The field between its ghost cells."""
        if values.level is not None:
            departure = self.continued(u - values.level, EndValues(None, None))
            return departure + values.level
        left = self._ghosts("left", u, values.left).flip(-1)
        right = self._ghosts("right", u.flip(-1), values.right)
        if left.shape[:-1] != u.shape[:-1] or right.shape[:-1] != u.shape[:-1]:
            shapes = [part.shape[:-1] for part in (left, u, right)]
            batch = torch.broadcast_shapes(*shapes)  # type: ignore[no-untyped-call]
            left, u, right = (part.expand(*batch, -1) for part in (left, u, right))
        return torch.cat([left, u, right], dim=-1)

    def _ghosts(self, side: str, u: Tensor, value: Tensor | None) -> Tensor:
        """The ghosts of a field as the end sees it, from the nearest one on."""
        ghosts = self._linear(side, u, value)
        if side not in self._limited:
            return ghosts
        calm = self._linear(f"{side}_calm", u, value)
        cells = u[..., : self.degree].expand(*ghosts.shape[:-1], -1)
        near = torch.cat([ghosts[..., :1], cells], dim=-1)
        squares = in_full_precision(
            torch.matmul, near, self.get_constant("differences", u)
        ).square()
        total = squares[..., 1:].sum(-1, keepdim=True)
        roughness = squares[..., :1] / (total + torch.finfo(u.dtype).tiny ** 0.6)
        return calm + (ghosts - calm) / (1 + (_STEEPNESS * roughness) ** 4)

    def _linear(self, kind: str, u: Tensor, value: Tensor | None) -> Tensor:
        matrix = self.get_constant(f"{kind}_matrix", u)
        weight = self.get_constant(f"{kind}_weight", u)
        near, prescribed = u[..., : len(matrix)], 0.0 if value is None else value
        if kind not in self._constant:
            return in_full_precision(torch.matmul, near, matrix) + prescribed * weight
        # Departures from a cell spare float32 the rounding of large weights.
        first = u[..., :1]
        ghosts = in_full_precision(torch.matmul, near - first, matrix)
        return first + ghosts + (prescribed - first) * weight

    def within(
        self, longer: Float[Tensor, "*batch longer"]
    ) -> Float[Tensor, "*batch x"]:
        """The part of a continued field between the ends."""
        return longer[..., self.ghosts : longer.shape[-1] - self.ghosts]

    def with_end_states(
        self,
        derivatives: Mapping[str, Float[Tensor, "*batch longer"]],
        requires: Mapping[str, Derivative],
        values: EndValues,
    ) -> dict[str, Float[Tensor, "*batch longer"]]:
        """Derivatives with the boundaries' own states at the two end faces.

        Args:
            derivatives: of the continued field.
            requires: what they are.
            values: at the ends.
        """
        supplied = dict(derivatives)
        ends = zip(self.boundaries, values[:2], (-1, 1), strict=True)
        for boundary, value, outward in ends:
            for name, inner in self.faces(outward, requires).items():
                points = derivatives[name].shape[-1]
                face = self.end_face(outward, requires[name], points)
                state = boundary.beyond(derivatives[inner][..., face], value)
                if state is not None:
                    supplied[name] = _replaced(supplied[name], face, state)
        return supplied

    def faces(
        self, outward: int, requires: Mapping[str, Derivative]
    ) -> Mapping[str, str]:
        """Derivatives that are states beyond an end face, and those within it.

        Args:
            outward: -1 for the left end, 1 for the right one.
            requires: what the derivatives are.
        """
        names = {derivative: name for name, derivative in requires.items()}
        return {
            name: names.get(Derivative(0, derivative.at, -derivative.side), name)
            for name, derivative in requires.items()
            if derivative.order == 0
            and abs(derivative.at) == 0.5
            and derivative.side in (0, outward)
        }

    def departs(self, side: str) -> bool:
        """Whether ghosts follow from departures from the nearest cell."""
        return side in self._constant

    def end_face(self, outward: int, derivative: Derivative, points: int) -> int:
        """Index, in a continued field, of a derivative at an end face."""
        first = self.ghosts if outward < 0 else points - self.ghosts
        return first - int(derivative.at > 0)


def _replaced(
    field: Float[Tensor, "*batch x"], index: int, state: Float[Tensor, "*batch"]
) -> Float[Tensor, "*batch x"]:
    """A field with another value at one index."""
    parts = [field[..., :index], state.unsqueeze(-1), field[..., index + 1 :]]
    return torch.cat(parts, dim=-1)
