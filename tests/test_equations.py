from dataclasses import dataclass

import pytest
import torch
from helpers import observed_order, randomize, smooth_field
from problems import CASES, EXAMPLES, case_name

from stencilnet import (
    MLP,
    Burgers,
    CentralFlux,
    Convective,
    Equation,
    FiniteDifference,
    Grid,
    LearnedStencil,
    NullSpace,
    PseudoSpectral,
    UpwindFlux,
    Weno,
    rollout,
)
from stencilnet.equations import (
    EQUATIONS,
    AdvectionDiffusion,
    KortewegDeVries,
    KuramotoSivashinsky,
    Manufactured,
    divergence,
    equation_from_spec,
)
from stencilnet.equations.burgers import godunov_flux

every_equation = pytest.mark.parametrize(
    "equation", EXAMPLES, ids=lambda equation: type(equation).__name__
)
every_case = pytest.mark.parametrize(("equation", "form"), CASES, ids=case_name)
one_sided = pytest.mark.parametrize(
    "equation",
    # Rounding of fourth derivatives hides high orders on fine grids.
    [e for e in EXAMPLES if e.has_flux and max(e.linear(), default=1) < 4],
    ids=case_name,
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


def test_divergence_telescopes(generator):
    flux = torch.randn(4, 9, generator=generator, dtype=torch.float64)
    assert divergence(flux, Grid.line(9)).sum(-1).abs().max() < 1e-13


def test_divergence_is_the_mean_slope_of_a_flux_at_right_faces():
    grid = Grid.line(9, 3.0)
    dx, k = grid.spacing[-1], 2 * torch.pi / 3
    flux = (k * (grid.points() + dx / 2)).sin()
    mean = (
        k * (k * grid.points()).cos() * torch.sinc(torch.tensor(k * dx / 2 / torch.pi))
    )
    torch.testing.assert_close(divergence(flux, grid), mean.double())


@pytest.mark.parametrize("viscosity", [-0.1, float("nan"), float("inf")])
def test_a_viscosity_that_is_negative_or_not_finite_is_refused(viscosity):
    with pytest.raises(ValueError, match="viscosity is finite and not negative"):
        Burgers(viscosity)


@dataclass(frozen=True)
class Cubic(Equation):
    """A flux without its speed."""

    def flux(self, u):
        return u**3 / 3


def test_a_viscosity_may_be_mapped_over():
    """`vmap` hides values, so that only the shape is checked."""
    grid, times = Grid.line(16), torch.tensor([0.0, 0.1])
    u0 = smooth_field(grid)[:1]
    viscosities = torch.tensor([0.05, 0.1, 0.2], dtype=torch.float64)

    def end(viscosity):
        method = FiniteDifference(Burgers(viscosity), grid)
        return rollout(method, u0, times, steps=4)[:, -1]

    mapped = torch.func.vmap(end)(viscosities)
    alone = torch.stack([end(viscosity) for viscosity in viscosities])
    torch.testing.assert_close(mapped, alone, atol=1e-14, rtol=1e-12)
    slopes = torch.func.vmap(torch.func.grad(lambda nu: end(nu).square().sum()))
    expected = [
        torch.func.grad(lambda nu: end(nu).square().sum())(nu) for nu in viscosities
    ]
    torch.testing.assert_close(slopes(viscosities), torch.stack(expected))
    with pytest.raises(ValueError, match="add an axis, as in value"):
        torch.func.vmap(end)(viscosities.expand(2, 3))


def test_a_flux_without_a_speed_is_refused_where_one_is_needed():
    with pytest.raises(ValueError, match=r"neither riemann.* nor speed.*CentralFlux"):
        Weno(Cubic(), Grid.line(16))
    with pytest.raises(ValueError, match=r"has no speed\(u\)"):
        FiniteDifference(Cubic(), Grid.line(16), form=Convective)
    FiniteDifference(Cubic(), Grid.line(16))


@pytest.mark.parametrize(
    "make",
    [
        lambda: UpwindFlux(Cubic()),
        lambda: FiniteDifference(Cubic(), Grid.line(16), order=3),
        lambda: LearnedStencil(Cubic(), Grid.line(16), form=UpwindFlux),
    ],
    ids=["form", "odd order", "learned"],
)
def test_the_upwind_form_needs_a_numerical_flux_or_a_speed(make):
    with pytest.raises(ValueError, match="Cubic has neither riemann") as caught:
        make()
    sentence = str(caught.value)
    assert "define one, or take form=CentralFlux" in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence


def test_a_numerical_flux_replaces_the_speed():
    class Upwind(Cubic):
        def riemann(self, left, right):
            return self.flux(left)

    grid = Grid.line(64)
    u = 1.2 + 0.5 * grid.points().sin()
    method = FiniteDifference(Upwind(), grid, order=1)
    flux = u**3 / 3
    torch.testing.assert_close(method(u), -divergence(flux, grid))


@pytest.mark.parametrize("order", [0, -1, 1.5])
def test_orders_of_a_linear_part_that_are_none_are_refused(order):
    class Odd(Equation):
        def linear(self):
            return {order: 1.0}

    with pytest.raises(ValueError, match="whole numbers from 1 on"):
        CentralFlux(Odd())


def test_every_equation_has_an_example():
    assert {type(equation).__name__ for equation in EXAMPLES} == set(EQUATIONS)


@every_equation
def test_an_equation_survives_its_spec(equation):
    assert equation_from_spec(equation.spec()) == equation


def test_specs_that_fit_no_equation_are_refused():
    with pytest.raises(ValueError, match="no equation 'Burger'"):
        equation_from_spec({"name": "Burger"})
    with pytest.raises(ValueError, match="takes the parameters"):
        equation_from_spec({"name": "Advection", "viscosity": 1.0})


def test_classes_of_ones_own_are_found_among_extensions():
    class Plain(Equation):
        """No parameters, and no dataclass."""

        def linear(self):
            return {2: 1.0}

    assert isinstance(equation_from_spec({"name": "Plain"}, [Plain, Grid]), Plain)
    with pytest.raises(ValueError, match="takes the parameters"):
        equation_from_spec({"name": "Plain", "viscosity": 1.0}, [Plain])
    with pytest.raises(ValueError, match="no equation .*one of your own as an exten"):
        equation_from_spec({"name": "Plain"})
    with pytest.raises(ValueError, match="no equation"):
        equation_from_spec({"name": ["Burgers"]})
    with pytest.raises(ValueError, match="written with its name"):
        equation_from_spec({"viscosity": 0.1})


def test_an_equation_that_differs_by_sample_has_no_spec():
    equation = Burgers(torch.tensor([[0.1], [0.2]]))
    with pytest.raises(ValueError, match="viscosity of Burgers differs"):
        equation.spec()


def test_symbols_are_those_of_the_linear_part():
    k = torch.tensor([0.0, 1.0, 3.0])
    assert Burgers(0.5).symbol(k).tolist() == [0.0, -0.5, -4.5]
    assert AdvectionDiffusion(2.0, 0.5).symbol(k).tolist() == [0.0, -0.5, -4.5]
    assert KortewegDeVries().symbol(k).tolist() == [0, 1j, 27j]
    assert KuramotoSivashinsky().symbol(k).tolist() == [0.0, 0.0, -72.0]


def test_a_negative_diffusivity_is_refused():
    with pytest.raises(ValueError, match="not negative"):
        AdvectionDiffusion(1.0, -0.1)


# The right-hand sides of `Manufactured` come from `flux`, `symbol` and `source`, those
# of stencil methods from the forms.


@pytest.mark.parametrize("order", [2, 4, 6])
@every_case
def test_finite_differences_reach_their_order_on_every_equation(order, equation, form):
    found = spatial_order(
        equation,
        lambda grid: FiniteDifference(equation, grid, order=order, form=form),
        (16, 32, 64, 128),
    )
    # Two Gauss points average a source to fourth order.
    limited = form.averages and equation.has_source
    expected = min(order, 4) if limited else order
    assert found == pytest.approx(expected, abs=0.2)


@pytest.mark.parametrize("order", [1, 3, 5])
@one_sided
def test_upwind_differences_reach_their_order_on_one_sided_forms(order, equation):
    found = spatial_order(
        equation,
        lambda grid: FiniteDifference(equation, grid, order=order, form=UpwindFlux),
        (64, 128, 256, 512),
    )
    # A viscous flux of one order more may still show beside the convective one.
    assert found == pytest.approx(order, abs=0.25)


# The waves have critical points, at which weights JS lose an order.
@pytest.mark.parametrize(("weights", "least"), [("Z", 4.85), ("JS", 3.9)])
@one_sided
def test_weno_has_the_order_of_its_weights_on_one_sided_forms(weights, least, equation):
    found = spatial_order(
        equation,
        lambda grid: Weno(equation, grid, weights=weights, viscous_order=6),
        (128, 256, 512),
    )
    assert least < found < least + 1.15


@every_equation
def test_the_spectral_method_is_exact_on_every_equation(equation):
    grid, wave = Grid.line(16), Manufactured()
    for averages in (False, True):
        u = wave.of(grid, 0.3, averages=averages)
        u_t = PseudoSpectral(equation, grid, averages=averages)(u)
        exact = wave.right_hand_side(equation, grid, 0.3, averages=averages)
        torch.testing.assert_close(u_t, exact)


@pytest.mark.parametrize("order", [1, 2, 3])
@every_case
def test_learned_stencils_reach_their_order_on_every_equation(order, equation, form):
    def learned(grid):
        width = 8 if form.averages else 9
        operator = LearnedStencil(
            equation,
            grid,
            form=form,
            width=width,
            seed=1,
            network=MLP(8),
            constraint=NullSpace(order=order),
        )
        randomize(operator, 1)
        return operator

    assert spatial_order(equation, learned, (128, 256, 512)) > order - 0.15


@pytest.mark.parametrize(
    ("equation", "form"),
    [case for case in CASES if not case[0].has_source],
    ids=case_name,
)
def test_flux_forms_conserve_the_mean_with_any_weights(equation, form):
    grid = Grid.line(32)
    operator = LearnedStencil(equation, grid, form=form)
    randomize(operator, 2)
    with torch.no_grad():
        u_t = operator(smooth_field(grid))
    drift = float((u_t.mean(-1).abs() / u_t.abs().mean(-1)).max())
    assert (drift < 1e-13) == form.averages


def spatial_order(equation, make, sizes):
    wave = Manufactured()

    def error(points):
        grid = Grid.line(points)
        method = make(grid)
        u = wave.of(grid, 0.3, averages=method.averages)
        with torch.no_grad():
            u_t = method(u)
        exact = wave.right_hand_side(equation, grid, 0.3, averages=method.averages)
        return float((u_t - exact).abs().mean())

    highest = max(equation.linear(), default=1)
    finest = 2 * torch.pi / max(sizes)
    return observed_order(error, sizes, floor=1e-12 + 1e-14 / finest**highest)
