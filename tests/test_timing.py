"""Measurements of error and time."""

import math

import pytest
import torch
from helpers import smooth_field

from stencilnet import Burgers, Grid, RandomForcing, rollout
from stencilnet.discretizations import MovingMesh, WenoParabola, classical
from stencilnet.solver import SSPRK3, STRANG, THREE_DRIFTS, ColeHopf
from stencilnet.study.timing import measure, measure_moving_mesh
from stencilnet.study.windows import Trajectories

GRID = Grid.line(16)
FORCING = RandomForcing.sample(2, amplitude=0.1, wavenumbers=(1, 2), seed=0)


def problem(method, *, intervals=12, interval=0.1, **settings):
    """What a method itself makes of a smooth state."""
    times = torch.arange(intervals + 1, dtype=torch.float64) * interval
    force = FORCING.on(GRID, averages=True)
    with torch.no_grad():
        u = rollout(method, smooth_field(GRID, samples=2), times, force, **settings)
    return Trajectories(u, times, GRID, FORCING, averages=True)


def test_a_method_that_solved_the_problem_has_no_error_but_rounding():
    method = classical("weno_z", Burgers(0.1), GRID)
    case = measure(
        "weno_z", method, problem(method, steps=2), integrator=SSPRK3, step=0.06,
        compile=False, repeats=3,
    )  # fmt: skip
    assert case.step == pytest.approx(0.05)
    assert case.evaluations == pytest.approx(3 / 0.05)
    assert case.error < 1e-5
    assert case.seconds > 0
    wrong = measure(
        "central", classical("upwind_1", Burgers(0.1), GRID), problem(method, steps=2),
        integrator=SSPRK3, step=0.06, compile=False, repeats=0,
    )  # fmt: skip
    assert wrong.error > 1e-2
    assert math.isnan(wrong.seconds)


@pytest.mark.parametrize(
    ("splitting", "step", "taken"),
    [(THREE_DRIFTS, 0.3, 0.3), (STRANG, 0.4 / 3, 0.4 / 3)],
)
def test_exact_evolution_takes_its_step_through_the_intervals(splitting, step, taken):
    method = WenoParabola(Burgers(0.1), GRID)
    case = measure(
        "exact", method, problem(method, integrator=ColeHopf()),
        integrator=ColeHopf(splitting), step=step, compile=False, repeats=0,
    )  # fmt: skip
    assert case.step == pytest.approx(taken)
    assert case.evaluations == pytest.approx(len(splitting.drifts) / taken)
    assert case.error < 0.05


class TestRefusals:
    def test_steps_that_never_meet_the_stored_times(self):
        method = WenoParabola(Burgers(0.1), GRID)
        exact = {"integrator": ColeHopf(), "compile": False, "repeats": 0}
        never = "do not meet the stored times"
        positive = "step must be positive"
        for step, message in (
            (math.pi, never), (math.inf, never), (-0.1, positive), (math.nan, positive)
        ):  # fmt: skip
            with pytest.raises(ValueError, match=message):
                measure("exact", method, problem(method, **{"integrator": ColeHopf()}),
                        step=step, **exact)  # fmt: skip

    def test_a_single_state(self):
        method = classical("weno_z", Burgers(0.1), GRID)
        with pytest.raises(ValueError, match="at least 2 times"):
            measure("weno_z", method, problem(method, intervals=0), integrator=SSPRK3,
                    step=0.1)  # fmt: skip


def test_a_moving_mesh_is_compared_on_the_grid_and_holds_places_too():
    equation, fine = Burgers(0.1), Grid.line(9 * 32)
    grid, times = Grid.line(32), torch.arange(4, dtype=torch.float64) * 0.1 + 0.5
    exact = rollout(
        WenoParabola(equation, fine),
        smooth_field(fine, samples=2),
        times,
        FORCING.on(fine, averages=True),
        integrator=ColeHopf(),
    )
    averages = exact.roll(4, -1).unflatten(-1, (32, 9)).mean(-1)
    case = measure_moving_mesh(
        "mesh", MovingMesh(equation, grid, FORCING, compression=4.0),
        Trajectories(averages, times, grid, FORCING, averages=True),
        exact[:, 0], share=0.8, compile=False, repeats=0,
    )  # fmt: skip
    assert (case.points, case.unknowns) == (32, 64)
    assert case.evaluations == pytest.approx(3 / case.step)
    assert case.error < 0.01
    assert math.isnan(case.seconds)
