"""Total-variation denoising and its relatives, exact, with a certificate."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from stencilnet.denoising.choice import Choice, choose_weight
from stencilnet.denoising.criteria import Criterion, checked_criterion
from stencilnet.denoising.penalties import Penalty, checked_penalty
from stencilnet.denoising.rows import as_rows
from stencilnet.denoising.solution import (
    TOLERANCE,
    largest_weights,
    solve,
    warn_of_gap,
)
from stencilnet.display import Displayed


@dataclass(frozen=True, repr=False)
class Denoised(Displayed):
    """Denoised signals and their certificate.

    Attributes:
        signal: shape and dtype of the noisy signals.
        gap: duality gap relative to the objective, one per signal: the objective is at
            most this far above the best one.
        knots: number of differences that the penalty leaves free, one per signal: where
            pieces meet for `l1`, all of them for the others and for the weight 0.
        iterations: of the solver, one per signal; 0 where none were needed.
        choice: of the weight, if a criterion chose it.

    Example:
        >>> import numpy as np
        >>> from stencilnet.denoising import Denoised, denoise_signals
        >>> x = np.array([0.0, 0.1, 0.0, 1.0, 0.9, 1.0])
        >>> denoised = denoise_signals(x, 0.15)
        >>> isinstance(denoised, Denoised), int(denoised.knots)
        (True, 1)
        >>> bool(denoised.gap < 1e-8)
        True
        >>> denoised.signal.round(3)
        array([0.083, 0.083, 0.083, 0.917, 0.917, 0.917])
    """

    signal: Float[np.ndarray, "..."]
    gap: Float[np.ndarray, "..."]
    knots: np.ndarray
    iterations: np.ndarray
    choice: Choice | None = None


def denoise_signals(
    signals: Any,
    weight: float | np.ndarray | Criterion,
    *,
    order: int = 1,
    penalty: Penalty | None = None,
    periodic: bool = False,
    precision: np.ndarray | None = None,
    missing: Bool[np.ndarray, "..."] | None = None,
    axis: int = -1,
    tolerance: float = TOLERANCE,
) -> Denoised:
    """Denoises signals by penalizing their differences.

        argmin_y sum_i w_i (y_i - x_i)**2 / 2 + weight penalty(D y)

    `D` takes differences of order 1, 2 or 3 between neighbours, without dividing by
    their distance. The penalty `L1()` is `|D y|_1`, which makes most of them vanish:
    the result is piecewise constant (total variation), linear or quadratic (trend
    filtering). `L2()` is `|D y|_2`, `L2Squared()` is `|D y|_2**2` (Tikhonov,
    Whittaker).

    Order 1 with `L1()` and free ends takes linear time whatever the signal; the other
    cases of `L1()` an interior-point method that is polished to the exact solution, a
    few tens of linear passes.

    Sources: Rudin et al. (1992), doi:10.1016/0167-2789(92)90242-F; Kim et al. (2009),
    doi:10.1137/070690274; the paper's Eq. (5).

    Args:
        signals: `x`, floating-point, of any shape: an array or nested lists; a masked
            array, whose mask counts as `missing`; or a pandas or xarray object, in
            which NaN and NA do.
        weight: `lambda`, zero or more: one number, or one per signal, of the shape of
            `signals` without the axis; or the criterion that chooses one per signal,
            see `choose_weight`. It scales with the signal, with `L1()` also with the
            noise times a power `order - 1/2` of the length to be smoothed.
        order: of the differences, 1 to 3.
        penalty: by default `L1()`.
        periodic: whether the last sample is followed by the first.
        precision: `w`, one over the variance of each sample up to a common factor;
            positive, broadcastable to `signals`.
        missing: samples to fill in, booleans broadcastable to `signals`; their values
            are ignored, and the solution and its gap are those of the others.
        axis: along which the signals run.
        tolerance: of the relative duality gap.

    Returns:
        The solution with its duality gap. Where the gap misses the tolerance, a warning
        names it.

    Raises:
        TypeError: if the signals are not of a floating-point dtype.
        ValueError: if a signal is empty or has not more samples than the order, a
            sample that is not missing is not finite, a weight is negative, or an
            argument does not fit.

    Example:
        >>> import numpy as np
        >>> from stencilnet.denoising import denoise_signals
        >>> denoise_signals(np.repeat([0.0, 1.0], 3), 0.3).signal.round(3)
        array([0.1, 0.1, 0.1, 0.9, 0.9, 0.9])
        >>> ramp = np.array([1.0, 2.0, np.nan, 4.0, 5.0])
        >>> denoise_signals(ramp, 0.3, order=2, missing=np.isnan(ramp)).signal.round(3)
        array([1., 2., 3., 4., 5.])
    """
    penalty = checked_penalty(penalty)
    if not 0 < tolerance < math.inf:
        raise ValueError(f"The tolerance must be positive, not {tolerance}.")
    choice = None
    if isinstance(weight, Criterion | str):
        choice = choose_weight(
            signals,
            checked_criterion(weight),
            order=order,
            penalty=penalty,
            periodic=periodic,
            precision=precision,
            missing=missing,
            axis=axis,
        )
        weight = choice.weight
    rows = as_rows(signals, order, periodic, precision, missing, axis)
    solution = solve(rows, rows.weights(weight, penalty), penalty, tolerance)
    relative = solution.relative_gap
    warn_of_gap(relative, tolerance)
    return Denoised(
        rows.signals(solution.y),
        relative.reshape(rows.batch),
        solution.knots.sum(-1).reshape(rows.batch),
        solution.iterations.reshape(rows.batch),
        choice,
    )


def weight_max(
    signals: Any,
    *,
    order: int = 1,
    penalty: Penalty | None = None,
    periodic: bool = False,
    precision: np.ndarray | None = None,
    missing: Bool[np.ndarray, "..."] | None = None,
    axis: int = -1,
) -> np.ndarray:
    """The weight from which on the solution is the best polynomial.

    Infinite for `L2Squared()`, which only approaches it. Arguments and errors as
    `denoise_signals`; one number per signal.

    Example:
        >>> import numpy as np
        >>> from stencilnet.denoising import denoise_signals, weight_max
        >>> x = np.array([0.0, 0.0, 1.0, 1.0])
        >>> float(weight_max(x)), denoise_signals(x, weight_max(x)).signal.round(3)
        (1.0, array([0.5, 0.5, 0.5, 0.5]))
    """
    rows = as_rows(signals, order, periodic, precision, missing, axis)
    largest = largest_weights(rows, checked_penalty(penalty))
    return largest.reshape(rows.batch)
