"""Trains the learned pictures of a cell for exact evolution.

Generates the trajectories of P1 and P2 where they are missing, trains one operator by
its name, and writes `runs/train_pictures/NAME.zarr` with its recipe and history.
`burgers` serves all regimes; it continues `burgers-middle`, which continues
`burgers-start`. The specialists continue `burgers-middle`, too. What a plan starts from
is trained first.

    python simulations/train_pictures.py NAME [--quick] [--updates 20000]

Its numbers go to `runs/train_pictures/result.json`.
"""

import time
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
    certify,
    generate,
    load_config,
    load_operator,
    read_split,
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
    """An operator: regimes as (problem, cells, step, splitting), and its recipe.

    Grid, step and certificate of its store are those of the regime `home`.
    """

    regimes: tuple[tuple[str, int, float, Splitting], ...]
    recipe: PictureRecipe
    start: str | None = None
    hidden: tuple[int, ...] = (32, 32)
    window: int = 9
    forcing_window: int = 7
    home: int = 0


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
    home=1,
)
final = replace(
    general,
    recipe=PictureRecipe(updates=20_000, learning_rate=3e-3, horizons=(1, 2, 2, 3)),
    start="burgers-middle",
)
tuned = PictureRecipe(updates=8_000, learning_rate=3e-3)
late = replace(tuned, horizons=(1, 1, 2, 2, 3))


def specialist(
    problem: str, cells: int, step: float, splitting: Splitting, recipe: PictureRecipe
) -> Plan:
    """One problem on one grid, from what was trained on all."""
    return Plan(((problem, cells, step, splitting),), recipe, start="burgers-middle")


plans = {
    "burgers-start": start,
    "burgers-middle": general,
    "burgers": final,
    "burgers-p1-64": specialist(
        "p1", 64, 0.4, THREE_DRIFTS, replace(tuned, updates=13_500)
    ),
    "burgers-p1-32": specialist("p1", 32, 0.6, THREE_DRIFTS, tuned),
    "burgers-p1-16": specialist("p1", 16, 0.8, FOUR_DRIFTS, late),
    "burgers-p2-32": specialist(
        "p2", 32, 2.0, FIVE_DRIFTS, replace(tuned, horizons=(1, 1, 1, 2, 3))
    ),
    "burgers-p2-16": specialist("p2", 16, 2.4, FOUR_LONG_DRIFTS, late),
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

regimes, splits = [], []
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
    splits.append((config, run, points))

# Run

home = regimes[plan.home]
if plan.start is None:
    picture = LearnedPicture(
        home.equation,
        home.learning.grid,
        network=MLP(*plan.hidden),
        window=plan.window,
        forcing_window=plan.forcing_window,
        seed=seed,
        dtype=torch.float32,
    )
else:
    picture, _ = load_operator(study.folder / f"{plan.start}.zarr")
    picture = picture.on(home.learning.grid, home.equation)
begun = time.perf_counter()
with bars(Console()) as bar:
    history = train_picture(picture, regimes, recipe, progress=bar("Training"))
seconds = time.perf_counter() - begun

# Store

config, run, points = splits[plan.home]
learning, validation = (
    read_split(config, run, split, points, averages=True)
    for split in ("training", "validation")
)
others = [regime for regime in regimes if regime is not home]
path = study.folder / (f"{name}.zarr" if not seed else f"{name}-seed{seed}.zarr")
save_picture(
    picture,
    path,
    [home, *others],
    recipe,
    history,
    attributes={
        "config": config.model_dump_json(),
        "data_hash": learning.attrs["content_hash"],
        "start": plan.start,
        "seconds": seconds,
        "command": f"python simulations/train_pictures.py {name} --seed {seed}",
    },
    certificate=certify(
        picture, validation, integrator=home.integrator, step=home.step
    ),
    overwrite=True,
)
errors = {regime: values[-1] for regime, values in history.errors.items()}
study.write({"validation": errors, "untrained": history.untrained})
