"""Settings of any kind of number work from construction to saving, or are refused."""

import json
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch
from studies import small

from stencilnet import (
    MLP,
    Burgers,
    Convex,
    Derivative,
    DiscontinuousGalerkin,
    FiniteDifference,
    Grid,
    LearnedStencil,
    Muscl,
    NullSpace,
    RandomForcing,
    Weno,
    certify,
    denoise,
    load_operator,
    read_trajectories,
    save_operator,
    simulate,
    write_trajectories,
)
from stencilnet.denoising import TotalVariation, denoise_signals
from stencilnet.discretizations import Compact, Eno, Teno
from stencilnet.equations import (
    Advection,
    AdvectionDiffusion,
    FisherKPP,
    KortewegDeVries,
    KuramotoSivashinsky,
)
from stencilnet.errors import as_integer, as_number
from stencilnet.solver import Adaptive, StableStep, rollout
from stencilnet.stencils import (
    Bounds,
    Dissipation,
    Linear,
    MomentConditions,
    Projection,
    Sign,
    Soft,
    SoftLayer,
    Symmetry,
    UpwindBias,
    finite_difference_coefficients,
    stencil_indices,
)
from stencilnet.storage import trajectories

WHOLE = [np.int64, np.int32, np.uint8, np.array, torch.tensor]
REAL = [np.float32, np.float64, np.float16, Fraction, Decimal, np.array, torch.tensor]
each_whole = pytest.mark.parametrize("whole", WHOLE, ids=lambda kind: kind.__name__)
each_real = pytest.mark.parametrize("real", REAL, ids=lambda kind: kind.__name__)
as_a_user = pytest.mark.usefixtures("unchecked_types")
GRID = Grid.line(16)


def values(thing):
    """Types of all numbers in a value, its containers included."""
    if isinstance(thing, dict):
        return set().union(*map(values, thing.values()))
    if isinstance(thing, list | tuple):
        return set().union(*map(values, thing))
    return {type(thing)}


@each_whole
@as_a_user
def test_whole_numbers_of_any_kind_are_converted(whole):
    pairs = [
        (Derivative(whole(1), side=whole(1)), Derivative(1, side=1)),
        (NullSpace(whole(2)), NullSpace(2)),
        (Sign(whole(2), whole(1)), Sign(2, 1)),
        (UpwindBias(whole(1)), UpwindBias(1)),
        (Symmetry(whole(1)), Symmetry(1)),
        (Dissipation(whole(1), wavenumbers=whole(8)), Dissipation(1, wavenumbers=8)),
        (MLP(whole(8), whole(4)), MLP(8, 4)),
    ]
    for value, plain in pairs:
        assert value == plain
        assert hash(value) == hash(plain)
        assert {type(entry) for entry in vars(value).values()} == {
            type(entry) for entry in vars(plain).values()
        }
    assert stencil_indices(whole(4), Derivative(0, 0.5)) == (-1, 0, 1, 2)
    offsets = [-1.0, 0.0, 1.0]
    assert torch.equal(
        finite_difference_coefficients(offsets, whole(1)),
        finite_difference_coefficients(offsets, 1),
    )
    conditions = MomentConditions(offsets, whole(1), whole(2))
    assert values((conditions.derivative, conditions.order, conditions.moments)) == {
        int
    }
    for method in (
        FiniteDifference(Burgers(0.1), GRID, order=whole(4)),
        Weno(Burgers(0.1), GRID, viscous_order=whole(4)),
        Muscl(Burgers(0.1), GRID, viscous_order=whole(2)),
        DiscontinuousGalerkin(Burgers(0.1), GRID, degree=whole(3)),
        Weno(Burgers(0.1), GRID, order=whole(7)),
        Compact(Burgers(0.1), GRID, order=whole(6)),
        Eno(Burgers(0.1), GRID, order=whole(4)),
    ):
        json.dumps(method.spec())
    drawn = RandomForcing.sample(whole(2), modes=whole(3), seed=whole(5))
    assert torch.equal(drawn.phase, RandomForcing.sample(2, modes=3, seed=5).phase)


@each_real
@as_a_user
def test_real_numbers_of_any_kind_are_converted(real):
    half = real(0.5)
    pairs = [
        (Derivative(0, half), Derivative(0, 0.5)),
        (Projection(limit=half), Projection(limit=0.5)),
        (Soft(mu=half), Soft(mu=0.5)),
        (Bounds(lower=half), Bounds(lower=0.5)),
        (Dissipation(at=half), Dissipation(at=0.5)),
        (Linear([[half, half]], [half]), Linear(((0.5, 0.5),), (0.5,))),
        (Burgers(0.5), Burgers(0.5)),
        (StableStep(half), StableStep(0.5)),
        (Adaptive(half, through=[half]), Adaptive(0.5, through=[0.5])),
    ]
    assert Weno(Burgers(0.1), GRID, exponent=real(1.5)).settings["exponent"] == 1.5
    assert type(Teno(Burgers(0.1), GRID, cutoff=real(0.25)).cutoff) is float
    if real is not torch.tensor:
        # A tensor is a parameter to differentiate with respect to.
        pairs += [
            (Burgers(half), Burgers(0.5)),
            (Advection(half), Advection(0.5)),
            (AdvectionDiffusion(half, half), AdvectionDiffusion(0.5, 0.5)),
            (FisherKPP(half, half), FisherKPP(0.5, 0.5)),
            (KortewegDeVries(half, half), KortewegDeVries(0.5, 0.5)),
            (KuramotoSivashinsky(half), KuramotoSivashinsky(0.5)),
        ]
    for value, plain in pairs:
        assert value == plain
        assert values(list(vars(value).values())) == values(list(vars(plain).values()))
        json.dumps(value.spec() if hasattr(value, "spec") else None)
    conditions = MomentConditions([-1.0, 0.0, 1.0], 1, 1)
    assert type(SoftLayer(conditions, limit=half, mu=half).limit) is float
    bounds = RandomForcing.sample(2, amplitude=half, frequency=half, seed=0)
    plain = RandomForcing.sample(2, amplitude=0.5, frequency=0.5, seed=0)
    assert torch.equal(bounds.amplitude, plain.amplitude)


@as_a_user
def test_an_operator_of_such_numbers_is_saved_and_loaded(tmp_path):
    operator = LearnedStencil(
        Burgers(np.float32(0.1)),
        Grid.line(np.int64(16), np.float64(3.0)),
        constraint=Convex(
            np.int64(1), side_conditions=[Bounds(np.float32(-2.0), np.int64(3))]
        ),
        network=MLP(np.int64(4)),
        width=np.int64(6),
        window=np.int64(8),
        scale=np.float32(0.5),
        seed=np.int64(3),
    )
    attributes = {"step": np.float32(0.5), "count": np.int64(2), "ok": np.bool_(True)}
    path = save_operator(operator, tmp_path / "o.zarr", attributes=attributes)
    loaded, stored = load_operator(path)
    assert loaded.spec() == operator.spec()
    expected = {"step": 0.5, "count": 2, "ok": True}
    assert {name: stored.attributes[name] for name in expected} == expected
    u = torch.randn(2, 16, dtype=torch.float64)
    assert torch.equal(loaded(u), operator(u))


@as_a_user
def test_numbers_among_attributes_of_trajectories_are_stored(tmp_path):
    u = torch.zeros(1, 2, 16, dtype=torch.float64)
    forcing = RandomForcing.sample(1, seed=0)
    attributes = {"seed": np.int64(3), "scale": np.float32(0.5)}
    dataset = trajectories(
        u, torch.arange(2.0), GRID, forcing, averages=True, attributes=attributes
    )
    read = read_trajectories(write_trajectories(dataset, tmp_path / "a.zarr"))
    assert (read.attrs["seed"], read.attrs["scale"]) == (3, 0.5)


@as_a_user
def test_the_stages_take_such_numbers(tmp_path):
    u = torch.randn(2, 3, 16, dtype=torch.float64)
    forcing = RandomForcing.sample(2, seed=0)
    dataset = trajectories(u, torch.arange(3.0), GRID, forcing, averages=True)
    path = write_trajectories(dataset, tmp_path / "a.zarr")
    settings = {"along": "x", "penalty": "l2_squared", "weight": np.float32(0.5)}
    numbers = {"order": np.int64(2), "noise": np.float32(0.25), "seed": np.int64(1)}
    denoise(path, tmp_path / "b.zarr", **settings, **numbers)
    stored = json.loads(read_trajectories(tmp_path / "b.zarr").attrs["denoising"])
    assert {name: stored[name] for name in numbers} == {
        "order": 2,
        "noise": 0.25,
        "seed": 1,
    }
    for wrong in ({"seed": 1.5}, {"noise": "0.1"}, {"order": 2.0}):
        with pytest.raises(ValueError, match="not "):
            denoise(path, tmp_path / "c.zarr", **settings, **wrong)
    out = simulate(
        "central_2",
        tmp_path / "s.zarr",
        config=small(),
        seed=np.int64(1),
        samples=np.int64(2),
        duration=np.float64(0.2),
        points=np.int64(32),
        substeps=np.int64(4),
    )
    assert read_trajectories(out).sizes["x"] == 32
    for wrong in ({"seed": 1.5}, {"duration": "1"}, {"samples": 1.5}, {"points": 9.5}):
        with pytest.raises(ValueError, match="not |positive|cannot have"):
            simulate("central_2", tmp_path / "t.zarr", config=small(), **wrong)
    operator = LearnedStencil(Burgers(0.1), GRID)
    counts = {"states": np.int64(3), "refinements": np.int64(1)}
    certify(operator, dataset, step=np.float32(0.01), **counts)
    for wrong in ({"states": 1.5}, {"step": "0.1"}, {"trajectories": 2.0}):
        with pytest.raises(ValueError, match="A certificate takes"):
            certify(operator, dataset, **wrong)


@each_whole
@as_a_user
def test_a_layer_that_denoises_has_an_order_of_any_kind(whole):
    layer, plain = TotalVariation(0.5, order=whole(2)), TotalVariation(0.5, order=2)
    assert type(layer.order) is int
    x = torch.randn(3, 20, dtype=torch.float64)
    one, other = x.clone().requires_grad_(), x.clone().requires_grad_()
    layer(one).square().sum().backward()
    plain(other).square().sum().backward()
    assert torch.equal(one.grad, other.grad)
    signals = denoise_signals(x.numpy(), 0.5, order=whole(2)).signal
    assert torch.equal(torch.from_numpy(signals), plain(x))
    again = TotalVariation(order=2)
    again.load_state_dict(layer.state_dict())
    assert torch.equal(again(x), plain(x))
    assert repr(layer) == repr(plain)


@each_real
@as_a_user
def test_a_layer_that_denoises_has_numbers_of_any_kind(real):
    for learn in (False, True):
        settings = {"order": 1, "learn": learn}
        layer = TotalVariation(real(0.5), tolerance=real(0.25), **settings)
        plain = TotalVariation(0.5, tolerance=0.25, **settings)
        assert type(layer.tolerance) is float
        state, expected = layer.state_dict(), plain.state_dict()
        assert state.keys() == expected.keys()
        assert all(torch.equal(state[name], expected[name]) for name in state)


NONSENSE = {
    "order of differences": lambda: TotalVariation(order=2.0),
    "no order of differences": lambda: TotalVariation(order=np.int64(4)),
    "tolerance as text": lambda: TotalVariation(tolerance="1"),
    "truth as a weight": lambda: TotalVariation(True),
    "no weight": lambda: TotalVariation(None),
    "weight of NaN": lambda: TotalVariation(np.float32(np.nan)),
    "half a width": lambda: LearnedStencil(Burgers(0.1), GRID, width=6.5),
    "width as float": lambda: LearnedStencil(Burgers(0.1), GRID, width=6.0),
    "no window": lambda: LearnedStencil(Burgers(0.1), GRID, window=0),
    "scale as text": lambda: LearnedStencil(Burgers(0.1), GRID, scale="1"),
    "infinite scale": lambda: LearnedStencil(Burgers(0.1), GRID, scale=np.inf),
    "scale of NaN": lambda: LearnedStencil(Burgers(0.1), GRID, scale=np.nan),
    "negative seed": lambda: LearnedStencil(Burgers(0.1), GRID, seed=-1),
    "units": lambda: MLP(8.5),
    "truth as units": lambda: MLP(True),
    "order of WENO as float": lambda: Weno(Burgers(0.1), GRID, order=5.0),
    "exponent as text": lambda: Weno(Burgers(0.1), GRID, exponent="2"),
    "truth as an exponent": lambda: Weno(Burgers(0.1), GRID, exponent=True),
    "cutoff": lambda: Teno(Burgers(0.1), GRID, cutoff="1e-5"),
    "order of ENO as float": lambda: Eno(Burgers(0.1), GRID, order=3.0),
    "order of compact differences": lambda: Compact(Burgers(0.1), GRID, order=6.0),
    "tolerance of steps": lambda: Adaptive(None),
    "tolerance of steps as text": lambda: Adaptive("1e-6"),
    "truth as a step": lambda: Adaptive(first_step=True),
    "times as text": lambda: Adaptive(through=["1"]),
    "safety": lambda: StableStep(1j),
    "truth as steps": lambda: rollout(torch.neg, np.ones(3), [0.0, 1.0], steps=True),
    "viscosity as text": lambda: Burgers("0.1"),
    "viscosities": lambda: Burgers(np.array([0.1, 0.2])),
    "complex viscosity": lambda: Burgers(0.1j),
    "bool": lambda: Burgers(True),
    "order": lambda: FiniteDifference(Burgers(0.1), GRID, order=2.5),
    "viscous order": lambda: Weno(Burgers(0.1), GRID, viscous_order=4.0),
    "degree": lambda: DiscontinuousGalerkin(Burgers(0.1), GRID, degree=1.0),
    "order of a constraint": lambda: NullSpace(np.float64(2.0)),
    "limit as text": lambda: NullSpace(limit="1"),
    "limit of NaN": lambda: NullSpace(limit=np.nan),
    "learn_mu": lambda: Soft(learn_mu=1),
    "mu": lambda: SoftLayer(MomentConditions([-1.0, 0.0, 1.0], 1, 1), mu="1"),
    "moments": lambda: MomentConditions([-1.0, 0.0, 1.0], 1, 1.5),
    "derivative": lambda: MomentConditions([-1.0, 0.0, 1.0], 0.5, 1),
    "differences": lambda: finite_difference_coefficients([-1.0, 0.0, 1.0], 1.5),
    "stencil": lambda: stencil_indices(2.5, Derivative(0, 0.5)),
}


@pytest.mark.parametrize("make", NONSENSE.values(), ids=NONSENSE)
@as_a_user
def test_what_is_no_such_number_is_refused_at_once(make):
    with pytest.raises(ValueError, match=r"not |cannot have") as caught:
        make()
    # By the package, not by what it calls.
    assert "stencilnet" in str(caught.traceback[-1].path)


@pytest.mark.parametrize(
    ("value", "whole", "real"),
    [
        (3, 3, 3.0),
        (np.int8(-3), -3, -3.0),
        (torch.tensor(3), 3, 3.0),
        (np.array(3), 3, 3.0),
        (3.0, None, 3.0),
        (np.float32(0.5), None, 0.5),
        (Fraction(1, 2), None, 0.5),
        (np.inf, None, np.inf),
        (10**400, 10**400, None),
        (True, None, None),
        (np.bool_(True), None, None),
        (torch.tensor(True), None, None),
        (np.array([3]), None, None),
        (torch.tensor([3]), None, None),
        ("3", None, None),
        (b"3", None, None),
        (3j, None, None),
        (None, None, None),
        ([3], None, None),
    ],
)
def test_kinds_of_numbers(value, whole, real):
    assert as_integer(value) == whole
    assert as_number(value) == real
    assert type(as_integer(value)) in (int, type(None))
    assert type(as_number(value)) in (float, type(None))
