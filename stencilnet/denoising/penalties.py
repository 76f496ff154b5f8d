"""Penalties on the differences of a signal."""

from dataclasses import dataclass
from typing import ClassVar

from stencilnet.denoising.kernels import single
from stencilnet.denoising.specs import Value


@dataclass(frozen=True)
class Penalty(Value):
    """A measure of the differences `D y`.

    Attributes:
        code: number of the penalty in the compiled kernels.
    """

    noun = "penalty"
    code: ClassVar[int]


@dataclass(frozen=True)
class L1(Penalty):
    """`|D y|_1`: most differences vanish (total variation, trend filtering)."""

    kind = "l1"
    code = single.L1


@dataclass(frozen=True)
class L2(Penalty):
    """`|D y|_2`: all differences shrink, or all of them vanish."""

    kind = "l2"
    code = single.L2


@dataclass(frozen=True)
class L2Squared(Penalty):
    """`|D y|_2**2`: a linear smoother (Tikhonov, Whittaker)."""

    kind = "l2_squared"
    code = single.L2_SQUARED


PENALTIES = Penalty.kinds()
"""The penalties by the kinds that specs and configs use."""


def checked_penalty(penalty: object) -> Penalty:
    """The penalty, by default `L1()`."""
    return Penalty.checked(penalty, L1())
