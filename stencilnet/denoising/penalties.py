"""Penalties on the differences of a signal."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

from stencilnet.denoising.kernels import batches
from stencilnet.denoising.specs import Value, value_from_spec


@dataclass(frozen=True)
class Penalty(Value):
    """A measure of the differences `D y`.

    Attributes:
        code: number of the penalty in the compiled kernels.
    """

    code: ClassVar[int]


@dataclass(frozen=True)
class L1(Penalty):
    """`|D y|_1`: most differences vanish (total variation, trend filtering)."""

    kind = "l1"
    code = batches.L1


@dataclass(frozen=True)
class L2(Penalty):
    """`|D y|_2`: all differences shrink, or all of them vanish."""

    kind = "l2"
    code = batches.L2


@dataclass(frozen=True)
class L2Squared(Penalty):
    """`|D y|_2**2`: a linear smoother (Tikhonov, Whittaker)."""

    kind = "l2_squared"
    code = batches.L2_SQUARED


PENALTIES: Mapping[str, type[Penalty]] = MappingProxyType(
    {penalty.kind: penalty for penalty in (L1, L2, L2Squared)}
)
"""The penalties by the kinds that specs and configs use."""


def penalty_from_spec(spec: str | Mapping[str, Any]) -> Penalty:
    """The penalty of a spec, or of a kind alone.

    Raises:
        ValueError: if the kind or a setting is unknown.
    """
    return value_from_spec("penalty", spec, PENALTIES)


def checked_penalty(penalty: object) -> Penalty:
    """The penalty, by default `L1()`.

    Raises:
        TypeError: if it is not a value, but a name or something else.
    """
    if penalty is None:
        return L1()
    if not isinstance(penalty, Penalty):
        raise TypeError(
            f"A penalty is a value such as L1(), not {penalty!r}: penalty_from_spec "
            f"makes one from a name."
        )
    return penalty
