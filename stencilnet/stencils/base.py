"""The interface of a coefficient layer."""

import abc
import math
from collections.abc import Sequence
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.stencils.constants import ConstantModule
from stencilnet.stencils.moments import MomentConditions


class CoefficientLayer(ConstantModule, abc.ABC):
    """Maps raw numbers to stencil coefficients that satisfy moment conditions.

    Raw zeros give the reference coefficients, so that a network whose last layer is
    zero starts as the classical scheme. Raw numbers are first bounded,

        g(xi) = limit tanh(xi / limit),

    which keeps the rounding error of `A c = b` bounded whatever a network puts out; up
    to a fifth of a finite limit, `g(xi)` is `xi` within two percent.

    No layer stretches: the coefficients of two raw inputs lie at most as far apart as
    the inputs do.

    Args:
        conditions: what the coefficients have to satisfy, for one stencil or a batch.
        reference: dimensionless coefficients, shape `(*stencils, points)`, that satisfy
            the conditions; those of least norm by default.
        limit: bound of each raw number, positive; infinite for `g(xi) = xi`.

    Attributes:
        conditions: as given.
        reference: as given, or chosen.
        limit: as given.
        inputs: how many raw numbers each stencil takes.
        points: how many coefficients it has.
        stencils: shape of the batch of stencils, `()` for one.

    Raises:
        TypeError: if `reference` is not float64.
        ValueError: if `limit` is not positive, or `reference` has another shape or
            violates the conditions by more than 1e-10.
    """

    name: ClassVar[str]
    """What configs and stores call the layer."""

    reference: Tensor

    def __init__(
        self,
        conditions: MomentConditions,
        reference: Float[Tensor, "*stencils points"] | None = None,
        *,
        limit: float = math.inf,
    ) -> None:
        super().__init__()
        if not limit > 0:
            raise ValueError(
                f"The limit of a coefficient layer must be positive, not {limit}."
            )
        if reference is None:
            reference = conditions.particular
        if reference.dtype != torch.float64:
            raise TypeError(
                f"The reference is {reference.dtype}, which rounds the moments: give "
                f"float64, and convert the layer afterwards, as in layer.float()."
            )
        if reference.shape != conditions.offsets.shape:
            raise ValueError(
                f"The reference has the shape {tuple(reference.shape)}, but the "
                f"stencil {tuple(conditions.offsets.shape)}: give one coefficient per "
                f"point."
            )
        residual = float(conditions.residual(reference).abs().max())
        scale = 1 + float(reference.abs().max())
        if not residual <= 1e-10 * scale:
            raise ValueError(
                f"The reference violates the moment conditions by {residual:.1e}: "
                f"choose coefficients of at least order {conditions.order}."
            )
        self.conditions = conditions
        self.limit = limit
        self.points = reference.shape[-1]
        self.stencils = tuple(reference.shape[:-1])
        self.inputs = self.points
        self.register_constant("reference", reference)

    @final  # type: ignore[misc]
    def forward(
        self, raw: Float[Tensor, "*batch inputs"]
    ) -> Float[Tensor, "*batch points"]:
        """Dimensionless coefficients; divide by `dx**d` to apply them.

        Args:
            raw: one row per stencil. With a batch of conditions the last axes before
                `inputs` run over its stencils.

        Raises:
            TypeError: if `raw` is not of a floating-point dtype.
            ValueError: if it has another number of columns than `inputs`.
        """
        return self.coefficients(self.bound(raw))

    def planes(self, raw: Sequence[Tensor]) -> Sequence[Tensor]:
        """What the layer returns for single fields of raw numbers, as single fields.

        A compiler makes one loop over the points of it where a layer can do so.
        """
        return self(torch.stack(list(raw), dim=-1)).unbind(-1)

    @abc.abstractmethod
    def coefficients(
        self, raw: Float[Tensor, "*batch inputs"]
    ) -> Float[Tensor, "*batch points"]:
        """`forward` without the bound."""

    def bound(self, raw: Tensor) -> Tensor:
        """`limit tanh(raw / limit)`, after a check of shape and dtype."""
        if not raw.is_floating_point():
            raise TypeError(
                f"Raw numbers are floating-point, but these are {raw.dtype}: convert "
                f"them, as in raw.double()."
            )
        if raw.ndim == 0 or raw.shape[-1] != self.inputs:
            raise ValueError(
                f"The layer takes {self.inputs} raw numbers per stencil, but the input "
                f"has the shape {tuple(raw.shape)}: make its last axis {self.inputs} "
                f"long."
            )
        given = raw.shape[:-1]
        if self.stencils and given[-len(self.stencils) :] != self.stencils:
            raise ValueError(
                f"The layer has stencils of shape {self.stencils}, but the input the "
                f"shape {tuple(raw.shape)}: give one row per stencil."
            )
        return self._bounded(raw)

    def _bounded(self, raw: Tensor) -> Tensor:
        if math.isinf(self.limit):
            return raw
        return self.limit * torch.tanh(raw / self.limit)

    def residual(
        self, coefficients: Float[Tensor, "*batch points"]
    ) -> Float[Tensor, "*batch"]:
        """Largest violation of a moment condition, per stencil, in float64."""
        coefficients = coefficients.double()
        if coefficients.numel() == 0:
            return torch.zeros_like(coefficients[..., 0])
        return self.conditions.residual(coefficients).abs().amax(-1)
