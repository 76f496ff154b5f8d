"""Missing samples: without any say in the solution, however their container says so."""

import cvxpy
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from signals import each_end, each_order, each_penalty, kernels, unchecked, walk

from stencilnet.denoising import (
    L1,
    L2,
    L2Squared,
    Sure,
    choose_weight,
    denoise_signals,
    denoise_trajectory,
    noise_level,
    search_weight,
    weight_max,
)
from stencilnet.denoising.cvxpy_layer import difference_matrix

pytestmark = kernels

NORMS = {
    L1(): lambda d: np.abs(d).sum(),
    L2(): np.linalg.norm,
    L2Squared(): lambda d: d @ d,
}
CONES = {L1(): cvxpy.norm1, L2(): cvxpy.norm2, L2Squared(): cvxpy.sum_squares}

POINTS = 48
HOLES = {
    "scattered": np.random.default_rng(1).uniform(size=POINTS) < 0.3,
    "a run": (np.arange(POINTS) > 12) & (np.arange(POINTS) < 33),
    "ends": (np.arange(POINTS) < 7) | (np.arange(POINTS) > 40),
    "most": np.arange(POINTS) % 8 > 0,
}


def least_objective(x, missing, weight, matrix, penalty):
    """By Clarabel, in terms of the residual over the weight, which it resolves."""
    unit = min(weight, 1.0)
    y, moved = cvxpy.Variable(len(x)), cvxpy.Variable(int((~missing).sum()))
    objective = unit * cvxpy.sum_squares(moved) / 2
    objective += weight / unit * CONES[penalty](matrix @ y)
    same = [y[np.flatnonzero(~missing)] == x[~missing] + unit * moved]
    problem = cvxpy.Problem(cvxpy.Minimize(objective), same)
    return unit * problem.solve(solver=cvxpy.CLARABEL)


@each_end
@each_penalty
@each_order
@pytest.mark.parametrize("holes", HOLES)
def test_no_solution_is_better_than_the_certificate_says(
    holes, order, penalty, periodic
):
    x, missing = walk(POINTS, seed=9), HOLES[holes]
    matrix = difference_matrix(POINTS, order, periodic=periodic)
    kind = {"order": order, "penalty": penalty, "periodic": periodic}
    for weight in (1e-10, 1e-3, 1e3):
        result = denoise_signals(x, weight, **kind, missing=missing)
        squares = ((result.signal - x)[~missing] ** 2).sum() / 2
        ours = squares + weight * NORMS[penalty](matrix @ result.signal)
        # No more than the solver's own tolerance below the best one.
        theirs = least_objective(x, missing, weight, matrix, penalty)
        assert ours <= theirs * (1 + 1e-6)
        assert result.gap <= 1e-8


@each_order
def test_long_gaps_are_certified(order):
    x = walk(600, seed=2)
    missing = (np.arange(600) > 100) & (np.arange(600) < 450)
    for penalty in NORMS:
        for weight in (1e-300, 1e-20, 1e-9, 10.0):
            result = denoise_signals(
                x, weight, order=order, penalty=penalty, missing=missing
            )
            assert result.gap <= 1e-8
            assert np.isfinite(result.signal).all()


@each_order
def test_values_of_missing_samples_are_ignored(order):
    x, missing = walk(POINTS), HOLES["scattered"]
    one, other = (
        denoise_signals(
            np.where(missing, value, x), 1.0, order=order, missing=missing
        ).signal
        for value in (np.nan, 1e30)
    )
    np.testing.assert_array_equal(one, other)


def test_missing_samples_of_total_variation_lie_between_the_levels_of_the_others():
    x, missing = walk(POINTS), HOLES["scattered"]
    y = denoise_signals(x, 0.7, missing=missing).signal
    place = np.flatnonzero(~missing)
    observed = denoise_signals(x[place], 0.7).signal
    np.testing.assert_array_equal(y, np.interp(np.arange(POINTS), place, observed))


CONTAINERS = {
    "masked array": lambda x, holes: np.ma.masked_array(
        np.where(holes, 9.97e36, x), holes
    ),
    "list of masked arrays": lambda x, holes: [
        np.ma.masked_array(row, hole) for row, hole in zip(x, holes, strict=True)
    ],
    "pandas": lambda x, holes: pd.DataFrame(np.where(holes, np.nan, x)),
    "pandas with NA": lambda x, holes: pd.DataFrame(x).astype("Float64").mask(holes),
    "xarray": lambda x, holes: xr.DataArray(np.where(holes, np.nan, x)),
}
each_container = pytest.mark.parametrize("container", CONTAINERS)


@each_container
def test_containers_say_which_samples_are_missing(container):
    x = walk(2, POINTS, seed=3)
    holes = np.stack([HOLES["scattered"], HOLES["a run"]])
    packed = CONTAINERS[container](x, holes)
    precision = np.linspace(1, 2, POINTS)
    with unchecked():
        for call in (
            lambda x, **kind: denoise_signals(x, 0.5, **kind, precision=precision),
            lambda x, **kind: denoise_signals(x, Sure(), order=2, **kind),
        ):
            expected, result = call(x, missing=holes).signal, call(packed).signal
            assert type(result) is np.ndarray
            np.testing.assert_array_equal(result, expected)
        for call in (
            lambda x, **kind: choose_weight(x, **kind).weight,
            lambda x, **kind: weight_max(x, order=2, **kind),
        ):
            np.testing.assert_array_equal(call(packed), call(x, missing=holes))
        # What is missing for either reason is missing.
        more = np.arange(POINTS) == 5
        np.testing.assert_array_equal(
            denoise_signals(packed, 0.5, missing=more).signal,
            denoise_signals(x, 0.5, missing=holes | more).signal,
        )


@each_container
def test_containers_say_so_to_every_function(container):
    x = walk(12, POINTS, seed=4)
    holes = np.random.default_rng(0).uniform(size=x.shape) < 0.2
    packed = CONTAINERS[container](x, holes)
    with unchecked():
        levels = noise_level(packed)
        assert (levels < 3 * noise_level(x)).all()
        choice = search_weight(packed, 0 * x, np.array([0.1, 1.0]))
        assert choice.sigma == pytest.approx(np.sqrt((x[~holes] ** 2).mean()))
        with pytest.raises(ValueError, match="clean signals of a search must be"):
            search_weight(x, packed, np.array([0.1, 1.0]))
        result = denoise_trajectory(packed, 0.5, along="both")
        expected = denoise_trajectory(np.where(holes, np.nan, x), 0.5, along="both")
        np.testing.assert_array_equal(result.field, expected.field)


def test_a_mask_of_nothing_changes_nothing():
    x = walk(POINTS).astype(np.float32)
    result = denoise_signals(np.ma.masked_array(x), 0.5).signal
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, denoise_signals(x, 0.5).signal)
    np.testing.assert_array_equal(noise_level(np.ma.masked_array(x)), noise_level(x))


def test_masked_settings_are_refused():
    x = walk(2, POINTS)
    two = np.ma.masked_array([1.0, 9.97e36], [False, True])
    with unchecked():
        for call, noun in (
            (lambda: denoise_signals(x, two), "weights"),
            (lambda: choose_weight(x, sigma=two), "sigmas"),
            (lambda: denoise_signals(x.T, 1.0, precision=two, axis=0), "precisions"),
        ):
            with pytest.raises(ValueError, match=f"1 of the {noun} are masked"):
                call()


def test_marks_of_missing_samples_are_booleans():
    with unchecked(), pytest.raises(TypeError, match="booleans, not int64"):
        denoise_signals(walk(9), 1.0, missing=np.zeros(9, dtype=int))
    # An unknown mark is one.
    marks = np.ma.masked_array(np.zeros(9, bool), np.arange(9) == 4)
    with unchecked():
        np.testing.assert_array_equal(
            denoise_signals(walk(9), 1.0, missing=marks).signal,
            denoise_signals(walk(9), 1.0, missing=np.arange(9) == 4).signal,
        )


def test_signals_without_samples_are_refused():
    with pytest.raises(ValueError, match="at least 2 samples of each signal"):
        noise_level(np.ma.masked_array(np.zeros(9), np.arange(9) > 0))
    with pytest.raises(ValueError, match="only 1 samples that are not missing"):
        denoise_signals(np.ma.masked_array(np.zeros(9), np.arange(9) > 0), 1.0)
