"""Grids with boundaries: reflection, prescribed values, outflow."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from helpers import observed_order, randomize
from numpy.polynomial import Polynomial

from stencilnet import (
    MLP,
    RK4,
    Adaptive,
    Burgers,
    CentralFlux,
    Convective,
    DiscontinuousGalerkin,
    FiniteDifference,
    Grid,
    LearnedStencil,
    Muscl,
    NullSpace,
    PseudoSpectral,
    UpwindFlux,
    Weno,
    rollout,
)
from stencilnet.boundaries import (
    Boundary,
    Outflow,
    Prescribed,
    Wall,
    ZeroSlope,
    boundary_from_spec,
)
from stencilnet.discretizations import (
    Compact,
    Eno,
    Kappa,
    MovingMesh,
    Parabola,
    SplitGalerkin,
    Teno,
    frozen_stencils,
    refine,
)
from stencilnet.equations import (
    Advection,
    AdvectionDiffusion,
    DecayingWave,
    FisherKPP,
    ShockLayer,
)
from stencilnet.solver import ETDRK4, Euler, StableStep

ENDS = {
    "walls": Wall(),
    "slopes": ZeroSlope(),
    "values": (Prescribed(0.4), Prescribed(-0.3)),
    "inflow": (Prescribed(lambda t: 1 + 0.1 * t.sin()), Outflow()),
}


def learned(equation, grid, order=4, **settings):
    constraint = NullSpace(order=order)
    method = LearnedStencil(
        equation, grid, constraint=constraint, network=MLP(8), **settings
    )
    randomize(method, scale=0.3)
    return method


METHODS = {
    "central 2": partial(FiniteDifference, order=2),
    "central 4": partial(FiniteDifference, order=4),
    "central 6": partial(FiniteDifference, order=6),
    "upwind 3": partial(FiniteDifference, order=3),
    "points 4": partial(FiniteDifference, order=4, form=Convective),
    "MUSCL": Muscl,
    "WENO-Z": Weno,
    "DG p2": partial(DiscontinuousGalerkin, degree=2),
    "learned": learned,
}
methods = pytest.mark.parametrize("make", METHODS.values(), ids=METHODS)


def field(grid, samples=None):
    generator = torch.Generator().manual_seed(3)
    shape = grid.shape if samples is None else (samples, *grid.shape)
    return 0.3 + torch.randn(shape, generator=generator, dtype=torch.float64)


def test_cells_fill_the_domain_between_boundaries():
    grid = Grid.line(4, 2.0, boundaries=Wall())
    assert grid.points().tolist() == [0.25, 0.75, 1.25, 1.75]
    averages = grid.averages(lambda x: x**2)
    assert float(averages.sum() * grid.spacing[-1]) == pytest.approx(8 / 3)


@pytest.mark.parametrize(
    "make",
    [
        partial(FiniteDifference, order=4),
        partial(FiniteDifference, order=5),
        partial(FiniteDifference, order=6, form=Convective),
        Muscl,
        Kappa,
        Weno,
        partial(Weno, order=9),
        Teno,
        Eno,
        partial(Eno, subcell=True),
        partial(learned, mirror=True),
        partial(learned, form=UpwindFlux, mirror=True, window=12),
        PseudoSpectral,
        partial(PseudoSpectral, averages=True),
    ],
)
def test_walls_are_half_of_the_odd_periodic_problem(make):
    equation, points = Burgers(0.1), 24
    half = Grid.line(points, 2.0, boundaries=Wall())
    u = field(half, samples=2)
    whole = make(equation, Grid.line(2 * points, 4.0))
    expected = whole(torch.cat([u, -u.flip(-1)], dim=-1))[:, :points]
    torch.testing.assert_close(make(equation, half)(u), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("kind", [DiscontinuousGalerkin, SplitGalerkin])
def test_inviscid_elements_have_the_symmetry_of_walls_too(kind):
    # Local fluxes of diffusion lean to one side.
    half = Grid.line(24, 2.0, boundaries=Wall())
    u = field(half)
    whole = kind(Burgers(0.0), Grid.line(48, 4.0), degree=2)
    expected = whole(torch.cat([u, -u.flip(-1)]))[:24]
    actual = kind(Burgers(0.0), half, degree=2)(u)
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("order", [2, 4])
def test_even_reflection_is_half_of_the_even_periodic_problem(order):
    equation, half = FisherKPP(0.3, 0.7), Grid.line(16, 2.0, boundaries=ZeroSlope())
    whole, u = Grid.line(32, 4.0), field(half)
    for make in (partial(FiniteDifference, order=order), PseudoSpectral):
        expected = make(equation, whole)(torch.cat([u, u.flip(-1)]))[:16]
        torch.testing.assert_close(make(equation, half)(u), expected)


STEADY = ShockLayer(1.0, -1.0, centre=1.0, viscosity=0.2)
ENDS_OF_STEADY = tuple(
    Prescribed(float(STEADY.u(torch.tensor(x).double(), 0.0))) for x in (0.0, 2.0)
)
ORDERS = {
    "central 2": (2, (32, 64)),
    "central 4": (4, (32, 64)),
    "central 6": (6, (32, 64)),
    "points 4": (4, (32, 64)),
    "MUSCL": (2, (64, 128)),
    "DG p1": (2, (24, 48)),
    "DG p2": (3, (48, 96)),
    "DG p3": (4, (32, 64)),
    "WENO-Z": (5, (96, 192)),
    "learned": (4, (64, 128)),
}
EXTRA = {
    "DG p1": partial(DiscontinuousGalerkin, degree=1),
    "DG p3": partial(DiscontinuousGalerkin, degree=3),
    "WENO-Z": partial(Weno, viscous_order=6),
}
orders = pytest.mark.parametrize("name", ORDERS)


def check_order(name, equation, exact, length, boundaries, *, forcing=None, end=0.2):
    order, sizes = ORDERS[name]
    errors = {}
    for points in sizes:
        grid = Grid.line(points, length, boundaries=boundaries)
        method = (METHODS | EXTRA)[name](equation, grid)
        averages = method.averages
        u0 = exact(grid, 0.0, averages=averages)
        force = None if forcing is None else forcing(grid, averages)
        with torch.no_grad():
            u = rollout(
                method, u0, [0, end], force, integrator=RK4, steps=StableStep(0.7)
            )[-1]
        errors[points] = (u - exact(grid, end, averages=averages)).abs()
    mean = observed_order(lambda points: float(errors[points].mean()), sizes)
    largest = observed_order(lambda points: float(errors[points].max()), sizes)
    assert mean == pytest.approx(order, abs=0.15)
    assert largest == pytest.approx(order, abs=0.3)


@orders
def test_methods_keep_their_order_between_walls(name):
    check_order(name, Burgers(0.3), DecayingWave(0.3).of, math.pi, Wall(), end=0.1)


@orders
def test_methods_keep_their_order_between_prescribed_values(name):
    check_order(name, Burgers(0.2), STEADY.of, 2.0, ENDS_OF_STEADY, end=0.05)


@pytest.mark.parametrize("name", [name for name in ORDERS if name != "learned"])
def test_methods_keep_their_order_at_an_outflow(name):
    # Without viscosity, which would ask for a boundary value. Random stencils of one
    # order are not stable then; that they are exact is another test's.
    def exact(grid, t, *, averages):
        wave = lambda x: (x + 0.3).exp()  # noqa: E731
        return grid.averages(wave) if averages else wave(grid.points())

    def forcing(grid, averages):
        f = exact(grid, 0.0, averages=averages)
        return lambda t: f

    inflow = Prescribed(math.exp(0.3))
    check_order(
        name,
        Advection(1.0),
        exact,
        1.5,
        (inflow, Outflow()),
        forcing=forcing,
        end=0.5,
    )


def test_a_shock_comes_in_at_its_speed():
    shock, equation = ShockLayer(1.0, 0.0, centre=-0.2), Burgers(0.0)
    ends = Prescribed(lambda t: shock.u(torch.zeros_like(t), t)), Outflow()
    for make, largest in ((Weno, 0.004), (Muscl, 0.006)):
        grid = Grid.line(64, 2.0, boundaries=ends)
        times = torch.linspace(0, 2, 301).double()
        u = rollout(make(equation, grid), shock.averages(grid, 0.0), times)
        assert float((u[-1] - shock.averages(grid, 2.0)).abs().mean()) < largest
        assert float(u.min()) > -0.01
        assert float(u.max()) < 1.01


def test_a_shock_leaves_through_an_outflow():
    shock, equation = ShockLayer(1.0, 0.0, centre=1.5), Burgers(0.0)
    grid = Grid.line(64, 2.0, boundaries=(Prescribed(1.0), Outflow()))
    times = torch.linspace(0, 2, 301).double()
    for make in (Weno, Muscl):
        u = rollout(make(equation, grid), shock.averages(grid, 0.0), times)
        torch.testing.assert_close(u[-1], torch.ones(64).double())


def test_a_shock_runs_into_a_wall_and_stands_there():
    # Against its mirror image the state 1 has a shock at rest: the wall holds it.
    grid = Grid.line(64, 2.0, boundaries=(Prescribed(1.0), Wall()))
    u0 = torch.where(grid.points() < 1, 1.0, 0.0)
    times = torch.linspace(0, 4, 401).double()
    for make in (Weno, Muscl):
        u = rollout(make(Burgers(0.0), grid), u0.double(), times)
        torch.testing.assert_close(u[-1], torch.ones(64).double(), rtol=0, atol=2e-3)


@pytest.mark.parametrize("ends", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("name", ["central 4", "upwind 3", "MUSCL", "WENO-Z"])
def test_the_mean_changes_by_the_fluxes_through_the_ends(name, ends):
    grid = Grid.line(32, 2.0, boundaries=ends)
    method = METHODS[name](Burgers(0.05), grid)
    u0 = torch.where(grid.points() < 1.4, 1.0, -0.2).double()
    times = torch.arange(60).double() * 0.005
    with torch.no_grad():
        u = rollout(method, u0, times, integrator=Euler)
        fluxes = [
            method.end_fluxes(state, t)
            for state, t in zip(u[:-1], times[:-1], strict=True)
        ]
    gained = sum(float(left - right) for left, right in fluxes) * 0.005
    change = float((u[-1] - u[0]).sum()) * grid.spacing[-1]
    assert change == pytest.approx(gained, abs=1e-13)
    assert abs(change) > 1e-3


def test_fluxes_through_the_ends_are_those_of_the_boundary():
    equation, level = Burgers(0.0), torch.full((32,), 0.8, dtype=torch.float64)
    grid = Grid.line(32, boundaries=(Prescribed(1.2), Outflow()))
    left, right = Weno(equation, grid).end_fluxes(level)
    assert float(left) == pytest.approx(1.2**2 / 2, abs=1e-15)
    assert float(right) == pytest.approx(0.8**2 / 2, abs=1e-12)
    with pytest.raises(ValueError, match="give a grid with boundaries"):
        Weno(equation, Grid.line(32)).end_fluxes(level)


@pytest.mark.parametrize("form", [Convective, CentralFlux, UpwindFlux])
@pytest.mark.parametrize("order", [1, 3, 4])
def test_learned_stencils_keep_their_moments_at_the_ends(form, order):
    # Exact at all faces or points for polynomials, whatever the weights.
    length = 1.3
    for name, derivative in form(Burgers(0.1)).requires.items():
        p = Polynomial([-0.4, 1.0]) ** 0
        for _ in range(derivative.order + order - 1):
            p = 1 + p * Polynomial([-0.4, 1.0])
        left, right = Prescribed(p(0.0)), Prescribed(p(length))
        for ends in ((left, right), (left, Outflow()), (Outflow(), right)):
            grid = Grid.line(12, length, boundaries=ends)
            method = learned(Burgers(0.1), grid, order, form=form)
            x, dx = grid.points().numpy(), grid.spacing[-1]
            primitive = p.integ()
            means = (primitive(x + dx / 2) - primitive(x - dx / 2)) / dx
            u = torch.tensor(means if method.averages else p(x))
            _, supplied = method.continued(u, method.ends.values(u, None))
            # From the left end, the right face of the cell before the first one, on.
            at = np.append(x[0] - dx, x) + derivative.at * dx
            first = method.ends.ghosts - 1
            found = supplied[name][first : first + 13]
            exact = torch.tensor(p.deriv(derivative.order)(at))
            if derivative.at == 0:
                found, exact = found[1:], exact[1:]
            torch.testing.assert_close(found, exact, rtol=0, atol=1e-9)


def test_what_flows_out_has_the_state_within():
    grid = Grid.line(24, boundaries=Outflow())
    u, requires = field(grid), ("u_left", "u_right")
    for make in (Muscl, Weno):
        method = make(Burgers(0.0), grid)
        _, supplied = method.continued(u, method.ends.values(u, None))
        ends = [method.ends.ghosts - 1, method.ends.ghosts + 23]
        left, right = (supplied[name] for name in requires)
        assert torch.equal(left[ends], right[ends])
        assert not torch.equal(left, right)


def test_stable_steps_count_what_flows_in():
    u = torch.full((24,), 0.05).double()
    resting, fast = (
        Muscl(Burgers(0.0), Grid.line(24, boundaries=Prescribed(value)))
        for value in (0.1, 2.0)
    )
    slow = resting.stable_step(u, RK4)
    assert fast.stable_step(u, RK4) == pytest.approx(slow / 20, rel=0.01)


@methods
def test_boundary_values_have_gradients(make):
    u = field(Grid.line(12), samples=2).requires_grad_()
    value = torch.tensor([[0.4], [1.3]], dtype=torch.float64, requires_grad=True)
    rate = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)

    def u_t(u, value, rate):
        ends = Prescribed(value), Prescribed(lambda t: -0.2 + rate * t)
        method = make(Burgers(0.1), Grid.line(12, 2.0, boundaries=ends))
        return method.at(torch.tensor(0.3).double(), u)

    assert torch.autograd.gradcheck(u_t, (u, value, rate))


@methods
def test_each_sample_may_have_a_value_of_its_own(make):
    value, u = torch.tensor([[0.4], [1.3]]).double(), field(Grid.line(12), samples=2)

    def method(value):
        grid = Grid.line(12, 2.0, boundaries=(Prescribed(value), Outflow()))
        return make(Burgers(0.1), grid)

    together = method(value)(u)
    for row in range(2):
        torch.testing.assert_close(together[row], method(float(value[row]))(u[row]))
    with pytest.raises(ValueError, match="give the state the sample axis"):
        rollout(method(value), u[0], [0.0, 0.01])


def test_a_value_is_asked_for_at_the_times_of_the_stages():
    seen = []

    def value(t):
        seen.append(t)
        return 1 + t

    grid = Grid.line(12, 2.0, boundaries=(Prescribed(value), Outflow()))
    method, u = FiniteDifference(Burgers(0.1), grid), field(grid, samples=3) * 0.1
    rollout(method, u, [0.0, 0.2], integrator=RK4)
    assert [float(t) for t in seen] == pytest.approx([0.0, 0.1, 0.1, 0.2])
    seen.clear()
    rollout(method, u, [0.0, 0.2], steps=Adaptive())
    assert {tuple(t.shape) for t in seen} == {(3, 1)}
    with pytest.raises(ValueError, match="solve by rollout, or evaluate the method"):
        method(u)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (name, kind)
        for name in ("central 4", "upwind 3", "WENO-Z", "DG p2")
        for kind in ENDS
        if (name, kind) != ("DG p2", "slopes")
    ],
)
def test_stable_steps_know_the_ends(name, kind):
    grid = Grid.line(24, 2.0, boundaries=ENDS[kind])
    method = METHODS[name](Burgers(0.1), grid)
    u = torch.full((24,), 0.7).double()
    values = method.ends.at_level(u[:1])
    noise = field(grid) * 1e-8
    limit = method.stable_step(u, RK4)

    def growth(share):
        times = [0, 300 * share * limit]
        at_rest = partial(method.between, values=values)
        end = rollout(at_rest, u + noise, times, integrator=RK4, steps=300)[-1]
        return float((end - u).norm() / noise.norm())

    assert growth(0.8) < 10
    periodic = METHODS[name](Burgers(0.1), Grid.line(24, 2.0)).stable_step(u, RK4)
    if (name, kind) == ("central 4", "values"):
        # Stiffer than a period.
        assert limit < 0.7 * periodic
        assert not growth(1.3) < 1e3
    else:
        assert limit <= 1.001 * periodic


REFUSED = {
    "compact": lambda grid: Compact(Burgers(0.1), grid),
    "picture": lambda grid: Parabola(Burgers(0.1), grid),
    "moving mesh": lambda grid: MovingMesh(Burgers(0.1), grid),
    "waves": lambda grid: grid.wavenumbers(),
    "coarsen": lambda grid: grid.coarsen(2),
    "symbol": lambda grid: rollout(
        Weno(Burgers(0.1), grid), torch.zeros(12), [0, 1], integrator=ETDRK4
    ),
    "frozen": lambda grid: frozen_stencils(
        Weno(Burgers(0.1), grid), torch.zeros(1, 12)
    ),
    "refinement": lambda grid: refine(Weno(Burgers(0.1), grid), 1.0),
}


@pytest.mark.parametrize("use", REFUSED.values(), ids=REFUSED)
def test_what_knows_periods_only_refuses_boundaries(use):
    message = r"need a periodic grid, but this one has the boundaries Wall\(\)"
    with pytest.raises(ValueError, match=message):
        use(Grid.line(12, 2.0, boundaries=Wall()))


@pytest.mark.parametrize(
    ("equation", "ends"),
    [
        (Burgers(0.1), ZeroSlope()),
        (Burgers(0.1), Prescribed(0.0)),
        (Burgers(0.1), (Wall(), ZeroSlope())),
        (AdvectionDiffusion(1.0, 0.1), Wall()),
    ],
)
def test_waves_take_boundaries_that_are_symmetries_only(equation, ends):
    with pytest.raises(ValueError, match="take another method"):
        PseudoSpectral(equation, Grid.line(12, 2.0, boundaries=ends))


def test_boundaries_that_cannot_be_are_refused(unchecked_types):
    with pytest.raises(ValueError, match=r"not ZeroSlope\(\), which its alternating"):
        DiscontinuousGalerkin(
            Burgers(0.1), Grid.line(12, boundaries=ZeroSlope()), degree=2
        )
    with pytest.raises(TypeError, match="one value such as Wall"):
        Grid.line(8, boundaries="wall")
    with pytest.raises(TypeError, match="or a pair of them"):
        Grid.line(8, boundaries=(Wall(),))
    with pytest.raises(ValueError, match="grid of one axis"):
        Grid((8, 8), (1.0, 1.0), (Wall(), Wall()))
    with pytest.raises(ValueError, match="finite number, a tensor or a function"):
        Prescribed(math.nan)
    with pytest.raises(ValueError, match="add an axis"):
        Prescribed(torch.zeros(3))
    for degree in (-1, 1.5, True, math.nan, "a"):
        with pytest.raises(ValueError, match="whole number of at least 0"):
            Outflow(degree)
    ends = Prescribed(lambda t: torch.zeros(5)), Outflow()
    method = FiniteDifference(Burgers(0.1), Grid.line(8, boundaries=ends))
    with pytest.raises(ValueError, match=r"not \(5,\)"):
        rollout(method, torch.zeros(8).double(), [0, 0.1])
    with pytest.raises(ValueError, match="continues the field from 7 cells"):
        FiniteDifference(Burgers(0.1), Grid.line(6, boundaries=Outflow()), order=6)


def test_a_boundary_that_is_no_dataclass_is_not_described():
    class Vacuum(Boundary):
        def continuation(self, ghosts, degree, *, averages):
            return torch.zeros(1, ghosts).double(), torch.zeros(ghosts).double()

    with pytest.raises(TypeError, match=r"Vacuum is no dataclass.*dataclass\(frozen"):
        Grid.line(8, boundaries=Vacuum()).spec()
    with pytest.raises(ValueError, match="no boundary 'Vacuum'"):
        boundary_from_spec("Vacuum", [Vacuum])
