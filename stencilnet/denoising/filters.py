"""Filters that total variation is compared with, each at its best setting."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d
from scipy.signal import savgol_filter

from stencilnet.denoising.criteria import EQUAL
from stencilnet.denoising.inputs import with_nan
from stencilnet.denoising.penalties import L2Squared
from stencilnet.denoising.signals import denoise_signals
from stencilnet.denoising.trajectories import PERIODIC_AXIS
from stencilnet.denoising.wavelets import (
    has_wavelets,
    threshold_wavelets,
    wavelet_settings,
)
from stencilnet.errors import unknown

QUANTITIES = ("u", "u_x", "u_xx")
"""Quantities whose errors are compared.

Example:
    >>> import numpy as np
    >>> from stencilnet.denoising import QUANTITIES, relative_errors
    >>> x = 2 * np.pi * np.arange(64) / 64
    >>> clean = np.sin(x).reshape(1, 1, 64)
    >>> (errors,) = relative_errors([1.1 * clean], clean, x[1])
    >>> dict(zip(QUANTITIES, errors.round(3).tolist(), strict=True))
    {'u': 0.1, 'u_x': 0.1, 'u_xx': 0.1}
"""


@dataclass(frozen=True)
class Filter:
    """A filter of signals, and the settings to try.

    Attributes:
        apply: from a field, an axis, whether it is periodic and a setting to a field.
        settings: from the number of points to the settings, the plainest first.
    """

    apply: Callable[..., np.ndarray]
    settings: Callable[[int], Iterator[dict[str, Any]]]


def available_filters() -> list[str]:
    """Names of the filters whose library is installed.

    Example:
        >>> from stencilnet.denoising import available_filters
        >>> [name for name in available_filters() if name != "wavelets"]
        ['gaussian', 'savitzky_golay', 'tikhonov']
    """
    return [name for name in FILTERS if name != "wavelets" or has_wavelets()]


def filter_at_best(
    name: str,
    noisy: Float[np.ndarray, "sample time x"],
    clean: Float[np.ndarray, "sample time x"],
    axes: Sequence[int],
    *,
    periodic: bool = True,
) -> tuple[np.ndarray, str]:
    """A filtered field with the settings that come nearest to the clean one.

    Of settings that are equally good up to rounding, such as the degrees 2 and 3 of
    Savitzky-Golay on a circle, the first counts.

    Args:
        name: in `FILTERS`.
        noisy: finite.
        clean: NaN where it is unknown.
        axes: of `(time, x)`, one after the other; each has its best setting.
        periodic: whether x is.

    Returns:
        The field, and its settings in words.

    Raises:
        ModuleNotFoundError: if the library of the filter is not installed.
        ValueError: if the filter is unknown or the noisy field not finite.

    Example:
        >>> import numpy as np
        >>> from stencilnet.denoising import filter_at_best
        >>> x = 2 * np.pi * np.arange(64) / 64
        >>> clean = np.sin(x).reshape(1, 1, 64)
        >>> noise = 0.2 * np.random.default_rng(0).normal(size=clean.shape)
        >>> field, words = filter_at_best("gaussian", clean + noise, clean, [1])
        >>> words, round(float((field - clean).std() / noise.std()), 1)
        ('width 2.57', 0.5)
    """
    if name not in FILTERS:
        raise unknown("filter", name, FILTERS)
    noisy, clean = with_nan(noisy), with_nan(clean)
    if not np.isfinite(noisy).all():
        raise ValueError("Filters need finite values: fill gaps first, by fill_gaps.")
    chosen, field, words = FILTERS[name], noisy, []
    for axis in axes:
        cyclic = periodic and axis == PERIODIC_AXIS
        best, values = field, {}
        error = np.nanmean((field - clean) ** 2)
        for setting in chosen.settings(field.shape[axis + 1]):
            filtered = chosen.apply(field, axis + 1, periodic=cyclic, **setting)
            new = np.nanmean((filtered - clean) ** 2)
            if new < error * (1 - EQUAL):
                best, values, error = filtered, setting, new
        field = best
        words.append(_in_words(values))
    return field, "; ".join(words)


def _in_words(setting: Mapping[str, Any]) -> str:
    return ", ".join(
        value if isinstance(value, str) else f"{key} {value:.3g}"
        for key, value in setting.items()
    )


def derivatives(
    u: Float[np.ndarray, "sample time x"], spacing: float, *, periodic: bool
) -> Float[np.ndarray, "3 sample time x"]:
    """`QUANTITIES` by central differences; NaN at ends, which have one neighbour."""
    left, right = np.roll(u, 1, -1), np.roll(u, -1, -1)
    if not periodic:
        left[..., 0] = right[..., -1] = np.nan
    return np.stack(
        [u, (right - left) / (2 * spacing), (right - 2 * u + left) / spacing**2]
    )


def relative_errors(
    fields: Sequence[np.ndarray],
    clean: Float[np.ndarray, "sample time x"],
    spacing: float,
    *,
    periodic: bool = True,
    dtype: Any = np.float64,
) -> Float[np.ndarray, "field 3"]:
    """Root mean square errors of `QUANTITIES`, in standard deviations of the clean one.

    Absolute where the clean one is constant.

    Args:
        fields: `(sample, time, x)` each.
        clean: NaN where it is unknown, which is left out.
        spacing: of the grid.
        periodic: whether x is; else derivatives are those between its ends, NaN where
            there are none.
        dtype: in which the clean field was known.

    Example:
        >>> import numpy as np
        >>> from stencilnet.denoising import relative_errors
        >>> x = 2 * np.pi * np.arange(64) / 64
        >>> clean = np.sin(x).reshape(1, 1, 64)
        >>> noise = 0.01 * np.random.default_rng(0).normal(size=clean.shape)
        >>> relative_errors([clean + noise], clean, x[1]).round(2)
        array([[0.01, 0.09, 2.91]])
    """
    clean, fields = with_nan(clean), [with_nan(field) for field in fields]
    exact = derivatives(clean, spacing, periodic=periodic)
    with warnings.catch_warnings():
        # Two cells between ends have no derivatives, and no cells no values.
        warnings.filterwarnings("ignore", "Mean of empty|Degrees of", RuntimeWarning)
        scales = np.nanstd(exact, axis=(1, 2, 3))
        misses = [derivatives(u, spacing, periodic=periodic) - exact for u in fields]
        errors = [np.sqrt(np.nanmean(miss**2, axis=(1, 2, 3))) for miss in misses]
    # What differences of a constant or of a ramp leave is rounding.
    unit = 8 * float(np.finfo(dtype).eps) * np.nanmax(abs(clean), initial=0.0)
    rounding = unit / spacing ** np.arange(3.0)
    return np.asarray(np.array(errors) / np.where(scales > rounding, scales, 1.0))


def _gaussian(
    field: np.ndarray, axis: int, *, width: float, periodic: bool
) -> np.ndarray:
    mode = "wrap" if periodic else "nearest"
    filtered: np.ndarray = gaussian_filter1d(field, width, axis=axis, mode=mode)
    return filtered


def _widths(points: int) -> Iterator[dict[str, float]]:
    for width in np.geomspace(0.2, max(points / 8, 1.0), 40):
        yield {"width": float(width)}


def _savitzky_golay(
    field: np.ndarray, axis: int, *, window: int, degree: int, periodic: bool
) -> np.ndarray:
    mode = "wrap" if periodic else "interp"
    filtered: np.ndarray = savgol_filter(field, window, degree, axis=axis, mode=mode)
    return filtered


def _windows(points: int) -> Iterator[dict[str, float]]:
    for degree in (1, 2, 3, 4, 5):
        # Odd windows that smooth.
        for window in range(degree + 3 - degree % 2, min(points, 65) + 1, 2):
            yield {"window": window, "degree": degree}


def _tikhonov(
    field: np.ndarray, axis: int, *, weight: float, order: int, periodic: bool
) -> np.ndarray:
    return denoise_signals(
        field, weight, order=order, penalty=L2Squared(), periodic=periodic, axis=axis
    ).signal


def _weights(points: int) -> Iterator[dict[str, float]]:
    for order in range(1, min(3, points - 1) + 1):
        for weight in np.geomspace(1e-2, 1e2 * 3.0 ** (2 * order), 30):
            yield {"weight": float(weight), "order": order}


FILTERS: Mapping[str, Filter] = MappingProxyType(
    {
        "gaussian": Filter(_gaussian, _widths),
        "savitzky_golay": Filter(_savitzky_golay, _windows),
        "tikhonov": Filter(_tikhonov, _weights),
        "wavelets": Filter(threshold_wavelets, wavelet_settings),
    }
)
"""Filters by name. Wavelets need PyWavelets, see `available_filters`.

Example:
    >>> import numpy as np
    >>> from stencilnet.denoising import FILTERS
    >>> list(FILTERS)
    ['gaussian', 'savitzky_golay', 'tikhonov', 'wavelets']
    >>> spike = np.array([[0.0, 0.0, 1.0, 0.0, 0.0]])
    >>> FILTERS["gaussian"].apply(spike, 1, width=0.5, periodic=True).round(2)
    array([[0.  , 0.11, 0.79, 0.11, 0.  ]])
"""
