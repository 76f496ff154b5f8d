"""Total variation beside other filters, on trajectories with shocks.

Noise of 0.05, 0.1 and 0.3 standard deviations on states of P1; every filter but total
variation has its best setting for the clean states, total variation the weight that
SURE chooses without them. Writes the errors of `u` and `u_x` (Markdown and CSV), a
figure for each noise, and `result.json`, which says which filter has the least error
of what, to `runs/filters/`. Wavelets need PyWavelets
(`pip install stencilnet[studies]`).

    python simulations/filters.py [--quick]
"""

import time

from rich.progress import track

from stencilnet.denoising import available_filters
from stencilnet.report import LABELS, Rows, denoising_figure
from stencilnet.report.denoising import winners
from stencilnet.study import Script, denoise, generate, load_config, store_path
from stencilnet.study.filters import compare_denoisers

# Parameters

study = Script.parse(__file__, __doc__, quick="two trajectories, 64 cells")
noises = (0.05, 0.1, 0.3)
cells = 64 if study.quick else 128
config = load_config(
    "p1",
    [
        "data.training=1",
        "data.validation=1",
        f"data.test={2 if study.quick else 16}",
        f"data.averages=[64,{cells}]",
        "data.values=[64]",
        "comparison.points=[64]",
    ],
)

# Data

begin = time.perf_counter()
generate(config, study.folder, overwrite=True)
store = store_path(study.folder, "test", cells, averages=True)

# Filters

compared = {}
for noise in track(noises, description="Filters"):
    noisy = study.folder / f"noise-{noise:g}.zarr"
    denoise(store, noisy, noise=noise, overwrite=True)
    compared[noise] = compare_denoisers(noisy)

# Table

names = ["none", *available_filters(), "total_variation"]
columns = {"filter": ""}
for noise in noises:
    columns |= {f"u, noise {noise:g}": "{:.3g}", f"u_x, noise {noise:g}": "{:.2g}"}
rows = [
    [
        LABELS[name],
        *(
            float(compared[noise]["error"].sel(filter=name, quantity=quantity))
            for noise in noises
            for quantity in ("u", "u_x")
        ),
    ]
    for name in names
]

# Plot

result = {
    "seconds": round(time.perf_counter() - begin, 1),
    "least": {f"{noise:g}": winners(compared[noise]) for noise in noises},
    "settings": {
        f"{noise:g}": dict(
            zip(names, map(str, compared[noise]["setting"].values), strict=True)
        )
        for noise in noises
    },
}
study.write(
    result,
    tables={"table": Rows(columns, rows)},
    figures={f"{noise:g}": denoising_figure(compared[noise]) for noise in noises},
)
