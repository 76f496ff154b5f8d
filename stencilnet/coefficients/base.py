"""The interface of a coefficient layer."""

import abc

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.constants import ConstantModule
from stencilnet.moments import MomentConditions


class CoefficientLayer(ConstantModule, abc.ABC):
    """Maps raw numbers to stencil coefficients that satisfy moment conditions.

    Raw zeros give the reference coefficients, so that a network whose last layer is
    zero starts as the classical scheme.

    Args:
        conditions: what the coefficients have to satisfy.
        reference: dimensionless coefficients, shape `(points,)`, that satisfy the
            conditions; those of least norm by default.

    Attributes:
        conditions: as given.
        reference: as given, or chosen.
        inputs: how many raw numbers each stencil takes.
        points: how many coefficients it has.

    Raises:
        ValueError: if the conditions describe more than one stencil, or `reference`
            has another shape or violates them by more than 1e-10.
    """

    inputs: int
    reference: Tensor

    def __init__(
        self,
        conditions: MomentConditions,
        reference: Float[Tensor, " points"] | None = None,
    ) -> None:
        super().__init__()
        if conditions.offsets.ndim != 1:
            raise ValueError(
                f"A coefficient layer takes the conditions of one stencil, not a batch "
                f"of shape {tuple(conditions.offsets.shape[:-1])}: use one layer each."
            )
        if reference is None:
            reference = conditions.particular
        if reference.shape != conditions.offsets.shape:
            raise ValueError(
                f"The reference has the shape {tuple(reference.shape)}, but the "
                f"stencil {tuple(conditions.offsets.shape)}: give one coefficient per "
                f"point."
            )
        residual = float(conditions.residual(reference.double()).abs().max())
        if not residual <= 1e-10:
            raise ValueError(
                f"The reference violates the moment conditions by {residual:.1e}: "
                f"choose coefficients of at least order {conditions.order}."
            )
        self.conditions = conditions
        self.points = len(conditions.offsets)
        self.register_constant("reference", reference)

    @abc.abstractmethod
    def forward(
        self, raw: Float[Tensor, "*batch inputs"]
    ) -> Float[Tensor, "*batch points"]:
        """Dimensionless coefficients; divide by `dx**d` to apply them."""

    def residual(
        self, coefficients: Float[Tensor, "*batch points"]
    ) -> Float[Tensor, "*batch"]:
        """Largest violation of a moment condition, per stencil."""
        if coefficients.numel() == 0:
            return torch.zeros_like(coefficients[..., 0])
        return self.conditions.residual(coefficients).abs().amax(-1)
