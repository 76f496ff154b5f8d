"""Learned stencils that commute with the mirror image, for any weights."""

import inspect
import json
import math
import subprocess
import sys
from dataclasses import dataclass

import pytest
import torch
from helpers import randomize, smooth_field
from studies import small

from stencilnet import (
    MLP,
    SSPRK3,
    Burgers,
    CentralFlux,
    Convective,
    Convex,
    FiniteDifference,
    Grid,
    LearnedStencil,
    NullSpace,
    RandomForcing,
    UpwindFlux,
    load_operator,
    rollout,
    save_operator,
)
from stencilnet.discretizations import Constant, lipschitz_bound, local_lipschitz
from stencilnet.discretizations.mirror import mirror_of
from stencilnet.equations import (
    Advection,
    AdvectionDiffusion,
    Equation,
    FisherKPP,
    Form,
    KortewegDeVries,
    KuramotoSivashinsky,
    divergence,
    form_has_mirror_symmetry,
    has_mirror_symmetry,
    mirror_partners,
)
from stencilnet.stencils import (
    Bounds,
    Derivative,
    Dissipation,
    Projection,
    Soft,
    Symmetry,
    Unconstrained,
    UpwindBias,
)
from stencilnet.study.training import new_operator
from stencilnet.study.transformations import mirrored_forcing

GRID = Grid.line(24)
VISCOSITIES = torch.tensor([[0.1], [0.2], [0.3]], dtype=torch.float64)
FORMS = [CentralFlux, UpwindFlux, Convective]
forms = pytest.mark.parametrize("form", FORMS)


def image(field):
    """`-u(-x)` on the points and cells of a grid."""
    return -field.flip(-1).roll(1, -1)


@dataclass(frozen=True)
class OddSource(Equation):
    """Diffusion, with a source."""

    viscosity: float = 0.1

    def linear(self):
        return {2: self.viscosity}

    def source(self, u):
        return u - u**3


class Leaning(Burgers):
    """An equation whose numerical flux prefers a side."""

    def riemann(self, left, right):
        return self.flux(left)


class Faces(Form):
    """A form with both faces of a cell, and a value beside its middle."""

    averages = True

    def __init__(self, equation):
        super().__init__(equation)
        self.requires = {
            "west": Derivative(1, -0.5),
            "east": Derivative(1, 0.5),
            "near_west": Derivative(0, -0.25),
            "near_east": Derivative(0, 0.25),
        }

    def time_derivative(self, u, derivatives, grid):
        flux = derivatives["east"] - derivatives["west"]
        means = derivatives["near_west"] * derivatives["near_east"]
        return u * means + flux / grid.spacing[-1]


class LeftFace(Form):
    """Diffusion through the left faces, which are those of other cells."""

    averages = True

    def __init__(self, equation):
        super().__init__(equation)
        self.requires = {"slope": Derivative(1, -0.5)}

    def time_derivative(self, u, derivatives, grid):
        return divergence(derivatives["slope"].roll(-1, -1), grid)


class OneSided(LeftFace):
    """A form that takes a value from the left alone."""

    def __init__(self, equation):
        super().__init__(equation)
        self.requires = {"u_left": Derivative(0, 0.5, -1)}


def learned(equation=None, form=CentralFlux, *, seed=1, grid=GRID, **settings):
    settings = {"mirror": True, "network": MLP(8), **settings}
    operator = LearnedStencil(equation or Burgers(0.1), grid, form=form, **settings)
    if seed:
        randomize(operator.network, seed)
    return operator


def defect(operator):
    """How far an operator is from commuting with the mirror, relative."""
    u = smooth_field(GRID).to(operator.dtype) + 0.3
    with torch.no_grad():
        expected = image(operator(u))
        return float((operator(image(u)) - expected).abs().max() / expected.abs().max())


CASES = {
    **{
        f"{type(equation).__name__} {form.__name__}": (equation, form, {"width": width})
        for equation in (Burgers(0.1), KuramotoSivashinsky(), OddSource())
        for form, width in ((CentralFlux, 8), (UpwindFlux, 8), (Convective, 9))
    },
    "one viscosity per sample": (Burgers(VISCOSITIES), CentralFlux, {}),
    "stencils that lean": (Burgers(0.0), UpwindFlux, {"width": 5}),
    "wider window": (Burgers(0.1), UpwindFlux, {"width": 6, "window": 8}),
    "window that leans": (Burgers(0.0), UpwindFlux, {"width": 6, "window": 7}),
    "scale": (Burgers(0.1), CentralFlux, {"scale": 0.3}),
    "best constant stencil": (Burgers(0.1), UpwindFlux, {"network": Constant()}),
    "both faces": (Burgers(0.1), Faces, {}),
    "left faces": (Burgers(0.1), LeftFace, {}),
    "projection": (Burgers(0.1), UpwindFlux, {"constraint": Projection(order=2)}),
    "soft": (Burgers(0.1), UpwindFlux, {"constraint": Soft(mu=0.1, learn_mu=True)}),
    "unconstrained": (Burgers(0.1), Convective, {"constraint": Unconstrained()}),
    "convex": (
        Burgers(0.1),
        UpwindFlux,
        {
            "constraint": {
                "u_left": Convex(side_conditions=(UpwindBias(-1), Bounds(upper=1.1))),
                "u_right": Convex(side_conditions=(Bounds(upper=1.1), UpwindBias(1))),
                "u_x": Convex(side_conditions=(Dissipation(1, 0.5), Symmetry(-1))),
            }
        },
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_mirrored_state_has_the_mirrored_time_derivative(case):
    equation, form, settings = CASES[case]
    assert defect(learned(equation, form, **settings)) < 1e-12
    # The test has teeth: the same weights alone have a direction.
    assert defect(learned(equation, form, **{**settings, "mirror": False})) > 1e-3


@pytest.mark.parametrize("case", CASES)
def test_an_untrained_operator_is_the_same_with_the_symmetry(case):
    equation, form, settings = CASES[case]
    u = smooth_field(GRID)
    one, other = (
        learned(equation, form, **{**settings, "mirror": mirror}, seed=0)
        for mirror in (True, False)
    )
    torch.testing.assert_close(one(u), other(u), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(
    ("form", "width", "order"),
    [(Convective, 7, 6), (CentralFlux, 6, 6), (UpwindFlux, 6, 5)],
)
def test_an_untrained_operator_is_the_classical_scheme(form, width, order):
    u = smooth_field(GRID)
    untrained = learned(Burgers(0.0), form, width=width, seed=0)
    fixed = FiniteDifference(Burgers(0.0), GRID, order=order, form=form)
    torch.testing.assert_close(untrained(u), fixed(u), rtol=1e-12, atol=1e-13)


@forms
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize(
    ("dtype", "bound"), [(torch.float64, 1e-12), (torch.float32, 1e-5)]
)
def test_moment_conditions_hold_for_any_weights(form, order, dtype, bound):
    u = 5 * smooth_field(GRID).to(dtype)
    for scale in (0.1, 10.0, 1e6):
        operator = learned(form=form, constraint=NullSpace(order=order), dtype=dtype)
        randomize(operator.network, 3, scale)
        assert operator.moment_residual(u) <= bound


@forms
def test_side_conditions_hold_for_the_mean_of_both_stencils(form):
    bounds = Convex(side_conditions=(Bounds(-1.5, 1.5),))
    operator = learned(
        form=form, constraint=bounds, width=7 if form is Convective else 6
    )
    randomize(operator.network, 1, 3.0)
    for stencil in operator.dimensionless(smooth_field(GRID)).values():
        assert float(stencil.detach().abs().max()) <= 1.5 + 1e-9


@forms
def test_a_rollout_under_the_mirrored_forcing_is_the_mirrored_rollout(form):
    operator = learned(form=form, seed=0)
    randomize(operator.network, 1, 0.1)
    drawn = RandomForcing.sample(3, wavenumbers=(1, 2), amplitude=0.5, seed=5)
    u0 = 0.5 * smooth_field(GRID) + 0.3
    times = torch.tensor([0.0, 0.4, 1.0], dtype=torch.float64)
    with torch.no_grad():
        u, other = (
            rollout(operator, state, times, on, integrator=SSPRK3, steps=12)
            for state, on in (
                (u0, drawn.on(GRID)),
                (image(u0), mirrored_forcing(drawn).on(GRID)),
            )
        )
    assert float((u - u[:, :1]).abs().max()) > 0.1
    assert float((other - image(u)).abs().max()) <= 1e-12 * float(u.abs().max())


@pytest.mark.parametrize("case", CASES)
def test_the_form_for_compilers_computes_the_same(case, monkeypatch):
    equation, form, settings = CASES[case]
    operator = learned(equation, form, **settings)
    u = smooth_field(GRID)
    expected = operator(u)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    torch.testing.assert_close(operator(u), expected, atol=1e-11, rtol=1e-11)


COMPILED = """
import torch
from stencilnet import MLP, Burgers, Grid, LearnedStencil, UpwindFlux

grid = Grid.line(16)
operator = LearnedStencil(
    Burgers(0.1), grid, form=UpwindFlux, network=MLP(4), mirror=True
)
generator = torch.Generator().manual_seed(0)
with torch.no_grad():
    for weight in operator.network.parameters():
        weight.normal_(std=0.3, generator=generator)
u, results = grid.points().sin() + 0.3, []
whole = {"backend": "aot_eager", "fullgraph": True}
for call in (operator, torch.compile(operator, **whole)):
    operator.zero_grad()
    u_t = call(u)
    u_t.square().sum().backward()
    results.append([u_t.detach(), *(w.grad.clone() for w in operator.parameters())])
for plain, other in zip(*results):
    torch.testing.assert_close(other, plain, atol=1e-12, rtol=1e-10)
"""


@pytest.mark.long
def test_a_compiled_operator_gives_the_same_values_and_gradients():
    """In a process of its own: the compiler cannot read functions under type checks."""
    command = [sys.executable, "-c", COMPILED]
    subprocess.run(command, check=True, timeout=300)


def test_coefficients_are_those_of_the_mirrored_state_reversed():
    operator, u = learned(form=UpwindFlux), smooth_field(GRID)
    with torch.no_grad():
        own, other = (operator.coefficients(state) for state in (u, image(u)))
    # Face i + 1/2 becomes face -i - 1/2, and the sides change places.
    for name, partner, parity in (
        ("u_left", "u_right", 1),
        ("u_right", "u_left", 1),
        ("u_x", "u_x", -1),
    ):
        expected = parity * own[name].flip(-1).flip(-2)
        torch.testing.assert_close(other[partner], expected, rtol=1e-12, atol=1e-12)


def test_the_network_is_evaluated_once():
    operator, batches = learned(form=UpwindFlux), []
    operator.network.register_forward_hook(
        lambda *calls: batches.append(calls[2].shape)
    )
    operator(smooth_field(GRID))
    assert batches == [(2, 3, 24, batches[0][-1])]


def test_gradients_reach_every_weight():
    operator = learned(form=UpwindFlux)
    operator(smooth_field(GRID)).square().sum().backward()
    for weight in operator.network.parameters():
        assert float(weight.grad.abs().max()) > 0


def test_the_lipschitz_estimate_is_a_slope_and_the_bound_holds():
    operator, u = learned(form=UpwindFlux, scale=0.5), smooth_field(GRID)
    slopes = local_lipschitz(operator, u)
    bound = lipschitz_bound(operator)
    step = 1e-6
    with torch.no_grad():
        before = operator.dimensionless(u)
        for name, largest in slopes.items():
            steepest = 0.0
            for cell in range(24):
                moved = u.clone()
                moved[:, cell] += step
                change = operator.dimensionless(moved)[name] - before[name]
                slope = float(change.norm(dim=-1).max()) / step * operator.scale
                steepest = max(steepest, slope)
            assert steepest <= largest * (1 + 1e-4)
            assert steepest >= largest / math.sqrt(6)
            assert largest <= bound


def test_an_operator_survives_its_spec_a_move_and_a_store(tmp_path):
    operator, u = learned(form=UpwindFlux), smooth_field(GRID)
    spec = json.loads(json.dumps(operator.spec()))
    assert spec["mirror"] is True
    again = LearnedStencil.from_spec(spec)
    again.load_state_dict(operator.state_dict())
    assert torch.equal(again(u), operator(u))
    moved = operator.on(Grid.line(48, 2 * GRID.extent[-1]), Burgers(0.1))
    assert moved.mirror
    torch.testing.assert_close(moved(u.repeat(1, 2)), operator(u).repeat(1, 2))
    loaded, _ = load_operator(save_operator(operator, tmp_path / "o.zarr"))
    assert loaded.mirror
    assert torch.equal(loaded(u), operator(u))


def test_a_spec_without_the_entry_is_of_an_operator_without_the_symmetry():
    operator, u = learned(mirror=False), smooth_field(GRID)
    spec = operator.spec()
    assert spec.pop("mirror") is False
    old = LearnedStencil.from_spec(spec)
    old.load_state_dict(operator.state_dict())
    assert not old.mirror
    assert torch.equal(old(u), operator(u))


def test_a_move_under_vmap_keeps_the_symmetry():
    operator, u = learned(), smooth_field(GRID)[0]

    def time_derivative(viscosity):
        return operator.on(GRID, Burgers(viscosity))(u)

    many = torch.func.vmap(time_derivative)(VISCOSITIES[:, 0])
    torch.testing.assert_close(many[1], time_derivative(VISCOSITIES[1, 0]))


ABSENT = {
    "odd derivative": (KortewegDeVries(), CentralFlux, {}, "does not commute"),
    "source": (FisherKPP(), Convective, {}, "odd source"),
    "odd flux": (Advection(1.0), CentralFlux, {}, "even flux"),
    "advection": (AdvectionDiffusion(1.0, 0.1), UpwindFlux, {}, "even flux"),
    "numerical flux": (Leaning(0.1), UpwindFlux, {}, "although the equation does"),
    "no partner": (Burgers(0.1), OneSided, {}, "from the left and not its mirror"),
    "orders": (
        Burgers(0.0),
        UpwindFlux,
        {"constraint": {"u_left": NullSpace(2), "u_right": NullSpace(3)}},
        "'u_right' is not the mirror image of that of 'u_left'",
    ),
    "kinds": (
        Burgers(0.0),
        UpwindFlux,
        {"constraint": {"u_left": NullSpace(), "u_right": Projection()}},
        "is not the mirror image",
    ),
    "one bias": (
        Burgers(0.0),
        CentralFlux,
        {"constraint": Convex(side_conditions=(UpwindBias(-1),))},
        "choose constraints that are",
    ),
    "equal biases": (
        Burgers(0.0),
        UpwindFlux,
        {"constraint": Convex(side_conditions=(UpwindBias(-1),))},
        "choose constraints that are",
    ),
    "bounds of a slope": (
        Burgers(0.1),
        Convective,
        {"constraint": Convex(side_conditions=(Bounds(lower=-2.0, upper=2.5),))},
        "'u_x' is not the mirror image",
    ),
    "more conditions": (
        Burgers(0.0),
        UpwindFlux,
        {
            "constraint": {
                "u_left": Convex(side_conditions=(Bounds(upper=2.0),)),
                "u_right": Convex(),
            }
        },
        "is not the mirror image",
    ),
    "one symmetry": (
        Burgers(0.0),
        UpwindFlux,
        {
            "constraint": {
                "u_left": Convex(side_conditions=(Symmetry(1),)),
                "u_right": Convex(),
            }
        },
        "is not the mirror image",
    ),
}


@pytest.mark.parametrize("case", ABSENT)
def test_what_lacks_the_symmetry_is_refused_or_left_alone(case):
    equation, form, settings, message = ABSENT[case]
    with pytest.raises(ValueError, match=message):
        learned(equation, form, **settings, mirror=True)
    assert not learned(equation, form, **settings, mirror=None).mirror


def test_a_mirror_that_is_no_truth_value_is_refused():
    form = CentralFlux(Burgers(0.1))
    with pytest.raises(TypeError, match="True, False or None, not 'yes'"):
        inspect.unwrap(mirror_of)("yes", form, GRID, [], {})


def test_the_symmetry_is_that_of_equations_and_forms():
    odd = {KortewegDeVries(): False, FisherKPP(): False, Advection(0.5): False}
    even = {Burgers(0.1): True, KuramotoSivashinsky(): True, OddSource(): True}
    for equation, expected in (odd | even).items():
        assert has_mirror_symmetry(equation) is expected
        for form in FORMS:
            assert form_has_mirror_symmetry(form(equation), GRID) is expected
    assert mirror_partners(Faces(Burgers(0.1))) == {
        "west": "east",
        "east": "west",
        "near_west": "near_east",
        "near_east": "near_west",
    }


@pytest.mark.parametrize("name", ["Burgers", "KortewegDeVries"])
def test_a_config_asks_for_the_symmetry(name):
    equation = {"name": name} | ({"viscosity": 0.1} if name == "Burgers" else {})
    for mirror in (None, False):
        config = small(problem={"equation": equation}, operator={"mirror": mirror})
        operator = new_operator(config, GRID, 1.0)
        assert operator.mirror is (name == "Burgers" and mirror is None)
    explicit = small(problem={"equation": equation}, operator={"mirror": True})
    if name == "Burgers":
        assert new_operator(explicit, GRID, 1.0).mirror
    else:
        with pytest.raises(ValueError, match="set mirror to False"):
            new_operator(explicit, GRID, 1.0)
