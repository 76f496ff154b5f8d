"""Total-variation denoising and its relatives, exact, with a certificate."""

import math
import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from stencilnet.denoising.banded import difference_coefficients
from stencilnet.denoising.batches import L1, L2, L2_SQUARED, solve_rows

Penalty = Literal["l1", "l2", "l2_squared"]
PENALTIES: dict[str, int] = {"l1": L1, "l2": L2, "l2_squared": L2_SQUARED}

# Of a missing sample, in units of the median: small enough to have no say.
_MISSING = 1e-9


@dataclass(frozen=True)
class Denoised:
    """Denoised signals and what vouches for them.

    Attributes:
        signal: shape and dtype of what was given.
        gap: duality gap relative to the objective, one per signal: the objective is at
            most this far above the best one.
        knots: number of differences that are not zero, one per signal. With the
            penalty `l1` the result has `knots + order` degrees of freedom.
        iterations: of the solver, one per signal; 0 where none were needed.
    """

    signal: Float[np.ndarray, "..."]
    gap: Float[np.ndarray, "..."]
    knots: np.ndarray
    iterations: np.ndarray


@dataclass(frozen=True)
class Rows:
    """Signals as rows, the form in which the compiled code takes them.

    Attributes:
        x: signals, float64, `(signal, n)`, with values where samples are missing.
        precision: positive, of the same shape.
        shape: of the signals with the axis moved to the end.
        axis: where it was.
        order: of the differences.
        periodic: whether they wrap around.
    """

    x: np.ndarray
    precision: np.ndarray
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

    def weights(self, weight: float | np.ndarray) -> np.ndarray:
        """A weight per row, from one number or one per signal.

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
        return np.ascontiguousarray(spread).reshape(-1)

    def signals(self, rows: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """Rows in the shape of what was given."""
        return np.moveaxis(rows.reshape(self.shape), -1, self.axis).astype(dtype)


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
    weights = rows.weights(weight)
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
    beyond = np.full(len(rows.x), np.finfo(np.float64).max ** 0.5)
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
    return np.linalg.norm(u, ord=norm, axis=-1).reshape(rows.shape[:-1])


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
    if order not in (1, 2, 3):
        raise ValueError(f"Differences have the order 1, 2 or 3, not {order}.")
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
    if holes is not None and holes.any():
        values, weights = _fill(values, weights, holes, order)
    return Rows(
        np.ascontiguousarray(values).reshape(-1, points),
        np.ascontiguousarray(weights).reshape(-1, points),
        values.shape,
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
    if relative.size and relative.max() > tolerance:
        warnings.warn(
            f"{int((relative > tolerance).sum())} of {relative.size} signals have a "
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


def _fill(
    values: np.ndarray, weights: np.ndarray, holes: np.ndarray, order: int
) -> tuple[np.ndarray, np.ndarray]:
    """Missing samples by linear interpolation, with a precision that has no say."""
    values, weights = values.copy(), weights.copy()
    place = np.arange(values.shape[-1])
    for index in np.ndindex(values.shape[:-1]):
        hole = holes[index]
        if (~hole).sum() <= order:
            raise ValueError(
                f"Signal {index} has only {int((~hole).sum())} samples that are not "
                f"missing, but order {order} needs more than {order}."
            )
        values[index][hole] = np.interp(place[hole], place[~hole], values[index][~hole])
        weights[index][hole] = _MISSING * np.median(weights[index][~hole])
    return values, weights
