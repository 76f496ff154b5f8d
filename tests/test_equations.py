import pytest
import torch
from helpers import observed_order, randomize, smooth_field
from problems import EXAMPLES

from stencilnet import (
    Advection,
    AdvectionDiffusion,
    ConservativeBurgers,
    FiniteDifference,
    GodunovBurgers,
    Grid,
    KortewegDeVries,
    KuramotoSivashinsky,
    LearnedStencil,
    PseudoSpectral,
    Weno,
)
from stencilnet.equations import (
    EQUATIONS,
    divergence,
    equation_from_spec,
    godunov_flux,
)
from stencilnet.equations.exact import Manufactured

every_equation = pytest.mark.parametrize(
    "equation", EXAMPLES, ids=lambda equation: type(equation).__name__
)
one_sided = [
    equation
    for equation in EXAMPLES
    if any(derivative.side for derivative in equation.requires.values())
]

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
    with pytest.raises(ValueError, match="viscosity is finite and positive"):
        ConservativeBurgers(viscosity)


def test_every_equation_has_an_example():
    assert [type(equation).__name__ for equation in EXAMPLES] == list(EQUATIONS)


@every_equation
def test_an_equation_survives_its_spec(equation):
    assert equation_from_spec(equation.spec()) == equation


def test_specs_that_fit_no_equation_are_refused():
    with pytest.raises(ValueError, match="no equation 'Burger'"):
        equation_from_spec({"name": "Burger"})
    with pytest.raises(ValueError, match="takes the parameters"):
        equation_from_spec({"name": "Advection", "viscosity": 1.0})


def test_an_equation_that_differs_by_sample_has_no_spec():
    equation = GodunovBurgers(torch.tensor([[0.1], [0.2]]))
    with pytest.raises(ValueError, match="viscosity of GodunovBurgers differs"):
        equation.spec()


def test_symbols_are_those_of_the_linear_part():
    k = torch.tensor([0.0, 1.0, 3.0])
    assert GodunovBurgers(0.5).symbol(k).tolist() == [0.0, -0.5, -4.5]
    assert Advection(2.0).symbol(k).imag.tolist() == [0.0, -2.0, -6.0]
    assert AdvectionDiffusion(2.0, 0.5).symbol(k).tolist() == [0, -0.5 - 2j, -4.5 - 6j]
    assert KortewegDeVries().symbol(k).tolist() == [0, 1j, 27j]
    assert KuramotoSivashinsky().symbol(k).tolist() == [0.0, 0.0, -72.0]


def test_a_negative_diffusivity_is_refused():
    with pytest.raises(ValueError, match="not negative"):
        AdvectionDiffusion(1.0, -0.1)


# The right-hand sides of `Manufactured` come from `flux` and `symbol`, those of stencil
# methods from `time_derivative`: the two descriptions of an equation have to agree.


@pytest.mark.parametrize("order", [2, 4, 6])
@every_equation
def test_finite_differences_reach_their_order_on_every_equation(order, equation):
    found = spatial_order(
        equation,
        lambda grid: FiniteDifference(equation, grid, order=order),
        (16, 32, 64, 128),
    )
    assert found == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize("order", [1, 3, 5])
@pytest.mark.parametrize("equation", one_sided, ids=lambda e: type(e).__name__)
def test_upwind_differences_reach_their_order_on_one_sided_forms(order, equation):
    found = spatial_order(
        equation,
        lambda grid: FiniteDifference(equation, grid, order=order),
        (64, 128, 256, 512),
    )
    # A viscous flux of one order more may still show beside the convective one.
    assert found == pytest.approx(order, abs=0.25)


@pytest.mark.parametrize("weights", ["Z", "JS"])
@pytest.mark.parametrize("equation", one_sided, ids=lambda e: type(e).__name__)
def test_weno_is_of_fifth_order_on_one_sided_forms(weights, equation):
    found = spatial_order(
        equation,
        lambda grid: Weno(equation, grid, weights=weights, viscous_order=6),
        (128, 256, 512),
    )
    assert 4.85 < found < 6.0


@every_equation
def test_the_spectral_method_is_exact_on_every_equation(equation):
    grid, wave = Grid.line(16), Manufactured()
    u = wave.of(grid, 0.3, averages=equation.averages)
    u_t = PseudoSpectral(equation, grid)(u)
    torch.testing.assert_close(u_t, wave.right_hand_side(equation, grid, 0.3))


@pytest.mark.parametrize("order", [1, 2, 3])
@every_equation
def test_learned_stencils_reach_their_order_on_every_equation(order, equation):
    def learned(grid):
        width = 8 if equation.averages else 9
        operator = LearnedStencil(
            equation, grid, width=width, order=order, hidden=(8,), seed=1
        )
        randomize(operator, 1)
        return operator

    assert spatial_order(equation, learned, (128, 256, 512)) > order - 0.15


@every_equation
def test_flux_forms_conserve_the_mean_with_any_weights(equation):
    grid = Grid.line(32)
    operator = LearnedStencil(equation, grid, width=6 + (not equation.averages))
    randomize(operator, 2)
    with torch.no_grad():
        u_t = operator(smooth_field(grid))
    drift = float((u_t.mean(-1).abs() / u_t.abs().mean(-1)).max())
    assert (drift < 1e-13) == equation.averages


def spatial_order(equation, make, sizes):
    wave = Manufactured()

    def error(points):
        grid = Grid.line(points)
        u = wave.of(grid, 0.3, averages=equation.averages)
        with torch.no_grad():
            u_t = make(grid)(u)
        return float((u_t - wave.right_hand_side(equation, grid, 0.3)).abs().mean())

    highest = max(derivative.order for derivative in equation.requires.values())
    finest = 2 * torch.pi / max(sizes)
    return observed_order(error, sizes, floor=1e-12 + 1e-14 / finest**highest)
