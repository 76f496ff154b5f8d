"""Duality gaps of signals whose differences are small beside them."""

import numpy as np
import pytest
from signals import ORDERS, PENALTIES, each_end, each_order, each_penalty, kernels, walk

from stencilnet.denoising import (
    L1,
    L2Squared,
    Sure,
    denoise_signals,
    weight_max,
)

pytestmark = kernels


def precisions(count, points):
    """Over eight decades."""
    return 10 ** np.random.default_rng(7).uniform(-4, 4, (count, points))


@each_end
@each_penalty
@each_order
def test_constants_are_certified_with_any_precisions(order, penalty, periodic):
    x = np.tile(np.array([[3.7], [-1e8 / 3], [1e-200], [0.1]]), (10, 100))
    weights = np.geomspace(1e-3, 1e3, 40)
    kind = {"order": order, "penalty": penalty, "periodic": periodic}
    result = denoise_signals(x, weights, **kind, precision=precisions(40, 100))
    np.testing.assert_array_equal(result.signal, x)
    assert (result.gap == 0).all()


@each_end
@each_penalty
@each_order
@pytest.mark.parametrize("offset", [1e8, -1e8, 1e12])
def test_an_offset_changes_nothing_else(order, penalty, periodic, offset):
    x = offset + walk(40, 80, seed=5)
    kind = {"order": order, "penalty": penalty, "periodic": periodic}
    weights = np.geomspace(1e-3, 1e6, 40)
    moved = denoise_signals(x, weights, **kind)
    # The subtraction is exact.
    plain = denoise_signals(x - offset, weights, **kind)
    rounding = 2 * np.spacing(abs(offset))
    np.testing.assert_allclose(moved.signal - offset, plain.signal, atol=rounding)
    assert (moved.gap <= 1e-8).all()
    np.testing.assert_array_equal(moved.knots, plain.knots)


@pytest.mark.parametrize("order", ORDERS)
def test_steep_polynomials_are_certified(order):
    """Their higher differences cancel as constants do."""
    t = np.linspace(0, 1, 100)
    for trend in (1e8 * t, 1e8 * t**2 - 3e8 * t, np.linspace(0, 7.3, 100)):
        x = trend + walk(20, 100, seed=6)
        for penalty in PENALTIES:
            largest = weight_max(x, order=order)
            weights = largest * np.geomspace(1e-6, 1.2, 20)
            kind = {"order": order, "penalty": penalty}
            assert (denoise_signals(x, weights, **kind).gap <= 1e-8).all()


def test_levels_of_an_offset_are_told_apart():
    """Rounding of 1e12 is 1e-4: far less than the noise, and no reason to keep it."""
    clean = np.repeat([1.0, -2.0, 3.0, 0.0], 100)
    noisy = clean + 0.5 * np.random.default_rng(0).standard_normal(400)
    moved, plain = (denoise_signals(c + noisy, Sure()) for c in (1e12, 0.0))
    np.testing.assert_allclose(moved.signal - 1e12, plain.signal, atol=1e-2)
    assert float(moved.choice.sigma) == pytest.approx(float(plain.choice.sigma), 1e-3)


@pytest.mark.parametrize("wrong", [1e-2, 1e-3])
def test_a_solver_that_is_wrong_is_told(monkeypatch, wrong):
    """No allowance for rounding hides an error of the solution."""
    from stencilnet.denoising import solution

    exact = solution.solve_rows

    def careless(x, w, observed, weights, *rest):
        # The solution for another weight, certified for the right one.
        y, u, knots, gap, value, *more = exact(x, w, observed, weights, *rest)
        moved = y + wrong * np.sin(np.arange(x.shape[-1]))
        return moved, u, knots, gap + (w * (moved - y) ** 2).sum(-1) / 2, value, *more

    monkeypatch.setattr(solution, "solve_rows", careless)
    for offset in (0.0, 1e8):
        with pytest.warns(UserWarning, match="duality gap above"):
            denoise_signals(offset + walk(60), 2.0, order=2)


def test_gaps_of_weight_zero_are_zero():
    for penalty in (L1(), L2Squared()):
        x = 1e8 + walk(30)
        result = denoise_signals(x, 0.0, penalty=penalty)
        np.testing.assert_array_equal(result.signal, x)
        assert result.gap == 0
