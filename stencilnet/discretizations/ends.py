"""The ends of a grid with boundaries: ghost cells, and states at the end faces."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.boundaries import Boundary
from stencilnet.grid import Grid
from stencilnet.stencils import ConstantModule, Derivative, in_full_precision

_SIDES = ("left", "right")


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
        grid: with boundaries.
        ghosts: cells beyond each end.
        degree: of the polynomials that ghosts continue exactly.
        averages: whether the field holds cell averages.

    Raises:
        ValueError: if the grid has fewer points than the ghosts follow from.
    """

    def __init__(self, grid: Grid, *, ghosts: int, degree: int, averages: bool) -> None:
        super().__init__()
        assert grid.boundaries is not None
        self.boundaries: tuple[Boundary, Boundary] = grid.boundaries
        self.ghosts = ghosts
        for side, boundary in zip(_SIDES, self.boundaries, strict=True):
            matrix, weight = boundary.continuation(ghosts, degree, averages=averages)
            if len(matrix) > grid.shape[-1]:
                raise ValueError(
                    f"The boundary {boundary!r} continues the field from "
                    f"{len(matrix)} cells, but the grid has only {grid.shape[-1]}: "
                    f"refine it or lower the order."
                )
            if side == "left":
                matrix, weight = matrix.flip(-1), weight.flip(-1)
            else:
                matrix = matrix.flip(0)
            self.register_constant(f"{side}_matrix", matrix)
            self.register_constant(f"{side}_weight", weight)

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
            None if boundary.value_at(torch.zeros(()), level) is None else level
            for boundary in self.boundaries
        )
        return EndValues(left, right, level)

    def continued(
        self, u: Float[Tensor, "*batch x"], values: EndValues
    ) -> Float[Tensor, "*batch longer"]:
        """The field between its ghost cells."""
        if values.level is not None:
            departure = self.continued(u - values.level, EndValues(None, None))
            return departure + values.level
        left = self._ghosts("left", u, values.left)
        right = self._ghosts("right", u, values.right)
        if left.shape[:-1] != u.shape[:-1] or right.shape[:-1] != u.shape[:-1]:
            shapes = [part.shape[:-1] for part in (left, u, right)]
            batch = torch.broadcast_shapes(*shapes)  # type: ignore[no-untyped-call]
            left, u, right = (part.expand(*batch, -1) for part in (left, u, right))
        return torch.cat([left, u, right], dim=-1)

    def _ghosts(self, side: str, u: Tensor, value: Tensor | None) -> Tensor:
        matrix = self.get_constant(f"{side}_matrix", u)
        cells = len(matrix)
        near = u[..., :cells] if side == "left" else u[..., u.shape[-1] - cells :]
        ghosts = in_full_precision(torch.matmul, near, matrix)
        if value is None:
            return ghosts
        return ghosts + value * self.get_constant(f"{side}_weight", u)

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
        names = {derivative: name for name, derivative in requires.items()}
        supplied = dict(derivatives)
        ends = zip(self.boundaries, values[:2], (-1, 1), strict=True)
        for boundary, value, outward in ends:
            for name, derivative in requires.items():
                at_face = derivative.order == 0 and abs(derivative.at) == 0.5
                if not at_face or derivative.side not in (0, outward):
                    continue
                inner = Derivative(0, derivative.at, -derivative.side)
                field = derivatives[name]
                face = self.end_face(outward, derivative, field.shape[-1])
                within = derivatives[names.get(inner, name)][..., face]
                state = boundary.beyond(within, value)
                if state is not None:
                    supplied[name] = _replaced(supplied[name], face, state)
        return supplied

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
