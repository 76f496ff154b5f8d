"""Schemes with free numbers, and the search for these."""

from functools import partial

import pytest
import torch
from helpers import smooth_field

from stencilnet import Burgers, Grid, Muscl, RandomForcing, Weno, rollout
from stencilnet.discretizations import MONOTONIZED_CENTRAL, BlendedWeno, Kappa
from stencilnet.study.tuning import tune
from stencilnet.study.windows import Trajectories

GRID = Grid.line(24)


@pytest.mark.parametrize(
    ("special", "known"),
    [
        (
            partial(Kappa, kappa=0.0),
            partial(Muscl, limiter=MONOTONIZED_CENTRAL),
        ),
        (BlendedWeno, Weno),
        (partial(BlendedWeno, exponent=1.0), partial(Weno, exponent=1.0)),
    ],
    ids=["MC", "WENO-Z", "exponent 1"],
)
def test_known_schemes_are_special_cases(special, known, generator):
    u = torch.randn(3, 24, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(
        special(Burgers(0.1), GRID)(u), known(Burgers(0.1), GRID)(u)
    )


def test_face_values_of_the_kappa_scheme_stay_between_neighbours(generator):
    u = torch.randn(3, 24, generator=generator, dtype=torch.float64)
    left, right = Kappa(Burgers(0.1), GRID, behind=4.0).face_values(u)
    after = u.roll(-1, -1)
    low, high = torch.minimum(u, after) - 1e-12, torch.maximum(u, after) + 1e-12
    for value in (left, right):
        assert bool(((low <= value) & (value <= high)).all())
    beyond, _ = Kappa(Burgers(0.1), GRID, kappa=1.0, behind=4.0).face_values(u)
    assert float((beyond - left).abs().max()) > 0.01


def problem(method):
    """What a method makes of a steepening wave."""
    forcing = RandomForcing.none(2)
    times = torch.arange(6, dtype=torch.float64) * 0.3
    with torch.no_grad():
        u = rollout(method, smooth_field(GRID, samples=2), times, steps=3)
    return Trajectories(u, times, GRID, forcing, averages=True)


def test_the_search_finds_the_numbers_that_made_the_data():
    build = partial(BlendedWeno, Burgers(0.05), GRID)
    target = {"exponent": 1.4, "sensitivity": 0.6, "upwind": 0.17}
    bounds = {"exponent": (1.0, 3.0), "sensitivity": (0.0, 2.0), "upwind": (0.0, 0.25)}
    start = {"exponent": 1.8, "sensitivity": 1.0, "upwind": 0.1}
    found = tune(
        build, start, bounds, problem(build(**target)), step=0.1, evaluations=70
    )
    assert found.evaluations <= 71
    assert found.error < 0.3 * found.before
    assert found.numbers["upwind"] == pytest.approx(0.17, abs=0.03)


class TestRefusals:
    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (partial(Kappa, kappa=1.1), "kappa lies between -1, upwind, and 1"),
            (partial(Kappa, behind=0.4), "limit 'behind' must be at least 1/2"),
            (partial(Kappa, ahead=float("nan")), "limit 'ahead' must be at least 1/2"),
            (partial(BlendedWeno, sensitivity=-1.0), "at least 0, not -1"),
            (partial(BlendedWeno, upwind=0.3), "lies between 0 and 1/4"),
            (partial(BlendedWeno, exponent=0.5), "at least 1, not 0.5"),
        ],
    )
    def test_numbers_out_of_range(self, make, message):
        with pytest.raises(ValueError, match=message):
            make(Burgers(0.1), GRID)

    def test_searches_without_bounds(self):
        build = partial(Kappa, Burgers(0.1), GRID)
        data = problem(build())
        with pytest.raises(ValueError, match="kappa needs bounds, but"):
            tune(build, {"kappa": 0.0}, {"ahead": (0.5, 1.0)}, data, step=0.1)
        with pytest.raises(ValueError, match="kappa begins at 2.0, outside"):
            tune(build, {"kappa": 2.0}, {"kappa": (0.0, 1.0)}, data, step=0.1)
