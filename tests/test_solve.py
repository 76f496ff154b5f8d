import importlib
import inspect
import math
import subprocess
import sys
import weakref

import numpy as np
import pytest
import torch
from helpers import observed_order, randomize, smooth_field
from torch.func import functional_call

from stencilnet import (
    ETDRK4,
    MLP,
    RK4,
    SSPRK3,
    Adaptive,
    Burgers,
    Convective,
    FiniteDifference,
    Grid,
    LearnedStencil,
    PseudoSpectral,
    RandomForcing,
    UpwindFlux,
    Weno,
    rollout,
)
from stencilnet.equations import DecayingWave
from stencilnet.errors import holds
from stencilnet.solver import ARS443, IFRK4, StableStep, compiling
from stencilnet.solver.problem import refused_under_vmap

NU = 0.3


@pytest.mark.parametrize(
    ("make", "order"),
    [
        (lambda g: FiniteDifference(Burgers(NU), g, order=2, form=Convective), 2),
        (lambda g: FiniteDifference(Burgers(NU), g, order=4), 4),
        (lambda g: Weno(Burgers(NU), g, viscous_order=6), 5),
    ],
)
def test_solvers_converge_to_the_exact_solution(make, order):
    exact = DecayingWave(NU)

    def error(points):
        grid = Grid.line(points)
        method = make(grid)
        averages = method.averages
        times = torch.tensor([0.0, 0.5])
        u0 = exact.of(grid, 0.0, averages=averages)
        u = rollout(method, u0, times, integrator=RK4, steps=points**2 // 30 + 1)
        return float((u[-1] - exact.of(grid, 0.5, averages=averages)).abs().mean())

    assert observed_order(error, (16, 32, 64)) == pytest.approx(order, abs=0.3)


def test_a_spectral_rollout_is_exact_up_to_the_time_step():
    exact, grid = DecayingWave(NU), Grid.line(48)
    method = PseudoSpectral(Burgers(NU), grid)
    times = torch.tensor([0.0, 0.5, 1.0])
    u = rollout(method, exact.values(grid, 0.0), times, integrator=RK4, steps=400)
    for index, t in enumerate(times.tolist()):
        expected = exact.values(grid, t)
        torch.testing.assert_close(u[index], expected, atol=1e-10, rtol=0)


def test_kept_states_lie_at_the_times():
    times = torch.tensor([1.0, 1.5, 4.0])
    u0 = torch.zeros(2, 3, dtype=torch.float64)
    u = rollout(lambda u: torch.ones_like(u), u0, times, steps=3)
    assert u.shape == (2, 3, 3)
    torch.testing.assert_close(u[1, :, 2], times.double() - 1.0)


def test_forcing_is_added_at_the_stage_times():
    grid = Grid.line(16)
    forcing = RandomForcing.sample(2, seed=1).on(grid)

    def end(steps):
        times = torch.tensor([0.0, 3.0])
        zero = torch.zeros(2, 16, dtype=torch.float64)
        return rollout(lambda u: 0 * u, zero, times, forcing, steps=steps)[:, -1]

    fine = end(400)

    def error(steps):
        return float((end(steps) - fine).abs().max())

    assert observed_order(error, (4, 8, 16)) > 2.9


def test_backward_rollout_retraces_the_forward_one():
    grid = Grid.line(16)
    method = PseudoSpectral(Burgers(1e-3), grid)
    forcing = RandomForcing.sample(2, wavenumbers=(1, 2), seed=2).on(grid)
    times = torch.linspace(0, 0.5, 6, dtype=torch.float64)
    u0 = 0.3 * smooth_field(grid, samples=2)
    # The spectral method drops the Nyquist mode, so does the state.
    u0 = method.to_values(method.to_modes(u0))
    settings = {"integrator": RK4, "steps": 20}
    forward = rollout(method, u0, times, forcing, **settings)
    backward = rollout(method, forward[:, -1], times.flip(0), forcing, **settings)
    torch.testing.assert_close(backward.flip(1), forward, atol=1e-8, rtol=0)


@pytest.mark.parametrize("kind", ["WENO-Z", "learned", "untrained", "Godunov"])
def test_flux_forms_conserve_momentum_under_forcing(kind):
    grid = Grid.line(32)
    make = {
        "WENO-Z": lambda: Weno(Burgers(0.02), grid),
        "learned": lambda: LearnedStencil(Burgers(0.02), grid, network=MLP(8)),
        "untrained": lambda: LearnedStencil(Burgers(0.02), grid),
        "Godunov": lambda: LearnedStencil(Burgers(0.02), grid, form=UpwindFlux),
    }
    method = make[kind]()
    if kind == "learned":
        randomize(method, scale=0.02)
    forcing = RandomForcing.sample(3, wavenumbers=(0, 2, 3), seed=4)
    times = torch.arange(51, dtype=torch.float64) * 0.1
    with torch.no_grad():
        u = rollout(
            method,
            smooth_field(grid),
            times,
            forcing.on(grid, averages=True),
            integrator=RK4,
            steps=2,
        )
    assert torch.isfinite(u).all()
    mean = u.mean(-1)
    # RK4 integrates the mean forcing to its own order; the difference is quadrature.
    quadrature = rollout(
        lambda u: 0 * u,
        mean[:, :1].expand(3, 32),
        times,
        forcing.on(grid, averages=True),
        integrator=RK4,
        steps=2,
    ).mean(-1)
    assert float((mean - quadrature).abs().max()) < 1e-12
    drift = mean - mean[:, :1] - forcing.mean_impulse(times)
    assert float(drift.abs().max()) < 1e-9


def test_gradients_through_a_rollout_are_exact():
    grid = Grid.line(8)
    generator = torch.Generator().manual_seed(3)
    forcing = RandomForcing.sample(1, wavenumbers=(1, 2), seed=7)
    start = LearnedStencil(Burgers(0.1), grid, network=MLP(3))
    randomize(start, 5, 0.3)
    names = [name for name, _ in start.named_parameters()]
    weights = [value.detach().clone() for value in start.parameters()]
    u0 = torch.randn(1, 8, generator=generator, dtype=torch.float64)
    viscosity = torch.tensor(0.1, dtype=torch.float64)
    times = torch.tensor([0.0, 0.2])

    def end(viscosity, u0, *weights):
        operator = LearnedStencil(Burgers(viscosity), grid, network=MLP(3))
        values = dict(zip(names, weights, strict=True))
        return rollout(
            lambda u: functional_call(operator, values, (u,)),
            u0,
            times,
            forcing.on(grid, averages=True),
            steps=3,
        )[:, -1]

    inputs = [value.requires_grad_() for value in (viscosity, u0, *weights)]
    assert torch.autograd.gradcheck(end, inputs, atol=1e-7, rtol=1e-5)


def test_gradients_reach_the_forcing():
    grid = Grid.line(8)
    drawn = RandomForcing.sample(1, modes=2, wavenumbers=(1, 2), seed=7)
    method = FiniteDifference(Burgers(0.1), grid, order=2)
    times = torch.tensor([0.0, 0.3])

    def end(amplitude, phase):
        forcing = RandomForcing(amplitude, drawn.frequency, drawn.wavenumber, phase)
        u0 = torch.zeros(1, 8, dtype=torch.float64)
        return rollout(method, u0, times, forcing.on(grid, averages=True), steps=3)

    inputs = (drawn.amplitude.requires_grad_(), drawn.phase.requires_grad_())
    assert torch.autograd.gradcheck(end, inputs)


def test_a_blow_up_is_a_result_and_spoils_only_its_sample():
    grid = Grid.line(16)
    method = FiniteDifference(Burgers(0.01), grid, order=4)
    u0 = smooth_field(grid, samples=2)
    u0[1] *= 1e5
    u = rollout(method, u0, torch.tensor([0.0, 0.4, 0.8]), steps=10)
    alone = rollout(method, u0[:1], torch.tensor([0.0, 0.4, 0.8]), steps=10)
    assert not torch.isfinite(u[1, -1]).all()
    torch.testing.assert_close(u[:1], alone)


def test_one_time_gives_the_initial_state_back():
    u0 = torch.ones(3)
    assert torch.equal(rollout(lambda u: u, u0, torch.tensor([2.0])), u0[None])


@pytest.mark.parametrize(
    ("times", "steps", "message"),
    [
        ([], 1, "at least the start time"),
        ([0.0, 1.0, 1.0], 1, "increase or decrease strictly"),
        ([0.0, 2.0, 1.0], 1, "increase or decrease strictly"),
        ([0.0, math.nan], 1, "must be finite"),
        ([0.0, math.inf], 1, "must be finite"),
        ([[0.0, 1.0]], 1, "one axis"),
        ([0.0, 1.0], 1.5, "`steps` must be a positive integer, not 1.5"),
        ([0.0, 1.0], 0, "positive integer"),
        ([0.0, 1.0], math.nan, "positive integer"),
        ([0.0, 1.0], -2, "positive integer"),
        ([0.0, 1.0], "fine", "Adaptive"),
        ([0.0, 1.0], "stable", "choose a number of steps"),
    ],
)
def test_times_and_steps_that_make_no_sense_are_refused(times, steps, message):
    with pytest.raises(ValueError, match=message):
        inspect.unwrap(rollout)(
            lambda u: u, torch.ones(3), torch.tensor(times), steps=steps
        )


@pytest.mark.parametrize("samples", [3, 1])
def test_a_forcing_of_another_batch_is_refused(samples):
    grid = Grid.line(8)
    forcing = RandomForcing.sample(samples + 1, wavenumbers=(1,), seed=0).on(grid)
    u0 = torch.zeros(samples, 8, dtype=torch.float64)
    with pytest.raises(ValueError, match="one row of forcing per sample"):
        rollout(lambda u: u, u0, torch.tensor([0.0, 1.0]), forcing)
    other = RandomForcing.sample(samples, wavenumbers=(1,), seed=0).on(Grid.line(9))
    with pytest.raises(ValueError, match="on the state's grid"):
        rollout(lambda u: u, u0, torch.tensor([0.0, 1.0]), other)


@pytest.mark.parametrize("checkpoint", [True, 1, 4, 1000])
def test_checkpoints_change_neither_values_nor_gradients(checkpoint):
    """For weights, initial state, viscosity and forcing, each made from a leaf."""
    grid = Grid.line(16)
    draw = RandomForcing.sample(2, wavenumbers=(1, 2), seed=3)
    results = []
    for setting in (False, checkpoint):
        logarithm = torch.tensor(-1.5, dtype=torch.float64, requires_grad=True)
        scale = torch.tensor(1.2, dtype=torch.float64, requires_grad=True)
        root = smooth_field(grid, samples=2).requires_grad_()
        method = LearnedStencil(Burgers(logarithm.exp()), grid, network=MLP(4))
        randomize(method)
        forcing = draw.on(grid, averages=True)
        u = rollout(
            method,
            root.sin(),
            torch.tensor([0.0, 0.1, 0.25, 0.3]),
            lambda t, forcing=forcing, scale=scale: scale * forcing(t),
            steps=5,
            checkpoint=setting,
        )
        wanted = [logarithm, scale, root, *method.parameters()]
        loss = (u * torch.arange(16)).square().mean()
        results.append((u, torch.autograd.grad(loss, wanted)))
    (plain, expected), (other, found) = results
    assert torch.equal(plain, other)
    assert all(gradient.abs().max() > 0 for gradient in expected)
    torch.testing.assert_close(found, expected)


def test_checkpoints_keep_a_graph_for_one_segment_only():
    """Tensors that the graph still holds after the forward pass."""
    grid = Grid.line(16)
    method = Weno(Burgers(0.1), grid)
    u0 = smooth_field(grid).requires_grad_()

    class Saved:
        def __init__(self, tensor):
            self.tensor = tensor

    counts = []
    for checkpoint in (False, True):
        alive = weakref.WeakSet()

        def keep(tensor, alive=alive):
            saved = Saved(tensor)
            alive.add(saved)
            return saved

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda saved: saved.tensor):
            u = rollout(
                method,
                u0,
                torch.tensor([0.0, 1.0]),
                steps=100,
                checkpoint=checkpoint,
            )
        counts.append(sum(saved.tensor.numel() for saved in alive))
        del u
    assert counts[1] < counts[0] / 100


def test_checkpoints_find_what_only_later_steps_read():
    grid = Grid.line(16)
    method = FiniteDifference(Burgers(0.1), grid)
    controls = [torch.zeros(16).double().requires_grad_() for _ in range(4)]
    times = torch.linspace(0, 1, 5, dtype=torch.float64)
    found = []
    for checkpoint in (False, 3):
        u = rollout(
            method,
            smooth_field(grid),
            times,
            lambda t: controls[min(int(4 * t + 1e-9), 3)],
            integrator=RK4,
            steps=5,
            checkpoint=checkpoint,
        )
        found.append(torch.autograd.grad(u[:, -1].square().sum(), controls))
    torch.testing.assert_close(found[0], found[1])


def test_transformed_gradients_pass_through_a_rollout():
    grid = Grid.line(16)
    method = PseudoSpectral(Burgers(0.1), grid)
    times = torch.tensor([0.0, 0.1])
    u0 = smooth_field(grid)

    def loss(u0):
        return rollout(method, u0, times, steps=3).square().sum()

    rows = torch.func.vmap(torch.func.grad(loss))(u0)
    start = u0.clone().requires_grad_()
    torch.testing.assert_close(rows, torch.autograd.grad(loss(start), start)[0])


def test_second_derivatives_through_checkpoints_are_refused():
    grid = Grid.line(16)
    nu = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
    method = FiniteDifference(Burgers(nu), grid)
    times = torch.tensor([0.0, 0.1])
    u = rollout(method, smooth_field(grid), times, steps=9, checkpoint=True)
    with pytest.raises(RuntimeError, match="checkpoint=False"):
        torch.autograd.grad(u.square().sum(), nu, create_graph=True)


@pytest.mark.parametrize("checkpoint", [False, True])
@pytest.mark.parametrize("kind", ["finite differences", "weno", "spectral", "learned"])
def test_a_blow_up_leaves_the_gradients_of_other_samples(kind, checkpoint):
    grid = Grid.line(16)
    nu = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
    method = {
        "finite differences": lambda: FiniteDifference(Burgers(nu), grid),
        "weno": lambda: Weno(Burgers(nu), grid),
        "spectral": lambda: PseudoSpectral(Burgers(nu), grid),
        "learned": lambda: LearnedStencil(Burgers(nu), grid),
    }[kind]()
    u0 = smooth_field(grid)[:2]
    times = torch.linspace(0, 1, 6)

    def solve(u0):
        return rollout(method, u0, times, steps=4, checkpoint=checkpoint)

    u = solve(u0 * torch.tensor([[1.0], [1e5]]).double())
    assert torch.isnan(u[1, -1]).any() or torch.isinf(u[1, -1]).any()
    shared = [nu, *method.parameters()]
    (alone,) = solve(u0[:1])
    torch.testing.assert_close(u[0], alone)
    torch.testing.assert_close(
        torch.autograd.grad(u[0].square().sum(), shared),
        torch.autograd.grad(alone.square().sum(), shared),
    )


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"integrator": "RK4"}, TypeError, "a value such as RK4"),
        ({"forcing": RandomForcing.sample(3, seed=0)}, TypeError, r"by \.on\(grid\)"),
        ({"forcing": lambda t: 0.0}, TypeError, "returns a tensor, not float"),
        ({"u0": torch.ones(3, 16).long()}, TypeError, "u0.double"),
        ({"u0": torch.tensor(1.0)}, ValueError, "at least the axis x"),
        ({"checkpoint": 1.5}, ValueError, "`checkpoint` must be a positive integer"),
        ({"times": "now"}, TypeError, "must hold numbers"),
        ({"integrator": ETDRK4, "compile": True}, ValueError, "drop compile=True"),
        ({"u0": torch.ones(3, 16)}, TypeError, "convert its parameters"),
    ],
)
def test_a_rollout_says_what_it_needs(change, error, message):
    grid = Grid.line(16)
    viscosity = torch.full((3, 1), 0.1, dtype=torch.float64)
    arguments = {"u0": smooth_field(grid), "times": torch.tensor([0.0, 0.1])} | change
    with pytest.raises(error, match=message):
        inspect.unwrap(rollout)(
            FiniteDifference(Burgers(viscosity), grid),
            arguments.pop("u0"),
            arguments.pop("times"),
            **arguments,
        )


def test_checkpoints_work_without_anything_to_differentiate():
    grid = Grid.line(16)
    method = FiniteDifference(Burgers(0.1), grid)
    times = torch.tensor([0.0, 0.1])
    plain = rollout(method, smooth_field(grid), times)
    assert torch.equal(
        plain, rollout(method, smooth_field(grid), times, checkpoint=True)
    )
    with pytest.raises(ValueError, match="positive integer, not 0"):
        rollout(method, smooth_field(grid), times, checkpoint=0)


COMPILED = """
import torch
from stencilnet import *
from stencilnet.solver import Euler, Heun

def steady(t):
    return torch.ones(16, dtype=torch.float64)

grid = Grid.line(16)
logarithm = torch.tensor(-2.3, dtype=torch.float64, requires_grad=True)
viscosity = logarithm.exp()
waves = RandomForcing.sample(3, wavenumbers=(1, 2), seed=3).on(grid, averages=True)
plain = FiniteDifference(Burgers(viscosity), grid)
learned = LearnedStencil(Burgers(viscosity), grid, network=MLP(4))
# Few stages: a compiler takes minutes for the gradients of a long step.
for method, forcing, integrator in ((plain, steady, Heun), (learned, waves, Euler)):
    results = []
    for compiled in (False, True):
        u0 = grid.points().sin().expand(3, -1).clone().requires_grad_()
        times = torch.tensor([0.0, 0.1, 0.25])
        u = rollout(
            method, u0, times, forcing,
            steps=2, integrator=integrator, checkpoint=compiled, compile=compiled,
        )
        wanted = [logarithm, u0, *method.parameters()]
        loss = u.square().mean()
        results.append((u, *torch.autograd.grad(loss, wanted, retain_graph=True)))
    for plain, other in zip(*results, strict=True):
        torch.testing.assert_close(other, plain, atol=1e-12, rtol=1e-10)
weno = Weno(Burgers(0.1), grid, order=3)
with torch.no_grad():
    plain, other = (
        rollout(weno, u0, times, waves, integrator=Heun, compile=compiled)
        for compiled in (False, True)
    )
torch.testing.assert_close(other, plain, atol=1e-12, rtol=1e-10)
"""


@pytest.mark.long(seconds=50)
def test_a_compiled_step_gives_the_same_values_and_gradients():
    """In a process of its own: the compiler cannot read functions under type checks."""
    command = [sys.executable, "-c", COMPILED]
    subprocess.run(command, check=True, timeout=300)


def test_each_sample_may_have_its_own_viscosity():
    grid = Grid.line(32)
    viscosities = torch.tensor([[0.05], [0.2]], dtype=torch.float64)
    times = torch.tensor([0.0, 0.3])
    u0 = smooth_field(grid, samples=2)
    for make in (
        lambda nu: PseudoSpectral(Burgers(nu), grid),
        lambda nu: Weno(Burgers(nu), grid),
    ):
        together = rollout(make(viscosities), u0, times, steps=40)
        for row, viscosity in enumerate(viscosities[:, 0].tolist()):
            alone = rollout(make(viscosity), u0[row], times, steps=40)
            torch.testing.assert_close(together[row], alone, atol=1e-12, rtol=0)
    with pytest.raises(ValueError, match="viscosity is finite and not negative"):
        Burgers(torch.tensor([[0.1], [-0.1]]))


@pytest.mark.parametrize("integrator", [ETDRK4, IFRK4, ARS443])
def test_rollouts_take_exponential_and_implicit_explicit_integrators(integrator):
    grid = Grid.line(32)
    forcing = RandomForcing.sample(2, wavenumbers=(1, 2), seed=5).on(grid)
    viscosity = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    method = PseudoSpectral(Burgers(viscosity), grid)
    u0 = smooth_field(grid, samples=2)
    times = torch.tensor([0.0, 0.4, 1.0])
    with torch.no_grad():
        expected = rollout(method, u0, times, forcing, integrator=RK4, steps=100)
    settings = {"integrator": integrator, "steps": 40}
    u = rollout(method, u0, times, forcing, **settings)
    torch.testing.assert_close(u, expected, atol=2e-4, rtol=0)
    gradients = [
        torch.autograd.grad(
            rollout(method, u0, times, forcing, checkpoint=checkpoint, **settings)
            .square()
            .mean(),
            viscosity,
        )[0]
        for checkpoint in (False, True)
    ]
    torch.testing.assert_close(*gradients)
    assert gradients[0] != 0


EVERY = {
    "RK4": {"integrator": RK4, "steps": 3},
    "ETDRK4": {"integrator": ETDRK4, "steps": 3},
    "IFRK4": {"integrator": IFRK4, "steps": 3},
    "ARS443": {"integrator": ARS443, "steps": 3},
    "adaptive": {"steps": Adaptive(1e-5, 1e-7)},
    "stable": {"steps": "stable"},
}
every = pytest.mark.parametrize("settings", EVERY.values(), ids=EVERY)


@every
def test_a_forcing_sees_the_time_as_a_tensor_in_double_precision(settings):
    grid = Grid.line(16)
    times, u0 = [0.5, 1.0], smooth_field(grid).float()
    seen = []

    def force(t):
        seen.append(t)
        return torch.zeros(3, 16)

    method = FiniteDifference(Burgers(0.1), grid)
    rollout(method, u0, times, force, **settings)
    shape = (3, 1) if isinstance(settings["steps"], Adaptive) else ()
    assert {(t.dtype, t.shape, t.device) for t in seen} == {
        (torch.float64, shape, u0.device)
    }
    assert min(float(t.min()) for t in seen) == 0.5
    assert max(float(t.max()) for t in seen) <= 1.0
    assert len({float(t.max()) for t in seen}) > 4


def test_a_forcing_may_use_the_functions_of_the_module_math():
    def force(t):
        return torch.full((1,), math.cos(t), dtype=torch.float64)

    u0 = torch.ones(1, dtype=torch.float64)
    u = rollout(lambda u: -u, u0, [0.0, 2.0], force, integrator=RK4, steps=100)
    exact = (math.cos(2) + math.sin(2)) / 2 + 0.5 * math.exp(-2)
    assert float(u[-1]) == pytest.approx(exact, abs=1e-8)


@every
@pytest.mark.parametrize(
    "make", [np.array, list, tuple], ids=["array", "list", "tuple"]
)
def test_states_and_times_may_be_arrays_and_lists(make, settings):
    grid = Grid.line(16)
    method = FiniteDifference(Burgers(0.1), grid)
    u0, times = smooth_field(grid), torch.tensor([0.0, 0.1], dtype=torch.float64)
    expected = rollout(method, u0, times, **settings)
    values, clock = u0.numpy().copy(), times.numpy().copy()
    # As xarray hands them out.
    values.flags.writeable = clock.flags.writeable = False
    states = values if make is np.array else make(values.tolist())
    u = rollout(method, states, make(clock.tolist()), **settings)
    assert torch.equal(u, expected)
    assert rollout(method, values.astype(np.float32), times).dtype == torch.float32


def test_arrays_of_any_byte_order_are_states_and_masks_are_not_ignored():
    method, u0 = FiniteDifference(Burgers(0.1), Grid.line(16)), np.ones((2, 16))
    expected = rollout(method, u0, [0.0, 0.1])
    for order in "<>":
        times = np.array([0.0, 0.1], dtype=f"{order}f8")
        assert torch.equal(rollout(method, u0.astype(f"{order}f8"), times), expected)
    masked = np.ma.masked_array(u0, np.eye(2, 16, dtype=bool))
    with pytest.raises(ValueError, match="`u0` has 2 masked values"):
        rollout(method, masked, [0.0, 0.1])
    whole = np.ma.masked_array(u0, False)
    assert torch.equal(rollout(method, whole, [0.0, 0.1]), expected)
    with pytest.raises(TypeError, match="not ndarray of object"):
        rollout(method, np.array([None, 1.0]), [0.0, 0.1])


@every
def test_a_sample_without_its_axis_is_told_so(settings):
    grid = Grid.line(16)
    u0, times = smooth_field(grid)[0], torch.tensor([0.0, 0.1])
    method = FiniteDifference(Burgers(0.1), grid)
    forcing = RandomForcing.sample(1, seed=0).on(grid)
    with pytest.raises(ValueError, match=r"lacks: add it, as in u0\[None\]"):
        rollout(method, u0, times, forcing, **settings)
    assert rollout(method, u0[None], times, forcing, **settings).shape == (1, 2, 16)
    assert rollout(method, u0, times, **settings).shape == (2, 16)


def test_a_state_without_the_axis_of_its_parameters_is_told_so():
    rates = torch.tensor([[0.1], [0.2]])
    for settings in ({}, {"steps": Adaptive()}):
        with pytest.raises(ValueError, match="sample axis of its parameters"):
            rollout(lambda u: -rates * u, torch.ones(4), [0.0, 0.1], **settings)


@pytest.mark.parametrize("steps", [1, Adaptive()], ids=["equal", "adaptive"])
def test_a_forcing_on_another_device_is_reported_as_such(steps):
    force = torch.zeros(3, 16, dtype=torch.float64)
    u0 = torch.zeros(3, 16, dtype=torch.float64, device="meta")
    with pytest.raises(ValueError, match="forcing is on cpu and the state on meta"):
        rollout(lambda u: -u, u0, [0.0, 1.0], lambda t: force, steps=steps)
    with pytest.raises(ValueError, match="forcing is on meta and the state on cpu"):
        rollout(lambda u: -u, force, [0.0, 1.0], lambda t: u0, steps=steps)


@torch.no_grad()
def test_the_shape_of_a_rollout_can_be_had_without_values():
    grid = Grid.line(16)
    method = FiniteDifference(Burgers(0.1), grid).to("meta")
    u0 = torch.empty(3, 16, dtype=torch.float64, device="meta")
    u = rollout(method, u0, [0.0, 0.1, 0.2], lambda t: u0 * t, steps=2)
    assert u.is_meta
    assert u.shape == (3, 3, 16)


def test_checks_pass_on_errors_that_are_not_theirs():
    class Broken:
        def __bool__(self):
            raise RuntimeError("CUDA error: out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        inspect.unwrap(holds)(Broken())
    with (
        pytest.raises(RuntimeError, match="out of memory"),
        refused_under_vmap("A step", "choose one"),
    ):
        bool(Broken())


@torch.no_grad()
def test_stable_steps_are_as_many_as_the_limit_asks_for():
    grid = Grid.line(16)
    method = Weno(Burgers(0.1), grid)
    u0 = smooth_field(grid)
    for integrator in (SSPRK3, ETDRK4):
        limit = method.stable_step(u0, integrator)
        # One interval that a step fills, and one that takes three.
        times = torch.tensor([0.0, 0.24 * limit, 1.5 * limit], dtype=torch.float64)
        u = rollout(method, u0, times, integrator=integrator, steps="stable")
        first = rollout(method, u0, times[:2], integrator=integrator)
        later = rollout(method, first[:, 1], times[1:], integrator=integrator, steps=3)
        torch.testing.assert_close(u, torch.cat([first, later[:, 1:]], dim=1))
    half = rollout(method, u0, times, integrator=ETDRK4, steps=StableStep(0.5))
    assert torch.equal(half, u)
    finer = rollout(method, u0, times, integrator=ETDRK4, steps=StableStep(0.1))
    assert not torch.equal(half, finer)


@torch.no_grad()
@pytest.mark.parametrize("duration", [2.0, 4.0])
def test_stable_steps_follow_a_forcing_from_rest(duration):
    """At rest nothing but viscosity limits a step, and it would be far too long."""
    grid = Grid.line(32)
    method = Weno(Burgers(0.01), grid)
    forcing = RandomForcing.sample(2, wavenumbers=(3, 4), seed=1).on(grid)
    rest, times = torch.zeros(2, 32).double(), torch.tensor([0.0, duration])
    u = rollout(method, rest, times, forcing, steps="stable")
    fine = rollout(method, rest, times, forcing, steps=120)
    assert float((u - fine).norm() / fine.norm()) < 0.02
    few = math.ceil(duration / (0.5 * method.stable_step(rest, SSPRK3)))
    naive = rollout(method, rest, times, forcing, steps=few)
    assert not float((naive - fine).norm() / fine.norm()) < 0.1


def test_a_solution_that_grows_without_bound_ends():
    class Explosive:
        calls = 0

        def __call__(self, u):
            self.calls += 1
            return 1e6 * u**2

        def stable_step(self, u, integrator):
            return 1.0

    rhs = Explosive()
    u = rollout(rhs, torch.ones(3), [0.0, 4.0], steps="stable")
    assert not u[-1].isfinite().any()
    assert rhs.calls <= 3 * 8 * (1 + 4 + 16 + 64)


@torch.no_grad()
def test_stable_steps_take_any_units():
    """A large number is a unit, not a blow-up: as many steps as in other units."""
    ends = []
    for unit in (1.0, 1e18):
        grid = Grid.line(16)
        method = FiniteDifference(Burgers(0.1 * unit), grid)
        u0, times = unit * smooth_field(grid), [0.0, 0.2 / unit]
        ends.append(rollout(method, u0, times, steps="stable")[..., -1, :] / unit)
    torch.testing.assert_close(*ends, rtol=1e-10, atol=1e-10)


def test_growth_that_stays_finite_asks_for_no_endless_steps():
    class Growing:
        calls = 0

        def __call__(self, u):
            self.calls += 1
            return 30 * u

        def stable_step(self, u, integrator):
            return 1 / float(u.abs().max())

    rhs = Growing()
    u = rollout(rhs, torch.ones(3), [0.0, 1.0], steps="stable")
    assert u.isfinite().all()
    assert rhs.calls <= 3 * 2 * (1 + 4 + 16 + 64)


def test_shares_of_the_stable_step_are_checked():
    for safety in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="must be positive"):
            StableStep(safety)
    assert StableStep(0.3).spec() == {"kind": "stable", "safety": 0.3}


class Unstable:
    """A right-hand side for which no step is stable."""

    def __call__(self, u):
        return u

    def stable_step(self, u, integrator):
        return 0.0


def test_a_right_hand_side_without_a_stable_step_is_refused():
    with pytest.raises(ValueError, match="no stable step for this right-hand side"):
        rollout(Unstable(), torch.ones(3), [0.0, 1.0], steps="stable")


@every
@pytest.mark.parametrize("kind", ["differences", "learned"])
def test_rollouts_run_in_inference_mode(kind, settings):
    grid = Grid.line(16)
    method = {"differences": FiniteDifference, "learned": LearnedStencil}[kind](
        Burgers(0.1), grid
    )
    times = torch.tensor([0.0, 0.1])
    expected = rollout(method, smooth_field(grid), times, **settings).detach()
    with torch.inference_mode():
        u = rollout(method, smooth_field(grid), times, **settings)
        state = smooth_field(grid)
        assert method.stable_step(state, RK4) > 0
        jacobian = method.jacobian(state)
        # One that is built within is made of tensors that cannot be differentiated.
        inside = method.on(grid)
        again = rollout(inside, smooth_field(grid), times, **settings)
        assert inside.stable_step(state, RK4) == method.stable_step(state, RK4)
        assert torch.equal(inside.jacobian(state), jacobian)
    torch.testing.assert_close(again.clone(), expected, atol=1e-14, rtol=1e-12)
    torch.testing.assert_close(u.clone(), expected, atol=1e-14, rtol=1e-12)
    torch.testing.assert_close(jacobian, method.jacobian(smooth_field(grid)))


# What torch itself loads for derivatives forward.
@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
@every
@pytest.mark.parametrize("kind", ["differences", "spectral"])
def test_transforms_of_torch_func_compose_with_rollouts(kind, settings):
    """By the state and by the viscosity, forward and backward."""
    grid, times = Grid.line(16), torch.tensor([0.0, 0.1, 0.2])
    make = {"differences": FiniteDifference, "spectral": PseudoSpectral}[kind]
    u0 = smooth_field(grid, samples=2)
    nu = torch.tensor(0.1, dtype=torch.float64)

    def loss(nu, u0):
        return rollout(make(Burgers(nu), grid), u0, times, **settings).square().sum()

    leaves = nu.clone().requires_grad_(), u0.clone().requires_grad_()
    slopes = torch.autograd.grad(loss(*leaves), leaves)
    found = torch.func.grad(loss, argnums=(0, 1))(nu, u0)
    torch.testing.assert_close(found, slopes, rtol=1e-9, atol=1e-12)
    _, tangent = torch.func.jvp(loss, (nu, u0), (nu, u0.flip(-1)))
    expected = slopes[0] * nu + (slopes[1] * u0.flip(-1)).sum()
    torch.testing.assert_close(tangent, expected, rtol=1e-9, atol=1e-12)

    def one(u0):
        return rollout(make(Burgers(0.1), grid), u0, times, **settings)

    if isinstance(settings["steps"], int):
        rows = torch.func.vmap(one)(u0)
        torch.testing.assert_close(rows, one(u0), rtol=1e-9, atol=1e-12)
        rows = torch.func.vmap(torch.func.grad(loss, argnums=1), (None, 0))(nu, u0)
        torch.testing.assert_close(rows, slopes[1], rtol=1e-9, atol=1e-12)
    else:
        with pytest.raises(RuntimeError, match=r"torch\.func\.vmap hides"):
            torch.func.vmap(one)(u0)


def test_transforms_of_torch_func_refuse_checkpoints():
    grid = Grid.line(16)
    method = FiniteDifference(Burgers(0.1), grid)
    u0 = smooth_field(grid)

    def end(u0):
        return rollout(method, u0, [0.0, 0.1], steps=4, checkpoint=True)[..., -1, :]

    for call in (
        lambda: torch.func.grad(lambda u0: end(u0).sum())(u0),
        lambda: torch.func.jvp(end, (u0,), (u0,)),
        lambda: torch.func.vmap(end)(u0),
    ):
        with pytest.raises(RuntimeError, match="drop checkpoint"):
            call()
    with (
        torch.autograd.forward_ad.dual_level(),
        pytest.raises(RuntimeError, match="drop checkpoint"),
    ):
        dual = torch.tensor(0.1).double()
        dual = torch.autograd.forward_ad.make_dual(dual, torch.ones_like(dual))
        method = FiniteDifference(Burgers(dual), grid)
        end(u0)


@pytest.mark.parametrize("forward", [True, False])
def test_checkpoints_recompute_in_the_precision_of_the_forward_pass(forward):
    matrix = torch.eye(16).requires_grad_()
    seen = []

    def rhs(u):
        product = u @ matrix
        seen.append(product.dtype)
        return product.float()

    with torch.autocast("cpu", torch.bfloat16, enabled=forward):
        u = rollout(rhs, torch.ones(3, 16), [0.0, 0.5], steps=4, checkpoint=2)
    count = len(seen)
    with torch.autocast("cpu", torch.bfloat16, enabled=not forward):
        u.square().sum().backward()
    assert len(seen) == 2 * count
    assert set(seen) == {torch.bfloat16 if forward else torch.float32}


def test_torch_has_the_switch_that_compiled_checkpoints_need():
    """If torch has moved it, `stencilnet.solver.compiling` has to learn where."""
    settings = importlib.import_module(compiling._SETTINGS)
    before = getattr(settings, compiling._SWITCH)
    with compiling.retaining_graphs():
        assert getattr(settings, compiling._SWITCH) is False
    assert getattr(settings, compiling._SWITCH) is before


def test_a_switch_that_torch_has_moved_is_named(monkeypatch):
    monkeypatch.setattr(compiling, "_SWITCH", "moved_elsewhere")
    with pytest.raises(RuntimeError, match="moved_elsewhere.*drop compile"):
        compiling.retaining_graphs()
