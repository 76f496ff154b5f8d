import json
import math
import re

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from studies import generated, small

from stencilnet import Burgers, Grid, PseudoSpectral, read_trajectories
from stencilnet.equations import DecayingWave
from stencilnet.storage import forcing_of, grid_of
from stencilnet.study.generation import generate, store_path
from stencilnet.study.problem import SPLITS, problem_of, split_forcing
from stencilnet.study.reference import UnresolvedError, onto, reference_solution


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("generate")
    generated(folder)
    return folder


def test_the_reference_agrees_with_an_independent_integrator():
    config = small()
    fine = Grid.line(64)
    forcing = split_forcing(config, "test")
    method = PseudoSpectral(Burgers(0.1), fine)
    force = forcing.on(fine)
    u0 = method.to_values(method.to_modes(problem_of(config, "test").states(fine)))

    def rhs(t, u):
        u = torch.from_numpy(u.reshape(2, 64))
        return (method(u) + force(t)).numpy().ravel()

    independent = solve_ivp(
        rhs,
        (0, 1.2),
        u0.numpy().ravel(),
        method="DOP853",
        rtol=1e-10,
        atol=1e-12,
    ).y[:, -1]
    *_, (u_hat, _) = reference_solution(problem_of(config, "test"), fine, courant=0.1)
    found = method.to_values(u_hat).numpy().ravel()
    assert np.abs(found - independent).max() < 1e-7


def test_the_reference_is_of_fourth_order_in_time():
    config = small(forcing={"amplitude": 2.0})
    problem = problem_of(config, "test")
    ends = []
    for courant in (0.8, 0.4, 0.05):
        solution = reference_solution(problem, Grid.line(64), courant=courant)
        *_, (u_hat, _) = solution
        ends.append(u_hat)
    errors = [float((end - ends[-1]).abs().max()) for end in ends[:-1]]
    assert 3.5 < math.log2(errors[0] / errors[1]) < 5.5


def test_averages_and_values_are_exact():
    exact, fine = DecayingWave(0.3), Grid.line(64)
    method = PseudoSpectral(Burgers(0.3), fine)
    u_hat = method.to_modes(exact.values(fine, 0.4))
    for points in (16, 32):
        coarse = Grid.line(points)
        for averages in (True, False):
            torch.testing.assert_close(
                onto(u_hat, fine, coarse, averages=averages),
                exact.of(coarse, 0.4, averages=averages),
                atol=1e-13,
                rtol=0,
            )


def test_stores_hold_what_was_asked_for(run):
    config = small()
    for split, samples in zip(SPLITS, (3, 2, 2), strict=True):
        for points, averages in ((16, True), (32, True), (16, False)):
            path = store_path(run, split, points, averages=averages)
            dataset = read_trajectories(path)
            assert dict(dataset.sizes) == {
                "sample": samples,
                "time": 11,
                "x": points,
                "mode": 4,
            }
            assert dataset["u"].attrs["averages"] == averages
            assert grid_of(dataset) == Grid.line(points)
            assert 0 < dataset.attrs["self_convergence"] < 1e-5
            assert json.loads(dataset.attrs["equation"]) == config.problem.equation
            for name in ("config", "versions", "created", "git_commit"):
                assert name in dataset.attrs


def test_stored_forcing_runs_on_the_trajectories_clock(run):
    config = small()
    dataset = read_trajectories(store_path(run, "test", 16, averages=True))
    stored = forcing_of(dataset).on(Grid.line(16))(0.3)
    drawn = split_forcing(config, "test").on(Grid.line(16))(0.3 + 0.2)
    torch.testing.assert_close(stored, drawn)


def test_coarser_averages_are_means_of_finer_ones_only_approximately(run):
    # Cells are centred on the points: those of the coarse grid straddle fine ones.
    fine = read_trajectories(store_path(run, "test", 32, averages=True))["u"].values
    coarse = read_trajectories(store_path(run, "test", 16, averages=True))["u"].values
    straddling = (fine.take(range(0, 32, 2), -1)) / 2 + (
        np.roll(fine, 1, -1)[..., ::2] + np.roll(fine, -1, -1)[..., ::2]
    ) / 4
    assert np.abs(coarse - straddling).max() < 2e-2
    np.testing.assert_allclose(coarse.mean(-1), fine.mean(-1), atol=1e-14)


def test_splits_share_no_forcing():
    phases = [split_forcing(small(), split).phase for split in SPLITS]
    assert len({float(row[0]) for split in phases for row in split}) == 7


def test_generation_is_reproducible(run, tmp_path):
    generate(small(), tmp_path)
    one, two = (
        read_trajectories(store_path(folder, "training", 16, averages=True))
        for folder in (run, tmp_path)
    )
    assert one.attrs["content_hash"] == two.attrs["content_hash"]


def test_nothing_is_overwritten_unasked(run):
    path = store_path(run, "test", 16, averages=True)
    before = read_trajectories(path).attrs["created"]
    with pytest.raises(FileExistsError, match="--overwrite"):
        generate(small(), run)
    assert read_trajectories(path).attrs["created"] == before


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"data": {"averages": [24]}}, "64 points cannot be kept on 24"),
        ({"reference": {"tolerance": 1e-15}}, "above the tolerance"),
        (
            {"problem": {"equation": {"name": "Burgers", "viscosity": 0.002}}},
            "not resolved",
        ),
        ({"forcing": {"wavenumbers": [32]}}, "more than 64 points"),
        (
            {
                "reference": {"courant": 40.0},
                "forcing": {"amplitude": 300.0},
                "problem": {"equation": {"name": "Burgers", "viscosity": 1e-3}},
            },
            "blew up in sample .* before time",
        ),
    ],
)
def test_a_reference_that_cannot_be_trusted_is_not_written(tmp_path, sections, message):
    with pytest.raises(ValueError, match=message):
        generate(small(**sections), tmp_path)
    assert not list(tmp_path.iterdir())


def test_auto_finds_points_that_meet_the_tolerance(tmp_path):
    config = small(
        problem={
            "equation": {"name": "Burgers", "viscosity": 0.02},
            "initial": {"name": "RandomWaves"},
        },
        reference={"points": "auto", "tolerance": 1e-6},
    )
    generate(config, tmp_path)
    dataset = read_trajectories(store_path(tmp_path, "test", 16, averages=True))
    points = dataset.attrs["reference_points"]
    # A shock of this viscosity is not resolved on 64 points, and well on 1024.
    assert 64 < points <= 1024
    assert points % 32 == 0
    assert dataset.attrs["self_convergence"] < 1e-6


def test_an_unresolved_reference_is_refused_after_a_trial_with_a_number(tmp_path):
    def study(points):
        return small(
            problem={
                "equation": {"name": "Burgers", "viscosity": 0.02},
                "initial": {"name": "RandomWaves"},
            },
            reference={"points": points, "tolerance": 1e-2},
            data={"training": 10},
        )

    notes = []

    def note(_done, _total, text):
        notes.append(text)

    with pytest.raises(UnresolvedError, match="from 64 to about") as refused:
        generate(study(64), tmp_path, progress=note)
    assert set(notes) == {"trying"}
    message = str(refused.value)
    # Who follows the suggestions arrives soon, without far too many points.
    for _ in range(3):
        suggested = int(re.search(r"to about (\d+)", message)[1])
        try:
            generate(study(suggested), tmp_path)
            break
        except UnresolvedError as error:
            message = str(error)
    assert store_path(tmp_path, "test", 16, averages=True).exists()
    assert suggested <= 1024


def test_a_step_that_is_too_long_is_not_blamed_on_the_points(tmp_path):
    def study(points):
        return small(
            problem={"initial": {"name": "RandomWaves", "wavenumbers": [1]}},
            reference={"points": points, "tolerance": 1e-8},
        )

    with pytest.raises(UnresolvedError, match=r"lower reference.courant below 0\.8"):
        generate(study(128), tmp_path)
    generate(study("auto"), tmp_path)
    dataset = read_trajectories(store_path(tmp_path, "test", 16, averages=True))
    assert dataset.attrs["courant"] < 0.8
    assert dataset.attrs["reference_points"] <= 128


@pytest.mark.parametrize(
    "equation",
    [
        {"name": "Advection", "velocity": 0.7},
        {"name": "AdvectionDiffusion", "velocity": 0.7, "diffusivity": 0.1},
        {"name": "KortewegDeVries", "dispersion": 0.1},
        {"name": "KuramotoSivashinsky", "damping": 0.5},
        {"name": "FisherKPP", "diffusivity": 0.1, "rate": 1.0},
    ],
    ids=lambda equation: equation["name"],
)
def test_every_equation_has_references_without_forcing(tmp_path, equation):
    # The homogeneous state 0 of Fisher's equation is unstable to negative values.
    waves = {"name": "RandomWaves", "wavenumbers": [1, 2]}
    bump = {"name": "RandomBump", "mean": [1.1, 1.2]}
    initial = bump if equation["name"] == "FisherKPP" else waves
    config = small(
        problem={"equation": equation, "initial": initial, "warm_up": 0.0},
        forcing=None,
        reference={"points": "auto"},
    )
    generate(config, tmp_path)
    path = store_path(tmp_path, "test", 32, averages=True)
    dataset = read_trajectories(path)
    assert not [name for name in dataset if "forcing" in str(name)]
    assert len(forcing_of(dataset)) == 2
    u = torch.tensor(dataset["u"].values)
    if equation["name"] == "Advection":
        modes = torch.fft.rfft(u)
        k = torch.arange(modes.shape[-1])
        moved = torch.fft.irfft(modes[:, 0] * torch.exp(-0.7j * k), n=32)
        torch.testing.assert_close(u[:, -1], moved, atol=1e-5, rtol=0)
    if equation["name"] != "FisherKPP":
        means = u.mean(-1)
        torch.testing.assert_close(
            means, means[:, :1].expand_as(means), atol=1e-12, rtol=0
        )


def test_times_are_the_decimals_that_one_would_write(run):
    dataset = read_trajectories(store_path(run, "test", 16, averages=True))
    for number in range(11):
        assert float(dataset["time"].sel(time=number / 10)) == number / 10
