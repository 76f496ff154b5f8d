import pytest
import torch

from stencilnet import Advection, ConservativeBurgers, GodunovBurgers, Grid
from stencilnet.equations import (
    EQUATIONS,
    divergence,
    equation_from_spec,
    godunov_flux,
)

# Burgers' Riemann problems: left and right state, and the flux on the interface.
RIEMANN = [
    (1.0, 2.0, 0.5),  # rarefaction to the right takes the left state
    (-2.0, -1.0, 0.5),  # rarefaction to the left takes the right state
    (-1.0, 2.0, 0.0),  # the sonic point lies inside
    (2.0, 1.0, 2.0),  # shock to the right
    (-1.0, -2.0, 2.0),  # shock to the left
    (2.0, -1.0, 2.0),
    (1.0, -2.0, 2.0),
    (0.0, 0.0, 0.0),
]


@pytest.mark.parametrize(("left", "right", "flux"), RIEMANN)
def test_godunov_flux_solves_the_riemann_problem(left, right, flux):
    states = torch.tensor([left]), torch.tensor([right])
    assert float(godunov_flux(*states)) == flux


@pytest.mark.parametrize("state", [1.5, -1.5])
def test_godunov_flux_of_equal_states_differentiates_upwind(state):
    left = torch.tensor([state], requires_grad=True)
    right = torch.tensor([state], requires_grad=True)
    godunov_flux(left, right).sum().backward()
    upwind, other = (left, right) if state > 0 else (right, left)
    assert float(upwind.grad) == state
    assert float(other.grad) == 0


def test_divergence_telescopes():
    flux = torch.randn(4, 9, dtype=torch.float64)
    assert divergence(flux, Grid.line(9)).sum(-1).abs().max() < 1e-13


@pytest.mark.parametrize("viscosity", [0.0, -0.1, float("nan")])
def test_a_viscosity_that_is_not_positive_is_refused(viscosity):
    with pytest.raises(ValueError, match="positive viscosity"):
        ConservativeBurgers(viscosity)


@pytest.mark.parametrize("name", EQUATIONS)
def test_an_equation_survives_its_spec(name):
    equation = EQUATIONS[name](0.25)
    assert equation_from_spec(equation.spec()) == equation


def test_specs_that_fit_no_equation_are_refused():
    with pytest.raises(ValueError, match="no equation 'Burger'"):
        equation_from_spec({"name": "Burger"})
    with pytest.raises(ValueError, match="takes the parameters"):
        equation_from_spec({"name": "Advection", "viscosity": 1.0})


def test_symbols_are_those_of_the_linear_part():
    k = torch.tensor([0.0, 1.0, 3.0])
    assert GodunovBurgers(0.5).symbol(k).tolist() == [0.0, -0.5, -4.5]
    assert Advection(2.0).symbol(k).imag.tolist() == [0.0, -2.0, -6.0]
