"""Trains the learned stencils for fluxes that come with the package.

Generates the trajectories of P1 or P2 where they are missing, trains one operator by
its name as `stencilnet train` does, with long windows, a compiled step and averaged
weights, and writes `runs/train_stencils/NAME.zarr` with its config, history and
certificate.

    python simulations/train_stencils.py NAME [--quick] [--seed N]

Its errors go to `runs/train_stencils/result.json`. The seconds that a store holds are
those of one core. What was stopped goes on where it was.
"""

import time
from dataclasses import replace
from typing import Any, NamedTuple

from rich.console import Console

from stencilnet.progress import bars
from stencilnet.storage import read_operator, write_operator
from stencilnet.study import Script, generate, load_config, store_path, train

# Parameters

recipe: dict[str, Any] = {
    "batch": 32,
    "horizon": [4, 8, 16, 16, 32],
    "averaging": 0.998,
    "compile": True,
    "validate_every": 200,
    "checkpoint_every": 500,
}


class Plan(NamedTuple):
    """An operator: its problem, its network, and how long it is trained."""

    config: str
    points: int
    trajectories: int
    substeps: int = 1  # of the integrator, per kept state
    updates: int = 4000
    window: int = 10
    units: int = 32  # of each of two hidden layers


plans = {
    "burgers-p1-64-flux": Plan("p1", 64, 128, substeps=2),
    "burgers-p1-32-flux": Plan("p1", 32, 512, updates=6000, window=12, units=48),
    "burgers-p2-32-flux": Plan("p2-stencil-net", 32, 128),
    "burgers-p2-16-flux": Plan("p2-stencil-net", 16, 512),
}

study = Script.parse(
    __file__,
    __doc__,
    quick="60 updates",
    arguments={"name": {"choices": list(plans)}},
    options={"seed": {"type": int, "default": 0}},
)
name, seed = study.options["name"], study.options["seed"]
plan = plans[name]
settings = recipe | {
    "seed": seed,
    "substeps": plan.substeps,
    "iterations": plan.updates,
}
if study.quick:
    settings |= {"iterations": 60, "horizon": [2], "validate_every": 60}
config = load_config(
    plan.config,
    [
        f"data.training={plan.trajectories}",
        f"data.averages=[{plan.points}]",
        "data.values=[]",
        f"operator.points={plan.points}",
        # Stencils of six cells, chosen from more.
        f"operator.window={plan.window}",
        f"operator.network.hidden={[plan.units] * 2}",
        *(f"training.{key}={value}" for key, value in settings.items()),
        "comparison.methods=[weno_z]",
    ],
)

# Run

data = study.folder / f"{plan.config}-{plan.points}-{plan.trajectories}"
if not store_path(data, "training", plan.points, averages=True).exists():
    generate(config, data, overwrite=True)
label = f"{name}-seed{seed}" if seed else name
begun = time.process_time()
with bars(Console()) as bar:
    path = train(
        config,
        study.folder / label,
        data=data,
        resume=True,
        overwrite=True,
        progress=bar("Training"),
    )
seconds = time.process_time() - begun

# Store

stored = read_operator(path)
command = f"python simulations/train_stencils.py {name} --seed {seed}"
attributes = {**stored.attributes, "command": command, "seconds": seconds}
write_operator(
    replace(stored, attributes=attributes),
    study.folder / f"{label}.zarr",
    overwrite=True,
)
study.write(
    {"validation": stored.attributes["validation_relative_l2"], "seconds": seconds}
)
