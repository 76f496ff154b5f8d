"""Weighted essentially non-oscillatory (WENO) finite volumes of any odd order."""

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.discretizations.cell_polynomials import (
    linear_weights,
    smoothness_squares,
    substencils,
    value_row,
)
from stencilnet.discretizations.reconstruction import Reconstruction
from stencilnet.discretizations.windows import shifted
from stencilnet.equations import Equation, Form, UpwindFlux
from stencilnet.errors import as_integer, as_number
from stencilnet.grid import Grid
from stencilnet.stencils import in_full_precision, weighted_sum

# `tau` as a combination of the roughnesses, by order.
_DISTANCES: Mapping[int, tuple[int, ...]] = MappingProxyType(
    {3: (1, -1), 5: (1, 0, -1), 7: (1, 3, -3, -1), 9: (1, 2, -6, 2, 1)}
)
# Jumps relative to the field that JS takes for smooth data.
_FLAT = 3e-7


class Weno(Reconstruction):
    """WENO reconstruction of face values from cell averages, of order `2 r - 1`.

    The values of `r` polynomials, each through `r` cells, are blended with weights that
    fall with their roughness `beta_k`, the sum of the squared L2 norms of a
    polynomial's derivatives over the cell (Jiang and Shu 1996, Eq. (3.1)):

        JS:  w_k ~ d_k / (beta_k + 1e-6 sum(beta) + (3e-7 u)**2)**p
        Z:   w_k ~ d_k (1 + (tau / beta_k)**p)

    with the linear weights `d_k`, for which the blend is of order `2 r - 1`, and with

        tau = |beta_0 - beta_1|                                  order 3
              |beta_0 - beta_2|                                  order 5
              |beta_0 + 3 beta_1 - 3 beta_2 - beta_3|            order 7
              |beta_0 + 2 beta_1 - 6 beta_2 + 2 beta_3 + beta_4|  order 9

    Weights do not depend on the unit of `u`: a block of any height from 1e-80 to 1e80,
    in float32 from 1e-11 to 1e18, is reconstructed as one of height 1; beyond, squares
    of jumps underflow or overflow. The published JS adds 1e-6 to `beta_k`, which
    switches the weights off for small data; here they switch off where jumps are below
    3e-7 of the field itself, the rounding of single precision.

    Orders on smooth data: `2 r - 1` away from critical points, whatever the weights. At
    a critical point, `f' = 0`, face values of order 5 remain of fifth order with Z and
    drop to fourth with JS; where `f'' = 0` as well, all drop to third. In the mean
    over a wave that has critical points, orders 5, 7 and 9 are kept with Z and become
    4, 6 and 8 with JS; order 3 becomes 2 with either. The order of the whole right-hand
    side is also limited by `viscous_order` and, for a source, by 4.

    The stable step, `stable_step`, is that of the linear weights. Noise from cell to
    cell has others, however small it is, and may be amplified within some percent of
    that step, most with weights Z of order 9: take 0.8 of it.

    Sources: Jiang and Shu (1996), doi:10.1006/jcph.1996.0130; Balsara and Shu (2000),
    doi:10.1006/jcph.2000.6443, for orders 7 and 9; Borges et al. (2008),
    doi:10.1016/j.jcp.2007.11.038, for Z; Don and Borges (2013),
    doi:10.1016/j.jcp.2013.05.018, for `tau` of orders 3, 7 and 9.

    Args:
        equation: the equation to discretize.
        grid: the grid to discretize on.
        order: 3, 5, 7 or 9.
        weights: "Z" or "JS".
        exponent: `p`, at least 1. A small one is less careful: more accurate where
            shocks are barely resolved, with small oscillations.
        viscous_order: order of the centred differences across faces, even. Four, the
            default, is more accurate than higher ones where shocks are barely resolved;
            the whole right-hand side is of order 5 from six on.
        form: a form with one-sided face values of cell averages.

    Raises:
        ValueError: if the form requires anything else, the order or the weights do not
            exist, the exponent is below 1, the viscous order is odd or below 2, or the
            grid has fewer points than the stencil needs.

    Example:
        >>> from stencilnet import SSPRK3, Burgers, Grid, Weno
        >>> weno = Weno(Burgers(viscosity=0.01), Grid.line(64), exponent=1.0)
        >>> 0.05 < weno.stable_step(weno.grid.points().sin(), SSPRK3) < 0.3
        True
    """

    def __init__(
        self,
        equation: Equation,
        grid: Grid,
        *,
        order: int = 5,
        weights: Literal["Z", "JS"] = "Z",
        exponent: float = 2.0,
        viscous_order: int = 4,
        form: type[Form] | Form = UpwindFlux,
    ) -> None:
        if as_integer(order) not in _DISTANCES:
            raise ValueError(
                f"WENO has the orders {', '.join(map(str, _DISTANCES))}, not {order!r}."
            )
        if weights not in ("Z", "JS"):
            raise ValueError(f"WENO has the weights 'Z' and 'JS', not {weights!r}.")
        power = as_number(exponent)
        if power is None or not 1 <= power < math.inf:
            raise ValueError(
                f"The exponent of WENO's weights is a number of at least 1, not "
                f"{exponent!r}."
            )
        super().__init__(
            equation,
            grid,
            form,
            viscous_order=viscous_order,
            reach=int(order) + 1,
            value_order=int(order),
        )
        self.order, self.weights, self.exponent = int(order), weights, power
        self.stencils = (self.order + 1) // 2
        self.register_constant("linear_weights", _tensor(linear_weights(self.stencils)))
        self.register_constant("features", _features(self.stencils))

    @property
    def settings(self) -> dict[str, Any]:
        return {
            "order": self.order,
            "weights": self.weights,
            "exponent": self.exponent,
            **super().settings,
        }

    def face_values(
        self, u: Float[Tensor, "*batch x"]
    ) -> tuple[Float[Tensor, "*batch x"], Float[Tensor, "*batch x"]]:
        around = shifted(u, range(1 - self.stencils, self.stencils + 1))
        # Seen from the right, the stencil is mirrored.
        left, right = self.reconstruct(around[:-1], around[:0:-1])
        return left, right

    def reconstruct(
        self, *stencils: Sequence[Float[Tensor, "*batch x"]]
    ) -> list[Float[Tensor, "*batch x"]]:
        """Values at the right faces of the middle ones of neighbouring cells.

        Args:
            stencils: any number of them, each as `order` fields of cell averages.
        """
        blend = self._fused if torch.compiler.is_compiling() else self._stacked
        return blend(stencils)

    def _stacked(self, stencils: Sequence[Sequence[Tensor]]) -> list[Tensor]:
        """All sides and candidates in one tensor: a matrix product and few calls."""
        r = self.stencils
        cells = torch.stack([torch.stack(list(fields)) for fields in stencils], dim=1)
        # Differences to the middle cell vanish exactly where the field is constant.
        middle = cells[r - 1]
        cells = cells - middle
        features = in_full_precision(
            torch.matmul, self.get_constant("features", cells), cells.flatten(1)
        )
        features = features.reshape(r, r, *cells.shape[1:])
        roughness = features[1:].square().sum(0)
        raw = self.emphasis(
            roughness, self._distance(roughness), roughness.sum(0), middle
        )
        linear = self.get_constant("linear_weights", cells)
        raw = linear.reshape(-1, *[1] * (raw.ndim - 1)) * self._selected(raw)
        return list((middle + (raw * features[0]).sum(0) / raw.sum(0)).unbind())

    def _fused(self, stencils: Sequence[Sequence[Tensor]]) -> list[Tensor]:
        """The same by single fields, of which a compiler makes one vectorized loop."""
        r, sides = self.stencils, []
        for fields in stencils:
            middle = fields[r - 1]
            cells = [field - middle for field in fields]
            features = [
                weighted_sum(row, cells) for row in self.get_numbers("features")
            ]
            roughness = [
                sum((q * q for q in features[k + 2 * r :: r]), features[k + r].square())
                for k in range(r)
            ]
            distance = self._distance(roughness)
            total = sum(roughness[1:], roughness[0])
            raw = self._selected(
                [self.emphasis(beta, distance, total, middle) for beta in roughness]
            )
            linear = self.get_numbers("linear_weights")
            weights = [w * d for w, d in zip(raw, linear, strict=True)]
            blend = [w * q for w, q in zip(weights, features[:r], strict=True)]
            departure = sum(blend[1:], blend[0]) / sum(weights[1:], weights[0])
            sides.append(middle + departure)
        return sides

    def _distance(self, roughness: Sequence[Tensor] | Tensor) -> Tensor:
        """`tau`."""
        return weighted_sum(_DISTANCES[self.order], list(roughness)).abs()

    def emphasis(
        self,
        roughness: Float[Tensor, "*stencils"],
        distance: Float[Tensor, "*fields"],
        total: Float[Tensor, "*fields"],
        level: Float[Tensor, "*fields"],
    ) -> Float[Tensor, "*stencils"]:
        """Weights of candidates before their linear ones and their norm.

        Args:
            roughness: `beta_k`.
            distance: `tau`.
            total: the sum of the roughnesses of all candidates.
            level: average of the middle cell.
        """
        total = total + smallest_scale(total.dtype)
        if self.weights == "JS":
            epsilon = 1e-6 * total + (_FLAT * level).square()
            return (1 + roughness / epsilon) ** -self.exponent
        # Far below any roughness that matters, and large enough for powers in float32.
        ratio = distance / (roughness + torch.finfo(total.dtype).eps * total)
        return 1 + ratio**self.exponent

    def _selected(self, raw: Any) -> Any:
        """Weights with those of rough candidates cut off, if the scheme does so."""
        return raw


def smallest_scale(dtype: torch.dtype) -> float:
    """What keeps `0 / 0` away: below any square of data, with room for gradients."""
    return torch.finfo(dtype).tiny ** 0.6


def _features(r: int) -> Float[Tensor, "features cells"]:
    """Rows for the candidates' values at the face, then for their roughness.

    The squares of the rows `k + r, k + 2 r, ...` add up to `beta_k`.
    """
    cells = range(1 - r, r)
    values, squares = [], []
    for stencil in substencils(r):
        values.append(_placed(value_row(stencil, Fraction(1, 2)), stencil, cells))
        squares.append(
            [
                math.sqrt(weight) * _placed(row, stencil, cells)
                for weight, row in smoothness_squares(stencil)
            ]
        )
    ordered = [row for m in zip(*squares, strict=True) for row in m]
    return torch.stack([*values, *ordered])


def _placed(
    row: Sequence[Fraction], stencil: Sequence[int], cells: Sequence[int]
) -> Float[Tensor, " cells"]:
    """A row over some of the cells as one over all of them."""
    numbers = dict(zip(stencil, map(float, row), strict=True))
    return torch.tensor([numbers.get(j, 0.0) for j in cells], dtype=torch.float64)


def _tensor(row: Sequence[Fraction]) -> Float[Tensor, " cells"]:
    return torch.tensor([float(value) for value in row], dtype=torch.float64)
