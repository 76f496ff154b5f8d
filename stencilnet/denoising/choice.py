"""The weight of the penalty from the data: SURE, GCV, cross-validation, a grid."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from stencilnet.denoising.batches import (
    L1,
    L2_SQUARED,
    pull_back_rows,
    solve_rows,
)
from stencilnet.denoising.solvers import (
    Denoised,
    Penalty,
    Rows,
    as_rows,
    check_weight,
    denoise,
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


@dataclass(frozen=True)
class Choice:
    """A weight for each signal, and what it was chosen by.

    Attributes:
        weight: chosen ones, of the shape of the signals without their axis.
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
    """
    order = min(_NOISE_ORDER, x.shape[axis] - 1)
    size = math.sqrt(math.comb(2 * order, order))
    spread = np.median(np.abs(np.diff(x, n=order, axis=axis)), axis=axis)
    return np.asarray(spread / (0.6744897501960817 * size))


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
) -> Choice:
    """Chooses the weight of `denoise` for each signal by itself.

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
        sigma: standard deviation of the noise, of samples of precision 1; estimated by
            `noise_level` and then from the residual of a first choice if not given.

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
    largest = weight_max(
        x,
        order=order,
        penalty="l2" if penalty == "l2" else "l1",
        periodic=periodic,
        precision=precision,
        missing=missing,
        axis=axis,
    ).reshape(-1)
    given = None
    if sigma is not None:
        given = np.asarray(sigma, dtype=np.float64)
        if not (np.isfinite(given) & (given >= 0)).all():
            raise ValueError(
                f"A sigma is finite and zero or more, not {sigma}: leave it out for an "
                f"estimate."
            )
        given = np.broadcast_to(given, rows.shape[:-1]).reshape(-1)
    chosen = [
        _choose_row(
            rows,
            index,
            method,
            penalty_code(penalty),
            float(largest[index]),
            None if given is None else float(given[index]),
        )
        for index in range(len(rows.x))
    ]
    batch = rows.shape[:-1]
    columns = [np.array(column) for column in zip(*chosen, strict=True)]
    tried = _COARSE + _ROUNDS * _FINE
    if not chosen:
        columns = [np.zeros(0)] * 3 + [np.zeros((0, tried))] * 2
    weight, level, freedom, weights, curve = columns
    return Choice(
        weight.reshape(batch),
        level.reshape(batch),
        freedom.reshape(batch),
        weights.reshape(*batch, -1) if chosen else weights.reshape(*batch, tried),
        curve.reshape(*batch, -1) if chosen else curve.reshape(*batch, tried),
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
    choice = choose_weight(x, method, sigma=sigma, **settings)
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
    if x.shape != clean.shape:
        raise ValueError(
            f"The clean signals have the shape {clean.shape}, the noisy ones "
            f"{x.shape}: give one for each."
        )
    rows = as_rows(x, order, periodic, None, None, -1)
    code, goal = penalty_code(penalty), clean.reshape(rows.x.shape)
    errors, freedom = np.empty(len(tried)), np.empty(len(tried))
    for index, weight in enumerate(tried):
        many = np.full(len(rows.x), weight)
        solved = _solve(rows, rows.x, rows.precision, many, code)
        errors[index] = np.mean((solved[0] - goal) ** 2)
        freedom[index] = np.mean(_freedom(rows, solved, many, code, rows.precision))
    best = int(errors.argmin())
    return Choice(
        np.array(tried[best]),
        np.array(np.sqrt(np.mean((x - clean) ** 2))),
        np.array(freedom[best]),
        tried,
        errors,
    )


def _choose_row(
    rows: Rows,
    index: int,
    method: Method,
    code: int,
    largest: float,
    sigma: float | None,
) -> tuple[float, float, float, np.ndarray, np.ndarray]:
    """Weight, sigma, degrees of freedom, weights and curve of one signal."""
    x, precision = rows.x[index], rows.precision[index]
    known = sigma is not None
    level = float(noise_level(x)) if sigma is None else sigma
    size = float(np.abs(x).max())
    if largest <= 1e-12 * max(size, 1e-300) or (known and level == 0.0):
        # A polynomial already, or nothing to remove.
        tried = np.zeros(_COARSE + _ROUNDS * _FINE)
        return 0.0, level, float(len(x)), tried, tried
    if code == L2_SQUARED:
        largest = 1e6 * len(x) ** (2 * rows.order)
        least = 1e-6
    else:
        floor = level if level > 0 else 1e-6 * size
        least = min(1e-2 * floor, 1e-3 * largest)
    for _ in range(1 if known or method != "sure" else 2):
        tried = np.geomspace(least, largest, _COARSE)
        curve, freedom, residual = _score(
            rows, x, precision, tried, method, code, level
        )
        for _ in range(_ROUNDS):
            order = np.argsort(tried)
            tried, curve = tried[order], curve[order]
            freedom, residual = freedom[order], residual[order]
            best = int(curve.argmin())
            low, high = tried[max(best - 1, 0)], tried[min(best + 1, len(tried) - 1)]
            closer = np.geomspace(low, high, _FINE + 2)[1:-1]
            more = _score(rows, x, precision, closer, method, code, level)
            tried = np.concatenate([tried, closer])
            curve, freedom, residual = (
                np.concatenate(pair)
                for pair in zip((curve, freedom, residual), more, strict=True)
            )
        best = int(curve.argmin())
        left = len(x) - freedom[best]
        if not known and left > len(x) / 4:
            # The residual knows the noise better than the differences do.
            level = math.sqrt(residual[best] / left)
    order = np.argsort(tried)
    best_freedom = float(freedom[best])
    return float(tried[best]), level, best_freedom, tried[order], curve[order]


def _score(
    rows: Rows,
    x: np.ndarray,
    precision: np.ndarray,
    weights: np.ndarray,
    method: Method,
    code: int,
    sigma: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The criterion for each weight, degrees of freedom, and squared residuals."""
    count, n = len(weights), len(x)
    signals = np.tile(x, (count, 1))
    precisions = np.tile(precision, (count, 1))
    solved = _solve(rows, signals, precisions, weights, code)
    residual = (precisions * (solved[0] - signals) ** 2).sum(-1)
    freedom = _freedom(rows, solved, weights, code, precisions)
    if method == "cv":
        return _left_out(rows, x, precision, weights, code), freedom, residual
    if method == "gcv":
        left = 1 - _GCV * freedom / n
        score = np.where(
            left > 0, residual / n / np.where(left > 0, left, 1) ** 2, np.inf
        )
        return score, freedom, residual
    return (residual + _SURE * sigma**2 * freedom) / n - sigma**2, freedom, residual


def _left_out(
    rows: Rows, x: np.ndarray, precision: np.ndarray, weights: np.ndarray, code: int
) -> np.ndarray:
    """Mean squared error on samples that were left out, each once."""
    errors = np.zeros(len(weights))
    place = np.arange(len(x))
    for fold in range(_FOLDS):
        out = place % _FOLDS == fold
        filled, trust = x.copy(), precision.copy()
        filled[out] = np.interp(place[out], place[~out], x[~out])
        trust[out] = 1e-9 * np.median(precision)
        signals = np.tile(filled, (len(weights), 1))
        precisions = np.tile(trust, (len(weights), 1))
        y = _solve(rows, signals, precisions, weights, code)[0]
        errors += (precision[out] * (y[:, out] - x[out]) ** 2).sum(-1)
    return errors / len(x)


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
) -> np.ndarray:
    """Degrees of freedom: the divergence of the solution by the signal."""
    y, u, knots, *_, stiffness = solved
    count, n = y.shape
    if code == L1:
        dimension = knots.sum(-1) + (0 if rows.periodic else rows.order)
        freedom: np.ndarray = np.clip(dimension, 1, n).astype(np.float64)
        return np.where(weights == 0, float(n), freedom)
    # The trace of the Jacobian, from its products with random signs.
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (_PROBES, n))
    freedom = np.zeros(count)
    for sign in signs:
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
