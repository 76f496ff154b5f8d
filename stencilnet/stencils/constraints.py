"""Constraints on stencil coefficients, as values that build coefficient layers."""

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

from jaxtyping import Float
from torch import Tensor

from stencilnet.errors import as_number
from stencilnet.stencils.base import CoefficientLayer
from stencilnet.stencils.closed_form import (
    NullSpaceLayer,
    ProjectionLayer,
    SoftLayer,
    UnconstrainedLayer,
)
from stencilnet.stencils.convex import ConvexLayer, PolyhedralLayer
from stencilnet.stencils.moments import MomentConditions
from stencilnet.stencils.side_condition_kinds import side_conditions_from_specs
from stencilnet.stencils.side_conditions import SideCondition
from stencilnet.stencils.specs import (
    is_finite,
    is_integer,
    set_plain,
    to_spec,
)


@dataclass(frozen=True)
class Constraint(abc.ABC):
    """A map from raw numbers to coefficients, for any stencil and derivative.

    To add one, write a frozen dataclass with a `kind` and a method `build`. Its own
    fields have defaults and hold plain values.

    Attributes:
        order: accuracy order `r` of the moment conditions.
        limit: bound of each raw number, see `CoefficientLayer`; may be infinite.

    Raises:
        ValueError: if `order` is not a whole number of at least 1, or `limit` is not
            positive.

    Example:
        >>> import torch
        >>> from dataclasses import dataclass
        >>> from stencilnet.stencils import Constraint, NullSpaceLayer
        >>> @dataclass(frozen=True)
        ... class Near(Constraint):  # to the coefficients of least norm
        ...     kind = "near"
        ...     radius: float = 0.1
        ...
        ...     def build(self, conditions, reference=None):
        ...         return NullSpaceLayer(conditions, reference, limit=self.radius)
        >>> layer = Near().layer((-1.0, 0.0, 1.0), derivative=1)
        >>> c = layer(torch.tensor([1000.0]).double())
        >>> round(float((c - layer.reference).norm()), 6)
        0.1
    """

    kind: ClassVar[str]
    """Name in configs and stores."""

    order: int = 1
    limit: float = 10.0

    def __post_init__(self) -> None:
        if not is_integer(self.order) or self.order < 1:
            raise ValueError(
                f"The accuracy order of a constraint must be a whole number of at "
                f"least 1, not {self.order!r}."
            )
        limit = as_number(self.limit)
        if limit is None or not limit > 0:
            raise ValueError(
                f"The limit of raw numbers must be positive, not {self.limit!r}: give "
                f"infinity for none."
            )
        set_plain(self, order=int, limit=float)

    @final
    def layer(
        self,
        offsets: Float[Tensor, "*batch points"] | Sequence[float],
        derivative: int,
        *,
        averages: bool = False,
        reference: Float[Tensor, "*batch points"] | None = None,
    ) -> CoefficientLayer:
        """The coefficient layer of a stencil, or of a batch of stencils.

        Args:
            offsets: `s_j` in units of dx.
            derivative: order `d` of the derivative.
            averages: whether the data are cell averages.
            reference: dimensionless coefficients for raw zeros, which satisfy the
                moment conditions; those of least norm by default.

        Raises:
            ValueError: if the stencil cannot satisfy the conditions, or `reference`
                does not.
        """
        conditions = MomentConditions(
            offsets, derivative, self.order, averages=averages
        )
        return self.build(conditions, reference)

    @abc.abstractmethod
    def build(
        self,
        conditions: MomentConditions,
        reference: Float[Tensor, "*stencils points"] | None = None,
    ) -> CoefficientLayer:
        """The coefficient layer for moment conditions; `layer` calls it."""

    @final
    def spec(self) -> dict[str, Any]:
        """The constraint as plain values, for `constraint_from_spec`."""
        return to_spec(self)


@dataclass(frozen=True)
class NullSpace(Constraint):
    """All consistent coefficients, from coordinates: see `NullSpaceLayer`.

    Example:
        >>> from stencilnet import NullSpace
        >>> NullSpace(order=2).spec()["order"]
        2
    """

    kind = "null_space"

    def build(
        self,
        conditions: MomentConditions,
        reference: Float[Tensor, "*stencils points"] | None = None,
    ) -> CoefficientLayer:
        return NullSpaceLayer(conditions, reference, limit=self.limit)


@dataclass(frozen=True)
class Projection(Constraint):
    """The consistent coefficients nearest to raw ones: see `ProjectionLayer`.

    Example:
        >>> import torch
        >>> from stencilnet.stencils import Projection
        >>> layer = Projection(order=2).layer((-2.0, -1.0, 0.0, 1.0, 2.0), derivative=1)
        >>> raw = torch.tensor([3.0, -1.0, 4.0, 1.0, -5.0]).double()
        >>> bool(layer.residual(layer(raw)) < 1e-12)
        True
    """

    kind = "projection"

    def build(
        self,
        conditions: MomentConditions,
        reference: Float[Tensor, "*stencils points"] | None = None,
    ) -> CoefficientLayer:
        return ProjectionLayer(conditions, reference, limit=self.limit)


@dataclass(frozen=True)
class Soft(Constraint):
    """Raw coefficients with penalized conditions: see `SoftLayer`.

    Attributes:
        mu: weight of the raw coefficients, positive and finite.
        learn_mu: whether it is a trainable parameter.

    Example:
        >>> import torch
        >>> from stencilnet.stencils import Soft
        >>> raw = torch.ones(3).double()
        >>> for mu in (0.01, 1.0, 100.0):  # from almost hard to almost free
        ...     layer = Soft(mu=mu, limit=1e6).layer((-1.0, 0.0, 1.0), derivative=1)
        ...     print(mu, round(float(layer.residual(layer(raw))), 3))
        0.01 0.01
        1.0 0.75
        100.0 2.913
    """

    kind = "soft"
    mu: float = 1.0
    learn_mu: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not is_finite(self.mu) or self.mu <= 0:
            raise ValueError(
                f"The weight mu of a soft constraint must be positive and finite, not "
                f"{self.mu!r}: use a projection for the limit 0."
            )
        if str(self.learn_mu) not in ("True", "False"):
            raise ValueError(
                f"`learn_mu` of a soft constraint must be true or false, not "
                f"{self.learn_mu!r}."
            )
        set_plain(self, mu=float, learn_mu=bool)

    def build(
        self,
        conditions: MomentConditions,
        reference: Float[Tensor, "*stencils points"] | None = None,
    ) -> CoefficientLayer:
        return SoftLayer(
            conditions,
            reference,
            limit=self.limit,
            mu=self.mu,
            learn_mu=self.learn_mu,
        )


@dataclass(frozen=True)
class PolyhedralConstraint(Constraint, abc.ABC):
    """The nearest consistent coefficients under side conditions.

    Attributes:
        side_conditions: inequalities and symmetries, or their specs; a tuple of values
            after construction.
    """

    layer_class: ClassVar[type[PolyhedralLayer]]

    side_conditions: Sequence[SideCondition | Mapping[str, Any]] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        values = tuple(side_conditions_from_specs(self.side_conditions))
        object.__setattr__(self, "side_conditions", values)

    def build(
        self,
        conditions: MomentConditions,
        reference: Float[Tensor, "*stencils points"] | None = None,
    ) -> CoefficientLayer:
        return self.layer_class(
            conditions,
            reference,
            limit=self.limit,
            side_conditions=side_conditions_from_specs(self.side_conditions),
        )


@dataclass(frozen=True)
class Convex(PolyhedralConstraint):
    """The nearest consistent coefficients under side conditions: see `ConvexLayer`.

    Example:
        >>> from stencilnet import Burgers, Convex, Grid, LearnedStencil
        >>> learned = LearnedStencil(
        ...     Burgers(viscosity=0.02), Grid.line(16), constraint=Convex(order=1)
        ... )
        >>> tuple(learned(learned.grid.points().sin()).shape)
        (16,)
    """

    kind = "convex"
    layer_class = ConvexLayer


@dataclass(frozen=True)
class Unconstrained(Constraint):
    """Raw coefficients, for comparison: see `UnconstrainedLayer`.

    Example:
        >>> import torch
        >>> from stencilnet.stencils import Unconstrained
        >>> layer = Unconstrained(limit=1e6).layer((-1.0, 0.0, 1.0), derivative=1)
        >>> raw = torch.tensor([0.0, 1.0, 0.0]).double()
        >>> round(float(layer.residual(layer(raw))), 3)  # they no longer sum to zero
        1.0
    """

    kind = "unconstrained"

    def build(
        self,
        conditions: MomentConditions,
        reference: Float[Tensor, "*stencils points"] | None = None,
    ) -> CoefficientLayer:
        return UnconstrainedLayer(conditions, reference, limit=self.limit)
