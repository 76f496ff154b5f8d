"""Finite volumes of second order with limited slopes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.discretizations.reconstruction import Reconstruction
from stencilnet.equations import Equation, Form, UpwindFlux
from stencilnet.grid import Grid


@dataclass(frozen=True)
class Limiter:
    """A slope limiter, see `Muscl`.

    Attributes:
        name: of the limiter.
        slope: the limited slope from two positive jumps.

    Example:
        >>> import torch
        >>> from stencilnet import Burgers, Grid, Muscl
        >>> from stencilnet.discretizations import Limiter
        >>> albada = Limiter("van_albada", lambda a, b: a * b * (a + b) / (a**2 + b**2))
        >>> muscl = Muscl(Burgers(viscosity=0.0), Grid.line(8), limiter=albada)
        >>> left, right = muscl.face_values(torch.tensor([0.0, 0, 0, 3, 4, 4, 4, 4]))
        >>> round(float(left[3]), 2)  # 3 + 3 * 1 * (3 + 1) / (3**2 + 1**2) / 2
        3.6
    """

    name: str
    slope: Callable[[Tensor, Tensor], Tensor]

    def spec(self) -> str:
        """The name, which stores keep."""
        return self.name


def _minmod(a: Tensor, b: Tensor) -> Tensor:
    return torch.minimum(a, b)


def _monotonized_central(a: Tensor, b: Tensor) -> Tensor:
    return torch.minimum(2 * torch.minimum(a, b), (a + b) / 2)


def _van_leer(a: Tensor, b: Tensor) -> Tensor:
    # The smaller one first: a product of the two could underflow.
    return 2 * torch.minimum(a, b) * (torch.maximum(a, b) / (a + b))


def _superbee(a: Tensor, b: Tensor) -> Tensor:
    return torch.maximum(torch.minimum(2 * a, b), torch.minimum(a, 2 * b))


MINMOD = Limiter("minmod", _minmod)
"""The most dissipative of the limiters: the smaller jump.

Example:
    >>> import torch
    >>> from stencilnet.discretizations import MINMOD
    >>> MINMOD.slope(torch.tensor([3.0, 1.0]), torch.tensor([5.0, 3.0])).tolist()
    [3.0, 1.0]
"""

MONOTONIZED_CENTRAL = Limiter("mc", _monotonized_central)
"""The central slope, limited by twice the jumps (van Leer 1977).

Example:
    >>> import torch
    >>> from stencilnet.discretizations import MONOTONIZED_CENTRAL
    >>> left, right = torch.tensor([3.0, 1.0]), torch.tensor([5.0, 9.0])
    >>> MONOTONIZED_CENTRAL.slope(left, right).tolist()  # the second is limited
    [4.0, 2.0]
"""

VAN_LEER = Limiter("van_leer", _van_leer)
"""The harmonic mean of the jumps, smooth where they have one sign (van Leer 1974).

Example:
    >>> import torch
    >>> from stencilnet.discretizations import VAN_LEER
    >>> VAN_LEER.slope(torch.tensor([3.0, 1.0]), torch.tensor([5.0, 3.0])).tolist()
    [3.75, 1.5]
"""

SUPERBEE = Limiter("superbee", _superbee)
"""The steepest of the limiters that are TVD (Roe 1985).

Example:
    >>> from stencilnet import Grid, Muscl, rollout
    >>> from stencilnet.discretizations import MINMOD, SUPERBEE
    >>> from stencilnet.equations import Advection
    >>> grid = Grid.line(24)
    >>> block = ((grid.points() > 1) & (grid.points() < 3)).double()
    >>> for limiter in (MINMOD, SUPERBEE):
    ...     muscl = Muscl(Advection(velocity=1.0), grid, limiter=limiter)
    ...     u = rollout(muscl, block, [0.0, 2.0], steps=20)[-1]
    ...     print(limiter.name, int(((u > 0.05) & (u < 0.95)).sum()))  # smeared cells
    minmod 10
    superbee 6
"""

LIMITERS: Mapping[str, Limiter] = MappingProxyType(
    {
        limiter.name: limiter
        for limiter in (MINMOD, MONOTONIZED_CENTRAL, VAN_LEER, SUPERBEE)
    }
)
"""The limiters by name.

Example:
    >>> import torch
    >>> from stencilnet.discretizations import LIMITERS
    >>> a, b = torch.tensor(3.0), torch.tensor(5.0)
    >>> {name: float(limiter.slope(a, b)) for name, limiter in LIMITERS.items()}
    {'minmod': 3.0, 'mc': 4.0, 'van_leer': 3.75, 'superbee': 5.0}
"""


class Muscl(Reconstruction):
    """Piecewise linear reconstruction of face values from cell averages (MUSCL).

    With the jumps `a` and `b` to the left and right neighbour, each cell gets a slope
    between them, and none at an extremum, where `a b <= 0`:

        minmod      the smaller of a, b
        mc          the smallest of 2 a, 2 b, (a + b) / 2
        van_leer    2 a b / (a + b)
        superbee    the larger of minmod(2 a, b), minmod(a, 2 b)

    All are of second order on smooth monotone data and are total-variation diminishing
    (TVD).
    The viscous flux takes a centred difference across the face.

    Sources: van Leer (1979), doi:10.1016/0021-9991(79)90145-1; LeVeque (2002), Finite
    Volume Methods for Hyperbolic Problems, Section 6.11.

    Args:
        equation: the equation to discretize.
        grid: the grid to discretize on.
        limiter: one of `LIMITERS`, or your own.
        viscous_order: order of the differences across faces, even.
        form: a form with one-sided face values of cell averages.

    Raises:
        ValueError: if the form requires anything else, the viscous order is odd or
            below 2, or the grid has fewer points than the stencil needs.

    Example:
        >>> from stencilnet import Burgers, Grid, Muscl
        >>> from stencilnet.discretizations import VAN_LEER
        >>> muscl = Muscl(Burgers(viscosity=0.0), Grid.line(32), limiter=VAN_LEER)
        >>> tuple(muscl(muscl.grid.points().sin()).shape)
        (32,)
    """

    def __init__(
        self,
        equation: Equation,
        grid: Grid,
        *,
        limiter: Limiter = MONOTONIZED_CENTRAL,
        viscous_order: int = 2,
        form: type[Form] | Form = UpwindFlux,
    ) -> None:
        super().__init__(
            equation, grid, form, viscous_order=viscous_order, reach=4, value_order=3
        )
        if not isinstance(limiter, Limiter):
            raise TypeError(
                f"A limiter is a value such as VAN_LEER, not {limiter!r}: take one of "
                f"LIMITERS[name], name among {', '.join(LIMITERS)}."
            )
        self.limiter = limiter

    @property
    def settings(self) -> dict[str, Any]:
        return {"limiter": self.limiter, **super().settings}

    def face_values(
        self, u: Float[Tensor, "*batch x"]
    ) -> tuple[Float[Tensor, "*batch x"], Float[Tensor, "*batch x"]]:
        jump = u.roll(-1, -1) - u
        half = limited_slope(self.limiter, jump.roll(1, -1), jump) / 2
        return u + half, (u - half).roll(-1, -1)


def limited_slope(
    limiter: Limiter, left: Float[Tensor, "*cells"], right: Float[Tensor, "*cells"]
) -> Float[Tensor, "*cells"]:
    """The slope of a cell from the jumps to its neighbours, see `Muscl`."""
    rising, falling = (left > 0) & (right > 0), (left < 0) & (right < 0)
    monotone = rising | falling
    # Limiters see positive jumps only; ones in place of the others keep the gradient
    # free of 0 / 0.
    sign = torch.where(falling, -1.0, 1.0).to(left)
    a, b = (torch.where(monotone, sign * jump, 1.0) for jump in (left, right))
    limited = torch.where(monotone, sign * limiter.slope(a, b), 0.0)
    # A constant differentiates like smooth monotone data, so that its linearization is
    # the scheme of second order.
    flat = (left == 0) & (right == 0)
    return torch.where(flat, (left + right) / 2, limited)
