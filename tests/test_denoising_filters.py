"""Filters that total variation is compared with."""

import numpy as np
import pytest
import pywt
from signals import kernels, walk

from stencilnet.denoising import FILTERS, available_filters, filter_at_best
from stencilnet.denoising.wavelets import threshold_wavelets

pytestmark = kernels


def thresholded(x, axis=-1, *, periodic=True, **kind):
    kind = {"wavelet": "db2", "kind": "soft", "threshold": 2.0} | kind
    return threshold_wavelets(x, axis, periodic=periodic, **kind)


@pytest.mark.parametrize("wavelet", ["haar", "db2", "db4"])
@pytest.mark.parametrize("kind", ["soft", "hard"])
def test_wavelets_commute_with_translation(wavelet, kind):
    x = walk(3, 64)
    moved = thresholded(np.roll(x, 5, -1), wavelet=wavelet, kind=kind)
    plain = thresholded(x, wavelet=wavelet, kind=kind)
    np.testing.assert_allclose(moved, np.roll(plain, 5, -1), atol=1e-12)


def test_wavelets_are_the_mean_of_all_translations_of_the_discrete_transform():
    x = walk(32)
    noise = np.median(np.abs(pywt.swt(x, "haar", 4)[-1][1])) / 0.6744897501960817
    total = np.zeros(32)
    for shift in range(32):
        rough, *details = pywt.wavedec(np.roll(x, shift), "haar", "periodization", 4)
        kept = [pywt.threshold(detail, 2 * noise, "hard") for detail in details]
        total += np.roll(pywt.waverec([rough, *kept], "haar", "periodization"), -shift)
    ours = thresholded(x, wavelet="haar", kind="hard")
    np.testing.assert_allclose(ours, total / 32, atol=1e-12)


@pytest.mark.parametrize("points", [2, 5, 31, 64, 100])
@pytest.mark.parametrize("periodic", [True, False])
def test_a_tiny_threshold_changes_nothing(points, periodic):
    x = walk(2, points)
    for axis in (0, 1):
        field = x.T if axis == 0 else x
        result = thresholded(field, axis, periodic=periodic, threshold=1e-300)
        np.testing.assert_allclose(result, field, atol=1e-12)


def test_open_ends_do_not_see_each_other():
    x = np.linspace(0, 10, 64) + 0.1 * walk(64, seed=3)
    other = np.concatenate([x[:56], x[56:] + 5.0])
    one, two = (thresholded(y, periodic=False, wavelet="haar") for y in (x, other))
    np.testing.assert_allclose(one[:8], two[:8], atol=0.2)
    assert np.abs(one - x).max() < 1


def test_constants_stay():
    np.testing.assert_allclose(thresholded(np.full((2, 32), 3.0)), 3.0, rtol=1e-14)


def test_every_filter_is_available_here_and_refuses_gaps():
    assert available_filters() == list(FILTERS)
    noisy = walk(2, 4, 16)
    for name in FILTERS:
        assert np.isfinite(filter_at_best(name, noisy, noisy, (1,))[0]).all()
        with pytest.raises(ValueError, match="by fill_gaps"):
            filter_at_best(name, np.where(noisy > 1, np.nan, noisy), noisy, (1,))
