import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from stencilnet import Grid
from stencilnet.boundaries import Wall


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


@pytest.mark.parametrize("points", [0, -3, 32.5, 32.0, "32", True, np.array([32])])
@pytest.mark.usefixtures("unchecked_types")
def test_a_number_of_points_that_is_none_is_refused(points):
    with pytest.raises(ValueError, match="give a whole number of at least 1"):
        Grid.line(points)


@pytest.mark.parametrize("length", ["1", None, True, 1j, np.array([1.0])])
@pytest.mark.usefixtures("unchecked_types")
def test_a_period_that_is_no_number_is_refused(length):
    with pytest.raises(ValueError, match="positive length"):
        Grid.line(8, length)


@pytest.mark.parametrize("factor", [1.5, 2.0, "2"])
@pytest.mark.usefixtures("unchecked_types")
def test_a_factor_that_is_no_whole_number_is_refused(factor):
    with pytest.raises(ValueError, match="Cannot coarsen 12 points"):
        Grid.line(12).coarsen(factor)


@pytest.mark.usefixtures("unchecked_types")
def test_grids_of_any_kind_of_number_are_equal():
    plain = Grid((8, 6), (2.0, 3.0))
    arrays = Grid(np.array([8, 6]), [np.float32(2.0), Fraction(3)])
    assert arrays == plain
    assert hash(arrays) == hash(plain)
    assert {type(value) for value in arrays.shape + arrays.extent} == {int, float}
    assert plain.coarsen(np.int8(2)) == plain.coarsen(2)


def test_only_grids_with_boundaries_show_them():
    assert repr(Grid.line(4, 2.0)) == "Grid(shape=(4,), extent=(2.0,))"
    walled = Grid.line(4, 2.0, boundaries=Wall())
    shown = "Grid(shape=(4,), extent=(2.0,), boundaries=(Wall(), Wall()))"
    assert repr(walled) == shown
    assert walled != Grid.line(4, 2.0)
    assert walled == Grid.line(4, 2.0, boundaries=(Wall(), Wall()))
    assert hash(walled) == hash(Grid.line(4, 2.0, boundaries=Wall()))
