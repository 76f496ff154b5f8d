"""Any array becomes a dataset of trajectories, and what cannot be is refused."""

import math

import numpy as np
import pytest
import torch
from helpers import observed_order

from stencilnet import (
    RK4,
    Burgers,
    Grid,
    RandomForcing,
    Weno,
    compare,
    rollout,
)
from stencilnet.boundaries import Wall
from stencilnet.forcing import SampledForcing
from stencilnet.storage import (
    forcing_of,
    grid_of,
    read_trajectories,
    trajectories,
    write_trajectories,
)
from stencilnet.study.transformations import mirrored_forcing

GRID = Grid.line(16)
TIMES = np.arange(6) * 0.1
X = np.arange(16) / 4 - 2.0
U = np.sin(np.pi * X / 2 - TIMES[:, None])[None] * np.ones((3, 1, 1))


def refused(words, *arguments, error=ValueError, **settings):
    with pytest.raises(error, match=words):
        trajectories(*arguments, **settings)


def test_positions_and_period_make_one_grid():
    by_x = trajectories(U, TIMES, x=X)
    by_period = trajectories(torch.from_numpy(U), TIMES, period=4.0)
    assert grid_of(by_x) == grid_of(by_period) == Grid.line(16, 4.0)
    assert by_x["x"].attrs["origin"] == -2.0
    np.testing.assert_array_equal(by_x["u"], by_period["u"])
    assert dict(trajectories(U[0], TIMES, period=4.0).sizes) == {
        "sample": 1,
        "time": 6,
        "x": 16,
    }


def test_both_ends_of_the_period_are_named_and_dropped_on_request():
    both = np.concatenate([U, U[..., :1]], axis=-1)
    x = np.append(X, 2.0)
    refused("both ends.*drop_end=True", both, TIMES, x=x)
    refused("both ends.*drop_end=True", both, TIMES, period=4.0)
    refused("both ends.*the period", both + X[0] * np.eye(17)[0], TIMES, x=x, period=4)
    dropped = trajectories(both, TIMES, x=x, drop_end=True)
    assert grid_of(dropped) == Grid.line(16, 4.0)
    np.testing.assert_array_equal(dropped["u"], U)


def test_what_arrays_cannot_be_is_refused_in_a_sentence():
    refused("how long their domain is", U, TIMES)
    refused("a sample and two points", U[..., :1], TIMES, period=4.0)
    refused("a sample and two points", U[..., :2], TIMES, period=4.0, drop_end=True)
    refused("a sample and two points", U[:0], TIMES, period=4.0)
    uneven = X + 0.1 * np.eye(16)[3]
    refused(r"equal steps, but x\[3\]", U, TIMES, x=uneven)
    refused("make the period 4, not 5", U, TIMES, x=X, period=5.0)
    refused("period must be positive", U, TIMES, period=-1.0)
    refused("axes of u are swapped", U.swapaxes(1, 2), TIMES, x=X)
    refused("there are 5 times and 16 points", U, TIMES[:5], x=X)
    refused("every second one", U, np.arange(11.0), x=X)
    refused("increase or decrease", U, TIMES * 0, x=X)
    refused("add or remove an axis", U[0, 0], TIMES, x=X)
    refused("imaginary parts up to 0.0e", U + 0j, TIMES, x=X, error=TypeError)
    refused("must hold numbers", U.astype(str), TIMES, x=X, error=TypeError)
    refused("leave out x and period", U, TIMES, Grid.line(16), x=X)
    refused("keeps a forcing as values", U, TIMES, x=X, forcing=abs, error=TypeError)
    broken = U.copy()
    broken[1, 2, 3] = np.nan
    refused("sample 1 at time 0.2, point 3.*denoise", broken, TIMES, x=X)
    kept = trajectories(broken, TIMES, x=X, finite=False)
    assert int(kept["u"].isnull().sum()) == 1


def test_data_without_forcing_and_equation_are_stored_and_compared(tmp_path):
    data = trajectories(U, TIMES, period=4.0, averages=True)
    assert "equation" not in data.attrs
    path = write_trajectories(data, tmp_path / "u.zarr")
    stored = read_trajectories(path)
    compared = compare({"weno": Weno(Burgers(0.1), grid_of(stored))}, stored)
    assert bool(np.isfinite(compared["relative_l2"]).all())
    with pytest.raises(ValueError, match="coordinate x with the attribute period"):
        compare({"weno": Weno(Burgers(0.1), Grid.line(16))}, data.drop_attrs())


def test_a_sampled_forcing_survives_its_store(tmp_path):
    values = np.random.default_rng(0).normal(size=(3, 6, 16))
    data = trajectories(U, TIMES, period=4.0, forcing=values, equation=Burgers(0.1))
    path = write_trajectories(data, tmp_path / "u.zarr")
    stored = read_trajectories(path).isel(sample=[2, 0])
    forcing = forcing_of(stored)
    for row, time in enumerate(TIMES):
        np.testing.assert_allclose(forcing(float(time)), values[[2, 0], row])
    finer = SampledForcing(np.linspace(0, 1, 30), np.ones((3, 30, 16)), order=4)
    again = forcing_of(trajectories(U, TIMES, period=4.0, forcing=finer))
    assert (len(again.times), again.order, again.averages) == (30, 4, False)


def test_a_rollout_takes_arrays_and_any_callable():
    grid = Grid.line(16)
    force = grid.averages(lambda t, x: np.sin(np.asarray(x)) * float(t))
    method = Weno(Burgers(0.1), grid)
    u = rollout(method, np.sin(grid.points().numpy()), TIMES, force)
    exact = grid.averages(torch.sin)
    other = rollout(method, grid.points().sin(), TIMES, lambda t: exact * t)
    torch.testing.assert_close(u, other)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda d: d["forcing"].attrs.update(order=0), "'order' of forcing"),
        (lambda d: d["forcing"].attrs.update(averages=2), "'averages' of forcing"),
        (lambda d: d.update({"forcing": d["forcing"] > 0}), "floats over"),
        (lambda d: d.update({"forcing_time": d["forcing_time"] * 0}), "increase"),
    ],
)
def test_a_store_keeps_no_sampled_forcing_that_cannot_be_one(spoil, words, tmp_path):
    dataset = trajectories(U, TIMES, GRID, np.ones((3, 6, 16)))
    write_trajectories(dataset, tmp_path / "good.zarr")
    spoil(dataset)
    with pytest.raises(ValueError, match=words):
        write_trajectories(dataset, tmp_path / "bad.zarr")


def test_a_forcing_is_read_whatever_the_order_of_its_axes():
    dataset = trajectories(U, TIMES, GRID, np.random.default_rng(0).random((3, 6, 16)))
    turned = dataset.transpose("x", "forcing_time", "time", "sample")
    torch.testing.assert_close(forcing_of(turned)(0.25), forcing_of(dataset)(0.25))


@pytest.mark.parametrize("order", [2, 4, 6])
def test_sampled_forcing_reaches_its_order(order):
    def error(count):
        times = torch.linspace(0, 1, count + 1).double()
        forcing = SampledForcing(times, (3 * times).sin()[:, None], order=order)
        t = torch.linspace(0, 1, 101).double()
        return float(max((forcing(s)[0, 0] - (3 * s).sin()).abs() for s in t))

    assert observed_order(error, (20, 40)) > order - 0.3


def test_integrators_keep_their_order_under_a_sampled_forcing():
    def error(count):
        times = torch.linspace(0, 2, count + 1).double()
        forcing = SampledForcing(times, (times.cos() * 1.0)[:, None])
        u = rollout(
            lambda u: -u, torch.ones(1, 1).double(), times, forcing, integrator=RK4
        )
        exact = (times.cos() + times.sin()) / 2 + (-times).exp() / 2
        return float((u[0, :, 0] - exact).abs().max())

    assert observed_order(error, (16, 32)) > 3.7


def test_sampled_forcing_acts_as_the_waves_that_it_samples():
    grid, waves = Grid.line(32), RandomForcing.sample(3, modes=4, seed=1)
    times = torch.linspace(0, 2, 81).double()
    for averages in (False, True):
        values = torch.stack([waves.on(grid)(t) for t in times], dim=-2)
        sampled = SampledForcing(times, values).on(grid, averages=averages)
        exact = waves.on(grid, averages=averages)
        torch.testing.assert_close(sampled(0.513), exact(0.513), atol=1e-9, rtol=0)
        clocks = torch.tensor([[0.3], [0.9], [1.7]]).double()
        torch.testing.assert_close(sampled(clocks), exact(clocks), atol=1e-9, rtol=0)
        later, rows = torch.tensor([0.2, 0.5]).double(), [2, 0]
        moved = sampled.select(rows).starting_at(later).starting_at(0.1)
        truth = waves.select(rows).starting_at(later + 0.1).on(grid, averages=averages)
        torch.testing.assert_close(moved(0.7), truth(0.7), atol=1e-9, rtol=0)
    mean = SampledForcing(times, (times**2)[:, None] + torch.zeros(3, 81, 4))
    impulse = mean.mean_impulse(torch.tensor([0.0, 0.5, 2.0]))
    expected = torch.tensor([0.0, 0.125 / 3, 8 / 3]).double().expand(3, -1)
    torch.testing.assert_close(impulse, expected)


def test_sampled_forcing_refuses_what_it_does_not_know():
    forcing = SampledForcing(TIMES, np.ones((1, 6, 4)))
    with pytest.raises(ValueError, match="from t = 0 to 0.5, but is needed at 0.7"):
        forcing(0.7)
    with pytest.raises(ValueError, match="sampled on 4 points, not on 8"):
        forcing.on(Grid.line(8))
    with pytest.raises(ValueError, match="must increase"):
        SampledForcing(TIMES[::-1].copy(), np.ones((1, 6, 4)))
    with pytest.raises(ValueError, match="must be finite"):
        SampledForcing(TIMES, np.full((1, 6, 4), np.nan))
    with pytest.raises(ValueError, match="a state of the forcing per time"):
        SampledForcing(TIMES, np.ones((1, 5, 4)))


def test_gradients_reach_sampled_values():
    values = torch.zeros(1, 6, 4, dtype=torch.float64, requires_grad=True)
    forcing = SampledForcing(TIMES, values)
    u = rollout(lambda u: -u, torch.ones(1, 4).double(), TIMES, forcing)
    u[:, -1].sum().backward()
    assert bool((values.grad.abs().sum((0, 2)) > 0).all())


def test_averages_of_a_function_are_exact_to_quadrature(unchecked_types):
    grid = Grid.line(8, 4.0)
    k, dx = 2 * math.pi / 4, 0.5
    exact = (k * grid.points()).sin() * math.sin(k * dx / 2) / (k * dx / 2)
    torch.testing.assert_close(grid.averages(lambda x: torch.sin(k * x)), exact)
    force = grid.averages(lambda t, x: t * torch.sin(k * x))
    clocks = torch.tensor([[2.0], [3.0]]).double()
    torch.testing.assert_close(force(clocks)[1], 3 * exact)
    assert (grid.averages(lambda x: 3.0) == 3).all()
    with pytest.raises(ValueError, match="return one per position"):
        grid.averages(lambda x: x[:-1])
    with pytest.raises(TypeError, match="has 3 arguments"):
        grid.averages(lambda a, b, c: a)
    with pytest.raises(TypeError, match="not of float"):
        grid.averages(1.0)


def test_a_forcing_that_changes_its_shape_is_named_with_its_time():
    def force(t):
        return torch.zeros(4 if t < 0.25 else 5).double()

    with pytest.raises(ValueError, match="At t = 0.3 the forcing has shape"):
        rollout(lambda u: -u, torch.ones(2, 4).double(), TIMES, force)


def test_a_forcing_on_another_device_is_named_as_that():
    u = torch.ones(2, 4, dtype=torch.float64, device="meta")
    with pytest.raises(ValueError, match="forcing is on cpu and the state on meta"):
        rollout(lambda u: -u, u, TIMES, lambda t: torch.zeros(5).double())


def test_the_mirror_image_of_a_sampled_forcing_is_that_of_its_waves():
    waves = RandomForcing.sample(2, modes=3, wavenumbers=(1, 2), seed=2)
    other = mirrored_forcing(waves).on(GRID, averages=True)
    times = torch.linspace(0, 1, 9).double()
    force = waves.on(GRID, averages=True)
    values = torch.stack([force(t) for t in times], dim=-2)
    mirrored = SampledForcing(times, values, averages=True).mirrored()
    torch.testing.assert_close(mirrored(times[3]), other(times[3]))


@pytest.mark.parametrize("place", [0, 2, 3])
def test_a_position_that_is_no_number_is_named(place):
    x = np.arange(4.0)
    x[place] = np.nan
    with pytest.raises(ValueError, match="`x` must increase in equal steps"):
        trajectories(np.eye(4), np.arange(4.0), x=x)


def test_an_origin_belongs_to_a_grid():
    u, times = np.eye(4), np.arange(4.0)
    data = trajectories(u, times, Grid.line(4, boundaries=Wall()), origin=-1.0)
    assert data["x"].attrs["origin"] == -1.0
    for settings in (
        {"period": 1.0, "origin": 7.0},
        {"grid": Grid.line(4), "origin": np.nan},
    ):
        with pytest.raises(ValueError, match="An origin is finite and belongs to"):
            trajectories(u, times, **settings)
