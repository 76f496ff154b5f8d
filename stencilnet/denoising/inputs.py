"""Signals as arrays, and which of their samples are missing."""

from typing import Any

import numpy as np


def read_signals(signals: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """The samples as an array, and which of them their container calls missing.

    Args:
        signals: an array or nested lists; a masked array, whose mask counts, or a list
            of them; a pandas or xarray object, in which NaN and NA are missing.

    Returns:
        Values, any where samples are missing, and the missing ones, or none if the
        container cannot tell.
    """
    if hasattr(signals, "isnull"):
        holes = np.asarray(signals.isnull(), dtype=bool)
        values = np.asarray(signals.fillna(0.0) if holes.any() else signals)
        if values.dtype == object:
            # Numbers beside NA, as older pandas hands them out.
            values = np.where(holes, 0.0, values).astype(np.float64)
        return values, holes
    masked = np.ma.asarray(signals)
    mask = np.ma.getmask(masked)
    return np.asarray(masked.data), None if mask is np.ma.nomask else np.array(mask)


def with_nan(signals: Any) -> np.ndarray:
    """The samples as an array, with NaN where their container calls them missing."""
    values, holes = read_signals(signals)
    if holes is None or not holes.any():
        return values
    floating = np.issubdtype(values.dtype, np.floating)
    nan = np.asarray(np.nan, dtype=values.dtype if floating else np.float64)
    return np.where(holes, nan, values)


def read_numbers(values: Any, noun: str) -> np.ndarray:
    """Settings as float64, none of them missing.

    Raises:
        ValueError: if one is masked.
    """
    array, holes = read_signals(values)
    if holes is not None and holes.any():
        raise ValueError(
            f"{int(holes.sum())} of the {noun} are masked or missing: give a number "
            f"for each."
        )
    return array.astype(np.float64)


def read_missing(missing: Any) -> np.ndarray:
    """Which samples are missing, as booleans; an unknown answer is one.

    Raises:
        TypeError: if the answers are not booleans.
    """
    array, holes = read_signals(missing)
    if array.dtype != bool:
        raise TypeError(
            f"Missing samples are marked by booleans, not {array.dtype}: pass a "
            f"condition such as np.isnan(x)."
        )
    return array if holes is None else array | holes
