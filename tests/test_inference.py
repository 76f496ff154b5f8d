"""What inference mode leaves behind serves those who differentiate later."""

import sys

import pytest
import torch
from helpers import smooth_field

from stencilnet import Burgers, Grid, RandomForcing, rollout
from stencilnet.discretizations import Compact
from stencilnet.discretizations.pictures import Parabola
from stencilnet.solver import INTEGRATORS, ColeHopf


@pytest.fixture
def nothing_stored():
    """As in a process that has just begun: stored results of all modules are gone."""
    emptied = 0
    for name, module in list(sys.modules.items()):
        if name.startswith("stencilnet."):
            for value in list(vars(module).values()):
                if hasattr(value, "cache_clear"):
                    value.cache_clear()
                    emptied += 1
    assert emptied


def problem(integrator):
    """A method, a forcing and a first state that an integrator can take."""
    grid = Grid.line(16)
    exact = isinstance(integrator, ColeHopf)
    method = (Parabola if exact else Compact)(Burgers(0.1), grid)
    forcing = RandomForcing.sample(2, amplitude=0.3, wavenumbers=(1, 2), seed=1)
    force = forcing.on(grid, averages=method.averages)
    return method, force, smooth_field(grid, samples=2)


@pytest.mark.parametrize("integrator", INTEGRATORS.values(), ids=INTEGRATORS)
def test_a_step_is_differentiated_after_one_in_inference_mode(
    integrator, nothing_stored
):
    method, force, u0 = problem(integrator)
    step = integrator.bind(method, force)
    dt = 0.4 if isinstance(integrator, ColeHopf) else 0.01
    with torch.inference_mode():
        before = step(0.0, u0, dt).clone()
    found = []
    for bound in (step, integrator.bind(method, force)):
        state = u0.clone().requires_grad_()
        u = bound(0.0, state, dt)
        torch.testing.assert_close(u.detach(), before, rtol=1e-13, atol=1e-14)
        found.append(torch.autograd.grad(u.square().sum(), state)[0])
    torch.testing.assert_close(*found, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("integrator", INTEGRATORS.values(), ids=INTEGRATORS)
def test_a_step_that_is_bound_in_inference_mode_is_differentiated(integrator):
    dt = 0.4 if isinstance(integrator, ColeHopf) else 0.01
    method, force, u0 = problem(integrator)
    with torch.inference_mode():
        step = integrator.bind(method, force)
        step(0.0, u0, dt)
    state = u0.clone().requires_grad_()
    found = [
        torch.autograd.grad(bound(0.0, state, dt).square().sum(), state)[0]
        for bound in (step, integrator.bind(method, force))
    ]
    torch.testing.assert_close(*found, rtol=1e-13, atol=1e-14)


class Scaled:
    """A forcing that keeps the positions at which it is asked for."""

    def __init__(self, force, factor):
        self.force, self.factor = force, factor

    def __call__(self, t):
        return self.force(t)

    def within(self, positions):
        inner = self.force.within(positions)

        def at(t):
            integral, force, slope = inner(t)
            nothing = 0 * (self.factor * positions).sum()
            return integral + nothing, force, slope

        return at


def test_forcings_may_keep_the_positions_of_a_step_in_inference_mode():
    method, force, u0 = problem(ColeHopf())
    factor = torch.ones((), dtype=torch.float64, requires_grad=True)
    step = ColeHopf().bind(method, Scaled(force, factor))
    with torch.inference_mode():
        step(0.0, u0, 0.4)
    loss = step(0.0, u0, 0.4).square().sum()
    assert torch.autograd.grad(loss, factor)[0].isfinite()


def test_a_viscosity_is_learned_after_a_rollout_in_inference_mode(nothing_stored):
    nu = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
    grid, times = Grid.line(16), [0.0, 0.4]
    u0 = smooth_field(grid)
    method = Parabola(Burgers(nu), grid)

    def loss():
        return rollout(method, u0, times, integrator=ColeHopf()).square().sum()

    with torch.inference_mode():
        loss()
    slope = torch.autograd.grad(loss(), nu)[0]
    with torch.no_grad():
        nu.add_(1e-5)
        above = loss()
        nu.sub_(2e-5)
        assert slope.item() == pytest.approx(float(above - loss()) / 2e-5, rel=1e-6)
