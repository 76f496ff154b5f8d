"""WENO-Z with a free exponent, emphasis and upwind share, which can be tuned."""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.discretizations.weno import Weno
from stencilnet.equations import Equation, Form, UpwindFlux
from stencilnet.grid import Grid


class BlendedWeno(Weno):
    """WENO-Z reconstruction from three quadratics with three free numbers.

        w_k ~ d_k (1 + sensitivity (tau / beta_k)**exponent),
        d = (upwind, 1/2 + upwind, 1/2 - 2 upwind)

    see `Weno`. The linear weights `d_k` are those for which the blend is of fourth
    order on smooth data: of `upwind = 0`, without dissipation, to 1/4; for 1/10 it is
    of fifth, and with the sensitivity 1 and the exponent 2 it is `Weno`.

    Source for linear weights with less dissipation: Martin, Taylor, Wu and Weirs
    (2006), doi:10.1016/j.jcp.2006.05.009.

    Args:
        equation: the equation to discretize.
        grid: the grid to discretize on.
        exponent: as `Weno`.
        sensitivity: not negative; without it the scheme is linear.
        upwind: linear weight of the quadratic that lies upwind, between 0 and 1/4.
        viscous_order: order of the centred differences across faces, even.
        form: a form with one-sided face values of cell averages.

    Raises:
        ValueError: if a number is out of its range, or as for `Weno`.

    Example:
        >>> from stencilnet import Grid
        >>> from stencilnet.discretizations import BlendedWeno
        >>> from stencilnet.equations import Advection
        >>> u = Grid.line(32).points().sin()
        >>> for upwind in (0.0, 0.1, 0.2):
        ...     settings = {"sensitivity": 0.0, "upwind": upwind}
        ...     u_t = BlendedWeno(Advection(velocity=1.0), Grid.line(32), **settings)(u)
        ...     print(upwind, round(1e6 * float(u @ u_t)))  # growth of sum(u**2) / 2
        0.0 0
        0.1 -77
        0.2 -154
    """

    def __init__(
        self,
        equation: Equation,
        grid: Grid,
        *,
        exponent: float = 2.0,
        sensitivity: float = 1.0,
        upwind: float = 0.1,
        viscous_order: int = 4,
        form: type[Form] | Form = UpwindFlux,
    ) -> None:
        if not (math.isfinite(sensitivity) and sensitivity >= 0):
            raise ValueError(
                f"The sensitivity of the weights is a number of at least 0, not "
                f"{sensitivity!r}."
            )
        if not 0 <= upwind <= 0.25:
            raise ValueError(
                f"The upwind weight lies between 0 and 1/4, from where on another one "
                f"would be negative, but is {upwind!r}."
            )
        super().__init__(
            equation, grid, exponent=exponent, viscous_order=viscous_order, form=form
        )
        self.sensitivity, self.upwind = float(sensitivity), float(upwind)
        shares = (upwind, 0.5 + upwind, 0.5 - 2 * upwind)
        self.register_constant(
            "linear_weights", torch.tensor(shares, dtype=torch.float64)
        )

    @property
    def settings(self) -> dict[str, Any]:
        inherited = super().settings
        return {
            "exponent": self.exponent,
            "sensitivity": self.sensitivity,
            "upwind": self.upwind,
            **{name: inherited[name] for name in ("viscous_order", "form")},
        }

    def emphasis(
        self,
        roughness: Float[Tensor, "*stencils"],
        distance: Float[Tensor, "*fields"],
        total: Float[Tensor, "*fields"],
        level: Float[Tensor, "*fields"],
    ) -> Float[Tensor, "*stencils"]:
        plain = super().emphasis(roughness, distance, total, level)
        return 1 + self.sensitivity * (plain - 1)
