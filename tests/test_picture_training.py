"""Training of learned pictures."""

import math

import numpy as np
import pytest
import torch

from stencilnet import MLP, Burgers, Grid, RandomForcing, rollout
from stencilnet.discretizations import LearnedPicture, WenoParabola
from stencilnet.solver import THREE_DRIFTS, ColeHopf
from stencilnet.storage import read_operator
from stencilnet.study.operators import load_operator, save_operator
from stencilnet.study.picture_polish import polish_picture
from stencilnet.study.picture_training import (
    PictureHistory,
    PictureRecipe,
    Polish,
    save_picture,
    train_picture,
)
from stencilnet.study.regimes import Regime
from stencilnet.study.windows import Trajectories


def trajectories(points, samples, seed):
    """Averages of solutions on a grid that is four times as fine."""
    fine = Grid.line(4 * points)
    forcing = RandomForcing.sample(samples, amplitude=0.3, seed=seed)
    times = torch.arange(31, dtype=torch.float64) * 0.1
    phases = torch.arange(samples, dtype=torch.float64).unsqueeze(-1) + seed
    u = rollout(
        WenoParabola(Burgers(0.02), fine),
        (fine.points() + phases).sin(),
        times,
        forcing.on(fine, averages=True),
        integrator=ColeHopf(),
    )
    # The middle of the fine cells 4 i, ..., 4 i + 3 becomes the point i.
    means = u.unflatten(-1, (points, 4)).mean(-1)
    phase = forcing.phase + forcing.wavenumber * 1.5 * fine.spacing[-1]
    moved = RandomForcing(
        forcing.amplitude, forcing.frequency, forcing.wavenumber, phase
    )
    return Trajectories(means, times, Grid.line(points), moved, averages=True)


@pytest.fixture(scope="module")
def regime():
    return Regime(
        "small",
        Burgers(0.02),
        trajectories(16, 6, 0),
        trajectories(16, 3, 1),
        0.3,
        ColeHopf(splitting=THREE_DRIFTS),
    )


def picture(seed=0):
    settings = {"network": MLP(8), "window": 7, "base": "weno", "seed": seed}
    return LearnedPicture(Burgers(0.02), Grid.line(16), **settings)


RECIPE = PictureRecipe(updates=60, horizons=(1, 2), cells=96, validate_every=20)


def test_training_lowers_the_error_on_unseen_forcings(regime):
    learned = picture()
    history = train_picture(learned, [regime], RECIPE)
    error = regime.error(learned)
    assert error < 0.8 * regime.error(picture())
    assert math.isclose(error, min(history.errors["small"]))
    assert math.isclose(
        history.untrained["small"], regime.error(picture()), rel_tol=1e-6
    )


def test_polishing_goes_on_where_training_ends(regime, tmp_path):
    learned = picture()
    learned.float()
    history = train_picture(learned, [regime], RECIPE)
    before = regime.error(learned)
    path = save_picture(learned, tmp_path / "a.zarr", [regime], RECIPE, history)
    recipe = Polish(12, horizons=(1, 2), cells=2048, validate_every=4)
    past = PictureHistory.of(read_operator(path))
    assert past.untrained == history.untrained
    assert past.errors == history.errors
    after = polish_picture(learned, [regime], recipe, history=past)
    assert learned.dtype == torch.float32
    error = regime.error(learned)
    assert error < 0.97 * before
    assert math.isclose(error, min(after.errors["small"]), rel_tol=1e-4)
    assert after.update[3:] == [64, 68, 72, 76, 80, 84]


def test_weights_that_a_polish_makes_worse_are_not_kept(regime):
    learned = picture()
    train_picture(learned, [regime], RECIPE)
    kept = {name: value.clone() for name, value in learned.weights().items()}
    error = regime.error(learned)
    # One window says nothing about the rest.
    recipe = Polish(40, (1,), cells=1, validate_every=40)
    history = polish_picture(learned, [regime], recipe)
    assert history.errors["small"][-1] > error
    for name, value in learned.weights().items():
        assert torch.equal(value, kept[name])


def test_a_polish_that_is_stopped_leaves_the_best_weights(regime):
    learned = picture()
    learned.float()

    def stop(done, total, note):
        if done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        recipe = Polish(20, (1,), cells=1024, validate_every=5)
        polish_picture(learned, [regime], recipe, progress=stop)
    assert learned.dtype == torch.float32
    assert regime.error(learned) < regime.error(picture())


def test_a_polish_of_a_picture_that_blows_up_is_refused(regime):
    learned = picture()
    with torch.no_grad():
        next(learned.network.parameters()).fill_(math.nan)
    with pytest.raises(FloatingPointError, match="train it before"):
        polish_picture(learned, [regime], Polish(2, (1,), cells=64))


def test_training_again_gives_the_same_weights(regime):
    weights = []
    for _ in range(2):
        learned = picture()
        train_picture(learned, [regime, regime], PictureRecipe(updates=4, cells=64))
        weights.append(learned.weights())
    for name, value in weights[0].items():
        assert torch.equal(value, weights[1][name])


def test_a_window_is_a_piece_of_a_trajectory_under_its_forcing(regime):
    window = regime.windows(np.random.default_rng(0), 5, 2)
    assert window.u.shape == (5, 3, 16)
    assert window.times.tolist() == pytest.approx([0.0, 0.3, 0.6])
    whole = regime.learning
    for row in range(5):
        distance = (whole.u - window.u[row, 0]).abs().amax(-1)
        sample, start = divmod(int(distance.argmin()), whole.u.shape[1])
        assert distance.min() == 0
        assert torch.equal(window.u[row, 2], whole.u[sample, start + 6])
        expected = whole.forcing.on(whole.grid)(float(whole.times[start]) + 0.3)
        found = window.forcing.on(whole.grid)(0.3)
        assert torch.allclose(found[row], expected[sample], atol=1e-12)


def test_a_store_keeps_a_picture_bit_for_bit(regime, tmp_path):
    learned = picture(3)
    history = train_picture(learned, [regime], PictureRecipe(updates=2, cells=64))
    path = save_picture(
        learned, tmp_path / "a.zarr", [regime], PictureRecipe(), history
    )
    again, stored = load_operator(path)
    assert isinstance(again, LearnedPicture)
    assert stored.attributes["step"] == 0.3
    for name, value in learned.weights().items():
        assert torch.equal(again.weights()[name], value)
    path = save_operator(learned, tmp_path / "b.zarr")
    assert load_operator(path)[0].spec() == learned.spec()


class TestRefusals:
    def test_a_step_between_stored_states(self, regime):
        with pytest.raises(ValueError, match="no multiple of the interval"):
            Regime(
                "odd",
                regime.equation,
                regime.learning,
                regime.validation,
                0.25,
                ColeHopf(),
            )

    def test_a_horizon_beyond_the_trajectories(self, regime):
        with pytest.raises(ValueError, match="shorten the horizon"):
            train_picture(picture(), [regime], PictureRecipe(horizons=(20,)))

    def test_no_regime(self):
        with pytest.raises(ValueError, match="at least one regime"):
            train_picture(picture(), [])

    @pytest.mark.parametrize(
        "settings",
        [{"updates": 0}, {"horizons": ()}, {"horizons": (0,)}, {"averaging": 1.0}],
    )
    def test_recipes_that_cannot_be(self, settings):
        with pytest.raises(ValueError, match=r"positive|in \[0, 1\)"):
            PictureRecipe(**settings)

    @pytest.mark.parametrize(
        "settings", [{"iterations": 1.5}, {"cells": -1}, {"horizons": ()}]
    )
    def test_polishes_that_cannot_be(self, settings):
        with pytest.raises(ValueError, match="whole number of at least 1|positive"):
            Polish(**settings)

    def test_nothing_to_polish_on(self):
        with pytest.raises(ValueError, match="at least one regime"):
            polish_picture(picture(), [])
