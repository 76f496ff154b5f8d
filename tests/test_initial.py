"""Initial states: periodic, reproducible, independent of grid and number."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from stencilnet import Grid
from stencilnet.equations import Solitons
from stencilnet.storage import trajectories, write_trajectories
from stencilnet.study.initial import (
    Bump,
    InitialState,
    RandomBump,
    RandomShocks,
    RandomSolitons,
    RandomWaves,
)
from stencilnet.study.initial_kinds import INITIAL_STATES, initial_state_from_spec

DRAWN = [RandomBump(), RandomWaves(), RandomSolitons(), RandomShocks(width=0.5)]


@pytest.mark.parametrize("name", sorted(set(INITIAL_STATES) - {"StoredStates"}))
def test_states_by_name_are_fields_of_every_sample(name):
    state = initial_state_from_spec({"name": name})
    u = state.sample(3, seed=1)(Grid.line(16))
    assert u.shape == (3, 16)
    assert u.dtype == torch.float64
    assert u.isfinite().all()


@pytest.mark.parametrize("state", DRAWN, ids=lambda state: type(state).__name__)
def test_draws_depend_on_seed_and_row_alone(state):
    grid = Grid.line(32, 24.0)
    many, few = state.sample(4, seed=5)(grid), state.sample(2, seed=5)(grid)
    assert torch.equal(many[:2], few)
    assert not torch.equal(many[0], many[1])
    assert not torch.equal(few, state.sample(2, seed=6)(grid))
    # The same profile on a finer grid, point by point.
    finer = state.sample(2, seed=5)(Grid.line(64, 24.0))
    torch.testing.assert_close(finer[:, ::2], few)


@pytest.mark.parametrize("state", DRAWN, ids=lambda state: type(state).__name__)
def test_drawn_states_are_smooth_across_the_period(state):
    u = state.sample(8, seed=0)(Grid.line(512, 24.0))
    modes = torch.fft.rfft(u, norm="forward").abs()
    # A jump or a kink would leave 1e-3 or 1e-5 there.
    assert float(modes[:, 200:].max()) < 1e-9


def test_the_papers_bump_is_the_default():
    grid = Grid.line(64)
    u = Bump().sample(1)(grid)[0]
    torch.testing.assert_close(u, torch.exp(-((grid.points() - 3) ** 2)))


def test_random_bumps_vary_position_sign_and_mean():
    u = RandomBump(mean=(-0.5, 0.5)).sample(64, seed=2)(Grid.line(256))
    middle = u.median(-1).values
    above = (u.max(-1).values - middle) > (middle - u.min(-1).values)
    assert 10 < int(above.sum()) < 54
    places = torch.where(above, u.argmax(-1), u.argmin(-1)).double() * 2 * math.pi / 256
    assert float(places.std()) > 1.0
    assert float(u.mean(-1).min()) < -0.2 < 0.2 < float(u.mean(-1).max())


def test_a_single_soliton_is_the_exact_one():
    grid = Grid.line(256, 40.0)
    u = RandomSolitons(count=1, rates=(1.0, 1.0)).sample(1, seed=3)(grid)[0]
    centre = float(grid.points()[u.argmax()])
    exact = Solitons((1.0,), (20.0,)).values(grid, 0.0)
    shift = round((centre - 20.0) / grid.spacing[-1])
    assert float(u.max()) == pytest.approx(0.5, abs=2e-3)
    assert float((u - exact.roll(shift)).abs().max()) < 0.5 * grid.spacing[-1]


def test_forcing_and_state_of_a_seed_are_independent():
    streams = np.random.SeedSequence(0)
    rows = [np.random.SeedSequence(0, spawn_key=(row,)) for row in range(3)]
    forcing = [np.random.default_rng(row).uniform() for row in rows]
    seen = []

    @dataclass(frozen=True)
    class Spy(InitialState):
        def draw(self, stream):
            seen.append(stream.uniform())
            return lambda x, _period: torch.zeros_like(x)

    Spy().sample(3, streams)
    assert not set(seen) & set(forcing)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({}, "written with its name"),
        (
            {"name": "Bum"},
            "no initial state 'Bum', did you mean 'Bump'; list .* extension",
        ),
        ({"name": "Bump", "widht": 1.0}, "no parameter 'widht', did you mean 'width'"),
        ({"name": "Bump", "width": 0.0}, "must be positive"),
        ({"name": "Bump", "height": math.nan}, "must be finite"),
        ({"name": "Bump", "height": "tall"}, "height of Bump does not fit, 'tall'"),
        ({"name": "RandomBump", "mean": [1.0, 0.0]}, "range from low to high"),
        ({"name": "RandomSolitons", "count": 0}, "must be positive"),
    ],
)
def test_states_that_make_no_sense_are_refused(spec, message):
    with pytest.raises(ValueError, match=message):
        initial_state_from_spec(spec)


def test_shocks_fall_and_ramps_rise():
    u = RandomShocks(count=1, height=(0.5, 0.5), width=0.01, mean=(0, 0)).sample(1)
    grid = Grid.line(1000, 10.0)
    slope = u(grid)[0].diff() / grid.spacing[0]
    assert float(slope.max()) == pytest.approx(0.1, rel=1e-6)
    assert float(u(grid).max() - u(grid).min()) == pytest.approx(1, rel=0.02)


@pytest.mark.parametrize(
    ("suffix", "averages"), [("zarr", False), ("zarr", True), ("npz", False)]
)
def test_states_from_a_file_are_the_same_on_any_grid(suffix, averages, tmp_path):
    grid, times = Grid.line(16, 3.0), torch.arange(4.0).double()
    phase = torch.arange(2.0).reshape(2, 1, 1) + times.unsqueeze(-1)
    k = 2 * math.pi / 3

    def wave(x):
        return torch.sin(2 * k * x + phase)

    path = tmp_path / f"states.{suffix}"
    if suffix == "zarr":
        u = grid.averages(wave) if averages else wave(grid.points())
        data = trajectories(u, times, period=3.0, averages=averages)
        write_trajectories(data, path)
    else:
        np.savez(path, u=wave(grid.points()), t=times, x=grid.points())
    spec = {"name": "StoredStates", "path": str(path), "time": 2.2}
    drawn = initial_state_from_spec(spec).sample(6, seed=0)
    fine = Grid.line(50, 3.0)
    known = wave(fine.points())[:, 2]
    for state in drawn(fine):
        assert float((state - known).abs().amax(-1).min()) < 1e-9
    shifted = initial_state_from_spec({**spec, "shifted": True}).sample(6, seed=0)
    assert len({round(float(u), 6) for u in shifted(fine)[:, 0]}) == 6
    with pytest.raises(ValueError, match="period 3, the problem 4"):
        drawn(Grid.line(16, 4.0))
