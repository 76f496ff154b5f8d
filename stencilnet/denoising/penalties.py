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

    Example:
        >>> import numpy as np
        >>> from stencilnet.denoising import Penalty, denoise_signals
        >>> penalty = Penalty.from_spec("l2_squared")
        >>> spike = np.array([0.0, 0.0, 1.0, 0.0, 0.0])
        >>> penalty, denoise_signals(spike, 0.5, penalty=penalty).signal.round(3)
        (L2Squared(), array([0.091, 0.182, 0.455, 0.182, 0.091]))
    """

    noun = "penalty"
    code: ClassVar[int]


@dataclass(frozen=True)
class L1(Penalty):
    """`|D y|_1`: most differences vanish (total variation, trend filtering).

    Example:
        >>> import numpy as np
        >>> from stencilnet.denoising import L1, denoise_signals
        >>> x = np.array([0.0, 0.1, 0.0, 1.0, 0.9, 1.0])
        >>> denoised = denoise_signals(x, 0.15, penalty=L1())
        >>> denoised.signal.round(3), int(denoised.knots)
        (array([0.083, 0.083, 0.083, 0.917, 0.917, 0.917]), 1)
    """

    kind = "l1"
    code = single.L1


@dataclass(frozen=True)
class L2(Penalty):
    """`|D y|_2`: all differences shrink, or all of them vanish.

    Example:
        >>> import numpy as np
        >>> from stencilnet.denoising import L2, denoise_signals, weight_max
        >>> x = np.array([0.0, 0.1, 0.0, 1.0, 0.9, 1.0])
        >>> largest = weight_max(x, penalty=L2())
        >>> for weight in (0.5 * largest, largest):
        ...     print(denoise_signals(x, weight, penalty=L2()).signal.round(2))
        [0.22 0.28 0.39 0.61 0.72 0.78]
        [0.5 0.5 0.5 0.5 0.5 0.5]
    """

    kind = "l2"
    code = single.L2


@dataclass(frozen=True)
class L2Squared(Penalty):
    """`|D y|_2**2`: a linear smoother (Tikhonov, Whittaker).

    Example:
        >>> import numpy as np
        >>> from stencilnet.denoising import L2Squared, denoise_signals
        >>> spike = np.array([0.0, 0.0, 1.0, 0.0, 0.0])
        >>> denoise_signals(spike, 0.5, penalty=L2Squared()).signal.round(3)
        array([0.091, 0.182, 0.455, 0.182, 0.091])
    """

    kind = "l2_squared"
    code = single.L2_SQUARED


PENALTIES = Penalty.kinds()
"""The penalties by the kinds that specs and configs use.

Example:
    >>> import numpy as np
    >>> from stencilnet.denoising import PENALTIES, denoise_signals
    >>> x = np.array([0.0, 0.1, 0.0, 1.0, 0.9, 1.0])
    >>> for kind, penalty in PENALTIES.items():
    ...     print(kind, int(denoise_signals(x, 0.15, penalty=penalty()).knots))
    l1 1
    l2 5
    l2_squared 5
"""


def checked_penalty(penalty: object) -> Penalty:
    """The penalty, by default `L1()`."""
    return Penalty.checked(penalty, L1())
