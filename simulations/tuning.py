"""Classical schemes with three free numbers, tuned on the training forcings.

MUSCL of the kappa family and WENO-Z with a free exponent, sensitivity and upwind share
are fitted to training trajectories of P1 on 64 and of P2 on 32 cells, the grids of the
learned operators, and judged on the test forcings beside the schemes that they began
with. `muscl_p1`, `weno_z_p1` and so on of `CLASSICAL` have what it finds. Writes
`runs/tuning/table.md` and `result.json`.

    python simulations/tuning.py [--quick]
"""

from functools import partial
from typing import Any

import torch

from stencilnet.discretizations import BlendedWeno, Kappa
from stencilnet.report import Rows
from stencilnet.solver import SSPRK3
from stencilnet.study import Script, equation_of, generate, load_config, read_split
from stencilnet.study.timing import measure
from stencilnet.study.tuning import tune
from stencilnet.study.windows import Trajectories

# Parameters

study = Script.parse(__file__, __doc__, quick="two forcings and ten evaluations")
samples, evaluations = (2, 10) if study.quick else (6, 50)
# Names of configs, cells, and how long the trajectories are.
problems = {"p1": ("p1", 64, 10), "p2": ("p2-stencil-net", 32, 20)}
schemes: dict[str, tuple[Any, dict[str, float], dict[str, tuple[float, float]]]] = {
    "muscl": (
        Kappa,
        {"kappa": 1 / 3, "behind": 1.0, "ahead": 1.0},
        {"kappa": (-1.0, 1.0), "behind": (0.5, 4.0), "ahead": (0.5, 2.0)},
    ),
    "weno_z": (
        BlendedWeno,
        {"exponent": 2.0, "sensitivity": 1.0, "upwind": 0.1},
        {"exponent": (1.0, 3.0), "sensitivity": (0.0, 4.0), "upwind": (0.0, 0.25)},
    ),
}
# Step as a share of the stable one of the scheme that the search begins with.
share, viscous_order = 0.6, 4

# Run

rows, result = [], {}
for name, (source, points, duration) in problems.items():
    config = load_config(
        source,
        [
            f"problem.duration={duration}",
            f"data.training={samples}",
            "data.validation=1",
            f"data.test={2 * samples}",
            f"data.averages=[{points}]",
            "data.values=[]",
        ],
    )
    run = study.folder / name
    generate(config, run, overwrite=True)
    learning, test = (
        Trajectories.of(
            read_split(config, run, split, points, averages=True), torch.float64
        )
        for split in ("training", "test")
    )
    for scheme, (kind, start, bounds) in schemes.items():
        build = partial(
            kind, equation_of(config), learning.grid, viscous_order=viscous_order
        )
        step = share * build(**start).stable_step(learning.u, SSPRK3)
        tuning = tune(
            build, start, bounds, learning, step=step, evaluations=evaluations
        )
        before, after = (
            measure(
                scheme,
                build(**numbers),
                test,
                integrator=SSPRK3,
                step=step,
                compile=False,
                repeats=0,
            ).error
            for numbers in (start, tuning.numbers)
        )
        values = ", ".join(
            f"{key} {value:.3f}" for key, value in tuning.numbers.items()
        )
        rows.append((name, scheme, values, tuning.before, tuning.error, before, after))
        result[f"{name}_{scheme}"] = {"numbers": tuning.numbers, "test": after}

# Tables

columns = {
    **dict.fromkeys(("problem", "scheme", "numbers"), ""),
    **dict.fromkeys(
        ("training, before", "training, after", "test, before", "test, after"), "{:.3g}"
    ),
}
study.write(result, tables={"table": Rows(columns, rows)})
