"""Searches splittings for exact evolution that need few drifts a unit of time.

Least squares over the free numbers of `Splitting.symmetric`: what is left of training
trajectories after two steps, with the hybrid parabola on a grid where space is resolved
well enough. First for 0.8 of the step, then for all of it from the numbers
before. So were `SIX_DRIFTS` (P1, steps of 1) and `SIX_LONG_DRIFTS` (P2, steps of 2.8)
found; other problems have their own. The least error found need not be the least there
is: see whether shorter steps have smaller ones. Writes the errors to `table.md`, the
numbers to `arguments.md`, and the splitting to `result.json` in `runs/splittings/`.

    python simulations/splittings.py [p1|p2] [--drifts 6] [--step 1.0] [--quick]
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from scipy.optimize import least_squares

from stencilnet.discretizations import HybridParabola
from stencilnet.report import Rows
from stencilnet.solver import ColeHopf, Splitting, rollout
from stencilnet.storage import forcing_of, grid_of, read_trajectories
from stencilnet.study import Script, generate, load_config, store_path
from stencilnet.study.problem import equation_of

# Parameters

study = Script.parse(
    __file__,
    __doc__,
    quick="four trajectories, 32 cells, one round a step",
    arguments={"problem": {"choices": ["p1", "p2"], "nargs": "?", "default": "p1"}},
    options={
        "drifts": {"type": int, "default": 6, "help": "of a step, at least 3"},
        "step": {"type": float, "default": 1.0, "help": "in units of time"},
    },
)
problem, drifts = study.options["problem"], study.options["drifts"]
if drifts < 3:
    raise SystemExit(f"A step has at least 3 drifts here, not {drifts}.")
points = 32 if study.quick else {"p1": 128, "p2": 64}[problem]
rounds = 1 if study.quick else 5
begins = (0.3, 0.8)  # of the window
# How many numbers are free: drifts, kicks, gradients and slopes.
middle = drifts % 2 == 0
first = drifts // 2 - 1 if middle else (drifts - 1) // 2
halves = (drifts + 2) // 2
free = (first, halves - 2, halves - 1, halves)
# Their sizes, that of slopes by the forcing: they are of fifth order.
sizes = np.repeat([0.1, 0.1, 0.1, 2e-5 if problem == "p1" else 4e-6], free)

# Data

config = load_config(
    problem,
    [
        f"data.training={4 if study.quick else 64}",
        "data.validation=1",
        "data.test=1",
        f"data.averages=[{points}]",
        "data.values=[]",
    ],
)
run = study.folder / problem
path = store_path(run, "training", points, averages=True)
if not path.exists():
    generate(config, run, overwrite=True)
store = read_trajectories(path)
grid, clock = grid_of(store), torch.tensor(store["time"].values)
truth, forcing = torch.tensor(store["u"].values), forcing_of(store)
picture = HybridParabola(equation_of(config), grid)
force, size = forcing.on(grid, averages=True), truth.square().mean().sqrt()
interval = float(clock[1] - clock[0])
# Two steps begin at each of `begins` and end within the window.
whole, most = round(study.options["step"] / interval), (len(clock) - 2) // 2
if not 1 <= whole <= most or not math.isclose(
    whole * interval, study.options["step"], rel_tol=1e-6
):
    raise SystemExit(
        f"The step must be a multiple of {interval:g}, at which states are stored, and "
        f"at most {most * interval:g}, not {study.options['step']:g}."
    )


def splitting_of(numbers: NDArray[np.float64]) -> Splitting:
    """The splitting with these free numbers, in units of their sizes."""
    groups = np.split(numbers * sizes, np.cumsum(free)[:-1])
    return Splitting.symmetric(*(tuple(map(float, group)) for group in groups))


def errors(numbers: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """What is left after two steps of `count` intervals; 1 where there is no answer."""
    left = torch.ones(len(begins), *truth[:, 0].shape, dtype=torch.float64)
    try:
        integrator = ColeHopf(splitting_of(numbers), nodes=None if study.quick else 4)
        for index, begin in enumerate(begins):
            at = int(begin * (len(clock) - 2 * count - 1))
            ends = clock[[at, at + 2 * count]]
            with torch.no_grad():
                u = rollout(
                    picture, truth[:, at], ends, force, integrator=integrator, steps=2
                )
            left[index] = (u[:, -1] - truth[:, at + 2 * count]) / size
    except ValueError:  # drifts that are not positive, or steps that overflow
        left.fill_(1.0)
    return left.flatten().numpy()


# Run

counts = sorted({max(1, round(share * whole)) for share in (0.8, 1)})
begun = [1 / drifts, 0.5 / drifts, 1 / (drifts + 1), 0.0]
numbers, rows = np.repeat(begun, free) / sizes, []
for count in track(counts, description="Steps"):
    last = np.inf
    for _ in range(rounds):
        found = least_squares(
            errors, numbers, args=(count,), max_nfev=15, diff_step=1e-4
        )
        numbers, error = found.x, float(np.sqrt(np.mean(found.fun**2)))
        if error > 0.97 * last:
            break
        last = error
    rows.append((drifts, count * interval, drifts / (count * interval), error))

# Table

names = ("drifts", "kicks", "gradients", "slopes")
groups = np.split(numbers * sizes, np.cumsum(free)[:-1])
texts = [", ".join(f"{number:.5g}" for number in group) for group in groups]
columns = {"drifts": "{}", "step": "{:.3g}", "drifts a unit": "{:.3g}"}
columns |= {"error of two steps": "{:.3g}"}
study.write(
    {"splitting": splitting_of(numbers).spec(), "error": error},
    tables={
        "table": Rows(columns, rows),
        "arguments": Rows(
            {"of Splitting.symmetric": "", "numbers": ""},
            list(zip(names, texts, strict=True)),
        ),
    },
)
