"""Trains the learned pictures of a cell for exact evolution.

Generates the trajectories of P1 and P2 where they are missing, trains one operator by
its name, and writes `runs/train_pictures/NAME.zarr` with its recipe and history.
`burgers` serves all regimes and starts from `burgers-start`; the specialists of 32
cells start from that, too.

    python simulations/train_pictures.py NAME [--quick] [--updates 20000]

Its numbers go to `runs/train_pictures/result.json`.
"""

from dataclasses import dataclass, replace

import torch
from rich.console import Console

from stencilnet.discretizations import MLP, LearnedPicture
from stencilnet.progress import bars
from stencilnet.solver import (
    FIVE_DRIFTS,
    FOUR_DRIFTS,
    FOUR_LONG_DRIFTS,
    THREE_DRIFTS,
    ColeHopf,
    Splitting,
)
from stencilnet.study import (
    Script,
    generate,
    load_config,
    load_operator,
    store_path,
)
from stencilnet.study.picture_training import (
    PictureRecipe,
    save_picture,
    train_picture,
)
from stencilnet.study.regimes import Regime

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

study = Script.parse(
    __file__,
    __doc__,
    quick="200 updates",
    arguments={"name": {"choices": list(plans)}},
    options={
        "updates": {"type": int, "help": "fewer or more than the plan's"},
        "seed": {"type": int, "default": 0},
    },
)
name, seed = study.options["name"], study.options["seed"]
plan = plans[name]
updates = study.options["updates"] or plan.recipe.updates
recipe = replace(plan.recipe, seed=seed, updates=200 if study.quick else updates)

# Data

regimes = []
for problem, points, step, splitting in plan.regimes:
    config = load_config(
        problem,
        ["data.training=64", "data.averages=[16, 32, 64, 128, 256]", "data.values=[]"],
    )
    run = study.folder / problem
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
        seed=seed,
        dtype=torch.float32,
    )
else:
    picture, _ = load_operator(study.folder / f"{plan.start}.zarr")
    picture = picture.on(first.learning.grid, first.equation)
with bars(Console()) as bar:
    history = train_picture(picture, regimes, recipe, progress=bar("Training"))
path = study.folder / f"{name}.zarr"
save_picture(picture, path, regimes, recipe, history, overwrite=True)
errors = {regime: values[-1] for regime, values in history.errors.items()}
study.write({"validation": errors, "untrained": history.untrained})
