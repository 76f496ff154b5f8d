"""Weights chosen for signals whose samples tie: rounded, counted, clipped."""

import numpy as np
import pytest
from signals import kernels

from stencilnet.denoising import (
    CrossValidation,
    Gcv,
    Sure,
    choose_weight,
    denoise_signals,
)

pytestmark = kernels
each_criterion = pytest.mark.parametrize(
    "criterion", [Sure(), Gcv(), CrossValidation()], ids=lambda c: c.kind
)
POINTS = 800


def steps(generator):
    return np.repeat(generator.uniform(-1, 1, 8), POINTS // 8)


def noise(generator):
    return 0.1 * generator.standard_normal(POINTS)


def excess(x, clean, criterion, order=1):
    """The error with the chosen weight over the least of any, and the choice."""
    result = denoise_signals(x, criterion, order=order)
    weights = np.geomspace(1e-3, 1e2 * 10**order, 40)
    tried = denoise_signals(np.tile(x, (40, 1)), weights, order=order).signal
    least = ((tried - clean) ** 2).mean(-1).min()
    return ((result.signal - clean) ** 2).mean() / least, result.choice


@each_criterion
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("step", [0.05, 0.1, 0.2, 0.4])
def test_rounded_signals_are_denoised_as_if_they_were_not(step, order, criterion):
    generator = np.random.default_rng(1)
    clean = steps(generator)
    x = step * np.round((clean + noise(generator)) / step)
    ratio, choice = excess(x, clean, criterion, order)
    assert ratio <= 1.6
    # Of the noise and of rounding.
    expected = np.hypot(0.1, step / np.sqrt(12))
    assert float(choice.sigma) == pytest.approx(expected, rel=0.2)
    assert choice.degrees_of_freedom < POINTS / 3


CASES = {
    "half precision": lambda c, g: (
        (10 + c / 10 + noise(g) / 20).astype(np.float16).astype(float)
    ),
    "clipped": lambda c, g: np.clip(c + noise(g), -0.6, 0.6),
    "zeros": lambda c, g: np.where(np.abs(c) < 0.5, 0.0, c + noise(g)),
    "counts": lambda c, g: g.poisson(20 + 15 * c).astype(float),
}


@each_criterion
@pytest.mark.parametrize("case", CASES)
def test_ties_of_any_kind_do_not_pass_for_a_fit(case, criterion):
    ratios = []
    for seed in range(3):
        generator = np.random.default_rng(seed)
        level = steps(generator)
        x = CASES[case](level, generator)
        clean = {
            "half precision": 10 + level / 10,
            "zeros": np.where(np.abs(level) < 0.5, 0.0, level),
            "counts": 20 + 15 * level,
        }.get(case, level)
        ratios.append(excess(x, clean, criterion)[0])
    assert np.median(ratios) <= 1.6


@pytest.mark.parametrize("criterion", [Sure(), Gcv()], ids=lambda c: c.kind)
def test_clean_levels_come_back(criterion):
    """They tie as well, and hold no noise."""
    clean = steps(np.random.default_rng(0))
    result = denoise_signals(np.stack([clean, np.round(clean, 1)]), criterion)
    np.testing.assert_allclose(result.signal[0], clean, atol=1e-6)
    np.testing.assert_allclose(result.signal[1], np.round(clean, 1), atol=1e-6)


def test_a_known_noise_level_is_returned_as_it_is():
    generator = np.random.default_rng(2)
    x = np.round(steps(generator) + noise(generator), 1)
    assert float(choose_weight(x, sigma=0.1).sigma) == pytest.approx(0.1)


def test_choices_among_ties_do_not_depend_on_units():
    generator = np.random.default_rng(3)
    x = np.round(steps(generator) + noise(generator), 1)
    base = choose_weight(x)
    for unit in (-1e-30, 2.5, 7e20):
        other = choose_weight(unit * x)
        if unit > 0:
            assert float(other.weight / unit) == pytest.approx(float(base.weight), 1e-6)
        assert float(other.sigma / abs(unit)) == pytest.approx(
            float(base.sigma), rel=0.05
        )


def test_only_ties_are_dithered():
    generator = np.random.default_rng(4)
    x = steps(generator) + noise(generator)
    choice = choose_weight(x)
    assert choice.degrees_of_freedom == denoise_signals(x, choice.weight).knots + 1


@pytest.mark.parametrize("run", [2, 4])
def test_samples_that_repeat_are_told(run):
    generator = np.random.default_rng(20)
    clean = steps(generator)
    held = np.repeat((clean + noise(generator))[::run], run)
    signals = np.stack([clean + noise(generator), held])
    with pytest.warns(UserWarning, match=f"signal 1 repeat in runs of {run}, so"):
        choose_weight(signals, Gcv())
    # As advised, the choice is good again.
    ratio, _ = excess(held[::run], clean[::run], Gcv())
    assert ratio < 1.5


def test_steps_and_rounded_samples_do_not_repeat():
    generator = np.random.default_rng(20)
    clean = np.repeat(generator.uniform(-1, 1, 40), POINTS // 40)
    for x in (clean, np.round(clean + noise(generator), 1), np.round(clean, 1)):
        choose_weight(x, Gcv())
