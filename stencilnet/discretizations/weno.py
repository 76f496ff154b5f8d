"""Weighted essentially non-oscillatory finite volumes of fifth order."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.discretizations.base import shifted
from stencilnet.discretizations.reconstruction import Reconstruction
from stencilnet.equations import Equation, Form, UpwindFlux
from stencilnet.grid import Grid
from stencilnet.stencils import weighted_sum

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


class Weno(Reconstruction):
    """WENO5 reconstruction of face values from cell averages.

    Three quadratic reconstructions are blended with weights that fall with their
    roughness `beta_k` (Jiang and Shu 1996, Eq. (3.1)):

        JS:  w_k ~ d_k / (beta_k + 1e-6)**2
        Z:   w_k ~ d_k (1 + (|beta_0 - beta_2| / (beta_k + epsilon))**2)

    Both are of fifth order on smooth data; at critical points JS loses orders, Z none
    where `f'' != 0` and down to the third where `f' = f'' = 0`. The viscous
    flux takes a centred difference across the face.

    Sources: Jiang and Shu (1996), doi:10.1006/jcph.1996.0130; Borges et al. (2008),
    doi:10.1016/j.jcp.2007.11.038, with exponent 2.

    Args:
        equation: the equation to discretize.
        grid: the grid to discretize on.
        weights: "Z" or "JS".
        viscous_order: order of the differences across faces, even. Six keeps the whole
            right-hand side of fifth order; four, the default, is more accurate where
            shocks are barely resolved.
        form: a form with one-sided face values of cell averages.

    Raises:
        ValueError: if the form requires anything else, the weights are unknown, the
            viscous order is odd or below 2, or the grid has fewer points than the
            stencil needs.
    """

    reach = len(_REACH)
    value_order = 5

    def __init__(
        self,
        equation: Equation,
        grid: Grid,
        *,
        weights: Literal["Z", "JS"] = "Z",
        viscous_order: int = 4,
        form: type[Form] | Form = UpwindFlux,
    ) -> None:
        super().__init__(equation, grid, form, viscous_order=viscous_order)
        if weights not in ("Z", "JS"):
            raise ValueError(f"WENO has the weights 'Z' and 'JS', not {weights!r}.")
        self.weights = weights
        self.register_constant("linear_weights", _LINEAR_WEIGHTS)
        self.register_constant("features", torch.cat([_CANDIDATES, _CURVATURE, _SLOPE]))

    @property
    def settings(self) -> dict[str, Any]:
        return {"weights": self.weights, **super().settings}

    def face_values(
        self, u: Float[Tensor, "*batch x"]
    ) -> tuple[Float[Tensor, "*batch x"], Float[Tensor, "*batch x"]]:
        around = shifted(u, _REACH)
        # Seen from the right, the stencil is mirrored.
        left, right = self.reconstruct(around[:5], around[:0:-1])
        return left, right

    def reconstruct(
        self, *stencils: Sequence[Float[Tensor, "*batch x"]]
    ) -> list[Float[Tensor, "*batch x"]]:
        """Values at the right faces of the middle ones of five neighbouring cells.

        Args:
            stencils: any number of them, each as five fields of cell averages.
        """
        blend = self._fused if torch.compiler.is_compiling() else self._stacked
        return blend(stencils)

    def _stacked(self, stencils: Sequence[Sequence[Tensor]]) -> list[Tensor]:
        """All sides and candidates in one tensor: a matrix product and few calls."""
        cells = torch.stack([torch.stack(list(fields)) for fields in stencils], dim=1)
        features = self.get_constant("features", cells) @ cells.flatten(1)
        candidates, curvature, gradient = features.reshape(3, 3, *cells.shape[1:])
        roughness = _roughness(curvature, gradient)
        linear = self.get_constant("linear_weights", cells)
        raw = self._emphasis(roughness, (roughness[0] - roughness[2]).abs())
        raw = linear.reshape(-1, *[1] * (raw.ndim - 1)) * raw
        return list(((raw * candidates).sum(0) / raw.sum(0)).unbind())

    def _fused(self, stencils: Sequence[Sequence[Tensor]]) -> list[Tensor]:
        """The same by single fields, of which a compiler makes one vectorized loop."""
        sides = []
        for cells in stencils:
            features = [
                weighted_sum(row, cells) for row in self.get_numbers("features")
            ]
            candidates, curvature, gradient = features[:3], features[3:6], features[6:]
            roughness = [_roughness(*k) for k in zip(curvature, gradient, strict=True)]
            distance = (roughness[0] - roughness[2]).abs()
            raw = [
                self._emphasis(beta, distance) * linear
                for beta, linear in zip(
                    roughness, self.get_numbers("linear_weights"), strict=True
                )
            ]
            weighted = [w * q for w, q in zip(raw, candidates, strict=True)]
            sides.append(sum(weighted[1:], weighted[0]) / sum(raw[1:], raw[0]))
        return sides

    def _emphasis(self, roughness: Tensor, distance: Tensor) -> Tensor:
        """Weights of the candidates before their linear ones and their norm."""
        if self.weights == "JS":
            return (roughness + 1e-6) ** -2
        # Small against any resolved jump, large enough to square in float32.
        epsilon = torch.finfo(roughness.dtype).eps ** 2
        # A fourth root of the largest number: its square does not overflow.
        largest = torch.finfo(roughness.dtype).max ** 0.25
        ratio = (distance / (roughness + epsilon)).clamp(max=largest)
        return 1 + ratio**2


def _roughness(curvature: Tensor, gradient: Tensor) -> Tensor:
    """`beta_k` of the candidates."""
    return 13 / 12 * curvature**2 + gradient**2 / 4
