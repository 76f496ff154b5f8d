"""Errors of all methods against wall time, right-hand sides and unknowns.

P1 and P2 on 16 unseen forcings, batch 16, float32 states, one thread, all compiled but
for the spectral methods, whose complex transforms do not gain. Classical methods at
shares of their stable step, for "stable" is not accurate; exact evolution with several
splittings; operators at their own steps, medians over those of the package and what
`train_pictures.py --seed` left in `runs/train_pictures`. Moving cells are in float64,
start from the finest averages and are not compiled, which bounds their time from above;
tuned schemes and the constant stencil were not timed.

Speed-ups are at the error of the learned operator, against the front of each group of
opponents; so are the solves until data and training have paid off. Cases are kept in
`cases.jsonl` as they are measured: what was stopped goes on. Writes
`runs/pareto/table.md`, `verdict.md`, which says who wins where, `fronts.png` and
`result.json`.

    python simulations/pareto.py [--quick]
"""

import json
import math
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from rich.progress import track

from stencilnet.discretizations import MovingMesh, WenoParabola, classical
from stencilnet.forcing import RandomForcing
from stencilnet.grid import Grid
from stencilnet.report import LABELS
from stencilnet.report.fronts import fronts_figure
from stencilnet.solver import (
    ETDRK4,
    SIX_DRIFTS,
    SIX_LONG_DRIFTS,
    SSPRK3,
    THREE_DRIFTS,
    ColeHopf,
    Integrator,
    Splitting,
)
from stencilnet.storage import read_trajectories
from stencilnet.study import Config, Script, generate, load_config, store_path
from stencilnet.study.case_log import CaseLog, machine
from stencilnet.study.endurance import endurance
from stencilnet.study.expenses import constant_stencil, spent
from stencilnet.study.fronts import Case, errors
from stencilnet.study.operators import habits, load_operator, moved, pretrained
from stencilnet.study.problem import equation_of
from stencilnet.study.timing import measure, measure_moving_mesh
from stencilnet.study.verdicts import (
    EVALUATIONS,
    GROUPS,
    SECONDS,
    UNKNOWNS,
    advantages,
    lines_of_fronts,
    quickest,
    solves_until_paid,
    table_of,
    verdict,
)
from stencilnet.study.windows import Trajectories

# Parameters

study = Script.parse(
    __file__,
    __doc__,
    quick="two forcings, coarse grids, two timed runs",
    options={
        "operators": {"type": Path, "default": Path("runs/train_pictures")},
        "generalization": {"type": Path, "default": Path("runs/generalization")},
    },
)
samples, repeats, finest = (2, 2, 128) if study.quick else (16, 10, 1024)
names = {"p1": "p1", "p2": "p2-stencil-net"}
usual = {"p1": (64, 128, 256, 512), "p2": (32, 64, 128, 256)}
# Methods whose errors alone are measured, which saves an hour of compilation.
cells_only = ("weno_z_1", "weno_7", "teno_5", "muscl", "eno_subcell")
untimed = (
    *cells_only,
    *(f"{scheme}_{name}" for name in names for scheme in ("muscl", "weno_z")),
    *("dg7_split", "compact_6", "exact_weno", "constant"),
)
grids: dict[str, dict[str, tuple[int, ...]]] = {
    name: {
        "weno_z": (*numbers, 1024) if name == "p1" else numbers,
        "weno_9": numbers,
        "dg3_split": numbers[:3],
        "spectral": numbers[1:],
        **dict.fromkeys(cells_only, numbers[:2]),
        **dict.fromkeys((f"muscl_{name}", f"weno_z_{name}"), numbers[:3]),
        **dict.fromkeys(("dg7_split", "compact_6", "spectral_filtered"), numbers[1:2]),
    }
    for name, numbers in usual.items()
}
shares = (0.6, 0.4, 0.9)
spectral_steps = {"p1": (0.00625, 0.0125, 0.025), "p2": (0.05, 0.1)}
pictures = ("exact_parabola", "exact_weno", "exact_hybrid", "exact_subcell")
picture_grids = {"p1": (16, 32, 64, 128, 256), "p2": (16, 32, 64, 128)}
Choices = tuple[tuple[Splitting, float], ...]
# Steps of exact evolution without learning, and of learned pictures by their grids.
long = {"p1": SIX_DRIFTS, "p2": SIX_LONG_DRIFTS}
splittings: dict[str, Choices] = {
    "p1": ((THREE_DRIFTS, 0.4), *((long["p1"], step) for step in (0.8, 1.0, 1.6))),
    "p2": ((THREE_DRIFTS, 0.8), *((long["p2"], step) for step in (2.0, 2.8, 4.0))),
}
own_steps: dict[tuple[str, int], tuple[float, ...]] = {
    **{("p1", 128): (0.8,), ("p1", 64): (1.0, 1.2)},
    **{("p1", points): (1.4, 1.6) for points in (32, 16)},
    **{("p2", 64): (1.6, 2.0), ("p2", 32): (2.8, 3.2), ("p2", 16): (4.0, 4.8)},
}
mesh_grids = {"p1": (64, 128), "p2": (32, 64)}
# Where the best constant stencil is trained, on how many forcings.
constant_grids, learned_from = {"p1": 64, "p2": 32}, 4 if study.quick else 24


def stored_grids(name: str) -> list[int]:
    """Grids on which a problem is compared."""
    needed = {*picture_grids[name], *(n for ns in grids[name].values() for n in ns)}
    return sorted(n for n in needed if n <= finest)


def problem_of(
    name: str, points: int, *, averages: bool
) -> tuple[Config, Trajectories]:
    """Test trajectories of a problem on a grid, generated where they are missing."""
    kept = stored_grids(name)
    config = load_config(
        names[name],
        [
            "data.training=1",
            "data.validation=1",
            f"data.test={samples}",
            f"data.averages={kept}",
            f"data.values={[n for n in kept if 64 <= n <= 512]}",
        ],
    )
    run = study.folder / name
    path = store_path(run, "test", points, averages=averages)
    if not path.exists():
        generate(config, run, overwrite=True)
    return config, Trajectories.of(read_trajectories(path), torch.float64)


@cache
def constant_of(name: str) -> tuple[Path, float]:
    """Store of the best constant stencil, and seconds of data per trajectory."""
    points = constant_grids[name]
    overrides = [f"data.training={learned_from}", "data.validation=4", "data.test=1"]
    overrides += [f"data.averages=[{points}]", f"operator.points={points}"]
    overrides += ["training.iterations=80"] if study.quick else []
    run = study.folder / "constant" / name
    return constant_stencil(load_config(names[name], overrides), run)


# Run

cases: dict[str, dict[str, list[Case]]] = {
    name: {group: [] for group in GROUPS} for name in names
}
jobs: list[tuple[str, str, str, str | None, Callable[[], Case]]] = []
of_stores: dict[tuple[str, str | None], list[Case]] = {}


@cache
def prepared(name: str, label: str, points: int, path: str | None) -> tuple[Any, Any]:
    """A method, classical or from a store, and the problem that it solves."""
    config, problem = problem_of(name, points, averages=label != "spectral")
    grid, equation = problem.grid, equation_of(config)
    if path is None:
        return classical(label, equation, grid), problem
    return moved(load_operator(path)[0], grid, equation), problem


def add(
    place: tuple[str, str, str, int],
    integrator: Integrator,
    step: float | None = None,
    *,
    share: float = 1.0,
    path: str | None = None,
) -> None:
    """A case to measure; without a step, at a share of the stable one."""
    name, group, label, points = place

    def run() -> Case:
        method, problem = prepared(name, label, points, path)
        own = step or share * method.stable_step(problem.u, integrator)
        timed = label not in untimed and path in (None, label)
        measured = partial(measure, label, method, problem, integrator=integrator)
        return measured(step=own, compile=timed, repeats=repeats if timed else 0)

    if points <= finest:
        key = f"{place} {integrator} {step} {share} {path}"
        jobs.append((name, group, key, path, run))


def add_moving_mesh(name: str, points: int) -> None:
    """A case of as many moving cells, which start from the finest averages."""

    def run() -> Case:
        config, problem = problem_of(name, points, averages=True)
        fine = problem_of(name, stored_grids(name)[-1], averages=True)[1]
        settings: Any = {"share": 0.8, "compile": False, "repeats": repeats}
        waves: Any = problem.forcing
        mesh, u0 = MovingMesh(equation_of(config), problem.grid, waves), fine.u[:, 0]
        return measure_moving_mesh("moving_mesh", mesh, problem, u0, **settings)

    if points <= finest:
        jobs.append((name, "classical", f"{name} moving mesh {points}", None, run))


for name, methods in grids.items():
    for points in mesh_grids[name]:
        add_moving_mesh(name, points)
    store = str(constant_of(name)[0])
    place = (name, "classical", "constant", constant_grids[name])
    add(place, *habits(load_operator(store)[1]), path=store)
    for label, sizes in methods.items():
        for points in sizes:
            place = (name, "classical", label, points)
            if label.startswith("spectral"):
                for step in spectral_steps[name]:
                    add(place, ETDRK4, step)
            else:
                once = label in untimed or points > 256
                for share in shares[:1] if once else shares:
                    add(place, SSPRK3, share=share)
    for label in pictures:
        for points in picture_grids[name]:
            for splitting, step in splittings[name]:
                place = (name, "exact evolution", label, points)
                add(place, ColeHopf(splitting), step)
# Specialists, named after problem and grid, and the general operator.
folder = study.options["operators"]
stores = {
    label: [label, *map(str, sorted(folder.glob(f"{label}-seed*.zarr")))]
    for label in pretrained()
}
for label, path in ((label, path) for label, paths in stores.items() for path in paths):
    operator, stored = load_operator(path)
    if label.endswith("-flux"):
        place = (label.split("-")[1], "learned", label, operator.grid.shape[-1])
        add(place, *habits(stored), path=path)
        continue
    for (name, points), steps in own_steps.items():
        if label in ("burgers", f"burgers-{name}-{points}"):
            for step in steps:
                place = (name, "learned", label, points)
                add(place, ColeHopf(long[name]), step, path=path)
conditions = machine() | {"samples": samples, "repeats": repeats, "finest": finest}
log = CaseLog(study.folder / "cases.jsonl", conditions)
for name, group, key, source, run in track(jobs, description="Cases"):
    case = log.measured(key, run)
    cases[name][group].append(case)
    of_stores.setdefault((name, source), []).append(case)

# Errors


def over_seeds(name: str, label: str, points: int) -> float:
    """Median over an operator's trainings of the errors at their best steps."""
    found = [errors(of_stores.get((name, path), []), points) for path in stores[label]]
    return median(min(each, default=math.nan) for each in found)


result: dict[str, Any] = {}
for label in stores:
    if label != "burgers":
        _, name, size, *rest = label.split("-")
        key = f"{name}_{size}_{'flux' if rest else 'learned'}"
        result[key] = over_seeds(name, label, int(size))
for name, points in own_steps:
    result[f"general_{name}_{points}"] = over_seeds(name, "burgers", points)
for name, points in (("p1", 256), ("p1", 128), ("p1", 64), ("p2", 32)):
    found = errors(cases[name]["exact evolution"], points)
    result[f"classical_{name}_{points}"] = min(found, default=math.nan)
config, problem = problem_of("p1", min(finest, 512), averages=True)
result["splitting_p1"] = measure(
    "splitting",
    WenoParabola(equation_of(config), problem.grid),
    problem,
    integrator=ColeHopf(SIX_DRIFTS, nodes=4),
    step=0.8,
    dtype=torch.float64,
    compile=False,
    repeats=0,
).error

# Costs at equal error

paid: dict[str, dict[str, float]] = {name: {} for name in names}
for name, prefix, points in (("p1", "", 64), ("p2", "p2_", 32)):
    gains = advantages(cases[name], points)
    if own := quickest(cases[name]["learned"], points):
        cost = spent(own.method, constant_of(name)[1])
        paid[name] = solves_until_paid(cases[name], points, cost, samples)
    result |= {f"{prefix}{key}": value for key, value in (gains | paid[name]).items()}

# Stability and symmetry of the general operator, over a warm-up and five windows

picture = load_operator("burgers")[0].on(Grid.line(64), equation_of(config))
waves = RandomForcing.sample(
    4 if study.quick else 100, amplitude=0.5, wavenumbers=(3, 4, 5, 6), seed=4_000
)
result["blow_ups"], result["mirror"] = endurance(picture, waves, until=110)
elsewhere = study.options["generalization"] / "result.json"
if elsewhere.exists():
    known = json.loads(elsewhere.read_text(encoding="utf-8"))
    result |= {key: known[key] for key in ("worst_out_of_distribution_ratio",)}

# Tables and figures

costs = {"seconds": SECONDS, "evaluations per unit": EVALUATIONS, "unknowns": UNKNOWNS}
labels = {**LABELS, "moving_mesh": "moving mesh", "burgers": "general operator"}


def drawn_as(method: str) -> str:
    """What a figure calls a method, stencils and pictures of a kind being one."""
    if method.startswith("burgers-"):
        return "flux stencils" if method.endswith("-flux") else "specialists"
    return labels.get(method, method)


drawn = {
    name.upper(): lines_of_fronts(by_group, costs, drawn_as)
    for name, by_group in cases.items()
}
levels = {"p1": (0.01, 0.003, 0.001, 0.0003), "p2": (0.01, 0.003, 0.001, 0.0005)}
paragraph = "\n\n".join(
    verdict(name.upper(), by_group, levels[name], label=drawn_as, paid=paid[name])
    for name, by_group in cases.items()
)
bold = ["general operator", "specialists", "flux stencils"]
study.write(
    result,
    tables={"table": table_of(cases), "verdict": paragraph + "\n"},
    figures={"fronts": fronts_figure(drawn, highlight=bold)},
)
