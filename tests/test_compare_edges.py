"""Comparisons and certificates of trajectories at the edge of what they take."""

import numpy as np
import pytest
import torch
import xarray as xr

from stencilnet import (
    Burgers,
    FiniteDifference,
    Grid,
    LearnedStencil,
    RandomForcing,
    Weno,
    certify,
    compare,
    rollout,
)
from stencilnet.storage import equidistant_times, trajectories
from stencilnet.study.metrics import relative_l2

GRID = Grid.line(16)
EQUATION = Burgers(0.2)


def dataset(u, forcing, times=None):
    times = equidistant_times(u.shape[1] - 1, 0.1) if times is None else times
    return trajectories(u, times, GRID, forcing, averages=True)


def calm(samples=2):
    """A forcing without a force."""
    return RandomForcing.sample(samples, modes=1, amplitude=0.0, seed=0)


@pytest.fixture
def decaying():
    u0 = GRID.points().sin().expand(2, -1)
    u = rollout(Weno(EQUATION, GRID), u0, equidistant_times(3, 0.1), steps=4)
    return dataset(u, calm())


def test_a_trajectory_at_rest_has_no_error():
    rest = dataset(torch.zeros(2, 4, 16, dtype=torch.float64), calm())
    result = compare({"weno": Weno(EQUATION, GRID)}, rest)
    for name in ("relative_l2", "error", "mean_absolute_error", "mean_drift"):
        assert float(abs(result[name]).max()) == 0, name
    assert not result["blow_up"].any()
    assert result["valid_time"].values == pytest.approx(0.3)
    certificate = certify(LearnedStencil(EQUATION, GRID), rest)
    assert float(certificate["relative_l2"].max()) == 0
    assert np.isfinite(certificate["observed_order"].values).all()


def test_a_relative_error_is_zero_over_zero_only_where_nothing_is_wrong():
    rest = torch.zeros(3, 2, 4, dtype=torch.float64)
    u = rest.clone()
    u[1, 1, 2] = 1e-9
    u[2, 1, 2] = torch.nan
    assert relative_l2(u, rest).tolist() == [0.0, torch.inf, torch.inf]


def test_a_store_in_float32_is_compared_in_float64(decaying):
    single = decaying.map(lambda values: values.astype(np.float32), keep_attrs=True)
    single = single.assign_coords(time=single["time"].astype(np.float32))
    methods = {"weno": Weno(EQUATION, GRID)}
    result, expected = compare(methods, single), compare(methods, decaying)
    assert result["u"].dtype == np.float64
    np.testing.assert_allclose(result["u"], expected["u"], atol=1e-6)


def test_axes_may_have_any_order(decaying):
    methods = {"weno": Weno(EQUATION, GRID)}
    turned = decaying.transpose("x", "mode", "time", "sample")
    xr.testing.assert_identical(compare(methods, turned), compare(methods, decaying))


def test_a_part_of_the_period_is_refused(decaying):
    methods = {"weno": Weno(EQUATION, Grid.line(8))}
    with pytest.raises(ValueError, match="8 points over the period .* take all of x"):
        compare(methods, decaying.isel(x=slice(8)))
    with pytest.raises(ValueError, match="of x from -"):
        compare(methods, decaying.isel(x=slice(None, None, -1)))


def test_a_single_time_is_refused(decaying):
    one = decaying.isel(time=[0])
    with pytest.raises(ValueError, match="needs at least 2 times"):
        compare({"weno": Weno(EQUATION, GRID)}, one)
    with pytest.raises(ValueError, match="needs at least 2 times"):
        certify(LearnedStencil(EQUATION, GRID), one)


def test_reversed_times_take_as_many_steps(decaying):
    methods = {"central": FiniteDifference(Burgers(0.0), GRID, order=2)}
    forward = compare(methods, decaying, steps={"central": 0.01})
    backward = compare(methods, decaying.isel(time=slice(None, None, -1)))
    assert 0 < float(backward["step"][0]) <= 0.5 * float(backward["stable_step"][0])
    steps = {"central": 0.01}
    again = compare(methods, decaying.isel(time=slice(None, None, -1)), steps=steps)
    assert float(again["step"][0]) == pytest.approx(float(forward["step"][0]))
    assert (again["valid_time"] >= 0).all()


def test_inviscid_trajectories_are_retraced_backward():
    method = FiniteDifference(Burgers(0.0), GRID, order=2)
    u0 = 0.1 * GRID.points().sin().expand(2, -1)
    times = equidistant_times(3, 0.1)
    forcing = RandomForcing.sample(2, seed=1)
    force = forcing.on(GRID, averages=True)
    u = rollout(method, u0, times, force, steps=40)
    reverse = dataset(u, forcing, times).isel(time=slice(None, None, -1))
    result = compare({"central": method}, reverse, steps={"central": 0.0025})
    assert float(result["relative_l2"].max()) < 1e-6
