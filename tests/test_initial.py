"""Initial states: periodic, reproducible, independent of grid and number."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from stencilnet import Grid
from stencilnet.equations import Solitons
from stencilnet.study.initial import (
    INITIAL_STATES,
    Bump,
    InitialState,
    RandomBump,
    RandomSolitons,
    RandomWaves,
    initial_state_from_spec,
)

DRAWN = [RandomBump(), RandomWaves(), RandomSolitons()]


@pytest.mark.parametrize("name", list(INITIAL_STATES))
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
