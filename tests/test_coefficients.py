import cvxpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stencilnet import MomentConditions, NullSpace, Projection
from stencilnet.coefficients import COEFFICIENT_LAYERS

OFFSETS = [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5]
layers = pytest.mark.parametrize("layer", COEFFICIENT_LAYERS.values())


@layers
@pytest.mark.parametrize("derivative", [0, 1])
@pytest.mark.parametrize(
    ("dtype", "bound"), [(torch.float64, 1e-12), (torch.float32, 1e-5)]
)
def test_moment_conditions_hold_for_any_raw_output(layer, derivative, dtype, bound):
    conditions = MomentConditions(OFFSETS, derivative, 2, averages=True)
    constraint = layer(conditions).to(dtype)
    generator = torch.Generator().manual_seed(0)
    for scale in (0.0, 1.0, 1e3, 1e30):
        raw = torch.randn(500, constraint.inputs, generator=generator).to(dtype)
        residual = constraint.residual(constraint(scale * raw))
        assert residual.shape == (500,)
        assert float(residual.max()) <= bound


@layers
def test_raw_zeros_give_the_reference(layer):
    conditions = MomentConditions(OFFSETS, 0, 1)
    reference = torch.tensor([0, 0, 1.0, 0, 0, 0]).double()
    constraint = layer(conditions, reference)
    assert torch.equal(constraint(torch.zeros(constraint.inputs).double()), reference)


@layers
def test_constants_survive_a_detour_through_float32(layer):
    conditions = MomentConditions(OFFSETS, 1, 1)
    straight, detour = layer(conditions), layer(conditions).float().double()
    raw = torch.ones(straight.inputs, dtype=torch.float64)
    assert torch.equal(straight(raw), detour(raw))


@layers
def test_every_batch_shape_works(layer):
    constraint = layer(MomentConditions(OFFSETS, 0, 1))
    for batch in [(), (0,), (3,), (2, 0, 4), (2, 3)]:
        coefficients = constraint(torch.zeros(*batch, constraint.inputs).double())
        assert coefficients.shape == (*batch, 6)
        assert constraint.residual(coefficients).shape == batch


@layers
def test_a_nan_row_spoils_only_itself(layer):
    constraint = layer(MomentConditions(OFFSETS, 0, 1))
    raw = torch.zeros(3, constraint.inputs, dtype=torch.float64)
    raw[1] = torch.nan
    finite = torch.isfinite(constraint(raw)).all(-1)
    assert finite.tolist() == [True, False, True]


@layers
def test_gradients_are_exact(layer):
    constraint = layer(MomentConditions(OFFSETS, 1, 2))
    raw = torch.randn(4, constraint.inputs, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(constraint, (raw,))
    assert torch.autograd.gradgradcheck(constraint, (raw,))


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6))
def test_the_projection_is_the_nearest_consistent_stencil(seed):
    conditions = MomentConditions(OFFSETS, 1, 2, averages=True)
    constraint = Projection(conditions, limit=float("inf"))
    generator = torch.Generator().manual_seed(seed)
    raw = torch.randn(6, generator=generator, dtype=torch.float64)
    wanted = (conditions.particular + raw).numpy()
    c = cvxpy.Variable(6)
    problem = cvxpy.Problem(
        cvxpy.Minimize(cvxpy.sum_squares(c - wanted)),
        [conditions.matrix.numpy() @ c == conditions.target.numpy()],
    )
    tight = {"tol_gap_abs": 1e-12, "tol_gap_rel": 1e-12, "tol_feas": 1e-12}
    problem.solve(solver=cvxpy.CLARABEL, **tight)
    assert constraint(raw).tolist() == pytest.approx(c.value, abs=1e-8)


def test_a_consistent_target_is_projected_onto_itself():
    conditions = MomentConditions(OFFSETS, 0, 3)
    change = 0.3 * conditions.null_space.sum(0)
    projected = Projection(conditions, limit=float("inf"))(change)
    torch.testing.assert_close(projected, conditions.particular + change)


def test_free_parameters_are_coordinates_within_the_limit():
    conditions = MomentConditions(OFFSETS, 0, 3)
    constraint = NullSpace(conditions, limit=2.0)
    z = torch.tensor([0.1, -0.2, 0.05], dtype=torch.float64)
    moved = (constraint(z) - conditions.particular) @ conditions.null_space.mT
    torch.testing.assert_close(moved, 2 * torch.tanh(z / 2))
    far = (constraint(1e6 * z) - conditions.particular) @ conditions.null_space.mT
    assert float(far.abs().max()) == pytest.approx(2.0)


def test_bad_layers_are_refused():
    conditions = MomentConditions(OFFSETS, 0, 2)
    with pytest.raises(ValueError, match="violates the moment conditions"):
        NullSpace(conditions, torch.ones(6, dtype=torch.float64))
    with pytest.raises(ValueError, match="one coefficient per point"):
        NullSpace(conditions, torch.ones(5, dtype=torch.float64) / 5)
    with pytest.raises(ValueError, match="must be positive"):
        NullSpace(conditions, limit=0.0)
    batch = MomentConditions(torch.tensor([OFFSETS, OFFSETS]).double(), 0, 2)
    with pytest.raises(ValueError, match="conditions of one stencil"):
        NullSpace(batch)
