"""Weighted essentially non-oscillatory finite volumes of fifth order."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.constants import contract
from stencilnet.discretizations.base import StencilMethod, check_requirements, patches
from stencilnet.discretizations.finite_difference import face_slope
from stencilnet.equations import Equation
from stencilnet.grid import Grid

_REACH = (-2, -1, 0, 1, 2, 3)
_CANDIDATES = (
    torch.tensor(
        [
            [2.0, -7.0, 11.0, 0.0, 0.0],
            [0.0, -1.0, 5.0, 2.0, 0.0],
            [0.0, 0.0, 2.0, 5.0, -1.0],
        ],
        dtype=torch.float64,
    )
    / 6
)
_LINEAR_WEIGHTS = torch.tensor([0.1, 0.6, 0.3], dtype=torch.float64)
_CURVATURE = torch.tensor(
    [
        [1.0, -2.0, 1.0, 0.0, 0.0],
        [0.0, 1.0, -2.0, 1.0, 0.0],
        [0.0, 0.0, 1.0, -2.0, 1.0],
    ],
    dtype=torch.float64,
)
_SLOPE = torch.tensor(
    [
        [1.0, -4.0, 3.0, 0.0, 0.0],
        [0.0, 1.0, 0.0, -1.0, 0.0],
        [0.0, 0.0, 3.0, -4.0, 1.0],
    ],
    dtype=torch.float64,
)


class Weno(StencilMethod):
    """WENO5 reconstruction of face values from cell averages.

    Three quadratic reconstructions are blended with weights that fall with their
    roughness `beta_k` (Jiang and Shu 1996, Eq. (3.1)):

        JS:  w_k ~ d_k / (beta_k + 1e-6)**2
        Z:   w_k ~ d_k (1 + (|beta_0 - beta_2| / (beta_k + epsilon))**2)

    Both are of fifth order on smooth data, and Z also at critical points. The viscous
    flux takes a centred difference across the face.

    Sources: Jiang and Shu (1996), doi:10.1006/jcph.1996.0130; Borges et al. (2008),
    doi:10.1016/j.jcp.2007.11.038, with exponent 2.

    Args:
        equation: a form with one-sided face values of cell averages.
        grid: where.
        weights: "Z" or "JS".
        viscous_order: order of the difference for `u_x`, even. Six keeps the whole
            right-hand side of fifth order; four, the default, is more accurate where
            shocks are barely resolved.

    Raises:
        ValueError: if the equation asks for anything else, the weights are unknown, the
            viscous order is odd or below 2, or the grid has fewer points than the
            stencil needs.
    """

    def __init__(
        self,
        equation: Equation,
        grid: Grid,
        *,
        weights: Literal["Z", "JS"] = "Z",
        viscous_order: int = 4,
    ) -> None:
        super().__init__(equation, grid)
        supplied = {"u_left": -1, "u_right": 1, "u_x": 0}
        check_requirements("WENO", equation, supplied)
        if weights not in ("Z", "JS"):
            raise ValueError(f"WENO has the weights 'Z' and 'JS', not {weights!r}.")
        self.weights = weights
        self._slope_stencil, slope = face_slope(
            "WENO5", grid, viscous_order, reach=len(_REACH)
        )
        self.register_constant("slope", slope)
        self.register_constant("candidates", _CANDIDATES.mT)
        self.register_constant("curvature", _CURVATURE.mT)
        self.register_constant("gradient", _SLOPE.mT)
        self.register_constant("linear_weights", _LINEAR_WEIGHTS)

    def derivatives(
        self, u: Float[Tensor, "*batch x"]
    ) -> dict[str, Float[Tensor, "*batch x"]]:
        around = patches(u, _REACH)
        # Seen from the right, the stencil is mirrored: both sides in one pass.
        both = torch.stack([around[..., :5], around[..., 1:].flip(-1)])
        left, right = self.reconstruct(both)
        supplied = {"u_left": left, "u_right": right}
        if "u_x" in self.equation.requires:
            slope = self.get_constant("slope", u)
            supplied["u_x"] = (patches(u, self._slope_stencil) * slope).sum(-1)
        return supplied

    def reconstruct(self, v: Float[Tensor, "*rows 5"]) -> Float[Tensor, "*rows"]:
        """Value at the right face of the middle cell, from five cell averages."""
        candidates = contract(v, self.get_constant("candidates", v))
        curvature = contract(v, self.get_constant("curvature", v))
        gradient = contract(v, self.get_constant("gradient", v))
        roughness = 13 / 12 * curvature**2 + gradient**2 / 4
        linear = self.get_constant("linear_weights", v)
        if self.weights == "JS":
            raw = linear / (roughness + 1e-6) ** 2
        else:
            # Small against any resolved jump, large enough to square in float32.
            epsilon = torch.finfo(v.dtype).eps ** 2
            distance = (roughness[..., :1] - roughness[..., 2:]).abs()
            # A fourth root of the largest number: its square does not overflow.
            largest = torch.finfo(v.dtype).max ** 0.25
            ratio = (distance / (roughness + epsilon)).clamp(max=largest)
            raw = linear * (1 + ratio**2)
        return (raw * candidates).sum(-1) / raw.sum(-1)
