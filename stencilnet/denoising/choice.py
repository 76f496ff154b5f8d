"""The weight of the penalty from the data: SURE, GCV, cross-validation, a grid."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from stencilnet.denoising.kernels.banded import difference_coefficients
from stencilnet.denoising.kernels.batches import (
    L1,
    L2,
    L2_SQUARED,
    count_held_rows,
    pull_back_rows,
    solve_rows,
)
from stencilnet.denoising.signals import (
    MISSING,
    Denoised,
    Penalty,
    Rows,
    as_rows,
    check_weight,
    denoise,
    fill_linearly,
    penalty_code,
    weight_max,
)

Method = Literal["sure", "gcv", "cv"]
METHODS = ("sure", "gcv", "cv")

_COARSE, _FINE, _ROUNDS = 25, 7, 2
_FOLDS = 5
_SURE, _GCV = 2.2, 1.2
_PROBES = 16
# Of the differences whose median tells the noise.
_NOISE_ORDER = 3
_FEW = 10
_MEDIAN_OF_NORMAL = 0.6744897501960817


@dataclass(frozen=True)
class Choice:
    """A weight for each signal, and what it was chosen by.

    Attributes:
        weight: chosen ones, of the shape of the signals without their axis; one number
            if the signals share it.
        sigma: standard deviation of the noise, given or estimated.
        degrees_of_freedom: of the solution with that weight.
        weights: all that were tried, ascending, `(*signals, tried)`.
        curve: what was minimized over them: the estimated mean squared error (SURE),
            the GCV score, the error on samples left out (cross-validation), or the
            mean squared error against clean signals (a grid).
    """

    weight: Float[np.ndarray, "*signals"]
    sigma: Float[np.ndarray, "*signals"]
    degrees_of_freedom: Float[np.ndarray, "*signals"]
    weights: Float[np.ndarray, "*signals tried"]
    curve: Float[np.ndarray, "*signals tried"]


def noise_level(x: np.ndarray, *, axis: int = -1) -> np.ndarray:
    """Standard deviation of independent noise, from the median third difference.

    Differences of a smooth signal are noise nearly everywhere, and a median does not
    see the few jumps of the others: `median |D_3 x| / (0.6745 |c|)`, with `c` the
    coefficients of the difference.

    Source: Donoho and Johnstone (1994), doi:10.1093/biomet/81.3.425, for the finest
    wavelet coefficients.

    Raises:
        ValueError: if a signal has fewer than 2 samples, or one is not finite.
    """
    x = np.asarray(x, dtype=np.float64)
    if x.ndim == 0 or not -x.ndim <= axis < x.ndim or x.shape[axis] < 2:
        raise ValueError(
            f"The noise level takes signals of at least 2 samples along axis {axis}, "
            f"not the shape {x.shape}."
        )
    if not np.isfinite(x).all():
        raise ValueError("The noise level takes finite samples only: leave out others.")
    signals = np.moveaxis(x, axis, -1)
    levels = [
        _level(signal, np.ones(len(signal)), np.ones(len(signal), bool))
        for signal in signals.reshape(-1, signals.shape[-1])
    ]
    return np.array(levels).reshape(signals.shape[:-1])


def choose_weight(
    x: np.ndarray,
    method: Method = "sure",
    *,
    order: int = 1,
    penalty: Penalty = "l1",
    periodic: bool = False,
    sigma: float | np.ndarray | None = None,
    precision: np.ndarray | None = None,
    missing: np.ndarray | None = None,
    axis: int = -1,
    shared: bool = False,
) -> Choice:
    """Chooses the weight of `denoise` for each signal by itself, or one for all.

    With the residual `R = sum w (y - x)**2` and the degrees of freedom `f`, which for
    `l1` are the knots and the order,

        sure:  (R + 2.2 sigma**2 f) / n - sigma**2
        gcv:   (R / n) / (1 - 1.2 f / n)**2, which needs no sigma
        cv:    error on every fifth sample, predicted from the others

    are minimized over a logarithmic grid from weights that do nothing to `weight_max`,
    which is then refined twice around the best. A factor 2 would make SURE unbiased for
    the squared error, but the noise of all three criteria favours weights that do too
    little: a tenth and a fifth more keeps most of such choices away.

    Sources: Stein (1981), doi:10.1214/aos/1176345632; Tibshirani and Taylor (2012),
    doi:10.1214/12-AOS1003, for the degrees of freedom; Golub et al. (1979),
    doi:10.1080/00401706.1979.10489751; Kim and Gu (2004),
    doi:10.1046/j.1369-7412.2003.05316.x, for more weight on the degrees of freedom.

    Args:
        x: signals, at least 3 samples longer than the order.
        method: see above.
        order, penalty, periodic, precision, missing, axis: as in `denoise`.
        sigma: standard deviation of the noise, of samples of precision 1. If not given
            it is the residual's at GCV's choice, with `f` degrees of freedom fewer than
            samples, or where these leave too few that of `noise_level`.

    Raises:
        TypeError, ValueError: as `denoise`, or if the method does not exist, or a sigma
            is negative.
    """
    if method not in METHODS:
        raise ValueError(
            f"There is no method {method!r} to choose a weight: use one of "
            f"{', '.join(METHODS)}, or give a number."
        )
    rows = as_rows(x, order, periodic, precision, missing, axis)
    if rows.x.shape[-1] < order + 3:
        raise ValueError(
            f"Choosing a weight takes at least {order + 3} samples for order {order}, "
            f"not {rows.x.shape[-1]}: give the weight."
        )
    code = penalty_code(penalty)
    size = weight_max(
        x,
        order=order,
        penalty="l2" if code == L2 else "l1",
        periodic=periodic,
        precision=precision,
        missing=missing,
        axis=axis,
    )
    batch = rows.shape[:-1]
    given = None
    if sigma is not None:
        known = np.asarray(sigma, dtype=np.float64)
        if not (np.isfinite(known) & (known >= 0)).all():
            raise ValueError(
                f"A sigma is finite and zero or more, not {sigma}: leave it out for an "
                f"estimate."
            )
        given = np.broadcast_to(known, batch).reshape(-1)
    groups = list(np.arange(len(rows.x))[:, np.newaxis])
    if shared:
        if not len(rows.x) or (given is not None and np.ptp(given) > 0):
            raise ValueError(
                "Signals that share a weight are at least one, with one sigma: choose "
                "for each by itself."
            )
        batch, groups = (), [np.arange(len(rows.x))]
    largest = size.reshape(-1)
    found = [
        _choose(
            rows.select(group),
            method,
            code,
            float(largest[group].max()),
            None if given is None else float(given[group[0]]),
        )
        for group in groups
    ]
    tried = _COARSE + _ROUNDS * _FINE
    columns = [np.zeros(0)] * 3 + [np.zeros((0, tried))] * 2
    if found:
        columns = [np.array(column) for column in zip(*found, strict=True)]
    weight, level, freedom, weights, curve = columns
    return Choice(
        weight.reshape(batch),
        level.reshape(batch),
        freedom.reshape(batch),
        weights.reshape(*batch, tried),
        curve.reshape(*batch, tried),
    )


def denoise_by(
    x: np.ndarray,
    method: Method = "sure",
    *,
    order: int = 1,
    penalty: Penalty = "l1",
    periodic: bool = False,
    sigma: float | np.ndarray | None = None,
    precision: np.ndarray | None = None,
    missing: np.ndarray | None = None,
    axis: int = -1,
    shared: bool = False,
) -> tuple[Denoised, Choice]:
    """`denoise` with the weight of `choose_weight`, whose arguments it takes."""
    settings: dict[str, Any] = {
        "order": order,
        "penalty": penalty,
        "periodic": periodic,
        "precision": precision,
        "missing": missing,
        "axis": axis,
    }
    choice = choose_weight(x, method, sigma=sigma, shared=shared, **settings)
    return denoise(x, choice.weight, **settings), choice


def search_weight(
    x: Float[np.ndarray, "*signals n"],
    clean: Float[np.ndarray, "*signals n"],
    weights: Float[np.ndarray, " tried"],
    *,
    order: int = 1,
    penalty: Penalty = "l1",
    periodic: bool = False,
) -> Choice:
    """The one weight of a list with the least error against clean signals.

    Args:
        x, clean: noisy signals and what they should become.
        weights: to try, zero or more.
        order, penalty, periodic: as in `denoise`.

    Raises:
        ValueError: as `denoise`, or if there are no weights or the shapes differ.
    """
    tried = np.sort(np.asarray(weights, dtype=np.float64).reshape(-1))
    if not len(tried):
        raise ValueError("A search needs weights to try: give at least one.")
    check_weight(tried)
    if x.shape != clean.shape or not x.size:
        raise ValueError(
            f"A search needs signals and a clean one for each, not the shapes "
            f"{x.shape} and {clean.shape}."
        )
    if not np.isfinite(clean).all():
        raise ValueError("The clean signals of a search must be finite.")
    rows = as_rows(x, order, periodic, None, None, -1)
    code, goal = penalty_code(penalty), clean.reshape(rows.x.shape)
    errors, freedom = np.empty(len(tried)), np.empty(len(tried))
    for index, weight in enumerate(tried):
        many = rows.weights(weight, code)
        solved = _solve(rows, rows.x, rows.precision, many, code)
        errors[index] = np.mean((solved[0] * rows.scale[:, np.newaxis] - goal) ** 2)
        freedom[index] = np.mean(
            _freedom(rows, solved, many, code, rows.precision, rows.observed[0])
        )
    best = int(errors.argmin())
    return Choice(
        np.array(tried[best]),
        np.array(np.sqrt(np.mean((x - clean) ** 2))),
        np.array(freedom[best]),
        tried,
        errors,
    )


def _level(x: np.ndarray, precision: np.ndarray, observed: np.ndarray) -> float:
    """Standard deviation of the noise of samples of precision 1, see `noise_level`.

    Differences are those of neighbours that were all observed; where these are few,
    those of observed samples in their order.
    """
    order = min(_NOISE_ORDER, int(observed.sum()) - 1)
    windows = np.lib.stride_tricks.sliding_window_view(observed, order + 1)
    if windows.all(-1).sum() < _FEW:
        x, precision = x[observed], precision[observed]
        windows = np.ones((len(x) - order, order + 1), bool)
    coefficients = difference_coefficients(order)
    around = np.lib.stride_tricks.sliding_window_view(1 / precision, order + 1)
    deviation = np.sqrt(around @ coefficients**2)
    sizes = np.abs(np.diff(x, n=order)) / deviation
    return float(np.median(sizes[windows.all(-1)]) / _MEDIAN_OF_NORMAL)


def _choose(
    rows: Rows, method: Method, code: int, largest: float, sigma: float | None
) -> tuple[float, float, float, np.ndarray, np.ndarray]:
    """Weight, sigma, degrees of freedom, weights and curve of signals that share one.

    Args:
        rows: the signals.
        method, code: the criterion, and the penalty.
        largest: weight to try; `Choice` tells the unit of it and of all results.
        sigma: if known.
    """
    # All below is in units of the largest signal and of its precisions.
    not_zero = (rows.x != 0).any(-1)
    scale = float(rows.scale[not_zero].max(initial=0.0)) or 1.0
    trust = float(rows.trust.max())
    weight_unit = trust if code == L2_SQUARED else trust * scale
    level_unit = scale * math.sqrt(trust)
    share = rows.weight_unit(code) / weight_unit
    squared_share = (rows.scale / scale) ** 2 * (rows.trust / trust)
    samples = int(rows.observed.sum())
    if sigma is None:
        levels = [
            _level(*row)
            for row in zip(rows.x, rows.precision, rows.observed, strict=True)
        ]
        level = float(np.median(levels * np.sqrt(squared_share)))
    else:
        level = sigma / level_unit
    largest /= trust * scale
    count = _COARSE + _ROUNDS * _FINE
    if largest <= 1e-12 or (method == "sure" and sigma == 0.0):
        # A polynomial already, or nothing to remove.
        nothing = np.zeros(count)
        return 0.0, level * level_unit, float(samples), nothing, nothing
    typical = float(
        np.median((rows.precision * (rows.trust / trust)[:, np.newaxis])[rows.observed])
    )
    if code == L2_SQUARED:
        least = 1e-6 * typical
        largest = 1e6 * typical * float(rows.x.shape[-1]) ** (2 * rows.order)
    else:
        noise = level * math.sqrt(typical) if level > 0 else 1e-6
        least = min(1e-2 * noise, 1e-3 * largest)

    tried = closer = np.geomspace(least, largest, _COARSE)
    residual = freedom = curve = np.empty(0)
    for round_ in range(_ROUNDS + 1):
        if round_:
            best = int(curve.argmin())
            low, high = tried[max(best - 1, 0)], tried[min(best + 1, len(tried) - 1)]
            closer = np.geomspace(low, high, _FINE + 2)[1:-1]
            tried = np.concatenate([tried, closer])
        of_row = [
            _fits(rows.select([index]), closer / share[index], code, method)
            for index in range(len(rows.x))
        ]
        squares, freedoms, out = (np.array(part) for part in zip(*of_row, strict=True))
        residual = np.concatenate([residual, squared_share @ squares])
        freedom = np.concatenate([freedom, freedoms.sum(0)])
        if method == "cv":
            curve = np.concatenate([curve, squared_share @ out / samples])
        else:
            curve = _gcv(residual, freedom, samples)
        best = int(curve.argmin())
        left = samples - freedom[best]
        if sigma is None and left > samples / 4:
            # The residual knows the noise better than the differences do.
            level = math.sqrt(residual[best] / left)
        if method == "sure":
            curve = (residual + _SURE * level**2 * freedom) / samples - level**2
        order = np.argsort(tried)
        tried, curve, residual, freedom = (
            of[order] for of in (tried, curve, residual, freedom)
        )
    best = int(curve.argmin())
    return (
        float(tried[best]) * weight_unit,
        level * level_unit,
        float(freedom[best]),
        tried * weight_unit,
        # Squared one factor at a time: infinity times an underflow is no number.
        curve * level_unit * level_unit,
    )


def _gcv(residual: np.ndarray, freedom: np.ndarray, samples: int) -> np.ndarray:
    """The GCV score; infinite where too few samples are left for an estimate."""
    left = 1 - _GCV * freedom / samples
    enough = left > 0
    return np.where(enough, residual / samples / np.where(enough, left, 1) ** 2, np.inf)


def _fits(
    row: Rows, weights: np.ndarray, code: int, method: Method
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of one signal, by weight, in its units and summed over observed samples.

    Returns:
        Squared residuals, degrees of freedom, and for "cv" the squared errors on
        samples that were left out.
    """
    observed, count = row.observed[0], len(weights)
    signals = np.tile(row.x, (count, 1))
    precisions = np.tile(row.precision, (count, 1))
    solved = _solve(row, signals, precisions, weights, code)
    squares = precisions * (solved[0] - signals) ** 2
    freedom = _freedom(row, solved, weights, code, precisions, observed)
    out = _left_out(row, weights, code) if method == "cv" else np.zeros(count)
    return squares[:, observed].sum(-1), freedom, out


def _left_out(row: Rows, weights: np.ndarray, code: int) -> np.ndarray:
    """Squared errors summed over observed samples, each left out once."""
    x, precision, observed = row.x[0], row.precision[0], row.observed[0]
    errors = np.zeros(len(weights))
    place = np.flatnonzero(observed)
    for fold in range(_FOLDS):
        out = place[fold::_FOLDS]
        hole = ~observed
        hole[out] = True
        trust = precision.copy()
        trust[hole] = MISSING
        signals = np.tile(fill_linearly(x, hole), (len(weights), 1))
        precisions = np.tile(trust, (len(weights), 1))
        y = _solve(row, signals, precisions, weights, code)[0]
        errors += (precision[out] * (y[:, out] - x[out]) ** 2).sum(-1)
    return errors


def _solve(
    rows: Rows,
    signals: np.ndarray,
    precisions: np.ndarray,
    weights: np.ndarray,
    code: int,
) -> tuple[np.ndarray, ...]:
    solved: tuple[np.ndarray, ...] = solve_rows(
        signals,
        precisions,
        weights,
        code,
        rows.coefficients,
        rows.differences,
        1e-8,
    )
    return solved


def _freedom(
    rows: Rows,
    solved: tuple[np.ndarray, ...],
    weights: np.ndarray,
    code: int,
    precisions: np.ndarray,
    observed: np.ndarray,
) -> np.ndarray:
    """Degrees of freedom: the trace of the solution's derivative by observed samples.

    On a face it is the dimension of the piecewise polynomials there, as far as the
    observed samples tell them apart: those that live on missing samples alone, as many
    as the conditions on these leave free, do not count.
    """
    y, u, knots, *_, stiffness = solved
    count = len(y)
    samples = int(observed.sum())
    if code == L1:
        held = count_held_rows(knots, ~observed, rows.coefficients, rows.differences)
        dimension = np.maximum(knots.sum(-1) + (0 if rows.periodic else rows.order), 1)
        dimension = dimension - (int((~observed).sum()) - held)
        return np.where(weights == 0, samples, dimension).astype(np.float64)
    # The trace of the Jacobian, from its products with random signs.
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (_PROBES, len(observed)))
    freedom = np.zeros(count)
    for sign in signs * observed:
        product, _ = pull_back_rows(
            np.tile(sign, (count, 1)),
            precisions,
            y,
            u,
            knots,
            stiffness,
            weights,
            code,
            rows.coefficients,
            rows.differences,
        )
        freedom += product @ sign / _PROBES
    return freedom
