"""Total-variation denoising and its relatives, exact, with a certificate."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from stencilnet.denoising.kernels.banded import difference_coefficients
from stencilnet.denoising.kernels.batches import L1, L2, L2_SQUARED, solve_rows

Penalty = Literal["l1", "l2", "l2_squared"]
PENALTIES: dict[str, int] = {"l1": L1, "l2": L2, "l2_squared": L2_SQUARED}

# Of a missing sample, in units of the median: small enough to have no say.
MISSING = 1e-9
# In the units of `Rows`.
_LARGEST = 1e60


@dataclass(frozen=True)
class Denoised:
    """Denoised signals and what vouches for them.

    Attributes:
        signal: shape and dtype of what was given.
        gap: duality gap relative to the objective, one per signal: the objective is at
            most this far above the best one.
        knots: number of differences that the penalty leaves free, one per signal: where
            pieces meet for `l1`, all of them for the others and for the weight 0.
        iterations: of the solver, one per signal; 0 where none were needed.
    """

    signal: Float[np.ndarray, "..."]
    gap: Float[np.ndarray, "..."]
    knots: np.ndarray
    iterations: np.ndarray


@dataclass(frozen=True)
class Rows:
    """Signals as rows, in the form and in the units of the compiled code.

    Each row is divided by powers of two: signals by `scale`, near their largest value,
    and precisions by `trust`, near their median. Squares then neither overflow nor
    vanish, and thresholds mean the same for all signals.

    Attributes:
        x: signals over `scale`, float64, `(signal, n)`, with values where samples are
            missing.
        precision: over `trust`, positive, of the same shape.
        observed: which samples are not missing.
        scale, trust: one per signal.
        shape: of the signals with the axis moved to the end.
        axis: where it was.
        order: of the differences.
        periodic: whether they wrap around.
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
    def differences(self) -> int:
        """How many differences each signal has."""
        points = self.x.shape[-1]
        return points if self.periodic else points - self.order

    @property
    def coefficients(self) -> np.ndarray:
        """Those of one difference."""
        return difference_coefficients(self.order)

    def select(self, indices: Sequence[int] | np.ndarray) -> "Rows":
        """Some of the signals, as a batch with one axis."""
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

    def weight_unit(self, code: int) -> np.ndarray:
        """What a weight of 1 is called outside, one per signal."""
        return self.trust if code == L2_SQUARED else self.trust * self.scale

    def weights(self, weight: float | np.ndarray, code: int) -> np.ndarray:
        """A weight per row in its units, from one number or one per signal.

        Raises:
            ValueError: if one is negative or not finite, or they do not fit.
        """
        given = np.asarray(weight, dtype=np.float64)
        check_weight(given)
        batch = self.shape[:-1]
        try:
            spread = np.broadcast_to(given, batch)
        except ValueError:
            raise ValueError(
                f"The weights have the shape {given.shape}, but the signals are "
                f"{batch}: give one weight, or one per signal."
            ) from None
        # Beyond this bound no weight makes a difference any more.
        return np.minimum(spread.reshape(-1) / self.weight_unit(code), _LARGEST)

    def signals(self, rows: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """Rows in the shape and the unit of what was given."""
        whole = (rows * self.scale[:, np.newaxis]).reshape(self.shape)
        return np.moveaxis(whole, -1, self.axis).astype(dtype)


def denoise(
    x: np.ndarray,
    weight: float | np.ndarray,
    *,
    order: int = 1,
    penalty: Penalty = "l1",
    periodic: bool = False,
    precision: np.ndarray | None = None,
    missing: Bool[np.ndarray, "..."] | None = None,
    axis: int = -1,
    tolerance: float = 1e-8,
) -> Denoised:
    """Signals with small differences near to given ones.

        argmin_y sum_i w_i (y_i - x_i)**2 / 2 + weight penalty(D y)

    `D` takes differences of order 1, 2 or 3 between neighbours, without dividing by
    their distance. The penalty `l1` is `|D y|_1` and makes them vanish at most places:
    the result is piecewise constant (total variation), linear or quadratic (trend
    filtering). `l2` is `|D y|_2`, `l2_squared` is `|D y|_2**2` (Tikhonov, Whittaker).

    Order 1 with `l1` and free ends takes linear time whatever the signal; the other
    cases of `l1` an interior-point method that is polished to the exact solution, a few
    tens of linear passes.

    Sources: Rudin et al. (1992), doi:10.1016/0167-2789(92)90242-F; Kim et al. (2009),
    doi:10.1137/070690274; the paper's Eq. (5).

    Args:
        x: signals, floating-point, of any shape.
        weight: `lambda`, zero or more: one number, or one per signal, of the shape of
            `x` without the axis. It scales with the signal, with `l1` also with the
            noise times a power `order - 1/2` of the length that is to be smoothed.
        order: of the differences, 1 to 3.
        penalty: see above.
        periodic: whether the last sample is followed by the first.
        precision: `w`, one over the variance of each sample up to a common factor;
            positive, broadcastable to `x`.
        missing: samples to fill in, broadcastable to `x`; what stands there is ignored.
        axis: along which the signals run.
        tolerance: of the relative duality gap.

    Returns:
        The solution with its duality gap. Where the gap misses the tolerance, a warning
        names it.

    Raises:
        TypeError: if `x` is not of a floating-point dtype.
        ValueError: if a signal is empty or has not more samples than the order, a
            sample that is not missing is not finite, a weight is negative, or an
            argument does not fit.
    """
    x = np.asarray(x)
    code = penalty_code(penalty)
    if not 0 < tolerance < math.inf:
        raise ValueError(f"The tolerance must be positive, not {tolerance}.")
    rows = as_rows(x, order, periodic, precision, missing, axis)
    weights = rows.weights(weight, code)
    y, _, knots, gap, value, iterations, _ = solve_rows(
        rows.x,
        rows.precision,
        weights,
        code,
        rows.coefficients,
        rows.differences,
        min(tolerance, 1e-8),
    )
    relative = relative_gap(gap, value, rows)
    warn_of_gap(relative, tolerance)
    batch = rows.shape[:-1]
    return Denoised(
        rows.signals(y, x.dtype),
        relative.reshape(batch),
        knots.sum(-1).reshape(batch),
        iterations.reshape(batch),
    )


def weight_max(
    x: np.ndarray,
    *,
    order: int = 1,
    penalty: Penalty = "l1",
    periodic: bool = False,
    precision: np.ndarray | None = None,
    missing: Bool[np.ndarray, "..."] | None = None,
    axis: int = -1,
) -> np.ndarray:
    """The weight from which on the solution is the best polynomial and stays so.

    Infinite for `l2_squared`, which only approaches it. Arguments and errors as
    `denoise`; one number per signal.
    """
    code = penalty_code(penalty)
    rows = as_rows(x, order, periodic, precision, missing, axis)
    if code == L2_SQUARED:
        return np.full(rows.shape[:-1], math.inf)
    # With any weight beyond the largest the dual variables are those of a polynomial.
    beyond = np.full(len(rows.x), _LARGEST)
    _, u, *_ = solve_rows(
        rows.x,
        rows.precision,
        beyond,
        L2 if code == L2 else L1,
        rows.coefficients,
        rows.differences,
        1e-8,
    )
    norm = 2 if code == L2 else math.inf
    largest = np.linalg.norm(u, ord=norm, axis=-1) * rows.weight_unit(code)
    return np.asarray(largest.reshape(rows.shape[:-1]))


def penalty_code(penalty: str) -> int:
    """The number by which the compiled code knows a penalty."""
    if penalty not in PENALTIES:
        raise ValueError(
            f"There is no penalty {penalty!r}: use one of {', '.join(PENALTIES)}."
        )
    return PENALTIES[penalty]


def check_weight(weight: np.ndarray) -> None:
    """Refuses weights that are negative or not finite."""
    bad = ~(np.isfinite(weight) & (weight >= 0))
    if bad.any():
        raise ValueError(
            f"The weight of a penalty is finite and zero or more, not "
            f"{weight[bad].flat[0]:g}: choose another."
        )


def as_rows(
    x: np.ndarray,
    order: int,
    periodic: bool,
    precision: np.ndarray | None,
    missing: np.ndarray | None,
    axis: int,
) -> Rows:
    """Checks signals and brings them into the form for the compiled code."""
    x = np.asarray(x)
    if not np.issubdtype(x.dtype, np.floating):
        raise TypeError(
            f"Signals are floating-point, but these are {x.dtype}: convert them, as in "
            f"x.astype(float)."
        )
    if order not in (1, 2, 3) or not isinstance(order, int):
        raise ValueError(f"Differences have the order 1, 2 or 3, not {order!r}.")
    if x.ndim == 0 or not -x.ndim <= axis < x.ndim:
        raise ValueError(
            f"Signals of shape {x.shape} have no axis {axis}: name one that exists."
        )
    values = np.moveaxis(x, axis, -1).astype(np.float64)
    points = values.shape[-1]
    if points <= order:
        raise ValueError(
            f"Differences of order {order} need more than {order} samples, but the "
            f"signals have {points}: lengthen them or lower the order."
        )
    holes = _spread(missing, x, axis, "missing samples")
    bad = ~np.isfinite(values) if holes is None else ~np.isfinite(values) & ~holes
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
            "Precisions are positive and finite: mark a sample without any as missing."
        )
    holes = np.zeros(values.shape, bool) if holes is None else holes
    shape = values.shape
    values, weights, holes = (
        np.ascontiguousarray(of).reshape(-1, points) for of in (values, weights, holes)
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


def relative_gap(gap: np.ndarray, value: np.ndarray, rows: Rows) -> np.ndarray:
    """The gap beyond the rounding of the signals, in units of the objective."""
    size = np.einsum("si,si->s", rows.precision, rows.x**2)
    rounding = (16 * np.finfo(np.float64).eps) ** 2 * size
    smallest = np.finfo(np.float64).tiny
    return np.maximum(gap - rounding, 0.0) / np.maximum(value, rounding + smallest)


def warn_of_gap(relative: np.ndarray, tolerance: float) -> None:
    """Warns if the duality gap of a signal misses the tolerance."""
    missed = ~(relative <= tolerance)
    if missed.any():
        warnings.warn(
            f"{int(missed.sum())} of {relative.size} signals have a "
            f"duality gap above {tolerance:.1e}, up to {relative.max():.1e} of the "
            f"objective.",
            stacklevel=3,
        )


def _spread(
    given: np.ndarray | None, x: np.ndarray, axis: int, what: str
) -> np.ndarray | None:
    """An argument per sample, in the shape of the signals with their axis last."""
    if given is None:
        return None
    try:
        whole = np.broadcast_to(given, x.shape)
    except ValueError:
        raise ValueError(
            f"The {what} have the shape {np.shape(given)}, which does not fit signals "
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
    """Missing samples by linear interpolation, with a precision that has no say."""
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


def fill_linearly(values: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """A signal with some samples replaced by interpolation between the others."""
    place = np.arange(len(values))
    filled = values.copy()
    filled[hole] = np.interp(place[hole], place[~hole], values[~hole])
    return filled
