import math

import findiff
import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from stencilnet import Derivative, MomentConditions, finite_difference_coefficients
from stencilnet.stencils.moments import solve_linear, stencil_indices, stencil_offsets

# Fornberg (1988), tables 1 and 2; the staggered ones are his at half points.
FORNBERG = [
    ((-1, 0, 1), 1, [-1 / 2, 0, 1 / 2]),
    ((-2, -1, 0, 1, 2), 1, [1 / 12, -2 / 3, 0, 2 / 3, -1 / 12]),
    (range(-3, 4), 1, [-1 / 60, 3 / 20, -3 / 4, 0, 3 / 4, -3 / 20, 1 / 60]),
    ((-1, 0, 1), 2, [1, -2, 1]),
    ((-2, -1, 0, 1, 2), 2, [-1 / 12, 4 / 3, -5 / 2, 4 / 3, -1 / 12]),
    (
        range(-3, 4),
        2,
        [1 / 90, -3 / 20, 3 / 2, -49 / 18, 3 / 2, -3 / 20, 1 / 90],
    ),
    ((-2, -1, 0, 1, 2), 3, [-1 / 2, 1, 0, -1, 1 / 2]),
    ((-2, -1, 0, 1, 2), 4, [1, -4, 6, -4, 1]),
    ((0, 1, 2), 1, [-3 / 2, 2, -1 / 2]),
    ((0, 1, 2, 3), 2, [2, -5, 4, -1]),
    ((-0.5, 0.5), 0, [1 / 2, 1 / 2]),
    ((-1.5, -0.5, 0.5, 1.5), 0, [-1 / 16, 9 / 16, 9 / 16, -1 / 16]),
    ((-1.5, -0.5, 0.5, 1.5), 1, [1 / 24, -9 / 8, 9 / 8, -1 / 24]),
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
    found = finite_difference_coefficients(list(offsets), derivative)
    assert found.tolist() == pytest.approx(expected, rel=0, abs=1e-15)


@pytest.mark.parametrize(("offsets", "derivative", "expected"), RECONSTRUCTIONS)
def test_coefficients_for_averages_are_the_published_ones(
    offsets, derivative, expected
):
    found = finite_difference_coefficients(list(offsets), derivative, averages=True)
    assert found.tolist() == pytest.approx(expected, rel=0, abs=1e-15)


@given(distinct_offsets, st.integers(0, 2), st.booleans())
def test_a_full_set_of_conditions_has_the_finite_difference_solution(
    offsets, derivative, averages
):
    order = len(offsets) - derivative
    conditions = MomentConditions(offsets, derivative, order, averages=averages)
    exact = finite_difference_coefficients(offsets, derivative, averages=averages)
    assert conditions.null_space.shape == (0, len(offsets))
    scale = 1 + float(exact.abs().max())
    assert torch.linalg.vector_norm(conditions.residual(exact)) < 1e-9 * scale


@given(distinct_offsets, st.integers(0, 1), st.integers(1, 2), st.booleans())
def test_every_solution_is_the_particular_one_plus_the_null_space(
    offsets, derivative, order, averages
):
    conditions = MomentConditions(offsets, derivative, order, averages=averages)
    freedom = len(conditions.null_space)
    assert freedom == len(offsets) - derivative - order
    z = torch.linspace(-3, 3, 5 * freedom, dtype=torch.float64).reshape(5, freedom)
    coefficients = conditions.particular + z @ conditions.null_space
    scale = float(conditions.particular.abs().max()) + 20
    assert conditions.residual(coefficients).abs().max() < 1e-10 * scale
    torch.testing.assert_close(
        conditions.null_space @ conditions.null_space.mT,
        torch.eye(freedom, dtype=torch.float64),
    )


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
        found = float(conditions.particular @ values)
        assert found == pytest.approx(expected, abs=1e-13)


def test_a_batch_of_stencils_is_solved_at_once():
    offsets = torch.tensor([[-1.0, 0.0, 1.0, 2.0], [-1.5, -0.2, 0.9, 2.1]]).double()
    batch = MomentConditions(offsets, 1, 2)
    for row, one in enumerate(offsets):
        single = MomentConditions(one, 1, 2)
        torch.testing.assert_close(batch.particular[row], single.particular)
        assert float(single.residual(batch.particular[row]).abs().max()) < 1e-13


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
    assert float(conditions.residual(published).abs().max()) < 1e-14


def test_a_batch_with_different_freedom_is_refused():
    matrix = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [2.0, 0.0]]]).double()
    with pytest.raises(ValueError, match="must leave the same freedom"):
        solve_linear(matrix, torch.ones(2, 2, dtype=torch.float64))


def test_coefficients_agree_with_findiff_on_random_stencils():
    generator = np.random.default_rng(0)
    for _ in range(100):
        size = int(generator.integers(3, 9))
        # Apart by at least 0.3, so that the system of the other code is regular.
        offsets = np.cumsum(generator.uniform(0.3, 1.5, size))
        offsets -= offsets[int(generator.integers(size))]
        derivative = int(generator.integers(1, min(size, 4)))
        theirs = findiff.coefficients(derivative, offsets=offsets.tolist())
        ours = finite_difference_coefficients(offsets.tolist(), derivative).numpy()
        scale = np.abs(ours).max()
        assert np.abs(ours - theirs["coefficients"]).max() <= 1e-10 * scale
        conditions = MomentConditions(offsets.tolist(), derivative, size - derivative)
        assert np.abs(conditions.particular.numpy() - ours).max() <= 1e-10 * scale


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
    # As DC-PSE applies it: differences from, or sums with, the value at x.
    values = torch.tensor(offsets, dtype=torch.float64) ** derivative
    applied = conditions.particular @ (values - (-1) ** derivative * 0.0)
    assert float(applied) == pytest.approx(math.factorial(derivative), rel=1e-9)


def test_the_difference_form_gives_the_published_second_derivative():
    conditions = MomentConditions([-2.0, -1.0, 1.0, 2.0], 2, 4, differences=True)
    expected = [-1 / 12, 4 / 3, 4 / 3, -1 / 12, -5 / 2]
    found = conditions.with_centre(conditions.particular)
    assert found.tolist() == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize(
    ("offsets", "derivative", "averages", "message"),
    [
        ([-1.0, 0.0, 1.0], 2, False, "remove the offset 0"),
        ([-1.0, 1.0], 0, False, "cannot give that value"),
        ([-1.0, 1.0], 1, True, "point values"),
    ],
)
def test_difference_forms_that_make_no_sense_are_refused(
    offsets, derivative, averages, message
):
    with pytest.raises(ValueError, match=message):
        MomentConditions(offsets, derivative, 1, averages=averages, differences=True)
    with pytest.raises(ValueError, match="differences=True"):
        MomentConditions([-1.0, 1.0], 1, 1).with_centre(torch.zeros(2).double())


def test_face_stencils_are_centred_and_one_sided_ones_lean():
    assert stencil_indices(6, Derivative(0, face=True)) == (-2, -1, 0, 1, 2, 3)
    assert stencil_indices(5, Derivative(0, face=True, side=-1)) == (-2, -1, 0, 1, 2)
    assert stencil_indices(5, Derivative(0, face=True, side=1)) == (-1, 0, 1, 2, 3)
    assert stencil_indices(5, Derivative(2)) == (-2, -1, 0, 1, 2)
    face = Derivative(1, face=True)
    assert stencil_offsets((0, 1), face).tolist() == [-0.5, 0.5]


def test_a_width_without_a_middle_is_refused():
    with pytest.raises(ValueError, match="choose an even width"):
        stencil_indices(5, Derivative(0, face=True))
    with pytest.raises(ValueError, match="choose an odd width"):
        stencil_indices(4, Derivative(1))


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
