"""Orders at boundaries against exact solutions, and what flows through the ends.

Walls (Cole-Hopf by reflection), prescribed values (a layer at rest), an outflow
(advection at rest under a force), shocks through an inflow and against a wall. Writes
`table.md`, `table.csv` and `result.json` to `runs/validation_boundaries/`.

    python simulations/validation_boundaries.py [--quick]
"""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from stencilnet.boundaries import Boundary, Outflow, Prescribed, Wall
from stencilnet.discretizations import (
    MLP,
    DiscontinuousGalerkin,
    Discretization,
    FiniteDifference,
    LearnedStencil,
    Muscl,
    Weno,
)
from stencilnet.equations import (
    Advection,
    Burgers,
    Convective,
    DecayingWave,
    Equation,
    ShockLayer,
)
from stencilnet.grid import Grid
from stencilnet.report import Rows
from stencilnet.solver import RK4, Euler, StableStep, rollout
from stencilnet.stencils import NullSpace
from stencilnet.study import Script

# Parameters

study = Script.parse(__file__, __doc__, quick="coarser grids")
coarser = 2 if study.quick else 1

# Methods


def learned(equation: Equation, grid: Grid) -> Discretization:
    """A learned stencil of fourth order with random weights."""
    operator = LearnedStencil(
        equation, grid, constraint=NullSpace(order=4), network=MLP(8)
    )
    generator = torch.Generator().manual_seed(1)
    for weight in operator.parameters():
        nn.init.normal_(weight, std=0.3, generator=generator)
    return operator


Make = Callable[[Equation, Grid], Discretization]
methods: dict[str, tuple[Make, int, tuple[int, int]]] = {
    "central 2": (partial(FiniteDifference, order=2), 2, (64, 128)),
    "central 4": (partial(FiniteDifference, order=4), 4, (64, 128)),
    "central 6": (partial(FiniteDifference, order=6), 6, (32, 64)),
    "points 4": (partial(FiniteDifference, order=4, form=Convective), 4, (64, 128)),
    "upwind 3": (partial(FiniteDifference, order=3), 3, (128, 256)),
    "MUSCL": (Muscl, 2, (128, 256)),
    "WENO-Z": (partial(Weno, viscous_order=6), 5, (96, 192)),
    "DG p1": (partial(DiscontinuousGalerkin, degree=1), 2, (48, 96)),
    "DG p2": (partial(DiscontinuousGalerkin, degree=2), 3, (96, 192)),
    "DG p3": (partial(DiscontinuousGalerkin, degree=3), 4, (48, 96)),
    "learned 4": (learned, 4, (128, 256)),
}

# Problems: equation, exact field, length, boundaries, duration

Exact = Callable[[Grid, float, bool], Tensor]
Ends = Boundary | tuple[Boundary, Boundary]


def wall(grid: Grid, t: float, averages: bool) -> Tensor:
    return DecayingWave(0.3).of(grid, t, averages=averages)


layer = ShockLayer(1.0, -1.0, centre=1.0, viscosity=0.2)
ends_of_layer = [layer.u(torch.tensor(x).double(), 0.0) for x in (0.0, 2.0)]


def at_rest(grid: Grid, t: float, averages: bool) -> Tensor:
    return layer.of(grid, t, averages=averages)


def growing(grid: Grid, t: float, averages: bool) -> Tensor:
    """`u = exp(x)`, at rest under the force `f = u`."""
    u: Tensor = grid.averages(torch.exp) if averages else grid.points().exp()
    return u


problems: dict[str, tuple[Equation, Exact, float, Ends, float]] = {
    "walls": (Burgers(0.3), wall, math.pi, Wall(), 0.2),
    "values": (
        Burgers(0.2),
        at_rest,
        2.0,
        (Prescribed(ends_of_layer[0]), Prescribed(ends_of_layer[1])),
        0.1,
    ),
    "outflow": (Advection(1.0), growing, 1.5, (Prescribed(1.0), Outflow()), 0.5),
}

# Run: orders in the mean and in the largest error

rows: list[tuple[str, str, float, float, int, float]] = []
for problem, (equation, exact, length, ends, duration) in problems.items():
    for name, (make, order, grids) in methods.items():
        # Random centred stencils let waves grow, which advection does not damp.
        if problem == "outflow" and make is learned:
            continue
        errors = []
        for points in grids:
            grid = Grid.line(points // coarser, length, boundaries=ends)
            method = make(equation, grid)
            start = exact(grid, 0.0, method.averages)
            force = (lambda t, f=start: f) if problem == "outflow" else None
            steps = StableStep(0.5)
            with torch.no_grad():
                u = rollout(
                    method, start, [0, duration], force, integrator=RK4, steps=steps
                )[-1]
            errors.append((u - exact(grid, duration, method.averages)).abs())
        mean, largest = (
            float(torch.log2(kind(errors[0]) / kind(errors[1])))
            for kind in (torch.mean, torch.amax)
        )
        rows.append((problem, name, mean, largest, order, float(errors[1].amax())))

# Run: momentum through the ends of shocks, by explicit Euler steps

shock = ShockLayer(1.0, 0.0, centre=-0.1)
inflow = Prescribed(lambda t: shock.u(torch.zeros_like(t), t))
defects: dict[str, float] = {}
for name, pair in {
    "inflow": (inflow, Outflow()),
    "wall": (Prescribed(1.0), Wall()),
}.items():
    for method in (
        kind(Burgers(0.0), Grid.line(64, 2.0, boundaries=pair))
        for kind in (Weno, Muscl, partial(FiniteDifference, order=3))
    ):
        u0 = torch.where(method.grid.points() < 0.5, 1.0, 0.0).double()
        times = torch.arange(401).double() * 0.005
        with torch.no_grad():
            u = rollout(method, u0, times, integrator=Euler)
            fluxes = [method.end_fluxes(v, t) for v, t in zip(u, times, strict=True)]
        gained = sum(float(left - right) for left, right in fluxes[:-1]) * 0.005
        change = float((u[-1] - u0).sum()) * method.grid.spacing[-1]
        key = f"defect_{name}"
        defects[key] = max(defects.get(key, 0.0), abs(change - gained))

# Tables

columns = {"problem": "", "method": "", "order, mean": "{:.2f}", "largest": "{:.2f}"}
columns |= {"theory": "{:g}", "error": "{:.1e}"}
headline: dict[str, float] = dict(defects)
for problem, name, mean, largest, order, _ in rows:
    key = f"{problem}_{name}".replace(" ", "_")
    headline |= {f"mean_{key}": mean - order, f"largest_{key}": largest - order}

study.write(headline, tables={"table": Rows(columns, rows)})
