"""The clock of a stored forcing is the coordinate `time`, wherever a store starts."""

import numpy as np
import pytest
import torch
from studies import generated

from stencilnet import (
    Burgers,
    CentralFlux,
    FiniteDifference,
    Grid,
    RandomForcing,
    compare,
    read_trajectories,
    rollout,
    train,
    write_trajectories,
)
from stencilnet.storage import equidistant_times, read_operator, trajectories
from stencilnet.study.generation import store_path
from stencilnet.study.metrics import mean_drift
from stencilnet.study.windows import Trajectories

GRID = Grid.line(16)
METHOD = FiniteDifference(Burgers(0.2), GRID, order=2, form=CentralFlux)


@pytest.fixture
def dataset():
    """Trajectories that `METHOD` itself makes, with waves that move the mean."""
    forcing = RandomForcing.sample(
        2, modes=4, wavenumbers=(0, 1), seed=1, frequency=2.0
    )
    times = equidistant_times(10, 0.1)
    u0 = torch.zeros(2, 16, dtype=torch.float64)
    u = rollout(METHOD, u0, times, forcing.on(GRID, averages=True), steps=2)
    return trajectories(u, times, GRID, forcing, averages=True)


@pytest.mark.parametrize("start", [0, 4])
def test_a_method_follows_its_own_trajectories_from_any_time(dataset, start):
    part = dataset.isel(time=slice(start, None))
    result = compare({"own": METHOD}, part, steps={"own": 0.05})
    assert float(result["relative_l2"].max()) < 1e-13
    # That of the steps in time.
    assert float(result["mean_drift"].max()) < 1e-8


@pytest.mark.parametrize("start", [0, 4])
def test_windows_are_under_the_forcing_of_their_times(dataset, start):
    part = dataset.isel(time=slice(start, None))
    whole = Trajectories.of(part, torch.float64)
    window = whole.windows(np.random.default_rng(0), 5, 3)
    u = rollout(METHOD, window.u[:, 0], window.times, window.force(), steps=2)
    torch.testing.assert_close(u, window.u, rtol=0, atol=1e-13)


def test_mean_drift_is_that_of_the_times_passed(dataset):
    forcing = RandomForcing.sample(1, modes=1, wavenumbers=(0,), seed=3)
    times = torch.tensor([3.0, 4.0, 5.5], dtype=torch.float64)
    mean = 0.7 + forcing.mean_impulse(times) - forcing.mean_impulse(times[:1])
    u = mean.unsqueeze(-1).expand(-1, -1, 8)
    assert mean_drift(u, times, forcing).max() < 1e-14
    late = forcing.starting_at(3.0)
    assert mean_drift(u, times - 3, late).max() < 1e-14
    assert mean_drift(u, times - 3, forcing).max() > 1e-3


def test_validation_and_certificate_agree_on_stores_that_start_late(tmp_path):
    config = generated(tmp_path)
    for split in ("training", "validation"):
        path = store_path(tmp_path, split, 16, averages=True)
        late = read_trajectories(path).sel(time=slice(0.4, None))
        write_trajectories(late, path, overwrite=True)
    stored = read_operator(train(config, tmp_path))
    certified = float(stored.certificate["relative_l2"].mean())
    assert stored.attributes["validation_relative_l2"] == pytest.approx(certified, 1e-3)


def test_unequal_intervals_are_refused_in_training(dataset):
    with pytest.raises(ValueError, match="equidistant times, .* from 0.1 to 0.3"):
        Trajectories.of(dataset.isel(time=[0, 1, 4]), torch.float64)


@pytest.mark.parametrize("interval", [0.1, 0.05, 0.3, 1e-9, 7.0])
def test_times_are_the_decimal_numbers(interval):
    times = equidistant_times(400, interval).tolist()
    assert times[0] == 0
    for index in (3, 7, 399):
        digits = f"{index * interval:.12g}"
        assert times[index] == float(digits)


def test_a_time_is_selected_by_its_decimal_number(tmp_path):
    generated(tmp_path)
    dataset = read_trajectories(store_path(tmp_path, "test", 16, averages=True))
    for time in (0.3, 0.6, 0.7):
        assert dataset.sel(time=time).sizes["x"] == 16
