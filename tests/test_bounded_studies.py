"""Boundaries in configs, stores and stages."""

import json
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from studies import small
from typer.testing import CliRunner

from stencilnet import (
    Burgers,
    Grid,
    LearnedStencil,
    PseudoSpectral,
    RandomForcing,
    Weno,
    certify,
    compare,
    denoise,
    fit,
    generate,
    load_operator,
    read_trajectories,
    rollout,
    save_operator,
    simulate,
    train,
    write_trajectories,
)
from stencilnet.boundaries import (
    Boundary,
    Outflow,
    Prescribed,
    Wall,
    ZeroSlope,
    boundary_from_spec,
)
from stencilnet.cli.app import app
from stencilnet.denoising import relative_errors
from stencilnet.report import denoising_figure, snapshots, trajectories_table
from stencilnet.solver import RK4
from stencilnet.storage import grid_of, trajectories
from stencilnet.study import (
    InitialValueProblem,
    compare_denoisers,
    compare_study,
    store_path,
)
from stencilnet.study.bounded import coarse_averages, solution_of

BURGERS = Burgers(0.1)
WALLED = Grid.line(16, 2.0, boundaries=Wall())
THROUGH = Grid.line(16, 2.0, boundaries=(Prescribed(0.5), Outflow(degree=1)))
TIMES = torch.arange(7, dtype=torch.float64) * 0.1
QUICK = {"batch": 4, "horizon": (1, 2), "iterations": 4}
ENDS = {"left": {"name": "prescribed", "value": 0.5}, "right": "outflow"}


def data(grid=WALLED, samples=3):
    """Trajectories by WENO-Z."""
    rows = torch.arange(1, samples + 1).double().unsqueeze(-1)
    u0 = 0.3 + 0.2 * (rows * grid.points()).sin()
    u = rollout(Weno(BURGERS, grid), u0, TIMES, steps="stable")
    return trajectories(u, TIMES, grid, averages=True)


@pytest.mark.parametrize(
    "end", [Wall(), ZeroSlope(), Prescribed(-0.5), Outflow(), Outflow(degree=2)]
)
def test_boundaries_and_grids_follow_from_their_specs(end):
    assert boundary_from_spec(json.loads(json.dumps(end.spec()))) == end
    grid = Grid.line(8, 3.0, boundaries=(end, Wall()))
    assert Grid.from_spec(json.loads(json.dumps(grid.spec()))) == grid
    assert Grid.from_spec(Grid.line(8).spec()) == Grid.line(8)


def test_boundaries_that_are_none_are_named():
    for spec, words in (
        ("wal", "no boundary 'wal', did you mean 'wall'"),
        ({"value": 1.0}, "A boundary is a name, one of wall, zero_slope"),
        (3, "A boundary is a name"),
        ({"name": "wall", "value": 1.0}, "wall has no parameter 'value', it has none"),
        ({"name": "outflow", "degre": 1}, "did you mean 'degree'"),
        ({"name": "outflow", "degree": 31}, "at most 30"),
        ({"name": "prescribed"}, "prescribed lacks a parameter: 'value'"),
        ({"name": "prescribed", "value": "fast"}, "is a finite number"),
    ):
        with pytest.raises(ValueError, match=words):
            boundary_from_spec(spec)
    for value, kind in (
        (lambda t: t, "a function of time"),
        (torch.zeros(3, 1), "one value per sample"),
    ):
        grid = Grid.line(8, boundaries=Prescribed(value))
        with pytest.raises(ValueError, match=f"one number, not {kind}"):
            trajectories(np.zeros((3, 2, 8)), [0.0, 1.0], grid)


@pytest.mark.parametrize("grid", [WALLED, THROUGH], ids=["walls", "inflow"])
def test_stores_keep_boundaries(grid, tmp_path):
    path = write_trajectories(data(grid), tmp_path / "a.zarr")
    again = read_trajectories(path)
    assert grid_of(again) == grid
    assert "period" not in again["x"].attrs
    trajectories_table(again)
    again["x"].attrs["boundaries"] = '["wall"]'
    with pytest.raises(ValueError, match="'boundaries' of x must be JSON of two"):
        write_trajectories(again, tmp_path / "b.zarr")


@pytest.mark.parametrize("grid", [WALLED, THROUGH], ids=["walls", "inflow"])
def test_operators_are_fitted_stored_and_compared(grid, tmp_path):
    known = data(grid)
    learned = LearnedStencil(BURGERS, grid, mirror=True, scale=0.3)
    fit(learned, known, **QUICK)
    save_operator(learned, tmp_path / "a.zarr")
    again, _ = load_operator(tmp_path / "a.zarr")
    assert again.grid == grid
    methods = {"learned": again, "weno_z": Weno(BURGERS, grid)}
    result = compare(methods, known)
    assert "mean_drift" not in result
    assert float(result["relative_l2"].sel(scheme="weno_z").max()) < 1e-3
    # A domain with ends is not turned.
    drawn = snapshots(result).axes[0].lines[0].get_xdata()
    np.testing.assert_allclose(drawn, grid.points())
    # That of the even reflection, whose mean energy is that of the field.
    spectrum = result["reference_spectrum"].sel(scheme="learned")
    energy = 2 * spectrum.sum() - spectrum[0] - spectrum[-1]
    assert float(energy) == pytest.approx(float((known["u"] ** 2).mean()))
    assert float(result["k"][1]) == pytest.approx(np.pi / 2.0)
    certificate = certify(again, known, states=8)
    assert not {"mean_drift", "observed_order_u_t"} & set(certificate)
    assert float(certificate["moment_residual"].max()) < 1e-12
    with pytest.raises(ValueError, match="over 2 between Wall.* and Wall"):
        compare({"weno_z": Weno(BURGERS, WALLED)}, data(Grid.line(16, 2.0)))
    with pytest.raises(ValueError, match="do not follow from cell averages between"):
        compare({"central": PseudoSpectral(BURGERS, WALLED)}, data(WALLED))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A study between boundaries, generated and trained."""
    folder = tmp_path_factory.mktemp("bounded")
    config = study()
    generate(config, folder)
    train(config, folder)
    return folder


def study(boundaries=ENDS, **problem):
    return small(
        problem={
            "boundaries": boundaries,
            "initial": {"name": "Bump", "mean": 0.5, "height": 0.3, "width": 0.8},
            "warm_up": 0.0,
            "duration": 0.4,
            **problem,
        },
        reference={"points": 96, "tolerance": 1e-3},
        data={"averages": [16, 32], "values": []},
        comparison={"methods": ["weno_z", "muscl"]},
    )


@pytest.mark.long
def test_a_config_with_boundaries_runs_through_all_stages(run, tmp_path):
    config = study()
    left, right = Prescribed(0.5), Outflow()
    grid = Grid.line(16, boundaries=(left, right))
    coarse, fine = (
        read_trajectories(store_path(run, "test", points, averages=True))
        for points in (16, 32)
    )
    assert grid_of(coarse) == grid
    pairs = fine["u"].values.reshape(*coarse["u"].shape, 2)
    np.testing.assert_allclose(pairs.mean(-1), coarse["u"].values, atol=1e-14)
    assert 1e-9 < coarse.attrs["self_convergence"] < 1e-3
    assert load_operator(run / "operator.zarr")[0].grid == grid
    (result,) = compare_study(config, run)
    assert result["scheme"].values.tolist() == ["learned", "weno_z", "muscl"]
    assert float(result["relative_l2"].sel(scheme="weno_z").max()) < 0.05
    path = simulate(str(run / "operator.zarr"), tmp_path / "a.zarr", samples=2)
    there = read_trajectories(path)
    assert grid_of(there) == grid
    # The end keeps its value, whatever the forcing does.
    end = 1.5 * there["u"].values[..., 0] - 0.5 * there["u"].values[..., 1]
    assert np.abs(end - 0.5).max() < 0.02


def test_between_walls_the_reference_is_half_of_an_odd_periodic_solution():
    def states(grid):
        x = grid.points().unsqueeze(0)
        return 0.5 * (x / 2).sin() + 0.3 * x.sin()

    grid, times = Grid.line(96, boundaries=Wall()), TIMES[:3]
    problem = InitialValueProblem(BURGERS, states, RandomForcing.none(1), times)
    found = [coarse_averages(u, grid, 32) for u, _ in solution_of(problem, grid)]
    spectral = PseudoSpectral(BURGERS, grid)
    u = rollout(spectral, states(grid), times, integrator=RK4, steps=200)[0]
    modes = torch.fft.rfft(torch.cat([u, -u.flip(-1)], dim=-1))
    k = Grid.line(192, 4 * np.pi).wavenumbers()
    width = 3 * grid.spacing[-1]
    thirds = torch.fft.irfft(modes * torch.sinc(k * width / (2 * np.pi)))[:, 1:96:3]
    torch.testing.assert_close(torch.cat(found), thirds, rtol=0, atol=1e-7)


def test_simulations_take_boundaries_from_the_command_line(tmp_path):
    out = tmp_path / "a.zarr"
    run = CliRunner().invoke(
        app,
        [
            "simulate", "weno_z", str(out), "--config", "demo",
            "problem.boundaries={left: wall, right: {name: prescribed, value: 1}}",
            "--duration", "0.2", "--points", "32", "--quiet",
        ],
    )  # fmt: skip
    assert run.exit_code == 0, run.output
    assert grid_of(read_trajectories(out)).boundaries == (Wall(), Prescribed(1.0))


def test_configs_refuse_boundaries_that_cannot_be(tmp_path):
    with pytest.raises(ValueError, match="no boundary 'wal'"):
        generate(study({"left": "wal", "right": "wall"}), tmp_path)
    with pytest.raises(ValueError, match="data.averages instead of data.values"):
        config = study()
        values = config.data.model_copy(update={"values": (16,)})
        generate(config.model_copy(update={"data": values}), tmp_path)
    with pytest.raises(ValueError, match="symmetries of a periodic domain"):
        study(mirrored=True)
    with pytest.raises(ValueError, match="boundaries are those of both ends"):
        study({"left": "wall"})


def test_denoising_between_boundaries_joins_no_ends(tmp_path):
    ramp = np.linspace(0.0, 1.0, 16) * np.ones((1, 4, 1))
    path = tmp_path / "a.zarr"
    write_trajectories(trajectories(ramp, np.arange(4.0), WALLED), path)
    denoise(path, order=2, weight=1.0)
    np.testing.assert_allclose(read_trajectories(path)["u_denoised"], ramp, atol=1e-8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_filters_between_boundaries_join_no_ends(tmp_path, dtype):
    """Neither they nor slopes of what they leave, in the table and in the figure."""
    grid = Grid.line(32, 2.0, boundaries=Wall())
    ramp = (np.linspace(0.0, 1.0, 32) * np.ones((2, 4, 1))).astype(dtype)
    path = tmp_path / "a.zarr"
    write_trajectories(trajectories(ramp, np.arange(4.0), grid), path)
    denoise(path, noise=0.01, order=2, weight=1.0, seed=0)
    compared = compare_denoisers(path)
    spacing = grid.spacing[-1]
    # Of noise alone, as the exact slope is the same everywhere.
    noise = 0.01 * ramp.std()
    slope = compared["error"].sel(filter="none", quantity="u_x")
    assert float(slope) == pytest.approx(noise / spacing / 2**0.5, rel=0.2)
    errors = compared["error"].sel(quantity="u")
    assert float(errors.sel(filter="tikhonov")) < 0.4 * float(errors.sel(filter="none"))
    figure = denoising_figure(compared)
    for axis in figure.axes[len(figure.axes) // 2 :]:
        for line in axis.get_lines():
            drawn = np.asarray(line.get_ydata())
            assert np.isnan(drawn[[0, -1]]).all()
            assert np.nanmax(abs(drawn)) < (1 / 31 + 3 * noise) / spacing


def test_two_cells_between_ends_have_no_derivatives():
    u = np.random.default_rng(0).standard_normal((2, 3, 2))
    errors = relative_errors([u, u + 0.1], u, 0.5, periodic=False)
    assert errors[0, 0] == 0
    assert errors[1, 0] > 0
    assert np.isnan(errors[:, 1:]).all()


@pytest.mark.parametrize("shape", [(2, 3, 8), (0, 3, 8)], ids=["unknown", "empty"])
def test_what_is_not_there_has_no_errors(shape):
    clean = np.full(shape, np.nan)
    assert np.isnan(relative_errors([np.zeros(shape)], clean, 0.5)).all()


class Leaky(ZeroSlope):
    """A boundary of one's own, which no list of the package names."""

    def beyond(self, within, value):
        return 0.9 * within


def test_boundaries_of_ones_own_come_with_the_methods_that_have_them(tmp_path):
    """What is read names a class, which is that of the grids that are passed."""
    grid = Grid.line(16, 2.0, boundaries=(Leaky(), Wall()))
    path = write_trajectories(data(grid), tmp_path / "a.zarr")
    operator = LearnedStencil(BURGERS, grid)
    for source in (read_trajectories(path), path):
        fit(operator, source, **QUICK)
    fit(operator, path, memory=0.0, **QUICK)
    dataset = read_trajectories(path)
    methods = {"weno_z": Weno(BURGERS, grid), "learned": operator}
    errors = compare(methods, dataset)["relative_l2"].sel(method="weno_z")
    assert float(errors.max()) < 0.01
    certified = certify(operator, dataset, integrator=RK4, step=0.01)
    assert float(certified["moment_residual"].max()) < 1e-9
    with pytest.raises(ValueError, match="Leaky"):
        compare({"weno_z": Weno(BURGERS, WALLED)}, dataset)


@dataclass(frozen=True)
class Leak(Boundary):
    """A boundary with a parameter that it counts out itself."""

    rate: float
    half: float = field(init=False, default=0.5)

    def __post_init__(self):
        if not isinstance(self.rate, int | float):
            raise TypeError("the rate is a number")

    def continuation(self, ghosts, degree, *, averages):
        return torch.zeros(1, ghosts).double(), torch.zeros(ghosts).double()


def test_boundaries_of_ones_own_are_described_by_what_makes_them():
    leak = Leak(2.0)
    assert leak.spec() == {"name": "Leak", "rate": 2.0}
    assert boundary_from_spec(leak.spec(), [Leak]) == leak
    for spec, words in (
        ({"name": "Leak"}, "Leak lacks a parameter: 'rate'"),
        ({"name": "Leak", "rate": 1.0, "half": 1.0}, "no parameter 'half'"),
        ({"name": "Leak", "rate": "x"}, "Leak cannot be made: the rate is a number"),
    ):
        with pytest.raises(ValueError, match=words):
            boundary_from_spec(spec, [Leak])
