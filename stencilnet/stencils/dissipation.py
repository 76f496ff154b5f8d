"""Dissipation: the side condition that no wave is amplified."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.stencils.side_conditions import (
    SideCondition,
    check_integer,
    check_sign,
)
from stencilnet.stencils.specs import is_finite, set_plain


@dataclass(frozen=True)
class Dissipation(SideCondition):
    """No sampled wave is amplified: the real part of its symbol is at most zero.

        Re(sign S(k)) <= 0,    S(k) = D(k) sum_j c_j exp(i s_j k)

    at evenly spaced wavenumbers `k dx` in (0, pi]. Between them the real part may be
    positive, by an amount that falls with the square of their distance. At points
    `D = 1`; the derivative at faces enters `u_t` through a divergence,
    `D(k) = 2 i sin(k / 2)`.

    Attributes:
        sign: sign with which the derivative enters `u_t`: 1 for a second derivative
            that diffuses, or for `u_x` at faces under a viscosity; -1 for advection to
            the right.
        at: position of the derivative in units of dx: 0 for points, 0.5 for faces.
        wavenumbers: number of samples.

    Example:
        >>> import torch
        >>> from stencilnet.stencils import Convex, Dissipation
        >>> convex = Convex(side_conditions=[Dissipation(sign=-1)])  # wind to the right
        >>> layer = convex.layer((-1.0, 0.0, 1.0), derivative=1)
        >>> c = layer(torch.tensor([0.5, -1.0, 0.5]).double())  # raw: downwind
        >>> torch.allclose(c, torch.tensor([-0.5, 0.0, 0.5]).double())  # central
        True
    """

    kind = "dissipation"
    sign: int = 1
    at: float = 0.0
    wavenumbers: int = 16

    def __post_init__(self) -> None:
        check_sign(self.sign)
        check_integer("A number of wavenumbers", self.wavenumbers)
        if not is_finite(self.at) or self.at not in (0.0, 0.5):
            raise ValueError(
                f"Dissipation is defined at points and faces only: give at=0.0 or "
                f"at=0.5, not {self.at!r}."
            )
        set_plain(self, sign=int, at=float, wavenumbers=int)
        if self.wavenumbers < 1:
            raise ValueError(
                f"A symbol cannot be sampled at {self.wavenumbers} wavenumbers: give "
                f"at least 1."
            )

    def rows(
        self, offsets: Float[Tensor, " points"], derivative: int
    ) -> tuple[Float[Tensor, "rows points"], Float[Tensor, " rows"]]:
        self._check_position(offsets)
        count = self.wavenumbers
        k = torch.arange(1, count + 1, dtype=torch.float64) * (math.pi / count)
        angle = k.unsqueeze(-1) * offsets
        if self.at:
            real = -2 * torch.sin(k / 2).unsqueeze(-1) * angle.sin()
        else:
            real = angle.cos()
        return self.sign * real, real.new_zeros(count)

    def _check_position(self, offsets: Tensor) -> None:
        """Raises if the offsets are those of cells about another position."""
        steps = offsets - offsets[0]
        if float((steps - steps.round()).abs().max()) > 1e-9:
            return  # Points of no uniform grid have no position in a cell.
        position = float(-offsets[0] % 1)
        distance = abs(position - self.at)
        if min(distance, 1 - distance) < 1e-9:
            return
        remedy = (
            f"give it at={position}"
            if position in (0.0, 0.5)
            else "it is defined at points and faces only"
        )
        raise ValueError(
            f"A dissipation at {self.at} does not fit a stencil {position:.4g} dx from "
            f"a point: {remedy}."
        )
