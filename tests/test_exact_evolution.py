"""Exact evolution of forced Burgers' equation."""

import math

import numpy as np
import pytest
import torch
from helpers import observed_order, smooth_field

from stencilnet import RK4, Burgers, Grid, PseudoSpectral, RandomForcing, rollout
from stencilnet.discretizations.hybrid_parabola import HybridParabola
from stencilnet.discretizations.pictures import (
    Linear,
    Parabola,
    SubCellShocks,
    WenoParabola,
)
from stencilnet.equations.exact import DecayingWave
from stencilnet.solver import (
    CHIN_4A,
    CHIN_4B,
    ETDRK4,
    FIVE_DRIFTS,
    FOUR_DRIFTS,
    FOUR_LONG_DRIFTS,
    SIX_DRIFTS,
    SIX_LONG_DRIFTS,
    STRANG,
    THREE_DRIFTS,
    Splitting,
)
from stencilnet.solver.exact_evolution import ColeHopf
from stencilnet.solver.heat_kernel import (
    Reach,
    block_lengths,
    drift,
    gauss_legendre,
    kernel_matrix,
)

PICTURES = [Linear, Parabola, WenoParabola, HybridParabola, SubCellShocks]


def forced(points, *, viscosity=0.05, length=2 * math.pi, samples=2, seed=1):
    """A picture, a smooth state and a forcing on one grid."""
    grid = Grid.line(points, length)
    forcing = RandomForcing.sample(
        samples, amplitude=0.3, wavenumbers=(1, 2), seed=np.random.SeedSequence(seed)
    )
    picture = Parabola(Burgers(viscosity), grid)
    return picture, smooth_field(grid, samples=samples), forcing


def final(picture, u0, t, steps, forcing=None, **settings):
    times = torch.linspace(0, t, steps + 1, dtype=torch.float64)
    integrator = ColeHopf(**settings)
    return rollout(picture, u0, times, forcing, integrator=integrator)[..., -1, :]


@pytest.mark.parametrize("picture", PICTURES)
@pytest.mark.parametrize("solution", [DecayingWave(0.05), DecayingWave(0.4)])
def test_one_step_solves_burgers_equation(picture, solution):
    def error(points):
        grid = Grid.line(points)
        u0, exact = solution.averages(grid, 0.0), solution.averages(grid, 1.0)
        method = picture(Burgers(solution.viscosity), grid)
        return float((final(method, u0, 1.0, 1) - exact).abs().max())

    assert error(128) < 1e-4
    assert observed_order(error, [32, 64, 128], floor=1e-12) > 1.9


def test_a_forced_solution_is_that_of_the_pseudo_spectral_method():
    picture, u0, forcing = forced(512)
    grid = picture.grid
    spectral = PseudoSpectral(picture.equation, grid)
    reference = rollout(
        spectral,
        u0,
        torch.linspace(0, 1, 101, dtype=torch.float64),
        forcing.on(grid),
        integrator=ETDRK4,
    )[:, -1]

    def averages(u):
        damping = torch.sinc(grid.wavenumbers() * grid.spacing[-1] / (2 * math.pi))
        return torch.fft.irfft(torch.fft.rfft(u) * damping, n=u.shape[-1])

    u = final(picture, averages(u0), 1.0, 5, forcing.on(grid, averages=True))
    assert torch.allclose(u, averages(reference), atol=2e-6)


@pytest.mark.parametrize(
    ("splitting", "order"),
    [(STRANG, 2), (CHIN_4A, 4), (CHIN_4B, 4), (THREE_DRIFTS, 4)],
    ids=["Strang", "4A", "4B", "three"],
)
def test_splittings_reach_their_order_on_a_forced_problem(splitting, order):
    picture, u0, forcing = forced(256, viscosity=0.2)
    force = forcing.on(picture.grid, averages=True)
    precise = final(picture, u0, 2.0, 16, force, splitting=THREE_DRIFTS, nodes=6)

    def error(steps):
        u = final(picture, u0, 2.0, steps, force, splitting=splitting, nodes=6)
        return float((u - precise).abs().max())

    assert splitting.order == order
    observed = observed_order(error, [2, 4, 8] if order == 2 else [1, 2, 4])
    assert order - 0.4 < observed < order + 1.2


def test_more_drifts_a_step_need_fewer_drifts_a_unit():
    picture, u0, forcing = forced(128, viscosity=0.2)
    picture = HybridParabola(picture.equation, picture.grid)
    force = forcing.on(picture.grid, averages=True)

    def error(splitting):
        """After 36 drifts in all, by those of 144."""
        steps = 36 // len(splitting.drifts)
        few, many = (
            final(picture, u0, 12.0, n, force, splitting=splitting, nodes=6)
            for n in (steps, 4 * steps)
        )
        return float((few - many).abs().max())

    named = (CHIN_4A, THREE_DRIFTS, FOUR_DRIFTS, FOUR_LONG_DRIFTS, FIVE_DRIFTS)
    assert {splitting.order for splitting in (*named, SIX_DRIFTS)} == {4}
    chin, three, four, four_long, five = (error(splitting) for splitting in named)
    assert max(three, four, four_long, five) < 0.6 * chin
    assert max(error(SIX_DRIFTS), error(SIX_LONG_DRIFTS)) < 0.6 * three


def test_forcing_known_by_averages_converges_to_the_one_known_within_cells():
    def error(points):
        picture, u0, forcing = forced(points)
        force = forcing.on(picture.grid, averages=True)
        known = final(picture, u0, 0.8, 2, force)
        averaged = final(picture, u0, 0.8, 2, lambda t: force(t))
        return float((known - averaged).abs().max())

    assert error(128) < 1e-4
    assert observed_order(error, [32, 64, 128]) > 1.9


def test_the_shape_of_a_kick_within_cells_is_that_of_the_forcing():
    grid = Grid.line(16, 3.0)
    forcing = RandomForcing.sample(2, wavenumbers=(0, 2, 3), seed=3)
    forcing = forcing.starting_at(torch.tensor([0.3, 0.7]))
    positions = torch.linspace(0, 1, 41, dtype=torch.float64)
    integral, force, slope = forcing.within(grid, positions)(0.4)
    h = grid.spacing[-1] / 40
    means = torch.trapezoid(force, dx=h, dim=-2) / grid.spacing[-1]
    exact = forcing.on(grid, averages=True)(0.4)
    assert torch.allclose(
        (integral[:, -1] - integral[:, 0]) / grid.spacing[-1], exact, atol=1e-13
    )
    assert torch.allclose(means, exact, atol=1e-3, rtol=0)
    assert torch.allclose(force[:, 20], forcing.on(grid)(0.4), atol=1e-13, rtol=0)
    differences = (force[:, 2:] - force[:, :-2]) / (2 * h)
    assert torch.allclose(differences, slope[:, 1:-1], atol=1e-2, rtol=0)


@pytest.mark.parametrize("picture", PICTURES)
def test_the_mean_is_conserved_to_rounding(picture):
    grid = Grid.line(32)
    method = picture(Burgers(0.01), grid)
    forcing = RandomForcing.sample(3, amplitude=0.5, wavenumbers=(3, 6), seed=0)
    u0 = smooth_field(grid) + torch.tensor([[0.0], [0.7], [-0.4]])
    u = final(method, u0, 1.6, 4, forcing.on(grid, averages=True))
    assert torch.allclose(u.mean(-1), u0.mean(-1), atol=1e-13, rtol=0)


class Steady:
    """The forcing `1 + cos x`, which one entry along the axis of time tells."""

    def __init__(self, grid):
        self.grid = grid

    def __call__(self, t):
        return self.within(torch.tensor([0.5]).double())(t)[1].reshape(1, -1)

    def within(self, positions):
        dx = self.grid.spacing[-1]
        x = self.grid.points() + (positions.unsqueeze(-1) - 0.5) * dx
        x = x.reshape(1, 1, *x.shape)
        return lambda t: (x + x.sin(), 1 + x.cos() + 0 * t.unsqueeze(-1), -x.sin())


def test_a_steady_forcing_moves_the_mean_exactly():
    grid = Grid.line(32)
    for splitting in (STRANG, THREE_DRIFTS):
        u = final(
            WenoParabola(Burgers(0.05), grid),
            smooth_field(grid, samples=2),
            1.6,
            4,
            Steady(grid),
            splitting=splitting,
        )
        moved = u.mean(-1) - smooth_field(grid, samples=2).mean(-1)
        assert (moved - 1.6).abs().max() < 1e-12


def test_scalars_of_a_splitting_are_learned_after_a_step_without_gradients():
    picture, u0, forcing = forced(16)
    force = forcing.on(picture.grid, averages=True)
    scalars = [torch.tensor(x).double().requires_grad_() for x in (0.3, -0.1, 0.01)]
    first, outer, slope = scalars
    found = []
    for begun in (False, True):
        splitting = Splitting.symmetric((first,), (), (outer,), (slope,))
        step = ColeHopf(splitting=splitting).bind(picture, force)
        if begun:
            with torch.no_grad():
                step(0.0, u0, 0.4)
        loss = step(0.0, u0, 0.4).square().sum()
        found.append(torch.stack(torch.autograd.grad(loss, scalars)))
    assert torch.equal(found[0], found[1])
    assert found[0].abs().min() > 0


@pytest.mark.parametrize("picture", PICTURES)
def test_the_mirror_image_of_a_solution_is_that_of_the_mirror_image(picture):
    grid = Grid.line(32)
    method = picture(Burgers(0.01), grid)
    forcing = RandomForcing.sample(3, amplitude=0.5, wavenumbers=(3, 6), seed=0)
    image = RandomForcing(
        -forcing.amplitude, forcing.frequency, -forcing.wavenumber, forcing.phase
    )
    u0 = smooth_field(grid) + torch.tensor([[0.0], [0.7], [-0.4]])

    def mirrored(u):
        return -u.flip(-1).roll(1, -1)

    u = final(method, u0, 0.8, 2, forcing.on(grid, averages=True))
    again = final(method, mirrored(u0), 0.8, 2, image.on(grid, averages=True))
    assert torch.allclose(mirrored(again), u, atol=1e-11, rtol=0)


@pytest.mark.parametrize("picture", PICTURES)
def test_boosts_by_whole_cells_move_the_solution_by_cells(picture):
    grid = Grid.line(32)
    method = picture(Burgers(0.02), grid)
    forcing = RandomForcing.sample(3, amplitude=0.5, wavenumbers=(3, 6), seed=0)
    cells, t = 20, 0.8
    speed = cells * grid.spacing[-1] / t
    k = forcing.wavenumber * (2 * math.pi / grid.extent[-1])
    carried = RandomForcing(
        forcing.amplitude,
        forcing.frequency - k * speed,
        forcing.wavenumber,
        forcing.phase,
    )
    u0 = smooth_field(grid)
    # One drift a step: every kick finds the solution on the grid again.
    for force, moved in (
        (None, None),
        (forcing.on(grid, averages=True), carried.on(grid, averages=True)),
    ):
        u = final(method, u0, t, 2, force, splitting=STRANG)
        boosted = final(method, u0 + speed, t, 2, moved, splitting=STRANG)
        assert torch.allclose(boosted - speed, u.roll(cells, -1), atol=1e-10, rtol=0)


def test_a_domain_of_two_periods_holds_two_copies():
    picture, u0, forcing = forced(32)
    double = picture.on(Grid.line(64, 4 * math.pi))
    waves = RandomForcing(
        forcing.amplitude, forcing.frequency, 2 * forcing.wavenumber, forcing.phase
    )
    u = final(picture, u0, 1.0, 2, forcing.on(picture.grid, averages=True))
    copies = final(
        double, torch.cat([u0, u0], -1), 1.0, 2, waves.on(double.grid, averages=True)
    )
    assert torch.allclose(copies, torch.cat([u, u], -1), atol=1e-12, rtol=0)


def test_each_sample_has_its_viscosity():
    picture, u0, forcing = forced(32)
    values = torch.tensor([[0.02], [0.07]], dtype=torch.float64)
    together = picture.on(picture.grid, Burgers(values))
    u = final(together, u0, 1.0, 2, forcing.on(picture.grid, averages=True))
    for row, nu in enumerate(values.flatten().tolist()):
        alone = picture.on(picture.grid, Burgers(nu))
        force = forcing.select([row]).on(picture.grid, averages=True)
        assert torch.allclose(
            u[row], final(alone, u0[row : row + 1], 1.0, 2, force)[0], atol=1e-9
        )


def test_single_precision_agrees_with_double_precision():
    picture, u0, forcing = forced(64, viscosity=0.01)
    u = final(picture, u0, 0.8, 2, forcing.on(picture.grid, averages=True))
    force = forcing.to(dtype=torch.float32).on(picture.grid, averages=True)
    single = final(picture, u0.float(), 0.8, 2, force)
    assert single.dtype == torch.float32
    assert torch.allclose(single.double(), u, atol=1e-5, rtol=0)


def test_a_long_reach_and_blocks_change_nothing():
    grid = Grid.line(24)
    u = smooth_field(grid)
    picture = Linear(Burgers(0.05), grid)
    scale = grid.spacing[-1] / 0.1
    width = torch.tensor(4 * 0.05 * 0.1 / grid.spacing[-1] ** 2, dtype=torch.float64)

    def advanced(reach):
        matrix = kernel_matrix(width, reach, 2)
        branches = picture.branches(u, gauss_legendre(2)[0])
        return drift(u, branches, scale, matrix, reach)

    whole = advanced(Reach(12, 12, 24))
    for block in block_lengths(24):
        assert torch.allclose(advanced(Reach(30, 26, block)), whole, atol=1e-12, rtol=0)


def test_gradients_of_all_that_a_step_depends_on():
    grid = Grid.line(6)
    u0 = smooth_field(grid, samples=2)
    forcing = RandomForcing.sample(
        2, modes=3, amplitude=0.5, wavenumbers=(1, 2), seed=0
    )

    def step(u0, nu, amplitude, first, outer, slope):
        waves = RandomForcing(
            amplitude, forcing.frequency, forcing.wavenumber, forcing.phase
        )
        splitting = Splitting.symmetric((first,), (), (outer,), (slope,))
        method = Parabola(Burgers(nu), grid)
        return final(
            method, u0, 0.5, 1, waves.on(grid, averages=True), splitting=splitting
        )

    inputs = [
        u0,
        torch.tensor(0.3),
        forcing.amplitude,
        *(torch.tensor(x) for x in (0.3, -0.1, 0.01)),
    ]
    inputs = [x.double().clone().requires_grad_() for x in inputs]
    assert torch.autograd.gradcheck(step, inputs, atol=1e-7)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_a_compiled_step_is_the_same_step(unchecked_types):
    picture, u0, forcing = forced(16)
    times = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    force = forcing.on(picture.grid, averages=True)
    settings = {"integrator": ColeHopf(splitting=STRANG)}
    u = rollout(picture, u0, times, force, **settings)
    compiled = rollout(picture, u0, times, force, compile=True, **settings)
    assert torch.allclose(compiled, u, atol=1e-12, rtol=0)
    # Of several drifts, whose first kick differs, and known by averages alone.
    for known in (force, lambda t: force(t), None):
        settings = {"integrator": ColeHopf()}
        u = rollout(picture, u0, times, known, **settings)
        compiled = rollout(picture, u0, times, known, compile=True, **settings)
        assert torch.allclose(compiled, u, atol=1e-12, rtol=0)


def test_samples_under_vmap_are_refused_in_a_sentence():
    picture, u0, _ = forced(16)
    with pytest.raises(RuntimeError, match="Exact evolution depends on values"):
        torch.func.vmap(lambda u: final(picture, u, 0.4, 1))(u0)


def test_a_batch_without_samples_stays_empty():
    picture, u0, _ = forced(16)
    assert final(picture, u0[:0], 1.0, 2).shape == (0, 16)


def test_a_sample_that_is_not_finite_spoils_no_other():
    picture, u0, forcing = forced(32)
    force = forcing.on(picture.grid, averages=True)
    u = final(picture, u0, 1.0, 2, force)
    spoilt = u0.clone()
    spoilt[0, 3] = math.nan
    again = final(picture, spoilt, 1.0, 2, force)
    assert torch.equal(again[1], u[1])
    assert not again[0].isfinite().any()


class TestRefusals:
    def test_a_step_back_in_time(self):
        picture, u0, _ = forced(16)
        with pytest.raises(ValueError, match="the heat equation has no past"):
            rollout(picture, u0, torch.tensor([1.0, 0.0]), integrator=ColeHopf())

    def test_a_step_that_is_too_short_names_the_shortest(self):
        picture, u0, _ = forced(16, viscosity=0.01)
        with pytest.raises(ValueError, match="narrower.*at least.*'stable'") as caught:
            final(picture, u0, 0.001, 1)
        named = float(str(caught.value).split("at least ")[1].split(". ")[0])
        assert final(picture, u0, 1.01 * named, 1).isfinite().all()

    def test_a_viscosity_of_zero(self):
        with pytest.raises(ValueError, match="must be positive.*smallest"):
            Parabola(Burgers(0.0), Grid.line(16))

    def test_a_viscosity_that_is_too_small_names_the_smallest(self):
        grid = Grid.line(16)
        u0 = 50 * smooth_field(grid, samples=1)
        picture = Parabola(Burgers(0.001), grid)
        with pytest.raises(ValueError, match="too small for this grid") as caught:
            final(picture, u0, 2.0, 1)
        named = float(str(caught.value).split("at least ")[1].split(",")[0])
        enough = picture.on(grid, Burgers(1.01 * named))
        assert final(enough, u0, 2.0, 1).isfinite().all()

    def test_a_method_that_is_not_a_picture(self):
        grid = Grid.line(16)
        method = PseudoSpectral(Burgers(0.1), grid)
        with pytest.raises(TypeError, match="needs a picture"):
            rollout(
                method,
                smooth_field(grid),
                torch.tensor([0.0, 1.0]),
                integrator=ColeHopf(),
            )

    def test_a_picture_without_exact_evolution(self):
        picture, u0, _ = forced(16)
        with pytest.raises(TypeError, match=r"integrator=ColeHopf\(\)"):
            rollout(picture, u0, torch.tensor([0.0, 1.0]), integrator=RK4)

    def test_a_step_over_many_periods(self):
        picture, u0, _ = forced(16)
        with pytest.raises(ValueError, match="periods"):
            final(picture, u0 + 1000.0, 10.0, 1)

    @pytest.mark.parametrize("nodes", [0, -1, 1.5])
    def test_nodes_that_are_not_a_number(self, nodes, unchecked_types):
        with pytest.raises(ValueError, match="positive integer"):
            ColeHopf(nodes=nodes)


class TestSplittings:
    def test_a_spec_builds_the_same_splitting(self):
        assert Splitting.from_spec(THREE_DRIFTS.spec()) == THREE_DRIFTS

    def test_the_published_schemes_are_members_of_the_families(self):
        four_a = Splitting.symmetric((), (), (0.0,))
        assert four_a.kicks == pytest.approx((1 / 6, 2 / 3, 1 / 6))
        assert sum(four_a.gradients) == pytest.approx(1 / 72)
        four_b = Splitting.symmetric(CHIN_4B.drifts[:1], (), (0.0,))
        assert four_b.kicks == pytest.approx(CHIN_4B.kicks, abs=1e-12)
        assert four_b.gradients == pytest.approx(CHIN_4B.gradients)

    @pytest.mark.parametrize(
        ("drifts", "kicks", "message"),
        [
            ((1.0,), (1.0,), "has 2 kicks"),
            ((1.5, -0.5), (0.25, 0.5, 0.25), "positive"),
            ((0.6,), (0.5, 0.5), "sum to 1"),
            ((0.3, 0.7), (0.25, 0.5, 0.25), "same in reverse"),
        ],
    )
    def test_splittings_that_cannot_be(self, drifts, kicks, message):
        zeros = (0.0,) * len(kicks)
        with pytest.raises(ValueError, match=message):
            Splitting(drifts, kicks, zeros, zeros)

    def test_a_spec_of_something_else(self):
        with pytest.raises(ValueError, match="entries"):
            Splitting.from_spec({"drifts": [1.0]})
