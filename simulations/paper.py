"""The paper on one page: its Tables 1 to 6 and Figures 1 to 8, its numbers beside ours.

Runs the studies `denoising.py`, `denoising_layers.py` and `reconstruction.py`. Writes
`page.html`, which opens from disk and asks nothing from outside, `page.md` and
`result.json` to `runs/paper/`; what the studies wrote lies beside them. Ratios are
ours over the paper's, for losses of draws that the paper does not give; the factor that
a layer gains does not depend on these. The paper is that of Dasgupta Chaudhuri and
Maddu, see `docs/method.md`.

    python simulations/paper.py [--quick]
"""

import base64
import csv
import html
import itertools
import math
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from markdown_it import MarkdownIt
from matplotlib.figure import Figure

from stencilnet.report import WIDTH, Rows, package_style, save
from stencilnet.report.results import write_page
from stencilnet.study import Script

# Parameters

study = Script.parse(__file__, __doc__, quick="the quick form of each study")
studies = ("denoising", "denoising_layers", "reconstruction")
HERE = Path(__file__).parent
GAPS = {"", "nan"}
READINGS = """
- **Noise of the cosines** ("random covariance"): covariance `c level**2 A A.T` with a
  normal 100 x 100 matrix `A` and `c` = 1.25, cosines of one to two periods and random
  phase. It gives the sizes of Table 1 and of Table 3.
- **l2 norm** of Tables 1 and 2: the norm of the differences, not its square.
- **Constraint of Eq. (12)**: degenerate as printed. *Soft* minimizes
  `mu |z - xi|**2 + |D z - beta|**2` with `mu` learned; *hard* takes the nearest `z`
  with `D z = beta`. On two points two conditions leave the hard one nothing to learn.
- **Moments**: all from 0 to `l + r - 1`. Eq. (11) drops the zeroth for even `l`, which
  leaves constants in a derivative.
- **Order of the forcing's waves**, Eq. (13): from {2, 3, 4, 5}.
- **Batches** of Tables 5 and 6: none is named; one update per epoch gives its losses.
- **Seconds** are of one core here, and of the paper's unnamed machine there; ours of a
  search leave out compiling, once.
"""

# Run

begin = time.perf_counter()
for name in studies:
    command = [sys.executable, str(HERE / f"{name}.py"), "--run"]
    command += [str(study.folder / name), *(["--quick"] if study.quick else [])]
    subprocess.run(command, check=True)


# Tables


def read(name: str, table: str) -> list[dict[str, str]]:
    """Rows of a table that a study wrote."""
    text = (study.folder / name / f"{table}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def number(row: dict[str, str], key: str) -> float:
    """A cell, not a number where it is empty."""
    return math.nan if row[key] in GAPS else float(row[key])


def compared(
    rows: list[dict[str, str]],
    settings: list[str],
    quantity: str = "test loss",
    *,
    ours: str | None = None,
) -> Rows:
    """Ours, in the column `ours`, beside the paper's where it has a number."""
    columns = dict.fromkeys(settings, "")
    columns |= dict.fromkeys((quantity, f"paper: {quantity}", "ours / paper"), "{:.3g}")
    # The quick form has fewer epochs and says nothing about times.
    timed = () if study.quick else ("seconds", "paper: seconds", "times faster")
    columns |= dict.fromkeys(timed, "{:.3g}")
    lines = []
    for row in rows:
        found = number(row, ours or quantity)
        theirs = number(row, f"paper: {quantity}")
        seconds, longer = number(row, "seconds"), number(row, "paper: seconds")
        if math.isfinite(theirs):
            times = (seconds, longer, longer / seconds if seconds else math.nan)
            names = [row[key] for key in settings]
            line = (*names, found, theirs, found / theirs, *times)
            lines.append(line[: len(columns)])
    return Rows(columns, lines)


penalties = read("denoising", "tables-1-2")
layers = read("denoising_layers", "tables-3-4")
stencils = read("reconstruction", "table")
gains = [row for row in layers if row["model"] == "linear + layer"]
constrained = [row for row in stencils if row["model"] != "unconstrained"]
families = {
    "cosine": ("cosines", "0.1"),
    "piecewise": ("piecewise constant signals", "5"),
}
sections: list[tuple[str, Rows]] = [
    (
        f"Table {1 + index}. Penalties on {words}, noise {noise}",
        compared([r for r in penalties if r["signals"] == kind], ["penalty", "order"]),
    )
    for index, (kind, (words, noise)) in enumerate(families.items())
]
sections += [
    (
        f"Table {3 + index}. A linear layer, and total variation behind it, on {words}",
        compared([r for r in layers if r["signals"] == kind], ["noise", "model"]),
    )
    for index, (kind, (words, _)) in enumerate(families.items())
]
sections += [
    ("Tables 3 and 4. Loss with the layer over loss without",
     compared(gains, ["signals", "noise"], "ratio")),
    ("Tables 5 and 6. Stencils that reconstruct the forcing",
     compared(stencils, ["row", "stencil", "hidden", "share", "model"])),
    ("Tables 5 and 6. Loss with the constraint over loss without",
     compared(constrained, ["row", "model"], "ratio", ours="ratio of means")),
]  # fmt: skip

# Figures


def network_figure() -> Figure:
    """Figure 6: the network of Table 5, from two values to two coefficients."""
    layers = {"values": 2, "linear, ELU": 8, "linear, ELU ": 2, "layer": 2}
    places = [
        [(column, y) for y in np.arange(size) - (size - 1) / 2]
        for column, size in enumerate(layers.values())
    ]
    with package_style():
        figure = Figure(figsize=(WIDTH / 2, 2.2), layout="constrained")
        axis = figure.subplots()
        for left, right in itertools.pairwise(places):
            for (x, y), (u, v) in ((a, b) for a in left for b in right):
                axis.plot([x, u], [y, v], color="#999999", linewidth=0.4, zorder=0)
        axis.scatter(*np.concatenate(places).T, color="#0072B2", zorder=1)
        for column, name in enumerate(layers):
            axis.annotate(name.strip(), (column, 4.2), ha="center")
        axis.set_ylim(-4.2, 4.8)
        axis.set_axis_off()
    return figure


captions = {
    "denoising_layers/figure-1-cosine": "Figure 1. Predictions of a cosine",
    "denoising_layers/figure-2-piecewise": (
        "Figure 2. Predictions of a piecewise constant signal"
    ),
    "denoising_layers/figure-3-weights": "Figure 3. Learned weights and biases",
    "reconstruction/figure-4-stencil": "Figure 4. A stencil",
    "reconstruction/figure-5-forcing": "Figure 5. The forcing at t = 0",
    "figure-6-network": "Figure 6. The network of Table 5",
    "reconstruction/figure-7-reconstruction": "Figure 7. Reconstructions",
    "reconstruction/figure-8-sums": "Figure 8. Sums of the coefficients",
}
save(network_figure(), study.folder / "figure-6-network")

# Page

seconds = time.perf_counter() - begin
title = "Differentiable optimisation layers: the paper's numbers beside ours"
text = f"# {title}\n\nRun in {seconds:.0f} seconds"
text += (
    ", in the quick form: compare its shape, not its losses.\n" * study.quick or ".\n"
)
for heading, rows in sections:
    text += f"\n## {heading}\n\n{rows.markdown()}"
text += f"\n## What was read how\n{READINGS}"
page = MarkdownIt("commonmark").enable("table").render(text)
for name, caption in captions.items():
    image = (study.folder / f"{name}.png").read_bytes()
    source = f"data:image/png;base64,{base64.b64encode(image).decode()}"
    page += f'<figure><img alt="{html.escape(caption)}" src="{source}">'
    page += f"<figcaption>{html.escape(caption)}</figcaption></figure>\n"
    text += f"\n![{caption}]({name}.png)\n"
style = """:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: auto;
  padding: 1rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { padding: .2rem .6rem; border-bottom: 1px solid #767676; text-align: left; }
h1, h2 { line-height: 1.2; }
figure { background: #fff; color: #1b1b1b; margin: 1rem 0; padding: .5rem; }
img { max-width: 100%; } figure, table { break-inside: avoid; }"""
head = '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
head += '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
head += '<meta name="generator" content="stencilnet">\n'
head += f"<title>{title}</title>\n<style>{style}</style>\n</head>\n<body>\n"
write_page(
    f"{head}{page}</body>\n</html>\n", study.folder / "page.html", overwrite=True
)
shares = {
    f"{row['signals']}_{float(row['noise']):g}": number(row, "ratio") for row in gains
}
shares |= {f"{r['row']}_{r['model']}": number(r, "ratio of means") for r in constrained}
study.write({"seconds": round(seconds, 1), "gains": shares}, tables={"page": text})
