import json
import math

import numpy as np
import pytest
import torch
from helpers import smooth_field

from stencilnet import (
    ETDRK4,
    RK4,
    Burgers,
    FiniteDifference,
    Grid,
    PseudoSpectral,
    RandomForcing,
    rollout,
)
from stencilnet.solver import (
    Adaptive,
    BogackiShampine32,
    DormandPrince54,
    EmbeddedPair,
    solve_adaptively,
)

PAIRS = {"BS32": BogackiShampine32, "DP54": DormandPrince54}
HEUN_EULER = EmbeddedPair(
    a=((), (1.0,)), b=(0.5, 0.5), order=2, b_low=(1.0, 0.0), low_order=1
)


def burgers(samples=3):
    """Forced Burgers' equation, with samples of different stiffness."""
    grid = Grid.line(24)
    method = FiniteDifference(Burgers(0.1), grid, order=4)
    forcing = RandomForcing.sample(samples, seed=1)
    scale = torch.tensor([0.1, 1.0, 4.0], dtype=torch.float64)[:samples]
    return method, scale.unsqueeze(-1) * smooth_field(grid, samples=samples), forcing


def decaying(t):
    return t.cos()


def decay_error(pair, tolerance):
    """Error of `u_t = -u + cos t` at time 4."""
    solved = solve_adaptively(
        lambda u: -u,
        torch.ones(1, 1, dtype=torch.float64),
        torch.tensor([0.0, 4.0]),
        decaying,
        integrator=pair,
        steps=Adaptive(tolerance, tolerance),
    )
    exact = (math.cos(4) + math.sin(4)) / 2 + math.exp(-4) / 2
    return abs(float(solved.u[0, 1, 0]) - exact), int(solved.accepted)


@pytest.mark.parametrize("pair", [*PAIRS.values(), HEUN_EULER])
def test_the_error_follows_the_tolerance(pair):
    tolerances = (1e-4, 1e-5, 1e-6, 1e-7)
    errors, steps = zip(*(decay_error(pair, tol) for tol in tolerances), strict=True)
    for error, tolerance in zip(errors, tolerances, strict=True):
        assert error < 10 * tolerance
    # A thousandth of the tolerance, about a thousandth of the error.
    slope = math.log10(errors[0] / errors[-1]) / 3
    assert 0.7 < slope < 1.4
    # The number of steps grows as the tolerance to the power -1 / (low_order + 1).
    growth = math.log10(steps[-1] / steps[0]) / 3
    assert growth == pytest.approx(1 / (pair.low_order + 1), abs=0.1)


@torch.no_grad()
@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_adaptive_steps_find_the_solution_of_fixed_ones(pair):
    method, u0, forcing = burgers()
    times = torch.tensor([0.0, 0.3, 0.35, 1.2])
    force = forcing.on(method.grid, averages=True)
    exact = rollout(method, u0, times, force, integrator=RK4, steps=200)
    solved = solve_adaptively(method, u0, times, force, integrator=pair)
    torch.testing.assert_close(solved.u, exact, atol=1e-5, rtol=1e-5)
    assert solved.u.shape == (3, 4, 24)
    assert torch.equal(solved.u[:, 0], u0)
    # The stiffest sample takes more steps than the mildest.
    assert solved.accepted[2] > 1.5 * solved.accepted[0]


@torch.no_grad()
def test_a_sample_does_not_depend_on_the_others():
    method, u0, forcing = burgers()
    times = torch.linspace(0, 1, 4)

    def solve(rows):
        force = forcing.select(rows).on(method.grid, averages=True)
        return solve_adaptively(method, u0[rows], times, force)

    together = solve([0, 1, 2])
    for row in range(3):
        alone = solve([row])
        torch.testing.assert_close(alone.u[0], together.u[row], atol=1e-13, rtol=0)
        assert alone.accepted[0] == together.accepted[row]
        assert alone.rejected[0] == together.rejected[row]


def test_steps_end_at_the_kept_times_and_are_not_longer_than_needed():
    seen = []

    def spy(t):
        seen.append(t.clone())
        return torch.zeros(2, 3, dtype=torch.float64)

    u0 = torch.ones(2, 3, dtype=torch.float64)
    u0[1] *= 50
    times = torch.tensor([1.0, 1.7, 3.0], dtype=torch.float64)
    solved = solve_adaptively(lambda u: -(u**2) / 10, u0, times, spy)
    clock = torch.stack(seen)
    # As many rounds apart as they may be, both clocks read the kept times.
    for sample in range(2):
        for t in times.tolist():
            assert (clock[:, sample] == t).any()
    assert float(clock.max()) <= 3.0
    exact = u0.unsqueeze(1) / (1 + u0.unsqueeze(1) / 10 * (times - 1).unsqueeze(-1))
    torch.testing.assert_close(solved.u, exact, rtol=1e-5, atol=0)


@torch.no_grad()
def test_decreasing_times_integrate_backward():
    grid = Grid.line(16)
    method = PseudoSpectral(Burgers(1e-3), grid, averages=True)
    u0 = 0.3 * smooth_field(grid, samples=2)
    force = RandomForcing.sample(2, wavenumbers=(1, 2), seed=2).on(grid, averages=True)
    times = torch.linspace(0, 0.5, 3, dtype=torch.float64)
    steps = Adaptive(1e-10, 1e-12)
    forward = solve_adaptively(method, u0, times, force, steps=steps).u
    back = solve_adaptively(method, forward[:, -1], times.flip(0), force, steps=steps).u
    torch.testing.assert_close(back.flip(1), forward, atol=1e-8, rtol=0)


@pytest.mark.parametrize("pair", [DormandPrince54, HEUN_EULER], ids=["DP54", "HE21"])
def test_gradients_through_adaptive_steps_are_exact(pair):
    grid = Grid.line(8)
    force = RandomForcing.sample(2, modes=2, wavenumbers=(1,), seed=3).on(grid)
    tolerance = 1e-10 if pair is DormandPrince54 else 1e-4
    solutions = []

    def end(viscosity, u0):
        method = FiniteDifference(Burgers(viscosity), grid, order=2)
        solved = solve_adaptively(
            method,
            u0,
            torch.tensor([0.0, 0.2, 0.3]),
            force,
            integrator=pair,
            steps=Adaptive(tolerance, tolerance, first_step=0.2),
        )
        solutions.append(solved)
        return solved.u

    nu = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    u0 = smooth_field(grid, samples=2).requires_grad_()
    bound = 1e-6 if pair is DormandPrince54 else 3e-3
    assert torch.autograd.gradcheck(end, (nu, u0), atol=bound, rtol=1e-3)
    # The first step was too long: gradients also pass by rejected steps.
    assert (solutions[0].rejected > 0).all()


def test_a_rejected_step_that_overflows_does_not_reach_the_gradient():
    u0 = torch.tensor([[1.0], [12.0]], dtype=torch.float64, requires_grad=True)
    # From 12, the second stage of the first step lands where sinh is infinite.
    solved = solve_adaptively(
        lambda u: -u.sinh(),
        u0,
        torch.tensor([0.0, 1.0]),
        steps=Adaptive(first_step=0.5),
    )
    assert solved.rejected[1] > 0
    (slope,) = torch.autograd.grad(solved.u[:, 1].sum(), u0)
    # The sensitivity of an autonomous scalar equation follows u_t.
    u = solved.u[:, 1].detach()
    expected = u.sinh() / u0.detach().sinh()
    torch.testing.assert_close(slope, expected, rtol=1e-3, atol=0)


def test_a_blow_up_is_isolated():
    # u = u0 / (1 - u0 t) has a pole at 1 / u0.
    u0 = torch.tensor([[0.5], [2.0], [math.nan], [-1.0]], dtype=torch.float64)
    u0.requires_grad_()
    times = torch.tensor([0.0, 0.4, 0.6, 1.0], dtype=torch.float64)
    solved = solve_adaptively(lambda u: u**2, u0, times)
    exact = u0 / (1 - u0 * times)
    finite = solved.u[..., 0].isfinite()
    assert finite.tolist() == [
        [True] * 4,
        [True, True, False, False],
        [False] * 4,
        [True] * 4,
    ]
    found, expected = solved.u[..., 0][finite], exact[finite]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=0)
    # The gradients of those that go on stay clean.
    (slope,) = torch.autograd.grad(solved.u[[0, 3], -1].sum(), u0)
    torch.testing.assert_close(
        slope[[0, 3]], 1 / (1 - u0.detach()[[0, 3]]) ** 2, rtol=1e-4, atol=0
    )
    alone = solve_adaptively(lambda u: u**2, u0[:1], times)
    torch.testing.assert_close(alone.u, solved.u[:1])


@torch.no_grad()
def test_dtype_and_any_batch_are_kept():
    method, u0, _ = burgers()
    times = torch.tensor([0.0, 0.5])
    exact = solve_adaptively(method, u0, times).u
    single = solve_adaptively(method, u0.float(), times, steps=Adaptive(1e-5, 1e-6))
    assert single.u.dtype == torch.float32
    torch.testing.assert_close(single.u.double(), exact, atol=1e-4, rtol=1e-4)
    alone = solve_adaptively(method, u0[1], times)
    torch.testing.assert_close(alone.u, exact[1])
    assert alone.accepted.shape == ()
    nested = solve_adaptively(method, u0.reshape(1, 3, 1, 24), times)
    torch.testing.assert_close(nested.u.reshape(3, 2, 24), exact)
    assert nested.accepted.shape == (1, 3, 1)


def test_a_state_at_rest_and_a_single_time_need_no_special_care():
    zero = torch.zeros(2, 4, dtype=torch.float64)
    solved = solve_adaptively(lambda u: -u, zero, torch.tensor([0.0, 100.0]))
    assert torch.equal(solved.u[:, 1], zero)
    one = solve_adaptively(lambda u: -u, zero + 1, torch.tensor([3.0]))
    assert torch.equal(one.u[:, 0], zero + 1)
    assert one.accepted.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"relative": 0.0}, "positive relative"),
        ({"absolute": -1.0}, "positive absolute"),
        ({"first_step": math.nan}, "positive first_step"),
        ({"largest_step": math.inf}, "positive largest_step"),
        ({"max_steps": 0}, "positive max_steps"),
        ({"through": (0.5, math.nan)}, "finite"),
    ],
)
def test_steps_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Adaptive(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"integrator": RK4}, "error estimate"),
        ({"integrator": ETDRK4}, "error estimate"),
        ({"times": torch.tensor([0.0, 1.0, 1.0])}, "strictly"),
        ({"times": torch.tensor([0.0, math.nan])}, "1 of 2 are not"),
        ({"times": torch.tensor([])}, "at least the start"),
        ({"checkpoint": True}, "neither checkpointed nor compiled"),
        ({"compile": True}, "neither checkpointed nor compiled"),
    ],
)
def test_adaptive_rollouts_that_make_no_sense_are_refused(settings, message):
    arguments = {"times": torch.tensor([0.0, 1.0]), "steps": Adaptive(), **settings}
    with pytest.raises(ValueError, match=message):
        rollout(lambda u: -u, torch.ones(2, 3), **arguments)


def test_a_forcing_that_does_not_fit_is_refused():
    times = torch.tensor([0.0, 1.0])
    u0 = torch.zeros(3, 8, dtype=torch.float64)
    forcing = RandomForcing.sample(3, wavenumbers=(1,), seed=0)
    with pytest.raises(ValueError, match="on the state's grid"):
        solve_adaptively(lambda u: u, u0, times, forcing.on(Grid.line(9)))
    with pytest.raises(TypeError, match="convert one"):
        solve_adaptively(lambda u: u, u0.float(), times, forcing.on(Grid.line(8)))


def test_too_many_steps_name_the_sample_and_the_time():
    u0 = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    with pytest.warns(UserWarning, match=r"Sample 1 .* at time 0\.\d+ of"):
        solution = solve_adaptively(
            lambda u: -1e4 * u,
            u0,
            torch.tensor([0.0, 1.0]),
            steps=Adaptive(max_steps=200),
        )
    assert solution.u[0, -1].tolist() == [0.0]
    assert solution.u[1, -1].isnan().all()


def test_kept_times_do_not_disturb_the_steps():
    u0 = torch.tensor([[1.0, 0.0]], dtype=torch.float64)

    def oscillator(u):
        return torch.stack([u[..., 1], -u[..., 0]], dim=-1)

    free, kept = (
        solve_adaptively(oscillator, u0, torch.linspace(0, 40, count)).accepted
        for count in (2, 300)
    )
    assert int(kept) < 1.4 * max(int(free), 299)


def test_a_forcing_of_the_time_alone_means_the_same_to_both_rollouts():
    grid = Grid.line(4)
    times = torch.linspace(0, 1, 3, dtype=torch.float64)
    u0 = torch.zeros(4, 4, dtype=torch.float64)

    def travelling(t):
        return torch.sin(grid.points() - torch.as_tensor(t))

    fixed = rollout(torch.zeros_like, u0, times, travelling, integrator=RK4, steps=9)
    free = rollout(torch.zeros_like, u0, times, travelling, steps=Adaptive())
    torch.testing.assert_close(fixed, free, atol=1e-5, rtol=0)


def pulse(t):
    """An impulse of 0.5 between the times 0.5 and 0.51."""
    return torch.where((t > 0.5) & (t < 0.51), 50.0, 0.0).double()


@torch.no_grad()
@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize(
    "steps",
    [Adaptive(largest_step=0.004), Adaptive(through=(0.51, 0.5, 7.0))],
    ids=["largest step", "through"],
)
def test_a_short_pulse_of_forcing_is_not_skipped(steps, backward):
    times = torch.tensor([0.0, 1.0]).flip(0) if backward else torch.tensor([0.0, 1.0])
    u0 = torch.zeros(2, 3, dtype=torch.float64)
    impulse = -0.5 if backward else 0.5
    # By default the stages of all steps miss it.
    plain = rollout(torch.zeros_like, u0, times, pulse, steps=Adaptive())
    assert float(plain[:, -1].abs().max()) < 0.1
    end = rollout(torch.zeros_like, u0, times, pulse, steps=steps)[:, -1]
    torch.testing.assert_close(end, u0 + impulse, atol=1e-4, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_a_jump_at_a_listed_time_costs_no_rejected_step(pair):
    seen = []

    def jump(t):
        seen.append(t.flatten())
        # Of the value 7 at the very time, which nobody should see.
        values = torch.where(t < 0.3, 1.0, torch.where(t > 0.3, -2.0, 7.0))
        return values.double()

    steps = Adaptive(through=[0.3], first_step=0.1)
    times = torch.tensor([0.0, 1.0], dtype=torch.float64)
    solved = solve_adaptively(
        torch.zeros_like,
        torch.zeros(1, 1).double(),
        times,
        jump,
        integrator=pair,
        steps=steps,
    )
    assert not (torch.cat(seen) == 0.3).any()
    assert int(solved.rejected) == 0
    assert float(solved.u[0, -1, 0]) == pytest.approx(0.3 - 2 * 0.7, abs=1e-12)


@torch.no_grad()
def test_no_step_is_longer_than_the_largest():
    seen = []

    def calm(t):
        seen.append(float(t))
        return torch.zeros(1, 1, dtype=torch.float64)

    one = torch.ones(1, 1, dtype=torch.float64)
    times = torch.tensor([0.0, 1.0], dtype=torch.float64)
    steps = Adaptive(largest_step=0.07, first_step=0.5)
    solved = solve_adaptively(torch.zeros_like, one, times, calm, steps=steps)
    assert int(solved.accepted) == 15
    for n in range(15):
        assert any(abs(t - 0.07 * n) < 1e-9 for t in seen)


def test_steps_have_a_spec_that_builds_them_again():
    steps = Adaptive(1e-4, through=[1, 2.5], largest_step=0.1)
    settings = steps.spec()
    assert settings.pop("kind") == "adaptive"
    assert Adaptive(**settings) == steps
    assert json.loads(json.dumps(steps.spec())) == steps.spec()


@pytest.mark.usefixtures("unchecked_types")
def test_steps_take_numbers_of_numpy():
    steps = Adaptive(np.float32(1e-3), max_steps=np.int64(7), through=np.ones(1))
    assert json.loads(json.dumps(steps.spec())) == steps.spec()
    decaying = rollout(
        lambda u: -u, [1.0], [0.0, 1.0], integrator=RK4, steps=np.int64(9)
    )
    assert float(decaying[-1]) == pytest.approx(math.exp(-1), abs=1e-5)


def test_a_forcing_for_one_clock_is_told_about_the_clocks_of_samples():
    def force(t):
        return torch.full((2, 3), math.sin(t), dtype=torch.float64)

    u0, times = torch.zeros(2, 3, dtype=torch.float64), torch.tensor([0.0, 1.0])
    with pytest.raises(TypeError, match=r"t\.sin\(\) for math\.sin\(t\)"):
        rollout(lambda u: -u, u0, times, force, steps=Adaptive())
    # One sample has one clock, which converts.
    end = rollout(lambda u: -u, u0[:1], times, lambda t: force(t)[:1], steps=Adaptive())
    exact = (math.sin(1) - math.cos(1) + math.exp(-1)) / 2
    torch.testing.assert_close(
        end[0, -1], torch.full((3,), exact).double(), rtol=1e-5, atol=0
    )


def test_an_error_of_the_forcing_is_passed_on():
    def force(t):
        raise RuntimeError("the file of the forcing is gone")

    u0, times = torch.zeros(2, 3, dtype=torch.float64), torch.tensor([0.0, 1.0])
    for steps in (1, Adaptive()):
        with pytest.raises(RuntimeError, match="file of the forcing is gone"):
            rollout(lambda u: -u, u0, times, force, steps=steps)
