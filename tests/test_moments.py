import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from helpers import observed_order
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from stencilnet import Grid
from stencilnet.stencils import (
    Derivative,
    MomentConditions,
    NullSpace,
    finite_difference_coefficients,
    stencil_indices,
    stencil_offsets,
)
from stencilnet.stencils.moments import solve_linear

EPS = torch.finfo(torch.float64).eps
# Fornberg (1988), tables 1 and 2; the staggered ones are his at half points.
FORNBERG = [
    ((-1, 0, 1), 1, [-1 / 2, 0, 1 / 2]),
    ((-2, -1, 0, 1, 2), 1, [1 / 12, -2 / 3, 0, 2 / 3, -1 / 12]),
    (range(-3, 4), 1, [-1 / 60, 3 / 20, -3 / 4, 0, 3 / 4, -3 / 20, 1 / 60]),
    (
        range(-4, 5),
        1,
        [1 / 280, -4 / 105, 1 / 5, -4 / 5, 0, 4 / 5, -1 / 5, 4 / 105, -1 / 280],
    ),
    ((-1, 0, 1), 2, [1, -2, 1]),
    ((-2, -1, 0, 1, 2), 2, [-1 / 12, 4 / 3, -5 / 2, 4 / 3, -1 / 12]),
    (
        range(-3, 4),
        2,
        [1 / 90, -3 / 20, 3 / 2, -49 / 18, 3 / 2, -3 / 20, 1 / 90],
    ),
    (
        range(-4, 5),
        2,
        [
            *(-1 / 560, 8 / 315, -1 / 5, 8 / 5, -205 / 72),
            *(8 / 5, -1 / 5, 8 / 315, -1 / 560),
        ],
    ),
    ((-2, -1, 0, 1, 2), 3, [-1 / 2, 1, 0, -1, 1 / 2]),
    ((-2, -1, 0, 1, 2), 4, [1, -4, 6, -4, 1]),
    (range(-3, 4), 4, [-1 / 6, 2, -13 / 2, 28 / 3, -13 / 2, 2, -1 / 6]),
    ((0, 1, 2), 1, [-3 / 2, 2, -1 / 2]),
    ((0, 1, 2, 3), 1, [-11 / 6, 3, -3 / 2, 1 / 3]),
    ((0, 1, 2, 3, 4), 1, [-25 / 12, 4, -3, 4 / 3, -1 / 4]),
    ((0, 1, 2, 3), 2, [2, -5, 4, -1]),
    ((0, 1, 2, 3, 4), 2, [35 / 12, -26 / 3, 19 / 2, -14 / 3, 11 / 12]),
    ((-0.5, 0.5), 0, [1 / 2, 1 / 2]),
    ((-1.5, -0.5, 0.5, 1.5), 0, [-1 / 16, 9 / 16, 9 / 16, -1 / 16]),
    ((-1.5, -0.5, 0.5, 1.5), 1, [1 / 24, -9 / 8, 9 / 8, -1 / 24]),
    (
        (-2.5, -1.5, -0.5, 0.5, 1.5, 2.5),
        1,
        [-3 / 640, 25 / 384, -75 / 64, 75 / 64, -25 / 384, 3 / 640],
    ),
]
# Shu (1998), ICASE 97-65, table 2.1, and the fifth-order reconstruction behind WENO5.
RECONSTRUCTIONS = [
    ((-0.5, 0.5), 0, [1 / 2, 1 / 2]),
    ((-2.5, -1.5, -0.5), 0, [1 / 3, -7 / 6, 11 / 6]),
    ((-1.5, -0.5, 0.5), 0, [-1 / 6, 5 / 6, 1 / 3]),
    ((-0.5, 0.5, 1.5), 0, [1 / 3, 5 / 6, -1 / 6]),
    ((-1.5, -0.5, 0.5, 1.5), 0, [-1 / 12, 7 / 12, 7 / 12, -1 / 12]),
    (
        (-2.5, -1.5, -0.5, 0.5, 1.5),
        0,
        [2 / 60, -13 / 60, 47 / 60, 27 / 60, -3 / 60],
    ),
    ((-0.5, 0.5), 1, [-1, 1]),
    ((-1.5, -0.5, 0.5, 1.5), 1, [1 / 12, -15 / 12, 15 / 12, -1 / 12]),
]

distinct_offsets = st.lists(
    st.integers(-40, 40), min_size=3, max_size=7, unique=True
).map(lambda tenths: [tenth / 10 for tenth in tenths])


@pytest.mark.parametrize(("offsets", "derivative", "expected"), FORNBERG)
def test_coefficients_for_point_values_are_the_published_ones(
    offsets, derivative, expected
):
    # In exact arithmetic they are the nearest float64, as the quotients here are.
    coefficients = finite_difference_coefficients(list(offsets), derivative)
    assert coefficients.tolist() == expected


@pytest.mark.parametrize(("offsets", "derivative", "expected"), RECONSTRUCTIONS)
def test_coefficients_for_averages_are_the_published_ones(
    offsets, derivative, expected
):
    coefficients = finite_difference_coefficients(
        list(offsets), derivative, averages=True
    )
    assert coefficients.tolist() == expected


def rounding(conditions, coefficients):
    """Bound of the rounding error of each moment `sum_j A_mj c_j`, with head-room."""
    size = conditions.matrix.abs() @ coefficients.abs()
    return 8 * EPS * conditions.offsets.shape[-1] * (1 + size)


@settings(max_examples=40)
@given(distinct_offsets, st.integers(0, 2), st.booleans())
def test_a_full_set_of_conditions_has_the_finite_difference_solution(
    offsets, derivative, averages
):
    order = len(offsets) - derivative
    conditions = MomentConditions(offsets, derivative, order, averages=averages)
    exact = finite_difference_coefficients(offsets, derivative, averages=averages)
    assert conditions.null_space.shape == (0, len(offsets))
    # Matrix and target, each rounded once, have the exact coefficients as solution.
    assert (conditions.residual(exact).abs() <= rounding(conditions, exact)).all()


@settings(max_examples=40)
@given(distinct_offsets, st.integers(0, 1), st.integers(1, 2), st.booleans())
def test_every_solution_is_the_particular_one_plus_the_null_space(
    offsets, derivative, order, averages
):
    conditions = MomentConditions(offsets, derivative, order, averages=averages)
    freedom = len(conditions.null_space)
    assert freedom == len(offsets) - derivative - order
    z = torch.linspace(-3, 3, 5 * freedom, dtype=torch.float64).reshape(5, freedom)
    coefficients = conditions.particular + z @ conditions.null_space
    residual = conditions.residual(coefficients).abs().amax(0)
    # Errors of the factorization are relative to the longest row of the matrix.
    length = float(torch.linalg.vector_norm(conditions.matrix, dim=-1).max())
    size = float(torch.linalg.vector_norm(coefficients, dim=-1).max())
    assert (residual <= 64 * EPS * len(offsets) * (1 + length * size)).all()
    torch.testing.assert_close(
        conditions.null_space @ conditions.null_space.mT,
        torch.eye(freedom, dtype=torch.float64),
        rtol=0,
        atol=64 * EPS * len(offsets),
    )


@pytest.mark.parametrize("points", [6, 8])
def test_the_solution_of_least_norm_is_rounded_once(points):
    """Its residual, in exact arithmetic, is that of rounding its coefficients."""
    offsets = [j - (points - 1) / 2 for j in range(points)]
    for derivative in range(points):
        conditions = MomentConditions(offsets, derivative, points - derivative)
        coefficients = [Fraction(c) for c in conditions.particular.tolist()]
        for row, target in zip(conditions.matrix, conditions.target, strict=True):
            terms = [
                Fraction(a) * c for a, c in zip(row.tolist(), coefficients, strict=True)
            ]
            residual = abs(sum(terms) - Fraction(float(target)))
            # Without refinement it is 34 on six points, and 188 on eight.
            assert residual <= 16 * EPS * sum(map(abs, terms))


@pytest.mark.parametrize("averages", [False, True])
def test_moment_conditions_make_a_stencil_exact_for_polynomials(averages):
    offsets = torch.tensor([-1.0, 0.0, 0.5, 2.0, 3.0], dtype=torch.float64)
    conditions = MomentConditions(offsets, 1, 3, averages=averages)
    for degree in range(4):
        # The derivative of (y - 0.3)**degree at y = 0.
        values = (offsets - 0.3) ** degree
        if averages:
            right, left = offsets + 0.5 - 0.3, offsets - 0.5 - 0.3
            values = (right ** (degree + 1) - left ** (degree + 1)) / (degree + 1)
        expected = degree * (-0.3) ** (degree - 1) if degree else 0.0
        value = float(conditions.particular @ values)
        size = float(conditions.particular.abs() @ values.abs())
        assert value == pytest.approx(expected, abs=32 * EPS * (1 + size))


def test_a_batch_of_stencils_is_solved_at_once():
    offsets = torch.tensor([[-1.0, 0.0, 1.0, 2.0], [-1.5, -0.2, 0.9, 2.1]]).double()
    batch = MomentConditions(offsets, 1, 2)
    for row, one in enumerate(offsets):
        single = MomentConditions(one, 1, 2)
        torch.testing.assert_close(batch.particular[row], single.particular)
        residual = single.residual(batch.particular[row]).abs()
        assert (residual <= rounding(single, batch.particular[row])).all()


@pytest.mark.parametrize(
    ("offsets", "derivative", "order"),
    [
        ((-1, 0, 1), 2, 2),
        ((-2, -1, 0, 1, 2), 2, 4),
        ((-2, -1, 0, 1, 2), 4, 2),
        ((-0.5, 0.5), 1, 2),
    ],
)
def test_symmetry_satisfies_more_conditions_than_there_are_points(
    offsets, derivative, order
):
    assert derivative + order > len(offsets)
    conditions = MomentConditions([float(s) for s in offsets], derivative, order)
    published = finite_difference_coefficients(offsets, derivative)
    assert conditions.null_space.shape == (0, len(offsets))
    torch.testing.assert_close(conditions.particular, published)
    residual = conditions.residual(published).abs()
    assert (residual <= rounding(conditions, published)).all()


def test_a_batch_with_different_freedom_is_refused():
    matrix = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [2.0, 0.0]]]).double()
    with pytest.raises(ValueError, match="equally many free parameters"):
        solve_linear(matrix, torch.ones(2, 2, dtype=torch.float64))


def lagrange_coefficients(offsets, derivative):
    """Derivatives at 0 of the Lagrange polynomials, in exact arithmetic."""
    nodes = [Fraction(offset) for offset in offsets]
    coefficients = []
    for node in nodes:
        polynomial = [Fraction(1)]  # Ascending powers of prod (y - s) / (node - s).
        for other in nodes:
            if other != node:
                shifted, same = [Fraction(0), *polynomial], [*polynomial, Fraction(0)]
                polynomial = [
                    (high - other * low) / (node - other)
                    for high, low in zip(shifted, same, strict=True)
                ]
        exact = math.factorial(derivative) * polynomial[derivative]
        coefficients.append(float(exact))
    return coefficients


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(3, 8), st.integers(1, 3))
def test_least_norm_coefficients_are_the_exact_ones_on_random_stencils(
    seed, size, derivative
):
    generator = np.random.default_rng(seed)
    # At least 0.3 apart, so that the conditions are far from singular.
    offsets = np.cumsum(generator.uniform(0.3, 1.5, size))
    offsets -= offsets[int(generator.integers(size))]
    derivative = min(derivative, size - 1)
    conditions = MomentConditions(offsets.tolist(), derivative, size - derivative)
    exact = finite_difference_coefficients(offsets.tolist(), derivative)
    assert exact.tolist() == lagrange_coefficients(offsets.tolist(), derivative)
    # Moments of the matrix, rounded to float64, determine them up to its condition.
    matrix = conditions.matrix / conditions.matrix.abs().amax(-1, keepdim=True)
    condition = float(torch.linalg.cond(matrix))
    error = (conditions.particular - exact).abs().max()
    assert error <= 8 * EPS * size * condition * exact.abs().max()


@settings(max_examples=40)
@given(distinct_offsets, st.integers(1, 3), st.integers(1, 2))
def test_the_difference_form_is_the_plain_one_with_a_centre(offsets, derivative, order):
    offsets = [offset for offset in offsets if offset]
    assume(len(offsets) >= derivative + order)
    conditions = MomentConditions(offsets, derivative, order, differences=True)
    assert conditions.moments[0] == (1 if derivative % 2 == 0 else 0)
    plain = MomentConditions([*offsets, 0.0], derivative, order)
    whole = conditions.with_centre(conditions.particular)
    scale = 1 + float(whole.abs().max())
    assert float(plain.residual(whole).abs().max()) < 1e-9 * scale


@pytest.mark.parametrize("derivative", [1, 2, 3, 4])
@pytest.mark.parametrize("order", [1, 2])
def test_the_difference_form_as_dc_pse_applies_it_is_exact_for_polynomials(
    derivative, order
):
    """Differences from, or for odd derivatives sums with, the value at x."""
    offsets = [-2.3, -1.1, -0.4, 0.7, 1.6, 2.2]
    conditions = MomentConditions(offsets, derivative, order, differences=True)
    s = torch.tensor(offsets, dtype=torch.float64)
    for degree in range(derivative + order):
        # The polynomial (y + 0.6)**degree about x = 0, where it does not vanish.
        values, centre = (s + 0.6) ** degree, 0.6**degree
        terms = values - (-1) ** derivative * centre
        applied = float(conditions.particular @ terms)
        expected = (
            math.perm(degree, derivative) * 0.6 ** (degree - derivative)
            if degree >= derivative
            else 0.0
        )
        size = float(conditions.particular.abs() @ terms.abs())
        assert applied == pytest.approx(expected, abs=64 * EPS * (1 + size))


def test_the_difference_form_gives_the_published_second_derivative():
    conditions = MomentConditions([-2.0, -1.0, 1.0, 2.0], 2, 4, differences=True)
    expected = [-1 / 12, 4 / 3, 4 / 3, -1 / 12, -5 / 2]
    coefficients = conditions.with_centre(conditions.particular)
    assert coefficients.tolist() == pytest.approx(expected, abs=64 * EPS)


@pytest.mark.parametrize(
    ("offsets", "derivative", "averages", "message"),
    [
        ([-1.0, 0.0, 1.0], 2, False, "remove the offset 0"),
        ([-1.0, 1.0], 0, False, "no derivative 0, the value at x itself"),
        ([-1.0, 1.0], 1, True, "needs point values"),
    ],
)
def test_impossible_difference_forms_are_refused(
    offsets, derivative, averages, message
):
    with pytest.raises(ValueError, match=message):
        MomentConditions(offsets, derivative, 1, averages=averages, differences=True)
    with pytest.raises(ValueError, match="differences=True"):
        MomentConditions([-1.0, 1.0], 1, 1).with_centre(torch.zeros(2).double())


def test_stencils_are_centred_or_lean_to_their_side():
    assert stencil_indices(6, Derivative(0, at=0.5)) == (-2, -1, 0, 1, 2, 3)
    assert stencil_indices(5, Derivative(0, at=0.5, side=-1)) == (-2, -1, 0, 1, 2)
    assert stencil_indices(5, Derivative(0, at=0.5, side=1)) == (-1, 0, 1, 2, 3)
    assert stencil_indices(4, Derivative(0, at=-0.5)) == (-2, -1, 0, 1)
    assert stencil_indices(5, Derivative(2)) == (-2, -1, 0, 1, 2)
    assert stencil_indices(4, Derivative(1, side=-1)) == (-2, -1, 0, 1)
    assert stencil_indices(4, Derivative(1, side=1)) == (-1, 0, 1, 2)
    assert stencil_offsets((0, 1), Derivative(1, at=0.5)).tolist() == [-0.5, 0.5]


@given(st.integers(1, 9), st.floats(-1, 1), st.sampled_from([-1, 1]))
def test_no_stencil_has_its_middle_nearer_to_the_position(width, at, side):
    indices = stencil_indices(width, Derivative(0, at=at, side=side))
    assert indices == tuple(range(indices[0], indices[0] + width))
    distance = Fraction(indices[0] + indices[-1], 2) - Fraction(at)
    assert abs(distance) <= Fraction(1, 2)
    if abs(distance) == Fraction(1, 2):  # Of two that are equally near, the side's.
        assert distance * side > 0


def test_within_a_cell_the_side_decides_nothing():
    for side in (-1, 0, 1):
        within = Derivative(0, at=0.2887, side=side)
        assert stencil_indices(5, within) == (-2, -1, 0, 1, 2)
        assert stencil_indices(4, within) == (-1, 0, 1, 2)
        assert stencil_indices(4, Derivative(0, at=-0.3, side=side)) == (-2, -1, 0, 1)


def test_a_tie_without_a_side_is_refused():
    with pytest.raises(ValueError, match="no middle for the value at the right face: "):
        stencil_indices(5, Derivative(0, at=0.5))
    with pytest.raises(ValueError, match="choose an even width or a side"):
        stencil_indices(5, Derivative(0, at=-0.5))
    with pytest.raises(ValueError, match="choose an odd width or a side"):
        stencil_indices(4, Derivative(1))


@pytest.mark.parametrize("averages", [False, True])
@pytest.mark.parametrize("derivative", [0, 1, 2])
@pytest.mark.parametrize("order", [None, 2])
def test_stencils_within_a_cell_reach_their_order(averages, derivative, order):
    """Those of the highest order, and of order 2 for any raw numbers."""
    position = Derivative(derivative, at=0.2887)
    indices = stencil_indices(6, position)
    offsets = stencil_offsets(indices, position)
    if order is None:
        coefficients = finite_difference_coefficients(
            offsets.tolist(), derivative, averages=averages
        )
    else:
        layer = NullSpace(order).layer(offsets, derivative, averages=averages)
        coefficients = layer(torch.full((layer.inputs,), 0.7, dtype=torch.float64))

    def error(points):
        grid = Grid.line(points)
        dx, x = grid.spacing[-1], grid.points()
        factor = math.sin(dx / 2) / (dx / 2) if averages else 1.0
        u = factor * x.sin()
        value = sum(c * u.roll(-j) for c, j in zip(coefficients, indices, strict=True))
        expected = torch.sin(x + 0.2887 * dx + derivative * math.pi / 2)
        return float((value / dx**derivative - expected).abs().max())

    slope = observed_order(error, (16, 32, 64), floor=1e-11)
    assert slope == pytest.approx(order or 6 - derivative, abs=0.15)


def test_derivatives_are_values_with_a_name():
    assert Derivative(1, 0) == Derivative(1) == Derivative(1, at=-0.0)
    assert len({Derivative(0, 0.5), Derivative(0, 0.5, 1), Derivative(0, 0.5, 0)}) == 2
    names = {
        Derivative(0): "the value at the point",
        Derivative(1): "the first derivative at the point",
        Derivative(0, 0.5, -1): "the value at the right face, from the left",
        Derivative(
            4, -0.5, 1
        ): "the fourth derivative at the left face, from the right",
        Derivative(0, at=0.29): "the value 0.29 dx from the point",
        Derivative(7, at=-0.3): "the derivative of order 7 -0.3 dx from the point",
    }
    for derivative, name in names.items():
        assert derivative.describe() == name


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"order": -1}, "cannot have the order -1: give a whole number"),
        ({"order": 1.0}, "cannot have the order 1.0"),
        ({"order": True}, "cannot have the order True"),
        ({"at": math.nan}, "cannot lie at nan"),
        ({"at": math.inf}, "cannot lie at inf"),
        ({"at": 1.01}, "within .-1, 1., such as 0.5 for the right face"),
        ({"at": "face"}, "cannot lie at 'face'"),
        ({"at": True}, "cannot lie at True"),
        ({"side": 2}, "is -1, 0 or 1, not 2"),
        ({"side": 0.5}, "is -1, 0 or 1, not 0.5"),
    ],
)
@pytest.mark.usefixtures("unchecked_types")
def test_impossible_derivatives_are_refused(entries, message):
    with pytest.raises(ValueError, match=message):
        Derivative(**{"order": 0, **entries})


@pytest.mark.parametrize(
    ("offsets", "derivative", "order", "message"),
    [
        (
            [0.0, 1.0],
            1,
            2,
            "imposes 3 conditions, but the stencil has only 2 points and cannot "
            "satisfy moment 2: widen the stencil to 3",
        ),
        ([-1.0, 0.0, 1.0], 2, 3, "cannot satisfy moment 4: widen the stencil to 5"),
        ([0.0, 1e-13, 1.0], 1, 2, "nearly coincide"),
        ([], 0, 1, "at least one point"),
        ([-1.0, 0.0, 1.0], 1, 0, "at least 1"),
        ([0.0, 0.0, 1.0], 1, 1, "repeats one"),
        ([0.0, math.nan, 1.0], 1, 1, "finite"),
        ([-1.0, 0.0, 1.0], -1, 1, "cannot have the order -1"),
    ],
)
def test_conditions_that_cannot_hold_are_refused(offsets, derivative, order, message):
    with pytest.raises(ValueError, match=message):
        MomentConditions(offsets, derivative, order)
