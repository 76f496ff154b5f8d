import math

import pytest
import torch
from helpers import observed_order

from stencilnet import RK4, Euler, Heun, IntegratingFactor, Kutta3, RungeKutta
from stencilnet.integrators import INTEGRATORS


def forced(t, u):
    """`u_t = -u + cos t`: the forcing counts at the stage times."""
    return -u + math.cos(t)


def forced_solution(t):
    return (math.cos(t) + math.sin(t)) / 2 + 0.5 * math.exp(-t)


@pytest.mark.parametrize("name", INTEGRATORS)
def test_integrators_reach_their_order_on_a_forced_problem(name):
    method = INTEGRATORS[name]

    def error(steps):
        u, dt = torch.ones(1, dtype=torch.float64), 2 / steps
        for i in range(steps):
            u = method.step(forced, i * dt, u, dt)
        return abs(float(u) - forced_solution(2.0))

    assert observed_order(error, [40, 80, 160]) == pytest.approx(method.order, abs=0.1)


@pytest.mark.parametrize("method", [Euler, Heun, RK4])
def test_integrating_factors_reach_the_order_of_their_tableau(method):
    def error(steps):
        u, dt = torch.ones(1, dtype=torch.float64), 2 / steps
        scheme = IntegratingFactor(method, torch.tensor([-1.0]).double(), dt)
        for i in range(steps):
            u = scheme.step(lambda t, u: math.cos(t) + 0 * u, i * dt, u)
        return abs(float(u) - forced_solution(2.0))

    assert observed_order(error, [20, 40, 80]) == pytest.approx(method.order, abs=0.1)


def test_an_integrating_factor_is_exact_for_the_linear_part():
    symbol = torch.tensor([-1e4, -3.0, 2j], dtype=torch.complex128)
    scheme = IntegratingFactor(RK4, symbol, 0.7)
    u = scheme.step(lambda t, u: 0 * u, 0.0, torch.ones(3, dtype=torch.complex128))
    torch.testing.assert_close(u, torch.exp(symbol * 0.7))


def test_an_integrating_factor_needs_ordered_stage_times():
    backward = RungeKutta(a=((), (-0.5,)), b=(2.0, -1.0), order=1)
    with pytest.raises(ValueError, match="do not decrease"):
        IntegratingFactor(backward, torch.zeros(1), 0.1)


@pytest.mark.parametrize("name", INTEGRATORS)
def test_the_right_hand_side_is_evaluated_at_the_stage_times(name):
    seen = []

    def spy(t, u):
        seen.append(t)
        return 0 * u

    INTEGRATORS[name].step(spy, 10.0, torch.zeros(1), 2.0)
    assert seen == [10.0 + 2.0 * c for c in INTEGRATORS[name].c]


def test_stage_times_come_from_the_tableau_alone():
    odd = RungeKutta(a=((), (0.3,)), b=(0.5, 0.5), order=1)
    seen = []
    odd.step(lambda t, u: seen.append(t) or 0 * u, 0.0, torch.zeros(1), 1.0)
    assert seen == [0.0, 0.3]


@pytest.mark.parametrize("name", INTEGRATORS)
def test_amplification_is_what_a_step_does_to_a_linear_problem(name):
    z = torch.tensor([0.3 - 0.8j, -1.2 + 0.1j], dtype=torch.complex128)
    one = torch.ones_like(z)
    stepped = INTEGRATORS[name].step(lambda t, u: z * u, 0.0, one, 1.0)
    torch.testing.assert_close(INTEGRATORS[name].amplification(z), stepped)


def test_a_negative_step_undoes_a_positive_one():
    u = torch.ones(1, dtype=torch.float64)
    there = RK4.step(forced, 0.0, u, 0.01)
    back = RK4.step(forced, 0.01, there, -0.01)
    torch.testing.assert_close(back, u, atol=1e-11, rtol=0)


def test_inconsistent_tableaux_are_refused():
    with pytest.raises(ValueError, match="sum to 1"):
        RungeKutta(a=((),), b=(0.9,), order=1)
    with pytest.raises(ValueError, match="rows of length"):
        RungeKutta(a=((), (1.0, 1.0)), b=(0.5, 0.5), order=2)
    assert Kutta3.order == 3
