"""What the spectral methods and compact differences promise beyond the contract."""

import math

import pytest
import torch
from helpers import observed_order, smooth_field
from problems import SmoothState

from stencilnet import (
    ETDRK4,
    RK4,
    Burgers,
    CentralFlux,
    Convective,
    FiniteDifference,
    Grid,
    PseudoSpectral,
    RandomForcing,
    UpwindFlux,
    rollout,
)
from stencilnet.discretizations import (
    Compact,
    ExponentialFilter,
    truncation_floor,
)
from stencilnet.discretizations.compact import (
    compact_coefficients,
    compact_stencils,
)
from stencilnet.equations import (
    Advection,
    AdvectionDiffusion,
    Equation,
    FisherKPP,
    KortewegDeVries,
    KuramotoSivashinsky,
)
from stencilnet.stencils import Derivative

kinds = pytest.mark.parametrize("averages", [False, True])


@kinds
@pytest.mark.parametrize("integrator", [RK4, ETDRK4])
def test_the_wave_at_the_nyquist_wavenumber_diffuses(averages, integrator):
    grid = Grid.line(32)
    method = PseudoSpectral(AdvectionDiffusion(0.0, 0.1), grid, averages=averages)
    u = (16 * grid.points()).cos()
    times = torch.tensor([0.0, 0.1])
    end = rollout(method, u, times, integrator=integrator, steps=40)[-1]
    torch.testing.assert_close(end, math.exp(-2.56) * u, rtol=1e-5, atol=1e-9)


@pytest.mark.filterwarnings("ignore:A forcing with wavenumber")
@kinds
def test_forcing_at_the_nyquist_wavenumber_acts_as_on_any_wave(averages):
    grid, nu, t = Grid.line(32), 0.1, 0.4
    method = PseudoSpectral(AdvectionDiffusion(0.0, nu), grid, averages=averages)
    one = torch.ones(1, 1, dtype=torch.float64)
    forcing = RandomForcing(0.7 * one, 0 * one, 16 * one, one).on(
        grid, averages=averages
    )
    times = torch.tensor([0.0, t])
    rest = torch.zeros(1, 32, dtype=torch.float64)
    end = rollout(method, rest, times, forcing, integrator=RK4, steps=200)[:, -1]
    rate = nu * 16**2
    torch.testing.assert_close(end, forcing(0.0) * (1 - math.exp(-rate * t)) / rate)


@pytest.mark.parametrize(
    ("equation", "rate"),
    [
        (Advection(1.3), 0.0),
        (AdvectionDiffusion(1.3, 0.2), -0.2 * 64),
        (KortewegDeVries(), 0.0),
        (KuramotoSivashinsky(), 64 - 64.0**2),
    ],
    ids=lambda value: type(value).__name__,
)
@kinds
def test_the_wave_at_the_nyquist_wavenumber_neither_travels_nor_disperses(
    equation, rate, averages
):
    grid = Grid.line(16)
    method = PseudoSpectral(equation, grid, averages=averages)
    u = (8 * grid.points()).cos()
    torch.testing.assert_close(method(1e-3 * u), 1e-3 * rate * u, rtol=1e-6, atol=1e-9)
    symbol = method.linear_symbol()[-1]
    assert symbol.imag == 0
    assert float(symbol.real) == pytest.approx(rate)
    eigenvalues = method.eigenvalues(torch.zeros(1, dtype=torch.float64))
    assert complex(eigenvalues[0, 8]) == pytest.approx(rate, abs=1e-6)


@pytest.mark.parametrize("points", [15, 16])
def test_no_wave_of_the_grid_gains_energy_from_convection(points, generator):
    grid = Grid.line(points)
    u = torch.randn(9, points, generator=generator, dtype=torch.float64)
    u_t = PseudoSpectral(Burgers(0.0), grid)(u)
    # sum u u_t is the integral of both, but for the Nyquist wave's, which counts half.
    product = torch.fft.rfft(u) * torch.fft.rfft(u_t).conj()
    weight = torch.full((points // 2 + 1,), 2.0).double()
    weight[0] = 1.0
    # As cos(K x), whose square has the mean 1/2.
    weight[(points - 1) // 2 + 1 :] = 0.5
    energy = (product.real * weight).sum(-1)
    assert float(energy.abs().max()) < 1e-9 * float(product.abs().sum(-1).max())


def test_squares_of_a_source_do_not_fold_onto_the_nyquist_wave():
    grid = Grid.line(16)
    u = 0.5 + 0.1 * (8 * grid.points()).cos()
    method = PseudoSpectral(FisherKPP(0.0, 1.0), grid)
    # u (1 - u): the mean of the square of the wave, and 2 * 0.5 * 0.1 of the wave.
    expected = 0.5 - 0.25 - 0.005 + (0.1 - 0.1) * (8 * grid.points()).cos()
    torch.testing.assert_close(method(u), expected)


@kinds
def test_modes_below_the_nyquist_one_and_values_are_inverse(averages):
    grid = Grid.line(16)
    method = PseudoSpectral(Burgers(0.1), grid, averages=averages)
    u = smooth_field(grid)
    assert method.to_modes(u).shape[-1] == 8
    torch.testing.assert_close(method.to_values(method.to_modes(u)), u)


@pytest.mark.parametrize("order", [2, 4, 6])
def test_a_filter_costs_all_orders_but_its_own(order):
    state = SmoothState(0.1)

    def error(points):
        grid = Grid.line(points)
        method = PseudoSpectral(Burgers(0.1), grid, damping=ExponentialFilter(order))
        exact = state.burgers(grid, averages=False)
        return float((method(state.field(grid, averages=False)) - exact).abs().max())

    assert observed_order(error, (32, 64, 128)) == pytest.approx(order - 1, abs=0.05)


def test_a_filter_damps_as_it_says_and_follows_the_units():
    grid = Grid.line(16)
    x = grid.points()
    plain = PseudoSpectral(Burgers(0.1), grid)
    damped = PseudoSpectral(Burgers(0.1), grid, damping=ExponentialFilter(4, 0.3))
    u = 0.5 + 0.2 * (4 * x).cos()
    # The speed varies by 0.2 about its mean.
    rate = 0.3 * 0.2 * 8 * (4 / 8) ** 4
    torch.testing.assert_close(damped(u) - plain(u), -rate * (u - 0.5))
    v = smooth_field(grid)
    extra = damped(v) - plain(v)
    torch.testing.assert_close(damped(v + 3.0) - plain(v + 3.0), extra)
    torch.testing.assert_close(damped(10 * v) - plain(10 * v), 100 * extra)


@pytest.mark.parametrize("ratio", [3, 8])
@kinds
def test_the_floor_is_the_part_that_the_grid_cannot_hold(ratio, averages):
    coarse, fine = Grid.line(16), Grid.line(16 * ratio)

    def waves(grid, wavenumbers):
        total = torch.zeros_like(grid.points())
        for k in wavenumbers:
            size = torch.sinc(torch.tensor(k / grid.shape[-1])) if averages else 1.0
            total = total + size / k * (k * grid.points() + k).sin()
        return total

    u = waves(fine, (3, 7, 10, 20))
    floor = truncation_floor(u[None, None], fine, coarse, averages=averages)
    missing, exact = waves(coarse, (10, 20)), waves(coarse, (3, 7, 10, 20))
    assert float(floor) == pytest.approx(float(missing.norm() / exact.norm()), rel=1e-6)
    held = waves(fine, (3, 7))[None, None]
    assert float(truncation_floor(held, fine, coarse, averages=averages)) < 1e-14


def test_the_floor_is_the_error_of_the_projection():
    fine, coarse = Grid.line(64), Grid.line(16)
    u = torch.exp(torch.cos(fine.points()) * 4)
    floor = float(truncation_floor(u[None, None], fine, coarse, averages=False))
    modes = torch.fft.rfft(u)
    modes[9:] = 0
    projected = torch.fft.irfft(modes, n=64)[::4]
    error = float((projected - u[::4]).norm() / u[::4].norm())
    assert floor == pytest.approx(error)
    with pytest.raises(ValueError, match="choose a divisor of 64"):
        truncation_floor(u[None, None], fine, Grid.line(48), averages=False)
    assert truncation_floor(
        torch.zeros(2, 3, 64), fine, coarse, averages=True
    ).tolist() == [0, 0]


class Unsteady(Equation):
    """A flux without a speed."""

    def flux(self, u):
        return u**3


def test_settings_that_make_no_sense_are_refused():
    grid = Grid.line(16)
    for order in (3, 0, -2):
        with pytest.raises(ValueError, match="even order of at least 2"):
            ExponentialFilter(order)
    for strength in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="number of at least 0"):
            ExponentialFilter(6, strength)
    with pytest.raises(ValueError, match=r"define speed\(u\)"):
        PseudoSpectral(Unsteady(), grid, damping=ExponentialFilter())
    for order in (2, 13):
        with pytest.raises(ValueError, match="order of 3 to 12"):
            Compact(Burgers(0.1), grid, order=order)
    with pytest.raises(ValueError, match="choose an even order"):
        Compact(Burgers(0.1), grid, order=5, form=CentralFlux)
    with pytest.raises(ValueError, match="needs stencils of"):
        Compact(Burgers(0.1), Grid.line(4), order=10)


# Lele (1992), Eqs. (2.1.7), (2.1.13), (2.2.7); Ghosh and Baeder (2012), Eq. (3.5), over
# its middle coefficient.
COMPACT = [
    (Derivative(1), 6, False, "1/3 1 1/3", "-1/36 -7/9 0 7/9 1/36"),
    (Derivative(1), 10, False, "1/20 1/2 1 1/2 1/20",
     "-1/600 -101/600 -17/24 0 17/24 101/600 1/600"),
    (Derivative(2), 6, False, "2/11 1 2/11", "3/44 12/11 -51/22 12/11 3/44"),
    (Derivative(0, 0.5, -1), 5, True, "1/2 1 1/6", "1/18 19/18 5/9"),
    (Derivative(0, 0.5), 6, True, "1/3 1 1/3", "1/36 29/36 29/36 1/36"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("derivative", "order", "averages", "implicit", "explicit"), COMPACT
)
def test_compact_coefficients_are_the_published_ones(
    derivative, order, averages, implicit, explicit
):
    found = compact_coefficients(
        derivative, *compact_stencils(derivative, order), averages=averages
    )
    for values, text in zip(found, (implicit, explicit), strict=True):
        expected = [
            int(n) / int(d or 1) for n, _, d in (q.partition("/") for q in text.split())
        ]
        assert values.tolist() == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize("order", [4, 6, 8, 10, 12])
@pytest.mark.parametrize("form", [Convective, CentralFlux])
def test_compact_differences_reach_their_order(order, form):
    state = SmoothState(0.1)

    def error(points):
        grid = Grid.line(points)
        method = Compact(Burgers(0.1), grid, order=order, form=form)
        exact = state.burgers(grid, averages=method.averages)
        field = state.field(grid, averages=method.averages)
        return float((method(field) - exact).abs().mean())

    sizes = (16, 24, 32) if order > 8 else (24, 48, 64)
    assert observed_order(error, sizes, floor=1e-12) == pytest.approx(order, abs=0.35)


@pytest.mark.parametrize("order", [3, 5, 7, 9])
@pytest.mark.parametrize("speed", [1.0, -1.0])
def test_upwind_compact_differences_reach_their_order(order, speed):
    state = SmoothState()

    def error(points):
        grid = Grid.line(points)
        method = Compact(Advection(speed), grid, order=order, form=UpwindFlux)
        exact = state.advection(grid, speed, averages=True)
        return float((method(state.field(grid, averages=True)) - exact).abs().mean())

    assert observed_order(error, (24, 48, 64), floor=1e-12) == pytest.approx(
        order, abs=0.35
    )


@pytest.mark.parametrize("derivative", [Derivative(1), Derivative(2)])
def test_compact_differences_are_nearer_to_short_waves_than_explicit_ones(derivative):
    grid = Grid.line(64)
    equation = Advection(1.0) if derivative.order == 1 else Burgers(1.0)
    name = "u_x" if derivative.order == 1 else "u_xx"
    k = 16
    u = (k * grid.points()).sin()
    exact = k * (k * grid.points()).cos() if derivative.order == 1 else -(k**2) * u
    errors = []
    for make in (Compact, FiniteDifference):
        method = make(equation, grid, order=6, form=Convective)
        errors.append(float((method.derivatives(u)[name] - exact).abs().max()))
    assert errors[0] < 0.4 * errors[1]


@pytest.mark.parametrize(
    "equation", [KortewegDeVries(), KuramotoSivashinsky(), FisherKPP(0.3, 0.7)]
)
@pytest.mark.parametrize("form", [Convective, CentralFlux, UpwindFlux])
def test_compact_differences_serve_every_equation(equation, form):
    grid = Grid.line(48)
    method = Compact(equation, grid, order=8, form=form)
    u = smooth_field(grid)
    reference = PseudoSpectral(equation, grid, averages=method.averages)(u)
    slack = 2e-4 if equation.has_source else 1e-5
    difference = (method(u) - reference).abs().max() / reference.abs().max()
    assert float(difference) < slack
