"""Finite volumes of second order with limited slopes."""

import difflib
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.discretizations.base import StencilMethod, check_requirements, shifted
from stencilnet.discretizations.finite_difference import face_slope
from stencilnet.equations import Equation
from stencilnet.grid import Grid
from stencilnet.stencils.constants import weighted_sum

_REACH = (-1, 0, 1, 2)


class Muscl(StencilMethod):
    """Piecewise linear reconstruction of face values from cell averages (MUSCL).

    With the jumps `a` and `b` to the left and right neighbour, each cell gets a slope
    between them, and none at an extremum, where `a b <= 0`:

        minmod      the smaller of a, b
        mc          the smallest of 2 a, 2 b, (a + b) / 2
        van_leer    2 a b / (a + b)
        superbee    the larger of minmod(2 a, b), minmod(a, 2 b)

    All are of second order on smooth monotone data and let no total variation arise.
    The viscous flux takes a centred difference across the face.

    Sources: van Leer (1979), doi:10.1016/0021-9991(79)90145-1; LeVeque (2002), Finite
    Volume Methods for Hyperbolic Problems, Section 6.11.

    Args:
        equation: a form with one-sided face values of cell averages.
        grid: where.
        limiter: a name in `LIMITERS`.
        viscous_order: order of the difference for `u_x`, even.

    Raises:
        ValueError: if the equation asks for anything else, the limiter is unknown, the
            viscous order is odd or below 2, or the grid has fewer points than the
            stencil needs.
    """

    def __init__(
        self,
        equation: Equation,
        grid: Grid,
        *,
        limiter: str = "mc",
        viscous_order: int = 2,
    ) -> None:
        super().__init__(equation, grid)
        supplied = {"u_left": -1, "u_right": 1, "u_x": 0}
        check_requirements("MUSCL", equation, supplied)
        if limiter not in LIMITERS:
            close = difflib.get_close_matches(limiter, LIMITERS, n=1, cutoff=0.5)
            hint = f"did you mean {close[0]!r}" if close else "known are"
            known = "" if close else f" {', '.join(LIMITERS)}"
            raise ValueError(f"There is no limiter {limiter!r}, {hint}{known}.")
        self.limiter = limiter
        self._slope_stencil, slope = face_slope(
            "MUSCL", grid, viscous_order, reach=len(_REACH)
        )
        self.register_constant("slope", slope)

    def derivatives(
        self, u: Float[Tensor, "*batch x"]
    ) -> dict[str, Float[Tensor, "*batch x"]]:
        jump = u.roll(-1, -1) - u
        half = limited_slope(self.limiter, jump.roll(1, -1), jump) / 2
        supplied = {"u_left": u + half, "u_right": (u - half).roll(-1, -1)}
        if "u_x" in self.equation.requires:
            cells = shifted(u, self._slope_stencil)
            supplied["u_x"] = weighted_sum(self.get_numbers("slope"), cells)
        return supplied


def limited_slope(
    limiter: str, left: Float[Tensor, "*cells"], right: Float[Tensor, "*cells"]
) -> Float[Tensor, "*cells"]:
    """The slope of a cell from the jumps to its neighbours, see `Muscl`."""
    rising, falling = (left > 0) & (right > 0), (left < 0) & (right < 0)
    monotone = rising | falling
    # Limiters see positive jumps only; ones in place of the others keep the gradient
    # free of 0 / 0.
    sign = torch.where(falling, -1.0, 1.0).to(left)
    a, b = (torch.where(monotone, sign * jump, 1.0) for jump in (left, right))
    limited = torch.where(monotone, sign * LIMITERS[limiter](a, b), 0.0)
    # A constant differentiates like smooth monotone data, so that its linearization is
    # the scheme of second order.
    flat = (left == 0) & (right == 0)
    return torch.where(flat, (left + right) / 2, limited)


def _minmod(a: Tensor, b: Tensor) -> Tensor:
    return torch.minimum(a, b)


def _monotonized_central(a: Tensor, b: Tensor) -> Tensor:
    return torch.minimum(2 * torch.minimum(a, b), (a + b) / 2)


def _van_leer(a: Tensor, b: Tensor) -> Tensor:
    # The smaller one first: a product of the two could underflow.
    return 2 * torch.minimum(a, b) * (torch.maximum(a, b) / (a + b))


def _superbee(a: Tensor, b: Tensor) -> Tensor:
    return torch.maximum(torch.minimum(2 * a, b), torch.minimum(a, 2 * b))


LIMITERS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "minmod": _minmod,
    "mc": _monotonized_central,
    "van_leer": _van_leer,
    "superbee": _superbee,
}
"""Limiters by name: the slope from two positive jumps."""
