"""Coefficient layers in closed form: affine maps of the raw numbers."""

import abc
import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from stencilnet.errors import as_number
from stencilnet.stencils.base import CoefficientLayer
from stencilnet.stencils.constants import weighted_sum
from stencilnet.stencils.moments import MomentConditions


class AffineLayer(CoefficientLayer, abc.ABC):
    """Coefficients `c = c0 + M xi` with a fixed matrix.

    Attributes:
        matrix: `M`, shape `(*stencils, points, inputs)`.
    """

    matrix: Tensor

    def __init__(
        self,
        conditions: MomentConditions,
        reference: Float[Tensor, "*stencils points"] | None = None,
        *,
        limit: float = math.inf,
    ) -> None:
        super().__init__(conditions, reference, limit=limit)
        matrix = self.make_matrix(conditions)
        self.register_constant("matrix", matrix)
        self.inputs = matrix.shape[-1]

    @staticmethod
    @abc.abstractmethod
    def make_matrix(
        conditions: MomentConditions,
    ) -> Float[Tensor, "*stencils points inputs"]:
        """`M` from the conditions."""

    def coefficients(
        self, raw: Float[Tensor, "*batch inputs"]
    ) -> Float[Tensor, "*batch points"]:
        return _affine(
            raw, self.get_constant("matrix", raw), self.get_constant("reference", raw)
        )

    def planes(self, raw: Sequence[Tensor]) -> Sequence[Tensor]:
        if self.stencils:
            return super().planes(raw)
        bounded = [self._bounded(plane) for plane in raw]
        return [
            weighted_sum(row, bounded) + offset
            for row, offset in zip(
                self.get_numbers("matrix"), self.get_numbers("reference"), strict=True
            )
        ]


class NullSpaceLayer(AffineLayer):
    """Consistent coefficients from coordinates in the null space of the conditions.

        c = c0 + N.T xi,    A c0 = b,    A N.T = 0

    with orthonormal rows `N`: a one-to-one map onto the consistent stencils.

    Source: Bar-Sinai et al. (2019), doi:10.1073/pnas.1814058116.

    Args and errors: as `CoefficientLayer`; a raw number per degree of freedom.

    Example:
        >>> import torch
        >>> from stencilnet.stencils import MomentConditions, NullSpaceLayer
        >>> conditions = MomentConditions((-2.0, -1.0, 0.0, 1.0, 2.0), 1, order=2)
        >>> layer = NullSpaceLayer(conditions)
        >>> c = layer(torch.tensor([3.0, -1.0]).double())
        >>> layer.inputs, bool(layer.residual(c) < 1e-12)
        (2, True)
    """

    @staticmethod
    def make_matrix(
        conditions: MomentConditions,
    ) -> Float[Tensor, "*stencils points inputs"]:
        return conditions.null_space.mT.contiguous()


class ProjectionLayer(AffineLayer):
    """The consistent coefficients nearest to raw ones: the hard reading of Eq. (12).

        c = argmin |c - (c0 + xi)|**2  subject to  A c = b
          = c0 + N.T N xi

    with `N` an orthonormal basis of the null space, from a QR factorization of the
    dimensionless conditions. If `c0` is the solution of least norm, the default, `c` is
    also the one nearest to `xi` itself.

    Args and errors: as `CoefficientLayer`; a raw number per coefficient.

    Example:
        >>> import torch
        >>> from stencilnet.stencils import MomentConditions, ProjectionLayer
        >>> layer = ProjectionLayer(MomentConditions((-1.0, 0.0, 1.0), 1, order=1))
        >>> c = layer(torch.tensor([-1.0, 1.0, 0.3]).double())
        >>> [round(x, 3) for x in c.tolist()]
        [-0.95, 0.9, 0.05]
    """

    @staticmethod
    def make_matrix(
        conditions: MomentConditions,
    ) -> Float[Tensor, "*stencils points inputs"]:
        return conditions.null_space.mT @ conditions.null_space


class UnconstrainedLayer(AffineLayer):
    """Raw coefficients without conditions, `c = c0 + xi`, for comparison.

    Args and errors: as `CoefficientLayer`; a raw number per coefficient.

    Example:
        >>> import torch
        >>> from stencilnet.stencils import MomentConditions, UnconstrainedLayer
        >>> layer = UnconstrainedLayer(MomentConditions((-1.0, 0.0, 1.0), 1, order=1))
        >>> c = layer(torch.tensor([0.1, 0.2, 0.0]).double())
        >>> [round(x, 3) for x in c.tolist()], round(float(layer.residual(c)), 3)
        ([-0.4, 0.2, 0.5], 0.3)
    """

    @staticmethod
    def make_matrix(
        conditions: MomentConditions,
    ) -> Float[Tensor, "*stencils points inputs"]:
        points = conditions.offsets.shape[-1]
        identity = torch.eye(points, dtype=torch.float64)
        return identity.expand(*conditions.offsets.shape, points)


class SoftLayer(CoefficientLayer):
    """Raw coefficients with penalized conditions: the soft reading of Eq. (12).

        c = argmin mu |c - (c0 + xi)|**2 + |A c - b|**2
          = c0 + xi - sum_i s_i**2 / (mu + s_i**2) (xi . v_i) v_i

    with the singular values `s_i` and right singular vectors `v_i` of `A`. As `mu`
    falls to zero it becomes `ProjectionLayer`, as `mu` grows `UnconstrainedLayer`.

    Args:
        conditions, reference, limit: as `CoefficientLayer`.
        mu: weight of the raw coefficients, positive, dimensionless.
        learn_mu: whether `log(mu)` is a trainable parameter.

    Raises:
        ValueError: as `CoefficientLayer`, or if `mu` is not a positive number.

    Example:
        >>> import torch
        >>> from stencilnet.stencils import MomentConditions, SoftLayer
        >>> conditions = MomentConditions((-1.0, 0.0, 1.0), 1, order=1)
        >>> layer = SoftLayer(conditions, learn_mu=True)
        >>> layer(torch.ones(3).double()).sum().backward()
        >>> round(layer.mu.item(), 4), round(layer.log_mu.grad.item(), 4)
        (1.0, 0.5625)
    """

    singular_vectors: Tensor
    singular_values: Tensor

    def __init__(
        self,
        conditions: MomentConditions,
        reference: Float[Tensor, "*stencils points"] | None = None,
        *,
        limit: float = math.inf,
        mu: float = 1.0,
        learn_mu: bool = False,
    ) -> None:
        super().__init__(conditions, reference, limit=limit)
        weight = as_number(mu)
        if weight is None or not 0 < weight < math.inf:
            raise ValueError(
                f"The weight mu of a soft layer must be positive and finite, not "
                f"{mu!r}: use a projection for the limit 0."
            )
        _, values, vectors = torch.linalg.svd(conditions.matrix, full_matrices=False)
        self.register_constant("singular_values", values)
        self.register_constant("singular_vectors", vectors)
        self.log_mu = nn.Parameter(
            torch.tensor(math.log(weight), dtype=torch.float64), requires_grad=learn_mu
        )

    @property
    def mu(self) -> Tensor:
        """The weight of the raw coefficients."""
        return self.log_mu.exp()

    def coefficients(
        self, raw: Float[Tensor, "*batch inputs"]
    ) -> Float[Tensor, "*batch points"]:
        squares = self.get_constant("singular_values", raw) ** 2
        vectors = self.get_constant("singular_vectors", raw)
        # One small matrix for all rows is cheaper than two products with all rows.
        shares = squares / (self.mu.to(raw) + squares)
        identity = torch.eye(self.points, dtype=raw.dtype, device=raw.device)
        matrix = identity - (vectors.mT * shares.unsqueeze(-2)) @ vectors
        return _affine(raw, matrix, self.get_constant("reference", raw))


def _affine(raw: Tensor, matrix: Tensor, offset: Tensor) -> Tensor:
    """`offset + matrix @ raw`, with one matrix or one per stencil."""
    if matrix.ndim > 2:
        return offset + (matrix @ raw.unsqueeze(-1)).squeeze(-1)
    if matrix.shape[-1] < len(matrix):
        return functional.linear(raw, matrix, offset)
    # The offset comes last: a sum that starts from it rounds every term to its size,
    # which shows in float32.
    return functional.linear(raw, matrix) + offset
