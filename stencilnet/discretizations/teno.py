"""Targeted essentially non-oscillatory (TENO) finite volumes."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.discretizations.weno import Weno, smallest_scale
from stencilnet.equations import Equation, Form, UpwindFlux
from stencilnet.errors import as_number
from stencilnet.grid import Grid


class Teno(Weno):
    """TENO5 reconstruction of face values from cell averages.

    The candidates of fifth-order WENO are taken with their linear weights `d_k` or not
    at all, so that smooth data get the linear scheme exactly:

        gamma_k = (1 + tau / beta_k)**6,    tau = |beta_0 - beta_2|,
        w_k ~ d_k if gamma_k >= cutoff sum(gamma), 0 otherwise

    Of fifth order on smooth data. Weights jump, so its linearization about a state is
    that of the stencils selected there.

    Source: Fu, Hu and Adams (2016), doi:10.1016/j.jcp.2015.10.037, Eqs. (21) to (25).

    Args:
        equation: the equation to discretize.
        grid: the grid to discretize on.
        cutoff: `C_T`, below 1 / 3; smaller ones dissipate less.
        viscous_order: order of the centred differences across faces, even.
        form: a form with one-sided face values of cell averages.

    Raises:
        ValueError: if the cutoff is not positive or would leave no candidate, or as for
            `Weno`.

    Example:
        >>> from stencilnet import Burgers, FiniteDifference, Grid, Weno
        >>> from stencilnet.discretizations import Teno
        >>> inviscid, grid = Burgers(viscosity=0.0), Grid.line(32)
        >>> u = grid.points().sin()
        >>> linear = FiniteDifference(inviscid, grid, order=5)(u)
        >>> for kind in (Teno, Weno):
        ...     departure = (kind(inviscid, grid)(u) - linear).abs().max()
        ...     print(kind.__name__, bool(departure < 1e-12))
        Teno True
        Weno False
    """

    def __init__(
        self,
        equation: Equation,
        grid: Grid,
        *,
        cutoff: float = 1e-5,
        viscous_order: int = 4,
        form: type[Form] | Form = UpwindFlux,
    ) -> None:
        number = as_number(cutoff)
        if number is None or not 0 < number < 1 / 3:
            raise ValueError(
                f"The cutoff of TENO must lie between 0 and 1/3, the share of each of "
                f"three equally smooth candidates, not {cutoff!r}."
            )
        super().__init__(equation, grid, viscous_order=viscous_order, form=form)
        self.cutoff = number

    @property
    def settings(self) -> dict[str, Any]:
        own = {"cutoff": self.cutoff}
        inherited = super().settings
        return own | {name: inherited[name] for name in ("viscous_order", "form")}

    def emphasis(
        self,
        roughness: Float[Tensor, "*stencils"],
        distance: Float[Tensor, "*fields"],
        total: Float[Tensor, "*fields"],
        level: Float[Tensor, "*fields"],
    ) -> Float[Tensor, "*stencils"]:
        number = torch.finfo(total.dtype)
        total = total + smallest_scale(total.dtype)
        ratio = distance / (roughness + number.eps * total)
        # An eighth root of the largest number: the sum of sixth powers is finite.
        return (1 + ratio.clamp(max=number.max**0.125)) ** 6

    def _selected(self, raw: Any) -> Any:
        total = raw.sum(0) if isinstance(raw, Tensor) else sum(raw[1:], raw[0])
        if isinstance(raw, Tensor):
            return self._passes(raw, total)
        return [self._passes(gamma, total) for gamma in raw]

    def _passes(self, gamma: Tensor, total: Tensor) -> Tensor:
        return (gamma >= self.cutoff * total).to(gamma)
