"""Pictures of a cell in comparisons and simulations."""

import math

import numpy as np
import pytest
import torch
from helpers import smooth_field
from studies import generated, small

from stencilnet import (
    Burgers,
    Grid,
    RandomForcing,
    compare,
    generate,
    read_trajectories,
)
from stencilnet.discretizations import (
    PICTURES,
    WenoParabola,
    classical,
    truncation_floor,
)
from stencilnet.report import markdown_table, summarize
from stencilnet.report.columns import error_text
from stencilnet.solver import FIVE_DRIFTS, SSPRK3, ColeHopf, rollout
from stencilnet.study import simulate, store_path
from stencilnet.study.following import follow, shortened, usual_integrator


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("following")
    generated(folder)
    return folder


def test_long_steps_reach_every_time_by_steps_from_their_own_start():
    grid, burgers = Grid.line(32), Burgers(0.05)
    method = WenoParabola(burgers, grid)
    forcing = RandomForcing.sample(3, modes=3, wavenumbers=(1, 2), seed=0)
    force = forcing.on(grid, averages=True)
    u0 = smooth_field(grid, samples=3)
    times = torch.arange(9, dtype=torch.float64) * 0.1 + 0.3
    u, step = follow(method, u0, times, forcing, integrator=ColeHopf(), step=0.35)
    assert step == pytest.approx(0.3)
    for index in range(len(times)):
        # Whole steps of three intervals, then one step for the rest.
        whole = [0.3 + 0.3 * number for number in range(index // 3 + 1)]
        path = torch.tensor(whole, dtype=torch.float64)
        alone = rollout(method, u0, path, force, integrator=ColeHopf())[:, -1]
        if index % 3:
            rest = torch.stack([path[-1], times[index]])
            few = shortened(ColeHopf(), index % 3 / 3)
            alone = rollout(method, alone, rest, force, integrator=few)[:, -1]
        torch.testing.assert_close(u[:, index], alone, atol=1e-11, rtol=0)


def test_other_integrators_take_equal_steps_within_intervals():
    grid = Grid.line(32)
    method = classical("weno_z", Burgers(0.05), grid)
    forcing = RandomForcing.none(2)
    u0, times = smooth_field(grid, samples=2), torch.linspace(0, 1, 3).double()
    u, step = follow(method, u0, times, forcing, integrator=SSPRK3, step=0.03)
    assert step == pytest.approx(0.5 / math.ceil(0.5 / 0.03))
    plain = rollout(method, u0, times, forcing.on(grid, averages=True), steps=17)
    torch.testing.assert_close(u, plain)
    assert usual_integrator(method) is SSPRK3


def test_pictures_are_compared_beside_other_methods(run):
    reference = read_trajectories(store_path(run, "test", 32, averages=True))
    names = ["weno_z", *PICTURES]
    methods = {name: classical(name, Burgers(0.1), Grid.line(32)) for name in names}
    result = compare(methods, reference)
    errors = result["relative_l2"].mean("sample")
    assert float(errors.max()) < 0.02
    assert float(errors.sel(scheme="exact_weno")) < float(errors.sel(scheme="weno_z"))
    assert not result["blow_up"].any()
    assert float(result["mean_drift"].max()) < 1e-12


def test_pictures_are_simulated(run, tmp_path):
    ends = {}
    for method in ("exact_weno", "weno_z"):
        path = simulate(method, tmp_path / method, config=small(), points=32)
        dataset = read_trajectories(path)
        ends[method] = dataset["u"].values[:, -1]
    assert np.abs(ends["exact_weno"] - ends["weno_z"]).max() < 0.02


def test_spectral_rows_have_the_error_of_the_truncated_solution_beside_them(tmp_path):
    generate(small(data={"averages": [16, 64], "values": [16, 64]}), tmp_path)

    def store(points, averages):
        return read_trajectories(
            store_path(tmp_path, "test", points, averages=averages)
        )

    grid, fine = Grid.line(16), Grid.line(64)
    names = ["weno_z", "spectral_averages", "spectral_filtered", "spectral"]
    methods = {name: classical(name, Burgers(0.1), grid) for name in names}
    result = compare(methods, store(16, True), values=store(16, False))
    for name in names[1:]:
        averages = methods[name].averages
        u = torch.tensor(store(64, averages)["u"].values)
        expected = truncation_floor(u, fine, grid, averages=averages)
        floor = torch.tensor(result["floor"].sel(scheme=name).values)
        torch.testing.assert_close(floor, expected, rtol=1e-6, atol=0)
        # No spectral method on this grid does better.
        assert (result["relative_l2"].sel(scheme=name).values > floor.numpy()).all()
    rows = {row["method"]: row["floor"] for row in summarize([result])}
    assert rows["weno_z"] is None
    assert rows["spectral"] > 0
    header, _, *lines = markdown_table([result]).splitlines()
    column = header.split(" | ").index("floor")
    cells = [line.split(" | ")[column].strip() for line in lines]
    assert cells == ["", *(error_text(rows[name]) for name in names[1:])]
    # A part of the trajectories has a floor of its own; without spectral ones none has.
    late = {"time": slice(5, None)}
    part = compare(
        methods, store(16, True).isel(late), values=store(16, False).isel(late)
    )
    assert float(part["floor"].sel(scheme="spectral").mean()) != rows["spectral"]
    assert "floor" not in compare({"weno_z": methods["weno_z"]}, store(16, True))


def test_short_steps_take_few_drifts():
    usual = ColeHopf(FIVE_DRIFTS, nodes=9)
    counts = {
        share: len(shortened(usual, share).splitting.drifts)
        for share in (0.05, 0.1, 0.15, 0.2, 0.25, 0.45, 0.65, 0.85)
    }
    assert list(counts.values()) == [1, 1, 2, 2, 2, 3, 4, 5]
    assert shortened(usual, 0.9) is usual
    assert shortened(usual, 0.1).nodes == 9
