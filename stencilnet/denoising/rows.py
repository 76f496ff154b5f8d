"""Signals as rows of an array, in the form and the units of the compiled kernels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stencilnet.denoising.inputs import read_missing, read_numbers, read_signals
from stencilnet.denoising.kernels.banded import difference_coefficients
from stencilnet.denoising.penalties import L2Squared, Penalty
from stencilnet.errors import as_integer

MISSING = 1e-13
"""Precision of a missing sample, in units of the median and of a small weight."""

LARGEST = 1e60
"""A weight beyond which no weight makes a difference, in the units of `Rows`."""


@dataclass(frozen=True)
class Rows:
    """Signals as rows, scaled.

    Rows lose a `level`, which has no differences, if they vary little about it, and are
    divided by powers of two: signals by `scale`, near their largest value, and
    precisions by `trust`, near their median. Squares then neither overflow nor vanish,
    nothing cancels against an offset, and thresholds mean the same for all signals.

    Attributes:
        x: signals without `level` over `scale`, float64, `(signal, n)`, with values
            where samples are missing.
        precision: over `trust`, positive, of the same shape.
        observed: which samples are not missing.
        level, scale, trust: one per signal.
        size: largest value with its level over `scale`, one per signal; samples are
            known up to its rounding.
        dtype: of the caller's signals.
        shape: of the signals with their axis moved to the end.
        axis: position of that axis in the caller's array.
        order: of the differences.
        periodic: whether the differences wrap around.
    """

    x: np.ndarray
    precision: np.ndarray
    observed: np.ndarray
    level: np.ndarray
    scale: np.ndarray
    trust: np.ndarray
    size: np.ndarray
    dtype: np.dtype
    shape: tuple[int, ...]
    axis: int
    order: int
    periodic: bool

    @property
    def batch(self) -> tuple[int, ...]:
        """Shape of the signals without their axis."""
        return self.shape[:-1]

    @property
    def differences(self) -> int:
        """Number of differences of each signal."""
        points = self.x.shape[-1]
        return points if self.periodic else points - self.order

    @property
    def coefficients(self) -> np.ndarray:
        """Coefficients of one difference."""
        return difference_coefficients(self.order)

    @property
    def rounding(self) -> np.ndarray:
        """Differences this small are rounding of the samples or of a solution."""
        epsilon = np.finfo(np.float64).eps
        # The samples lost their last digit with their level; solutions lose two.
        return epsilon * (
            2.0 ** (self.order + 1) * self.size + 512 * np.abs(self.x).max(-1)
        )

    def select(self, indices: Sequence[int] | np.ndarray) -> "Rows":
        """Some of the signals, also repeatedly, as a batch with one axis."""
        return replace(
            self,
            x=self.x[indices],
            precision=self.precision[indices],
            observed=self.observed[indices],
            level=self.level[indices],
            scale=self.scale[indices],
            trust=self.trust[indices],
            size=self.size[indices],
            shape=self.x[indices].shape,
            axis=-1,
        )

    def hold_out(self, samples: np.ndarray) -> "Rows":
        """The same signals with further samples missing, `(n,)` indices."""
        x, precision = self.x.copy(), self.precision.copy()
        observed = self.observed.copy()
        observed[:, samples] = False
        for row, seen in enumerate(observed):
            x[row] = fill_linearly(x[row], ~seen)
        precision[~observed] = MISSING
        return replace(self, x=x, precision=precision, observed=observed)

    def with_light_gaps(self, weights: np.ndarray) -> "Rows":
        """The same signals; missing samples are light beside the penalty as well."""
        if self.observed.all():
            return self
        light = MISSING * np.clip(weights, 1e-100, 1.0)[:, np.newaxis]
        return replace(self, precision=np.where(self.observed, self.precision, light))

    def weight_unit(self, penalty: Penalty) -> np.ndarray:
        """The caller's value of a weight that is 1 here, one per signal."""
        squared = isinstance(penalty, L2Squared)
        return self.trust if squared else self.trust * self.scale

    def weights(self, weight: Any, penalty: Penalty) -> np.ndarray:
        """Weights of the caller in the units of the rows, one per row.

        Raises:
            ValueError: if one is negative, not finite or masked, or the shapes do not
                fit.
        """
        values = read_numbers(weight, "weights")
        check_weight(values)
        try:
            spread = np.broadcast_to(values, self.batch)
        except ValueError:
            raise ValueError(
                f"The weights have the shape {values.shape}, but the signals are "
                f"{self.batch}: give one weight, or one per signal."
            ) from None
        return np.minimum(spread.reshape(-1) / self.weight_unit(penalty), LARGEST)

    def values(self, rows: np.ndarray) -> np.ndarray:
        """Rows in the unit of the caller's signals."""
        return rows * self.scale[:, np.newaxis] + self.level[:, np.newaxis]

    def signals(self, rows: np.ndarray) -> np.ndarray:
        """Rows in the shape, the unit and the dtype of the caller's signals."""
        whole = self.values(rows).reshape(self.shape)
        return np.moveaxis(whole, -1, self.axis).astype(self.dtype)


def as_rows(
    x: Any,
    order: int,
    periodic: bool,
    precision: Any = None,
    missing: Any = None,
    axis: int = -1,
) -> Rows:
    """Signals, checked, as rows.

    Args:
        x: signals, as `read_signals` takes them.
        order, periodic, precision, missing, axis: as in `denoise_signals`.

    Raises:
        TypeError: if the signals are not floating-point or `missing` is not boolean.
        ValueError: as `denoise_signals`.
    """
    x, holes = read_signals(x)
    order = _check_layout(x, order, axis)
    values = np.moveaxis(x, axis, -1).astype(np.float64)
    gaps = _missing(holes, missing, x, axis)
    _check_finite(values, gaps, axis)
    weights = _precisions(precision, x, axis)
    shape = values.shape
    values, weights, gaps = (
        np.ascontiguousarray(array).reshape(-1, shape[-1])
        for array in (values, weights, gaps)
    )
    if gaps.any():
        values, weights = _fill(values, weights, gaps, order)
    size = np.abs(values).max(-1)
    level = _levels(values)
    values = values - level[:, np.newaxis]
    scale = _power_of_two(np.abs(values).max(-1))
    trust = _power_of_two(np.nanmedian(np.where(gaps, np.nan, weights), axis=-1))
    return Rows(
        values / scale[:, np.newaxis],
        weights / trust[:, np.newaxis],
        ~gaps,
        level,
        scale,
        trust,
        size / scale,
        x.dtype,
        shape,
        axis,
        order,
        periodic,
    )


def check_weight(weight: np.ndarray) -> None:
    """Raises unless all weights are finite and zero or more."""
    bad = ~(np.isfinite(weight) & (weight >= 0))
    if bad.any():
        raise ValueError(
            f"The weight of a penalty must be finite and zero or more, not "
            f"{weight[bad].flat[0]:g}."
        )


def checked_order(order: Any) -> int:
    """An order of any type of whole number as an `int`.

    Raises:
        ValueError: if it is not 1, 2 or 3.
    """
    number = as_integer(order)
    if number not in (1, 2, 3):
        raise ValueError(f"Differences must have order 1, 2 or 3, not {order!r}.")
    return number


def fill_linearly(values: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """A signal with some samples replaced by interpolation between the others."""
    place = np.arange(len(values))
    filled = values.copy()
    filled[hole] = np.interp(place[hole], place[~hole], values[~hole])
    return filled


def _check_layout(x: np.ndarray, order: int, axis: int) -> int:
    """The order, once signals and axis are known to fit it."""
    if not np.issubdtype(x.dtype, np.floating):
        raise TypeError(
            f"Signals must be floating-point, but these are {x.dtype}: convert them, "
            f"as in x.astype(float)."
        )
    order = checked_order(order)
    if x.ndim == 0 or not -x.ndim <= axis < x.ndim:
        raise ValueError(
            f"Signals of shape {x.shape} have no axis {axis}: name one that exists."
        )
    points = x.shape[axis]
    if points <= order:
        raise ValueError(
            f"Differences of order {order} need more than {order} samples, but the "
            f"signals have {points}: lengthen them or lower the order."
        )
    return order


def _missing(
    holes: np.ndarray | None, missing: Any, x: np.ndarray, axis: int
) -> np.ndarray:
    """Samples that their container or the caller calls missing, with the axis last."""
    gaps = np.zeros(x.shape, bool) if holes is None else holes
    gaps = np.moveaxis(gaps, axis, -1)
    if missing is None:
        return gaps
    return gaps | _spread(read_missing(missing), x, axis, "missing samples")


def _precisions(precision: Any, x: np.ndarray, axis: int) -> np.ndarray:
    """Precisions of all samples, with the axis last."""
    if precision is None:
        return np.ones(np.moveaxis(x, axis, -1).shape)
    weights = _spread(read_numbers(precision, "precisions"), x, axis, "precisions")
    if not (np.isfinite(weights) & (weights > 0)).all():
        raise ValueError(
            "Precisions must be positive and finite: mark a sample without any as "
            "missing."
        )
    return weights


def _check_finite(values: np.ndarray, gaps: np.ndarray, axis: int) -> None:
    bad = ~np.isfinite(values) & ~gaps
    if bad.any():
        place = tuple(int(index) for index in np.argwhere(bad)[0])
        raise ValueError(
            f"{int(bad.sum())} samples are NaN or infinite, the first at {place} (axis "
            f"{axis} last): mark them as missing or leave the signal out."
        )


def _spread(values: np.ndarray, x: np.ndarray, axis: int, noun: str) -> np.ndarray:
    """An argument per sample, in the shape of the signals with their axis last."""
    try:
        whole = np.broadcast_to(values, x.shape)
    except ValueError:
        raise ValueError(
            f"The {noun} have the shape {np.shape(values)}, which does not fit signals "
            f"of shape {x.shape}: give one per sample."
        ) from None
    return np.moveaxis(whole, axis, -1)


def _levels(values: np.ndarray) -> np.ndarray:
    """A middle value of each row, or 0 if the row varies by more than half of it.

    Differences between numbers within a factor of two are exact (Sterbenz's lemma), so
    that a row is this level and the rest without any rounding.
    """
    middle = np.partition(values, values.shape[-1] // 2, axis=-1)
    level = middle[:, values.shape[-1] // 2]
    spread = np.abs(values / 2 - level[:, np.newaxis] / 2).max(-1)
    return np.where(spread <= np.abs(level) / 4, level, 0.0)


def _power_of_two(sizes: np.ndarray) -> np.ndarray:
    """The largest powers of two up to positive numbers; 1 for zero."""
    exponents = np.frexp(np.where(sizes > 0, sizes, 1.0))[1] - 1
    return np.ldexp(1.0, np.maximum(exponents, -1000))


def _fill(
    values: np.ndarray, weights: np.ndarray, holes: np.ndarray, order: int
) -> tuple[np.ndarray, np.ndarray]:
    """Missing samples by linear interpolation, with a negligible precision."""
    values, weights = values.copy(), weights.copy()
    for row, hole in enumerate(holes):
        if (~hole).sum() <= order:
            raise ValueError(
                f"Signal {row} has only {int((~hole).sum())} samples that are not "
                f"missing, but order {order} needs more than {order}."
            )
        values[row] = fill_linearly(values[row], hole)
        weights[row][hole] = MISSING * np.median(weights[row][~hole])
    return values, weights
