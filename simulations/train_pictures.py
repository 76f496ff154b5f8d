"""Trains the learned pictures of a cell for exact evolution.

Generates the trajectories of P1 and P2 where they are missing, trains one operator by
its name, and writes `runs/train_pictures/NAME.zarr` with its recipe and history.
`burgers` serves all regimes and starts from `burgers-start`; the specialists of 32
cells start from that, too.

    python simulations/train_pictures.py NAME [--quick] [--updates 20000]

Its numbers go to `runs/train_pictures/result.json`.
"""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from rich.console import Console

from stencilnet.discretizations import MLP, LearnedPicture
from stencilnet.progress import bars
from stencilnet.report import write_json
from stencilnet.solver import (
    FIVE_DRIFTS,
    FOUR_DRIFTS,
    FOUR_LONG_DRIFTS,
    THREE_DRIFTS,
    ColeHopf,
    Splitting,
)
from stencilnet.study.config import load_config
from stencilnet.study.generation import generate, store_path
from stencilnet.study.operators import load_operator
from stencilnet.study.picture_training import (
    PictureRecipe,
    Regime,
    save_picture,
    train_picture,
)

# Parameters


@dataclass(frozen=True)
class Plan:
    """An operator: regimes as (problem, cells, step, splitting), and its recipe."""

    regimes: tuple[tuple[str, int, float, Splitting], ...]
    recipe: PictureRecipe
    start: str | None = None
    hidden: tuple[int, ...] = (32, 32)
    window: int = 9
    forcing_window: int = 7


start = Plan(
    (
        ("p1", 128, 0.4, THREE_DRIFTS),
        ("p1", 64, 0.4, THREE_DRIFTS),
        ("p1", 32, 0.4, THREE_DRIFTS),
        ("p1", 16, 0.4, THREE_DRIFTS),
        ("p2", 64, 0.8, THREE_DRIFTS),
        ("p2", 32, 0.8, THREE_DRIFTS),
        ("p2", 16, 0.8, THREE_DRIFTS),
    ),
    PictureRecipe(updates=21_000, horizons=(1, 1, 2)),
)
general = Plan(
    (
        ("p1", 128, 0.4, THREE_DRIFTS),
        ("p1", 64, 0.4, THREE_DRIFTS),
        ("p1", 64, 0.6, FOUR_DRIFTS),
        ("p1", 32, 0.6, THREE_DRIFTS),
        ("p1", 32, 0.8, FOUR_DRIFTS),
        ("p1", 16, 0.8, FOUR_DRIFTS),
        ("p2", 64, 1.2, FOUR_LONG_DRIFTS),
        ("p2", 32, 2.0, FOUR_LONG_DRIFTS),
        ("p2", 32, 1.6, FOUR_LONG_DRIFTS),
        ("p2", 16, 2.4, FOUR_LONG_DRIFTS),
    ),
    PictureRecipe(updates=30_000, learning_rate=4e-3, horizons=(1, 1, 2, 2, 3)),
    start="burgers-start",
)
tuned = PictureRecipe(updates=8_000, learning_rate=3e-3)
plans = {
    "burgers-start": start,
    "burgers": general,
    "burgers-p1-64": Plan(
        (("p1", 64, 0.4, THREE_DRIFTS),), PictureRecipe(updates=13_500)
    ),
    "burgers-p1-32": Plan(
        (("p1", 32, 0.6, THREE_DRIFTS),), tuned, start="burgers-start"
    ),
    "burgers-p1-16": Plan(
        (("p1", 16, 0.8, FOUR_DRIFTS),),
        PictureRecipe(updates=6_000, horizons=(1, 1, 1, 2, 3)),
        hidden=(64, 64),
        window=13,
        forcing_window=9,
    ),
    "burgers-p2-32": Plan(
        (("p2", 32, 2.0, FIVE_DRIFTS),),
        replace(tuned, horizons=(1, 1, 1, 2, 3)),
        start="burgers-start",
    ),
    "burgers-p2-16": Plan(
        (("p2", 16, 2.4, FOUR_LONG_DRIFTS),),
        PictureRecipe(updates=6_000, horizons=(1, 1, 1, 2, 3)),
        hidden=(64, 64),
        window=13,
        forcing_window=9,
    ),
}

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("name", choices=list(plans))
parser.add_argument("--quick", action="store_true", help="200 updates")
parser.add_argument("--run", type=Path, default=Path("runs/train_pictures"))
parser.add_argument("--updates", type=int, help="fewer or more than the plan's")
parser.add_argument("--seed", type=int, default=0)
arguments = parser.parse_args()
plan = plans[arguments.name]
updates = arguments.updates or plan.recipe.updates
recipe = replace(
    plan.recipe, seed=arguments.seed, updates=200 if arguments.quick else updates
)

# Data

regimes = []
for problem, points, step, splitting in plan.regimes:
    config = load_config(
        problem,
        ["data.training=64", "data.averages=[16, 32, 64, 128, 256]", "data.values=[]"],
    )
    run = arguments.run / problem
    if not store_path(run, "training", points, averages=True).exists():
        generate(config, run, overwrite=True)
    regimes.append(
        Regime.of(config, run, points, step=step, integrator=ColeHopf(splitting))
    )

# Run

first = regimes[0]
if plan.start is None:
    picture = LearnedPicture(
        first.equation,
        first.learning.grid,
        network=MLP(*plan.hidden),
        window=plan.window,
        forcing_window=plan.forcing_window,
        seed=arguments.seed,
        dtype=torch.float32,
    )
else:
    picture, _ = load_operator(arguments.run / f"{plan.start}.zarr")
    picture = picture.on(first.learning.grid, first.equation)
with bars(Console()) as bar:
    history = train_picture(picture, regimes, recipe, progress=bar("Training"))
path = save_picture(
    picture,
    arguments.run / f"{arguments.name}.zarr",
    regimes,
    recipe,
    history,
    overwrite=True,
)
errors = {name: values[-1] for name, values in history.errors.items()}
summary = write_json(
    {"validation": errors, "untrained": history.untrained},
    arguments.run / "result.json",
    overwrite=True,
)
print(f"wrote {path}\nwrote {summary}")
