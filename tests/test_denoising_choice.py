"""Weights chosen from the data: nearly the best ones, on every machine the same."""

import json
import math

import numpy as np
import pytest
from signals import ORDERS, PENALTIES, each_order, each_penalty, kernels, walk

from stencilnet.denoising import (
    CRITERIA,
    L1,
    Criterion,
    CrossValidation,
    Gcv,
    L2Squared,
    Penalty,
    Sure,
    choose_weight,
    denoise_signals,
    noise_level,
    search_weight,
)
from stencilnet.denoising import PENALTIES as PENALTY_KINDS
from stencilnet.denoising.cvxpy_layer import difference_matrix

pytestmark = kernels
each_criterion = pytest.mark.parametrize(
    "criterion", [Sure(), Gcv(), CrossValidation()], ids=lambda c: c.kind
)


def test_the_noise_level_is_seen_through_signals():
    t = np.linspace(0, 1, 4000)
    noise = 0.3 * np.random.default_rng(0).standard_normal(4000)
    for clean in (np.sin(20 * t), np.repeat(walk(8), 500), 100 * t):
        assert float(noise_level(clean + noise)) == pytest.approx(0.3, rel=0.06)


@each_criterion
@each_penalty
def test_chosen_weights_are_nearly_the_best(criterion, penalty):
    t = np.linspace(0, 1, 600)
    clean = np.sin(9 * t) + np.where(t > 0.5, 0.0, t)
    noisy = clean + 0.2 * np.random.default_rng(1).standard_normal(600)
    result = denoise_signals(noisy, criterion, order=2, penalty=penalty)
    choice = result.choice
    tried = denoise_signals(
        np.tile(noisy, (80, 1)),
        np.geomspace(choice.weights[0], choice.weights[-1], 80),
        order=2,
        penalty=penalty,
    )
    best = ((tried.signal - clean) ** 2).mean(-1).min()
    assert ((result.signal - clean) ** 2).mean() <= 1.5 * best
    assert float(choice.sigma) == pytest.approx(0.2, rel=0.1)
    assert choice.weights.shape == choice.curve.shape
    # Rising, and none of them twice.
    assert (np.diff(np.log(choice.weights)) > 1e-3).all()
    best = choice.curve[choice.weights == choice.weight]
    assert best == pytest.approx(choice.curve.min(), rel=1e-6)


def test_sure_estimates_the_squared_error():
    """Over many draws its curve is on average that of the error and what it adds."""
    clean = np.repeat([0.0, 3.0, 1.0], 40)
    noise = np.random.default_rng(2).standard_normal((200, 120))
    choice = choose_weight(clean + noise, sigma=1.0)
    estimates = [
        np.interp(4.0, weights, curve)
        for weights, curve in zip(choice.weights, choice.curve, strict=True)
    ]
    result = denoise_signals(clean + noise, 4.0)
    errors = ((result.signal - clean) ** 2).mean(-1)
    added = 0.2 * (result.knots + 1) / 120
    assert (estimates - added - errors).mean() == pytest.approx(0.0, abs=0.015)
    result = denoise_signals(clean + noise, choice.weight)
    np.testing.assert_array_equal(choice.degrees_of_freedom, result.knots + 1)


@each_penalty
@each_criterion
def test_choices_do_not_depend_on_units(criterion, penalty):
    x = np.repeat(walk(8), 25) + 0.3 * walk(200, seed=1)
    base = choose_weight(x, criterion, penalty=penalty)
    for of_x, of_precision in ((1.0, 3e-14), (1.0, 7e3), (1e-200, 1.0), (3e140, 5.0)):
        precision = np.full(200, of_precision)
        other = choose_weight(of_x * x, criterion, penalty=penalty, precision=precision)
        unit = of_precision * (1.0 if penalty == L2Squared() else of_x)
        assert float(other.weight) == pytest.approx(float(base.weight) * unit, rel=1e-6)
        sigma = float(base.sigma) * of_x * math.sqrt(of_precision)
        assert float(other.sigma) == pytest.approx(sigma, rel=1e-6)


@each_order
@pytest.mark.parametrize("share", [0.2, 0.6])
def test_degrees_of_freedom_with_missing_samples_are_the_trace(share, order):
    """Of the derivative of the observed samples of the solution, by differences."""
    x = walk(60, seed=5)
    missing = np.random.default_rng(order).uniform(size=60) < share
    choice = choose_weight(x, order=order, missing=missing)
    trace = 0.0
    for index in np.flatnonzero(~missing):
        step = np.zeros(60)
        step[index] = 1e-5
        above, below = (
            denoise_signals(
                x + sign * step, choice.weight, order=order, missing=missing
            ).signal
            for sign in (1, -1)
        )
        trace += (above - below)[index] / 2e-5
    assert float(choice.degrees_of_freedom) == pytest.approx(trace, abs=0.01)


@pytest.mark.parametrize("seed", range(4))
def test_chosen_weights_are_nearly_the_best_with_missing_samples(seed):
    generator = np.random.default_rng(seed)
    clean = np.repeat(generator.uniform(-1, 1, 6), 100)
    noisy = clean + 0.1 * generator.standard_normal(600)
    missing = generator.uniform(size=600) < 0.3

    def error(weight):
        result = denoise_signals(noisy, weight, missing=missing).signal
        return ((result - clean)[~missing] ** 2).mean()

    choice = choose_weight(np.where(missing, np.nan, noisy), missing=missing)
    best = min(error(weight) for weight in choice.weights)
    assert error(choice.weight) <= 1.3 * best
    assert float(choice.sigma) == pytest.approx(0.1, rel=0.15)


def test_degrees_of_freedom_of_a_smoother_are_its_trace():
    x = walk(40)
    matrix = difference_matrix(40, 2, periodic=False)
    choice = choose_weight(x, Gcv(), order=2, penalty=L2Squared())
    smoother = np.linalg.inv(np.eye(40) + 2 * float(choice.weight) * matrix.T @ matrix)
    assert float(choice.degrees_of_freedom) == pytest.approx(
        np.trace(smoother), rel=0.15
    )


@each_criterion
@each_penalty
@pytest.mark.parametrize("digits", [None, 1, 0], ids=["real", "tenths", "whole"])
def test_choices_do_not_hang_on_the_last_bit(criterion, penalty, digits):
    """Also of rounded data, in which levels tie."""
    x = np.repeat(walk(8), 20) + 0.3 * walk(160, seed=1)
    x = x if digits is None else np.round(x, digits)
    perturbations = 1e-14 * np.random.default_rng(0).standard_normal((4, 160))
    for order, periodic in ((1, False), (1, True), (2, False)):
        kind = {"order": order, "penalty": penalty, "periodic": periodic}
        base = choose_weight(x, criterion, **kind)
        others = choose_weight(x * (1 + perturbations), criterion, **kind)
        np.testing.assert_allclose(others.weight, base.weight, rtol=1e-9)
        np.testing.assert_allclose(others.sigma, base.sigma, rtol=1e-9)
        freedom = others.degrees_of_freedom
        np.testing.assert_allclose(freedom, base.degrees_of_freedom, rtol=1e-9)


def test_noisy_polynomials_are_chosen_whatever_the_last_bit():
    """The largest weight is the best one, and at it a knot is about to vanish."""
    x = np.linspace(0, 1, 60) + np.random.default_rng(4).uniform(-1, 1, 60)
    perturbations = 1e-14 * np.random.default_rng(0).standard_normal((40, 60))
    for order in ORDERS:
        choices = choose_weight(x * (1 + perturbations), Gcv(3.0), order=order)
        assert set(choices.degrees_of_freedom) == {order}
        np.testing.assert_allclose(choices.weight, choices.weights[:, -1])


def test_a_search_takes_the_smoothest_of_equal_errors():
    clean = np.repeat([1.0, -1.0], 20)
    # Beyond the largest weight the signal is its mean.
    choice = search_weight(clean, 0 * clean, np.array([100.0, 1e3, 1e4, 0.5]))
    assert choice.weight == 1e4


def test_a_sigma_is_taken_as_it_is():
    x = walk(2, 60)
    choice = choose_weight(x, sigma=np.array([0.5, 2.0]))
    np.testing.assert_allclose(choice.sigma, [0.5, 2.0])
    assert choice.weight[0] < choose_weight(x[0], sigma=2.0).weight
    assert choice.weight[1] == choose_weight(x[1], sigma=2.0).weight
    for sigma in (-1.0, math.nan):
        with pytest.raises(ValueError, match="finite and zero or more"):
            choose_weight(x, sigma=sigma)
    with pytest.raises(ValueError, match="pass one sigma"):
        choose_weight(x, sigma=np.array([0.5, 2.0]), shared=True)


def test_a_larger_factor_smooths_more():
    x = np.repeat(walk(8), 25) + 0.3 * walk(200, seed=1)
    for kind, low, high in ((Sure, 1.0, 20.0), (Gcv, 0.8, 3.0)):
        rough, smooth = (choose_weight(x, kind(factor)) for factor in (low, high))
        assert rough.weight < smooth.weight
        assert rough.degrees_of_freedom > smooth.degrees_of_freedom


def test_folds_are_held_out_in_turn():
    """Against a loop over samples, each predicted from all others."""
    x = walk(12)
    choice = choose_weight(x, CrossValidation(folds=12))
    errors = []
    for index in range(12):
        missing = np.arange(12) == index
        y = denoise_signals(x, choice.weight, missing=missing).signal
        errors.append((y[index] - x[index]) ** 2)
    score = choice.curve[choice.weights == choice.weight]
    assert score == pytest.approx(np.mean(errors), rel=1e-6)


@pytest.mark.parametrize(
    "value",
    [*PENALTIES, Sure(2.0), Gcv(1.4), CrossValidation(folds=10)],
    ids=lambda value: value.kind,
)
def test_specs_give_the_value_back(value):
    base = Penalty if value in PENALTIES else Criterion
    assert base.from_spec(json.loads(json.dumps(value.spec()))) == value
    assert base.from_spec(value.kind) == type(value)()


def test_registries_are_read_only():
    for registry in (PENALTY_KINDS, CRITERIA):
        for kind, value in registry.items():
            assert value.kind == kind
        with pytest.raises(TypeError):
            registry["own"] = L1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: Penalty.from_spec("l3"),
            "There is no penalty 'l3', did you mean 'l",
        ),
        (lambda: Criterion.from_spec("sur"), "did you mean 'sure'"),
        (
            lambda: Criterion.from_spec({"factor": 2.0}),
            "no weight criterion None",
        ),
        (lambda: Criterion.from_spec({"kind": "cv", "fold": 5}), "mean 'folds'"),
        (
            lambda: Penalty.from_spec({"kind": "l1", "order": 1}),
            "no setting of l1",
        ),
        (lambda: CrossValidation(folds=1), "at least 2 folds, not 1"),
        (lambda: Sure(0.0), "`factor` must be positive"),
        (lambda: Gcv(math.inf), "`factor` must be positive"),
    ],
)
def test_bad_values_are_refused_in_a_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_criterion_without_a_name_leaves_the_others_theirs():
    class Bic(Criterion):
        pass

    assert Criterion.from_spec("sure") == Sure()
    assert Bic not in Criterion.kinds().values()
