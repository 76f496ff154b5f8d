"""What the discontinuous Galerkin method promises beyond the common contract."""

import math

import numpy as np
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
from stencilnet.discretizations import SplitGalerkin, classical
from stencilnet.discretizations.dg_split import lobatto_nodes
from stencilnet.equations import (
    Advection,
    AdvectionDiffusion,
    DecayingWave,
    Equation,
    KortewegDeVries,
)

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
        u = final_state(method, exact.averages(method.grid, 0.0), 0.2)
        return float((u - exact.averages(method.grid, 0.2)).square().mean().sqrt())

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
    assert float(again[:, 1:].abs().max()) < 1e-13


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
    for degree in (0, 32):
        with pytest.raises(ValueError, match=f"from 1 to 31, not {degree}"):
            DiscontinuousGalerkin(equation, grid, degree=degree)
    with pytest.raises(ValueError, match="do not divide 16: use 15 or 18 points"):
        DiscontinuousGalerkin(equation, grid, degree=2)
    with pytest.raises(ValueError, match="do not divide 2: use 3 points"):
        DiscontinuousGalerkin(equation, Grid.line(2), degree=2)
    with pytest.raises(ValueError, match="KortewegDeVries has one of order 3"):
        DiscontinuousGalerkin(KortewegDeVries(), grid, degree=1)


@pytest.mark.parametrize(
    ("make", "degree", "sizes"),
    [
        (DiscontinuousGalerkin, 4, (6, 12)),
        (DiscontinuousGalerkin, 7, (3, 6)),
        (SplitGalerkin, 1, (32, 64)),
        (SplitGalerkin, 2, (16, 32)),
        (SplitGalerkin, 3, (16, 32)),
        (SplitGalerkin, 5, (6, 9)),
    ],
)
def test_high_degrees_and_the_split_form_have_the_order_of_the_degree(
    make, degree, sizes
):
    state, nu, duration = SmoothState(), 0.05, 0.2
    # Waves of the numbers 0, 1 and 2 travel and decay.
    decays = [math.exp(-nu * k**2 * duration) for k in (1, 2)]

    def end(x):
        wave = decays[0] * (x - duration).sin()
        return 0.2 + wave + 0.4 * decays[1] * (2 * (x - duration)).cos()

    def error(elements):
        grid = Grid.line(elements * (degree + 1))
        method = make(AdvectionDiffusion(1.0, nu), grid, degree=degree)
        u = final_state(method, method.project(state.u), duration)
        return float((u - method.project(end)).square().mean().sqrt())

    assert observed_order(error, sizes) > degree + 0.6


class Cubic(Equation):
    """A flux that Gauss quadrature of the Galerkin form does not integrate."""

    def __init__(self, viscosity=0.0):
        self.viscosity = viscosity

    def flux(self, u):
        return u**4 / 4

    def speed(self, u):
        return u**3

    def linear(self):
        return {2: self.viscosity}


def energy_rate(method, u):
    """`d/dt` of `sum w u**2 / 2` in the method's own quadrature."""
    if isinstance(method, SplitGalerkin):
        weights = torch.from_numpy(lobatto_nodes(method.degree)[1])
        values, rates = (
            method.coefficients(field) @ legendre_values(method.degree).T
            for field in (u, method(u))
        )
    else:
        weights = 2 / (2 * torch.arange(method.degree + 1) + 1).double()
        values, rates = method.coefficients(u), method.coefficients(method(u))
    return (weights * values * rates).sum((-2, -1))


def legendre_values(degree):
    nodes = lobatto_nodes(degree)[0]
    return torch.from_numpy(np.polynomial.legendre.legvander(nodes, degree))


@pytest.mark.parametrize("degree", [1, 2, 4, 7])
@pytest.mark.parametrize(
    ("make", "equation"),
    [
        (DiscontinuousGalerkin, Burgers(0.0)),
        (SplitGalerkin, Burgers(0.0)),
        (SplitGalerkin, Burgers(0.1)),
        (SplitGalerkin, Cubic()),
        (SplitGalerkin, Cubic(0.1)),
        (SplitGalerkin, Advection(-1.0)),
    ],
)
def test_energy_never_grows(make, equation, degree, generator):
    method = make(equation, Grid.line(6 * (degree + 1)), degree=degree)
    values = torch.randn(20, 6, degree + 1, generator=generator, dtype=torch.float64)
    rate = energy_rate(method, method.field(values))
    assert float(rate.max()) < 1e-9 * float(rate.abs().max())


def test_only_the_split_form_bounds_the_energy_under_any_flux(generator):
    grid = Grid.line(24)
    values = torch.randn(200, 6, 4, generator=generator, dtype=torch.float64)
    # Without upwinding only the volume terms are left to change the energy.
    equation = Cubic()
    equation.riemann = lambda left, right: mean_flux(left, right)
    plain = DiscontinuousGalerkin(equation, grid, degree=3)
    split = SplitGalerkin(equation, grid, degree=3)
    u = plain.field(values)
    assert float(energy_rate(split, u).abs().max()) < 1e-8
    assert float(energy_rate(plain, u).abs().max()) > 1e-3


def mean_flux(left, right):
    """Mean of `u**4 / 4` between two states, which conserves the energy."""
    return sum(left**m * right ** (4 - m) for m in range(5)) / 20


@pytest.mark.parametrize("degree", [1, 2, 3, 6])
def test_lobatto_nodes_integrate_and_sum_by_parts(degree):
    nodes, weights = lobatto_nodes(degree)
    assert nodes[0] == -1
    assert nodes[-1] == 1
    for m in range(2 * degree):
        exact = (1 - (-1.0) ** (m + 1)) / (m + 1)
        assert float((weights * nodes**m).sum()) == pytest.approx(exact, abs=1e-13)
    if degree == 3:
        assert nodes[1] == pytest.approx(-(0.2**0.5))
        assert weights.tolist() == pytest.approx([1 / 6, 5 / 6, 5 / 6, 1 / 6])


@pytest.mark.parametrize("degree", [1, 3])
def test_the_split_form_conserves_the_mean(degree):
    method = SplitGalerkin(Burgers(0.1), Grid.line(12 * (degree + 1)), degree=degree)
    u = smooth_field(method.grid)
    assert float(method(u).mean(-1).abs().max()) < 1e-13


@pytest.mark.parametrize("name", ["muscl", "dg1", "dg2", "dg3", "dg7", "dg3_split"])
def test_the_methods_are_known_by_name(name):
    method = classical(name, Burgers(0.1), Grid.line(24))
    assert method.equation == Burgers(0.1)
    assert method.element == (1 if name == "muscl" else int(name[2]) + 1)
