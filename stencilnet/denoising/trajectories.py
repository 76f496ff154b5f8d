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
"""Axes of `(time, x)` in the order in which they are denoised, by name."""

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
    """
    field = with_nan(field)
    draws = generator.standard_normal(field.shape)
    finite = field[np.isfinite(field)]
    deviation = finite.std() if finite.size else 0.0
    return np.asarray(field + noise * deviation * draws, dtype=field.dtype)


def fill_gaps(u: Float[np.ndarray, "*batch x"]) -> Float[np.ndarray, "*batch x"]:
    """Linear interpolation along x where a signal is not finite, if any of it is."""
    u = with_nan(u)
    filled = u.copy()
    for index in np.ndindex(u.shape[:-1]):
        hole = ~np.isfinite(u[index])
        if hole.any() and not hole.all():
            filled[index] = fill_linearly(u[index], hole)
    return filled
