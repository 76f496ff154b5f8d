import math

import numpy as np
import pytest
import torch
from studies import generated, small

from stencilnet import Grid, RandomForcing, read_trajectories, simulate, train
from stencilnet.storage import forcing_of, grid_of


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulate")
    train(generated(folder, data={"averages": [16], "values": []}), folder)
    return folder


def test_an_operator_brings_its_own_problem(run, tmp_path):
    path = simulate(str(run / "operator.zarr"), tmp_path / "a.zarr", samples=3, seed=8)
    dataset = read_trajectories(path)
    assert dict(dataset.sizes) == {"sample": 3, "time": 11, "x": 16, "mode": 4}
    assert grid_of(dataset) == Grid.line(16)
    assert dataset.attrs["blow_ups"] == 0
    drawn = RandomForcing.sample(3, modes=4, wavenumbers=(1, 2), seed=8)
    assert torch.equal(forcing_of(dataset).phase, drawn.phase)


def test_methods_agree_where_the_problem_is_resolved(tmp_path):
    config = small()
    ends = {}
    for method in ("central_6", "weno_z", "spectral"):
        path = simulate(method, tmp_path / method, config=config, points=64)
        ends[method] = read_trajectories(path)["u"].values[0, -1]
    assert np.abs(ends["central_6"] - ends["weno_z"]).max() < 1e-4
    # Point values differ from averages by dx**2 u_xx / 24.
    assert np.abs(ends["spectral"] - ends["weno_z"]).max() < 1e-3


def test_horizon_and_seed_are_free(run, tmp_path):
    operator = str(run / "operator.zarr")
    one = simulate(operator, tmp_path / "1", duration=2.0, seed=1)
    two = simulate(operator, tmp_path / "2", duration=2.0, seed=2)
    u1, u2 = (read_trajectories(path)["u"].values for path in (one, two))
    assert u1.shape == u2.shape == (1, 21, 16)
    assert np.array_equal(u1[:, 0], u2[:, 0])
    assert not np.array_equal(u1[:, -1], u2[:, -1])


def test_a_step_past_the_limit_is_warned_about(tmp_path):
    config = small(problem={"interval": 0.5, "warm_up": 0.0})
    with pytest.warns(UserWarning, match="exceeds the stability limit"):
        simulate("central_2", tmp_path / "a", config=config, points=64, substeps=1)


def test_a_blow_up_is_kept_and_counted(tmp_path):
    config = small(problem={"equation": {"name": "Burgers", "viscosity": 50.0}})
    with (
        pytest.warns(UserWarning, match="exceeds the stability limit"),
        pytest.warns(UserWarning, match="1 of 1 trajectories blew up, the first at t"),
    ):
        path = simulate(
            "central_2",
            tmp_path / "a",
            config=config,
            points=64,
            substeps=1,
            duration=20,
        )
    with pytest.raises(ValueError, match="NaN or infinite"):
        read_trajectories(path)
    assert read_trajectories(path, finite=False).attrs["blow_ups"] == 1


@pytest.mark.parametrize(
    ("method", "settings", "error", "message"),
    [
        ("weno_z", {}, ValueError, "name a config"),
        ("wenoz", {}, FileNotFoundError, "neither an operator store nor"),
        ("OPERATOR", {"points": 32}, ValueError, "no other number of points"),
        ("OPERATOR", {"samples": 0}, ValueError, "at least 1 sample"),
        ("OPERATOR", {"duration": 0.0}, ValueError, "positive and finite, not 0"),
        ("OPERATOR", {"duration": -1.0}, ValueError, "positive and finite, not -1"),
        ("OPERATOR", {"duration": math.nan}, ValueError, "finite, not nan"),
        ("OPERATOR", {"duration": 0.25}, ValueError, "no whole number of intervals"),
        ("OPERATOR", {"substeps": 0}, ValueError, "positive integer, not 0"),
        ("DATA", {}, ValueError, "has the schema"),
    ],
)
def test_requests_that_make_no_sense_write_nothing(
    run, tmp_path, method, settings, error, message
):
    places = {
        "OPERATOR": run / "operator.zarr",
        "DATA": run / "data" / "test" / "averages-16.zarr",
    }
    with pytest.raises(error, match=message):
        simulate(str(places.get(method, method)), tmp_path / "a", **settings)
    assert not list(tmp_path.iterdir())
