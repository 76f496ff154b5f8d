"""Viscosity, forcing amplitude and initial state from noisy, sparse observations.

A trajectory of forced Burgers' equation (P2, four units of time) is observed at every
fourth point and every tenth kept time, with noise. Levenberg-Marquardt steps, with
derivatives through the solver, reduce the misfit at the observations; all noise levels
and draws are one batch, each sample with its own unknowns. The data come from the
reference on 512 points, the model has 128 and another integrator. Writes `table.md`,
`table.csv`, the figure `inverse` and `result.json` to `runs/inverse/`.

    python simulations/inverse.py [--quick]
"""

import math

import torch
from matplotlib.figure import Figure
from rich.progress import track
from torch import Tensor

from stencilnet.discretizations import PseudoSpectral
from stencilnet.equations import Burgers
from stencilnet.grid import Grid
from stencilnet.report import WIDTH, Rows, package_style
from stencilnet.solver import RK4, rollout
from stencilnet.study import (
    InitialValueProblem,
    Script,
    equation_of,
    forcing_of,
    load_config,
    onto,
    reference_solution,
    states_of,
)

# Parameters

study = Script.parse(__file__, __doc__, quick="one draw, few iterations")
noises = (0.001, 0.003, 0.01, 0.03, 0.1)  # standard deviations of the trajectory
draws = 1 if study.quick else 4
iterations = 2 if study.quick else 12
every_point, every_time = 4, 10
substeps, modes = 4, 12  # of the model; of the unknown initial state
first_viscosity, first_amplitude = 0.01, 0.5
config = load_config("p2-stencil-net", ["problem.duration=4", "problem.interval=0.05"])
truth = config.problem.equation["viscosity"]

# Data

forcing = forcing_of(config, 1, 7)
fine, grid = Grid.line(512), Grid.line(128)
intervals = round(config.problem.duration / config.problem.interval)
times = torch.arange(intervals + 1, dtype=torch.float64) * config.problem.interval
problem = InitialValueProblem(
    equation_of(config), states_of(config, 1, 7), forcing, times
)
solved = reference_solution(problem, fine, courant=config.reference.courant)
u_hat = torch.stack([state for state, _ in solved], dim=1)
clean = onto(u_hat, fine, grid, averages=False)[0]
levels = torch.tensor(noises, dtype=torch.float64).repeat_interleave(draws)
generator = torch.Generator().manual_seed(0)
shape = (len(levels), *clean.shape)
noise = torch.randn(shape, generator=generator, dtype=torch.float64)
noisy = clean + levels[:, None, None] * clean.std() * noise
observed = noisy[:, ::every_time, ::every_point]

# Model

force = forcing.on(grid)
x = grid.points()
k = torch.arange(1, modes + 1, dtype=torch.float64).unsqueeze(-1)
basis = torch.cat([torch.ones_like(x).unsqueeze(0), (k * x).cos(), (k * x).sin()])


def simulate(unknown: Tensor) -> Tensor:
    """Trajectories from rows of log viscosity, amplitude and waves of the state."""
    method = PseudoSpectral(Burgers(unknown[:, :1].exp()), grid)
    return rollout(
        method,
        unknown[:, 2:] @ basis,
        times,
        lambda t: unknown[:, 1:2] * force(t),
        integrator=RK4,
        steps=substeps,
    )


def predict(unknown: Tensor) -> Tensor:
    """What is observed of the trajectories, one row for each."""
    return simulate(unknown)[:, ::every_time, ::every_point].flatten(1)


# Levenberg-Marquardt, each sample with its own damping

count, size = len(levels), 2 + len(basis)
unknown = torch.zeros(count, size, dtype=torch.float64)
unknown[:, 0], unknown[:, 1] = math.log(first_viscosity), first_amplitude
unknown[:, 2:] = torch.linalg.lstsq(
    basis[:, ::every_point].mT, observed[:, 0].mT
).solution.mT
goal = observed.flatten(1)
damping = torch.full((count, 1, 1), 1e-2, dtype=torch.float64)
tangents = torch.eye(size, dtype=torch.float64).repeat_interleave(count, 0)
with torch.no_grad():
    residual = predict(unknown) - goal
    losses = [float(residual.square().mean() / clean.var())]
    for _ in track(range(iterations), description="Fitting"):
        moved = torch.func.jvp(predict, (unknown.repeat(size, 1),), (tangents,))[1]
        jacobian = moved.reshape(size, count, -1).permute(1, 2, 0)
        normal = jacobian.mT @ jacobian
        scale = normal.diagonal(dim1=-2, dim2=-1).diag_embed()
        slope = jacobian.mT @ residual.unsqueeze(-1)
        step = torch.linalg.solve(normal + damping * scale, slope).squeeze(-1)
        # Not further than the model stays stable.
        step[:, :2] = step[:, :2].clamp(-0.5, 0.5)
        other = unknown - step
        other_residual = predict(other) - goal
        better = other_residual.square().sum(-1) < residual.square().sum(-1)
        unknown = torch.where(better[:, None], other, unknown)
        residual = torch.where(better[:, None], other_residual, residual)
        damping = torch.where(better[:, None, None], damping / 10, damping * 10)
        losses.append(float(residual.square().mean() / clean.var()))

# Table

with torch.no_grad():
    fitted = simulate(unknown)
errors = {
    "viscosity": (unknown[:, 0].exp() / truth - 1).abs(),
    "forcing amplitude": (unknown[:, 1] - 1).abs(),
    "initial state": (fitted[:, 0] - clean[0]).norm(dim=-1) / clean[0].norm(),
    "trajectory": (fitted - clean).norm(dim=(1, 2)) / clean.norm(),
}
by_noise = {
    name: error.detach().reshape(len(noises), draws).numpy()
    for name, error in errors.items()
}
columns = {"noise": "{:.1%}"}
for name in by_noise:
    columns |= {f"error of {name}": "{:.2%}", f"worst {name}": "{:.2%}"}
rows = [
    [level]
    + [
        float(number)
        for error in by_noise.values()
        for number in (error[row].mean(), error[row].max())
    ]
    for row, level in enumerate(noises)
]
at = noises.index(0.01)
headline = {
    "viscosity_error": float(by_noise["viscosity"][at].mean()),
    "viscosity_error_worst": float(by_noise["viscosity"][at].max()),
    "amplitude_error": float(by_noise["forcing amplitude"][at].mean()),
    "initial_state_error": float(by_noise["initial state"][at].mean()),
    "trajectory_error": float(by_noise["trajectory"][at].mean()),
    "first_loss": losses[0],
    "last_loss": losses[-1],
}

# Figure

with package_style():
    figure = Figure(figsize=(WIDTH, 2.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    for (name, error), colour in zip(
        by_noise.items(), ("#D55E00", "#0072B2", "#009E73", "#999999"), strict=True
    ):
        left.loglog(noises, error.mean(1), "o-", color=colour, markersize=3, label=name)
        left.fill_between(
            noises, error.min(1), error.max(1), color=colour, alpha=0.15, linewidth=0
        )
    left.set(xlabel="noise / standard deviation of $u$", ylabel="relative error")
    left.legend()
    sample = at * draws
    for index, colour in ((0, "#0072B2"), (len(times) - 1, "#D55E00")):
        right.plot(x, clean[index], color="k", linewidth=0.8)
        right.plot(
            x,
            fitted[sample, index],
            "--",
            color=colour,
            label=f"$t = {times[index]:g}$",
        )
        right.plot(
            x[::every_point],
            observed[sample, index // every_time],
            ".",
            color=colour,
            markersize=3,
        )
    right.set(xlabel="$x$", ylabel="$u$", title="1 % noise: observed, fitted, true")
    right.legend()
study.write(
    headline,
    tables={"table": Rows(columns, rows)},
    figures={"inverse": figure},
)
assert all(map(math.isfinite, headline.values()))
