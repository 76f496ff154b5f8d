import json
import math
import subprocess
import sys
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stencilnet.stencils import (
    CONSTRAINTS,
    Bounds,
    Constraint,
    Convex,
    ConvexLayer,
    Dissipation,
    MomentConditions,
    NullSpace,
    NullSpaceLayer,
    Projection,
    ProjectionLayer,
    SideCondition,
    Sign,
    Soft,
    SoftLayer,
    Unconstrained,
    UnconstrainedLayer,
    constraint_from_spec,
    finite_difference_coefficients,
)
from stencilnet.stencils.cvxpy_convex import CvxpyConvex, CvxpyConvexLayer

OFFSETS = [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5]
EPS = torch.finfo(torch.float64).eps
HARD = [NullSpaceLayer, ProjectionLayer, ConvexLayer]
CLOSED_FORMS = [NullSpaceLayer, ProjectionLayer, SoftLayer, UnconstrainedLayer]
each_layer = pytest.mark.parametrize("layer", [*CLOSED_FORMS, ConvexLayer])
each_closed_form = pytest.mark.parametrize("layer", CLOSED_FORMS)
each_dtype = pytest.mark.parametrize("dtype", [torch.float64, torch.float32])


def draws(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def rounding(layer, raw):
    """Bound of the rounding error of each moment, with head-room.

    Each coefficient `c0 + M xi` is a sum of at most as many terms as there are points,
    and each moment is one of coefficients: `n eps |A| (|c0| + |xi|)`.
    """
    size = layer.conditions.particular.abs() + raw.double().norm(dim=-1, keepdim=True)
    moments = size @ layer.conditions.matrix.abs().mT
    return 4 * torch.finfo(raw.dtype).eps * layer.points * (1 + moments)


@pytest.mark.parametrize("layer", HARD)
@pytest.mark.parametrize("derivative", [0, 1])
@each_dtype
def test_moment_conditions_hold_for_any_raw_output(layer, derivative, dtype):
    conditions = MomentConditions(OFFSETS, derivative, 2, averages=True)
    constraint = layer(conditions, limit=10.0).to(dtype)
    for scale in (0.0, 1.0, 1e3, 1e30):
        raw = scale * draws(100, constraint.inputs).to(dtype)
        coefficients = constraint(raw)
        assert coefficients.dtype == dtype
        assert constraint.residual(coefficients).shape == (100,)
        residual = conditions.residual(coefficients.double()).abs()
        assert (residual <= rounding(constraint, constraint.bound(raw))).all()


@pytest.mark.parametrize("layer", HARD)
@pytest.mark.parametrize("points", range(2, 10))
@each_dtype
def test_residuals_are_rounding_for_stencils_of_up_to_nine_points(layer, points, dtype):
    offsets = [j - (points - 1) / 2 for j in range(points)]
    for derivative in range(points):
        for order in range(1, points - derivative + 1):
            conditions = MomentConditions(offsets, derivative, order)
            constraint = layer(conditions).to(dtype)
            raw = draws(20, constraint.inputs, seed=order).to(dtype)
            residual = conditions.residual(constraint(raw).double()).abs()
            assert (residual <= rounding(constraint, raw)).all()


@each_layer
def test_raw_zeros_give_the_reference(layer):
    conditions = MomentConditions(OFFSETS, 0, 1)
    reference = torch.tensor([0, 0, 1.0, 0, 0, 0]).double()
    constraint = layer(conditions, reference)
    coefficients = constraint(torch.zeros(constraint.inputs).double())
    torch.testing.assert_close(coefficients, reference, rtol=0, atol=64 * EPS)


@each_layer
def test_constants_survive_a_detour_through_float32(layer):
    conditions = MomentConditions(OFFSETS, 1, 1)
    straight, detour = layer(conditions), layer(conditions).float().double()
    constants = dict(detour.named_buffers(remove_duplicate=False))
    assert constants
    for name, constant in straight.named_buffers(remove_duplicate=False):
        assert torch.equal(constants[name], constant)
    raw = torch.ones(straight.inputs, dtype=torch.float64)
    torch.testing.assert_close(detour(raw), straight(raw), rtol=0, atol=64 * EPS)


@each_layer
def test_every_batch_shape_works(layer):
    constraint = layer(MomentConditions(OFFSETS, 0, 1))
    for batch in [(), (0,), (3,), (2, 0, 4), (2, 3)]:
        coefficients = constraint(torch.zeros(*batch, constraint.inputs).double())
        assert coefficients.shape == (*batch, 6)
        assert constraint.residual(coefficients).shape == batch


@each_layer
def test_no_freedom_is_a_case_too(layer):
    constraint = layer(MomentConditions(OFFSETS, 0, 6))
    coefficients = constraint(torch.zeros(3, constraint.inputs).double())
    torch.testing.assert_close(coefficients, constraint.reference.expand(3, -1))


@each_layer
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_row_that_is_not_finite_spoils_only_itself(layer, bad):
    constraint = layer(MomentConditions(OFFSETS, 0, 1))
    raw = torch.zeros(3, constraint.inputs, dtype=torch.float64)
    raw[1, 0] = bad
    raw.requires_grad_()
    coefficients = constraint(raw)
    assert torch.isfinite(coefficients).all(-1).tolist() == [True, False, True]
    coefficients[[0, 2]].square().sum().backward()
    assert torch.isfinite(raw.grad[[0, 2]]).all()


@each_layer
def test_gradients_are_exact(layer):
    constraint = layer(MomentConditions(OFFSETS, 1, 2), limit=3.0)
    raw = draws(2, constraint.inputs).requires_grad_()
    assert torch.autograd.gradcheck(constraint, (raw,))
    assert torch.autograd.gradgradcheck(constraint, (raw,))


@each_layer
def test_one_stencil_per_point_is_the_stencils_one_by_one(layer):
    offsets = torch.tensor(
        [[-1.0, 0.0, 1.0, 2.0], [-1.5, -0.2, 0.9, 2.1], [-2.0, -1.0, 0.1, 1.0]]
    ).double()
    batch = layer(MomentConditions(offsets, 1, 2))
    raw = draws(5, 3, batch.inputs)
    coefficients = batch(raw)
    assert coefficients.shape == (5, 3, 4)
    assert batch.residual(coefficients).shape == (5, 3)
    for index, row in enumerate(offsets):
        one = layer(MomentConditions(row, 1, 2))
        expected = one(raw[:, index])
        if layer is NullSpaceLayer:
            # A basis is known up to its sign only.
            sign = torch.sign(one.matrix[0, 0] * batch.matrix[index, 0, 0])
            expected = one(sign * raw[:, index])
        torch.testing.assert_close(coefficients[:, index], expected)


@each_layer
def test_every_layer_is_non_expansive(layer):
    constraint = layer(MomentConditions(OFFSETS, 1, 2))
    one, other = draws(2, 200, constraint.inputs)
    apart = (constraint(one) - constraint(other)).norm(dim=-1)
    assert (apart <= (one - other).norm(dim=-1) * (1 + 1e-12)).all()


@each_closed_form
def test_closed_forms_work_under_vmap(layer):
    constraint = layer(MomentConditions(OFFSETS, 1, 2), limit=3.0)
    raw = draws(5, constraint.inputs)
    torch.testing.assert_close(torch.func.vmap(constraint)(raw), constraint(raw))
    jacobians = torch.func.vmap(torch.func.jacrev(constraint))(raw)
    assert jacobians.shape == (5, 6, constraint.inputs)


@each_layer
def test_single_fields_give_what_rows_do(layer):
    constraint = layer(MomentConditions(OFFSETS, 1, 2, averages=True), limit=3.0)
    raw = draws(20, constraint.inputs)
    planes = torch.stack(list(constraint.planes(raw.unbind(-1))), dim=-1)
    torch.testing.assert_close(planes, constraint(raw), atol=1e-12, rtol=0)


# Compilers cannot look through the shape checks of the test suite.
COMPILED = """
import torch
from stencilnet.stencils import CONSTRAINTS

for name in ("null_space", "projection", "soft", "unconstrained"):
    layer = CONSTRAINTS[name](2, 3.0).layer([-1.5, -0.5, 0.5, 1.5], 1)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    generator = torch.Generator().manual_seed(0)
    raw = torch.randn(5, layer.inputs, generator=generator, dtype=torch.float64)
    one, other = raw.clone().requires_grad_(), raw.clone().requires_grad_()
    torch.testing.assert_close(compiled(one), layer(other))
    compiled(one).square().sum().backward()
    layer(other).square().sum().backward()
    torch.testing.assert_close(one.grad, other.grad)
    print(name)
"""


@pytest.mark.long
def test_closed_forms_compile_in_one_graph():
    done = subprocess.run(
        [sys.executable, "-c", COMPILED], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["null_space", "projection", "soft", "unconstrained"]


@settings(max_examples=20)
@given(st.integers(0, 10**6))
def test_the_projection_is_the_nearest_consistent_stencil(seed):
    """It is consistent, and the way to it is orthogonal to all consistent ones."""
    conditions = MomentConditions(OFFSETS, 1, 2, averages=True)
    layer = ProjectionLayer(conditions)
    raw = draws(6, seed=seed)
    coefficients = layer(raw)
    residual = conditions.residual(coefficients).abs()
    assert (residual <= rounding(layer, raw)).all()
    # Nearest to the raw numbers as they are: the default reference is of least norm.
    move = (coefficients - raw).unsqueeze(-1)
    rows = conditions.matrix.mT
    weights = torch.linalg.lstsq(rows, move, driver="gelsd").solution
    size = 1 + float(raw.norm())
    assert float((rows @ weights - move).abs().max()) <= 1e3 * EPS * size


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.sampled_from([1e-3, 0.1, 1.0, 50.0]))
def test_the_soft_layer_solves_its_problem(seed, mu):
    """The gradient of `mu |c - w|**2 + |A c - b|**2` vanishes."""
    conditions = MomentConditions(OFFSETS, 1, 2)
    raw = draws(6, seed=seed)
    coefficients = SoftLayer(conditions, mu=mu)(raw)
    target = conditions.particular + raw
    residual = conditions.residual(coefficients)
    gradient = mu * (coefficients - target) + conditions.matrix.mT @ residual
    size = mu * target.abs() + conditions.matrix.abs().mT @ (
        conditions.matrix.abs() @ target.abs()
    )
    assert (gradient.abs() <= 64 * EPS * (1 + size)).all()


def test_the_soft_layer_lies_between_projection_and_no_constraint():
    conditions = MomentConditions(OFFSETS, 1, 2)
    raw = draws(10, 6)
    hard, free = ProjectionLayer(conditions)(raw), UnconstrainedLayer(conditions)(raw)
    torch.testing.assert_close(SoftLayer(conditions, mu=1e-12)(raw), hard)
    torch.testing.assert_close(SoftLayer(conditions, mu=1e12)(raw), free)
    residuals = [
        SoftLayer(conditions, mu=mu).residual(SoftLayer(conditions, mu=mu)(raw)).mean()
        for mu in (0.01, 0.1, 1.0, 10.0)
    ]
    assert residuals == sorted(residuals)


def test_the_weight_of_a_soft_layer_can_be_learned():
    conditions = MomentConditions(OFFSETS, 1, 2)
    fixed, learned = SoftLayer(conditions), SoftLayer(conditions, mu=0.5, learn_mu=True)
    assert not fixed.log_mu.requires_grad
    raw = draws(3, 6)
    assert torch.autograd.gradcheck(
        lambda log_mu: torch.func.functional_call(learned, {"log_mu": log_mu}, (raw,)),
        (learned.log_mu,),
    )
    learned(raw).square().sum().backward()
    assert float(learned.log_mu.grad) != 0
    assert learned.mu.item() == pytest.approx(0.5)


def test_the_projection_keeps_consistent_coefficients():
    conditions = MomentConditions(OFFSETS, 0, 3)
    change = 0.3 * conditions.null_space.sum(0)
    projected = ProjectionLayer(conditions)(change)
    torch.testing.assert_close(projected, conditions.particular + change)


def test_raw_numbers_are_coordinates_within_the_limit():
    conditions = MomentConditions(OFFSETS, 0, 3)
    constraint = NullSpaceLayer(conditions, limit=2.0)
    z = torch.tensor([0.1, -0.2, 0.05], dtype=torch.float64)
    moved = (constraint(z) - conditions.particular) @ conditions.null_space.mT
    torch.testing.assert_close(moved, 2 * torch.tanh(z / 2))
    far = (constraint(1e6 * z) - conditions.particular) @ conditions.null_space.mT
    assert float(far.abs().max()) == pytest.approx(2.0)


def test_impossible_layers_and_raw_numbers_are_refused():
    conditions = MomentConditions(OFFSETS, 0, 2)
    with pytest.raises(ValueError, match="violates the moment conditions"):
        NullSpaceLayer(conditions, torch.ones(6, dtype=torch.float64))
    with pytest.raises(ValueError, match="one coefficient per point"):
        NullSpaceLayer(conditions, torch.ones(5, dtype=torch.float64) / 5)
    with pytest.raises(ValueError, match="must be positive"):
        NullSpaceLayer(conditions, limit=0.0)
    for mu in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="mu of a soft layer must be positive"):
            SoftLayer(conditions, mu=mu)
    with pytest.raises(TypeError, match="must be floating-point, not torch.int64"):
        ProjectionLayer(conditions).bound(torch.zeros(6, dtype=torch.int64))
    with pytest.raises(ValueError, match="takes 6 raw numbers per stencil"):
        ProjectionLayer(conditions).bound(torch.zeros(2, 5, dtype=torch.float64))


VALUES = [
    NullSpace(),
    NullSpace(2, math.inf),
    Projection(order=3, limit=4),
    Soft(mu=0.1, learn_mu=True),
    Convex(2, 5.0, (Bounds(-2.0, 2.0), Dissipation(1, 0.5, 8))),
    Unconstrained(order=2),
]
each_value = pytest.mark.parametrize("value", VALUES, ids=lambda value: value.kind)


@each_value
def test_constraints_survive_their_spec(value):
    spec = value.spec()
    assert json.loads(json.dumps(spec)) == spec
    assert CONSTRAINTS[spec["kind"]] is type(value)
    same = constraint_from_spec(spec)
    assert same == value
    assert hash(same) == hash(value)
    assert len({*VALUES, same}) == len(VALUES)


@each_value
def test_a_constraint_builds_the_layer_that_one_builds_by_hand(value):
    reference = finite_difference_coefficients(OFFSETS, 1, averages=True)
    layer = value.layer(OFFSETS, 1, averages=True, reference=reference)
    conditions = MomentConditions(OFFSETS, 1, value.order, averages=True)
    kind, settings = {
        "null_space": (NullSpaceLayer, {}),
        "projection": (ProjectionLayer, {}),
        "soft": (SoftLayer, {"mu": 0.1, "learn_mu": True}),
        "convex": (ConvexLayer, {"side_conditions": VALUES[4].side_conditions}),
        "unconstrained": (UnconstrainedLayer, {}),
    }[value.kind]
    same = kind(conditions, reference, limit=value.limit, **settings)
    assert type(layer) is type(same)
    raw = draws(5, layer.inputs, seed=1)
    torch.testing.assert_close(layer(raw), same(raw), rtol=0, atol=64 * EPS)
    weights = [(name, w.requires_grad) for name, w in layer.named_parameters()]
    assert weights == [(name, w.requires_grad) for name, w in same.named_parameters()]


def test_a_constraint_takes_a_batch_of_stencils():
    offsets = torch.tensor([[-1.0, 0.0, 1.0, 2.0], [-1.5, -0.2, 0.9, 2.1]]).double()
    layer = Projection(2).layer(offsets, 1)
    assert layer.stencils == (2,)
    assert layer(draws(3, 2, 4)).shape == (3, 2, 4)


def test_side_conditions_may_be_values_or_specs():
    spec = {"kind": "sign", "index": 0, "sign": -1}
    mixed = Convex(side_conditions=[spec, Bounds(upper=2.0)])
    assert mixed == Convex(side_conditions=(Sign(0, -1), Bounds(upper=2.0)))
    assert mixed.side_conditions == (Sign(0, -1), Bounds(upper=2.0))


def test_constraints_of_the_caller_are_read_when_passed():
    @dataclass(frozen=True)
    class Scaled(Constraint):
        kind = "scaled"
        factor: float = 1.0

        def build(self, conditions, reference=None):
            return NullSpaceLayer(conditions, reference, limit=self.factor * self.limit)

    @dataclass(frozen=True)
    class First(SideCondition):
        kind = "first"

        def rows(self, offsets, derivative):
            return Sign(0, 1).rows(offsets, derivative)

    extensions = (dict, First, Scaled)  # Classes of another sort are ignored.
    value = Scaled(2, factor=0.5)
    assert constraint_from_spec(value.spec(), extensions) == value
    assert value.layer(OFFSETS, 0).limit == 5.0
    bounded = Convex(side_conditions=[First()])
    assert constraint_from_spec(bounded.spec(), extensions) == bounded
    with pytest.raises(ValueError, match="no constraint 'scaled'"):
        constraint_from_spec(value.spec())
    with pytest.raises(ValueError, match="no side condition 'first'"):
        constraint_from_spec(bounded.spec())
    with pytest.raises(TypeError):
        CONSTRAINTS["scaled"] = Scaled


def test_a_store_of_the_layer_through_cvxpylayers_opens_without_it():
    value = CvxpyConvex(2, side_conditions=[Sign(0, -1)])
    assert type(value.layer(OFFSETS, 1)) is CvxpyConvexLayer
    native = constraint_from_spec(value.spec())
    assert native == Convex(2, side_conditions=[Sign(0, -1)])
    assert constraint_from_spec(value.spec(), [CvxpyConvex]) == value


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "convex",
            "must be a mapping with a kind, one of null_space, .*, not 'convex'",
        ),
        ({"order": 1}, "needs a kind, one of null_space, projection, soft, "),
        ({"kind": "nullspace"}, "no constraint 'nullspace', did you mean 'null_space'"),
        ({"kind": ["soft"]}, "no constraint .'soft'., "),
        (
            {"kind": "soft", "mux": 1.0},
            "This is not a constraint of the kind 'soft': it has no entry 'mux', did "
            "you mean 'mu'",
        ),
        ({"kind": "projection", "side_conditions": []}, "no entry 'side_conditions'"),
        ({"kind": "convex", "side_conditions": "sign"}, "must be a list"),
        ({"kind": "convex", "side_conditions": [{"kind": "x"}]}, "side condition 'x'"),
        ({"kind": "null_space", "order": 0}, "whole number of at least 1, not 0"),
        ({"kind": "null_space", "order": 1.5}, "whole number of at least 1, not 1.5"),
        ({"kind": "null_space", "order": True}, "at least 1, not True"),
        ({"kind": "null_space", "limit": 0}, "must be positive, not 0: give infinity"),
        ({"kind": "null_space", "limit": math.nan}, "must be positive, not nan"),
        ({"kind": "null_space", "limit": "10"}, "must be positive, not '10'"),
        ({"kind": "soft", "mu": 0.0}, "positive and finite, not 0.0: use a projection"),
        ({"kind": "soft", "mu": math.inf}, "positive and finite, not inf"),
        ({"kind": "soft", "learn_mu": 1}, "must be true or false, not 1"),
    ],
)
@pytest.mark.usefixtures("unchecked_types")
def test_constraints_that_a_spec_cannot_mean_are_refused(spec, message):
    with pytest.raises(ValueError, match=message) as caught:
        constraint_from_spec(spec)
    assert "\n" not in str(caught.value)
