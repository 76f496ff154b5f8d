"""Layers with inequalities, against a general solver and cvxpylayers."""

import copy
import json
import math
import pickle
from dataclasses import dataclass

import cvxpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from stencilnet.stencils import (
    SIDE_CONDITIONS,
    Bounds,
    ConvexLayer,
    Dissipation,
    Linear,
    MomentConditions,
    SideCondition,
    Sign,
    Symmetry,
    UpwindBias,
    side_condition_from_spec,
)
from stencilnet.stencils.cvxpy_convex import CvxpyConvexLayer
from stencilnet.stencils.polyhedron import (
    active_inequalities,
    nearest_in_polyhedron,
)

EPS = torch.finfo(torch.float64).eps
# Clarabel stops at a duality gap of 1e-12, which bounds the square of the distance.
SOLVER = 1e-6
CENTRED = [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0]
FACE = [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5]
MIXED = [
    Sign(0, -1),
    UpwindBias(-1),
    Sign(2, -1),
    Linear(((1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0),), (0.3,)),
]
CASES = {
    "sign": (CENTRED, 1, 3, [Sign(0, -1)]),
    "bounds": (FACE, 0, 2, [Bounds(-0.2, 0.9)]),
    "upwind bias": (CENTRED, 1, 3, [UpwindBias(-1)]),
    "upwind bias of values": (FACE, 0, 2, [UpwindBias(1)]),
    "dissipation at points": (CENTRED, 2, 2, [Dissipation(sign=1)]),
    "dissipation of advection": (CENTRED, 1, 2, [Dissipation(sign=-1, wavenumbers=6)]),
    "dissipation at faces": (FACE, 1, 2, [Dissipation(sign=1, at=0.5)]),
    "symmetry": (CENTRED, 2, 2, [Symmetry(1), Bounds(upper=2.0)]),
    "antisymmetry": (CENTRED, 1, 2, [Symmetry(-1), Bounds(-0.7, 0.7)]),
    "mixed": (CENTRED, 1, 3, MIXED),
}
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
both_paths = pytest.mark.parametrize("path", [ConvexLayer, CvxpyConvexLayer])


def draws(*shape, seed=0, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(*shape, generator=generator, dtype=torch.float64)


def made(case, path=ConvexLayer, **kwargs):
    offsets, derivative, order, side_conditions = case
    conditions = MomentConditions(offsets, derivative, order)
    return path(conditions, side_conditions=side_conditions, **kwargs)


def nearest_by_clarabel(layer, raw):
    c = cvxpy.Variable(layer.points)
    conditions = layer.conditions
    constraints = [conditions.matrix.numpy() @ c == conditions.target.numpy()]
    if len(layer.bounds):
        constraints.append(layer.matrix.numpy() @ c <= layer.bounds.numpy())
    for condition in layer.side_conditions:
        if condition.equality:
            matrix, right = condition.rows(conditions.offsets, conditions.derivative)
            constraints.append(matrix.numpy() @ c == right.numpy())
    target = (layer.reference + raw).numpy()
    problem = cvxpy.Problem(cvxpy.Minimize(cvxpy.sum_squares(c - target)), constraints)
    tight = {"tol_gap_abs": 1e-12, "tol_gap_rel": 1e-12, "tol_feas": 1e-12}
    problem.solve(solver=cvxpy.CLARABEL, max_step_fraction=0.95, **tight)
    assert problem.status == cvxpy.OPTIMAL
    return torch.tensor(c.value)


@each_case
def test_solutions_are_those_of_a_general_solver(case):
    layer = made(case)
    raw = draws(6, layer.inputs)
    for row, coefficients in zip(raw, layer(raw), strict=True):
        expected = nearest_by_clarabel(layer, row)
        torch.testing.assert_close(coefficients, expected, rtol=0, atol=SOLVER)


@each_case
def test_solutions_satisfy_the_conditions_of_optimality(case):
    """The way to the solution is normal to its face: all multipliers are positive."""
    layer = made(case)
    conditions = layer.conditions
    equalities = [conditions.matrix] + [
        condition.rows(conditions.offsets, conditions.derivative)[0]
        for condition in layer.side_conditions
        if condition.equality
    ]
    rows = torch.cat(equalities)
    raw = draws(12, layer.inputs)
    for move, coefficients in zip(raw + layer.reference, layer(raw), strict=True):
        slack = layer.bounds - layer.matrix @ coefficients
        normals = torch.cat([rows, -rows, layer.matrix[slack < 1e-10]])
        normals = normals / normals.norm(dim=-1, keepdim=True)
        _, distance = nnls(normals.mT.numpy(), (move - coefficients).numpy())
        assert distance <= 1e3 * EPS * (1 + float(move.norm()))


@each_case
def test_solutions_satisfy_every_condition_to_rounding(case):
    layer = made(case)
    for scale in (0.1, 1.0, 100.0):
        coefficients = layer(draws(200, layer.inputs, scale=scale))
        size = 1 + float(coefficients.abs().max())
        assert float(layer.residual(coefficients).max()) < 1e3 * EPS * size
        assert float(layer.violation(coefficients).max()) < 1e4 * EPS * size
    # The conditions bite.
    free = made((*case[:3], []))(draws(200, layer.inputs))
    assert float(layer.violation(free).max()) > 1e-3


@each_case
def test_native_path_and_cvxpylayers_agree(case):
    native, theirs = made(case), made(case, CvxpyConvexLayer)
    raw, same = draws(10, native.inputs), draws(10, native.inputs)
    raw.requires_grad_()
    same.requires_grad_()
    weights = draws(native.points, seed=5)
    (native(raw) * weights).square().sum().backward()
    (theirs(same) * weights).square().sum().backward()
    torch.testing.assert_close(native(raw), theirs(same), rtol=0, atol=SOLVER)
    torch.testing.assert_close(raw.grad, same.grad, rtol=0, atol=10 * SOLVER)


@pytest.mark.parametrize(
    "duplicate",
    [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))],
    ids=["copied", "pickled"],
)
def test_a_layer_through_cvxpylayers_that_was_used_can_be_duplicated(duplicate):
    layer = made(CASES["mixed"], CvxpyConvexLayer)
    raw = draws(4, layer.inputs).requires_grad_()
    # A use leaves its program with the solver.
    expected = layer(raw)
    expected.square().sum().backward()
    other, same = duplicate(layer), raw.detach().clone().requires_grad_()
    found = other(same)
    assert torch.equal(found, expected)
    found.square().sum().backward()
    assert torch.equal(same.grad, raw.grad)
    assert torch.equal(layer(raw), expected)


@each_case
def test_gradients_are_exact(case):
    layer = made(case, limit=3.0)
    raw = draws(3, layer.inputs, seed=3).requires_grad_()
    assert torch.autograd.gradcheck(layer, (raw,))
    assert torch.autograd.gradgradcheck(layer, (raw,))


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 12))
def test_nearest_points_satisfy_the_conditions_of_optimality(seed, size, count):
    normals = draws(count, size, seed=seed)
    normals = normals / normals.norm(dim=-1, keepdim=True)
    points = draws(20, size, seed=seed + 1, scale=3.0)
    inside = draws(1, size, seed=seed + 2)
    # Around a common point, so that there is a solution; sometimes it is the only one.
    bounds = normals @ inside[0] + draws(20, count, seed=seed + 3).abs() * (seed % 3)
    nearest = nearest_in_polyhedron(points, normals, bounds)
    active, blocked = active_inequalities(points, normals, bounds)
    assert (blocked == -1).all()
    assert (active.sum(-1) <= size).all()
    assert float((nearest @ normals.mT - bounds).max()) < 1e-9
    # p - y is a combination of active normals with multipliers that are not negative.
    for row in range(len(points)):
        face = normals[active[row]].mT
        move = (points - nearest)[row]
        if not face.shape[-1]:
            assert torch.equal(move, torch.zeros_like(move))
            continue
        multipliers = torch.linalg.lstsq(face, move, driver="gelsd").solution
        assert float((face @ multipliers - move).abs().max()) < 1e-9
        assert float(multipliers.min()) > -1e-7


@pytest.mark.parametrize("angle", [1e-3, 1e-5, 1e-6, 1e-7])
def test_nearly_parallel_inequalities_are_told_apart(angle):
    """Between two lines through the origin that enclose a small angle."""
    normals = torch.tensor([[-1.0, 0.0], [math.cos(angle), -math.sin(angle)]]).double()
    points = torch.tensor([[0.5, -1.0], [-0.5, -1.0], [1e-8, 1.0]]).double()
    nearest = nearest_in_polyhedron(points, normals, torch.zeros(3, 2).double())
    apex = torch.zeros(2).double()
    expected = torch.stack([apex, apex, points[2]])
    # Rounding of a normal moves the apex by as much, divided by the angle.
    atol = 64 * EPS * (1 + 1 / angle)
    torch.testing.assert_close(nearest, expected, rtol=0, atol=atol)
    assert float((normals @ nearest.mT).max()) <= 64 * EPS


def test_points_far_away_come_back_into_the_polyhedron():
    conditions = MomentConditions([-2.0, -1.0, 0.0, 1.0, 2.0], 1, 2)
    layer = ConvexLayer(conditions, side_conditions=[Bounds(-1.0, 1.0)])
    raw = draws(50, 5)
    for size in (1e3, 1e6):
        coefficients = layer(size * raw)
        assert layer.violation(coefficients).max() < 1e4 * EPS
        assert layer.residual(coefficients).max() < 1e4 * EPS
    assert layer(1e200 * raw).isnan().all()


def test_bounds_may_come_with_the_data_and_are_differentiable():
    layer = made(CASES["bounds"])
    raw = draws(4, layer.inputs)
    bounds = layer.bounds + 0.3 * draws(4, len(layer.bounds), seed=1).abs()
    for row in range(4):
        alone = layer.within(raw[row], bounds[row])
        torch.testing.assert_close(layer.within(raw, bounds)[row], alone)
    bounds.requires_grad_()
    assert torch.autograd.gradcheck(lambda h: layer.within(raw, h), (bounds,))


@both_paths
def test_rows_without_a_solution_are_nan_and_spoil_only_themselves(path):
    layer = made(CASES["bounds"], path)
    raw = draws(4, layer.inputs).requires_grad_()
    bounds = layer.bounds.repeat(4, 1)
    bounds[1, :6] = -1.0  # All coefficients below -1, whereas their sum is 1.
    bounds[2, 0] = math.nan
    coefficients = layer.within(raw, bounds)
    good = torch.isfinite(coefficients).all(-1)
    assert good.tolist() == [True, False, False, True]
    torch.testing.assert_close(
        coefficients[[0, 3]], layer(raw)[[0, 3]], rtol=0, atol=SOLVER
    )
    coefficients[good].square().sum().backward()
    assert torch.isfinite(raw.grad).all()


@both_paths
def test_both_paths_keep_shape_and_dtype(path):
    layer = made(CASES["mixed"], path)
    for batch in [(), (0,), (3,), (2, 0, 4), (2, 3)]:
        assert layer(torch.zeros(*batch, 7).double()).shape == (*batch, 7)
    single = made(CASES["mixed"], path).float()
    raw = draws(5, 7).float()
    coefficients = single(raw)
    assert coefficients.dtype == torch.float32
    torch.testing.assert_close(
        coefficients.double(), layer(raw.double()), rtol=0, atol=1e-5
    )
    raw[2, 0] = math.nan
    assert (
        torch.isfinite(single(raw)).all(-1).tolist()
        == [True] * 2 + [False] + [True] * 2
    )


def test_one_stencil_per_point_has_its_own_inequalities():
    offsets = torch.tensor([CENTRED, [s + 0.1 * s**2 / 9 for s in CENTRED]]).double()
    conditions = MomentConditions(offsets, 1, 3)
    layer = ConvexLayer(conditions, side_conditions=MIXED)
    raw = draws(30, 2, 7)
    coefficients = layer(raw)
    assert float(layer.residual(coefficients).max()) < 1e4 * EPS
    assert float(layer.violation(coefficients).max()) < 1e4 * EPS
    for index in range(2):
        alone = ConvexLayer(
            MomentConditions(offsets[index], 1, 3), side_conditions=MIXED
        )(raw[:, index])
        torch.testing.assert_close(coefficients[:, index], alone)
    with pytest.raises(ValueError, match="takes the conditions of one stencil"):
        CvxpyConvexLayer(conditions)


def test_side_conditions_mean_what_they_say():
    second = made(CASES["dissipation at points"])
    c = second(draws(300, 7, scale=2.0))
    k = torch.linspace(0.05, math.pi, 16, dtype=torch.float64)
    sampled = torch.arange(1, 17, dtype=torch.float64) * math.pi / 16
    offsets = torch.tensor(CENTRED).double()
    symbol = (torch.cos(sampled.unsqueeze(-1) * offsets) @ c.mT).T
    assert float(symbol.max()) < 1e4 * EPS
    assert float((torch.cos(k.unsqueeze(-1) * offsets) @ c.mT).max()) < 0.1

    at_faces = made(CASES["dissipation at faces"])(draws(300, 6, scale=2.0))
    i_k = torch.exp(1j * sampled.unsqueeze(-1) * torch.tensor(FACE).double())
    divergence = 2j * torch.sin(sampled / 2)
    assert float((divergence * (at_faces.to(i_k) @ i_k.mT)).real.max()) < 1e4 * EPS

    symmetric = made(CASES["symmetry"])(draws(10, 7))
    torch.testing.assert_close(symmetric, symmetric.flip(-1))
    odd = made(CASES["antisymmetry"])(draws(10, 7))
    torch.testing.assert_close(odd, -odd.flip(-1))

    biased = made(CASES["upwind bias"])(draws(300, 7))
    left, right = -biased[:, :3].sum(-1), biased[:, 4:].sum(-1)
    assert float((right - left).max()) < 1e4 * EPS
    upwind = torch.tensor([0, 0, -1.0, 1.0, 0, 0, 0]).double()
    rows, bounds = UpwindBias(-1).rows(offsets, 1)
    assert (rows @ upwind <= bounds).all()
    downwind = torch.tensor([0, 0, 0, -1.0, 1.0, 0, 0]).double()
    assert not (rows @ downwind <= bounds).any()


@pytest.mark.parametrize(
    "condition",
    [
        Sign(-1, 1),
        Bounds(-0.5, 2.0),
        Bounds(upper=1.0),
        UpwindBias(1),
        Symmetry(-1),
        Dissipation(-1, 0.5, 8),
        Linear(((1.0, 2.0), (3.0, 4.0)), (0.5, 0.25)),
    ],
)
def test_side_conditions_survive_their_spec(condition):
    spec = condition.spec()
    assert json.loads(json.dumps(spec)) == spec
    assert side_condition_from_spec(spec) == condition
    assert hash(side_condition_from_spec(spec)) == hash(condition)


def test_side_conditions_of_the_caller_are_read_when_passed():
    @dataclass(frozen=True)
    class Largest(SideCondition):
        kind = "largest"
        index: int = 0

        def rows(self, offsets, derivative):
            matrix = torch.eye(len(offsets), dtype=torch.float64)
            matrix[:, self.index] -= 1.0
            return matrix, offsets.new_zeros(len(offsets))

    condition = side_condition_from_spec({"kind": "largest", "index": 2}, [Largest])
    assert condition == Largest(2)
    conditions = MomentConditions(FACE, 0, 2)
    layer = ConvexLayer(conditions, side_conditions=[condition])
    coefficients = layer(draws(20, 6))
    largest = coefficients.amax(-1)
    torch.testing.assert_close(coefficients[:, 2], largest, rtol=0, atol=1e4 * EPS)
    with pytest.raises(ValueError, match="no side condition 'largest'"):
        side_condition_from_spec(condition.spec())
    with pytest.raises(TypeError):
        SIDE_CONDITIONS["largest"] = Largest


def test_the_position_of_a_dissipation_has_to_be_that_of_the_stencil():
    def layer(offsets, **settings):
        conditions = MomentConditions(offsets, 1, 2)
        return ConvexLayer(conditions, side_conditions=[Dissipation(-1, **settings)])

    with pytest.raises(ValueError, match="0.5 dx from a point: give it at=0.5"):
        layer(FACE)
    with pytest.raises(ValueError, match="0 dx from a point: give it at=0.0"):
        layer(CENTRED, at=0.5)
    within = [s - 0.2887 for s in CENTRED]
    with pytest.raises(ValueError, match="0.2887 dx from a point: it is defined"):
        layer(within)
    # A stencil of no uniform grid has no position in a cell.
    layer([-2.1, -1.2, 0.1, 1.0, 1.8])


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ((FACE, 0, 2, [Bounds(upper=0.1)]), "'bounds' .* contradicts the moment"),
        ((CENTRED, 2, 5, [Sign(3, 1)]), "'sign' .its row 1. contradicts"),
        ((CENTRED, 1, 2, [Symmetry(1)]), "'symmetry' contradicts the moment"),
        (([0.0, 1.0, 2.0], 1, 1, [Symmetry(1)]), "not its own mirror image"),
        ((CENTRED, 2, 2, [UpwindBias(1)]), "not to derivative 2"),
        ((CENTRED, 1, 2, [Sign(7, 1)]), "no coefficient 7"),
        ((CENTRED, 1, 2, [Linear(((1.0,),), (0.0,))]), "one per point"),
    ],
)
@both_paths
def test_conditions_without_a_solution_are_named_at_construction(path, case, message):
    with pytest.raises(ValueError, match=message):
        made(case, path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Sign(0, 2), "1 or -1, not 2"),
        (lambda: Bounds(), "need a lower or an upper"),
        (lambda: Bounds(2.0, 1.0), "swap them"),
        (lambda: Bounds(math.nan), "finite number"),
        (lambda: Dissipation(wavenumbers=0), "at least 1"),
        (lambda: Dissipation(at=0.25), "points and faces only: give at=0.0 or at=0.5"),
        (lambda: Linear((), ()), "a bound for each row"),
        (lambda: Linear(((math.inf,),), (0.0,)), "finite numbers only"),
    ],
)
def test_impossible_side_conditions_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("sign", "must be a mapping with a kind, one of sign, .*, not 'sign'"),
        ({}, "needs a kind, one of sign, bounds, "),
        ({"kind": "signs"}, "no side condition 'signs', did you mean 'sign'"),
        ({"kind": "sign", "index": 0}, "kind 'sign': its entry 'sign' is missing"),
        (
            {"kind": "dissipation", "face": True},
            "kind 'dissipation': it has no entry 'face', known are sign, at, wave",
        ),
        (
            {"kind": "dissipation", "wavenumber": 8},
            "no entry 'wavenumber', did you mean 'wavenumbers'",
        ),
        ({"kind": "sign", "index": 0.5, "sign": 1}, "a whole number, not 0.5"),
        ({"kind": "sign", "index": 0, "sign": 1.0}, "must be 1 or -1, not 1.0"),
        ({"kind": "bounds", "lower": "0"}, "a finite number, not '0'"),
        ({"kind": "dissipation", "at": False}, "points and faces only"),
        ({"kind": "linear", "matrix": 1, "bounds": [0]}, "a list of rows"),
        ({"kind": "linear", "matrix": [[1, "x"]], "bounds": [0]}, "finite numbers"),
    ],
)
@pytest.mark.usefixtures("unchecked_types")
def test_side_conditions_that_a_spec_cannot_mean_are_refused(spec, message):
    with pytest.raises(ValueError, match=message) as caught:
        side_condition_from_spec(spec)
    assert "\n" not in str(caught.value)
