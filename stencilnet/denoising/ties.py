"""Dither for signals whose samples tie: rounded, clipped or repeated ones."""

import math
import warnings
from dataclasses import replace

import numpy as np

from stencilnet.denoising.noise import level
from stencilnet.denoising.rows import Rows

# A choice is misled only where many differences vanish.
_FEW = 0.1
# Longer runs, or fewer, are those of a signal with jumps.
_LONGEST_RUN, _FEWEST_RUNS = 8, 16


def dither(rows: Rows) -> tuple[Rows, np.ndarray]:
    """Rows without ties, by small noise, and its standard deviation in each.

    Levels that tie by themselves make a signal look like its own piecewise constant
    fit, with degrees of freedom to spare and no residual, whatever the noise. Rounding
    is undone by uniform noise as wide as a step; where ties have another reason, the
    noise stays below that of the signal.

    Source: Schuchman (1964), doi:10.1109/TCOM.1964.1088973.

    Returns:
        The rows, and a standard deviation for samples of precision 1, one per row: zero
        where few samples tie or no noise is seen.
    """
    x, deviations = rows.x.copy(), np.zeros(len(rows.x))
    draws = np.random.default_rng(0).uniform(-0.5, 0.5, x.shape[-1])
    for index, (row, precision, observed) in enumerate(
        zip(rows.x, rows.precision, rows.observed, strict=True)
    ):
        windows = np.lib.stride_tricks.sliding_window_view(observed, rows.order + 1)
        sizes = np.abs(np.diff(row, n=rows.order))[windows.all(-1)]
        steps = sizes[sizes > rows.rounding[index]]
        if len(steps) in (0, len(sizes)) or len(steps) > (1 - _FEW) * len(sizes):
            continue
        seen = max(
            level(row, precision, observed), _reversal_level(row, precision, observed)
        )
        widths = math.sqrt(12) * seen / np.sqrt(precision)
        step = float(np.quantile(steps, 0.1))
        if step <= 4 * steps.min():
            # They have been rounded.
            widths = np.minimum(widths, step)
        x[index, observed] += (widths * draws)[observed]
        variance = (precision * widths**2)[observed].mean() / 12
        deviations[index] = np.sqrt(variance)
    return replace(rows, x=x), deviations


def _reversal_level(
    x: np.ndarray, precision: np.ndarray, observed: np.ndarray
) -> float:
    """Noise level for samples of precision 1 from differences that turn back.

    Neighbouring differences of independent noise have the covariance `-sigma**2`, those
    about a single jump none. A median of differences would not see noise that is hidden
    by rounding in most samples.
    """
    changes = np.diff(x)
    before, after = changes[:-1], changes[1:]
    inside = observed[:-2] & observed[1:-1] & observed[2:]
    products = (precision[1:-1] * before * after)[inside]
    return float(np.sqrt(max(-products.mean(), 0.0))) if len(products) else 0.0


def warn_of_repeats(rows: Rows) -> None:
    """Warns of samples that repeat in runs of one length, as held ones do."""
    for index, (row, observed) in enumerate(zip(rows.x, rows.observed, strict=True)):
        changes = np.flatnonzero(np.diff(row))
        if not observed.all() or len(changes) < _FEWEST_RUNS:
            continue
        run = int(np.gcd.reduce(np.diff(changes)))
        # Most runs are of that length: neighbours rarely agree by chance.
        if 2 <= run <= _LONGEST_RUN and len(changes) * run > len(row) / 2:
            warnings.warn(
                f"The samples of signal {index} repeat in runs of {run}, so that noise "
                f"is the same within a run, which a criterion takes for signal: "
                f"denoise one sample of each run, as in signals[..., ::{run}].",
                stacklevel=3,
            )
