"""Essentially non-oscillatory (ENO) finite volumes, with sub-cell resolution."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.discretizations.cell_polynomials import (
    mean_row,
    substencils,
    value_row,
)
from stencilnet.discretizations.reconstruction import Reconstruction
from stencilnet.discretizations.windows import shifted
from stencilnet.equations import Equation, Form, UpwindFlux
from stencilnet.errors import as_integer
from stencilnet.grid import Grid
from stencilnet.stencils import weighted_sum

_FACE = Fraction(1, 2)


class Eno(Reconstruction):
    """ENO reconstruction of face values from cell averages.

    Each cell has the polynomial through the `order` cells that Newton's divided
    differences find smoothest. With sub-cell resolution a cell holds a shock if

    - its central difference is the largest of its neighbourhood, between monotone
      neighbours,
    - characteristics do not leave it: `F'(u[i-1]) >= F'(u[i+1])`,
    - the polynomials of its neighbours, joined somewhere within it, have its average.

    There the face values are those of the neighbours' polynomials, continued to the
    shock; the place of the shock need not be computed, as only the faces count. So the
    numerical flux sees the states on both sides of the shock rather than a value in
    between, and a resting inviscid shock rests wherever it lies within a cell. The
    viscous flux takes a centred difference across the face.

    The choice of a stencil jumps, so that steps near the stable one of the
    linearization, `stable_step`, amplify noise: take half of it.

    Harten averages the flux over the part of a step in which a discontinuity crosses
    the face; here it is that of the instant, for any integrator. Where viscosity or
    the grid spreads shocks over some cells, as on P1 and P2, plain ENO is more
    accurate.

    Sources: Harten (1989), doi:10.1016/0021-9991(89)90226-X; Harten et al. (1987),
    doi:10.1016/0021-9991(87)90031-3, for ENO.

    Args:
        equation: the equation to discretize, with a speed for sub-cell resolution.
        grid: the grid to discretize on.
        order: of the polynomials, 2 to 5.
        subcell: whether shocks are resolved within cells.
        viscous_order: order of the differences across faces elsewhere, even.
        form: a form with one-sided face values of cell averages.

    Raises:
        ValueError: if the order does not exist, the equation has no speed, or as for
            `Reconstruction`.

    Example:
        >>> import torch
        >>> from stencilnet import Burgers, Grid
        >>> from stencilnet.discretizations import Eno
        >>> u = torch.tensor([1.0] * 8 + [0.3] + [-1.0] * 7)  # a shock in cell 8
        >>> inviscid, grid = Burgers(viscosity=0.0), Grid.line(16)
        >>> for subcell in (False, True):
        ...     eno = Eno(inviscid, grid, order=2, subcell=subcell)
        ...     left, right = eno.face_values(u)
        ...     print(round(float(right[7]), 2), round(float(left[8]), 2))
        0.65 -0.05
        1.0 -1.0
    """

    def __init__(
        self,
        equation: Equation,
        grid: Grid,
        *,
        order: int = 3,
        subcell: bool = False,
        viscous_order: int = 4,
        form: type[Form] | Form = UpwindFlux,
    ) -> None:
        if as_integer(order) not in range(2, 6):
            raise ValueError(f"ENO has an order of 2 to 5, not {order!r}.")
        order = int(order)
        if subcell and not equation.has_speed:
            raise ValueError(
                f"Sub-cell resolution needs the speed of the flux, which "
                f"{type(equation).__name__} does not define: define speed(u)."
            )
        super().__init__(
            equation,
            grid,
            form,
            viscous_order=viscous_order,
            reach=2 * order + 1,
            value_order=order,
        )
        self.order, self.subcell = order, bool(subcell)
        cells = substencils(order)
        functionals = {
            "right_value": [value_row(c, _FACE) for c in cells],
            "left_value": [value_row(c, -_FACE) for c in cells],
            "mean_behind": [mean_row(c, 1) for c in cells],
            "mean_before": [mean_row(c, -1) for c in cells],
        }
        for name, rows in functionals.items():
            numbers = [[float(value) for value in row] for row in rows]
            self.register_constant(name, torch.tensor(numbers, dtype=torch.float64))

    @property
    def settings(self) -> dict[str, Any]:
        return {"order": self.order, "subcell": self.subcell, **super().settings}

    def face_values(
        self, u: Float[Tensor, "*batch x"]
    ) -> tuple[Float[Tensor, "*batch x"], Float[Tensor, "*batch x"]]:
        polynomials = _Polynomials(self, u)
        left, right = polynomials.of("right_value"), polynomials.of("left_value")
        if self.subcell:
            shock = self._shocks(u, polynomials)
            before, behind = left.roll(1, -1), right.roll(-1, -1)
            left = torch.where(shock, behind, left)
            right = torch.where(shock, before, right)
        return left, right.roll(-1, -1)

    def _shocks(self, u: Tensor, polynomials: "_Polynomials") -> Tensor:
        """Whether each cell holds a shock."""
        left, right = u.roll(1, -1), u.roll(-1, -1)
        size = (right - left).abs()
        steepest = (size > size.roll(1, -1)) & (size > size.roll(-1, -1))
        monotone = ((right > u) & (u > left)) | ((right < u) & (u < left))
        speed = self.equation.speed(u)
        entering = speed.roll(1, -1) >= speed.roll(-1, -1)
        before = polynomials.of("mean_behind").roll(1, -1) - u
        behind = polynomials.of("mean_before").roll(-1, -1) - u
        joined = ((before >= 0) & (behind <= 0)) | ((before <= 0) & (behind >= 0))
        return steepest & monotone & entering & joined


class _Polynomials:
    """The polynomial of each cell.

    Args:
        method: holds the functionals of the candidates.
        u: cell averages.
    """

    def __init__(self, method: Eno, u: Tensor) -> None:
        self._method = method
        r = method.order
        self._cells = shifted(u, range(1 - r, r))
        self._shares = _selection(self._cells, r)

    def of(self, functional: str) -> Tensor:
        """A functional of the polynomial of each cell, by its name."""
        rows = self._method.get_numbers(functional)
        r = self._method.order
        middle = self._cells[r - 1]
        departures = [
            share * (weighted_sum(row, self._cells[k : k + r]) - middle)
            for k, (share, row) in enumerate(zip(self._shares, rows, strict=True))
        ]
        return sum(departures[1:], middle + departures[0])


def _selection(cells: Sequence[Tensor], r: int) -> list[Tensor]:
    """Shares of the `r` candidates, from left to right: 1 for the smoothest.

    Where two are equally smooth both count by half, so that nothing is lost of the
    mirror's symmetry.
    """
    differences = list(cells)
    middle = r - 1
    # Shares by the first cell of the stencil, as an index of `cells`.
    shares = {middle: torch.ones_like(cells[middle])}
    for _ in range(1, r):
        differences = [b - a for a, b in pairwise(differences)]
        grown: dict[int, Tensor] = {}
        for first, share in shares.items():
            left, right = differences[first - 1].abs(), differences[first].abs()
            to_left = torch.where(
                left < right, 1.0, torch.where(left > right, 0.0, 0.5)
            )
            part = share * to_left.to(share)
            for start, weight in ((first - 1, part), (first, share - part)):
                grown[start] = grown[start] + weight if start in grown else weight
        shares = grown
    return [shares[first] for first in range(r)]
