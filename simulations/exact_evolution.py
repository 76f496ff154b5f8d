"""Exact evolution of Burgers' equation without learning: splittings and pictures.

Relative L2 errors over the rollout on unseen forcings of P1 and P2, against exact cell
averages at multiples of the step. First the splittings alone, on 512 cells, where the
picture within a cell does not matter, per drift; then every picture on every grid, at
each step. Operators that `train_pictures.py` left in `runs/train_pictures` are
measured at the steps of their regimes. Writes `runs/exact_evolution/table.md`,
`table.csv` and `result.json`.

    python simulations/exact_evolution.py [--quick]
"""

import math
from pathlib import Path

import torch
from rich.progress import track

from stencilnet.discretizations import (
    HybridParabola,
    Linear,
    Parabola,
    Picture,
    SubCellShocks,
    WenoParabola,
)
from stencilnet.report import Rows
from stencilnet.solver import (
    CHIN_4A,
    CHIN_4B,
    FIVE_DRIFTS,
    FOUR_DRIFTS,
    FOUR_LONG_DRIFTS,
    SIX_DRIFTS,
    SIX_LONG_DRIFTS,
    STRANG,
    THREE_DRIFTS,
    ColeHopf,
    Splitting,
    rollout,
)
from stencilnet.storage import forcing_of, grid_of, read_trajectories
from stencilnet.study import (
    Script,
    generate,
    load_config,
    load_operator,
    store_path,
)
from stencilnet.study.metrics import relative_l2
from stencilnet.study.problem import equation_of

# Parameters

study = Script.parse(
    __file__,
    __doc__,
    quick="two forcings, coarse grids",
    options={"operators": {"type": Path, "default": Path("runs/train_pictures")}},
)
samples = 2 if study.quick else 16
grids = (16, 32, 64) if study.quick else (16, 32, 64, 128, 256)
fine = 256 if study.quick else 512
splittings = {
    "strang": STRANG,
    "4a": CHIN_4A,
    "4b": CHIN_4B,
    "three": THREE_DRIFTS,
    "four": FOUR_DRIFTS,
    "five": FIVE_DRIFTS,
    "four_long": FOUR_LONG_DRIFTS,
    "six": SIX_DRIFTS,
    "six_long": SIX_LONG_DRIFTS,
}
# Steps for the splittings alone, such that drifts cost about as much.
alone = {
    ("p1", "strang"): (0.1, 0.2),
    ("p1", "4a"): (0.2, 0.4),
    ("p1", "4b"): (0.4,),
    ("p1", "three"): (0.4, 0.5, 0.6),
    ("p1", "four"): (1.6 / 3, 0.6, 0.8),
    ("p1", "six"): (0.8, 1.0),
    ("p2", "three"): (0.8, 1.2, 1.6),
    ("p2", "four_long"): (1.6, 2.0),
    ("p2", "five"): (2.0,),
    ("p2", "six_long"): (2.4, 2.8),
}
steps = {
    "p1": (
        ("three", 0.4),
        ("three", 0.6),
        ("four", 0.6),
        ("four", 0.8),
        *(("six", step) for step in (1.0, 1.2, 1.4, 1.6)),
    ),
    "p2": (
        ("three", 0.8),
        ("four_long", 1.6),
        ("five", 2.0),
        ("four_long", 2.0),
        ("four_long", 2.4),
        *(("six_long", step) for step in (2.8, 3.2, 4.0, 4.8)),
    ),
}
pictures = {
    "linear": Linear,
    "parabola": Parabola,
    "weno": WenoParabola,
    "hybrid": HybridParabola,
    "sub_cell": SubCellShocks,
}

# Data

stores = {}
for problem in ("p1", "p2"):
    config = load_config(
        problem,
        [
            f"data.averages={sorted({*grids, fine})}",
            "data.values=[]",
            "data.training=1",
            "data.validation=1",
            f"data.test={samples}",
        ],
    )
    run = study.folder / problem
    if not store_path(run, "test", fine, averages=True).exists():
        generate(config, run, overwrite=True)
    for points in {*grids, fine}:
        store = read_trajectories(store_path(run, "test", points, averages=True))
        stores[problem, points] = config, store

# Methods


def error(
    picture: Picture, problem: str, splitting: Splitting, step: float, nodes: int | None
) -> float:
    """Relative L2 error at the stored times that are multiples of the step."""
    _, store = stores[problem, picture.grid.shape[-1]]
    interval = float(store["time"][1] - store["time"][0])
    # The fewest steps that end at a stored state.
    count = next(
        n
        for n in range(1, 10)
        if math.isclose(n * step / interval, round(n * step / interval))
    )
    reference = torch.tensor(store["u"].values)[:, :: round(count * step / interval)]
    with torch.no_grad():
        u = rollout(
            picture,
            reference[:, 0],
            torch.arange(reference.shape[1], dtype=torch.float64) * count * step,
            forcing_of(store).on(grid_of(store), averages=True),
            integrator=ColeHopf(splitting, nodes=nodes),
            steps=count,
        )
    return float(relative_l2(u, reference).mean())


# Run

rows = []
for (problem, name), lengths in track(alone.items(), description="Splittings"):
    config, store = stores[problem, fine]
    method: Picture = WenoParabola(equation_of(config), grid_of(store))
    for step in lengths:
        splitting = splittings[name]
        found = error(method, problem, splitting, step, 4)
        drifts = len(splitting.drifts) / step
        rows.append(("splitting alone", problem, fine, name, step, drifts, found))
for (problem, points), (config, store) in track(
    sorted(stores.items(), key=lambda item: item[0]), description="Pictures"
):
    if points not in grids:
        continue
    for label, kind in pictures.items():
        method = kind(equation_of(config), grid_of(store))
        for name, step in steps[problem]:
            splitting = splittings[name]
            found = error(method, problem, splitting, step, None)
            drifts = len(splitting.drifts) / step
            rows.append((label, problem, points, name, step, drifts, found))
for path in sorted(study.options["operators"].glob("*.zarr")):
    operator, stored = load_operator(path)
    for regime in stored.attributes["regimes"]:
        problem, cells, trained = regime.split("-")
        points = int(cells)
        config, store = stores[problem, points]
        method = operator.on(grid_of(store), equation_of(config))
        for name, length in steps[problem]:
            if math.isclose(length, float(trained)):
                splitting = splittings[name]
                found = error(method, problem, splitting, length, None)
                drifts = len(splitting.drifts) / length
                label = path.name.removesuffix(".zarr")
                rows.append((label, problem, points, name, length, drifts, found))

# Tables

columns = {"picture": "", "problem": "", "cells": "{}", "splitting": ""}
columns |= {"step": "{:.3g}", "drifts a unit": "{:.3g}", "error": "{:.2g}"}
best: dict[str, float] = {}
for label, problem, points, _name, _step, drifts, found in rows:
    if label == "splitting alone" and drifts > 7.51:
        continue
    key = f"{label.replace(' ', '_')}_{problem}_{points}"
    best[key] = min(found, best.get(key, math.inf))
study.write(best, tables={"table": Rows(columns, rows)})
