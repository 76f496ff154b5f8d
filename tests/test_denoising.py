"""Exact denoising against a general solver, its certificate, gradients and choices."""

import math
import warnings

import cvxpy
import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from stencilnet.denoising import (
    TotalVariation,
    choose_weight,
    denoise,
    denoise_by,
    noise_level,
    search_weight,
    weight_max,
)
from stencilnet.denoising.cvxpy_layer import difference_matrix
from stencilnet.denoising.kernels.interior_point import trend_filter
from stencilnet.denoising.kernels.piecewise_constant import fit_levels

ORDERS = (1, 2, 3)
PENALTIES = ("l1", "l2", "l2_squared")
each_order = pytest.mark.parametrize("order", ORDERS)
each_penalty = pytest.mark.parametrize("penalty", PENALTIES)
each_end = pytest.mark.parametrize("periodic", [False, True])


def walk(*shape, seed=0):
    generator = np.random.default_rng(seed)
    steps = generator.standard_normal(shape)
    return steps.cumsum(-1) / 2 + generator.standard_normal(shape)


SIGNALS = {
    "random": walk(60),
    "ramp": np.linspace(-3, 5, 60),
    "noisy ramp": np.linspace(-3, 5, 60) + 0.1 * walk(60, seed=1),
    "spikes": np.where(np.arange(60) % 13 == 5, 40.0, 0.0),
    "constant": np.full(60, 2.5),
    "steps": np.repeat([1.0, -2.0, 7.0], 20),
    "ties": np.round(walk(60, seed=2)),
    "tiny": 1e-9 * walk(60),
    "huge": 1e9 * walk(60),
}


# Multipliers and differences vanish together: cone solvers stay 1e-6 away.
DEGENERATE = ("ramp", "spikes", "constant", "steps", "ties")


def independently(x, weight, order, penalty, *, periodic=False, precision=None):
    """The solution by dense matrices: Clarabel on the dual, or a root of one equation.

    The dual of `l1` is `min_u |W**-1/2 (D.T u - W x)|**2`, `|u| <= weight`, and its
    solution `x - W**-1 D.T u`. Cone solvers know that of `l2` to 1e-5 only; it is the
    smoother whose `stiffness |D y|` is the weight.
    """
    precision = np.ones(len(x)) if precision is None else precision
    matrix = difference_matrix(len(x), order, periodic=periodic)
    if penalty == "l1":
        scale = np.abs(x).max() or 1.0
        u = cvxpy.Variable(len(matrix))
        scaled = matrix / np.sqrt(precision)
        distance = cvxpy.sum_squares(scaled.T @ u - np.sqrt(precision) * x / scale)
        inside = [u <= weight / scale, u >= -weight / scale]
        problem = cvxpy.Problem(cvxpy.Minimize(distance), inside)
        tight = {"tol_gap_abs": 1e-12, "tol_gap_rel": 1e-12, "tol_feas": 1e-12}
        with warnings.catch_warnings():
            # It is the best that the solver can do; the comparison judges it.
            warnings.simplefilter("ignore")
            problem.solve(solver=cvxpy.CLARABEL, **tight)
        return x - scale * (scaled.T @ u.value) / np.sqrt(precision)

    def smoothed(stiffness):
        # Stacked rows instead of normal equations.
        rows = np.vstack([np.diag(np.sqrt(precision)), np.sqrt(stiffness) * matrix])
        right = np.concatenate([np.sqrt(precision) * x, np.zeros(len(matrix))])
        return np.linalg.lstsq(rows, right, rcond=None)[0]

    def excess(logarithm):
        stiffness = math.exp(logarithm)
        return stiffness * np.linalg.norm(matrix @ smoothed(stiffness)) - weight

    if penalty == "l2_squared" or weight == 0:
        return smoothed(2 * weight)
    if excess(30.0) <= 0:
        degree = 0 if periodic else order - 1
        place = np.linspace(-1, 1, len(x))
        return np.polynomial.Polynomial.fit(place, x, degree)(place)
    return smoothed(math.exp(brentq(excess, -40.0, 30.0, xtol=1e-14, rtol=1e-14)))


@each_end
@each_penalty
@each_order
@pytest.mark.parametrize("signal", SIGNALS)
def test_solutions_are_those_of_a_general_solver(signal, order, penalty, periodic):
    x = SIGNALS[signal]
    largest = float(weight_max(x, order=order, penalty="l1", periodic=periodic))
    for share in (0.0, 1e-3, 0.1, 0.7, 3.0):
        weight = share * largest if largest > 1e-10 * np.abs(x).max() else share
        found = denoise(x, weight, order=order, penalty=penalty, periodic=periodic)
        expected = independently(x, weight, order, penalty, periodic=periodic)
        assert found.gap <= 1e-8
        allowed = 1e-7 * np.abs(x).max()
        if penalty == "l1":
            matrix = difference_matrix(len(x), order, periodic=periodic)
            ours, theirs = (
                ((y - x) ** 2).sum() / 2 + weight * np.abs(matrix @ y).sum()
                for y in (found.signal, expected)
            )
            assert ours <= theirs + 1e-12 * (theirs + np.abs(x).max() ** 2)
            if signal in DEGENERATE:
                # How far from the solution a strongly convex objective lets it be.
                allowed += math.sqrt(2 * max(theirs - ours, 0.0))
        assert np.abs(found.signal - expected).max() <= allowed


@each_end
@each_order
def test_precisions_weigh_samples(order, periodic):
    x = walk(50)
    precision = np.random.default_rng(3).uniform(0.1, 4, 50)
    found = denoise(x, 2.0, order=order, precision=precision, periodic=periodic)
    expected = independently(
        x, 2.0, order, "l1", precision=precision, periodic=periodic
    )
    np.testing.assert_allclose(found.signal, expected, atol=1e-7)


@each_order
def test_missing_samples_have_no_say(order):
    x = walk(60)
    missing = np.zeros(60, bool)
    missing[[0, 7, 8, 9, 30, 59]] = True
    one = denoise(np.where(missing, np.nan, x), 1.0, order=order, missing=missing)
    other = denoise(np.where(missing, 1e3, x), 1.0, order=order, missing=missing)
    np.testing.assert_array_equal(one.signal, other.signal)
    y = cvxpy.Variable(60)
    apart = cvxpy.sum_squares((y - x)[~missing]) / 2
    matrix = difference_matrix(60, order, periodic=False)
    problem = cvxpy.Problem(cvxpy.Minimize(apart + cvxpy.norm1(matrix @ y)))
    problem.solve(solver=cvxpy.CLARABEL)
    np.testing.assert_allclose(
        one.signal[~missing], y.value[~missing], atol=1e-4 * np.abs(x).max()
    )
    assert np.abs(one.signal).max() < 2 * np.abs(x).max()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.floats(-4, 3), st.integers(2, 200))
def test_the_linear_time_method_is_the_interior_point_one(seed, exponent, n):
    generator = np.random.default_rng(seed)
    x = generator.standard_normal(n).cumsum()
    x = np.round(x) if seed % 3 == 0 else x
    w = generator.uniform(0.2, 5, n)
    y, u, knots, gap = fit_levels(x, w, 10.0**exponent)
    other, *_ = trend_filter(x, w, 10.0**exponent, np.array([-1.0, 1.0]), n - 1, 1e-14)
    size = np.abs(x).max() + 1
    np.testing.assert_allclose(y, other, atol=1e-9 * size)
    assert np.abs(u).max() <= 10.0**exponent
    assert gap <= 1e-12 * size**2
    # Two levels that tie are apart all the same.
    assert not (~knots & (y[1:] != y[:-1])).any()


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
    found = denoise(x, weight, order=order, periodic=periodic)
    assert found.gap <= 1e-8
    matrix = difference_matrix(n, order, periodic=periodic)
    d = matrix @ found.signal
    # y - x + D.T u = 0 with |u| <= weight, and u = weight sign(d) where d is not zero.
    u = np.linalg.lstsq(matrix.T, x - found.signal, rcond=None)[0]
    if periodic:
        # Constants are free, as they vanish under D.T.
        free = np.abs(d) > 1e-9 * np.abs(d).max()
        if free.any():
            u += weight * np.sign(d[free][0]) - u[free][0]
    size = np.abs(x).max()
    assert np.abs(matrix.T @ u - (x - found.signal)).max() <= 1e-8 * size
    penalty, rounding = weight * np.abs(d).sum(), 1e-14 * n * weight * size
    assert penalty - u @ d <= 1e-7 * (1 + penalty) + rounding
    if not periodic:
        assert np.abs(u).max() <= weight * (1 + 1e-6)
    if exponent < 0:
        # Wherever the multiplier is inside, pieces go on.
        assert (np.abs(d) > 1e-7 * size).sum() <= found.knots


@each_end
@each_penalty
@each_order
def test_beyond_the_largest_weight_nothing_changes(order, penalty, periodic):
    if penalty == "l2_squared":
        assert np.isinf(weight_max(walk(30), order=order, penalty=penalty))
        return
    x = walk(30)
    kind = {"order": order, "penalty": penalty, "periodic": periodic}
    largest = float(weight_max(x, **kind))
    at, beyond = (denoise(x, f * largest, **kind).signal for f in (1.0, 100.0))
    np.testing.assert_allclose(at, beyond, atol=1e-7)
    degree = 0 if periodic else order - 1
    polynomial = np.polynomial.Polynomial.fit(np.arange(30), x, degree)(np.arange(30))
    np.testing.assert_allclose(beyond, polynomial, atol=1e-9)
    before = denoise(x, 0.9 * largest, **kind).signal
    assert np.abs(before - beyond).max() > 1e-6


@each_penalty
@each_order
def test_solutions_move_with_the_signal(order, penalty):
    x, kind = walk(40), {"order": order, "penalty": penalty}
    power = {"l1": 1, "l2": 1, "l2_squared": 0}[penalty]
    one = denoise(x, 1.5, **kind).signal
    np.testing.assert_allclose(denoise(-x, 1.5, **kind).signal, -one, atol=1e-10)
    np.testing.assert_allclose(
        denoise(x[::-1], 1.5, **kind).signal[::-1], one, atol=1e-9
    )
    np.testing.assert_allclose(denoise(x + 5, 1.5, **kind).signal, one + 5, atol=1e-9)
    scaled = denoise(7 * x, 1.5 * 7**power, **kind).signal
    np.testing.assert_allclose(scaled, 7 * one, atol=1e-9)
    turned = denoise(np.roll(x, 11), 1.5, **kind, periodic=True).signal
    straight = denoise(x, 1.5, **kind, periodic=True).signal
    np.testing.assert_allclose(turned, np.roll(straight, 11), atol=1e-9)


@each_penalty
def test_batches_are_their_signals_one_by_one(penalty):
    x = walk(3, 2, 25)
    weights = np.linspace(0.0, 2.0, 6).reshape(3, 2)
    together = denoise(x, weights, order=2, penalty=penalty)
    assert together.gap.shape == together.knots.shape == (3, 2)
    for index in np.ndindex(3, 2):
        alone = denoise(x[index], weights[index], order=2, penalty=penalty)
        np.testing.assert_array_equal(together.signal[index], alone.signal)
    across = denoise(np.moveaxis(x, -1, 0), weights, order=2, penalty=penalty, axis=0)
    np.testing.assert_array_equal(np.moveaxis(across.signal, 0, -1), together.signal)
    assert denoise(x[:0], weights[:0], penalty=penalty).signal.shape == (0, 2, 25)


def test_weight_zero_and_dtype_and_layout_are_kept():
    x = walk(4, 30).astype(np.float32)
    np.testing.assert_array_equal(denoise(x, 0.0).signal, x)
    assert denoise(x, 1.0).signal.dtype == np.float32
    view = np.broadcast_to(x[0], (3, 30))[:, ::-1]
    np.testing.assert_allclose(
        denoise(view, 1.0).signal[2], denoise(x[0, ::-1].copy(), 1.0).signal
    )


def test_a_missed_gap_is_a_warning_with_the_number():
    # The dual variables of a long parabola have lost the digits for a tighter gap.
    x = np.random.default_rng(0).standard_normal(20_000)
    with pytest.warns(UserWarning, match=r"duality gap above 1\.0e-20, up to \d"):
        denoise(x, 1e14, order=3, tolerance=1e-20)


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
            found = denoise(x, weight, **kind)
            tight = denoise(x, weight, **kind, tolerance=1e-20)
            np.testing.assert_allclose(found.signal, tight.signal, atol=1e-10)
            assert found.knots == tight.knots > 0
    layer = TotalVariation(**kind)
    given = torch.from_numpy(x).requires_grad_(), torch.tensor(weight).double()
    assert torch.autograd.gradcheck(
        layer, (given[0], given[1].requires_grad_()), eps=1e-7 * largest, atol=1e-5
    )


@each_order
def test_constants_survive_any_weight_on_a_circle(order):
    x = np.full(20, 3.7)
    for weight in (1e-300, 1e-16, 1.0, 1e12):
        for penalty in PENALTIES:
            kind = {"order": order, "penalty": penalty, "periodic": True}
            np.testing.assert_allclose(denoise(x, weight, **kind).signal, x)
    noisy = walk(40, seed=8)
    stiff = denoise(noisy, 1e25, order=order, penalty="l2_squared", periodic=True)
    np.testing.assert_allclose(stiff.signal, noisy.mean(), atol=1e-9)


@each_end
@each_penalty
@each_order
@pytest.mark.parametrize("weight", [0.0, 0.3, 4.0, 1e6])
def test_gradients_are_exact(order, penalty, periodic, weight):
    x = torch.from_numpy(walk(2, 25, seed=5)).requires_grad_()
    weights = torch.tensor([weight, weight * 1.3]).double().requires_grad_(weight > 0)
    layer = TotalVariation(order=order, penalty=penalty, periodic=periodic)
    assert torch.autograd.gradcheck(layer, (x, weights), eps=1e-6, atol=2e-6, rtol=1e-6)


def test_gradients_of_total_variation_are_means_over_levels():
    x = torch.tensor([0.0, 0.2, 5.0, 5.2, 5.1]).double().requires_grad_()
    y = TotalVariation(0.5)(x)
    (gradient,) = torch.autograd.grad(y[0], x)
    assert gradient.tolist() == pytest.approx([0.5, 0.5, 0, 0, 0])
    (gradient,) = torch.autograd.grad(TotalVariation(0.5)(x)[3], x)
    assert gradient.tolist() == pytest.approx([0, 0, 1 / 3, 1 / 3, 1 / 3])


@each_penalty
@each_order
def test_the_layer_agrees_with_cvxpylayers(order, penalty):
    x = torch.from_numpy(walk(3, 20, seed=6)).requires_grad_()
    kind = {"order": order, "penalty": penalty}
    ours = TotalVariation(0.7, **kind)(x)
    theirs = TotalVariation(0.7, **kind, backend="cvxpylayers")(x)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-5)
    ours, theirs = (
        torch.autograd.grad((y * torch.linspace(0, 1, 20).double()).sum(), x)[0]
        for y in (ours, theirs)
    )
    torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-2)


def test_cvxpylayers_works_without_gradients_too():
    x = torch.from_numpy(walk(2, 20))
    layer = TotalVariation(0.3, backend="cvxpylayers")
    torch.testing.assert_close(layer(x), TotalVariation(0.3)(x), rtol=0, atol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(layer(x.requires_grad_()), layer(x).detach())


@each_penalty
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_follows_may_work_in_place(dtype, penalty):
    x = torch.from_numpy(walk(2, 20)).to(dtype).requires_grad_()
    layer = TotalVariation(0.3, penalty=penalty)
    (plain,) = torch.autograd.grad(torch.relu(layer(x)).sum(), x)
    (in_place,) = torch.autograd.grad(torch.relu_(layer(x)).sum(), x)
    assert torch.equal(plain, in_place)


def test_second_derivatives_are_refused():
    x = torch.from_numpy(walk(20)).requires_grad_()
    y = TotalVariation(0.3)(x)
    (gradient,) = torch.autograd.grad((y**3).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.square().sum().backward()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_layer_keeps_dtype_and_learns_its_weight(dtype):
    clean = torch.from_numpy(np.repeat(walk(8, 5, seed=7), 20, axis=1)).to(dtype)
    generator = torch.Generator().manual_seed(0)
    noisy = clean + 0.5 * torch.randn(clean.shape, generator=generator, dtype=dtype)
    layer = TotalVariation(1e-2, learn=True)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.1)
    for _ in range(120):
        optimizer.zero_grad()
        loss = (layer(noisy) - clean).square().mean()
        loss.backward()
        optimizer.step()
    assert layer(noisy).dtype == dtype
    best = search_weight(
        noisy.double().numpy(), clean.double().numpy(), np.geomspace(0.1, 10, 60)
    )
    assert float(loss.detach()) <= 1.01 * best.curve.min()


def test_the_layer_takes_any_batch_and_chooses_weights():
    x = torch.from_numpy(walk(2, 3, 40))
    assert TotalVariation(1.0)(x).shape == x.shape
    assert TotalVariation(1.0)(x[:0]).shape == (0, 3, 40)
    assert TotalVariation(1.0)(x[0, 0]).shape == (40,)
    chosen = TotalVariation("sure", order=2)(x)
    expected, _ = denoise_by(x.numpy(), "sure", order=2)
    np.testing.assert_array_equal(chosen.numpy(), expected.signal)


def test_the_noise_level_is_seen_through_signals():
    t = np.linspace(0, 1, 4000)
    noise = 0.3 * np.random.default_rng(0).standard_normal(4000)
    for clean in (np.sin(20 * t), np.repeat(walk(8), 500), 100 * t):
        assert float(noise_level(clean + noise)) == pytest.approx(0.3, rel=0.06)


@pytest.mark.parametrize("method", ["sure", "gcv", "cv"])
@pytest.mark.parametrize("penalty", PENALTIES)
def test_chosen_weights_are_nearly_the_best(method, penalty):
    t = np.linspace(0, 1, 600)
    clean = np.sin(9 * t) + np.where(t > 0.5, 0.0, t)
    noisy = clean + 0.2 * np.random.default_rng(1).standard_normal(600)
    found, choice = denoise_by(noisy, method, order=2, penalty=penalty)
    tried = denoise(
        np.tile(noisy, (80, 1)),
        np.geomspace(choice.weights[0], choice.weights[-1], 80),
        order=2,
        penalty=penalty,
    )
    best = ((tried.signal - clean) ** 2).mean(-1).min()
    assert ((found.signal - clean) ** 2).mean() <= 1.5 * best
    assert float(choice.sigma) == pytest.approx(0.2, rel=0.1)
    assert choice.weights.shape == choice.curve.shape
    assert (np.diff(choice.weights) >= 0).all()
    assert choice.curve.min() == choice.curve[choice.weights == choice.weight].min()


def test_sure_estimates_the_squared_error():
    """Over many draws its curve is on average that of the error and what it adds."""
    clean = np.repeat([0.0, 3.0, 1.0], 40)
    noise = np.random.default_rng(2).standard_normal((200, 120))
    choice = choose_weight(clean + noise, sigma=1.0)
    estimates = [
        np.interp(4.0, weights, curve)
        for weights, curve in zip(choice.weights, choice.curve, strict=True)
    ]
    found = denoise(clean + noise, 4.0)
    errors = ((found.signal - clean) ** 2).mean(-1)
    added = 0.2 * (found.knots + 1) / 120
    assert (estimates - added - errors).mean() == pytest.approx(0.0, abs=0.015)
    found = denoise(clean + noise, choice.weight)
    np.testing.assert_array_equal(choice.degrees_of_freedom, found.knots + 1)


@each_penalty
@pytest.mark.parametrize("method", ["sure", "gcv", "cv"])
def test_choices_do_not_depend_on_units(method, penalty):
    x = np.repeat(walk(8), 25) + 0.3 * walk(200, seed=1)
    base = choose_weight(x, method, penalty=penalty)
    for of_x, of_precision in ((1.0, 3e-14), (1.0, 7e3), (1e-200, 1.0), (3e140, 5.0)):
        precision = np.full(200, of_precision)
        other = choose_weight(of_x * x, method, penalty=penalty, precision=precision)
        unit = of_precision * (1.0 if penalty == "l2_squared" else of_x)
        assert float(other.weight) == pytest.approx(float(base.weight) * unit, rel=1e-6)
        sigma = float(base.sigma) * of_x * math.sqrt(of_precision)
        assert float(other.sigma) == pytest.approx(sigma, rel=1e-6)


@each_penalty
@each_order
@pytest.mark.parametrize("unit", [1e-300, 1e-170, 1e155, 1e300])
def test_solutions_scale_with_signals_of_any_size(unit, order, penalty):
    x = walk(80)
    of_weight = 1.0 if penalty == "l2_squared" else unit
    base = denoise(x, 2.0, order=order, penalty=penalty)
    other = denoise(unit * x, 2.0 * of_weight, order=order, penalty=penalty)
    np.testing.assert_allclose(other.signal / unit, base.signal, atol=1e-12)


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
            denoise(x + sign * step, choice.weight, order=order, missing=missing).signal
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
        found = denoise(noisy, weight, missing=missing).signal
        return ((found - clean)[~missing] ** 2).mean()

    choice = choose_weight(np.where(missing, np.nan, noisy), missing=missing)
    best = min(error(weight) for weight in choice.weights)
    assert error(choice.weight) <= 1.3 * best
    assert float(choice.sigma) == pytest.approx(0.1, rel=0.15)


def test_degrees_of_freedom_of_a_smoother_are_its_trace():
    x = walk(40)
    matrix = difference_matrix(40, 2, periodic=False)
    choice = choose_weight(x, "gcv", order=2, penalty="l2_squared")
    smoother = np.linalg.inv(np.eye(40) + 2 * float(choice.weight) * matrix.T @ matrix)
    assert float(choice.degrees_of_freedom) == pytest.approx(
        np.trace(smoother), rel=0.15
    )


BAD = {
    "empty": (lambda: denoise(np.zeros((2, 0)), 1.0), "signals have 0"),
    "too short": (lambda: denoise(np.zeros(3), 1.0, order=3), "more than 3 samples"),
    "single": (lambda: denoise(np.zeros(1), 1.0), "more than 1 samples"),
    "not finite": (
        lambda: denoise(np.array([[0.0, 1.0], [np.nan, 1.0]]), 1.0),
        r"the first at \(1, 0\)",
    ),
    "negative": (lambda: denoise(np.zeros(5), -1.0), "not -1"),
    "nan weight": (lambda: denoise(np.zeros(5), math.nan), "not nan"),
    "order": (lambda: denoise(np.zeros(9), 1.0, order=4), "order 1, 2 or 3, not 4"),
    "axis": (lambda: denoise(np.zeros(9), 1.0, axis=1), "no axis 1"),
    "weights": (
        lambda: denoise(np.zeros((2, 9)), np.ones(3)),
        "give one weight, or one per signal",
    ),
    "precision": (
        lambda: denoise(np.zeros(9), 1.0, precision=np.zeros(9)),
        "positive and finite",
    ),
    "mask": (
        lambda: denoise(np.zeros(9), 1.0, missing=np.ones(9, bool)),
        "only 0 samples that are not missing",
    ),
    "mask of another shape": (
        lambda: denoise(np.zeros(9), 1.0, missing=np.ones(4, bool)),
        "does not fit",
    ),
    "tolerance": (lambda: denoise(np.zeros(9), 1.0, tolerance=0.0), "positive"),
    "choice of few": (lambda: choose_weight(np.zeros(3)), "at least 4 samples"),
    "negative sigma": (
        lambda: choose_weight(np.zeros(9), sigma=-1.0),
        "A sigma is finite and zero or more, not -1",
    ),
    "nothing to try": (
        lambda: search_weight(np.zeros(9), np.zeros(9), np.zeros(0)),
        "at least one",
    ),
    "learned zero": (lambda: TotalVariation(0.0, learn=True), "starts positive"),
    "layer weights": (
        lambda: TotalVariation(1.0)(torch.zeros(2, 9).double(), torch.ones(3).double()),
        "give one weight, or one per signal",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_in_a_sentence(case):
    call, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        call()


def test_integers_are_refused():
    with pytest.raises(TypeError, match="floating-point"):
        denoise(np.zeros(9, dtype=int), 1.0)
    # The checks of types in this process come first.
    with pytest.raises(TypeError, match="floating-point|Float"):
        TotalVariation(1.0)(torch.zeros(9, dtype=torch.int64))


def test_a_constant_stays_what_it_is():
    for penalty in PENALTIES:
        for order in ORDERS:
            x = np.full(20, 3.0)
            found = denoise(x, 5.0, order=order, penalty=penalty)
            np.testing.assert_allclose(found.signal, x, rtol=1e-12)
    assert float(choose_weight(np.full(20, 3.0)).weight) == 0.0
