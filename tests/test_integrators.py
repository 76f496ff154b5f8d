import inspect
import math
from functools import cache, partial

import numpy as np
import pytest
import torch
from helpers import observed_order, smooth_field

import stencilnet.solver
from stencilnet import (
    ETDRK4,
    RK4,
    SSPRK3,
    Burgers,
    Convective,
    DiscontinuousGalerkin,
    FiniteDifference,
    Grid,
    Integrator,
    LearnedStencil,
    PseudoSpectral,
    RandomForcing,
    UpwindFlux,
    Weno,
    rollout,
)
from stencilnet.equations import (
    Advection,
    AdvectionDiffusion,
    DecayingWave,
    KortewegDeVries,
    Solitons,
)
from stencilnet.solver import (
    ARS222,
    ARS443,
    ETDRK4B,
    IFRK4,
    INTEGRATORS,
    BogackiShampine32,
    ColeHopf,
    DormandPrince54,
    EmbeddedPair,
    Euler,
    ExponentialTimeDifferencing,
    Heun,
    ImplicitExplicit,
    IntegratingFactor,
    Kutta3,
    Lawson,
    RungeKutta,
    SemilinearIntegrator,
    TimeDifferencing,
)
from stencilnet.solver.exponential import phi_functions

SEMILINEAR = {
    "ETDRK4": ETDRK4,
    "ETDRK4B": ETDRK4B,
    "IFRK4": IFRK4,
    "ARS222": ARS222,
    "ARS443": ARS443,
}
EXPLICIT = {k: v for k, v in INTEGRATORS.items() if isinstance(v, RungeKutta)}
PAIRS = {"BS32": BogackiShampine32, "DP54": DormandPrince54}


def forced(t, u):
    """`u_t = -u + cos t`: the forcing counts at the stage times."""
    return -u + math.cos(t)


def forced_solution(t):
    return (math.cos(t) + math.sin(t)) / 2 + 0.5 * math.exp(-t)


@pytest.mark.parametrize("name", EXPLICIT)
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


@pytest.mark.parametrize("name", EXPLICIT)
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


@pytest.mark.parametrize("name", EXPLICIT)
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


def trees(a):
    """Values of the elementary weights of all trees up to order 5, and what they are.

    Hairer, Norsett and Wanner (1993), Table II.2.1, by order.
    """
    c = a.sum(1)
    return {
        1: [(torch.ones_like(c), 1)],
        2: [(c, 1 / 2)],
        3: [(c**2, 1 / 3), (a @ c, 1 / 6)],
        4: [
            (c**3, 1 / 4),
            (c * (a @ c), 1 / 8),
            (a @ c**2, 1 / 12),
            (a @ a @ c, 1 / 24),
        ],
        5: [
            (c**4, 1 / 5),
            (c**2 * (a @ c), 1 / 10),
            (c * (a @ c**2), 1 / 15),
            (c * (a @ a @ c), 1 / 30),
            ((a @ c) ** 2, 1 / 20),
            (a @ c**3, 1 / 20),
            (a @ (c * (a @ c)), 1 / 40),
            (a @ a @ c**2, 1 / 60),
            (a @ a @ a @ c, 1 / 120),
        ],
    }


def order_of(weights, a):
    """Up to which order the conditions hold."""
    b = torch.tensor(weights, dtype=torch.float64)
    reached = 0
    for order, conditions in trees(a).items():
        if any(abs(float(b @ value) - wanted) > 1e-14 for value, wanted in conditions):
            return reached
        reached = order
    return reached


@pytest.mark.parametrize("name", EXPLICIT)
def test_tableaux_satisfy_exactly_their_order_conditions(name):
    method = EXPLICIT[name]
    assert order_of(method.b, square(method.a, len(method.b))) == method.order


@pytest.mark.parametrize(
    ("method", "c"),
    [(Heun, (0, 1)), (Kutta3, (0, 1 / 2, 1)), (SSPRK3, (0, 1, 1 / 2))],
)
def test_methods_have_the_published_nodes(method, c):
    assert method.c == pytest.approx(c, abs=1e-14)


def square(rows, stages):
    a = torch.zeros(stages, stages, dtype=torch.float64)
    for i, row in enumerate(rows):
        a[i, : len(row)] = torch.tensor(row, dtype=torch.float64)
    return a


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_both_methods_of_a_pair_satisfy_exactly_their_order_conditions(pair):
    a = square(pair.a, len(pair.b))
    assert order_of(pair.b, a) == pair.order
    assert order_of(pair.b_low, a) == pair.low_order


@pytest.mark.parametrize(
    ("pair", "c"),
    [
        (BogackiShampine32, (0, 1 / 2, 3 / 4, 1)),
        (DormandPrince54, (0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1, 1)),
    ],
)
def test_pairs_have_the_published_nodes_and_reuse_their_last_slope(pair, c):
    assert pair.c == pytest.approx(c, abs=1e-14)
    assert pair.first_same_as_last
    # As printed in the papers: 71/57600 for the one, -5/72 for the other.
    printed = {3: -5 / 72, 5: 71 / 57600}
    assert pair.error_weights[0] == pytest.approx(printed[pair.order], abs=1e-15)


def test_pairs_that_make_no_sense_are_refused():
    tableau = {"a": ((), (1.0,)), "b": (0.5, 0.5), "order": 2}
    with pytest.raises(ValueError, match="the sum 1"):
        EmbeddedPair(**tableau, b_low=(1.0, 0.5), low_order=1)
    with pytest.raises(ValueError, match="the length 2"):
        EmbeddedPair(**tableau, b_low=(1.0,), low_order=1)
    with pytest.raises(ValueError, match="lower order"):
        EmbeddedPair(**tableau, b_low=(1.0, 0.0), low_order=2)
    assert not EmbeddedPair(**tableau, b_low=(1.0, 0.0), low_order=1).first_same_as_last


@pytest.mark.parametrize(("pair", "order"), [(ARS222, 2), (ARS443, 3)])
def test_implicit_explicit_pairs_satisfy_the_coupled_order_conditions(pair, order):
    stages = len(pair.explicit)
    a, d = square(pair.explicit, stages), square(pair.implicit, stages)
    c = a.sum(1)
    torch.testing.assert_close(d.sum(1), c, atol=1e-14, rtol=0)
    for weights in (a[-1], d[-1]):
        assert float(weights.sum()) == pytest.approx(1, abs=1e-14)
        assert float(weights @ c) == pytest.approx(1 / 2, abs=1e-14)
        if order == 3:
            assert float(weights @ c**2) == pytest.approx(1 / 3, abs=1e-14)
            for rows in (a, d):
                assert float(weights @ rows @ c) == pytest.approx(1 / 6, abs=1e-14)


def advance(integrator, rhs, u, end, steps, forcing=None):
    step = integrator.bind(rhs, forcing)
    dt = end / steps
    for i in range(steps):
        u = step(i * dt, u, dt)
    return u


class Relaxation:
    """`u -> -u` on one point, which says so."""

    def __call__(self, u):
        return -u

    def linear_symbol(self):
        return -torch.ones(1, dtype=torch.complex128)


def cosine(t):
    return torch.full((1, 1), math.cos(t), dtype=torch.float64)


@pytest.mark.parametrize("name", SEMILINEAR)
def test_semilinear_integrators_reach_their_order_on_a_forced_problem(name):
    method = SEMILINEAR[name]

    def error(steps):
        one = torch.ones(1, 1, dtype=torch.float64)
        u = advance(method, Relaxation(), one, 2.0, steps, cosine)
        return abs(float(u) - forced_solution(2.0))

    observed = observed_order(error, [20, 40, 80])
    assert observed == pytest.approx(method.order, abs=0.1)


def stiff_problem(kind):
    """Forced Burgers with a large viscosity, away from sonic points.

    The weights of WENO-JS vary smoothly with the solution where those of WENO-Z would
    show in the higher orders.
    """
    grid = Grid.line(64 if kind == "spectral" else 32)
    x = grid.points()
    u0 = 1.5 + 0.5 * torch.stack([x.sin(), (2 * x).cos()])
    forcing = RandomForcing.sample(2, seed=0).on(grid, averages=True)
    if kind == "spectral":
        return PseudoSpectral(Burgers(0.5), grid, averages=True), u0, forcing
    return Weno(Burgers(0.5), grid, weights="JS"), u0, forcing


@cache
def stiff_solution(kind):
    problem, u0, forcing = stiff_problem(kind)
    with torch.no_grad():
        return advance(ETDRK4, problem, u0, 0.5, 320, forcing)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["spectral", "weno"])
@pytest.mark.parametrize("name", SEMILINEAR)
def test_semilinear_integrators_reach_their_order_on_a_stiff_problem(name, kind):
    method = SEMILINEAR[name]
    problem, u0, forcing = stiff_problem(kind)
    exact = stiff_solution(kind)

    def error(steps):
        u = advance(method, problem, u0, 0.5, steps, forcing)
        return float((u - exact).abs().max())

    sizes = [40, 80]
    assert observed_order(error, sizes) == pytest.approx(method.order, abs=0.15)


@pytest.mark.parametrize("method", [ETDRK4, ETDRK4B, IFRK4])
def test_exponential_integrators_are_exact_for_a_linear_discretization(method):
    grid = Grid.line(15, 3.0)
    rhs = FiniteDifference(AdvectionDiffusion(2.0, 0.1), grid, order=4, form=Convective)
    u0 = smooth_field(grid)
    exact = torch.linalg.matrix_exp(0.5 * rhs.jacobian(u0[:1])[0]) @ u0.T
    torch.testing.assert_close(method.bind(rhs, None)(0.0, u0, 0.5), exact.T)


@pytest.mark.parametrize("method", [ETDRK4, ETDRK4B, IFRK4])
def test_exponential_integrators_are_exact_for_a_linear_equation(method):
    grid = Grid.line(15, 3.0)
    rhs = PseudoSpectral(Advection(2.0), grid)
    # Once around the domain, in one step.
    u0 = smooth_field(grid)
    torch.testing.assert_close(method.bind(rhs, None)(0.0, u0, 1.5), u0)


@torch.no_grad()
def test_exponential_methods_rank_as_published_on_a_forced_flow():
    grid = Grid.line(64)
    rhs = PseudoSpectral(Burgers(0.05), grid)
    u0 = smooth_field(grid)
    forcing = RandomForcing.sample(len(u0), amplitude=0.3, seed=1).on(grid)
    exact = advance(ETDRK4B, rhs, u0, 1.0, 400, forcing)
    errors = {
        name: float((advance(method, rhs, u0, 1.0, 25, forcing) - exact).norm())
        for name, method in SEMILINEAR.items()
    }
    assert errors["ETDRK4B"] < 0.8 * errors["ETDRK4"]
    assert errors["ETDRK4"] < 0.6 * errors["IFRK4"]


@pytest.mark.parametrize("krogstad", [False, True])
def test_the_weights_of_time_differencing_become_those_of_rk4(krogstad):
    u0 = torch.tensor([0.3, 0.9], dtype=torch.complex128)
    scheme = TimeDifferencing(torch.zeros(2).double(), 0.1, krogstad=krogstad)
    expected = RK4.step(lambda t, u: t - u**2, 0.4, u0, 0.1)
    torch.testing.assert_close(scheme.step(lambda t, u: t - u**2, 0.4, u0), expected)


def test_etdrk4_is_exact_for_a_constant_forcing():
    grid = Grid.line(16)
    rhs = PseudoSpectral(Burgers(0.5), grid)
    symbol = rhs.linear_symbol()

    def linear(u):
        return torch.fft.irfft(symbol * torch.fft.rfft(u), n=16)

    method = ExponentialTimeDifferencing(symbol=symbol)
    force = smooth_field(grid, seed=1)
    u = method.bind(linear, lambda t: force)(0.0, smooth_field(grid), 50.0)
    # Past all transients: L u = -f.
    torch.testing.assert_close(linear(u), -force, atol=1e-9, rtol=0)


def test_phi_functions_agree_across_the_unit_circle_and_with_quadrature():
    angles = torch.linspace(0, 2 * math.pi, 9, dtype=torch.float64)
    circle = torch.polar(torch.ones_like(angles), angles)
    z = torch.cat(
        [0.999 * circle, 1.001 * circle, 1e-9 * circle, 30 * circle.real + 0j]
    )
    # phi_k(z) = int_0^1 exp((1 - s) z) s**(k-1) / (k-1)! ds
    nodes, weights = (torch.from_numpy(v) for v in np.polynomial.legendre.leggauss(60))
    s, w = (nodes + 1) / 2, weights / 2
    for k, found in enumerate(phi_functions(z, 3), start=1):
        kernel = w * s ** (k - 1) / math.factorial(k - 1)
        expected = torch.exp(torch.outer(z, 1 - s + 0j)) @ (kernel + 0j)
        torch.testing.assert_close(found, expected, rtol=1e-13, atol=0)


@torch.no_grad()
@pytest.mark.parametrize("method", [ARS222, ARS443, ETDRK4, ETDRK4B, IFRK4])
def test_diffusion_does_not_limit_the_step_of_semilinear_integrators(method):
    grid = Grid.line(128)
    rhs = Weno(Burgers(1.0), grid)
    u0 = smooth_field(grid)
    limit = rhs.stable_step(u0, RK4)
    dt = 40 * limit
    u = advance(method, rhs, u0, 100 * dt, 100)
    assert float(u.abs().max()) <= float(u0.abs().max())
    explicit = advance(RK4, rhs, u0, 100 * dt, 100)
    assert not explicit.isfinite().all()


def linearized(function, u):
    """Derivative of a function of fields at `u`, a matrix."""
    return torch.autograd.functional.jacobian(function, u)


WAVES = {
    "spectral": lambda: PseudoSpectral(Burgers(0.05), Grid.line(18)),
    "differences": lambda: FiniteDifference(Burgers(0.02), Grid.line(18), order=4),
    "weno": lambda: Weno(Burgers(0.05), Grid.line(18)),
    "dispersion": lambda: FiniteDifference(
        KortewegDeVries(), Grid.line(18, 12.0), order=4, form=Convective
    ),
}


@pytest.mark.parametrize("name", SEMILINEAR)
@pytest.mark.parametrize("kind", WAVES)
def test_stable_steps_of_semilinear_integrators_are_the_largest_ones(name, kind):
    """Against the derivative of a whole step about a constant state."""
    method, integrator = WAVES[kind](), SEMILINEAR[name]
    u = torch.full(method.grid.shape, 0.8, dtype=torch.float64)
    limit = method.stable_step(u, integrator)
    assert 0 < limit < math.inf
    symbol = method.linear_symbol().detach()

    def remainder(u):
        return method(u) - torch.fft.irfft(symbol * torch.fft.rfft(u), n=len(u))

    fastest = torch.linalg.eigvals(linearized(remainder, u)).abs().max()
    own = torch.linalg.eigvals(linearized(method, u)).real.max()
    # No mode grows by itself, so all growth is that of the steps.
    assert own < 1e-10

    def exceeds(dt):
        def step(u):
            times = torch.tensor([0.0, dt], dtype=torch.float64)
            return rollout(method, u, times, integrator=integrator)[-1]

        radius = torch.linalg.eigvals(linearized(step, u)).abs().max()
        return float((radius - 1) / (1e-4 * fastest * dt))

    assert exceeds(0.98 * limit) < 1.01
    assert exceeds(1.02 * limit) > 1.0
    # There is no gap below, either.
    assert max(exceeds(share * limit) for share in (0.1, 0.3, 0.6, 0.8)) < 1.01


@torch.no_grad()
@pytest.mark.parametrize("name", SEMILINEAR)
def test_rollouts_blow_up_past_the_stable_step_of_semilinear_integrators(name):
    method, integrator = WAVES["spectral"](), SEMILINEAR[name]
    noise = torch.randn(18, generator=torch.Generator().manual_seed(1)).double()
    u = 0.8 + 1e-8 * noise
    limit = method.stable_step(u, integrator)

    def departure(dt):
        times = torch.tensor([0.0, 100 * dt], dtype=torch.float64)
        end = rollout(method, u, times, integrator=integrator, steps=100)[-1]
        return float((end - end.mean()).norm() / (u - u.mean()).norm())

    assert departure(0.98 * limit) < 1.5
    assert not departure(1.4 * limit) < 10


def test_the_linear_part_does_not_limit_the_stable_step_of_semilinear_integrators():
    u = torch.full((64,), 0.3, dtype=torch.float64)
    stiff = PseudoSpectral(Burgers(1.0), Grid.line(64))
    assert stiff.stable_step(u, ETDRK4) > 100 * stiff.stable_step(u, RK4)
    linear = PseudoSpectral(AdvectionDiffusion(2.0, 0.1), Grid.line(64))
    for method in SEMILINEAR.values():
        assert linear.stable_step(u, method) == math.inf


def test_semilinear_stable_steps_take_a_symbol_of_their_own_and_a_sample_each():
    grid = Grid.line(12)
    u = smooth_field(grid, samples=2)
    method = PseudoSpectral(Burgers(0.3), grid)
    # Half of the diffusion is left to the explicit part.
    half = ExponentialTimeDifferencing(symbol=0.5 * method.linear_symbol())
    assert method.stable_step(u, half) < method.stable_step(u, ETDRK4)
    viscosities = torch.tensor([[0.05], [0.5]], dtype=torch.float64)
    together = PseudoSpectral(Burgers(viscosities), grid).stable_step(u, ETDRK4)
    alone = [
        PseudoSpectral(Burgers(nu), grid).stable_step(u, ETDRK4) for nu in (0.05, 0.5)
    ]
    assert together == pytest.approx(min(alone), rel=0.05)


def test_stable_steps_say_what_they_need():
    z = torch.tensor([1j, -1.0])
    with pytest.raises(ValueError, match="pass `linear`"):
        ETDRK4.stable_step(z)
    with pytest.raises(ValueError, match="pass one for each"):
        inspect.unwrap(type(ETDRK4).stable_step)(ETDRK4, z, linear=z[:1])
    for method in (RK4, ETDRK4, ARS443):
        with pytest.raises(ValueError, match="1 of 2 eigenvalues are not finite"):
            method.stable_step(torch.tensor([1j, math.nan]), linear=z)
        with pytest.raises(ValueError, match="without eigenvalues"):
            method.stable_step(z[:0], linear=z[:0])
    elements = DiscontinuousGalerkin(Burgers(0.1), Grid.line(12), degree=2)
    with pytest.raises(ValueError, match="use an explicit integrator"):
        elements.stable_step(torch.ones(12).double(), ETDRK4)


def test_integrators_are_listed_by_the_name_of_their_constant_and_read_only():
    constants = {
        name: value
        for name, value in vars(stencilnet.solver).items()
        if isinstance(value, Integrator)
    }
    # Exact evolution is a class, whose default value has no constant.
    assert isinstance(INTEGRATORS["ColeHopf"], ColeHopf)
    others = {name: INTEGRATORS[name] for name in INTEGRATORS if name != "ColeHopf"}
    assert others == constants
    with pytest.raises(TypeError):
        INTEGRATORS["Mine"] = RK4


def symbols():
    grid = Grid.line(12)
    return {
        "spectral": (lambda nu: PseudoSpectral(Burgers(nu), grid, averages=True)),
        "differences": (lambda nu: FiniteDifference(Burgers(nu), grid)),
        "weno": (lambda nu: Weno(Burgers(nu), grid)),
        "learned": (lambda nu: LearnedStencil(Burgers(nu), grid)),
    }


@pytest.mark.parametrize("kind", symbols())
def test_the_linear_symbol_is_what_small_waves_feel(kind):
    method = symbols()[kind](0.7)
    x = method.grid.points()
    u = (1e-6 * (3 * x).cos()).to(next(method.parameters(), x).dtype)
    u_t = torch.fft.rfft(method(u).detach().double())[3]
    expected = method.linear_symbol()[3] * torch.fft.rfft(u.double())[3]
    torch.testing.assert_close(u_t, expected, rtol=1e-4, atol=0)
    assert method.linear_symbol().shape == (7,)


@pytest.mark.parametrize(
    ("make", "level"),
    [
        (partial(FiniteDifference, Advection(1.3), order=4, form=Convective), 0.0),
        (partial(FiniteDifference, Advection(-0.7), order=3, form=UpwindFlux), 0.0),
        (partial(FiniteDifference, KortewegDeVries(), order=6, form=Convective), 0.0),
        # To weights without a unit no field about zero is small, but a change of 1.
        (partial(Weno, AdvectionDiffusion(1.0, 0.1), weights="JS"), 1.0),
        (partial(PseudoSpectral, KortewegDeVries()), 0.0),
    ],
)
@pytest.mark.parametrize("points", [12, 13])
def test_the_linear_symbol_of_travelling_waves_has_their_direction(make, level, points):
    grid = Grid.line(points)
    method = make(grid=grid)
    u = level + 1e-8 * smooth_field(grid)
    small = u - level
    felt = torch.fft.rfft(method(u)) / torch.fft.rfft(small)
    kept = slice(1, 4)
    symbol = method.linear_symbol().expand_as(felt)
    torch.testing.assert_close(symbol[:, kept], felt[:, kept], rtol=1e-3, atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("name", SEMILINEAR)
def test_semilinear_steps_of_finite_differences_treat_dispersion_well(name):
    """With the dispersive part left to the explicit one, the steps would blow up."""
    grid = Grid.line(64, 50.0)
    rhs = FiniteDifference(KortewegDeVries(), grid, order=6, form=Convective)
    u0 = Solitons((0.8,), (25.0,)).values(grid, 0.0)
    exact = advance(RK4, rhs, u0, 1.0, 800)
    u = advance(SEMILINEAR[name], rhs, u0, 1.0, 40)
    assert float((u - exact).abs().max()) < (1e-2 if name == "ARS222" else 1e-3)


@torch.no_grad()
@pytest.mark.parametrize("name", SEMILINEAR)
@pytest.mark.parametrize("kind", ["differences", "weno", "spectral"])
def test_semilinear_methods_take_a_viscosity_per_sample(name, kind):
    viscosities = torch.tensor([[0.05], [0.5], [1.0]], dtype=torch.float64)
    u0 = smooth_field(Grid.line(12))
    assert symbols()[kind](viscosities).linear_symbol().shape == (3, 7)
    together = advance(SEMILINEAR[name], symbols()[kind](viscosities), u0, 0.2, 4)
    for row, viscosity in enumerate(viscosities[:, 0].tolist()):
        alone = advance(SEMILINEAR[name], symbols()[kind](viscosity), u0[row], 0.2, 4)
        torch.testing.assert_close(together[row], alone, atol=1e-12, rtol=0)


@pytest.mark.parametrize("kind", symbols())
def test_the_linear_symbol_keeps_the_gradient_of_the_viscosity(kind):
    nu = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    symbol = symbols()[kind](nu).linear_symbol()
    (slope,) = torch.autograd.grad(symbol.real.sum(), nu)
    # The viscous part is proportional to the viscosity.
    torch.testing.assert_close(
        0.7 * slope, symbol.real.sum().detach(), rtol=1e-5, atol=0
    )


def test_the_linear_symbol_of_constants_requires_no_gradient():
    grid = Grid.line(12)
    assert not Weno(Burgers(0.1), grid).linear_symbol().requires_grad


@pytest.mark.parametrize("method", SEMILINEAR.values(), ids=SEMILINEAR)
@pytest.mark.parametrize("kind", ["spectral", "differences"])
def test_gradients_through_semilinear_integrators_are_exact(method, kind):
    make = symbols()[kind]
    forcing = RandomForcing.sample(2, modes=3, wavenumbers=(1, 2), seed=3)

    def end(viscosity, u0):
        rhs = make(viscosity)
        force = forcing.on(rhs.grid, averages=True)
        return advance(method, rhs, u0, 0.4, 2, force)

    nu = torch.tensor(0.6, dtype=torch.float64, requires_grad=True)
    u0 = smooth_field(Grid.line(12), samples=2).requires_grad_()
    assert torch.autograd.gradcheck(end, (nu, u0), atol=1e-7, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("method", SEMILINEAR.values(), ids=SEMILINEAR)
def test_semilinear_integrators_keep_dtype_and_batch(method):
    grid = Grid.line(24)
    rhs = Weno(Burgers(0.5), grid)
    u0 = smooth_field(grid, samples=6).reshape(2, 3, 24)
    exact = advance(method, rhs, u0, 0.5, 10)
    single = advance(method, rhs, u0.float(), 0.5, 10)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), exact, atol=2e-6, rtol=0)
    torch.testing.assert_close(advance(method, rhs, u0[1, 2], 0.5, 10), exact[1, 2])


def test_binding_an_explicit_method_is_stepping_with_the_forcing():
    u = torch.ones(1, 1, dtype=torch.float64)
    bound = RK4.bind(Relaxation(), cosine)(0.3, u, 0.1)
    assert torch.equal(bound, RK4.step(forced, 0.3, u, 0.1))
    for method in (RK4, DormandPrince54, *SEMILINEAR.values()):
        assert isinstance(method, Integrator)


@pytest.mark.parametrize("method", SEMILINEAR.values(), ids=SEMILINEAR)
def test_semilinear_integrators_refuse_what_has_no_linear_part(method):
    class Nothing(Relaxation):
        def __init__(self, symbol):
            self.symbol = symbol

        def linear_symbol(self):
            return self.symbol

    with pytest.raises(ValueError, match="does not define"):
        method.bind(lambda u: -u, None)
    with pytest.raises(ValueError, match="does not define"):
        method.bind(Nothing(None), None)
    with pytest.raises(ValueError, match="is zero here"):
        method.bind(Nothing(torch.zeros(3, dtype=torch.complex128)), None)
    with pytest.raises(ValueError, match="on one grid"):
        method.bind(Relaxation(), None)(0.0, torch.ones(8), 0.1)


def test_a_function_with_a_symbol_of_its_own_is_taken():
    u = torch.ones(1, 1, dtype=torch.float64)
    symbol = -torch.ones(1, dtype=torch.complex128)
    given = Lawson(RK4, symbol=symbol).bind(lambda u: -u, cosine)(0.0, u, 0.1)
    assert torch.equal(given, IFRK4.bind(Relaxation(), cosine)(0.0, u, 0.1))


def test_implicit_explicit_pairs_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="rows of length"):
        ImplicitExplicit(((), (1.0,)), ((0.0,), (1.0,)), order=1)
    with pytest.raises(ValueError, match="same stage times"):
        ImplicitExplicit(((), (1.0,)), ((0.0,), (0.0, 0.5)), order=1)
    with pytest.raises(ValueError, match="lies at time 1"):
        ImplicitExplicit(((), (0.5,)), ((0.0,), (0.0, 0.5)), order=1)


def test_an_integrator_of_ones_own_takes_the_symbol_of_the_method():
    class LawsonEuler(SemilinearIntegrator):
        description, order = "Lawson's Euler method", 1

        def scheme(self, symbol, dt, dtype):
            return IntegratingFactor(Euler, symbol.to(dtype), dt)

    method = PseudoSpectral(Burgers(viscosity=0.3), Grid.line(32))
    wave = DecayingWave(viscosity=0.3)
    u0, end = (wave.values(method.grid, t) for t in (0.0, 1.0))
    u = rollout(method, u0, [0.0, 1.0], integrator=LawsonEuler(), steps=40)
    assert (u[-1] - end).abs().max() < 0.02
