"""Classical methods on P1 and P2, over several draws of forcings.

The error of a draw of 16 forcings varies, on fine grids by half of itself; only a mean
over draws says whether an implementation is right. Writes `runs/baselines/table.md`,
`table.csv` and `result.json`.

    python simulations/baselines.py [--quick]
"""

import math
from collections import defaultdict
from statistics import mean, stdev

from rich.progress import track

from stencilnet.discretizations import classical
from stencilnet.equations import equation_from_spec
from stencilnet.report import Rows, summarize
from stencilnet.storage import grid_of, read_trajectories
from stencilnet.study import Script, compare, generate, load_config, store_path

# Parameters

study = Script.parse(__file__, __doc__, quick="one draw, two grids")
draws = range(1 if study.quick else 4)
grids = (32, 64) if study.quick else (32, 64, 128, 256)
methods = ("weno_z", "weno_js", "muscl", "central_2", "central_4", "central_6")
# Relative L2 errors that independent implementations found.
known = {
    ("p2-stencil-net", "weno_z"): {32: 0.021, 64: 0.0091, 128: 0.0017, 256: 0.00012},
    ("p2-stencil-net", "muscl"): {32: 0.029, 64: 0.0125, 128: 0.0040, 256: 0.0010},
    ("p1", "weno_z"): {32: 0.053, 64: 0.017, 128: 0.013, 256: 0.0058},
    ("p1", "muscl"): {32: 0.053, 64: 0.018, 128: 0.0125, 256: 0.0072},
}

# Data and methods

errors: dict[tuple[str, str, int], list[float]] = defaultdict(list)
for problem in ("p2-stencil-net", "p1"):
    for draw in track(draws, description=problem):
        config = load_config(
            problem,
            [
                f"data.seed={1000 + draw}",
                "data.training=1",
                "data.validation=1",
                "data.test=16",
                f"data.averages={list(grids)}",
                "data.values=[]",
            ],
        )
        run = study.folder / f"{problem}-{draw}"
        if not store_path(run, "test", grids[-1], averages=True).exists():
            generate(config, run, overwrite=True)
        for points in grids:
            path = store_path(run, "test", points, averages=True)
            reference = read_trajectories(path)
            solvers = {
                name: classical(
                    name,
                    equation_from_spec(config.problem.equation),
                    grid_of(reference),
                )
                for name in methods
            }
            for row in summarize([compare(solvers, reference)]):
                errors[problem, row["method"], points].append(row["relative_l2"])

# Tables

rows: list[tuple[str, str, int, float, float | None, float | None, float | None]] = []
for (problem, method, points), sample in errors.items():
    expected = known.get((problem, method), {}).get(points)
    average = mean(sample)
    several = len(sample) > 1 and math.isfinite(average)
    spread = stdev(sample) if several else None
    ratio = average / expected if expected else None
    rows.append((problem, method, points, average, spread, expected, ratio))
columns = {"problem": "", "method": "", "points": "{}"}
numbers = dict.fromkeys(("mean", "spread", "known", "ratio"), "{:.3g}")
headline = {f"{problem}_{name}_{n}": error for problem, name, n, error, *_ in rows}
study.write(headline, tables={"table": Rows(columns | numbers, rows)})
