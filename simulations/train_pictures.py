"""Trains the learned pictures of a cell for exact evolution.

Generates the trajectories of P1 and P2 where they are missing, trains one operator by
its name, and writes `runs/train_pictures/NAME.zarr` with its recipe and history.
`burgers` serves all regimes; it continues `burgers-polished`, which continues
`burgers-late`, which continues `burgers-middle`, which continues `burgers-start`. What
a plan starts from is trained first. The specialists continue `burgers`, that of the
package where none was trained. All begin as `HybridParabola`; `--base weno` begins as
WENO's parabola, in stores of their own.

    python simulations/train_pictures.py NAME [--quick] [--updates 20000]

Its numbers go to `runs/train_pictures/result.json`. The seconds that a store holds are
those of one core, with what it started from.
"""

import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from rich.console import Console

from stencilnet.discretizations import MLP, LearnedPicture
from stencilnet.progress import bars
from stencilnet.solver import (
    FOUR_DRIFTS,
    FOUR_LONG_DRIFTS,
    SIX_DRIFTS,
    SIX_LONG_DRIFTS,
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
from stencilnet.study.operators import pretrained
from stencilnet.study.picture_polish import polish_picture
from stencilnet.study.picture_training import (
    PictureHistory,
    PictureRecipe,
    Polish,
    save_picture,
    train_picture,
)
from stencilnet.study.regimes import Regime

# Parameters


# Problems beside those of the configs, with 0.6 of their viscosity: half of it, where
# operators are compared, stays unseen.
thinner = {"p1-thin": ("p1", 0.006), "p2-thin": ("p2", 0.012)}


@dataclass(frozen=True)
class Plan:
    """An operator: regimes as (problem, cells, step, splitting), and its recipe.

    Grid, step and certificate of its store are those of the regime `home`.
    """

    regimes: tuple[tuple[str, int, float, Splitting], ...]
    recipe: PictureRecipe | Polish
    start: str | None = None
    hidden: tuple[int, ...] = (32, 32)
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
late = replace(
    general,
    regimes=(
        *general.regimes,
        ("p1-thin", 64, 0.4, THREE_DRIFTS),
        ("p2-thin", 32, 1.6, FOUR_LONG_DRIFTS),
    ),
    recipe=PictureRecipe(updates=24_000, learning_rate=3e-3, horizons=(1, 2, 2, 3)),
    start="burgers-middle",
)
tuned = PictureRecipe(updates=8_000, learning_rate=3e-3, horizons=(1, 1, 2))
# More cells an update helped this one on unseen forcings, the other specialists not.
large_batches = replace(tuned, updates=6_000, horizons=(1,), cells=4096)


def specialist(
    problem: str, cells: int, *steps: float, recipe: PictureRecipe = tuned
) -> Plan:
    """One problem on one grid, in long steps, from the picture that serves all."""
    splitting = {"p1": SIX_DRIFTS, "p2": SIX_LONG_DRIFTS}[problem]
    regimes = tuple((problem, cells, step, splitting) for step in steps)
    return Plan(regimes, recipe, start="burgers")


plans = {
    "burgers-start": start,
    "burgers-middle": general,
    "burgers-late": late,
    "burgers-polished": replace(
        late, recipe=Polish(120, horizons=(2,), cells=8192), start="burgers-late"
    ),
    "burgers": replace(
        late,
        regimes=(
            *late.regimes,
            ("p1", 32, 0.4, THREE_DRIFTS),
            ("p2", 16, 0.8, THREE_DRIFTS),
        ),
        recipe=PictureRecipe(
            updates=2_400, learning_rate=6e-4, horizons=(1,), validate_every=400
        ),
        start="burgers-polished",
    ),
    "burgers-p1-64": specialist("p1", 64, 1.0, 1.2),
    "burgers-p1-32": specialist("p1", 32, 1.6, 1.4),
    "burgers-p1-16": specialist("p1", 16, 1.6, 1.4),
    "burgers-p2-32": specialist("p2", 32, 2.8, recipe=large_batches),
    "burgers-p2-16": specialist("p2", 16, 4.0, 4.8),
}

study = Script.parse(
    __file__,
    __doc__,
    quick="200 updates, or 2 iterations of a polish",
    arguments={"name": {"choices": list(plans)}},
    options={
        "updates": {"type": int, "help": "fewer or more than the plan's"},
        "seed": {"type": int, "default": 0},
        "base": {"choices": ["weno", "hybrid"], "default": "hybrid"},
    },
)
name, seed = study.options["name"], study.options["seed"]
base = study.options["base"]
begun_as = "" if base == "hybrid" else f"-{base}"
plan, suffix = plans[name], begun_as + (f"-seed{seed}" if seed else "")
count = study.options["updates"]
recipe: PictureRecipe | Polish
if isinstance(plan.recipe, Polish):
    count = 2 if study.quick else count or plan.recipe.iterations
    recipe = replace(plan.recipe, seed=seed, iterations=count)
else:
    count = 200 if study.quick else count or plan.recipe.updates
    recipe = replace(plan.recipe, seed=seed, updates=count)

# Data

regimes, splits = [], []
for problem, points, step, splitting in plan.regimes:
    # Coarse grids overfit trajectories that are enough for fine ones.
    many, averages = (512, [16, 32]) if points < 64 else (64, [64, 128, 256])
    overrides = [f"data.training={many}", f"data.averages={averages}", "data.values=[]"]
    source, viscosity = thinner.get(problem, (problem, None))
    if viscosity:
        overrides += [f"name={problem}", f"problem.equation.viscosity={viscosity}"]
        overrides += [f"reference.points={2 * load_config(source).reference.points}"]
    config = load_config(source, overrides)
    run = study.folder / f"{problem}-{many}"
    if not store_path(run, "training", points, averages=True).exists():
        generate(config, run, overwrite=True)
    regimes.append(
        Regime.of(config, run, points, step=step, integrator=ColeHopf(splitting))
    )
    splits.append((config, run, points))

# Run

home, spent = regimes[plan.home], 0.0
if plan.start is None:
    picture = LearnedPicture(
        home.equation,
        home.learning.grid,
        network=MLP(*plan.hidden),
        base=base,
        seed=seed,
        dtype=torch.float32,
    )
else:
    from_seed = study.folder / f"{plan.start}{suffix}.zarr"
    first = study.folder / f"{plan.start}{begun_as}.zarr"
    origin = from_seed if from_seed.exists() else first
    if not origin.exists() and not begun_as and plan.start in pretrained():
        origin = Path(plan.start)
    picture, before = load_operator(origin)
    picture = picture.on(home.learning.grid, home.equation)
    spent = before.attributes["seconds"]
begun = time.process_time()
with bars(Console()) as bar:
    if isinstance(recipe, Polish):
        history = polish_picture(
            picture,
            regimes,
            recipe,
            history=PictureHistory.of(before),
            progress=bar("Polishing"),
        )
    else:
        history = train_picture(picture, regimes, recipe, progress=bar("Training"))
seconds = spent + time.process_time() - begun

# Store

config, run, points = splits[plan.home]
learning, validation = (
    read_split(config, run, split, points, averages=True)
    for split in ("training", "validation")
)
others = [regime for regime in regimes if regime is not home]
path = study.folder / f"{name}{suffix}.zarr"
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
        "command": f"python simulations/train_pictures.py {name} --seed {seed}"
        + (f" --base {base}" if begun_as else ""),
    },
    certificate=certify(
        picture, validation, integrator=home.integrator, step=home.step
    ),
    overwrite=True,
)
errors = {regime: values[-1] for regime, values in history.errors.items()}
study.write({"validation": errors, "untrained": history.untrained})
