"""Exact solutions solve their equations, and their averages are averages."""

import pytest
import torch
from helpers import observed_order
from problems import EXAMPLES, case_name

from stencilnet import (
    RK4,
    Burgers,
    Convective,
    FiniteDifference,
    Grid,
    PseudoSpectral,
    Weno,
    rollout,
)
from stencilnet.equations import (
    AdvectionDiffusion,
    DecayingWave,
    KortewegDeVries,
    Manufactured,
    MovingShock,
    Solitons,
    Steepening,
    TravellingWave,
)
from stencilnet.solver import Euler, Heun

# The solution, its equation, a grid that resolves it, and a time.
SMOOTH = {
    "Cole-Hopf": (DecayingWave(0.3), Burgers(0.3), Grid.line(64), 0.4),
    "wave": (
        TravellingWave(1.3, 0.2, wavenumber=2.0),
        AdvectionDiffusion(1.3, 0.2),
        Grid.line(16),
        0.7,
    ),
    "steepening": (Steepening(), Burgers(0.0), Grid.line(128), 0.5),
    "soliton": (
        Solitons((1.5,), (25.0,)),
        KortewegDeVries(),
        Grid.line(256, 50.0),
        0.3,
    ),
    "two solitons": (
        Solitons((1.5, 1.0), (35.0, 40.0)),
        KortewegDeVries(),
        Grid.line(400, 80.0),
        2.0,
    ),
}
smooth = pytest.mark.parametrize(
    ("solution", "equation", "grid", "t"), SMOOTH.values(), ids=SMOOTH.keys()
)


@smooth
@pytest.mark.parametrize("averages", [False, True])
def test_solutions_solve_their_equations(solution, equation, grid, t, averages):
    def u(at):
        return solution.of(grid, at, averages=averages)

    # A centred difference of eighth order in time.
    h = 2e-3
    weights = (4 / 5, -1 / 5, 4 / 105, -1 / 280)
    u_t = sum(
        weight * (u(t + i * h) - u(t - i * h)) / h
        for i, weight in enumerate(weights, start=1)
    )
    found = PseudoSpectral(equation, grid, averages=averages)(u(t))
    torch.testing.assert_close(found, u_t, rtol=0, atol=1e-9)


EVERY = {
    **SMOOTH,
    "shock": (MovingShock(-0.3, 1.0), Burgers(0.0), Grid.line(48), 1.5),
    "block": (MovingShock(-0.3, 1.0), Burgers(0.0), Grid.line(48), 0.0),
    "manufactured": (Manufactured(), None, Grid.line(16), 0.3),
}


@pytest.mark.parametrize(
    ("solution", "equation", "grid", "t"), EVERY.values(), ids=EVERY.keys()
)
def test_averages_are_means_over_cells(solution, equation, grid, t):
    # Midpoints of 1001 parts of each cell, an odd number so that the centres meet.
    parts = 1001
    fine = Grid.line(grid.shape[-1] * parts, grid.extent[-1])
    values = solution.values(fine, t).roll(parts // 2)
    means = values.unflatten(0, (-1, parts)).mean(-1)
    jumps = isinstance(solution, MovingShock)
    averages = solution.averages(grid, t)
    torch.testing.assert_close(averages, means, rtol=0, atol=2e-3 if jumps else 1e-5)


def test_solitons_pass_through_each_other():
    pair = Solitons((1.5, 1.0), (20.0, 35.0))
    grid = Grid.line(288, 80.0)
    u0 = pair.values(grid, 0.0)
    assert float(u0.max()) == pytest.approx(1.5**2 / 2, rel=1e-2)
    end = pair.values(grid, 20.0)
    assert int(u0.argmax()) < int((grid.points() - 35).abs().argmin())
    small = grid.points() < grid.points()[end.argmax()] - 5
    assert float(end[small].max()) == pytest.approx(0.5, rel=1e-2)


def test_weno_keeps_the_shock_where_it_belongs():
    shock = MovingShock(-0.3, 1.0)
    errors = []
    for points in (64, 128, 256):
        grid = Grid.line(points)
        times = torch.tensor([0.0, 1.0], dtype=torch.float64)
        weno = Weno(Burgers(0.0), grid)
        u0 = shock.averages(grid, 0.0)
        end = rollout(weno, u0, times, steps=points)[-1]
        assert float(end.mean()) == pytest.approx(float(u0.mean()), abs=1e-13)
        steepest = grid.points()[(end.roll(-1) - end).argmin()] + grid.spacing[-1] / 2
        assert float(steepest) == pytest.approx(shock.front(1.0), abs=grid.spacing[-1])
        error = (end - shock.averages(grid, 1.0)).abs().mean()
        errors.append(float(error))
    # A jump smeared over a fixed number of cells.
    assert errors[0] / errors[2] > 2.5


@pytest.mark.parametrize("integrator", [Euler, Heun, RK4])
@pytest.mark.parametrize("averages", [False, True])
@pytest.mark.parametrize("equation", EXAMPLES, ids=case_name)
def test_manufactured_solutions_stay_under_their_forcing(
    integrator, equation, averages
):
    wave, grid = Manufactured(), Grid.line(12)
    method = PseudoSpectral(equation, grid, averages=averages)
    forcing = wave.forcing(equation, grid, averages=averages)
    u0 = wave.of(grid, 0.0, averages=averages)
    limit = method.stable_step(u0, integrator)
    duration = min(0.5, 20 * limit) if integrator is not Euler else min(0.1, limit)
    times = torch.tensor([0.0, duration], dtype=torch.float64)

    def error(steps):
        with torch.no_grad():
            end = rollout(
                method, u0, times, forcing, integrator=integrator, steps=steps
            )[-1]
        exact = wave.of(grid, float(times[-1]), averages=averages)
        return float((end - exact).abs().max())

    found = observed_order(error, (40, 80), floor=1e-14)
    assert found == pytest.approx(integrator.order, abs=0.15)


def test_questions_past_the_validity_of_a_solution_are_refused():
    with pytest.raises(ValueError, match="Characteristics cross"):
        Steepening().values(Grid.line(8), 1.0)
    with pytest.raises(ValueError, match="caught up"):
        MovingShock().averages(Grid.line(8), 5.0)


def test_finite_differences_carry_a_wave():
    wave = TravellingWave(1.3, 0.2)

    def error(points):
        grid = Grid.line(points)
        method = FiniteDifference(
            AdvectionDiffusion(1.3, 0.2), grid, order=4, form=Convective
        )
        times = torch.tensor([0.0, 0.5], dtype=torch.float64)
        u = rollout(method, wave.values(grid, 0.0), times, integrator=RK4, steps=200)
        return float((u[-1] - wave.values(grid, 0.5)).abs().max())

    assert observed_order(error, (16, 32)) == pytest.approx(4, abs=0.15)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Solitons((1.0, 1.0), (0.0, 5.0)), "distinct"),
        (lambda: Solitons((1.0,), (0.0, 5.0)), "one centre each"),
        (lambda: Solitons((-1.0,), (0.0,)), "positive"),
        (lambda: Steepening(amplitude=0.0), "positive amplitude"),
        (lambda: MovingShock(low=1.0, high=0.5), "low < high"),
        (lambda: MovingShock().averages(Grid.line(8), 7.0), "beyond the period"),
        (lambda: MovingShock().values(Grid.line(8), -1.0), "beyond the period"),
        (lambda: DecayingWave().values(Grid.line(8, 1.0), 0.0), "period 2 pi"),
    ],
)
def test_solutions_that_are_none_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_wave_without_a_wavenumber_is_constant():
    wave = TravellingWave(1.0, wavenumber=0.0)
    assert wave.averages(Grid.line(4), 0.3).tolist() == [0.2] * 4
