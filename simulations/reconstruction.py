"""Order-0 operators learned from one function: the paper's section 3.2.

A small network reads the neighbours of a point and returns coefficients that should
reconstruct the value at the point, which the stencil leaves out. It is trained without
constraints, with the moment conditions as a soft and as a hard layer, and on request
with the hard layer through cvxpylayers, the paper's tool. Writes Tables 5 and 6
(Markdown, CSV), Figures 4, 5, 7 and 8, the losses of every epoch (`losses.zarr`) and
`result.json` to `runs/reconstruction/`.

    python simulations/reconstruction.py [--cvxpylayers] [--quick]
"""

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xarray as xr
from matplotlib.figure import Figure
from rich.progress import track
from torch import Tensor, nn

from stencilnet.forcing import RandomForcing
from stencilnet.report import WIDTH, Rows, package_style
from stencilnet.stencils import CoefficientLayer, Constraint, Projection, Soft
from stencilnet.storage import save_dataset
from stencilnet.study import Script

# Parameters

points, length = 200, 10.0
study = Script.parse(
    __file__,
    __doc__,
    quick="two seeds, ten epochs",
    options={
        "cvxpylayers": {
            "action": "store_true",
            "help": "train through cvxpylayers as well",
        },
        "batch-size": {
            "type": int,
            "default": points,
            "help": "points per update (default: all)",
        },
    },
)
seeds = range(2 if study.quick else 10)
epochs = 10 if study.quick else 100
# The paper names no batch size. One update per epoch gives losses of its size; with
# `--batch-size 10` the network learns consistent coefficients by itself.
batch_size = study.options["batch_size"]
learning_rate = 1e-3


@dataclass(frozen=True)
class Row:
    """A row of the paper's tables: its setting, and the paper's measurements.

    Attributes:
        offsets: offsets of the stencil, which leaves out the centre.
        order: accuracy order of the conditions. With as many as there are points the
            hard layer has no free parameter: its stencil is the classical one.
        hidden: units of the hidden layer.
        share: share of the points in the training set.
        paper: test losses without and with the constraint.
        paper_seconds: training times without and with the constraint.
    """

    offsets: tuple[float, ...]
    order: int
    hidden: int
    share: float
    paper: tuple[float, float]
    paper_seconds: tuple[float, float]


none = (math.nan, math.nan)
table_rows = {
    "table5_8": Row((-1, 1), 2, 8, 0.5, (0.0029827, 0.0013417), (1.3, 156.5)),
    "table5_16": Row((-1, 1), 2, 16, 0.5, (0.0015768, 0.0006396), (1.27, 153.0)),
    "table6_50": Row((-2, -1, 1, 2), 4, 16, 0.5, (0.000886, 0.0001417), (1.33, 153.0)),
    "table6_20": Row((-2, -1, 1, 2), 4, 16, 0.2, (0.00124, 0.0002201), (1.35, 133.8)),
    # Not in the paper: two conditions on four points leave two free parameters.
    "order2_50": Row((-2, -1, 1, 2), 2, 16, 0.5, none, none),
    "order2_20": Row((-2, -1, 1, 2), 2, 16, 0.2, none, none),
}
models = ["unconstrained", "soft", "hard"]
if study.options["cvxpylayers"]:
    from stencilnet.stencils.cvxpy_convex import CvxpyConvex

    models.append("cvxpylayers")

# Data


def function(seed: int) -> tuple[Tensor, Tensor]:
    """Points on [0, 10], and the forcing of Eq. (13) there at t = 0."""
    f = RandomForcing.sample(1, wavenumbers=(2, 3, 4, 5), seed=seed)
    x = torch.linspace(0, length, points, dtype=torch.float64)
    waves = f.amplitude * torch.sin(f.wavenumber * x.unsqueeze(-1) + f.phase)
    return x, waves.sum(-1)


def neighbours(values: Tensor, offsets: tuple[float, ...]) -> tuple[Tensor, Tensor]:
    """Values around, and at, each point whose stencil fits."""
    reach = int(max(offsets))
    inner = torch.arange(reach, points - reach)
    around = inner.unsqueeze(-1) + torch.tensor([int(s) for s in offsets])
    return values[around], values[inner]


# Model


class Reconstruction(nn.Module):
    """Linear, ELU, Linear, ELU, and a layer that constrains their output."""

    def __init__(self, row: Row, layer: CoefficientLayer | None, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        size = len(row.offsets)
        self.network = nn.Sequential(
            nn.Linear(size, row.hidden), nn.ELU(), nn.Linear(row.hidden, size), nn.ELU()
        )
        self.layer = layer

    def coefficients(self, around: Tensor) -> Tensor:
        xi: Tensor = self.network(around)
        if self.layer is None:
            return xi
        return self.layer(xi - self.layer.reference)

    def forward(self, around: Tensor) -> Tensor:
        return (self.coefficients(around) * around).sum(-1)


def make_layer(name: str, row: Row) -> CoefficientLayer | None:
    if name == "unconstrained":
        return None
    constraint: Constraint
    if name == "soft":
        constraint = Soft(row.order, math.inf, mu=0.1, learn_mu=True)
    elif name == "hard":
        constraint = Projection(row.order, math.inf)
    else:
        constraint = CvxpyConvex(row.order, math.inf)
    return constraint.layer(row.offsets, 0)


# Solve


def train(
    name: str, row: Row, seed: int
) -> tuple[Reconstruction, np.ndarray, np.ndarray, float]:
    """One training: the model, training and test loss per epoch, and seconds."""
    model = Reconstruction(row, make_layer(name, row), seed).double()
    around, target = neighbours(function(seed)[1], row.offsets)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(target), generator=generator)
    size = round(row.share * len(target))
    training_set, test_set = order[:size], order[size:]
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    begin = time.perf_counter()
    losses = []
    for _ in range(epochs):
        shuffled = training_set[torch.randperm(size, generator=generator)]
        for batch in torch.split(shuffled, batch_size):
            optimizer.zero_grad()
            loss = (model(around[batch]) - target[batch]).square().mean()
            if loss.requires_grad:
                loss.backward()
                optimizer.step()
        with torch.no_grad():
            squares = (model(around) - target).square()
        losses.append(
            [float(squares[part].mean()) for part in (training_set, test_set)]
        )
    seconds = time.perf_counter() - begin
    training, test = np.array(losses).T
    return model, training, test, seconds


begin = time.perf_counter()
cvxpylayers_seconds = 0.0  # Seconds of cvxpylayers, which the study's time leaves out.
shape = (len(table_rows), len(models), len(seeds))
training_loss = np.empty((*shape, epochs))
test_loss = np.empty((*shape, epochs))
seconds = np.empty(shape)
examples: dict[str, Reconstruction] = {}
jobs = [(r, m, s) for m in range(len(models)) for r in range(shape[0]) for s in seeds]
for r, m, s in track(jobs, description="Training"):
    (key, row), name = list(table_rows.items())[r], models[m]
    model, *losses, duration = train(name, row, s)
    training_loss[r, m, s], test_loss[r, m, s] = losses
    seconds[r, m, s] = duration
    cvxpylayers_seconds += duration if name == "cvxpylayers" else 0.0
    if key == "table6_20" and s == 0:
        examples[name] = model
losses_of = xr.Dataset(
    {
        "training_loss": (("row", "model", "seed", "epoch"), training_loss),
        "test_loss": (("row", "model", "seed", "epoch"), test_loss),
        "seconds": (("row", "model", "seed"), seconds),
    },
    coords={
        "row": np.array(list(table_rows), dtype=np.dtypes.StringDType()),
        "model": np.array(models, dtype=np.dtypes.StringDType()),
        "seed": list(seeds),
        "epoch": np.arange(1, epochs + 1),
    },
    attrs={"batch_size": batch_size, "learning_rate": learning_rate},
)
save_dataset(losses_of, study.folder / "losses.zarr", overwrite=True)

# Tables

final = losses_of.isel(epoch=-1)
mean, spread = final.mean("seed"), final.std("seed", ddof=1)
ratios = final["test_loss"] / final["test_loss"].sel(model="unconstrained")
columns = {"row": "", "stencil": "{}", "order": "{}", "hidden": "{}"}
columns |= {"share": "{:.3g}", "model": ""}
columns |= dict.fromkeys(
    (
        "train loss",
        "test loss",
        "spread",
        "ratio of means",
        "mean ratio",
        "worst ratio",
        "seconds",
        "paper: test loss",
        "paper: ratio",
        "paper: seconds",
    ),
    "{:.3g}",
)
rows: list[tuple[object, ...]] = []
headline: dict[str, dict[str, float]] = {}
for key, row in table_rows.items():
    free = float(mean["test_loss"].sel(row=key, model="unconstrained"))
    headline[key] = {}
    for name in models:
        selection = {"row": key, "model": name}
        loss = float(mean["test_loss"].sel(selection))
        constrained = int(name != "unconstrained")
        free_numbers = len(row.offsets) - row.order
        untrained = name in ("hard", "cvxpylayers") and not free_numbers
        if constrained:
            headline[key][name] = float(ratios.sel(selection).mean())
        rows.append(
            (
                key,
                len(row.offsets),
                row.order,
                row.hidden,
                row.share,
                f"{name}, not trained" if untrained else name,
                float(mean["training_loss"].sel(selection)),
                loss,
                float(spread["test_loss"].sel(selection)),
                loss / free,
                float(ratios.sel(selection).mean()),
                float(ratios.sel(selection).max()),
                float(mean["seconds"].sel(selection)),
                row.paper[constrained],
                row.paper[constrained] / row.paper[0],
                row.paper_seconds[constrained],
            )
        )

# Plot

figures: dict[str, Figure] = {}
colours = dict(zip(models, ("#D55E00", "#E69F00", "#0072B2", "#009E73"), strict=False))
x, values = function(0)
row = table_rows["table6_20"]
around, target = neighbours(values, row.offsets)
inner = x[2:-2]
with package_style():
    figure = Figure(figsize=(WIDTH / 2, 1.1), layout="constrained")
    axis = figure.subplots()
    reach = np.arange(-3, 4)
    axis.plot(reach, 0 * reach, "-", color="#999999", zorder=0)
    axis.scatter(reach, 0 * reach, c=["#0072B2" if j else "#D55E00" for j in reach])
    for j in reach:
        label = "x_p" if j == 0 else f"x_{{p{j:+d}}}"
        axis.annotate(
            f"${label}$", (j, 0), (0, 7), textcoords="offset points", ha="center"
        )
    axis.annotate("", (0, -0.4), (1, -0.4), arrowprops={"arrowstyle": "<->"})
    axis.annotate(r"$\Delta x$", (0.5, -0.8), ha="center")
    axis.set_ylim(-1, 1)
    axis.set_axis_off()
    figures["figure-4-stencil"] = figure

    figure = Figure(figsize=(WIDTH / 2, 2.2), layout="constrained")
    axis = figure.subplots()
    axis.plot(x, values, color="black")
    axis.set(xlabel="$x$", ylabel="$f(x, 0)$")
    figures["figure-5-forcing"] = figure

    figure = Figure(figsize=(WIDTH, 3.2), layout="constrained")
    sums = Figure(figsize=(WIDTH, 1.7), layout="constrained")
    shared: Any = {"sharex": True, "sharey": "row", "squeeze": False}
    panels = figure.subplots(2, len(models), height_ratios=(3, 2), **shared)
    sum_panels = sums.subplots(1, len(models), **shared)
    for name, (above, below), panel in zip(
        models, panels.T, sum_panels[0], strict=True
    ):
        with torch.no_grad():
            coefficients = examples[name].coefficients(around)
            prediction = (coefficients * around).sum(-1)
        above.plot(inner, target, color="black", label="$f$")
        above.plot(inner, prediction, "--", color=colours[name], label="reconstructed")
        above.set_title(
            f"{name}\nMSE {float((prediction - target).square().mean()):.1e}"
        )
        below.semilogy(inner, (prediction - target).abs(), color=colours[name])
        below.set_xlabel("$x$")
        panel.plot(inner, coefficients.sum(-1), color=colours[name])
        panel.axhline(1, color="black", linewidth=0.6, linestyle=":")
        panel.set(title=name, xlabel="$x$")
    panels[0, 0].set_ylabel("$f(x, 0)$")
    panels[1, 0].set_ylabel("error")
    sum_panels[0, 0].set_ylabel("sum of coefficients")
    figures["figure-7-reconstruction"] = figure
    figures["figure-8-sums"] = sums
study.write(
    {
        "seconds": round(time.perf_counter() - begin - cvxpylayers_seconds, 1),
        **headline,
    },
    tables={"table": Rows(columns, rows)},
    figures=figures,
)
