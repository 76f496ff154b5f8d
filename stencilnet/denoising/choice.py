"""The weight of the penalty from the data, by a criterion."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Float

from stencilnet.denoising.criteria import (
    Criterion,
    Evidence,
    Gcv,
    Sure,
    checked_criterion,
    smoothest,
)
from stencilnet.denoising.inputs import read_numbers
from stencilnet.denoising.noise import level
from stencilnet.denoising.penalties import L1, L2, L2Squared, Penalty, checked_penalty
from stencilnet.denoising.rows import Rows, as_rows
from stencilnet.denoising.solution import largest_weights, solve
from stencilnet.denoising.ties import dither, warn_of_repeats

_COARSE, _FINE, _ROUNDS = 25, 6, 2
_TRIED = _COARSE + _ROUNDS * _FINE
# Beyond the weight at which rounding decides whether a last knot is left.
_BEYOND = 1 + 1e-9


@dataclass(frozen=True)
class Choice:
    """A weight for each signal, and the scores that it was chosen by.

    Attributes:
        weight: of the shape of the signals without their axis; one number if the
            signals share it.
        sigma: standard deviation of the noise, as passed or estimated.
        degrees_of_freedom: of the solution with that weight; of the dithered signal
            where samples tie.
        weights: all weights of the search, ascending, `(*signals, tried)`.
        curve: quantity that was minimized over them: the estimated mean squared error
            (SURE), the GCV score, the error on held-out samples (cross-validation), or
            the mean squared error against clean signals (a grid).

    Example:
        >>> import numpy as np
        >>> from stencilnet.denoising import Choice, choose_weight
        >>> noise = np.random.default_rng(0).normal(scale=0.1, size=200)
        >>> x = np.repeat([0.0, 1.0], 100) + noise
        >>> choice = choose_weight(x)
        >>> isinstance(choice, Choice), int(choice.degrees_of_freedom)
        (True, 4)
        >>> bool(choice.weight == choice.weights[choice.curve.argmin()])
        True
    """

    weight: Float[np.ndarray, "*signals"]
    sigma: Float[np.ndarray, "*signals"]
    degrees_of_freedom: Float[np.ndarray, "*signals"]
    weights: Float[np.ndarray, "*signals tried"]
    curve: Float[np.ndarray, "*signals tried"]


def choose_weight(
    signals: Any,
    criterion: Criterion | None = None,
    *,
    order: int = 1,
    penalty: Penalty | None = None,
    periodic: bool = False,
    sigma: float | np.ndarray | None = None,
    precision: np.ndarray | None = None,
    missing: np.ndarray | None = None,
    axis: int = -1,
    shared: bool = False,
) -> Choice:
    """The weight of `denoise_signals` with the best score, per signal or one for all.

    The score is minimized over a logarithmic grid from weights that do nothing to
    `weight_max`, which is then refined twice around the best. Among weights whose
    scores differ by rounding the largest wins, which makes the smoothest signal: the
    last bit of a processor decides nothing.

    Criteria assume independent noise, and a warning names signals whose samples repeat
    in runs of one length, as those of a slower clock do. Where many samples tie, as
    rounded or clipped ones do, residuals and degrees of freedom for `L1()` are those of
    the signal with a little further noise (dither), without which it would fit itself.

    Args:
        signals: at least 3 samples longer than the order.
        criterion: the score, by default `Sure()`.
        order, penalty, periodic, precision, missing, axis: as in `denoise_signals`.
        sigma: standard deviation of the noise, of samples of precision 1. By default it
            is the residual's at the choice of `Gcv()`, with `f` degrees of freedom
            fewer than samples, or where these leave too few that of `noise_level`.
        shared: choose one weight for all signals instead of one for each.

    Raises:
        TypeError, ValueError: as `denoise_signals`, or if a sigma is negative, or a
            weight is to be shared by no signals or by signals of different sigma.

    Example:
        >>> import numpy as np
        >>> from stencilnet.denoising import choose_weight
        >>> noise = np.random.default_rng(0).normal(size=(2, 200)) * [[0.1], [0.2]]
        >>> choice = choose_weight(np.repeat([0.0, 1.0], 100) + noise)
        >>> choice.sigma.round(1), choice.weight.round(2)
        (array([0.1, 0.2]), array([0.72, 2.25]))
    """
    criterion = checked_criterion(criterion)
    penalty = checked_penalty(penalty)
    rows = as_rows(signals, order, periodic, precision, missing, axis)
    if rows.x.shape[-1] < order + 3:
        raise ValueError(
            f"A criterion needs at least {order + 3} samples at order {order}, not "
            f"{rows.x.shape[-1]}: pass a number as the weight."
        )
    warn_of_repeats(rows)
    levels = _levels(sigma, rows.batch)
    batch, groups = rows.batch, list(np.arange(len(rows.x))[:, np.newaxis])
    if shared:
        if not len(rows.x) or (levels is not None and np.ptp(levels) > 0):
            raise ValueError(
                "A shared weight needs at least one signal, and all of them with one "
                "sigma: pass one sigma, or drop shared=True."
            )
        batch, groups = (), [np.arange(len(rows.x))]
    largest = largest_weights(rows, penalty if isinstance(penalty, L2) else L1())
    choices = [
        _choose(
            rows.select(group),
            criterion,
            penalty,
            float(largest[group].max()),
            None if levels is None else float(levels[group[0]]),
        )
        for group in groups
    ]

    def gathered(name: str, *entries: int) -> np.ndarray:
        values = [getattr(choice, name) for choice in choices]
        return np.array(values, dtype=np.float64).reshape((*batch, *entries))

    return Choice(
        gathered("weight"),
        gathered("sigma"),
        gathered("degrees_of_freedom"),
        gathered("weights", _TRIED),
        gathered("curve", _TRIED),
    )


def _levels(
    sigma: float | np.ndarray | None, batch: tuple[int, ...]
) -> np.ndarray | None:
    """A sigma per signal, if any."""
    if sigma is None:
        return None
    values = read_numbers(sigma, "sigmas")
    if not (np.isfinite(values) & (values >= 0)).all():
        raise ValueError(
            f"A sigma must be finite and zero or more, not {sigma}: leave it out for "
            f"an estimate."
        )
    return np.broadcast_to(values, batch).reshape(-1)


@dataclass(frozen=True)
class _Units:
    """Units of the largest signal of a group and of its precisions.

    Attributes:
        weight: the caller's value of a weight that is 1 here.
        sigma: the caller's value of a standard deviation that is 1 here.
        largest: the same of a weight of `l1` or `l2`.
        weights: that of each row in units of `weight`.
        squares: weighted squares of each row, in units of the group's.
        precision: typical, of an observed sample.
    """

    weight: float
    sigma: float
    largest: float
    weights: np.ndarray
    squares: np.ndarray
    precision: float

    @staticmethod
    def of_rows(rows: Rows, penalty: Penalty) -> "_Units":
        not_zero = (rows.x != 0).any(-1)
        scale = float(rows.scale[not_zero].max(initial=0.0)) or 1.0
        trust = float(rows.trust.max())
        weight = trust if isinstance(penalty, L2Squared) else trust * scale
        share = (rows.trust / trust)[:, np.newaxis]
        return _Units(
            weight,
            scale * math.sqrt(trust),
            trust * scale,
            rows.weight_unit(penalty) / weight,
            (rows.scale / scale) ** 2 * (rows.trust / trust),
            float(np.median((rows.precision * share)[rows.observed])),
        )


def _choose(
    rows: Rows,
    criterion: Criterion,
    penalty: Penalty,
    largest: float,
    sigma: float | None,
) -> Choice:
    """The choice for signals that share a weight.

    Args:
        rows: the signals.
        criterion, penalty: of the choice.
        largest: weight to try, in the caller's unit, as is `sigma`.
        sigma: if known.
    """
    units = _Units.of_rows(rows, penalty)
    generic, added = rows, 0.0
    if isinstance(penalty, L1):
        generic, deviations = dither(rows)
        added = float(np.median(deviations * np.sqrt(units.squares)))
    noise = _median_level(generic, units)
    if sigma is not None:
        noise = math.hypot(sigma / units.sigma, added)
    largest /= units.largest
    samples = int(rows.observed.sum())
    if largest <= 1e-12 + float(rows.rounding.max()) or (
        isinstance(criterion, Sure) and sigma == 0.0
    ):
        # A polynomial already, or nothing to remove.
        nothing = np.zeros(_TRIED)
        return Choice(
            np.array(0.0),
            np.array(noise * units.sigma) if sigma is None else np.array(sigma),
            np.array(float(samples)),
            nothing,
            nothing,
        )
    weights = _coarse_grid(rows, penalty, units, largest, noise)
    evidence = _gather(rows, generic, weights, criterion, penalty, units)
    for round_ in range(_ROUNDS + 1):
        if sigma is None:
            noise = _residual_level(evidence, noise)
        score = criterion.score(evidence, noise)
        best = smoothest(score)
        if round_ < _ROUNDS:
            weights = _refined(evidence.weights, best)
            finer = _gather(rows, generic, weights, criterion, penalty, units)
            evidence = evidence.merge(finer)
    return Choice(
        np.array(evidence.weights[best] * units.weight),
        np.array(math.sqrt(max(noise**2 - added**2, 0.0)) * units.sigma),
        np.array(evidence.freedom[best]),
        evidence.weights * units.weight,
        # Squared one factor at a time: infinity times an underflow is no number.
        criterion.curve(score, noise) * units.sigma * units.sigma,
    )


def _median_level(rows: Rows, units: _Units) -> float:
    """The median of the noise levels of all rows."""
    levels = [
        level(*row) for row in zip(rows.x, rows.precision, rows.observed, strict=True)
    ]
    return float(np.median(levels * np.sqrt(units.squares)))


def _residual_level(evidence: Evidence, noise: float) -> float:
    """Noise level of the residual at the choice of GCV, or `noise` with few samples.

    With many degrees of freedom left the residual knows the noise better than the
    differences do.
    """
    best = smoothest(Gcv().score(evidence, noise))
    left = evidence.samples - evidence.freedom[best]
    if left <= evidence.samples / 4:
        return noise
    return math.sqrt(evidence.residual[best] / left)


def _coarse_grid(
    rows: Rows, penalty: Penalty, units: _Units, largest: float, noise: float
) -> np.ndarray:
    """Weights from one that does nothing to one beyond which nothing changes."""
    typical = units.precision
    if isinstance(penalty, L2Squared):
        stiff = 1e6 * typical * float(rows.x.shape[-1]) ** (2 * rows.order)
        return np.geomspace(1e-6 * typical, stiff, _COARSE)
    size = noise * math.sqrt(typical) if noise > 0 else 1e-6
    least = min(1e-2 * size, 1e-3 * largest)
    return np.geomspace(least, largest * _BEYOND, _COARSE)


def _refined(tried: np.ndarray, best: int) -> np.ndarray:
    """Further weights between the best one and its neighbours, none of them twice."""
    last = len(tried) - 1
    if best in (0, last):
        low, high = (tried[0], tried[1]) if best == 0 else (tried[-2], tried[-1])
        return np.geomspace(low, high, _FINE + 2)[1:-1]
    sides = [
        np.geomspace(low, high, _FINE // 2 + 2)[1:-1]
        for low, high in pairwise(tried[best - 1 : best + 2])
    ]
    return np.concatenate(sides)


def _gather(
    rows: Rows,
    generic: Rows,
    weights: np.ndarray,
    criterion: Criterion,
    penalty: Penalty,
    units: _Units,
) -> Evidence:
    """Evidence of all signals for each of some weights, in the units of the group.

    Args:
        rows, generic: the signals, and the same without ties, whose residual and
            degrees of freedom count.
        weights, criterion, penalty, units: of the choice.
    """
    count = len(weights)
    residual, freedom, held_out = np.zeros(count), np.zeros(count), np.zeros(count)
    for index in range(len(rows.x)):
        row = generic.select([index] * count)
        own = weights / units.weights[index]
        observed = row.observed[0]
        solution = solve(row, own, penalty)
        residual += units.squares[index] * _squares(row, solution.y, observed)
        freedom += solution.freedom(observed)
        row = rows.select([index] * count)
        place = np.flatnonzero(observed)
        for fold in range(criterion.parts):
            out = place[fold :: criterion.parts]
            y = solve(row.hold_out(out), own, penalty).y
            held_out += units.squares[index] * _squares(row, y, out)
    return Evidence(weights, residual, freedom, held_out, int(rows.observed.sum()))


def _squares(rows: Rows, y: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """Squared residuals, weighted and summed over some samples, one per row."""
    squares = rows.precision * (y - rows.x) ** 2
    return np.asarray(squares[:, samples].sum(-1))
