"""What the discontinuous Galerkin method promises beyond the common contract."""

import math

import pytest
import torch
from helpers import observed_order, smooth_field
from problems import SmoothState

from stencilnet import (
    RK4,
    SSPRK3,
    Burgers,
    DiscontinuousGalerkin,
    Grid,
    RandomForcing,
    rollout,
)
from stencilnet.discretizations import classical
from stencilnet.equations import Advection, DecayingWave, KortewegDeVries

degrees = pytest.mark.parametrize("degree", [1, 2, 3])


def dg(degree, elements, equation=None):
    grid = Grid.line(elements * (degree + 1))
    return DiscontinuousGalerkin(equation or Burgers(0.1), grid, degree=degree)


def final_state(method, u0, duration):
    dt = 0.3 * method.stable_step(u0, RK4)
    times = torch.tensor([0.0, duration], dtype=torch.float64)
    with torch.no_grad():
        states = rollout(
            method, u0, times, integrator=RK4, steps=math.ceil(duration / dt)
        )
    return states[..., -1, :]


@degrees
def test_the_order_on_a_viscous_problem_is_the_degree_plus_one(degree):
    exact = DecayingWave(0.3)

    def error(elements):
        method = dg(degree, elements, Burgers(exact.viscosity))
        u = final_state(method, exact.averages(method.grid, 0.0), 0.5)
        return float((u - exact.averages(method.grid, 0.5)).square().mean().sqrt())

    assert observed_order(error, (8, 16, 32)) == pytest.approx(degree + 1, abs=0.3)


@degrees
@pytest.mark.parametrize("speed", [1.0, -1.5])
def test_the_order_on_advection_is_the_degree_plus_one(degree, speed):
    state = SmoothState()

    def error(elements):
        method = dg(degree, elements, Advection(speed))
        u = final_state(method, method.project(state.u), 1.0)
        exact = method.project(lambda x: state.u(x - speed))
        return float((u - exact).square().mean().sqrt())

    assert observed_order(error, (8, 16, 32)) > degree + 0.8


@degrees
def test_the_order_on_an_inviscid_wave_is_the_degree_plus_one(degree):
    # Characteristics have not crossed; so small a viscosity does nothing. The wave
    # nowhere changes its direction, which would delay the order.
    duration = 0.5

    def start(x):
        return 2 + x.sin()

    def wave(x):
        u = start(x)
        for _ in range(100):
            u = start(x - duration * u)
        return u

    def error(elements):
        method = dg(degree, elements, Burgers(1e-14))
        u = final_state(method, method.project(start), duration)
        return float((u - method.project(wave)).square().mean().sqrt())

    assert observed_order(error, (16, 32, 64)) == pytest.approx(degree + 1, abs=0.2)


@degrees
def test_the_mean_is_conserved(degree):
    method = dg(degree, 12)
    u = smooth_field(method.grid)
    u = u + torch.linspace(-1.0, 1.0, u.shape[-1], dtype=torch.float64)
    assert float(method(u).mean(-1).abs().max()) < 1e-13
    end = final_state(method, u, 0.5)
    torch.testing.assert_close(end.mean(-1), u.mean(-1), rtol=0, atol=1e-13)


@degrees
def test_eigenvalues_are_those_of_the_whole_jacobian(degree):
    method = dg(degree, 5)
    levels = torch.tensor([-0.7, 0.0, 1.2], dtype=torch.float64)
    found = method.eigenvalues(levels)
    assert found.shape == (3, method.grid.shape[-1])
    states = levels.unsqueeze(-1).repeat(1, method.grid.shape[-1])
    exact = torch.linalg.eigvals(method.jacobian(states))
    distance = (found.unsqueeze(-1) - exact.unsqueeze(-2)).abs()
    # Some are defective up to rounding, which moves them by its square root.
    scale = float(exact.abs().max())
    assert float(distance.amin(-1).max()) < 1e-5 * scale
    assert float(distance.amin(-2).max()) < 1e-5 * scale


@degrees
def test_steps_past_the_stable_one_grow(degree):
    method = dg(degree, 12)
    generator = torch.Generator().manual_seed(0)
    u = 0.7 + 1e-8 * torch.randn(
        method.grid.shape[-1], generator=generator, dtype=torch.float64
    )
    limit = method.stable_step(u, SSPRK3)
    for share, grows in ((0.98, False), (1.05, True)):
        times = torch.tensor([0.0, 200 * share * limit])
        with torch.no_grad():
            end = rollout(method, u, times, steps=200)[-1]
        assert (float((end - end.mean()).norm()) < 1e-6) is not grows


@degrees
def test_averages_over_parts_of_elements_fit_together(degree):
    method = dg(degree, 6)
    u = smooth_field(method.grid)
    torch.testing.assert_close(method.field(method.coefficients(u)), u)
    torch.testing.assert_close(method.element_averages(u, parts=degree + 1), u)
    whole = method.element_averages(u)
    torch.testing.assert_close(whole, u.unflatten(-1, (6, -1)).mean(-1))
    fine = method.element_averages(u, parts=7)
    torch.testing.assert_close(fine.unflatten(-1, (6, -1)).mean(-1), whole)
    with pytest.raises(ValueError, match="at least 1 part"):
        method.element_averages(u, parts=0)


@degrees
def test_a_projection_keeps_the_average_of_every_element(degree):
    state, method = SmoothState(), dg(degree, 8)
    projected = method.project(state.u)
    exact = state.field(method.grid, averages=True)
    torch.testing.assert_close(
        method.element_averages(projected), method.element_averages(exact)
    )
    assert float((projected - exact).abs().max()) > 1e-6
    # Projecting leaves the part that no polynomial of the degree sees.
    again = method.coefficients(method.project(lambda x: x.new_ones(x.shape)))
    torch.testing.assert_close(again[:, 0], torch.ones(8, dtype=torch.float64))
    assert float(again[:, 1:].abs().max()) < 1e-14


def projected(forcing, method):
    k = forcing.wavenumber.unsqueeze(-1)
    return forcing.carried_by(
        method.project(lambda x: (k * x).cos()), method.project(lambda x: (k * x).sin())
    )


@degrees
def test_a_projected_forcing_is_the_projection_of_the_forcing(degree):
    method = dg(degree, 8)
    forcing = RandomForcing.sample(3, modes=4, seed=1)

    def values(x):
        clock = (forcing.frequency * 1.7 + forcing.phase).unsqueeze(-1)
        wave = (clock + forcing.wavenumber.unsqueeze(-1) * x).sin()
        return (forcing.amplitude.unsqueeze(-1) * wave).sum(-2)

    found = projected(forcing, method)(1.7)
    torch.testing.assert_close(found, method.project(values))

    def difference(elements):
        method = dg(degree, elements)
        exact = forcing.on(method.grid, averages=True)(1.7)
        return float((projected(forcing, method)(1.7) - exact).abs().max())

    assert observed_order(difference, (32, 64, 128)) > degree + 0.8


@degrees
def test_gradients_flow_through_a_rollout(degree):
    method = dg(degree, 6)
    u0 = smooth_field(method.grid).requires_grad_()
    times = torch.tensor([0.0, 0.01])
    rollout(method, u0, times, steps=3).square().sum().backward()
    assert torch.isfinite(u0.grad).all()
    assert float(u0.grad.abs().max()) > 0


def test_settings_that_make_no_sense_are_refused():
    equation, grid = Burgers(0.1), Grid.line(16)
    for degree in (0, 4):
        with pytest.raises(ValueError, match=f"1, 2 or 3, not {degree}"):
            DiscontinuousGalerkin(equation, grid, degree=degree)
    with pytest.raises(ValueError, match="do not divide 16: use 15 or 18 points"):
        DiscontinuousGalerkin(equation, grid, degree=2)
    with pytest.raises(ValueError, match="do not divide 2: use 3 points"):
        DiscontinuousGalerkin(equation, Grid.line(2), degree=2)
    with pytest.raises(ValueError, match="KortewegDeVries has one of order 3"):
        DiscontinuousGalerkin(KortewegDeVries(), grid, degree=1)


@pytest.mark.parametrize("name", ["muscl", "dg1", "dg2", "dg3"])
def test_the_methods_are_known_by_name(name):
    method = classical(name, Burgers(0.1), Grid.line(24))
    assert method.equation == Burgers(0.1)
    assert method.element == (1 if name == "muscl" else int(name[-1]) + 1)
