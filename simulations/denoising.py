"""The penalty that denoises best: Tables 1 and 2 of the paper's section 3.1.

Six penalties on two families of signals; the one weight of each is searched on the
paper's grid against the clean training signals. Writes both tables (Markdown and CSV)
and `result.json`, with the ranking of the penalties and how often each comes first, to
`runs/denoising/`. `simulations/denoising_layers.py` trains with the best ones.

    python simulations/denoising.py [--quick] [--seeds 5] [--factor 1.25]
"""

import time

import numpy as np
from rich.progress import track

from stencilnet.denoising import L1, L2, Penalty, denoise_signals, search_weight
from stencilnet.denoising.examples import noisy_cosines, noisy_levels
from stencilnet.report import Rows
from stencilnet.study import Script

# Parameters

study = Script.parse(
    __file__,
    __doc__,
    quick="one seed",
    options={
        "seeds": {"type": int, "default": 5},
        "factor": {
            "type": float,
            "default": 1.25,
            "help": "of the covariance of the cosines' noise (default: %(default)s)",
        },
    },
)
factor = study.options["factor"]
seeds = range(1 if study.quick else study.options["seeds"])
signals, training, points = 600, 540, 100
weights = np.linspace(0, 50, 20)
penalties: list[tuple[Penalty, int]] = [
    (L1(), 1), (L1(), 2), (L1(), 3), (L2(), 1), (L2(), 2), (L2(), 3),
]  # fmt: skip
# Best test loss and seconds of each penalty, as the paper reports them.
paper = {
    "cosine": ((0.1354, 77), (0.0833, 84), (0.0796, 120),
               (0.0934, 64), (0.0903, 65), (0.1355, 66)),
    "piecewise": ((4.7051, 201), (10.0671, 250), (13.8286, 269),
                  (24.8718, 169), (25.117, 182), (23.8416, 186)),
}  # fmt: skip

# Search

begin = time.perf_counter()
denoise_signals(np.zeros((1, points)), 1.0, order=2)  # Loads, or compiles, the kernels.
compiling = time.perf_counter() - begin
shape = (len(paper), len(penalties), len(seeds))
weight, train_loss, test_loss, seconds = (np.empty(shape) for _ in range(4))
jobs = [(family, seed) for family in range(len(paper)) for seed in seeds]
for family, seed in track(jobs, description="Search"):
    name = list(paper)[family]
    generator = np.random.default_rng([seed, len(name)])
    if name == "cosine":
        clean, noisy = noisy_cosines(
            generator, signals, points, level=0.1, factor=factor
        )
    else:
        clean, noisy = noisy_levels(generator, signals, points, level=5.0)
    for index, (penalty, order) in enumerate(penalties):
        start = time.perf_counter()
        choice = search_weight(
            noisy[:training], clean[:training], weights, order=order, penalty=penalty
        )
        seconds[family, index, seed] = time.perf_counter() - start
        weight[family, index, seed] = choice.weight
        train_loss[family, index, seed] = choice.curve.min()
        y = denoise_signals(
            noisy[training:], float(choice.weight), order=order, penalty=penalty
        ).signal
        test_loss[family, index, seed] = np.mean((y - clean[training:]) ** 2)

# Tables

columns = {"signals": "", "penalty": "", "order": "{}"}
columns |= dict.fromkeys(("weight", "train loss", "test loss", "spread"), "{:.3g}")
columns |= {"first": "{}", "seconds": "{:.3g}"}
columns |= {"paper: test loss": "{:.3g}", "paper: seconds": "{}"}
rows: list[tuple[object, ...]] = []
rankings: dict[str, list[str]] = {}
for family, name in enumerate(paper):
    first = np.bincount(test_loss[family].argmin(0), minlength=len(penalties))
    mean = test_loss[family].mean(-1)
    rankings[name] = [
        f"{penalties[index][0].kind} order {penalties[index][1]}: {mean[index]:.4g}, "
        f"first in {first[index]} of {len(seeds)}"
        for index in np.argsort(mean)
    ]
    for index, (penalty, order) in enumerate(penalties):
        place = (family, index)
        rows.append(
            (
                name,
                penalty.kind,
                order,
                float(weight[place].mean()),
                float(train_loss[place].mean()),
                float(test_loss[place].mean()),
                float(test_loss[place].std()),
                int(first[index]),
                float(seconds[place].mean()),
                *paper[name][index],
            )
        )
study.write(
    {
        "seconds": round(time.perf_counter() - begin, 1),
        "seconds_compiling": round(compiling, 1),
        "seconds_searching": round(float(seconds.mean(-1).sum()), 2),
        "factor": factor,
        "ranking": rankings,
    },
    tables={"tables-1-2": Rows(columns, rows)},
)
