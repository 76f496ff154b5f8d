"""Signals as rows of an array, in the form and the units of the compiled kernels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from stencilnet.denoising.kernels.banded import difference_coefficients
from stencilnet.denoising.penalties import L2Squared, Penalty

MISSING = 1e-9
"""Precision of a missing sample in units of the median: too small to matter."""

LARGEST = 1e60
"""A weight beyond which no weight makes a difference, in the units of `Rows`."""


@dataclass(frozen=True)
class Rows:
    """Signals as rows, scaled.

    Each row is divided by powers of two: signals by `scale`, near their largest value,
    and precisions by `trust`, near their median. Squares then neither overflow nor
    vanish, and thresholds mean the same for all signals.

    Attributes:
        x: signals over `scale`, float64, `(signal, n)`, with values where samples are
            missing.
        precision: over `trust`, positive, of the same shape.
        observed: which samples are not missing.
        scale, trust: one per signal.
        shape: of the signals with their axis moved to the end.
        axis: position of that axis in the caller's array.
        order: of the differences.
        periodic: whether the differences wrap around.
    """

    x: np.ndarray
    precision: np.ndarray
    observed: np.ndarray
    scale: np.ndarray
    trust: np.ndarray
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

    def select(self, indices: Sequence[int] | np.ndarray) -> "Rows":
        """Some of the signals, also repeatedly, as a batch with one axis."""
        return replace(
            self,
            x=self.x[indices],
            precision=self.precision[indices],
            observed=self.observed[indices],
            scale=self.scale[indices],
            trust=self.trust[indices],
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

    def weight_unit(self, penalty: Penalty) -> np.ndarray:
        """The caller's value of a weight that is 1 here, one per signal."""
        squared = isinstance(penalty, L2Squared)
        return self.trust if squared else self.trust * self.scale

    def weights(self, weight: float | np.ndarray, penalty: Penalty) -> np.ndarray:
        """Weights of the caller in the units of the rows, one per row.

        Raises:
            ValueError: if one is negative or not finite, or the shapes do not fit.
        """
        values = np.asarray(weight, dtype=np.float64)
        check_weight(values)
        try:
            spread = np.broadcast_to(values, self.batch)
        except ValueError:
            raise ValueError(
                f"The weights have the shape {values.shape}, but the signals are "
                f"{self.batch}: give one weight, or one per signal."
            ) from None
        return np.minimum(spread.reshape(-1) / self.weight_unit(penalty), LARGEST)

    def signals(self, rows: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """Rows in the shape and the unit of the caller's signals."""
        whole = (rows * self.scale[:, np.newaxis]).reshape(self.shape)
        return np.moveaxis(whole, -1, self.axis).astype(dtype)


def as_rows(
    x: np.ndarray,
    order: int,
    periodic: bool,
    precision: np.ndarray | None = None,
    missing: np.ndarray | None = None,
    axis: int = -1,
) -> Rows:
    """Signals, checked, as rows.

    Raises:
        TypeError: if the signals are not floating-point.
        ValueError: as `denoise_signals`.
    """
    x = np.asarray(x)
    _check_layout(x, order, axis)
    holes = _spread(missing, x, axis, "missing samples")
    values = np.moveaxis(x, axis, -1).astype(np.float64)
    if holes is None:
        holes = np.zeros(values.shape, bool)
    bad = ~np.isfinite(values) & ~holes
    if bad.any():
        place = tuple(int(index) for index in np.argwhere(bad)[0])
        raise ValueError(
            f"{int(bad.sum())} samples are NaN or infinite, the first at {place} (axis "
            f"{axis} last): mark them as missing or leave the signal out."
        )
    weights = _spread(precision, x, axis, "precisions")
    weights = np.ones_like(values) if weights is None else weights.astype(np.float64)
    if not (np.isfinite(weights) & (weights > 0)).all():
        raise ValueError(
            "Precisions must be positive and finite: mark a sample without any as "
            "missing."
        )
    shape = values.shape
    values, weights, holes = (
        np.ascontiguousarray(array).reshape(-1, shape[-1])
        for array in (values, weights, holes)
    )
    if holes.any():
        values, weights = _fill(values, weights, holes, order)
    scale = _power_of_two(np.abs(values).max(-1))
    trust = _power_of_two(np.nanmedian(np.where(holes, np.nan, weights), axis=-1))
    return Rows(
        values / scale[:, np.newaxis],
        weights / trust[:, np.newaxis],
        ~holes,
        scale,
        trust,
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


def check_order(order: int) -> None:
    """Raises unless differences of this order exist here."""
    if not isinstance(order, int) or order not in (1, 2, 3):
        raise ValueError(f"Differences must have order 1, 2 or 3, not {order!r}.")


def fill_linearly(values: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """A signal with some samples replaced by interpolation between the others."""
    place = np.arange(len(values))
    filled = values.copy()
    filled[hole] = np.interp(place[hole], place[~hole], values[~hole])
    return filled


def _check_layout(x: np.ndarray, order: int, axis: int) -> None:
    if not np.issubdtype(x.dtype, np.floating):
        raise TypeError(
            f"Signals must be floating-point, but these are {x.dtype}: convert them, "
            f"as in x.astype(float)."
        )
    check_order(order)
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


def _spread(
    values: np.ndarray | None, x: np.ndarray, axis: int, noun: str
) -> np.ndarray | None:
    """An argument per sample, in the shape of the signals with their axis last."""
    if values is None:
        return None
    try:
        whole = np.broadcast_to(values, x.shape)
    except ValueError:
        raise ValueError(
            f"The {noun} have the shape {np.shape(values)}, which does not fit signals "
            f"of shape {x.shape}: give one per sample."
        ) from None
    return np.moveaxis(whole, axis, -1)


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
