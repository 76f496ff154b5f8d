"""Pictures of Burgers' equation within cells."""

import math

import pytest
import torch
from helpers import randomize, smooth_field
from torch import nn

from stencilnet import MLP, Burgers, Grid, RandomForcing, rollout
from stencilnet.discretizations.hybrid_parabola import HybridParabola
from stencilnet.discretizations.learned_picture import LearnedPicture
from stencilnet.discretizations.pictures import (
    Linear,
    Parabola,
    Picture,
    SubCellShocks,
    WenoParabola,
)
from stencilnet.discretizations.weno import Weno
from stencilnet.equations import Advection
from stencilnet.solver.exact_evolution import ColeHopf
from stencilnet.solver.heat_kernel import gauss_legendre

CLASSICAL = [Linear, Parabola, WenoParabola, HybridParabola, SubCellShocks]
FACES = torch.tensor([0.0, 1.0], dtype=torch.float64)


def learned(grid=None, *, viscosity=0.02, seed=0, scale=0.3, **settings):
    """A learned picture with random weights."""
    grid = grid or Grid.line(16)
    settings = {"network": MLP(8), "window": 7, "forcing_window": 3, **settings}
    picture = LearnedPicture(Burgers(viscosity), grid, **settings)
    randomize(picture.network, seed, scale)
    return picture


def fields(grid, *, viscosity=0.02):
    """States with a shock and a mean flow, and a force."""
    x = grid.points()
    shock = -(10 * x.sin()).tanh() - 0.3
    u = torch.cat([smooth_field(grid), shock.unsqueeze(0)])
    return u, 0.5 * (2 * x).cos().expand_as(u)


def values(picture, u, positions, force=None):
    """`phi` relative to the left face."""
    return sum(branch.exp() for branch in picture.branches(u, positions, force))


@pytest.mark.parametrize("picture", [*CLASSICAL, learned])
def test_the_mean_of_a_cell_is_untouched(picture):
    grid = Grid.line(16)
    method = picture(grid) if picture is learned else picture(Burgers(0.02), grid)
    u, force = fields(grid)
    phi = values(method, u, FACES, force)
    assert torch.allclose(phi[..., 0, :], torch.ones_like(u), rtol=1e-12)
    rise = -phi[..., 1, :].log() / method.scale(u)
    assert torch.allclose(rise, u, atol=1e-12, rtol=0)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_branches_are_exact_for_polynomials_whatever_the_weights(order):
    grid = Grid.line(16)
    picture = learned(grid, order=order, scale=1.0)
    # Averages of a polynomial over cells; only the middle ones see no jump.
    coefficients = torch.tensor([0.3, -0.2, 0.05])[:order].double()
    index = torch.arange(16).double() - 8
    moments = [torch.ones(16), index, index**2 + 1 / 12]
    u = sum(c * m for c, m in zip(coefficients, moments, strict=False))
    slope = [0 * index, 1 + 0 * index, 2 * index]
    exact = sum(c * m for c, m in zip(coefficients, slope, strict=False))
    for branch in picture.pair(u, 0.5 * index.cos()):
        assert torch.allclose(branch.mean[5:11], u[5:11], atol=1e-9, rtol=0)
        if order > 1:
            assert torch.allclose(branch.slope[5:11], exact[5:11], atol=1e-9, rtol=0)
        if order > 2:
            bend = torch.full_like(u, 2 * float(coefficients[2]))
            assert torch.allclose(branch.curvature[5:11], bend[5:11], atol=1e-9, rtol=0)


def test_moments_hold_for_random_weights():
    grid = Grid.line(16)
    u, force = fields(grid)
    assert learned(grid, scale=2.0).moment_residual(u, force) < 1e-12
    single = learned(grid, scale=2.0, dtype=torch.float32)
    assert single.moment_residual(u, force) < 1e-4


@pytest.mark.parametrize(
    ("base", "classical"), [("weno", WenoParabola), ("hybrid", HybridParabola)]
)
def test_untrained_it_is_its_classical_picture(base, classical):
    grid = Grid.line(16)
    u, force = fields(grid)
    picture = LearnedPicture(Burgers(0.02), grid, network=MLP(8), base=base)
    nodes = gauss_legendre(5)[0]
    expected = values(classical(Burgers(0.02), grid), u, nodes)
    assert torch.allclose(values(picture, u, nodes, force), expected, rtol=1e-11)


def test_weights_change_the_picture():
    grid = Grid.line(16)
    u, force = fields(grid)
    nodes = gauss_legendre(5)[0]
    phi = values(learned(grid), u, nodes, force)
    other = values(learned(grid), u, nodes, 2 * force)
    classical = values(HybridParabola(Burgers(0.02), grid), u, nodes)
    assert not torch.allclose(phi, classical, rtol=1e-3)
    assert not torch.allclose(phi, other, rtol=1e-3)


@pytest.mark.parametrize("picture", [*CLASSICAL, learned])
def test_the_mirror_image_has_the_mirrored_picture(picture):
    grid = Grid.line(16)
    method = picture(grid) if picture is learned else picture(Burgers(0.02), grid)
    u, force = fields(grid)
    nodes = gauss_legendre(6)[0]
    phi = values(method, u, nodes, force)
    image = values(method, -u.flip(-1), nodes, -force.flip(-1))
    # Relative to the other face, from the other side.
    expected = phi.flip(-1).flip(-2) / (-method.scale(u) * u.flip(-1)).exp().unsqueeze(
        -2
    )
    assert torch.allclose(image, expected, rtol=1e-10)


@pytest.mark.parametrize("picture", [*CLASSICAL, learned])
def test_a_boost_tilts_the_potential_and_nothing_else(picture):
    grid = Grid.line(16)
    method = picture(grid) if picture is learned else picture(Burgers(0.02), grid)
    u, force = fields(grid)
    nodes = gauss_legendre(6)[0]
    boosted = values(method, u + 0.7, nodes, force)
    tilt = (-0.7 * method.scale(u) * nodes).exp().unsqueeze(-1)
    assert torch.allclose(boosted, values(method, u, nodes, force) * tilt, rtol=1e-10)


def test_burgers_scaling_leaves_the_learned_picture_alone():
    small, large = Grid.line(16, 1.0), Grid.line(16, 3.0)
    u, force = fields(small)
    nodes = gauss_legendre(4)[0]
    one = values(learned(small, viscosity=0.02), u, nodes, force)
    # Space by 3, speed by 2, viscosity by 6, forcing by 4/3.
    other = learned(large, viscosity=0.12)
    assert torch.allclose(values(other, 2 * u, nodes, force * 4 / 3), one, rtol=1e-10)


def test_a_sub_cell_shock_lies_where_the_mean_of_the_cell_says():
    grid = Grid.line(16)
    nu, place = 1e-3, 0.3
    u = torch.where(torch.arange(16) < 8, 1.0, -1.0).double()
    u[8] = place - (1 - place)
    u[0], u[15] = 0.0, 0.0
    picture = SubCellShocks(Burgers(nu), grid)
    s = torch.linspace(0, 1, 401, dtype=torch.float64)
    phi = values(picture, u, s)[..., 8]
    velocity = -phi.log().diff() / picture.scale(u) * 400
    crossing = float(s[int((velocity > 0).sum())])
    assert abs(crossing - place) < 0.01
    assert torch.allclose(velocity[:40], torch.ones(40).double(), atol=1e-3, rtol=0)
    assert torch.allclose(velocity[-40:], -torch.ones(40).double(), atol=1e-3, rtol=0)


def test_a_rollout_of_the_learned_picture_is_differentiable_in_its_weights():
    grid = Grid.line(12)
    picture = learned(grid, viscosity=0.2, network=MLP(2), window=5, scale=0.1)
    forcing = RandomForcing.sample(1, modes=2, amplitude=0.5, wavenumbers=(1,), seed=0)
    names, parameters = zip(*picture.named_parameters(), strict=True)
    u0 = smooth_field(grid, samples=1)

    def final(*numbers):
        def step(u, *_):
            return rollout(
                picture,
                u,
                torch.tensor([0.0, 0.5]).double(),
                forcing.on(grid, averages=True),
                integrator=ColeHopf(),
            )[..., -1, :]

        held = dict(zip(names, numbers, strict=True))
        return torch.func.functional_call(_Wrapped(picture, step), _prefixed(held), u0)

    inputs = [p.detach().clone().requires_grad_() for p in parameters]
    assert torch.autograd.gradcheck(final, inputs, atol=1e-7)


class _Wrapped(nn.Module):
    def __init__(self, picture, step):
        super().__init__()
        self.picture, self.step = picture, step

    def forward(self, u):
        return self.step(u)


def _prefixed(parameters):
    return {f"picture.{name}": value for name, value in parameters.items()}


def test_one_operator_serves_other_grids_and_viscosities():
    picture = learned()
    moved = picture.on(Grid.line(32), Burgers(0.05))
    assert moved.viscosity == 0.05
    for name, value in picture.weights().items():
        assert torch.equal(moved.weights()[name], value)
    u = smooth_field(moved.grid)
    times = torch.tensor([0.0, 0.5]).double()
    assert rollout(moved, u, times, integrator=ColeHopf()).isfinite().all()


def test_a_spec_builds_the_same_picture():
    picture = learned(order=2, seed=4)
    again = LearnedPicture.from_spec(picture.spec())
    assert again.spec() == picture.spec()
    again.load_state_dict(picture.state_dict())
    u, force = fields(picture.grid)
    nodes = gauss_legendre(4)[0]
    assert torch.equal(values(again, u, nodes, force), values(picture, u, nodes, force))


def test_the_step_chosen_is_shorter_for_faster_flows():
    picture = WenoParabola(Burgers(0.01), Grid.line(64))
    u = smooth_field(picture.grid)
    step = picture.stable_step(u, ColeHopf())
    assert math.isclose(picture.stable_step(2 * u, ColeHopf()), step / 2)
    assert math.isclose(picture.stable_step(u + 3, ColeHopf()), step)
    assert picture.stable_step(torch.zeros(64).double(), ColeHopf()) == math.inf
    with pytest.raises(ValueError, match="NaN"):
        picture.stable_step(u * math.nan, ColeHopf())


class TestRefusals:
    @pytest.mark.parametrize("picture", [*CLASSICAL, LearnedPicture])
    def test_another_equation(self, picture):
        with pytest.raises(TypeError, match="Burgers' equation alone"):
            picture(Advection(1.0), Grid.line(16))

    def test_a_right_hand_side(self):
        picture = Parabola(Burgers(0.1), Grid.line(16))
        with pytest.raises(TypeError, match="no right-hand side"):
            picture(torch.zeros(16).double())

    @pytest.mark.parametrize("window", [8, 1, 17])
    def test_windows_that_do_not_fit(self, window):
        with pytest.raises(ValueError, match=r"odd number|does not fit"):
            LearnedPicture(Burgers(0.1), Grid.line(16), window=window)

    def test_a_window_too_narrow_for_the_order(self):
        with pytest.raises(ValueError, match="only 3 points"):
            LearnedPicture(Burgers(0.1), Grid.line(16), window=3, order=4)

    def test_a_network_of_another_size(self):
        with pytest.raises(ValueError, match="outputs"):
            LearnedPicture(Burgers(0.1), Grid.line(16), network=nn.Linear(15, 3))

    def test_a_ratio_of_zero(self):
        with pytest.raises(ValueError, match="positive"):
            SubCellShocks(Burgers(0.1), Grid.line(16), ratio=0.0)

    def test_a_spec_of_something_else(self):
        with pytest.raises(ValueError, match="entries"):
            LearnedPicture.from_spec({"kind": "picture"})

    def test_pictures_are_abstract(self):
        with pytest.raises(TypeError, match="abstract"):
            Picture(Burgers(0.1), Grid.line(16))


def test_the_hybrid_parabola_is_linear_where_viscosity_resolves_and_weno_elsewhere():
    grid = Grid.line(64)
    u = torch.sin(3 * grid.points()) + 0.2
    # Faces by the published coefficients of order 9, Shu (1997), NASA CR-97-206253.
    row = torch.tensor([4.0, -41, 199, -641, 1879, 1375, -305, 55, -5]).double() / 2520
    cells = torch.stack([u.roll(-j) for j in range(-4, 5)], dim=-1)
    right = cells @ row
    left = cells.flip(-1) @ row
    resolved = HybridParabola(Burgers(1e3), grid).parabola(u)
    assert torch.allclose(resolved.slope, right - left, atol=1e-13, rtol=0)
    curvature = 6 * (right + left - 2 * u)
    assert torch.allclose(resolved.curvature, curvature, atol=1e-13, rtol=0)
    weno = Weno(Burgers(1e-6), grid, order=7)
    around = [u.roll(-j) for j in range(-3, 4)]
    right, left = weno.reconstruct(around, around[::-1])
    sharp = HybridParabola(Burgers(1e-6), grid).parabola(u)
    assert torch.allclose(sharp.slope, right - left, atol=1e-8, rtol=0)


def test_no_linear_stencil_of_the_hybrid_parabola_crosses_a_sharp_step():
    u = torch.where(torch.arange(32) < 16, 1.0, -1.0).double()
    branch = HybridParabola(Burgers(1e-6), Grid.line(32)).parabola(u)
    # Cells beside the steps, at 16 and at the end of the period, are WENO's.
    smooth = [j for j in range(32) if 1 < j % 16 < 14]
    assert branch.slope[smooth].abs().max() < 1e-12
    assert branch.curvature[smooth].abs().max() < 1e-12


def test_the_threshold_of_the_hybrid_parabola_is_where_both_weigh_the_same():
    grid = Grid.line(16)
    u = torch.where(grid.points() < 3, 1.0, 0.0).double()
    dx = grid.spacing[-1]
    peclet = 4.0
    nu = dx / (2 * peclet)

    def face(threshold):
        return HybridParabola(Burgers(nu), grid, threshold=threshold).parabola(u).slope

    middle = (face(1e6) + face(1e-6)) / 2
    jump = int((u.diff() < 0).nonzero()[0, 0])
    near = slice(jump - 2, jump + 4)
    assert torch.allclose(face(peclet)[near], middle[near], atol=1e-12, rtol=0)
    assert not torch.allclose(face(peclet)[near], face(1e6)[near], atol=1e-3)


@pytest.mark.parametrize("threshold", [0, -1.0, math.nan, math.inf, "4", None])
def test_a_threshold_that_is_no_peclet_number_is_refused(threshold):
    # A wrong type is an error of its own where types are checked at run time.
    with pytest.raises((ValueError, TypeError), match="threshold"):
        HybridParabola(Burgers(0.1), Grid.line(16), threshold=threshold)


def test_the_hybrid_parabola_needs_nine_cells():
    with pytest.raises(ValueError, match="at least 9 cells, not 8"):
        HybridParabola(Burgers(0.1), Grid.line(8))


def test_a_classical_picture_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="did you mean 'hybrid'"):
        LearnedPicture(Burgers(0.1), Grid.line(16), base="hybird")


def test_specs_from_before_the_choice_of_a_classical_picture_have_wenos():
    picture = learned(base="weno")
    spec = picture.spec()
    del spec["base"]
    old = LearnedPicture.from_spec(spec | {"weights": "Z"})
    assert old.base == "weno"
    for wrong in (spec | {"weights": "JS"}, picture.spec() | {"weights": "Z"}):
        with pytest.raises(ValueError, match=r"entries.*weights"):
            LearnedPicture.from_spec(wrong)
