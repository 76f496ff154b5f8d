import inspect
import math
import subprocess
import sys
import weakref

import pytest
import torch
from helpers import observed_order, randomize, smooth_field
from torch.func import functional_call

from stencilnet import (
    ETDRK4,
    MLP,
    RK4,
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
from stencilnet.solver import ARS443, IFRK4

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

    def error(steps):
        times = torch.tensor([0.0, 3.0])
        zero = torch.zeros(2, 16, dtype=torch.float64)
        u = rollout(lambda u: 0 * u, zero, times, forcing, steps=steps)
        fine = rollout(lambda u: 0 * u, zero, times, forcing, steps=2000)
        return float((u[:, -1] - fine[:, -1]).abs().max())

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
    times = torch.arange(101, dtype=torch.float64) * 0.1
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
    grid = Grid.line(10)
    generator = torch.Generator().manual_seed(3)
    forcing = RandomForcing.sample(1, wavenumbers=(1, 2), seed=7)
    start = LearnedStencil(Burgers(0.1), grid, network=MLP(3))
    randomize(start, 5, 0.3)
    names = [name for name, _ in start.named_parameters()]
    weights = [value.detach().clone() for value in start.parameters()]
    u0 = torch.randn(1, 10, generator=generator, dtype=torch.float64)
    viscosity = torch.tensor(0.1, dtype=torch.float64)
    times = torch.tensor([0.0, 0.5])

    def end(viscosity, u0, *weights):
        operator = LearnedStencil(Burgers(viscosity), grid, network=MLP(3))
        values = dict(zip(names, weights, strict=True))
        return rollout(
            lambda u: functional_call(operator, values, (u,)),
            u0,
            times,
            forcing.on(grid, averages=True),
            steps=10,
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
                steps=400,
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

def steady(t):
    return torch.ones(16, dtype=torch.float64)

grid = Grid.line(16)
logarithm = torch.tensor(-2.3, dtype=torch.float64, requires_grad=True)
viscosity = logarithm.exp()
waves = RandomForcing.sample(3, wavenumbers=(1, 2), seed=3).on(grid, averages=True)
weno = Weno(Burgers(viscosity), grid)
for method, forcing in (
    (weno, waves),
    (weno, steady),
    (LearnedStencil(Burgers(viscosity), grid, network=MLP(4)), waves),
):
    results = []
    for compiled in (False, True):
        u0 = grid.points().sin().expand(3, -1).clone().requires_grad_()
        times = torch.tensor([0.0, 0.1, 0.25])
        u = rollout(
            method, u0, times, forcing,
            steps=2, checkpoint=compiled, compile=compiled,
        )
        wanted = [logarithm, u0, *method.parameters()]
        loss = u.square().mean()
        results.append((u, *torch.autograd.grad(loss, wanted, retain_graph=True)))
    for plain, other in zip(*results, strict=True):
        torch.testing.assert_close(other, plain, atol=1e-12, rtol=1e-10)
"""


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
def test_rollouts_take_integrators_that_treat_diffusion_apart(integrator):
    grid = Grid.line(64)
    forcing = RandomForcing.sample(2, wavenumbers=(1, 2), seed=5).on(grid)
    viscosity = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    method = PseudoSpectral(Burgers(viscosity), grid)
    u0 = smooth_field(grid, samples=2)
    times = torch.tensor([0.0, 0.4, 1.0])
    expected = rollout(method, u0, times, forcing, integrator=RK4, steps=400)
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
