import math
import subprocess
import sys

import cvxpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stencilnet import MomentConditions, NullSpace, Projection, Soft, Unconstrained
from stencilnet.stencils import COEFFICIENT_LAYERS, Convex

OFFSETS = [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5]
HARD = [NullSpace, Projection, Convex]
CLOSED_FORMS = [NullSpace, Projection, Soft, Unconstrained]
each_layer = pytest.mark.parametrize("layer", COEFFICIENT_LAYERS.values())
each_closed_form = pytest.mark.parametrize("layer", CLOSED_FORMS)


def draws(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("layer", HARD)
@pytest.mark.parametrize("derivative", [0, 1])
@pytest.mark.parametrize(
    ("dtype", "bound"), [(torch.float64, 1e-12), (torch.float32, 1e-5)]
)
def test_moment_conditions_hold_for_any_raw_output(layer, derivative, dtype, bound):
    conditions = MomentConditions(OFFSETS, derivative, 2, averages=True)
    constraint = layer(conditions, limit=10.0).to(dtype)
    for scale in (0.0, 1.0, 1e3, 1e30):
        raw = draws(500, constraint.inputs).to(dtype)
        coefficients = constraint(scale * raw)
        assert coefficients.dtype == dtype
        residual = constraint.residual(coefficients)
        assert residual.shape == (500,)
        assert float(residual.max()) <= bound


@pytest.mark.parametrize("layer", HARD)
@pytest.mark.parametrize("points", range(2, 10))
@pytest.mark.parametrize(
    ("dtype", "bound"), [(torch.float64, 1e-13), (torch.float32, 5e-6)]
)
def test_residuals_are_rounding_for_stencils_of_up_to_nine_points(
    layer, points, dtype, bound
):
    offsets = [j - (points - 1) / 2 for j in range(points)]
    for derivative in range(points):
        for order in range(1, points - derivative + 1):
            conditions = MomentConditions(offsets, derivative, order)
            constraint = layer(conditions).to(dtype)
            raw = draws(100, constraint.inputs, seed=order).to(dtype)
            assert float(constraint.residual(constraint(raw)).max()) <= bound


@each_layer
def test_raw_zeros_give_the_reference(layer):
    conditions = MomentConditions(OFFSETS, 0, 1)
    reference = torch.tensor([0, 0, 1.0, 0, 0, 0]).double()
    constraint = layer(conditions, reference)
    found = constraint(torch.zeros(constraint.inputs).double())
    torch.testing.assert_close(found, reference, rtol=0, atol=1e-15)


@each_layer
def test_constants_survive_a_detour_through_float32(layer):
    conditions = MomentConditions(OFFSETS, 1, 1)
    straight, detour = layer(conditions), layer(conditions).float().double()
    raw = torch.ones(straight.inputs, dtype=torch.float64)
    assert torch.equal(straight(raw), detour(raw))


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
    raw = draws(4, constraint.inputs).requires_grad_()
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
        if layer is NullSpace:
            # A basis is known up to its sign only.
            sign = torch.sign(one.matrix[0, 0] * batch.matrix[index, 0, 0])
            expected = one(sign * raw[:, index])
        torch.testing.assert_close(coefficients[:, index], expected)


@each_layer
def test_no_layer_stretches(layer):
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
from stencilnet import MomentConditions
from stencilnet.stencils import COEFFICIENT_LAYERS

for name in ("null_space", "projection", "soft", "unconstrained"):
    conditions = MomentConditions([-1.5, -0.5, 0.5, 1.5], 1, 2)
    layer = COEFFICIENT_LAYERS[name](conditions, limit=3.0)
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


def test_closed_forms_compile_in_one_graph():
    done = subprocess.run(
        [sys.executable, "-c", COMPILED], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [layer.name for layer in CLOSED_FORMS]


def solved_by_cvxpy(objective, constraints):
    problem = cvxpy.Problem(cvxpy.Minimize(objective), constraints)
    tight = {"tol_gap_abs": 1e-12, "tol_gap_rel": 1e-12, "tol_feas": 1e-12}
    problem.solve(solver=cvxpy.CLARABEL, **tight)
    assert problem.status == cvxpy.OPTIMAL


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6))
def test_the_projection_is_the_nearest_consistent_stencil(seed):
    conditions = MomentConditions(OFFSETS, 1, 2, averages=True)
    raw = draws(6, seed=seed)
    c = cvxpy.Variable(6)
    solved_by_cvxpy(
        cvxpy.sum_squares(c - raw.numpy()),
        [conditions.matrix.numpy() @ c == conditions.target.numpy()],
    )
    # Nearest to the raw numbers as they are: the default reference is of least norm.
    assert Projection(conditions)(raw).tolist() == pytest.approx(c.value, abs=1e-8)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([1e-3, 0.1, 1.0, 50.0]))
def test_the_soft_layer_solves_its_problem(seed, mu):
    conditions = MomentConditions(OFFSETS, 1, 2)
    layer = Soft(conditions, mu=mu)
    raw = draws(6, seed=seed)
    wanted = (conditions.particular + raw).numpy()
    c = cvxpy.Variable(6)
    moments = conditions.matrix.numpy() @ c - conditions.target.numpy()
    solved_by_cvxpy(mu * cvxpy.sum_squares(c - wanted) + cvxpy.sum_squares(moments), [])
    assert layer(raw).tolist() == pytest.approx(c.value, abs=1e-6)


def test_the_soft_layer_lies_between_projection_and_no_constraint():
    conditions = MomentConditions(OFFSETS, 1, 2)
    raw = draws(10, 6)
    hard, free = Projection(conditions)(raw), Unconstrained(conditions)(raw)
    torch.testing.assert_close(Soft(conditions, mu=1e-12)(raw), hard)
    torch.testing.assert_close(Soft(conditions, mu=1e12)(raw), free)
    residuals = [
        Soft(conditions, mu=mu).residual(Soft(conditions, mu=mu)(raw)).mean()
        for mu in (0.01, 0.1, 1.0, 10.0)
    ]
    assert residuals == sorted(residuals)


def test_the_weight_of_a_soft_layer_can_be_learned():
    conditions = MomentConditions(OFFSETS, 1, 2)
    fixed, learned = Soft(conditions), Soft(conditions, mu=0.5, learn_mu=True)
    assert not fixed.log_mu.requires_grad
    raw = draws(3, 6)
    assert torch.autograd.gradcheck(
        lambda log_mu: torch.func.functional_call(learned, {"log_mu": log_mu}, (raw,)),
        (learned.log_mu,),
    )
    learned(raw).square().sum().backward()
    assert float(learned.log_mu.grad) != 0
    assert learned.mu.item() == pytest.approx(0.5)


def test_a_consistent_target_is_projected_onto_itself():
    conditions = MomentConditions(OFFSETS, 0, 3)
    change = 0.3 * conditions.null_space.sum(0)
    projected = Projection(conditions)(change)
    torch.testing.assert_close(projected, conditions.particular + change)


def test_raw_numbers_are_coordinates_within_the_limit():
    conditions = MomentConditions(OFFSETS, 0, 3)
    constraint = NullSpace(conditions, limit=2.0)
    z = torch.tensor([0.1, -0.2, 0.05], dtype=torch.float64)
    moved = (constraint(z) - conditions.particular) @ conditions.null_space.mT
    torch.testing.assert_close(moved, 2 * torch.tanh(z / 2))
    far = (constraint(1e6 * z) - conditions.particular) @ conditions.null_space.mT
    assert float(far.abs().max()) == pytest.approx(2.0)


def test_bad_layers_and_raw_numbers_are_refused():
    conditions = MomentConditions(OFFSETS, 0, 2)
    with pytest.raises(ValueError, match="violates the moment conditions"):
        NullSpace(conditions, torch.ones(6, dtype=torch.float64))
    with pytest.raises(ValueError, match="one coefficient per point"):
        NullSpace(conditions, torch.ones(5, dtype=torch.float64) / 5)
    with pytest.raises(ValueError, match="must be positive"):
        NullSpace(conditions, limit=0.0)
    for mu in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="mu of a soft layer must be positive"):
            Soft(conditions, mu=mu)
    with pytest.raises(TypeError, match="floating-point"):
        Projection(conditions).bound(torch.zeros(6, dtype=torch.int64))
    with pytest.raises(ValueError, match="takes 6 raw numbers per stencil"):
        Projection(conditions).bound(torch.zeros(2, 5, dtype=torch.float64))
