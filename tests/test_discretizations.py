"""The contract of every discretization, and what each one promises beyond it."""

import inspect
import json
import math
from functools import partial

import pytest
import torch
from helpers import observed_order, randomize, smooth_field
from problems import SmoothState

from stencilnet import (
    MLP,
    RK4,
    SSPRK3,
    Burgers,
    CentralFlux,
    Convective,
    DiscontinuousGalerkin,
    Discretization,
    FiniteDifference,
    Grid,
    LearnedStencil,
    Muscl,
    PseudoSpectral,
    UpwindFlux,
    Weno,
    rollout,
)
from stencilnet.boundaries import Outflow, Prescribed, Wall
from stencilnet.discretizations import (
    CLASSICAL,
    LIMITERS,
    Compact,
    ConstantOutput,
    Eno,
    Kappa,
    SplitGalerkin,
    classical,
    patches,
)
from stencilnet.equations import Advection, AdvectionDiffusion, Manufactured
from stencilnet.solver import Euler, Heun, Kutta3, StableStep
from stencilnet.stencils import (
    CONSTRAINTS,
    Bounds,
    Convex,
    Dissipation,
    NullSpace,
    Projection,
    Soft,
    Unconstrained,
)
from stencilnet.stencils.cvxpy_convex import CvxpyConvex

NU = 0.1
FORMS = [Convective, CentralFlux, UpwindFlux]
FLUX_FORMS = [CentralFlux, UpwindFlux]


def learned(form, grid, seed=1, *, equation=None, **settings):
    equation = equation or Burgers(NU)
    operator = LearnedStencil(equation, grid, form=form, network=MLP(8), **settings)
    randomize(operator, seed)
    return operator


METHODS = {
    **{name: partial(classical, name, Burgers(NU)) for name in CLASSICAL},
    **{
        f"central {order} {form.__name__}": partial(
            FiniteDifference, Burgers(NU), order=order, form=form
        )
        for order in (2, 4, 6)
        for form in (Convective, UpwindFlux)
    },
    **{
        f"MUSCL {limiter}": (
            lambda grid, limiter=limiter: Muscl(
                Burgers(NU), grid, limiter=LIMITERS[limiter]
            )
        )
        for limiter in LIMITERS
    },
    **{f"WENO{order}": partial(Weno, Burgers(NU), order=order) for order in (3, 7, 9)},
    "ENO3": partial(Eno, Burgers(NU)),
    "compact 5": partial(Compact, Burgers(NU), order=5),
    "compact 8, points": partial(Compact, Burgers(NU), order=8, form=Convective),
    "DG p5": partial(DiscontinuousGalerkin, Burgers(NU), degree=5),
    "split DG p2": partial(SplitGalerkin, Burgers(NU), degree=2),
    **{
        f"learned {form.__name__}": (lambda grid, form=form: learned(form, grid))
        for form in FORMS
    },
}
contract = pytest.mark.parametrize("make", METHODS.values(), ids=METHODS.keys())


@contract
def test_methods_commute_with_translation(make):
    grid = Grid.line(24)
    method, u = make(grid), smooth_field(grid)
    shift = 3 * method.element
    torch.testing.assert_close(method(u.roll(shift, -1)), method(u).roll(shift, -1))


@contract
def test_methods_keep_dtype_and_batch(make):
    grid = Grid.line(24)
    for dtype in (torch.float32, torch.float64):
        method = make(grid).to(dtype)
        for batch in [(), (0,), (2, 3)]:
            u_t = method(torch.zeros(*batch, 24, dtype=dtype))
            assert u_t.dtype == dtype
            assert u_t.shape == (*batch, 24)


@contract
def test_a_sample_does_not_depend_on_the_others(make):
    grid = Grid.line(24)
    method, u = make(grid), smooth_field(grid)
    spoiled = u.clone()
    spoiled[1] = torch.nan
    torch.testing.assert_close(method(spoiled)[[0, 2]], method(u)[[0, 2]])


@contract
def test_constants_do_not_change(make):
    grid = Grid.line(24)
    for level in (-1.3, 0.0, 2.0):
        u = torch.full((24,), level, dtype=torch.float64)
        assert float(make(grid)(u).detach().abs().max()) < 1e-11


@contract
def test_constants_of_a_method_survive_a_detour_through_float32(make):
    grid = Grid.line(24)
    u = smooth_field(grid)
    detour = make(grid)
    weights = {name: value.clone() for name, value in detour.state_dict().items()}
    detour.float().double().load_state_dict(weights)
    assert torch.equal(detour(u), make(grid)(u))


@contract
@pytest.mark.parametrize(
    "ends", [Wall(), (Prescribed(0.7), Outflow())], ids=["walls", "inflow"]
)
def test_methods_know_boundaries_or_refuse_them(make, ends):
    grid = Grid.line(24, boundaries=ends)
    if not make(Grid.line(24)).takes_boundaries:
        with pytest.raises(ValueError, match="need a periodic grid"):
            make(grid)
        return
    if isinstance(make(Grid.line(24)), PseudoSpectral) and ends != Wall():
        with pytest.raises(ValueError, match="take another method"):
            make(grid)
        return
    level = 0.0 if ends == Wall() else 0.7
    for dtype, rounding in ((torch.float32, 1e-3), (torch.float64, 1e-11)):
        method = make(grid).to(dtype)
        u_t = method(torch.full((2, 3, 24), level, dtype=dtype))
        assert u_t.dtype == dtype
        assert float(u_t.detach().abs().max()) < rounding
        assert method(torch.zeros(0, 24, dtype=dtype)).shape == (0, 24)
    u = smooth_field(grid)
    spoiled = u.clone()
    spoiled[1] = torch.nan
    torch.testing.assert_close(method(spoiled)[[0, 2]], method(u)[[0, 2]])


@contract
def test_steps_just_within_the_stable_one_do_not_grow(make):
    grid = Grid.line(40 if make(Grid.line(72)).element == 8 else 36)
    method = make(grid)
    u = torch.full(grid.shape, 0.7, dtype=torch.float64)
    noise = torch.randn(grid.shape, generator=torch.Generator().manual_seed(1)).double()
    u = u + 1e-8 * noise
    # The shares that they document: to their choices and limits noise is not smooth.
    share = 0.98
    if isinstance(method, Weno):
        share = 0.8
    elif isinstance(method, Eno | Kappa):
        share = 0.5
    for integrator in (SSPRK3, RK4):
        limit = method.stable_step(u, integrator)
        assert 0 < limit < math.inf
        # Random weights may amplify by themselves: such a method has grown by a factor
        # of 10 at most by the end.
        growth = float(method.eigenvalues(u[:1]).real.max())
        steps = max(1, min(200, round(2.3 / max(growth * limit, 1e-9))))
        times = torch.tensor([0.0, steps * share * limit])
        with torch.no_grad():
            end = rollout(method, u, times, integrator=integrator, steps=steps)[-1]
        departure = float((end - end.mean()).norm() / (u - u.mean()).norm())
        assert departure < 20


@contract
def test_steps_well_past_the_stable_one_grow(make):
    grid = Grid.line(40 if make(Grid.line(72)).element == 8 else 36)
    method = make(grid)
    noise = torch.randn(grid.shape, generator=torch.Generator().manual_seed(1)).double()
    u = 0.7 + 1e-8 * noise
    for integrator in (SSPRK3, RK4):
        duration = 60 * 1.3 * method.stable_step(u, integrator)
        times = torch.tensor([0.0, duration], dtype=torch.float64)
        with torch.no_grad():
            end = rollout(method, u, times, integrator=integrator, steps=60)[-1]
        departure = float((end - end.mean()).norm() / (u - u.mean()).norm())
        assert not departure < 100


@pytest.mark.parametrize("name", CLASSICAL)
def test_classical_methods_reach_the_order_that_they_name(name):
    # Waves that nowhere turn: at sonic points the upwind side changes.
    equation, wave = Burgers(0.01), Manufactured(mean=2.0, amplitudes=(0.5, 0.2))
    order = CLASSICAL[name].order

    def error(points):
        method = classical(name, equation, Grid.line(points))
        averages = method.averages
        u0 = wave.of(method.grid, 0.0, averages=averages)
        times = torch.tensor([0.0, 0.3], dtype=torch.float64)
        forcing = wave.forcing(equation, method.grid, averages=averages)
        # So short where the order is high that errors in time stay below.
        steps = StableStep(0.4 if order <= 4 else 0.1)
        with torch.no_grad():
            u = rollout(method, u0, times, forcing, integrator=RK4, steps=steps)[-1]
        return float((u - wave.of(method.grid, 0.3, averages=averages)).abs().mean())

    if order:
        sizes = (48, 96, 192) if order <= 4 else (16, 32, 64)
        assert observed_order(error, sizes) > 0.85 * order
    else:
        assert error(48) < 1e-6


@pytest.mark.parametrize("order", [2, 4, 6])
@pytest.mark.parametrize("form", FORMS)
def test_finite_differences_reach_their_order(order, form):
    assert spatial_order(
        lambda grid: FiniteDifference(Burgers(NU), grid, order=order, form=form),
        (16, 32, 64),
    ) == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize("order", [1, 3, 5])
def test_upwind_differences_reach_their_order(order):
    state = SmoothState()

    def error(points):
        grid = Grid.line(points)
        method = FiniteDifference(Advection(-1.5), grid, order=order, form=UpwindFlux)
        exact = state.advection(grid, -1.5, averages=True)
        return float((method(state.field(grid, averages=True)) - exact).abs().max())

    assert observed_order(error, (64, 128, 256)) == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize("speed", [1.0, -1.0])
def test_weno_z_is_of_fifth_order_on_smooth_data(speed):
    state = SmoothState()

    def error(points):
        grid = Grid.line(points)
        method = Weno(Advection(speed), grid)
        exact = state.advection(grid, speed, averages=True)
        return float((method(state.field(grid, averages=True)) - exact).abs().mean())

    # The weights approach the linear ones from far above on coarse grids.
    assert 4.85 < observed_order(error, (256, 512, 1024)) < 5.5


def test_weno_z_with_a_sixth_order_viscous_flux_is_of_fifth_order_for_burgers():
    def weno(grid):
        return Weno(Burgers(NU), grid, viscous_order=6)

    assert 4.85 < spatial_order(weno, (128, 256, 512)) < 5.8


@pytest.mark.parametrize("averages", [False, True])
def test_the_spectral_method_is_exact_for_resolved_fields(averages):
    state, grid = SmoothState(NU), Grid.line(16)
    method = PseudoSpectral(Burgers(NU), grid, averages=averages)
    u_t = method(state.field(grid, averages=averages))
    torch.testing.assert_close(u_t, state.burgers(grid, averages=averages))


def test_the_spectral_method_has_no_aliasing_error():
    # The product of two waves of wavenumber 5 lies beyond the 15 modes kept; without
    # dealiasing it would fold back.
    grid = Grid.line(14)
    u = (5 * grid.points()).sin()
    method = PseudoSpectral(Burgers(1e-9), grid)
    assert float(method(u).abs().max()) < 1e-7


def weno_by_the_book(v, weights):
    """Face value from five averages, term by term (Shu 1998, Eqs. 2.53 to 2.63)."""
    a, b, c, d, e = v
    candidates = (
        (2 * a - 7 * b + 11 * c) / 6,
        (-b + 5 * c + 2 * d) / 6,
        (2 * c + 5 * d - e) / 6,
    )
    beta = (
        13 / 12 * (a - 2 * b + c) ** 2 + (a - 4 * b + 3 * c) ** 2 / 4,
        13 / 12 * (b - 2 * c + d) ** 2 + (b - d) ** 2 / 4,
        13 / 12 * (c - 2 * d + e) ** 2 + (3 * c - 4 * d + e) ** 2 / 4,
    )
    tau = abs(beta[0] - beta[2])
    linear = (0.1, 0.6, 0.3)
    if weights == "JS":
        epsilon = 1e-6 * sum(beta) + (3e-7 * c) ** 2 + 1e-99
        raw = [g / (epsilon + s) ** 2 for g, s in zip(linear, beta, strict=True)]
    else:
        raw = [
            g * (1 + (tau / (s + 1e-31)) ** 2)
            for g, s in zip(linear, beta, strict=True)
        ]
    return sum(w * q for w, q in zip(raw, candidates, strict=True)) / sum(raw)


@pytest.mark.parametrize("weights", ["Z", "JS"])
def test_weno_reconstructs_as_published(weights, generator):
    grid = Grid.line(40)
    weno = Weno(Advection(1.0), grid, weights=weights)
    rough = torch.randn(40, generator=generator, dtype=torch.float64)
    jump = torch.where(grid.points() > 3, 1.0, 0.01 * grid.points().sin())
    for u in (rough, jump):
        found = weno.derivatives(u)
        for face in range(40):
            near = [float(u[(face + j) % 40]) for j in range(-2, 4)]
            left = weno_by_the_book(near[:5], weights)
            right = weno_by_the_book(near[:0:-1], weights)
            assert float(found["u_left"][face]) == pytest.approx(left, abs=1e-9)
            assert float(found["u_right"][face]) == pytest.approx(right, abs=1e-9)


@pytest.mark.parametrize(
    "kind",
    ["weno_z", "weno_z_1", "weno_js", "weno_7", "weno_9", "teno_5", "learned"],
)
def test_the_form_for_compilers_computes_the_same(kind, monkeypatch, generator):
    make = METHODS["learned CentralFlux" if kind == "learned" else kind]
    method = make(Grid.line(16))
    u = torch.randn(3, 16, generator=generator, dtype=torch.float64)
    expected = method(u)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    torch.testing.assert_close(method(u), expected, atol=1e-11, rtol=1e-11)


def test_a_form_that_a_method_does_not_supply_is_refused():
    with pytest.raises(ValueError, match="first derivative at the point.*Convective"):
        Weno(Burgers(NU), Grid.line(16), form=Convective)
    with pytest.raises(ValueError, match="does not supply the value at the right face"):
        Weno(Burgers(NU), Grid.line(16), form=CentralFlux)


@pytest.mark.parametrize("weights", ["Z", "JS"])
def test_weno_does_not_oscillate_at_a_jump(weights):
    grid = Grid.line(100)
    x = grid.points()
    u0 = torch.where((x > 2) & (x < 4), 1.0, 0.0).double()
    weno = Weno(Advection(1.0), grid, weights=weights)
    times = torch.tensor([0.0, 1.0])
    end = rollout(weno, u0, times, steps=60)[-1]
    assert float(end.min()) > -0.01
    assert float(end.max()) < 1.01


@pytest.mark.parametrize("name", CLASSICAL)
@pytest.mark.parametrize("factor", [2.0**-20, 2.0**12, -1.0])
def test_classical_methods_follow_the_units_and_the_mirror(name, factor, generator):
    # Burgers' equation: u -> a u, nu -> a nu turns u_t into a**2 u_t; a = -1 with x.
    grid = Grid.line(48)
    u = 0.3 + torch.randn(48, generator=generator, dtype=torch.float64)
    if factor == -1 and name.startswith("dg"):
        # Local fluxes of diffusion lean to one side.
        expected, field = classical(name, Burgers(0.0), grid)(u), -u.flip(-1)
        scaled = classical(name, Burgers(0.0), grid)(field)
    else:
        expected = classical(name, Burgers(NU), grid)(u)
        field = -u.flip(-1) if factor == -1 else factor * u
        scaled = classical(name, Burgers(abs(factor) * NU), grid)(field)
    if factor == -1:
        expected = -expected.flip(-1)
    torch.testing.assert_close(
        scaled / factor**2, expected, rtol=1e-8, atol=1e-8 * float(expected.abs().max())
    )


PER_SAMPLE = {
    "central": lambda nu, grid: FiniteDifference(Burgers(nu), grid),
    "points": lambda nu, grid: FiniteDifference(Burgers(nu), grid, form=Convective),
    "WENO-Z": lambda nu, grid: Weno(Burgers(nu), grid),
    "MUSCL": lambda nu, grid: Muscl(Burgers(nu), grid),
    "DG": lambda nu, grid: DiscontinuousGalerkin(Burgers(nu), grid, degree=2),
    "spectral": lambda nu, grid: PseudoSpectral(Burgers(nu), grid),
    "learned": lambda nu, grid: learned(CentralFlux, grid, equation=Burgers(nu)),
    "speed": lambda nu, grid: FiniteDifference(
        AdvectionDiffusion(nu - 0.2, nu), grid, order=3, form=UpwindFlux
    ),
}


@pytest.mark.parametrize("make", PER_SAMPLE.values(), ids=PER_SAMPLE)
@pytest.mark.parametrize("samples", [2, 6, 9])
def test_each_sample_may_have_parameters_of_its_own(make, samples, generator):
    # As many samples as elements or constant states must not be mistaken for them.
    grid = Grid.line(18)
    nu = 0.05 + torch.rand(samples, 1, generator=generator, dtype=torch.float64)
    u = torch.randn(samples, 18, generator=generator, dtype=torch.float64)
    together = make(nu, grid)
    u_t = together(u)
    steps = []
    for row in range(samples):
        alone = make(float(nu[row]), grid)
        torch.testing.assert_close(u_t[row], alone(u[row]), atol=1e-12, rtol=1e-12)
        steps.append(alone.stable_step(u, Heun))
    assert together.stable_step(u, Heun) == pytest.approx(min(steps), rel=0.1)


@contract
def test_a_method_moves_to_another_device(make):
    method = make(Grid.line(24)).to("meta")
    u = torch.empty(2, 24, dtype=torch.float64, device="meta")
    assert method(u).device.type == "meta"


@pytest.mark.parametrize(
    ("field", "settings", "error", "message"),
    [
        ([0.0, math.nan], {}, ValueError, "NaN"),
        ([], {}, ValueError, "floating-point numbers, not 0"),
        ([0.0, 1.0], {"states": 1}, ValueError, "at least 2 constant states"),
    ],
)
def test_a_stable_step_says_what_it_needs(field, settings, error, message):
    method = FiniteDifference(Burgers(NU), Grid.line(16))
    settings = {"integrator": RK4} | settings
    with pytest.raises(error, match=message):
        inspect.unwrap(Discretization.stable_step)(
            method, torch.tensor(field).double(), **settings
        )


limiters = pytest.mark.parametrize("limiter", LIMITERS.values(), ids=LIMITERS)


@limiters
@pytest.mark.parametrize("speed", [1.0, -1.0])
def test_limited_slopes_are_of_second_order_on_smooth_data(limiter, speed):
    state = SmoothState()

    def error(points):
        grid = Grid.line(points)
        method = Muscl(Advection(speed), grid, limiter=limiter)
        u = state.field(grid, averages=True)
        times = torch.tensor([0.0, 0.5], dtype=torch.float64)
        with torch.no_grad():
            end = rollout(method, u, times, steps=points // 4)[-1]
        x, half = grid.points() - 0.5 * speed, grid.spacing[-1] / 2
        nodes = (-(0.6**0.5), 0.0, 0.6**0.5)
        values = [state.u(x + half * node) for node in nodes]
        exact = (5 * values[0] + 8 * values[1] + 5 * values[2]) / 18
        return float((end - exact).abs().mean())

    # Extrema cost all limiters some of it; two of them also steepen or flatten.
    slack = {"mc": 0.25, "van_leer": 0.25, "minmod": 0.35, "superbee": 0.35}
    assert observed_order(error, (128, 256, 512)) > 2 - slack[limiter.name]


@limiters
def test_limited_reconstructions_are_exact_for_linear_data(limiter):
    grid = Grid.line(24)
    method = Muscl(Advection(1.0), grid, limiter=limiter)
    for slope in (0.3, -2.0):
        u = slope * grid.points()
        supplied = method.derivatives(u)
        face = u + slope * grid.spacing[-1] / 2
        # The ends see the jump of the periodic continuation.
        for side in ("u_left", "u_right"):
            torch.testing.assert_close(supplied[side][2:-3], face[2:-3])


@limiters
@pytest.mark.parametrize("equation", [Advection(1.0), Burgers(1e-12)])
def test_limited_slopes_are_total_variation_diminishing(limiter, equation):
    grid = Grid.line(64)
    x = grid.points()
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(64, generator=generator, dtype=torch.float64) - 0.5
    jump = torch.where((x > 2) & (x < 4), 1.0, -0.2).double()
    u = torch.stack([jump, noise, jump + noise / 2])
    method = Muscl(equation, grid, limiter=limiter)
    # Slopes of up to twice the jumps halve the step of the first-order scheme.
    dt = 0.5 * grid.spacing[-1] / max(1.0, float(u.abs().max()))
    times = torch.arange(101, dtype=torch.float64) * dt
    with torch.no_grad():
        states = rollout(method, u, times)
    variation = (states - states.roll(1, -1)).abs().sum(-1)
    assert float(variation.diff(dim=-1).max()) < 1e-12
    assert float(variation[:, -1].max()) > 0.5


@limiters
def test_limited_slopes_have_finite_gradients_at_constants_and_jumps(limiter):
    method = Muscl(Burgers(NU), Grid.line(24), limiter=limiter)
    u = torch.zeros(3, 24, dtype=torch.float64)
    u[1] = 0.7
    u[2, 5:15] = 1e-200
    u[2, 18:] = 1e150
    u.requires_grad_()
    method.derivatives(u)["u_left"].sum().backward()
    assert torch.isfinite(u.grad).all()
    # Each value counts once on the whole where slopes are linear.
    torch.testing.assert_close(u.grad[:2], torch.ones_like(u[:2]))


def test_settings_of_muscl_that_make_no_sense_are_refused(unchecked_types):
    with pytest.raises(TypeError, match="a value such as VAN_LEER, not 'van_leer'"):
        Muscl(Burgers(NU), Grid.line(16), limiter="van_leer")
    with pytest.raises(ValueError, match="even order of at least 2, not 3"):
        Muscl(Burgers(NU), Grid.line(16), viscous_order=3)
    with pytest.raises(ValueError, match="at least 4 points"):
        Muscl(Burgers(NU), Grid.line(3))
    with pytest.raises(ValueError, match="does not supply the value at the right face"):
        Muscl(Burgers(NU), Grid.line(16), form=CentralFlux)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("form", FORMS)
def test_learned_stencils_reach_their_order_whatever_their_weights(order, form):
    for seed in (1, 2):
        found = spatial_order(
            lambda grid, seed=seed: learned(
                form, grid, seed, constraint=NullSpace(order=order)
            ),
            (128, 256, 512),
        )
        assert found > order - 0.15


@pytest.mark.parametrize(
    ("form", "width", "order"),
    [(Convective, 5, 4), (CentralFlux, 4, 4), (CentralFlux, 6, 6)],
)
def test_an_untrained_stencil_is_the_classical_scheme(form, width, order):
    grid = Grid.line(24)
    u = smooth_field(grid)
    untrained = LearnedStencil(Burgers(NU), grid, form=form, width=width)
    fixed = FiniteDifference(Burgers(NU), grid, order=order, form=form)
    torch.testing.assert_close(untrained(u), fixed(u))


def test_tensors_of_an_equation_belong_to_the_method():
    grid = Grid.line(16)
    shared = torch.tensor(0.1, dtype=torch.float64)
    method = FiniteDifference(Burgers(shared), grid)
    assert not list(method.parameters())
    assert method.float().equation.viscosity.dtype == torch.float32
    assert method.form.equation.viscosity.dtype == torch.float32
    assert shared.dtype == torch.float64
    assert method.to("meta").equation.viscosity.device.type == "meta"
    learnt = torch.nn.Parameter(shared.clone())
    method = Weno(Burgers(learnt), grid)
    assert list(method.parameters()) == [learnt]
    method(smooth_field(grid)).square().sum().backward()
    assert float(learnt.grad) != 0


@pytest.mark.parametrize(
    "make",
    [
        FiniteDifference,
        Weno,
        PseudoSpectral,
        lambda e, g: DiscontinuousGalerkin(e, g, degree=1),
    ],
    ids=["central", "WENO", "spectral", "DG"],
)
def test_parameters_of_an_equation_are_read_from_the_module(make):
    grid, nu = Grid.line(16), torch.tensor(0.3, dtype=torch.float64)
    learnt = torch.nn.Parameter(torch.tensor(0.1, dtype=torch.float64))
    method, u = make(Burgers(learnt), grid), smooth_field(grid)
    expected = make(Burgers(0.3), grid)(u)

    def replaced(value):
        return torch.func.functional_call(method, {"equation_viscosity": value}, (u,))

    torch.testing.assert_close(replaced(nu), expected)
    slope = torch.func.grad(lambda value: replaced(value).square().sum())(nu)
    assert float(slope) != 0
    method.load_state_dict({"equation_viscosity": nu}, assign=True)
    torch.testing.assert_close(method(u), expected)


def test_a_parameter_that_training_made_negative_still_moves():
    learnt = torch.nn.Parameter(torch.tensor(0.1, dtype=torch.float64))
    method = FiniteDifference(Burgers(learnt), Grid.line(16))
    with torch.no_grad():
        learnt.fill_(-0.1)
    assert method.float().equation.viscosity.item() == pytest.approx(-0.1)


class Doubled(torch.nn.Module):
    """A network of one's own."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(6, 9, dtype=torch.float64)

    def forward(self, window):
        return 2 * self.linear(window)


def test_a_network_of_ones_own_serves_on_any_grid():
    grid, network = Grid.line(16), Doubled()
    operator = LearnedStencil(Burgers(NU), grid, network=network)
    assert operator.network is network
    u = smooth_field(grid)
    twice = operator.on(Grid.line(32, 2 * grid.extent[-1]))
    torch.testing.assert_close(twice(u.repeat(1, 2)), operator(u).repeat(1, 2))
    assert operator.moment_residual(u) < 1e-12
    again = LearnedStencil.from_spec(operator.spec(), network=Doubled())
    again.load_state_dict(operator.state_dict())
    assert torch.equal(again(u), operator(u))
    with pytest.raises(ValueError, match="'Doubled' is not one of the package's"):
        LearnedStencil.from_spec(operator.spec())
    with pytest.raises(ValueError, match="give it 9 outputs"):
        LearnedStencil(
            Burgers(NU), grid, network=torch.nn.Linear(6, 4, dtype=torch.float64)
        )


def test_a_constant_stencil_is_one_for_all_cells():
    grid = Grid.line(24)
    operator = LearnedStencil(Burgers(NU), grid, network=ConstantOutput(9))
    u = smooth_field(grid)
    untrained = FiniteDifference(Burgers(NU), grid, order=6)
    torch.testing.assert_close(operator(u), untrained(u))
    assert operator.moment_residual(u) < 1e-12
    with torch.no_grad():
        operator.network.values.copy_(torch.linspace(-0.1, 0.1, 9))
    for coefficients in operator.coefficients(u).values():
        assert torch.equal(coefficients, coefficients[:1, :1].expand_as(coefficients))
    operator(u).square().sum().backward()
    assert float(operator.network.values.grad.abs().max()) > 0
    with pytest.raises(ValueError, match="give it 9 outputs"):
        LearnedStencil(Burgers(NU), grid, network=ConstantOutput(5))
    with pytest.raises(ValueError, match="at least 1 number"):
        ConstantOutput(0)


def test_an_untrained_godunov_stencil_is_the_linear_scheme_behind_weno():
    grid = Grid.line(24)
    u = smooth_field(grid)
    untrained = LearnedStencil(Burgers(NU), grid, width=6, form=UpwindFlux)
    upwind = FiniteDifference(Burgers(NU), grid, order=5, form=UpwindFlux)
    torch.testing.assert_close(untrained(u), upwind(u))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["null_space", "projection"])
@pytest.mark.parametrize(
    ("dtype", "bound"), [(torch.float64, 1e-12), (torch.float32, 1e-5)]
)
def test_moment_conditions_hold_for_any_weights(form, kind, dtype, bound):
    grid = Grid.line(32)
    for scale in (0.1, 10.0, 1e6):
        constraint = CONSTRAINTS[kind](order=2)
        operator = learned(form, grid, constraint=constraint, dtype=dtype)
        randomize(operator, 3, scale)
        u = 5 * smooth_field(grid).to(dtype)
        assert operator.moment_residual(u) <= bound


def test_coefficients_applied_to_neighbours_are_the_derivatives():
    grid = Grid.line(20)
    operator, u = learned(Convective, grid), smooth_field(grid)
    around = patches(u, range(-3, 4))
    for name, coefficients in operator.coefficients(u).items():
        torch.testing.assert_close(
            (around * coefficients).sum(-1), operator.derivatives(u)[name]
        )


def test_an_operator_survives_its_spec_and_a_move():
    grid = Grid.line(20)
    operator, u = learned(CentralFlux, grid, scale=0.7), smooth_field(grid)
    again = LearnedStencil.from_spec(operator.spec())
    again.load_state_dict(operator.state_dict())
    assert torch.equal(again(u), operator(u))
    twice = Grid.line(40, 2 * grid.extent[-1])
    moved = operator.on(twice)
    torch.testing.assert_close(moved(u.repeat(1, 2)), operator(u).repeat(1, 2))
    with pytest.raises(ValueError, match="Burgers does not fit Advection"):
        operator.on(grid, Advection(NU))


def test_initial_weights_depend_on_the_seed_alone():
    grid = Grid.line(8)
    state = torch.random.get_rng_state()
    one, two = (LearnedStencil(Burgers(NU), grid, seed=4) for _ in "ab")
    other = LearnedStencil(Burgers(NU), grid, seed=5)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(one.network[0].weight, two.network[0].weight)
    assert not torch.equal(one.network[0].weight, other.network[0].weight)


def test_a_field_of_another_dtype_is_refused():
    operator = LearnedStencil(Burgers(NU), Grid.line(8))
    with pytest.raises(TypeError, match=r"operator\.to"):
        operator(torch.zeros(8))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 5}, "choose an even width"),
        (
            {"width": 2, "constraint": NullSpace(order=3)},
            "widen the stencil to 3 points or lower",
        ),
        ({"width": 0}, "at least 1, not 0"),
        ({"scale": 0.0}, "must be positive"),
        ({"constraint": {"v": NullSpace()}}, "no derivative 'v'"),
        ({"constraint": {"u": NullSpace()}}, "'u_x', which has no constraint"),
        (
            {
                "constraint": {
                    "u": NullSpace(),
                    "u_x": Convex(side_conditions=(Dissipation(),)),
                }
            },
            "at=0.5",
        ),
        ({"width": 6, "window": 5}, "choose an even width"),
        ({"width": 18}, "does not fit a grid"),
    ],
)
def test_learned_stencils_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        LearnedStencil(Burgers(NU), Grid.line(16), **settings)


def test_classical_methods_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="choose an even order"):
        FiniteDifference(Burgers(NU), Grid.line(16), order=3, form=CentralFlux)
    with pytest.raises(ValueError, match="at least 1"):
        FiniteDifference(Burgers(NU), Grid.line(16), order=0)
    with pytest.raises(ValueError, match="at least 6 points"):
        Weno(Burgers(NU), Grid.line(5))
    with pytest.raises(ValueError, match="at least 4 points"):
        PseudoSpectral(Burgers(NU), Grid.line(2))
    with pytest.raises(ValueError, match="needs stencils of 7 points"):
        FiniteDifference(Burgers(NU), Grid.line(1), order=6, form=Convective)


@contract
def test_a_field_of_another_grid_is_refused(make):
    method = make(Grid.line(24))
    with pytest.raises(ValueError, match="has 32 points and the grid of the method 24"):
        method(torch.zeros(32, dtype=torch.float64))


def test_moment_residuals_do_not_hide_nan():
    operator = LearnedStencil(Burgers(NU), Grid.line(16))
    with torch.no_grad():
        operator.network[-1].bias[-1] = torch.nan
    assert math.isnan(operator.moment_residual(torch.ones(16, dtype=torch.float64)))


def test_stable_steps_do_not_depend_on_the_unit_of_time():
    courants = []
    for length in (1e-3, 1.0, 1e3):
        grid = Grid.line(32, length)
        method = FiniteDifference(Advection(1.0), grid, order=2, form=Convective)
        step = method.stable_step(torch.zeros(32, dtype=torch.float64), Heun)
        courants.append(step / grid.spacing[-1])
    assert courants == pytest.approx(courants[:1] * 3, rel=1e-6)


@pytest.mark.parametrize("height", [1.0, 1e3, 1e6])
@pytest.mark.parametrize("weights", ["JS", "Z"])
def test_weno_takes_steep_steps_in_single_precision(height, weights):
    method = Weno(Burgers(NU), Grid.line(32), weights=weights).float()
    u = torch.zeros(32)
    u[8:20] = height
    assert torch.isfinite(method(u)).all()


def convex(kind):
    return {
        "u": kind(side_conditions=(Bounds(lower=-1.0, upper=1.0),)),
        "u_x": kind(side_conditions=(Dissipation(sign=1, at=0.5),)),
    }


@pytest.mark.parametrize(
    "constraint",
    [
        NullSpace(),
        Projection(),
        Soft(mu=0.1, learn_mu=True),
        convex(Convex),
        convex(CvxpyConvex),
        Unconstrained(),
    ],
    ids=["null space", "projection", "soft", "convex", "cvxpy", "unconstrained"],
)
def test_a_learned_stencil_takes_any_constraint(constraint):
    grid = Grid.line(16)
    operator = LearnedStencil(Burgers(NU), grid, network=MLP(4), constraint=constraint)
    generator = torch.Generator().manual_seed(0)
    u = torch.randn(2, 16, generator=generator, dtype=torch.float64)
    assert operator.moment_residual(u) < 1e-12
    with torch.no_grad():
        for parameter in operator.network.parameters():
            parameter.normal_(generator=generator)
    u_t = operator(u)
    u_t.square().sum().backward()
    assert all(
        torch.isfinite(of.grad).all()
        for of in operator.parameters()
        if of.requires_grad
    )
    twin = LearnedStencil.from_spec(json.loads(json.dumps(operator.spec())))
    twin.load_state_dict(operator.state_dict())
    torch.testing.assert_close(twin(u), u_t, rtol=1e-6, atol=1e-6)
    finer = operator.on(Grid.line(32))
    assert type(finer.layers["u"]) is type(operator.layers["u"])
    if not isinstance(constraint, Soft | Unconstrained):
        assert operator.moment_residual(u) < 1e-10
    else:
        assert operator.moment_residual(u) > 1e-3


def test_stable_steps_are_the_known_limits():
    grid = Grid.line(64)
    dx = grid.spacing[-1]
    u = torch.ones(64, dtype=torch.float64)
    upwind = FiniteDifference(Advection(1.0), grid, order=1, form=UpwindFlux)
    assert upwind.stable_step(u, Euler) == pytest.approx(dx, rel=1e-3)
    centred = FiniteDifference(Advection(1.0), grid, order=2, form=Convective)
    assert centred.stable_step(u, RK4) == pytest.approx(math.sqrt(8) * dx, rel=1e-2)
    assert centred.stable_step(u, Kutta3) == pytest.approx(math.sqrt(3) * dx, rel=1e-2)
    diffusion = FiniteDifference(Burgers(1.0), grid, order=2, form=Convective)
    limit = diffusion.stable_step(0 * u, Euler)
    assert limit == pytest.approx(dx**2 / 2, rel=1e-3)


def test_a_step_past_the_limit_is_warned_about_with_the_limit():
    grid = Grid.line(64)
    method = FiniteDifference(Advection(1.0), grid, order=1, form=UpwindFlux)
    u = torch.ones(64, dtype=torch.float64)
    limit = method.stable_step(u, Euler)
    method.warn_if_unstable(u, Euler, limit)
    with pytest.warns(UserWarning, match=f"limit {limit:.3g}.*2 times as many"):
        method.warn_if_unstable(u, Euler, 1.5 * limit)


def test_no_step_is_stable_after_a_blow_up():
    method = FiniteDifference(Advection(1.0), Grid.line(8), order=1, form=UpwindFlux)
    with pytest.raises(ValueError, match="NaN or infinite"):
        method.stable_step(torch.full((8,), math.nan).double(), Euler)


def spatial_order(make, sizes):
    state = SmoothState(NU)

    def error(points):
        grid = Grid.line(points)
        method = make(grid)
        averages = method.averages
        with torch.no_grad():
            u_t = method(state.field(grid, averages=averages))
        return float((u_t - state.burgers(grid, averages=averages)).abs().mean())

    return observed_order(error, sizes, floor=1e-11)


def test_a_part_of_a_network_is_a_network():
    network = MLP(8, 4).build(6, 3, seed=0)
    first = network[:2]
    x = torch.ones(2, 6).double()
    assert torch.equal(network[2:](first(x)), network(x))
    assert isinstance(network[0], torch.nn.Linear)
