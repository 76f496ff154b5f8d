"""Coefficient layers in closed form: affine maps onto the consistent operators."""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from stencilnet.coefficients.base import CoefficientLayer
from stencilnet.moments import MomentConditions


class NullSpace(CoefficientLayer):
    """Consistent coefficients by coordinates in the null space of the conditions.

        c = c0 + g(z) N,    A c0 = b,    A N.T = 0,    g(z) = limit tanh(z / limit)

    Every consistent operator within the limit is reached by exactly one `z`, and no
    other operator is. The limit keeps the rounding error of `A c = b` bounded whatever
    the network puts out; up to a fifth of it, `g(z)` is `z` within two percent.

    Source: Bar-Sinai et al. (2019), doi:10.1073/pnas.1814058116, without the limit.

    Args:
        conditions: what the coefficients have to satisfy.
        reference: `c0`; the solution of least norm by default.
        limit: bound of each coordinate, positive; infinite for `g(z) = z`.

    Raises:
        ValueError: as `CoefficientLayer`, or if `limit` is not positive.
    """

    null_space: Tensor

    def __init__(
        self,
        conditions: MomentConditions,
        reference: Float[Tensor, " points"] | None = None,
        *,
        limit: float = 10.0,
    ) -> None:
        super().__init__(conditions, reference)
        if not limit > 0:
            raise ValueError(
                f"The limit of a coefficient layer must be positive, not {limit}."
            )
        self.limit = limit
        self.register_constant("null_space", conditions.null_space)
        self.inputs = len(conditions.null_space)

    def forward(
        self, raw: Float[Tensor, "*batch inputs"]
    ) -> Float[Tensor, "*batch points"]:
        null_space = self.get_constant("null_space", raw)
        return self.get_constant("reference", raw) + self._bound(raw) @ null_space

    def _bound(self, z: Tensor) -> Tensor:
        if math.isinf(self.limit):
            return z
        return self.limit * torch.tanh(z / self.limit)


class Projection(NullSpace):
    """The consistent coefficients nearest to the reference plus a raw change.

        c = argmin |c - (c0 + xi)|**2  subject to  A c = b
          = c0 + (xi N.T) N

    with `N` an orthonormal basis of the null space, from a QR factorization of the
    dimensionless conditions. The coordinates `xi N.T` are bounded as in `NullSpace`.

    Args and errors: as `NullSpace`; a raw input per coefficient.
    """

    def __init__(
        self,
        conditions: MomentConditions,
        reference: Float[Tensor, " points"] | None = None,
        *,
        limit: float = 10.0,
    ) -> None:
        super().__init__(conditions, reference, limit=limit)
        self.inputs = self.points

    def forward(
        self, raw: Float[Tensor, "*batch inputs"]
    ) -> Float[Tensor, "*batch points"]:
        return super().forward(
            functional.linear(raw, self.get_constant("null_space", raw))
        )


COEFFICIENT_LAYERS: dict[str, type[NullSpace]] = {
    "null_space": NullSpace,
    "projection": Projection,
}
"""The layers by the names that configs and stores use."""
