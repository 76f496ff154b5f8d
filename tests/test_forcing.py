import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stencilnet import Burgers, Grid, RandomForcing, Weno, rollout


def definition(forcing, x, t, length):
    """Eq. (13) of the paper, term by term."""
    total = torch.zeros(len(forcing), len(x), dtype=torch.float64)
    for row in range(len(forcing)):
        for i in range(forcing.amplitude.shape[1]):
            angle = (
                forcing.frequency[row, i] * t
                + 2 * math.pi * forcing.wavenumber[row, i] * x / length
                + forcing.phase[row, i]
            )
            total[row] += forcing.amplitude[row, i] * angle.sin()
    return total


@pytest.mark.parametrize("t", [0.0, 3.7, -1.2])
def test_forcing_is_the_papers_sum_of_waves(t):
    forcing = RandomForcing.sample(3, seed=1)
    grid = Grid.line(24, 5.0)
    torch.testing.assert_close(
        forcing.on(grid)(t), definition(forcing, grid.points(), t, 5.0)
    )


def test_averages_are_the_integrals_over_the_cells():
    forcing = RandomForcing.sample(2, seed=3)
    grid = Grid.line(11)
    nodes, weights = np.polynomial.legendre.leggauss(12)
    expected = torch.zeros(2, 11, dtype=torch.float64)
    for node, weight in zip(nodes, weights, strict=True):
        x = grid.points() + node * grid.spacing[-1] / 2
        expected += weight / 2 * definition(forcing, x, 1.3, grid.extent[-1])
    torch.testing.assert_close(forcing.on(grid, averages=True)(1.3), expected)


@pytest.mark.parametrize("wavenumbers", [(2, 3, 4, 5), (0, -1, 1, -3)])
def test_the_spectrum_is_the_transform_of_the_values(wavenumbers):
    forcing = RandomForcing.sample(4, wavenumbers=wavenumbers, seed=5)
    values = torch.fft.rfft(forcing.on(Grid.line(32))(2.5), norm="forward")
    spectrum = forcing.spectrum(32)(2.5)
    torch.testing.assert_close(spectrum, values[:, : spectrum.shape[-1]])
    assert values[:, spectrum.shape[-1] :].abs().max() < 1e-15


def test_a_forcing_that_the_grid_does_not_resolve_is_refused():
    with pytest.raises(ValueError, match="more than 10 points"):
        RandomForcing.sample(1, wavenumbers=(5,), seed=0).spectrum(10)


@settings(deadline=None)
@given(st.floats(-50, 50), st.floats(-5, 5))
def test_a_shifted_clock_reads_the_same_forcing(start, t):
    forcing = RandomForcing.sample(2, seed=9)
    grid = Grid.line(16)
    torch.testing.assert_close(
        forcing.starting_at(start).on(grid)(t), forcing.on(grid)(start + t)
    )


def test_each_row_may_start_at_its_own_time():
    forcing = RandomForcing.sample(2, seed=9)
    grid = Grid.line(16)
    shifted = forcing.starting_at(torch.tensor([1.0, 5.0]).double()).on(grid)(0.5)
    torch.testing.assert_close(shifted[0], forcing.on(grid)(1.5)[0])
    torch.testing.assert_close(shifted[1], forcing.on(grid)(5.5)[1])


@pytest.mark.parametrize("averages", [False, True])
def test_each_row_may_be_read_at_its_own_time(averages):
    forcing = RandomForcing.sample(3, seed=9)
    force = forcing.on(Grid.line(16), averages=averages)
    spectrum = forcing.spectrum(16)
    times = [0.5, -1.0, 7.0]
    for function in (force, spectrum):
        together = function(torch.tensor(times, dtype=torch.float64)[:, None])
        for row, t in enumerate(times):
            torch.testing.assert_close(together[row], function(t)[row])
            scalar = torch.tensor(t, dtype=torch.float64)
            torch.testing.assert_close(function(scalar), function(t))


def test_times_per_row_keep_the_precision_and_the_batch_of_the_forcing():
    forcing = RandomForcing.sample(3, seed=9)
    t = torch.tensor([[0.5], [1.0], [2.0]], dtype=torch.float64)
    grid = Grid.line(16)
    assert forcing.to(dtype=torch.float32).on(grid)(t).dtype == torch.float32
    one = forcing.select([1]).on(grid)
    torch.testing.assert_close(one(t)[2], one(2.0)[0])
    assert forcing.on(grid)(t.repeat(4, 1, 1)).shape == (4, 3, 16)
    for wrong in (t[:2], t[:, 0], t.mT):
        with pytest.raises(ValueError, match="takes one time or the shape"):
            forcing.on(grid)(wrong)


def test_a_sample_does_not_depend_on_how_many_are_drawn():
    few, many = RandomForcing.sample(2, seed=4), RandomForcing.sample(9, seed=4)
    assert torch.equal(few.phase, many.phase[:2])
    assert not torch.equal(few.phase[0], few.phase[1])


def test_draws_stay_within_their_bounds():
    forcing = RandomForcing.sample(
        200, amplitude=0.3, frequency=0.7, wavenumbers=(1, 4), seed=0
    )
    assert 0.29 < float(forcing.amplitude.abs().max()) <= 0.3
    assert 0.69 < float(forcing.frequency.abs().max()) <= 0.7
    assert set(forcing.wavenumber.flatten().tolist()) == {1.0, 4.0}
    assert 0 <= float(forcing.phase.min()) <= float(forcing.phase.max()) < 2 * math.pi


def test_selecting_and_joining_rows_are_inverse():
    forcing = RandomForcing.sample(5, seed=2)
    parts = [forcing.select(slice(0, 2)), forcing.select([2, 3, 4])]
    assert torch.equal(RandomForcing.join(parts).amplitude, forcing.amplitude)


def test_mean_impulse_is_the_integral_of_the_mean():
    forcing = RandomForcing.sample(3, wavenumbers=(0, 0, 1), seed=6)
    grid = Grid.line(8)
    force = forcing.on(grid)
    nodes, weights = np.polynomial.legendre.leggauss(20)
    expected = sum(
        weight * 3.5 * force(3.5 + 3.5 * node).mean(-1)
        for node, weight in zip(nodes, weights, strict=True)
    )
    found = forcing.mean_impulse(torch.tensor([0.0, 7.0]).double())
    assert found[:, 0].tolist() == [0.0] * 3
    torch.testing.assert_close(found[:, 1], expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"samples": 0}, "at least 1 sample"),
        ({"samples": 1, "modes": 0}, "1 mode"),
        ({"samples": 1, "amplitude": -1.0}, "negative"),
        ({"samples": 1, "frequency": float("nan")}, "negative"),
        ({"samples": 1, "amplitude": math.inf}, "finite"),
        ({"samples": 1, "amplitude": "0.1"}, "finite"),
        ({"samples": 1.5}, "whole numbers, not 1.5"),
        ({"samples": True}, "whole numbers, not True"),
        ({"samples": 1, "modes": 2.0}, "whole numbers"),
        ({"samples": 1, "seed": -1}, "seed must be a whole number of at least 0"),
        ({"samples": 1, "seed": 0.5}, "seed must be a whole number"),
        ({"samples": 1, "wavenumbers": ()}, "wavenumber to draw"),
    ],
)
@pytest.mark.usefixtures("unchecked_types")
def test_draws_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        RandomForcing.sample(**{"seed": 0, **arguments})


def test_waves_that_are_not_periodic_are_refused():
    one = torch.ones(1, 1)
    with pytest.raises(ValueError, match="whole numbers"):
        RandomForcing(one, one, 1.5 * one, one)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 2), r"one shape \(sample, mode\), not \(1, 2\), \(2, 2\)"),
        ((1, 3), r"not \(1, 2\), \(1, 3\)"),
        ((2,), r"not \(1, 2\), \(2,\)"),
    ],
)
@pytest.mark.usefixtures("unchecked_types")
def test_parameters_of_different_shapes_are_refused(shape, message):
    one = torch.ones(1, 2)
    with pytest.raises(ValueError, match=message):
        RandomForcing(one, one, one, torch.ones(shape))


@pytest.mark.usefixtures("unchecked_types")
def test_parameters_without_rows_are_refused():
    one = torch.ones(2)
    with pytest.raises(ValueError, match=r"not \(2,\): give a row per sample"):
        RandomForcing(one, one, one, one)


@pytest.mark.usefixtures("unchecked_types")
def test_parameters_may_be_arrays():
    drawn = RandomForcing.sample(2, modes=3, seed=0)
    arrays = RandomForcing(
        *(getattr(drawn, field.name).numpy() for field in dataclasses.fields(drawn))
    )
    grid = Grid.line(16)
    assert torch.equal(arrays.on(grid)(0.4), drawn.on(grid)(0.4))
    whole = RandomForcing([[1]], [[0]], [[2]], [[0]])
    torch.testing.assert_close(whole.on(grid)(0.0)[0], (2 * grid.points()).sin())


@pytest.mark.parametrize("averages", [False, True])
def test_a_wave_beyond_the_grid_is_told(averages):
    forcing = RandomForcing.sample(2, wavenumbers=(-5,), seed=3)
    with pytest.warns(UserWarning, match="wavenumber 5 aliases .* use more than 10"):
        forcing.on(Grid.line(10), averages=averages)
    # No warning on a grid that resolves it, nor of a wave without amplitude.
    forcing.on(Grid.line(11), averages=averages)
    still = dataclasses.replace(forcing, amplitude=torch.zeros_like(forcing.amplitude))
    still.on(Grid.line(10), averages=averages)


def test_a_forcing_without_waves_is_none():
    nothing = torch.zeros(3, 0, dtype=torch.float64)
    forcing = RandomForcing(nothing, nothing, nothing, nothing)
    assert forcing.on(Grid.line(8))(0.5).tolist() == [[0.0] * 8] * 3
    assert forcing.spectrum(8)(0.5).tolist() == [[0.0]] * 3
    assert forcing.mean_impulse(torch.ones(2).double()).tolist() == [[0.0] * 2] * 3


@pytest.mark.parametrize("shape", [(2, 8), (3, 16), (3, 2, 16)])
def test_another_shape_at_a_later_time_is_named_with_the_time(shape):
    def forcing(t):
        return torch.zeros(shape if t > 0.15 else (2, 16), dtype=torch.float64)

    method = Weno(Burgers(0.1), Grid.line(16))
    u0 = torch.zeros(2, 16, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"At t = 0\.2 the forcing has shape"):
        rollout(method, u0, [0.0, 0.1, 0.2, 0.3], forcing, steps=1)
