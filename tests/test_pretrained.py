"""The operators that come with the package."""

import json
import math
import os
import sys
import time

import numpy as np
import pytest
import torch

from stencilnet import Burgers, Grid, RandomForcing, load_operator, rollout
from stencilnet.cli import main
from stencilnet.discretizations import LearnedPicture
from stencilnet.solver import ColeHopf
from stencilnet.study import certify, generate, read_split, simulate, verify
from stencilnet.study.loading import validate_config
from stencilnet.study.operators import habits, pretrained

NAMES = pretrained()
# Validation errors that a retrained operator must stay below, at its best step.
LARGEST = {
    ("burgers", "p1-128"): 2e-4,
    ("burgers", "p1-64"): 3e-4,
    ("burgers", "p1-32"): 4e-3,
    ("burgers", "p2-64"): 2e-4,
    ("burgers", "p2-32"): 7e-4,
    ("burgers", "p2-16"): 8e-3,
    ("burgers-p1-64", "p1-64"): 2.5e-4,
    ("burgers-p1-32", "p1-32"): 3e-3,
    ("burgers-p1-16", "p1-16"): 4e-2,
    ("burgers-p2-32", "p2-32"): 5e-4,
    ("burgers-p2-16", "p2-16"): 6e-3,
}


@pytest.fixture(scope="module")
def validation(tmp_path_factory):
    """The first two validation trajectories that an operator was measured on."""
    # All workers of a test run share what takes half a minute to generate.
    worker = "PYTEST_XDIST_WORKER" in os.environ
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if worker else base) / "pretrained"

    def of(stored, points):
        config = json.loads(stored.attributes["config"])
        config["data"] |= {"training": 1, "validation": 2, "test": 1}
        config["data"]["averages"] = [16, 32, 64]
        config = validate_config(config, "the stored config")
        run, done = shared / config.name, shared / f"{config.name}.done"
        try:
            run.mkdir(parents=True)
        except FileExistsError:
            end = time.monotonic() + 300
            while not done.exists() and time.monotonic() < end:
                time.sleep(0.2)
        else:
            generate(config, run)
            done.touch()
        return read_split(config, run, "validation", points, averages=True)

    return of


def test_there_is_one_for_all_regimes_and_one_for_each_grid():
    pictures = ["p1-64", "p1-32", "p1-16", "p2-32", "p2-16"]
    fluxes = [f"{grid}-flux" for grid in ("p1-64", "p1-32", "p2-32", "p2-16")]
    expected = {"burgers", *(f"burgers-{each}" for each in pictures + fluxes)}
    assert set(NAMES) == expected


@pytest.mark.long(seconds=20)
@pytest.mark.parametrize("name", NAMES)
def test_rolled_out_again_it_has_the_errors_of_its_certificate(name, validation):
    operator, stored = load_operator(name)
    data = validation(stored, operator.grid.shape[-1])
    integrator, step = habits(stored)
    again = certify(operator, data, integrator=integrator, step=step)
    np.testing.assert_allclose(
        again["relative_l2"], stored.certificate["relative_l2"][:2], rtol=1e-3
    )
    assert float(again["mean_drift"].max()) < 1e-12
    assert not again["blow_up"].any()
    if name.endswith("-flux"):
        assert operator.mirror
        assert float(again["moment_residual"].max()) < 1e-9
        return
    assert float(again["stencil_residual"]) < 1e-11
    assert float(again["boost_error"]) < 1e-7
    assert float(again["mirror_error"]) < 1e-6


@pytest.mark.parametrize("name", NAMES)
def test_a_store_says_where_it_comes_from(name):
    _, stored = load_operator(name)
    attributes = stored.attributes
    kind = "stencils" if name.endswith("-flux") else "pictures"
    assert attributes["command"].startswith(f"python simulations/train_{kind}.py")
    assert f" {name} " in attributes["command"]
    assert attributes["data_hash"]
    # Specialists continue the general one, whose seconds theirs include.
    begun = attributes.get("start")
    before = load_operator(begun)[1].attributes["seconds"] if begun in NAMES else 0
    assert attributes["seconds"] - before < 3600
    if kind == "stencils":
        trained = stored.history["validation_relative_l2"]
        assert attributes["validation_relative_l2"] == trained.min()
        return
    regimes = attributes["regimes"]
    errors = np.array([stored.history[f"validation {each}"] for each in regimes])
    gains = np.array([[attributes["untrained"][each]] for each in regimes]) / errors
    # The weights are those of the best mean gain.
    best = np.log(gains).mean(0).argmax()
    assert gains[:, best].min() > 1
    for grid in {regime.rsplit("-", 1)[0] for regime in regimes}:
        steps = [regime.startswith(f"{grid}-") for regime in regimes]
        # There viscosity resolves the solution, and the hybrid parabola has most of it.
        least = 1.2 if grid in ("p1-128", "p2-64") else 3
        assert gains[steps, best].max() > least, grid
        assert errors[steps, best].min() < LARGEST.get((name, grid), math.inf), grid


def test_the_command_shows_its_certificate(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["stencilnet", "verify", "burgers"])
    with pytest.raises(SystemExit) as caught:
        main()
    shown = capsys.readouterr().out
    assert caught.value.code == 0
    for row in ("largest moment residual", "mirror image of a step", "relative L2"):
        assert row in shown


def test_a_name_goes_wherever_a_store_goes(tmp_path):
    certificate = verify("burgers-p1-64")
    assert certificate["relative_l2"].mean() < 1e-3
    path = simulate("burgers-p1-32", tmp_path / "out.zarr", duration=0.6)
    assert path.exists()
    with pytest.raises(FileNotFoundError, match="burgers-p1-64"):
        load_operator("burgers-p1-46")


def test_the_general_one_serves_other_grids_viscosities_and_means():
    operator, stored = load_operator("burgers")
    assert isinstance(operator, LearnedPicture)
    assert len(stored.attributes["regimes"]) > 5
    fine = Grid.line(512)
    forcing = RandomForcing.sample(2, amplitude=0.3, wavenumbers=(2, 3), seed=5)
    times = torch.tensor([0.0, 0.8, 1.6], dtype=torch.float64)

    def solve(points, nu):
        grid = Grid.line(points)
        method = operator.on(grid, Burgers(nu))
        k = torch.tensor(1.0, dtype=torch.float64)
        damping = torch.sinc(k * grid.spacing[-1] / (2 * math.pi))
        u0 = (0.7 + damping * grid.points().sin()).repeat(2, 1)
        force = forcing.on(grid, averages=True)
        return rollout(method, u0, times, force, integrator=ColeHopf(), steps=2)

    with torch.no_grad():
        for nu in (0.01, 0.03):
            precise = solve(fine.shape[-1], nu)[:, -1]
            for points, most in ((32, 0.02), (64, 0.003)):
                ratio = fine.shape[-1] // points
                # Cell i of the coarse grid covers whole cells but for the outer halves.
                around = precise.roll(ratio // 2, -1).unflatten(-1, (points, ratio))
                outer = precise[..., ratio // 2 :: ratio]
                inner = precise.roll(ratio // 2, -1)[..., ::ratio]
                mean = (around.sum(-1) + (outer - inner) / 2) / ratio
                error = (solve(points, nu)[:, -1] - mean).norm() / mean.norm()
                assert error < most
