"""MUSCL with van Leer's kappa and two limits, three numbers that can be tuned."""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.discretizations.reconstruction import Reconstruction
from stencilnet.equations import Equation, Form, UpwindFlux
from stencilnet.grid import Grid


class Kappa(Reconstruction):
    """Limited face values of the kappa family from cell averages.

    With the jumps `a` behind and `b` ahead of a cell, seen in the direction of a face,
    the value there departs from the average by

        ((1 - kappa) a + (1 + kappa) b) / 4,

    limited by `behind a` and `ahead b`, and by zero at an extremum, where `a b <= 0`.
    Of second order on smooth monotone data, where face values are of third for
    `kappa = 1/3`; its limits `behind = ahead = 1` are Koren's. For `kappa = 0` with
    these limits it is `Muscl` with the limiter MC.

    Limits above 1 amplify noise in steps near the stable one of the linearization,
    `stable_step`: take half of it.

    Sources: van Leer (1979), doi:10.1016/0021-9991(79)90145-1; Koren (1993), in
    Numerical Methods for Advection-Diffusion Problems, Vieweg, for `kappa = 1/3`.

    Args:
        equation: the equation to discretize.
        grid: the grid to discretize on.
        kappa: from -1, upwind, to 1, central.
        behind, ahead: limits of the departure in jumps, at least 1/2. The scheme is
            total-variation diminishing (TVD) for explicit Euler steps that are short
            enough if `ahead` is at most 1.
        viscous_order: order of the differences across faces, even.
        form: a form with one-sided face values of cell averages.

    Raises:
        ValueError: if a number is out of its range, or as for `Muscl`.

    Example:
        >>> import torch
        >>> from stencilnet import Burgers, Grid
        >>> from stencilnet.discretizations import Kappa
        >>> averages = torch.arange(12) ** 2 + 1 / 12  # of x**2 over cells of width 1
        >>> kappa = Kappa(Burgers(viscosity=0.0), Grid.line(12))
        >>> left, right = kappa.face_values(averages)
        >>> [round(value, 3) for value in left[3:6].tolist()]  # 3.5**2, 4.5**2, 5.5**2
        [12.25, 20.25, 30.25]
    """

    def __init__(
        self,
        equation: Equation,
        grid: Grid,
        *,
        kappa: float = 1 / 3,
        behind: float = 1.0,
        ahead: float = 1.0,
        viscous_order: int = 2,
        form: type[Form] | Form = UpwindFlux,
    ) -> None:
        super().__init__(
            equation, grid, form, viscous_order=viscous_order, reach=4, value_order=3
        )
        if not -1 <= kappa <= 1:
            raise ValueError(
                f"kappa lies between -1, upwind, and 1, central, but is {kappa!r}."
            )
        for name, limit in (("behind", behind), ("ahead", ahead)):
            if not (math.isfinite(limit) and limit >= 0.5):
                raise ValueError(
                    f"The limit {name!r} must be at least 1/2, which leaves a line "
                    f"unlimited, not {limit!r}."
                )
        self.kappa, self.behind, self.ahead = float(kappa), float(behind), float(ahead)

    @property
    def settings(self) -> dict[str, Any]:
        return {
            "kappa": self.kappa,
            "behind": self.behind,
            "ahead": self.ahead,
            **super().settings,
        }

    def face_values(
        self, u: Float[Tensor, "*batch x"]
    ) -> tuple[Float[Tensor, "*batch x"], Float[Tensor, "*batch x"]]:
        right = u.roll(-1, -1) - u
        left = right.roll(1, -1)
        return (
            u + self._departure(left, right),
            (u - self._departure(right, left)).roll(-1, -1),
        )

    def _departure(self, behind: Tensor, ahead: Tensor) -> Tensor:
        """From the average of a cell to its value at a face."""
        plain = ((1 - self.kappa) * behind + (1 + self.kappa) * ahead) / 4
        limit = torch.minimum(self.behind * behind.abs(), self.ahead * ahead.abs())
        limited = plain.sign() * torch.minimum(plain.abs(), limit)
        # A constant differentiates like smooth monotone data, so that its linearization
        # is the scheme without limits.
        flat = (behind == 0) & (ahead == 0)
        monotone = ((behind > 0) & (ahead > 0)) | ((behind < 0) & (ahead < 0))
        return torch.where(flat, plain, torch.where(monotone, limited, 0.0))
