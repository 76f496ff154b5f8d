"""Exact denoising against dense solvers, its certificate and its symmetries."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from signals import (
    DEGENERATE,
    ORDERS,
    PENALTIES,
    SIGNALS,
    each_end,
    each_order,
    each_penalty,
    independently,
    kernels,
    unchecked,
    walk,
)

from stencilnet.denoising import (
    L1,
    CrossValidation,
    L2Squared,
    Sure,
    choose_weight,
    denoise_signals,
    search_weight,
    weight_max,
)
from stencilnet.denoising.cvxpy_layer import difference_matrix
from stencilnet.denoising.kernels.batches import solve_rows

pytestmark = kernels


@each_end
@each_penalty
@each_order
@pytest.mark.parametrize("signal", SIGNALS)
def test_solutions_are_those_of_a_general_solver(signal, order, penalty, periodic):
    x = SIGNALS[signal]
    largest = float(weight_max(x, order=order, penalty=L1(), periodic=periodic))
    for share in (0.0, 1e-3, 0.1, 0.7, 3.0):
        weight = share * largest if largest > 1e-10 * np.abs(x).max() else share
        result = denoise_signals(
            x, weight, order=order, penalty=penalty, periodic=periodic
        )
        expected = independently(x, weight, order, penalty, periodic=periodic)
        assert result.gap <= 1e-8
        allowed = 1e-7 * np.abs(x).max()
        if penalty == L1():
            matrix = difference_matrix(len(x), order, periodic=periodic)
            ours, theirs = (
                ((y - x) ** 2).sum() / 2 + weight * np.abs(matrix @ y).sum()
                for y in (result.signal, expected)
            )
            assert ours <= theirs + 1e-12 * (theirs + np.abs(x).max() ** 2)
            if signal in DEGENERATE:
                # How far from the solution a strongly convex objective lets it be.
                allowed += math.sqrt(2 * max(theirs - ours, 0.0))
        assert np.abs(result.signal - expected).max() <= allowed


@each_end
@each_order
def test_precisions_weigh_samples(order, periodic):
    x = walk(50)
    precision = np.random.default_rng(3).uniform(0.1, 4, 50)
    result = denoise_signals(
        x, 2.0, order=order, precision=precision, periodic=periodic
    )
    expected = independently(
        x, 2.0, order, L1(), precision=precision, periodic=periodic
    )
    np.testing.assert_allclose(result.signal, expected, atol=1e-7)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.floats(-4, 3), st.integers(2, 200))
def test_the_linear_time_method_is_the_interior_point_one(seed, exponent, n):
    generator = np.random.default_rng(seed)
    x = generator.standard_normal(n).cumsum()
    x = np.round(x) if seed % 3 == 0 else x
    w = generator.uniform(0.2, 5, n)
    # A further coefficient, zero, leads past the method for order 1.
    (y, u, knots, gap, *_), (other, *_) = (
        solve_rows(
            x[np.newaxis],
            w[np.newaxis],
            np.ones((1, n), bool),
            np.array([10.0**exponent]),
            L1.code,
            np.array(coefficients),
            n - 1,
            1e-14,
        )
        for coefficients in ([-1.0, 1.0], [-1.0, 1.0, 0.0])
    )
    size = np.abs(x).max() + 1
    np.testing.assert_allclose(y, other, atol=1e-9 * size)
    assert np.abs(u).max() <= 10.0**exponent
    assert gap <= 1e-12 * size**2
    # Two levels that tie are apart all the same.
    assert not (~knots & (y[:, 1:] != y[:, :-1])).any()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from(ORDERS),
    st.floats(-6, 0.3),
    st.integers(5, 400),
    st.booleans(),
)
def test_the_conditions_of_optimality_hold(seed, order, exponent, n, periodic):
    """Without any solver: a subgradient of the penalty is found from the residual."""
    generator = np.random.default_rng(seed)
    x = generator.standard_normal(n).cumsum() + generator.standard_normal(n)
    largest = float(weight_max(x, order=order, periodic=periodic))
    assume(largest > 1e-9)
    weight = largest * 10**exponent
    result = denoise_signals(x, weight, order=order, periodic=periodic)
    assert result.gap <= 1e-8
    matrix = difference_matrix(n, order, periodic=periodic)
    d = matrix @ result.signal
    # y - x + D.T u = 0 with |u| <= weight, and u = weight sign(d) where d is not zero.
    u = np.linalg.lstsq(matrix.T, x - result.signal, rcond=None)[0]
    if periodic:
        # Constants are free, as they vanish under D.T.
        free = np.abs(d) > 1e-9 * np.abs(d).max()
        if free.any():
            u += weight * np.sign(d[free][0]) - u[free][0]
    size = np.abs(x).max()
    assert np.abs(matrix.T @ u - (x - result.signal)).max() <= 1e-8 * size
    penalty, rounding = weight * np.abs(d).sum(), 1e-14 * n * weight * size
    assert penalty - u @ d <= 1e-7 * (1 + penalty) + rounding
    if not periodic:
        assert np.abs(u).max() <= weight * (1 + 1e-6)
    if exponent < 0:
        # Wherever the multiplier is inside, pieces go on.
        assert (np.abs(d) > 1e-7 * size).sum() <= result.knots


@each_end
@each_penalty
@each_order
def test_beyond_the_largest_weight_nothing_changes(order, penalty, periodic):
    if penalty == L2Squared():
        assert np.isinf(weight_max(walk(30), order=order, penalty=penalty))
        return
    x = walk(30)
    kind = {"order": order, "penalty": penalty, "periodic": periodic}
    largest = float(weight_max(x, **kind))
    at, beyond = (denoise_signals(x, f * largest, **kind).signal for f in (1.0, 100.0))
    np.testing.assert_allclose(at, beyond, atol=1e-7)
    degree = 0 if periodic else order - 1
    polynomial = np.polynomial.Polynomial.fit(np.arange(30), x, degree)(np.arange(30))
    np.testing.assert_allclose(beyond, polynomial, atol=1e-9)
    before = denoise_signals(x, 0.9 * largest, **kind).signal
    assert np.abs(before - beyond).max() > 1e-6


@each_penalty
@each_order
def test_solutions_move_with_the_signal(order, penalty):
    x, kind = walk(40), {"order": order, "penalty": penalty}
    power = 0 if penalty == L2Squared() else 1
    one = denoise_signals(x, 1.5, **kind).signal
    np.testing.assert_allclose(
        denoise_signals(-x, 1.5, **kind).signal, -one, atol=1e-10
    )
    np.testing.assert_allclose(
        denoise_signals(x[::-1], 1.5, **kind).signal[::-1], one, atol=1e-9
    )
    np.testing.assert_allclose(
        denoise_signals(x + 5, 1.5, **kind).signal, one + 5, atol=1e-9
    )
    scaled = denoise_signals(7 * x, 1.5 * 7**power, **kind).signal
    np.testing.assert_allclose(scaled, 7 * one, atol=1e-9)
    turned = denoise_signals(np.roll(x, 11), 1.5, **kind, periodic=True).signal
    straight = denoise_signals(x, 1.5, **kind, periodic=True).signal
    np.testing.assert_allclose(turned, np.roll(straight, 11), atol=1e-9)


@each_penalty
def test_batches_are_their_signals_one_by_one(penalty):
    x = walk(3, 2, 25)
    weights = np.linspace(0.0, 2.0, 6).reshape(3, 2)
    together = denoise_signals(x, weights, order=2, penalty=penalty)
    assert together.gap.shape == together.knots.shape == (3, 2)
    for index in np.ndindex(3, 2):
        alone = denoise_signals(x[index], weights[index], order=2, penalty=penalty)
        np.testing.assert_allclose(together.signal[index], alone.signal, rtol=1e-12)
    across = denoise_signals(
        np.moveaxis(x, -1, 0), weights, order=2, penalty=penalty, axis=0
    )
    back = np.moveaxis(across.signal, 0, -1)
    np.testing.assert_allclose(back, together.signal, rtol=1e-12)
    assert denoise_signals(x[:0], weights[:0], penalty=penalty).signal.shape == (
        0,
        2,
        25,
    )


def test_a_criterion_chooses_the_weight_and_tells():
    x = walk(2, 3, 40)
    result = denoise_signals(x, CrossValidation(folds=3), order=2)
    choice = choose_weight(x, CrossValidation(folds=3), order=2)
    np.testing.assert_array_equal(result.choice.weight, choice.weight)
    expected = denoise_signals(x, choice.weight, order=2)
    np.testing.assert_array_equal(result.signal, expected.signal)
    assert expected.choice is None


def test_weight_zero_and_dtype_and_layout_are_kept():
    x = walk(4, 30).astype(np.float32)
    np.testing.assert_array_equal(denoise_signals(x, 0.0).signal, x)
    assert denoise_signals(x, 1.0).signal.dtype == np.float32
    view = np.broadcast_to(x[0], (3, 30))[:, ::-1]
    np.testing.assert_allclose(
        denoise_signals(view, 1.0).signal[2],
        denoise_signals(x[0, ::-1].copy(), 1.0).signal,
    )


def test_a_missed_gap_is_a_warning_with_the_number():
    # The dual variables of a long parabola have lost the digits for a tighter gap.
    x = np.random.default_rng(0).standard_normal(20_000)
    with pytest.warns(UserWarning, match=r"duality gap above 1\.0e-20, up to \d"):
        denoise_signals(x, 1e14, order=3, tolerance=1e-20)


@each_end
@each_order
def test_the_right_face_is_found_close_to_the_largest_weight(order, periodic):
    """There a wrong one has a small gap already."""
    kind = {"order": order, "periodic": periodic}
    for seed in range(30):
        x = walk(30, seed=seed)
        largest = float(weight_max(x, **kind))
        for short in (1e-3, 1e-4, 1e-5):
            weight = largest * (1 - short)
            result = denoise_signals(x, weight, **kind)
            tight = denoise_signals(x, weight, **kind, tolerance=1e-20)
            np.testing.assert_allclose(result.signal, tight.signal, atol=1e-10)
            assert result.knots == tight.knots > 0


@each_order
def test_constants_survive_any_weight_on_a_circle(order):
    x = np.full(20, 3.7)
    for weight in (1e-300, 1e-16, 1.0, 1e12):
        for penalty in PENALTIES:
            kind = {"order": order, "penalty": penalty, "periodic": True}
            np.testing.assert_allclose(denoise_signals(x, weight, **kind).signal, x)
    noisy = walk(40, seed=8)
    stiff = denoise_signals(
        noisy, 1e25, order=order, penalty=L2Squared(), periodic=True
    )
    np.testing.assert_allclose(stiff.signal, noisy.mean(), atol=1e-9)


@each_penalty
@each_order
@pytest.mark.parametrize("unit", [1e-300, 1e-170, 1e155, 1e300])
def test_solutions_scale_with_signals_of_any_size(unit, order, penalty):
    x = walk(80)
    of_weight = 1.0 if penalty == L2Squared() else unit
    base = denoise_signals(x, 2.0, order=order, penalty=penalty)
    other = denoise_signals(unit * x, 2.0 * of_weight, order=order, penalty=penalty)
    np.testing.assert_allclose(other.signal / unit, base.signal, atol=1e-12)


BAD = {
    "empty": (lambda: denoise_signals(np.zeros((2, 0)), 1.0), "signals have 0"),
    "too short": (
        lambda: denoise_signals(np.zeros(3), 1.0, order=3),
        "more than 3 samples",
    ),
    "single": (lambda: denoise_signals(np.zeros(1), 1.0), "more than 1 samples"),
    "not finite": (
        lambda: denoise_signals(np.array([[0.0, 1.0], [np.nan, 1.0]]), 1.0),
        r"the first at \(1, 0\)",
    ),
    "negative": (lambda: denoise_signals(np.zeros(5), -1.0), "not -1"),
    "nan weight": (lambda: denoise_signals(np.zeros(5), math.nan), "not nan"),
    "order": (
        lambda: denoise_signals(np.zeros(9), 1.0, order=4),
        "order 1, 2 or 3, not 4",
    ),
    "axis": (lambda: denoise_signals(np.zeros(9), 1.0, axis=1), "no axis 1"),
    "weights": (
        lambda: denoise_signals(np.zeros((2, 9)), np.ones(3)),
        "give one weight, or one per signal",
    ),
    "precision": (
        lambda: denoise_signals(np.zeros(9), 1.0, precision=np.zeros(9)),
        "positive and finite",
    ),
    "mask": (
        lambda: denoise_signals(np.zeros(9), 1.0, missing=np.ones(9, bool)),
        "only 0 samples that are not missing",
    ),
    "mask of another shape": (
        lambda: denoise_signals(np.zeros(9), 1.0, missing=np.ones(4, bool)),
        "does not fit",
    ),
    "tolerance": (
        lambda: denoise_signals(np.zeros(9), 1.0, tolerance=0.0),
        "tolerance must be positive",
    ),
    "choice of few": (
        lambda: denoise_signals(np.zeros(3), Sure()),
        "at least 4 samples",
    ),
    "nothing to try": (
        lambda: search_weight(np.zeros(9), np.zeros(9), np.zeros(0)),
        "at least one",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_in_a_sentence(case):
    call, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        call()


def test_integers_are_refused():
    with pytest.raises(TypeError, match="must be floating-point, but these are int"):
        denoise_signals(np.zeros(9, dtype=int), 1.0)


def test_names_in_place_of_values_are_refused_with_the_remedy():
    with unchecked():
        with pytest.raises(TypeError, match=r"such as L1\(\), not 'l1'"):
            denoise_signals(np.zeros(9), 1.0, penalty="l1")
        with pytest.raises(TypeError, match=r"such as Sure\(\), not 'sure'"):
            denoise_signals(np.zeros(9), "sure")


def test_a_constant_stays_what_it_is():
    for penalty in PENALTIES:
        for order in ORDERS:
            x = np.full(20, 3.0)
            result = denoise_signals(x, 5.0, order=order, penalty=penalty)
            np.testing.assert_allclose(result.signal, x, rtol=1e-12)
            assert float(choose_weight(x, order=order, penalty=penalty).weight) == 0.0
