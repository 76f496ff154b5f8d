"""Translation-invariant wavelet thresholding, by PyWavelets if it is installed."""

import importlib.util
from collections.abc import Iterator
from typing import Any

import numpy as np

_LEVELS = 5
_MEDIAN_OF_NORMAL = 0.6744897501960817


def has_wavelets() -> bool:
    """Whether PyWavelets is installed."""
    return importlib.util.find_spec("pywt") is not None


def threshold_wavelets(
    field: np.ndarray,
    axis: int,
    *,
    wavelet: str,
    kind: str,
    threshold: float,
    periodic: bool,
) -> np.ndarray:
    """Stationary wavelet coefficients below a threshold are taken for noise.

    The mean over all translations of a signal (cycle spinning), which the inverse of
    the stationary transform is.

    Sources: Coifman and Donoho (1995), doi:10.1007/978-1-4612-2544-7_9; Donoho and
    Johnstone (1994), doi:10.1093/biomet/81.3.425, for the level of the noise.

    Args:
        field: of any shape.
        axis: along which the signals run.
        wavelet: an orthogonal one, by its name in PyWavelets.
        kind: "soft" or "hard".
        threshold: in standard deviations of the noise, which is the median size of the
            finest coefficients over that of a normal number.
        periodic: whether the signals are; others are mirrored at their ends.
    """
    import pywt

    points = field.shape[axis]
    levels = min(_LEVELS, max(int(np.log2(points)) - 1, 1))
    before, after = _extension(points, 2**levels, periodic)
    widths = [(0, 0)] * field.ndim
    widths[axis] = (before, after)
    mode: Any = "wrap" if periodic else "symmetric"
    longer = np.pad(field, widths, mode=mode)
    rough, *details = pywt.swt(longer, wavelet, levels, axis=axis, trim_approx=True)
    noise = float(np.median(np.abs(details[-1]))) / _MEDIAN_OF_NORMAL
    if noise == 0:
        return field
    smooth = [pywt.threshold(detail, threshold * noise, kind) for detail in details]
    whole: np.ndarray = pywt.iswt([rough, *smooth], wavelet, axis=axis)
    return np.take(whole, range(before, before + points), axis=axis)


def wavelet_settings(points: int) -> Iterator[dict[str, str | float]]:
    """Wavelets, kinds and thresholds to try."""
    for wavelet in ("haar", "db2", "db4"):
        for kind in ("soft", "hard"):
            for threshold in np.geomspace(0.5, 6, 14):
                yield {"wavelet": wavelet, "kind": kind, "threshold": float(threshold)}


def _extension(points: int, block: int, periodic: bool) -> tuple[int, int]:
    """Points to add before and after, so that blocks fit and ends do not meet."""
    if periodic and points % block == 0:
        return 0, 0
    return block, block + -points % block
