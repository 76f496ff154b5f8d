"""Total variation beside other filters, on trajectories with shocks.

Noise of 0.05, 0.1 and 0.3 standard deviations on states of P1; every filter but total
variation has its best setting for the clean states, total variation the weight that
SURE chooses without them. Writes the errors of `u` and `u_x` (Markdown), a figure for
each noise, and `result.json`, which says which filter has the least error of what, to
`runs/filters/`. Wavelets need PyWavelets (`pip install stencilnet[studies]`).

    python simulations/filters.py [--quick]
"""

import argparse
import time
from pathlib import Path

from rich.progress import track

from stencilnet import denoise, generate, load_config
from stencilnet.denoising import available_filters
from stencilnet.report import (
    LABELS,
    denoising_figure,
    save,
    write_json,
)
from stencilnet.report.denoising import winners
from stencilnet.study.filters import compare_denoisers

# Parameters

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--quick", action="store_true", help="two trajectories, 64 cells")
parser.add_argument("--run", type=Path, default=Path("runs/filters"))
arguments = parser.parse_args()
noises = (0.05, 0.1, 0.3)
cells = 64 if arguments.quick else 128
config = load_config(
    "p1",
    [
        "data.training=1",
        "data.validation=1",
        f"data.test={2 if arguments.quick else 16}",
        f"data.averages=[64,{cells}]",
        "data.values=[64]",
        "comparison.points=[64]",
    ],
)

# Data

begin = time.perf_counter()
generate(config, arguments.run, overwrite=True)
store = arguments.run / f"data/test/averages-{cells}.zarr"

# Filters

compared = {}
for noise in track(noises, description="Filters"):
    noisy = arguments.run / f"noise-{noise:g}.zarr"
    denoise(store, noisy, noise=noise, overwrite=True)
    compared[noise] = compare_denoisers(noisy)

# Table

names = ["none", *available_filters(), "total_variation"]
text = [
    "| | " + " | ".join(f"{noise:g}" for noise in noises) + " |",
    "| --- |" + " ---: |" * len(noises),
]
for name in names:
    cells_of_row = []
    for noise in noises:
        error = compared[noise]["error"].sel(filter=name)
        u, slope = (float(error.sel(quantity=quantity)) for quantity in ("u", "u_x"))
        cells_of_row.append(f"{u:.3g} ({slope:.2g})")
    text.append(f"| {LABELS[name]} | " + " | ".join(cells_of_row) + " |")
table = arguments.run / "table.md"
table.write_text("\n".join(text) + "\n", encoding="utf-8")

# Plot

paths = [
    path
    for noise in noises
    for path in save(denoising_figure(compared[noise]), arguments.run / f"{noise:g}")
]
result = write_json(
    {
        "seconds": round(time.perf_counter() - begin, 1),
        "least": {f"{noise:g}": winners(compared[noise]) for noise in noises},
        "settings": {
            f"{noise:g}": dict(
                zip(names, map(str, compared[noise]["setting"].values), strict=True)
            )
            for noise in noises
        },
    },
    arguments.run / "result.json",
    overwrite=True,
)
print("\n".join(text))
for noise in noises:
    print(f"noise {noise:g}: {winners(compared[noise])}")
for path in (table, *paths, result):
    print(f"wrote {path}")
