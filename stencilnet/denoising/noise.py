"""Standard deviation of the noise of a signal, from its third differences."""

from typing import Any

import numpy as np

from stencilnet.denoising.inputs import read_signals
from stencilnet.denoising.kernels.banded import difference_coefficients

_ORDER = 3
# Fewer windows than this make no median.
_FEW = 10
_MEDIAN_OF_NORMAL = 0.6744897501960817


def noise_level(signals: Any, *, axis: int = -1) -> np.ndarray:
    """Standard deviation of independent noise, from the median third difference.

    Differences of a smooth signal are noise nearly everywhere, and a median ignores the
    few jumps of the others: `median |D_3 x| / (0.6745 |c|)`, with `c` the coefficients
    of the difference.

    Source: Donoho and Johnstone (1994), doi:10.1093/biomet/81.3.425, for the finest
    wavelet coefficients.

    Args:
        signals: as in `denoise_signals`; masked samples are left out.
        axis: along which the signals run.

    Raises:
        ValueError: if a signal has fewer than 2 samples, or one is not finite.

    Example:
        >>> import numpy as np
        >>> from stencilnet.denoising import noise_level
        >>> x = np.linspace(0, 1, 1000)
        >>> noise = np.random.default_rng(0).normal(scale=0.1, size=1000)
        >>> round(float(noise_level(np.sin(9 * x) + (x > 0.5) + noise)), 2)
        0.1
    """
    x, holes = read_signals(signals)
    x = x.astype(np.float64)
    if x.ndim == 0 or not -x.ndim <= axis < x.ndim or x.shape[axis] < 2:
        raise ValueError(
            f"The noise level needs signals of at least 2 samples along axis {axis}, "
            f"not of shape {x.shape}."
        )
    observed = np.ones(x.shape, bool) if holes is None else ~holes
    if not np.isfinite(x[observed]).all():
        raise ValueError("The noise level needs finite samples: mask the others.")
    rows, observed = np.moveaxis(x, axis, -1), np.moveaxis(observed, axis, -1)
    if (observed.sum(-1) < 2).any():
        raise ValueError(
            "The noise level needs at least 2 samples of each signal that are not "
            "missing."
        )
    points = rows.shape[-1]
    levels = [
        level(row, np.ones(points), seen)
        for row, seen in zip(
            rows.reshape(-1, points), observed.reshape(-1, points), strict=True
        )
    ]
    return np.array(levels).reshape(rows.shape[:-1])


def level(x: np.ndarray, precision: np.ndarray, observed: np.ndarray) -> float:
    """`noise_level` of one signal, for samples of precision 1.

    Takes differences of neighbours that were all observed; where these are few, those
    of observed samples in their order.
    """
    order = min(_ORDER, int(observed.sum()) - 1)
    windows = np.lib.stride_tricks.sliding_window_view(observed, order + 1)
    if windows.all(-1).sum() < _FEW:
        x, precision = x[observed], precision[observed]
        windows = np.ones((len(x) - order, order + 1), bool)
    coefficients = difference_coefficients(order)
    around = np.lib.stride_tricks.sliding_window_view(1 / precision, order + 1)
    deviation = np.sqrt(around @ coefficients**2)
    sizes = np.abs(np.diff(x, n=order)) / deviation
    return float(np.median(sizes[windows.all(-1)]) / _MEDIAN_OF_NORMAL)
