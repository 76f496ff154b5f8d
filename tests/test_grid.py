import math

import pytest
import torch

from stencilnet import Grid


def test_the_periodic_image_of_the_left_end_is_no_point():
    x = Grid.line(4, 2.0).points()
    assert x.tolist() == [0.0, 0.5, 1.0, 1.5]


def test_wavenumbers_differentiate_a_wave():
    grid = Grid.line(16, 3.0)
    k = 2 * math.pi * 2 / 3.0
    x = grid.points()
    u_hat = torch.fft.rfft((k * x).sin())
    u_x = torch.fft.irfft(1j * grid.wavenumbers() * u_hat, n=16)
    torch.testing.assert_close(u_x, k * (k * x).cos())


def test_a_coarse_grid_holds_points_of_the_fine_one():
    fine = Grid.line(12)
    torch.testing.assert_close(fine.coarsen(3).points(), fine.points()[::3])


@pytest.mark.parametrize("factor", [0, -1, 5, 24])
def test_a_factor_that_does_not_divide_is_named(factor):
    with pytest.raises(ValueError, match=f"Cannot coarsen 12 points by {factor}"):
        Grid.line(12).coarsen(factor)


@pytest.mark.parametrize("length", [0.0, -1.0, math.nan, math.inf])
def test_a_period_that_is_not_positive_is_refused(length):
    with pytest.raises(ValueError, match="positive length"):
        Grid.line(8, length)


def test_a_grid_without_points_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        Grid.line(0)
