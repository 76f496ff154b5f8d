"""How fast the solver is, how much memory its gradients take, and how both grow.

On one core and one thread, medians of several runs after a warm-up, always two things
in one run:

- the gradient of a rollout of 4000 steps with checkpoints and without: peak memory and
  time, each in a process of its own, as are the measurements with JAX;
- a compiled step beside an eager one, WENO-Z and a learned stencil;
- the reference generator's step beside exponax's ETDRK4, batched and jitted by JAX, on
  equally many points and with equally many modes, and the steps both need;
- a rollout with its gradient beside torchdiffeq's at the same tableau, both eager, and
  both compiled as far as each lets one: our whole step, its right-hand side;
- time against points and against samples.

exponax and torchdiffeq are the dependency group `bench`; without them their numbers are
left out.

    python simulations/benchmarks/solver.py [--json]
"""

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from torch import Tensor

from stencilnet.discretizations import (
    Discretization,
    LearnedStencil,
    PseudoSpectral,
    classical,
)
from stencilnet.equations import Burgers
from stencilnet.forcing import RandomForcing
from stencilnet.grid import Grid
from stencilnet.report import WIDTH, package_style, save
from stencilnet.solver import rollout
from stencilnet.solver.exponential import TimeDifferencing
from stencilnet.solver.runge_kutta import RK4, RungeKutta
from stencilnet.study.reference import advance

try:
    import exponax
    import jax
except ImportError:
    exponax = jax = None
else:
    jax.config.update("jax_enable_x64", True)
try:
    from torchdiffeq import odeint
except ImportError:
    odeint = None

# Parameters

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--json", action="store_true", help="print one JSON object")
parser.add_argument("--run", type=Path, default=Path("runs/benchmarks"))
parser.add_argument(
    "--part", choices=("plain", "checkpoint", "exponax"), help="one part only"
)
arguments = parser.parse_args()
torch.set_num_threads(1)
if hasattr(os, "sched_setaffinity"):
    # JAX takes a thread per core that it sees.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
viscosity, points, samples = 0.02, 64, 16
three_eighths = RungeKutta(
    a=((), (1 / 3,), (-1 / 3, 1.0), (1.0, -1.0, 1.0)),
    b=(1 / 8, 3 / 8, 3 / 8, 1 / 8),
    order=4,
)


def seconds(call: Callable[[], object], repeats: int = 11) -> float:
    """Median of several calls, after one that is not counted."""
    call()
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return median(taken)


def problem(
    points: int, samples: int, dtype: torch.dtype
) -> tuple[Grid, Tensor, Callable[..., Tensor]]:
    """A grid, a smooth state and a forcing on it."""
    grid = Grid.line(points)
    draw = RandomForcing.sample(samples, seed=0).to(dtype=dtype)
    u0 = (0.3 * grid.points().sin()).to(dtype).repeat(samples, 1)
    return grid, u0, draw.on(grid, averages=True)


def learned(grid: Grid) -> LearnedStencil:
    """An operator of the demo's size in float32, as it is trained."""
    torch.manual_seed(0)
    return LearnedStencil(Burgers(viscosity), grid, width=6).float()


# Memory and time of gradients


def gradient_of_a_long_rollout(steps: int, *, checkpoint: bool) -> None:
    grid, u0, force = problem(points, samples, torch.float32)
    times = torch.linspace(0, steps * 0.005, 41)
    u = rollout(
        learned(grid), u0, times, force, steps=steps // 40, checkpoint=checkpoint
    )
    u.square().mean().backward()  # type: ignore[no-untyped-call]


if arguments.part in ("plain", "checkpoint"):
    checkpoint = arguments.part == "checkpoint"
    gradient_of_a_long_rollout(80, checkpoint=checkpoint)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.perf_counter()
    gradient_of_a_long_rollout(4000, checkpoint=checkpoint)
    took = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(json.dumps({"kilobytes": peak, "seconds": took}))
    sys.exit()


def measured(part: str) -> dict[str, float]:
    """Medians over three processes, each of which measures one part."""
    command = [sys.executable, __file__, "--part", part]
    found = [json.loads(subprocess.check_output(command)) for _ in range(3)]
    return {key: median(run[key] for run in found) for key in found[0]}


# Compiled steps


def compiled_speedup(method: Discretization, dtype: torch.dtype) -> float:
    """Eager over compiled time of 200 steps, forcing included."""
    _, u0, force = problem(points, samples, dtype)
    times = torch.linspace(0, 1, 11)

    def run(*, compile: bool) -> object:  # noqa: A002
        with torch.no_grad():
            return rollout(method, u0, times, force, steps=20, compile=compile)

    eager = seconds(lambda: run(compile=False))
    return eager / seconds(lambda: run(compile=True))


# Other packages


def waves(grid: Grid, samples: int) -> Tensor:
    """Sums of five waves; a single one leaves most modes denormal, which is slow."""
    generator = torch.Generator().manual_seed(0)
    phases = 2 * math.pi * torch.rand(5, samples, 1, generator=generator).double()
    parts = [(k * grid.points() + phases[k - 1]).sin() / k for k in range(1, 6)]
    return 0.3 * torch.stack(parts).sum(0)


def exponax_solver(points: int, dt: float, steps: int, u0: Tensor) -> Callable[[], Any]:
    """Steps of exponax's ETDRK4, batched and jitted."""
    stepper = exponax.stepper.Burgers(
        1, 2 * math.pi, points, dt, diffusivity=viscosity, order=4
    )
    many = jax.vmap(stepper)

    def repeat(state: Any) -> Any:
        return jax.lax.fori_loop(0, steps, lambda _, u: many(u), state)

    repeated = jax.jit(repeat)
    state = jax.numpy.asarray(u0.numpy())[:, None, :]
    return lambda: repeated(state).block_until_ready()


def generator_vs_exponax(points: int) -> float:
    """Time of exponax's step on 512 points over the generator's on `points`.

    80 samples in float64, order 4, our forcing included. exponax keeps the lowest two
    thirds of its modes, 170 of 512 points, which the generator resolves on 341.
    """
    batch, dt, steps = 80, 0.005, 20
    grid = Grid.line(points)
    method = PseudoSpectral(Burgers(viscosity), grid)
    force = RandomForcing.sample(batch, seed=0).spectrum(points)
    scheme = TimeDifferencing(method.symbol(), dt, krogstad=True)
    u0 = waves(grid, batch)

    def ours() -> object:
        return advance(method, scheme, force, method.to_modes(u0), 0.0, steps)

    theirs = exponax_solver(512, dt, steps, waves(Grid.line(512), batch))
    return seconds(theirs) / seconds(ours)


def generator_steps_vs_exponax() -> float:
    """Steps that exponax needs for a relative error of 1e-6 over ours, no forcing."""
    samples, duration = 8, 2.0
    grid = Grid.line(512)
    method = PseudoSpectral(Burgers(viscosity), grid)
    calm = RandomForcing.sample(samples, amplitude=0, seed=0).spectrum(512)
    u0 = waves(grid, samples)

    def ours(steps: int) -> Tensor:
        scheme = TimeDifferencing(method.symbol(), duration / steps, krogstad=True)
        u_hat = advance(method, scheme, calm, method.to_modes(u0), 0.0, steps)
        return method.to_values(u_hat)

    def theirs(steps: int) -> Tensor:
        solved = exponax_solver(512, duration / steps, steps, u0)()
        return torch.from_numpy(np.array(solved[:, 0]))

    exact = ours(2000)

    def needed(solve: Callable[[int], Tensor]) -> float:
        counts = [20, 40, 80, 160]
        errors = [float((solve(n) - exact).norm() / exact.norm()) for n in counts]
        logs = np.interp(6, -np.log10(errors), np.log(counts))
        return float(np.exp(logs))

    return needed(theirs) / needed(ours)


if arguments.part == "exponax":
    print(
        json.dumps(
            {
                "generator_vs_exponax": generator_vs_exponax(512),
                "generator_vs_exponax_equal_modes": generator_vs_exponax(341),
                "generator_steps_vs_exponax": generator_steps_vs_exponax(),
            }
        )
    )
    sys.exit()


def rollout_vs_torchdiffeq(*, compiled: bool) -> float | None:
    """Time of torchdiffeq's rollout and gradient over ours, WENO-Z, equal tableau."""
    if odeint is None:
        return None
    grid, u0, force = problem(points, samples, torch.float64)
    method = classical("weno_z", Burgers(viscosity), grid)
    u0.requires_grad_()
    times = torch.linspace(0, 0.5, 101, dtype=torch.float64)

    def u_t(t: Tensor, u: Tensor) -> Tensor:
        return method(u) + force(t)

    theirs_u_t = torch.compile(u_t) if compiled else u_t

    def gradient(u: Tensor) -> object:
        return torch.autograd.grad(u.square().mean(), u0)

    def theirs() -> object:
        return gradient(odeint(theirs_u_t, u0, times, method="rk4"))

    def ours() -> object:
        return gradient(
            rollout(
                method, u0, times, force, integrator=three_eighths, compile=compiled
            )
        )

    with torch.no_grad():
        one = odeint(u_t, u0, times, method="rk4")
        other = rollout(method, u0, times, force, integrator=three_eighths)
    torch.testing.assert_close(one[-1], other[:, -1])
    return seconds(theirs, 7) / seconds(ours, 7)


# Growth


def step_seconds(points: int, samples: int) -> float:
    grid, u0, force = problem(points, samples, torch.float64)
    method = classical("weno_z", Burgers(viscosity), grid)
    step = RK4.bind(method, force)
    with torch.no_grad():
        return seconds(lambda: step(0.0, u0, 1e-6), 5)


def exponent(sizes: list[int], taken: list[float]) -> float:
    line = np.polynomial.Polynomial.fit(np.log(sizes), np.log(taken), 1).convert()
    return float(line.coef[1])


# Run

plain, segmented = measured("plain"), measured("checkpoint")
grid = Grid.line(points)
by_points = {n: step_seconds(n, samples) for n in (64, 256, 1024, 4096, 16384, 65536)}
by_samples = {n: step_seconds(points, n) for n in (1, 4, 16, 64, 256, 1024, 4096)}
result = {
    "memory_ratio": plain["kilobytes"] / segmented["kilobytes"],
    "checkpoint_time_ratio": segmented["seconds"] / plain["seconds"],
    "compiled_weno_speedup": compiled_speedup(
        classical("weno_z", Burgers(viscosity), grid), torch.float64
    ),
    "compiled_learned_speedup": compiled_speedup(learned(grid), torch.float32),
    **(measured("exponax") if exponax else {"generator_vs_exponax": None}),
    "rollout_vs_torchdiffeq": rollout_vs_torchdiffeq(compiled=True),
    "rollout_vs_torchdiffeq_eager": rollout_vs_torchdiffeq(compiled=False),
    "growth_points": exponent(list(by_points), list(by_points.values())),
    "growth_batch": exponent(list(by_samples), list(by_samples.values())),
}

# Figure

with package_style():
    figure = Figure(figsize=(WIDTH, 2.6), layout="constrained")
    for axis, (label, of) in zip(
        figure.subplots(1, 2),
        (
            (f"points, {samples} samples", by_points),
            (f"samples, {points} points", by_samples),
        ),
        strict=True,
    ):
        axis.loglog(list(of), [1e3 * taken for taken in of.values()], "o-")
        last = max(of)
        line = [1e3 * of[last] * size / last for size in of]
        axis.loglog(list(of), line, "k:", linewidth=0.8, label="linear")
        axis.set(xlabel=label, ylabel="milliseconds per step")
        axis.legend()
written = save(figure, arguments.run / "solver")

# Print

if arguments.json:
    print(json.dumps(result))
else:
    table = Table("quantity", "value")
    for name, value in result.items():
        table.add_row(name, "not installed" if value is None else f"{value:.3g}")
    Console().print(table)
    for path in written:
        print(f"wrote {path}")
