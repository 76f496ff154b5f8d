"""The paper's signals, as far as it describes them."""

import numpy as np
import pytest

from stencilnet.denoising.examples import noisy_cosines, noisy_levels


def test_cosines_have_one_to_two_periods():
    clean, _ = noisy_cosines(np.random.default_rng(0), 500, 100, level=0.1)
    assert np.abs(clean).max() <= 1
    # A signal crosses zero twice a period.
    crossings = (np.diff(np.sign(clean)) != 0).sum(-1)
    assert set(crossings) == {2, 3, 4}


def test_the_covariance_of_the_noise_is_that_of_a_normal_matrix():
    """Its eigenvalues over the mean are Marchenko and Pastur's, from 0 to 4."""
    generator = np.random.default_rng(1)
    clean, noisy = noisy_cosines(generator, 20_000, 100, level=0.1, factor=1.5)
    covariance = np.cov(noisy - clean, rowvar=False)
    assert np.trace(covariance) / 100 == pytest.approx(1.5 * 100 * 0.1**2, rel=0.05)
    values = np.linalg.eigvalsh(covariance) / (np.trace(covariance) / 100)
    assert values[-1] == pytest.approx(4, rel=0.15)
    assert (values**2).mean() == pytest.approx(2, rel=0.15)


def test_noise_grows_with_its_level_and_is_the_same_otherwise():
    for draw in (noisy_cosines, noisy_levels):
        (clean, one), (other, ten) = (
            draw(np.random.default_rng(2), 5, 40, level=level) for level in (1.0, 10.0)
        )
        np.testing.assert_array_equal(clean, other)
        np.testing.assert_allclose(ten - clean, 10 * (one - clean), atol=1e-12)


def test_levels_are_4_to_8_pieces_between_10_and_100():
    clean, noisy = noisy_levels(np.random.default_rng(3), 400, 100, level=5.0)
    pieces = (np.diff(clean) != 0).sum(-1) + 1
    assert set(pieces) == {4, 5, 6, 7, 8}
    assert clean.min() >= 10
    assert clean.max() <= 100
    assert (noisy - clean).std() == pytest.approx(5.0, rel=0.02)
