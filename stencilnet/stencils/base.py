"""Interface of coefficient layers, from raw numbers to stencil coefficients."""

import abc
import math
from collections.abc import Sequence
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.errors import as_number
from stencilnet.stencils.constants import ConstantModule
from stencilnet.stencils.moments import MomentConditions
from stencilnet.stencils.precision import is_autocast, is_rounded


class CoefficientLayer(ConstantModule, abc.ABC):
    """Maps raw numbers to stencil coefficients that satisfy moment conditions.

    Raw zeros give the reference coefficients, so that a network whose last layer is
    zero starts as the classical scheme. Raw numbers are first bounded,

        g(xi) = limit tanh(xi / limit),

    which bounds the rounding error of `A c = b` for any output of a network; up to a
    fifth of a finite limit, `g(xi)` is `xi` within two percent.

    Every layer is non-expansive (Lipschitz constant 1).

    Coefficients have the dtype of the raw numbers. Under `torch.autocast` those of 16
    bits are converted to the dtype of the layer first, and neither autocast nor TF32
    rounds a product, so the moment conditions hold to the precision of the result.

    Args:
        conditions: moment conditions of the coefficients, for one stencil or a batch.
        reference: dimensionless coefficients, shape `(*stencils, points)`, that satisfy
            the conditions; those of least norm by default.
        limit: bound of each raw number, positive; infinite for `g(xi) = xi`.

    Attributes:
        conditions, reference, limit: the arguments.
        inputs: number of raw numbers of each stencil.
        points: number of coefficients of each stencil.
        stencils: shape of the batch of stencils, `()` for one.

    Raises:
        TypeError: if `reference` is not float64.
        ValueError: if `limit` is not positive, or `reference` has another shape or
            violates the conditions by more than 1e-10.

    Example:
        >>> import torch
        >>> from stencilnet.stencils import CoefficientLayer, MomentConditions
        >>> class Blend(CoefficientLayer):  # central differences and any diffusion
        ...     def __init__(self, conditions):
        ...         super().__init__(conditions)
        ...         self.inputs = 1
        ...
        ...     def coefficients(self, raw):
        ...         return self.reference + raw * raw.new_tensor([0.5, -1.0, 0.5])
        >>> layer = Blend(MomentConditions((-1.0, 0.0, 1.0), derivative=1, order=1))
        >>> c = layer(torch.tensor([-0.5]).double())
        >>> [round(x, 3) for x in c.tolist()], bool(layer.residual(c) < 1e-12)
        ([-0.75, 0.5, 0.25], True)
    """

    reference: Tensor

    def __init__(
        self,
        conditions: MomentConditions,
        reference: Float[Tensor, "*stencils points"] | None = None,
        *,
        limit: float = math.inf,
    ) -> None:
        super().__init__()
        bound = as_number(limit)
        if bound is None or not bound > 0:
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
                f"The reference has shape {tuple(reference.shape)}, but the stencil "
                f"{tuple(conditions.offsets.shape)}: give one coefficient per point."
            )
        residual = float(conditions.residual(reference).abs().max())
        scale = 1 + float(reference.abs().max())
        if not residual <= 1e-10 * scale:
            raise ValueError(
                f"The reference violates the moment conditions by {residual:.1e}: "
                f"choose coefficients of at least order {conditions.order}."
            )
        self.conditions = conditions
        self.limit = bound
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
        bounded = self.bound(raw)
        if is_rounded(bounded):
            return self.coefficients(bounded.double()).to(bounded.dtype)
        return self.coefficients(bounded)

    def planes(self, raw: Sequence[Tensor]) -> Sequence[Tensor]:
        """`forward` with one field per raw number and one per coefficient.

        A compiler fuses it into one loop over the points, in layers in closed form.
        """
        return self(torch.stack(list(raw), dim=-1)).unbind(-1)

    @abc.abstractmethod
    def coefficients(
        self, raw: Float[Tensor, "*batch inputs"]
    ) -> Float[Tensor, "*batch points"]:
        """Dimensionless coefficients for raw numbers that are already bounded."""

    def bound(self, raw: Tensor) -> Tensor:
        """`limit tanh(raw / limit)`; raises like `forward`."""
        if not raw.is_floating_point():
            raise TypeError(
                f"Raw numbers must be floating-point, not {raw.dtype}: convert them, "
                f"as in raw.double()."
            )
        if raw.ndim == 0 or raw.shape[-1] != self.inputs:
            raise ValueError(
                f"The layer takes {self.inputs} raw numbers per stencil, but the input "
                f"has shape {tuple(raw.shape)}: make its last axis {self.inputs} long."
            )
        batch = raw.shape[:-1]
        if self.stencils and batch[-len(self.stencils) :] != self.stencils:
            raise ValueError(
                f"The layer has stencils of shape {self.stencils}, but the input has "
                f"shape {tuple(raw.shape)}: give one row per stencil."
            )
        return self._bounded(raw)

    def _bounded(self, raw: Tensor) -> Tensor:
        if raw.dtype.itemsize == 2 and is_autocast(raw.device.type):
            raw = raw.to(self.reference.dtype)
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
