"""What the WENO family promises beyond the common contract."""

import math
from fractions import Fraction
from functools import partial

import pytest
import torch
from helpers import observed_order, smooth_field
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import SmoothState

from stencilnet import Burgers, FiniteDifference, Grid, Muscl, UpwindFlux, Weno, rollout
from stencilnet.discretizations import LIMITERS, Eno, Teno
from stencilnet.discretizations.cell_polynomials import (
    linear_weights,
    mean_row,
    smoothness_matrix,
    smoothness_squares,
    solve_exactly,
    substencils,
    value_row,
)
from stencilnet.equations import Advection

RECONSTRUCTIONS = {
    **{
        f"WENO{order}-{weights} {exponent}": partial(
            Weno, order=order, weights=weights, exponent=exponent
        )
        for order in (3, 5, 7, 9)
        for weights, exponent in (("Z", 2.0), ("Z", 1.0), ("Z", 1.5), ("JS", 2.0))
    },
    "TENO5": Teno,
    "ENO3": Eno,
    "ENO5": partial(Eno, order=5),
    "sub-cell": partial(Eno, order=5, subcell=True),
    **{
        f"MUSCL {name}": partial(Muscl, limiter=limiter)
        for name, limiter in LIMITERS.items()
    },
}
every = pytest.mark.parametrize(
    "make", RECONSTRUCTIONS.values(), ids=RECONSTRUCTIONS.keys()
)
fifth = pytest.mark.parametrize("points", [3, 4, 5])

# Balsara and Shu (2000), Table 2.1 and Eqs. (2.9), (2.13), (2.17); upper triangles of
# the quadratic forms, of which the products with different factors count twice.
WEIGHTS = {
    3: "1/10 3/5 3/10",
    4: "1/35 12/35 18/35 4/35",
    5: "1/126 10/63 10/21 20/63 5/126",
}
SMOOTHNESS = {
    3: (3, [[4, -19, 11, 25, -31, 10], [4, -13, 5, 13, -13, 4]]),
    4: (
        240,
        [
            [547, -3882, 4642, -1854, 7043, -17246, 7042, 11003, -9402, 2107],
            [267, -1642, 1602, -494, 2843, -5966, 1922, 3443, -2522, 547],
        ],
    ),
    5: (
        5040,
        [
            [
                22658, -208501, 364863, -288007, 86329, 482963, -1704396, 1358458,
                -411487, 1521393, -2462076, 758823, 1020563, -649501, 107918,
            ],
            [
                6908, -60871, 99213, -70237, 18079, 138563, -464976, 337018,
                -88297, 406293, -611976, 165153, 242723, -140251, 22658,
            ],
        ],
    ),
}  # fmt: skip


@fifth
def test_linear_weights_are_the_published_ones(points):
    assert linear_weights(points) == [Fraction(w) for w in WEIGHTS[points].split()]


@fifth
def test_smoothness_is_the_published_one(points):
    denominator, tables = SMOOTHNESS[points]
    for stencil, table in zip(substencils(points), tables, strict=False):
        matrix = smoothness_matrix(stencil)
        upper = [
            matrix[i][j] * (1 if i == j else 2)
            for i in range(points)
            for j in range(i, points)
        ]
        assert upper == pytest.approx(
            [value / denominator for value in table], abs=0.5 / denominator
        )


@pytest.mark.parametrize("points", [2, 3, 4, 5])
def test_smoothness_is_the_sum_of_its_squares(points):
    for stencil in substencils(points):
        squares = smoothness_squares(stencil)
        total = [
            [sum(w * row[i] * row[j] for w, row in squares) for j in range(points)]
            for i in range(points)
        ]
        assert total == smoothness_matrix(stencil)


@pytest.mark.parametrize("points", [2, 3, 4, 5])
def test_linear_weights_make_the_value_of_the_whole_stencil(points):
    cells = range(1 - points, points)
    half = Fraction(1, 2)
    total = dict.fromkeys(cells, Fraction(0))
    for weight, stencil in zip(
        linear_weights(points), substencils(points), strict=True
    ):
        for j, value in zip(stencil, value_row(stencil, half), strict=True):
            total[j] += weight * value
    assert list(total.values()) == value_row(cells, half)


def test_polynomials_reproduce_their_averages():
    for stencil in substencils(4):
        for j in stencil:
            assert mean_row(stencil, j) == [Fraction(int(i == j)) for i in stencil]
    with pytest.raises(ValueError, match="no unique solution"):
        solve_exactly([[Fraction(1)] * 2] * 2, [[Fraction(1)]] * 2)


def faces(make, u, length=2 * math.pi):
    method = make(Advection(1.0), Grid.line(u.shape[-1], length))
    supplied = method.derivatives(u)
    return torch.stack([supplied["u_left"], supplied["u_right"]])


def rough(points=32, dtype=torch.float64):
    """Waves, a jump, noise, and a part without any of them."""
    generator = torch.Generator().manual_seed(3)
    x = torch.linspace(0, 2 * math.pi, points + 1, dtype=torch.float64)[:-1]
    noise = torch.randn(points, generator=generator, dtype=torch.float64)
    u = x.sin() + (x > 2) * 1.0 + (x > 4) * noise
    u[:6] = 0.3
    return u.to(dtype)


@every
@settings(max_examples=8)
@given(st.integers(-200, 200), st.sampled_from([1.0, -1.0]))
def test_a_reconstruction_does_not_depend_on_the_unit(make, power, sign):
    # Rounding of other factors would decide ties.
    factor = sign * 2.0**power
    expected = faces(make, rough())
    torch.testing.assert_close(
        faces(make, factor * rough()) / factor, expected, rtol=1e-9, atol=1e-12
    )


@every
@pytest.mark.parametrize("power", [-10, -4, 4, 11])
def test_a_reconstruction_in_single_precision_does_not_depend_on_the_unit(make, power):
    factor, u = 10.0**power, rough(dtype=torch.float32)
    # Levels that no rounding of a scaled field turns into slopes.
    u = torch.where(u == u[0], 0.0, u)
    expected = faces(make, u)
    scaled = faces(make, factor * u)
    assert torch.isfinite(scaled).all()
    # Ties of rough candidates, which rounding decides, count by a few faces.
    wrong = (scaled / factor - expected).abs() > 1e-3
    assert int(wrong.sum()) <= 2


@every
def test_a_reconstruction_commutes_with_boosts_and_the_mirror(make):
    u = rough()
    left, right = faces(make, u)
    boosted = faces(make, u + 0.75)
    torch.testing.assert_close(boosted - 0.75, faces(make, u), rtol=0, atol=1e-9)
    mirrored = faces(make, -u.flip(-1))
    # The face to the right of cell i lies to the right of cell -2 - i.
    for side, other in zip(mirrored, (right, left), strict=True):
        torch.testing.assert_close(-side.flip(-1).roll(-1, -1), other)


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_are_finite_where_the_field_is_flat(make, dtype):
    u = torch.zeros(4, 24, dtype=dtype)
    u[1] = 0.7
    u[2, 5:15] = 1e-6
    u[3, 8:] = 1e6
    u.requires_grad_()
    method = make(Burgers(0.1), Grid.line(24)).to(dtype)
    (slope,) = torch.autograd.grad(method.derivatives(u)["u_left"].sum(), u)
    assert torch.isfinite(slope).all()
    torch.testing.assert_close(slope[:2], torch.ones_like(slope[:2]))


@every
def test_blocks_of_any_height_stay_within_bounds(make):
    grid = Grid.line(48)
    x, heights = grid.points(), torch.tensor([[1e-12], [1e-4], [1.0], [1e6]]).double()
    u0 = heights * ((x > 2) & (x < 4))
    times = torch.tensor([0.0, 1.0])
    end = rollout(make(Advection(1.0), grid), u0, times, steps=24)[:, -1] / heights
    name = next(key for key, value in RECONSTRUCTIONS.items() if value is make)
    # Small exponents and high orders are less careful.
    slack = 0.06 if "Z 1" in name or name[4:5] in "79" else 0.015
    assert float(end.min()) > -slack
    assert float(end.max()) < 1 + slack


def test_a_small_block_beside_a_large_wave_stays_within_its_own_bounds():
    grid = Grid.line(96)
    x = grid.points()
    block = torch.where((x > 1) & (x < 2), 1e-4, 0.0).double()
    large = torch.where((x > 4) & (x < 5), 1.0, 0.0).double()
    weno = Weno(Advection(1.0), grid, weights="JS")
    end = rollout(weno, block + large, torch.tensor([0.0, 0.5]), steps=24)[-1]
    near = end[(x > 0.5) & (x < 3.5)]
    assert float(near.max()) < 1.01e-4
    assert float(near.min()) > -1e-6


ORDERS = [
    ("Z", 3, 2.0, 2, (128, 256, 512)),
    ("JS", 3, 2.0, 2, (128, 256, 512)),
    ("Z", 5, 1.0, 5, (256, 512, 1024)),
    ("JS", 5, 2.0, 4, (256, 512, 1024)),
    ("Z", 7, 1.5, 7, (64, 128, 256)),
    ("JS", 7, 2.0, 6, (64, 128, 256)),
    ("Z", 9, 2.0, 9, (64, 96)),
    ("JS", 9, 2.0, 8, (96, 128)),
]


def order_of(make, sizes):
    state = SmoothState()

    def error(points):
        grid = Grid.line(points)
        method = make(Advection(1.0), grid)
        exact = state.advection(grid, 1.0, averages=True)
        return float((method(state.field(grid, averages=True)) - exact).abs().mean())

    return observed_order(error, sizes)


@pytest.mark.parametrize(("weights", "order", "exponent", "expected", "sizes"), ORDERS)
def test_weno_has_its_order_in_the_mean(weights, order, exponent, expected, sizes):
    make = partial(Weno, weights=weights, order=order, exponent=exponent)
    assert order_of(make, sizes) == pytest.approx(expected, abs=0.3)


@pytest.mark.parametrize("order", [2, 3, 4, 5])
@pytest.mark.parametrize("subcell", [False, True])
def test_eno_has_its_order_in_the_mean(order, subcell):
    make = partial(Eno, order=order, subcell=subcell)
    assert order_of(make, (128, 256, 512)) == pytest.approx(order, abs=0.3)


@pytest.mark.parametrize(
    ("weights", "exponent", "lowest", "expected"),
    [
        ("Z", 2.0, 1, 5), ("Z", 1.0, 1, 5), ("JS", 2.0, 1, 5),
        ("Z", 1.0, 2, 5), ("JS", 2.0, 2, 4),
        ("Z", 2.0, 3, 3), ("Z", 1.0, 3, 3), ("JS", 2.0, 3, 3),
    ],
)  # fmt: skip
def test_face_values_have_the_documented_order_at_critical_points(
    weights, exponent, lowest, expected
):
    # f = sum of x**m / m! from `lowest` on, so that lower derivatives vanish at 0.
    weno = Weno(Advection(1.0), Grid.line(16), weights=weights, exponent=exponent)
    terms = range(lowest, 20)

    def error(inverse):
        h = 1 / inverse

        def primitive(s):
            x = h * (s - 0.3)
            return math.fsum(x ** (m + 1) / math.factorial(m + 1) for m in terms)

        cells = [
            torch.tensor(
                [(primitive(j + 0.5) - primitive(j - 0.5)) / h], dtype=torch.float64
            )
            for j in range(-2, 3)
        ]
        exact = math.fsum((0.2 * h) ** m / math.factorial(m) for m in terms)
        return abs(float(weno.reconstruct(cells)[0]) - exact)

    assert observed_order(error, (20, 40, 80), floor=0) == pytest.approx(
        expected, abs=0.2
    )


def test_teno_is_the_linear_scheme_on_smooth_data():
    grid = Grid.line(64)
    u = smooth_field(grid)
    upwind = FiniteDifference(Advection(1.0), grid, order=5, form=UpwindFlux)
    torch.testing.assert_close(Teno(Advection(1.0), grid)(u), upwind(u))


def teno_by_the_book(cells):
    """Term by term, in units in which nothing but the published epsilon is added."""
    candidates, beta = [], []
    for stencil in substencils(3):
        v = [cells[j + 2] for j in stencil]
        row = value_row(stencil, Fraction(1, 2))
        candidates.append(sum(float(a) * b for a, b in zip(row, v, strict=True)))
        matrix = smoothness_matrix(stencil)
        beta.append(
            sum(float(matrix[i][j]) * v[i] * v[j] for i in range(3) for j in range(3))
        )
    gamma = [(1 + abs(beta[0] - beta[2]) / (b + 1e-40)) ** 6 for b in beta]
    linear = [0.1, 0.6, 0.3]
    weights = [
        d if g / sum(gamma) >= 1e-5 else 0.0 for g, d in zip(gamma, linear, strict=True)
    ]
    total = sum(w * q for w, q in zip(weights, candidates, strict=True))
    return total / sum(weights), weights


def test_teno_takes_candidates_whole_or_not_at_all():
    teno = Teno(Advection(1.0), Grid.line(16))
    generator = torch.Generator().manual_seed(1)
    selections = set()
    for _ in range(40):
        cells = torch.randn(5, generator=generator, dtype=torch.float64) ** 3
        expected, weights = teno_by_the_book(cells.tolist())
        value = float(teno.reconstruct(cells.unsqueeze(-1).unbind())[0])
        assert value == pytest.approx(expected, abs=1e-9)
        selections.add(tuple(w > 0 for w in weights))
    assert len(selections) > 3


def test_eno_takes_the_smoothest_stencil():
    eno = Eno(Advection(1.0), Grid.line(16))
    u = torch.zeros(16, dtype=torch.float64)
    u[8:] = 10 + torch.arange(8).double() ** 2
    left = eno.derivatives(u)["u_left"]
    # Of averages m**2, from the cells to the right of the jump only.
    x = torch.arange(8).double()
    parabola = 10 + (x + 0.5) ** 2 - 1 / 12
    torch.testing.assert_close(left[8:14], parabola[:6])


@pytest.mark.parametrize("place", [0.1, 0.5, 0.8])
def test_a_resting_shock_rests_wherever_it_lies_within_a_cell(place):
    grid = Grid.line(32)
    u = torch.where(torch.arange(32) < 16, 1.0, -1.0).double()
    u[16] = 2 * place - 1
    eno = Eno(Burgers(0.0), grid, subcell=True)
    assert float(eno(u)[5:28].abs().max()) < 1e-13
    supplied = eno.derivatives(u)
    # Both faces of the cell see the states beyond the shock.
    assert float(supplied["u_left"][16]) == pytest.approx(-1)
    assert float(supplied["u_right"][15]) == pytest.approx(1)


def test_sub_cell_resolution_leaves_rarefactions_alone():
    grid = Grid.line(32)
    u = torch.where(torch.arange(32) < 16, -1.0, 1.0).double()
    u[16] = 0.2
    with_shocks = Eno(Burgers(0.0), grid, subcell=True)(u)
    torch.testing.assert_close(with_shocks[5:28], Eno(Burgers(0.0), grid)(u)[5:28])


def test_settings_that_make_no_sense_are_refused():
    equation, grid = Burgers(0.1), Grid.line(16)
    with pytest.raises(ValueError, match="orders 3, 5, 7, 9, not 4"):
        Weno(equation, grid, order=4)
    for exponent in (0.5, math.nan, math.inf):
        with pytest.raises(ValueError, match="number of at least 1"):
            Weno(equation, grid, exponent=exponent)
    with pytest.raises(ValueError, match="at least 10 points"):
        Weno(equation, Grid.line(9), order=9)
    for cutoff in (0.0, 0.4, math.nan):
        with pytest.raises(ValueError, match="between 0 and 1/3"):
            Teno(equation, grid, cutoff=cutoff)
    with pytest.raises(ValueError, match="order of 2 to 5, not 6"):
        Eno(equation, grid, order=6)
