"""The stage that denoises trajectories in their store."""

import json
import math
import sys

import numpy as np
import pytest
import torch
from signals import kernels
from typer.testing import CliRunner

import stencilnet
from stencilnet import Grid, RandomForcing, read_trajectories, write_trajectories
from stencilnet.cli import app
from stencilnet.denoising import (
    L1,
    L2,
    CrossValidation,
    L2Squared,
    choose_weight,
    denoise_signals,
)
from stencilnet.storage import blocks, trajectories
from stencilnet.study.denoising import Denoising
from stencilnet.study.filters import compare_denoisers

pytestmark = kernels


@pytest.fixture(scope="module")
def shocks():
    """Three trajectories of ramps between moving shocks, smooth at the scale of dx."""
    grid, times = Grid.line(128), torch.linspace(4, 6, 11, dtype=torch.float64)
    draw = torch.Generator().manual_seed(0)
    amplitude, phase, speed = torch.rand(
        (3, 3, 4, 1, 1), generator=draw, dtype=torch.float64
    )
    place = grid.points() - 2 * math.pi * phase - (speed - 0.5) * times[:, None]
    around = torch.remainder(place, 2 * math.pi)
    # From 1 down to -1 across each shock, and up again along its ramp.
    steepness = 1 / grid.spacing[0]
    ends = (
        1
        - torch.tanh(steepness * around)
        + torch.tanh(steepness * (2 * math.pi - around))
    )
    u = ((0.2 + amplitude) * (around / math.pi - 2 + ends)).sum(1)
    forcing = RandomForcing.sample(3, seed=0)
    return trajectories(u, times, grid, forcing, averages=True)


@pytest.fixture
def store(shocks, tmp_path):
    return write_trajectories(shocks, tmp_path / "u.zarr")


def test_denoised_trajectories_are_added_in_place(store, shocks):
    before = read_trajectories(store)
    assert stencilnet.denoise(store, noise=0.1, seed=3) == store
    after = read_trajectories(store)
    np.testing.assert_array_equal(after["u"], shocks["u"])
    noise = (after["u_noisy"] - after["u"]).values
    deviation = shocks["u"].std(("time", "x")).values
    np.testing.assert_allclose(noise.std((1, 2)), 0.1 * deviation, rtol=0.05)
    left = (after["u_denoised"] - after["u"]).values
    assert (left.std((1, 2)) < 0.75 * noise.std((1, 2))).all()
    assert after.attrs["parent"] == before.attrs["content_hash"]
    assert json.loads(after.attrs["denoising"])["noise"] == 0.1
    assert after["denoising_weight"].shape == (3, 1)
    np.testing.assert_allclose(
        after["denoising_sigma"][:, 0], 0.1 * deviation, rtol=0.15
    )


def test_results_do_not_depend_on_blocks(store, tmp_path, monkeypatch):
    whole = stencilnet.denoise(store, tmp_path / "whole.zarr", noise=0.1, along="both")
    row = 11 * 128 * 8
    monkeypatch.setattr(blocks, "_BLOCK_BYTES", 2 * row)
    small = write_trajectories(read_trajectories(store), tmp_path / "small.zarr")
    assert read_trajectories(small)["u"].encoding["chunks"][0] == 2
    pieces = stencilnet.denoise(small, noise=0.1, along="both")
    for name in ("u_noisy", "u_denoised", "denoising_weight", "forcing_phase"):
        np.testing.assert_array_equal(
            read_trajectories(whole)[name], read_trajectories(pieces)[name]
        )
    assert read_trajectories(pieces)["u_denoised"].encoding["chunks"][0] == 2


@pytest.mark.parametrize(("along", "axes"), [("x", [1]), ("t", [0]), ("both", [1, 0])])
def test_each_axis_is_denoised_by_its_own_weight(store, along, axes):
    stencilnet.denoise(store, noise=0.2, along=along, order=1)
    after = read_trajectories(store)
    field = after["u_noisy"][1].values
    for column, axis in enumerate(axes):
        settings = {"order": 1, "periodic": axis == 1}
        signals = np.moveaxis(field, axis, -1)
        few = np.unique(np.linspace(0, len(signals) - 1, 64).astype(int))
        weight = float(choose_weight(signals[few], shared=True, **settings).weight)
        assert float(after["denoising_weight"][1, column]) == weight
        field = denoise_signals(field, weight, axis=axis, **settings).signal
    np.testing.assert_array_equal(after["u_denoised"][1], field)


def test_a_noisy_store_needs_no_noise_and_gaps_are_filled(shocks, tmp_path):
    gaps = shocks.copy(deep=True)
    noise = 0.05 * np.random.default_rng(0).standard_normal(shocks["u"].shape)
    hole = np.random.default_rng(1).uniform(size=shocks["u"].shape) < 0.1
    gaps["u"] = gaps["u"].copy(data=np.where(hole, np.nan, shocks["u"] + noise))
    store = write_trajectories(gaps, tmp_path / "gaps.zarr")
    stencilnet.denoise(store, weight=0.02)
    after = read_trajectories(store, finite=False)
    assert "u_noisy" not in after
    left = (after["u_denoised"] - shocks["u"]).values
    assert np.sqrt(np.median(left[hole] ** 2)) < 0.08
    compared = compare_denoisers(store)
    assert list(compared["filter"].values) == ["none", "total_variation"]
    assert "error" not in compared


def test_total_variation_beats_linear_filters_at_their_best(store):
    for noise in (0.05, 0.1, 0.3):
        stencilnet.denoise(store, noise=noise, overwrite=True)
        compared = compare_denoisers(store)
        error = compared["error"].sel(quantity="u")
        ours = float(error.sel(filter="total_variation"))
        for other in ("none", "gaussian", "savitzky_golay", "tikhonov"):
            assert ours < 0.95 * float(error.sel(filter=other))
        # What is compared is what was stored.
        after = read_trajectories(store)
        left = after["u_denoised"] - after["u"]
        expected = float(np.sqrt((left**2).mean()) / after["u"].std())
        assert ours == pytest.approx(expected)
        gain = float(compared["snr_gain"].sel(filter="total_variation"))
        none = float(error.sel(filter="none"))
        assert gain == pytest.approx(20 * np.log10(none / expected))


def test_wavelets_beat_linear_filters_at_their_best(store):
    """A nonlinear filter that keeps shocks as total variation does."""
    stencilnet.denoise(store, noise=0.1)
    compared = compare_denoisers(store)
    error = compared["error"].sel(quantity="u")
    wavelets = float(error.sel(filter="wavelets"))
    for other in ("none", "gaussian", "savitzky_golay", "tikhonov"):
        assert wavelets < 0.9 * float(error.sel(filter=other))
    assert "threshold" in str(compared["setting"].sel(filter="wavelets").item())


def test_a_comparison_does_without_wavelets_that_are_not_installed(store, monkeypatch):
    monkeypatch.setitem(sys.modules, "pywt", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    stencilnet.denoise(store, noise=0.1, weight=0.05)
    assert "wavelets" not in compare_denoisers(store)["filter"].values


@pytest.mark.parametrize("in_place", [True, False], ids=["in place", "elsewhere"])
@pytest.mark.parametrize("first", ["x", "t", "both"])
@pytest.mark.parametrize("second", ["x", "t", "both"])
def test_denoising_again_is_denoising_once(shocks, tmp_path, first, second, in_place):
    """Nothing is left of the run before, whatever axes it had."""
    store = write_trajectories(shocks.isel(sample=[1]), tmp_path / "u.zarr")
    other = tmp_path / "once.zarr"
    settings = {"along": second, "weight": 0.02, "noise": 0.1, "seed": 2}
    stencilnet.denoise(store, other, **settings)
    stencilnet.denoise(store, along=first, weight=0.1, noise=0.3, seed=1, order=1)
    out = None if in_place else tmp_path / "new.zarr"
    again = stencilnet.denoise(store, out, **settings, overwrite=True)
    once, twice = read_trajectories(other), read_trajectories(again)
    assert twice["denoising_weight"].sizes["axis"] == 1 + (second == "both")
    for attribute in ("parent", "content_hash", "created", "origin"):
        del once.attrs[attribute], twice.attrs[attribute]
    assert twice.identical(once)


def test_denoising_again_tells_the_noise_that_stays(store):
    stencilnet.denoise(store, weight=0.1, noise=0.1, seed=3)
    noisy = read_trajectories(store)["u_noisy"]
    stencilnet.denoise(store, weight=0.2, along="both", overwrite=True)
    after = read_trajectories(store)
    np.testing.assert_array_equal(after["u_noisy"], noisy)
    settings = Denoising.from_dataset(after, store)
    assert settings == Denoising(along="both", weight=0.2, noise=0.1, seed=3)
    # The noise of a store that brought it is not known.
    bare = read_trajectories(store).drop_vars("u_denoised")
    write_trajectories(bare, store, overwrite=True)
    stencilnet.denoise(store, weight=0.2)
    settings = Denoising.from_dataset(read_trajectories(store), store)
    assert settings == Denoising(weight=0.2)


@pytest.mark.parametrize(
    "settings",
    [
        Denoising(),
        Denoising("both", 3, L2Squared(), 0.25, 0.1, 7),
        Denoising(weight=CrossValidation(folds=3), penalty=L1()),
    ],
)
def test_settings_come_back_from_their_spec(settings):
    assert Denoising.from_spec(json.loads(json.dumps(settings.spec()))) == settings


def test_settings_of_an_older_store_are_read():
    """They name penalty and criterion alone."""
    text = (
        '{"along": "x", "order": 2, "penalty": "l1", "weight": "sure", '
        '"noise": 0.1, "seed": 0}'
    )
    assert Denoising.from_spec(json.loads(text)) == Denoising(noise=0.1)


def test_names_and_values_of_settings_are_the_same(shocks, tmp_path):
    few = shocks.isel(sample=[1], x=slice(None, None, 2))
    store = write_trajectories(few, tmp_path / "u.zarr")
    one = stencilnet.denoise(store, tmp_path / "one.zarr", weight="cv", penalty="l2")
    values = {"weight": CrossValidation(), "penalty": L2()}
    other = stencilnet.denoise(store, tmp_path / "other.zarr", **values)
    one, other = read_trajectories(one), read_trajectories(other)
    assert one.attrs["denoising"] == other.attrs["denoising"]
    np.testing.assert_array_equal(one["u_denoised"], other["u_denoised"])


@pytest.mark.parametrize(("rows", "stays"), [(1, True), (8, False)])
def test_a_stop_half_way_leaves_the_store_as_it_was(store, monkeypatch, rows, stays):
    monkeypatch.setattr(blocks, "_BLOCK_BYTES", rows * 11 * 128 * 8)
    store = write_trajectories(read_trajectories(store), store.with_name("own.zarr"))
    before = read_trajectories(store)
    others = {path.name for path in store.parent.iterdir()}

    def stop(done, total, note):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stencilnet.denoise(store, noise=0.1, progress=stop)
    assert read_trajectories(store).identical(before)
    # A block that is whole stays aside for the next call, and goes with it.
    hidden = {path.name for path in store.parent.iterdir()} - others
    assert [name.endswith(".partial") for name in hidden] == [True] * stays
    stencilnet.denoise(store, noise=0.1)
    assert {path.name for path in store.parent.iterdir()} == others


def test_nothing_is_replaced_unasked(store, tmp_path):
    stencilnet.denoise(store, weight=0.1)
    with pytest.raises(FileExistsError, match="has u_denoised already"):
        stencilnet.denoise(store, weight=0.2)
    stencilnet.denoise(store, weight=0.2, overwrite=True)
    (tmp_path / "other.zarr").mkdir()
    with pytest.raises(FileExistsError, match="exists"):
        stencilnet.denoise(store, tmp_path / "other.zarr", weight=0.2, overwrite=False)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"along": "y"}, "no direction 'y', known are x, t, both"),
        ({"noise": 0.0}, "positive and finite, not 0.0"),
        ({"noise": float("nan")}, "positive and finite, not nan"),
        ({"seed": -1}, "at least 0, not -1"),
        ({"weight": -1.0}, "zero or more, not -1"),
        ({"weight": "surely"}, "no weight criterion 'surely', did you mean 'sure'"),
        ({"order": 4}, "order 1, 2 or 3, not 4"),
        ({"penalty": "l3"}, "no penalty 'l3', did you mean 'l"),
    ],
)
def test_bad_settings_are_refused_in_a_sentence(store, settings, words):
    before = read_trajectories(store)
    with pytest.raises(ValueError, match=words):
        stencilnet.denoise(store, **settings)
    assert read_trajectories(store).identical(before)


def test_a_sample_without_values_is_named(shocks, tmp_path):
    empty = shocks.copy(deep=True)
    empty["u"][1] = np.nan
    store = write_trajectories(empty, tmp_path / "empty.zarr")
    with pytest.raises(ValueError, match="Sample 1: Signal 0 has only 0 samples"):
        stencilnet.denoise(store)


@pytest.mark.parametrize("left", [None, "{", '{"along": "x", "other": 1}'])
def test_settings_from_elsewhere_are_refused_in_a_sentence(store, left):
    stencilnet.denoise(store, weight=0.1)
    other = read_trajectories(store)
    del other.attrs["denoising"]
    if left is not None:
        other.attrs["denoising"] = left
    words = "does not say how it was denoised|'denoising' is wrong"
    with pytest.raises(ValueError, match=words):
        compare_denoisers(write_trajectories(other, store, overwrite=True))


def test_a_store_without_u_and_a_place_within_it_are_refused(store, tmp_path):
    with pytest.raises(ValueError, match="choose a place outside"):
        stencilnet.denoise(store, store / "inner.zarr", weight=0.1)
    bare = read_trajectories(store).drop_vars("u")
    other = write_trajectories(bare, tmp_path / "bare.zarr")
    with pytest.raises(ValueError, match="holds no u"):
        stencilnet.denoise(other, weight=0.1)


def test_gaps_of_the_clean_field_are_left_out_of_the_errors(shocks, tmp_path):
    gaps = shocks.copy(deep=True)
    gaps["u"][:, 2, 5] = np.inf
    gaps["u"][1, 3, 9] = np.nan
    store = write_trajectories(gaps, tmp_path / "gaps.zarr")
    stencilnet.denoise(store, noise=0.1)
    after = read_trajectories(store, finite=False)
    assert np.isfinite(after["u_denoised"]).all()
    error = compare_denoisers(store)["error"].sel(quantity="u")
    assert float(error.sel(filter="none")) == pytest.approx(0.1, rel=0.1)
    assert float(error.sel(filter="total_variation")) < 0.08


def test_constant_trajectories_have_no_noise_to_remove(shocks, tmp_path):
    flat = shocks.copy(deep=True)
    flat["u"][:] = 2.5
    store = write_trajectories(flat, tmp_path / "flat.zarr")
    stencilnet.denoise(store, noise=0.1)
    assert (read_trajectories(store)["u_denoised"] == 2.5).all()
    assert (compare_denoisers(store)["error"] == 0).all()


def test_the_command_prints_a_table_and_draws(store, tmp_path):
    run = CliRunner().invoke(app, ["denoise", str(store), "--noise", "0.1"])
    assert run.exit_code == 0, run.output
    for word in ("Savitzky-Golay", "Tikhonov", "total variation", "SNR gain"):
        assert word in run.output
    assert (tmp_path / "u-denoised.png").stat().st_size > 10_000
    again = CliRunner().invoke(app, ["denoise", str(store), "--noise", "0.1"])
    assert isinstance(again.exception, FileExistsError)
