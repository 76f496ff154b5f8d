"""Trajectories denoised along x, t or both, with one weight per axis."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from jaxtyping import Float

from stencilnet.denoising.choice import choose_weight
from stencilnet.denoising.criteria import Criterion
from stencilnet.denoising.inputs import with_nan
from stencilnet.denoising.penalties import Penalty
from stencilnet.denoising.rows import fill_linearly
from stencilnet.denoising.signals import denoise_signals
from stencilnet.display import Displayed
from stencilnet.errors import unknown

ALONG: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {"x": (1,), "t": (0,), "both": (1, 0)}
)
"""Axes of `(time, x)` in the order in which they are denoised, by name.

Example:
    >>> from stencilnet.denoising import ALONG
    >>> dict(ALONG)
    {'x': (1,), 't': (0,), 'both': (1, 0)}
"""

PERIODIC_AXIS = 1
"""The axis of x."""

# Signals of a trajectory that choose its weight.
_CHOOSING = 64


@dataclass(frozen=True, repr=False)
class DenoisedTrajectory(Displayed):
    """A denoised trajectory and the weights that made it.

    Attributes:
        field: of the shape and dtype of the noisy one.
        weight: one per axis, in the order of `ALONG`.
        sigma: estimated standard deviation of the noise, one per axis; NaN where the
            weight was passed.

    Example:
        >>> import numpy as np
        >>> from stencilnet.denoising import DenoisedTrajectory, Gcv, denoise_trajectory
        >>> x, t = 2 * np.pi * np.arange(32) / 32, np.linspace(0, 1, 8).reshape(8, 1)
        >>> noise = np.random.default_rng(0).normal(scale=0.1, size=(8, 32))
        >>> denoised = denoise_trajectory(np.sin(x - t) + noise, Gcv(), order=2)
        >>> isinstance(denoised, DenoisedTrajectory), denoised.sigma.round(2)
        (True, array([0.09]))
        >>> round(float((denoised.field - np.sin(x - t)).std()), 2)
        0.06
    """

    field: Float[np.ndarray, "time x"]
    weight: Float[np.ndarray, " axis"]
    sigma: Float[np.ndarray, " axis"]


def denoise_trajectory(
    field: Float[np.ndarray, "time x"],
    weight: float | Criterion,
    *,
    along: str = "x",
    order: int = 1,
    penalty: Penalty | None = None,
    periodic: bool = True,
) -> DenoisedTrajectory:
    """One trajectory, denoised along one axis after the other.

    Args:
        field: noisy; NaN, infinities and masked values are missing samples, which are
            filled in.
        weight: `lambda` along every axis, or the criterion that chooses one per axis,
            shared by all signals, from up to 64 of them spread over the trajectory.
        along: "x", "t" or "both".
        order, penalty: as in `denoise_signals`.
        periodic: whether x is.

    Raises:
        TypeError, ValueError: as `denoise_signals`, or if `along` is unknown.

    Example:
        >>> import numpy as np
        >>> from stencilnet.denoising import denoise_trajectory
        >>> u = np.sin(2 * np.pi * np.arange(64) / 64) + np.zeros((20, 1))
        >>> noisy = u + np.random.default_rng(0).normal(scale=0.1, size=u.shape)
        >>> for along in ("x", "t", "both"):
        ...     field = denoise_trajectory(noisy, 1.0, along=along, order=2).field
        ...     print(along, round(float((field - u).std()), 3))
        x 0.043
        t 0.032
        both 0.022
    """
    if along not in ALONG:
        raise unknown("direction", along, ALONG)
    field = with_nan(field)
    weights, sigmas = [], []
    for axis in ALONG[along]:
        cyclic = periodic and axis == PERIODIC_AXIS
        missing = ~np.isfinite(field)
        number, sigma = weight, np.nan
        if isinstance(number, Criterion):
            signals = np.moveaxis(field, axis, -1)
            few = np.unique(np.linspace(0, len(signals) - 1, _CHOOSING).astype(int))
            choice = choose_weight(
                signals[few],
                number,
                order=order,
                penalty=penalty,
                periodic=cyclic,
                missing=np.moveaxis(missing, axis, -1)[few],
                shared=True,
            )
            number, sigma = float(choice.weight), float(choice.sigma)
        field = denoise_signals(
            field,
            number,
            order=order,
            penalty=penalty,
            periodic=cyclic,
            missing=missing if missing.any() else None,
            axis=axis,
        ).signal
        weights.append(float(number))
        sigmas.append(sigma)
    return DenoisedTrajectory(field, np.array(weights), np.array(sigmas))


def add_noise(
    field: Float[np.ndarray, "time x"], noise: float, generator: np.random.Generator
) -> Float[np.ndarray, "time x"]:
    """A trajectory with independent normal noise.

    Args:
        field: clean; values that are not finite stay so.
        noise: standard deviation, in units of that of the finite values.
        generator: of the draws.

    Example:
        >>> import numpy as np
        >>> from stencilnet.denoising import add_noise
        >>> u = 5 * np.sin(2 * np.pi * np.arange(64) / 64) + np.zeros((20, 1))
        >>> noisy = add_noise(u, 0.1, np.random.default_rng(0))
        >>> round(float((noisy - u).std() / u.std()), 2)
        0.1
    """
    field = with_nan(field)
    draws = generator.standard_normal(field.shape)
    finite = field[np.isfinite(field)]
    deviation = finite.std() if finite.size else 0.0
    return np.asarray(field + noise * deviation * draws, dtype=field.dtype)


def fill_gaps(u: Float[np.ndarray, "*batch x"]) -> Float[np.ndarray, "*batch x"]:
    """Linear interpolation along x where a signal is not finite, if any of it is.

    Example:
        >>> import numpy as np
        >>> from stencilnet.denoising import fill_gaps
        >>> fill_gaps(np.array([0.0, np.nan, 2.0, np.inf, 3.0]))
        array([0. , 1. , 2. , 2.5, 3. ])
    """
    u = with_nan(u)
    filled = u.copy()
    for index in np.ndindex(u.shape[:-1]):
        hole = ~np.isfinite(u[index])
        if hole.any() and not hole.all():
            filled[index] = fill_linearly(u[index], hole)
    return filled
