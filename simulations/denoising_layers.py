"""Denoising inside a network: Tables 3 and 4 of the paper's section 3.1.

A linear layer alone, with the best penalty behind it (its weight fixed, or learned as
well), and the penalty alone, at three noise levels. Writes both tables (Markdown and
CSV), Figures 1 to 3, the losses of every epoch (`losses.zarr`) and `result.json` to
`runs/denoising_layers/`. `simulations/denoising.py` searches the penalties.

    python simulations/denoising_layers.py [--quick] [--seeds 5] [--factor 1.25]
"""

import functools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from matplotlib.figure import Figure
from rich.progress import track
from torch import Tensor, nn

from stencilnet.denoising import TotalVariation, search_weight
from stencilnet.denoising.examples import noisy_cosines, noisy_levels
from stencilnet.report import WIDTH, Rows, package_style
from stencilnet.storage import save_dataset
from stencilnet.study import Script

# Parameters

study = Script.parse(
    __file__,
    __doc__,
    quick="one seed, three epochs",
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
epochs = 3 if study.quick else 100
signals, training_size, points = 600, 540, 100
batch, learning_rate = 10, 1e-4
weights_tried = np.linspace(0, 50, 20)


@dataclass(frozen=True)
class Family:
    """A family of signals, and what the paper measured.

    Attributes:
        draw: clean and noisy signals from a generator, their number and length, and a
            noise level.
        order: of the differences that the paper trains with, in the norm `L1()`.
        levels: of the noise.
        shown: level of the figures.
        paper: test losses without and with the layer, and their seconds, per level.
    """

    draw: Callable[..., tuple[np.ndarray, np.ndarray]]
    order: int
    levels: tuple[float, ...]
    shown: float
    paper: tuple[tuple[float, float, float, float], ...]


families = {
    "cosine": Family(
        functools.partial(noisy_cosines, factor=factor), 3,
        (0.1, 0.05, 0.01), 0.1,
        ((0.0187, 0.0127, 16, 1851), (0.0080, 0.0048, 12, 1771),
         (0.0024, 0.0009, 11, 1516)),
    ),
    "piecewise": Family(
        noisy_levels, 1, (10, 5, 1), 5,
        ((92.0652, 75.6486, 12, 2317), (69.4389, 58.3109, 12, 2267),
         (60.7361, 53.7937, 11, 1248)),
    ),
}  # fmt: skip

# Model


class Denoiser(nn.Module):
    """A linear layer, a penalty, or one behind the other."""

    def __init__(self, *, linear: bool, layer: TotalVariation | None) -> None:
        super().__init__()
        self.linear = nn.Linear(points, points) if linear else nn.Identity()
        self.layer = nn.Identity() if layer is None else layer

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.layer(self.linear(x))
        return result


# Training


def train(
    model: Denoiser, noisy: Tensor, clean: Tensor, seed: int
) -> tuple[list[float], list[float], float]:
    """Training and test loss of each epoch, and seconds."""
    generator = torch.Generator().manual_seed(seed)
    parameters = list(model.parameters())
    optimizer = torch.optim.Adam(parameters, lr=learning_rate) if parameters else None
    known, unseen = slice(training_size), slice(training_size, None)
    training, test = [], []
    start = time.perf_counter()
    for _ in range(epochs if parameters else 1):
        total = 0.0
        shuffled = torch.randperm(training_size, generator=generator)
        for rows in torch.split(shuffled, batch):
            loss = (model(noisy[known][rows]) - clean[known][rows]).square().mean()
            if optimizer is not None:
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            total += float(loss.detach()) * len(rows) / training_size
        training.append(total)
        with torch.no_grad():
            error = (model(noisy[unseen]) - clean[unseen]).square().mean()
        test.append(float(error))
    missing = epochs - len(test)
    training += [training[-1]] * missing
    test += [test[-1]] * missing
    return training, test, time.perf_counter() - start


begin = time.perf_counter()
models = ("linear", "linear + layer", "linear + learned", "layer")
jobs = [
    (name, index, seed)
    for name, family in families.items()
    for index in range(len(family.levels))
    for seed in seeds
]
shape = (len(families), 3, len(models), len(seeds))
training_loss, test_loss = np.empty((*shape, epochs)), np.empty((*shape, epochs))
seconds_of, weight_of = np.empty(shape), np.full(shape, np.nan)
examples: dict[tuple[str, str], tuple[Denoiser, Tensor, Tensor]] = {}
for name, index, seed in track(jobs, description="Training"):
    family = families[name]
    level = family.levels[index]
    # The same draws at all levels.
    generator = np.random.default_rng([seed, len(name)])
    clean, noisy = family.draw(generator, signals, points, level=level)
    clean_signals, noisy_signals = (
        torch.from_numpy(array).float() for array in (clean, noisy)
    )
    best = search_weight(
        noisy[:training_size], clean[:training_size], weights_tried, order=family.order
    )
    weight = float(best.weight)
    place = (list(families).index(name), index)
    for m, kind in enumerate(models):
        torch.manual_seed(seed)
        learn = kind == "linear + learned"
        layer = None
        if kind != "linear":
            start_at = max(weight, 1e-2) if learn else weight
            layer = TotalVariation(start_at, order=family.order, learn=learn)
        model = Denoiser(linear=kind != "layer", layer=layer)
        curves = train(model, noisy_signals, clean_signals, seed)
        training_loss[(*place, m, seed)], test_loss[(*place, m, seed)] = curves[:2]
        seconds_of[(*place, m, seed)] = curves[2]
        if layer is not None:
            weight_of[(*place, m, seed)] = float(layer.weight.detach())
        if seed == 0 and level == family.shown:
            examples[name, kind] = (model, noisy_signals, clean_signals)
names = np.array(list(families), dtype=np.dtypes.StringDType())
history = xr.Dataset(
    {
        "training_loss": (("family", "level", "model", "seed", "epoch"), training_loss),
        "test_loss": (("family", "level", "model", "seed", "epoch"), test_loss),
        "seconds": (("family", "level", "model", "seed"), seconds_of),
        "weight": (("family", "level", "model", "seed"), weight_of),
    },
    coords={
        "family": names,
        "model": np.array(models, dtype=np.dtypes.StringDType()),
        "noise": (("family", "level"), [family.levels for family in families.values()]),
        "seed": list(seeds),
    },
    attrs={"batch": batch, "learning_rate": learning_rate},
)
save_dataset(history, study.folder / "losses.zarr", overwrite=True)

# Tables

columns = {"signals": "", "noise": "{:.3g}", "model": ""}
columns |= dict.fromkeys(
    (
        "weight",
        "train loss",
        "test loss",
        "spread",
        "ratio",
        "seconds",
        "paper: test loss",
        "paper: ratio",
        "paper: seconds",
    ),
    "{:.3g}",
)
rows: list[tuple[object, ...]] = []
headline: dict[str, float] = {}
final = history.isel(epoch=-1)
for number, (name, family) in enumerate(families.items()):
    for index, level in enumerate(family.levels):
        losses = final.isel(family=number, level=index)
        alone = losses["test_loss"].sel(model="linear")
        for kind in models:
            one = losses.sel(model=kind)
            ratio = float((one["test_loss"] / alone).mean())
            # What the paper measured without and with the layer.
            reported: tuple[float, ...] = (math.nan,) * 3
            if kind in models[:2]:
                column, paper = models.index(kind), family.paper[index]
                loss, seconds = paper[column], paper[2 + column]
                reported = (loss, loss / paper[0], seconds)
            rows.append(
                (
                    name,
                    level,
                    kind,
                    float(one["weight"].mean()),
                    float(one["training_loss"].mean()),
                    float(one["test_loss"].mean()),
                    float(one["test_loss"].std()),
                    ratio,
                    float(one["seconds"].mean()),
                    *reported,
                )
            )
            if kind == "linear + layer":
                headline[f"table{3 + number}_{level:g}"] = ratio

# Plot

figures: dict[str, Figure] = {}
shown = ("linear", "linear + layer", "layer")
with package_style():
    for number, name in enumerate(families):
        figure = Figure(figsize=(WIDTH, 2.2), layout="constrained")
        axes = figure.subplots(1, 3, sharey=True)
        for axis, kind in zip(axes, shown, strict=True):
            model, noisy_signals, clean_signals = examples[name, kind]
            with torch.no_grad():
                y = model(noisy_signals[-1:])[0]
            axis.plot(noisy_signals[-1], ".", color="#999999", markersize=2)
            axis.plot(clean_signals[-1], color="black", label="clean")
            axis.plot(y, color="#D55E00", label="predicted")
            axis.set(title=kind, xlabel="point")
        axes[0].legend()
        figures[f"figure-{1 + number}-{name}"] = figure
    figure = Figure(figsize=(WIDTH, 2.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    parameters = examples["piecewise", "linear + layer"][0].linear.parameters()
    weights, biases = (parameter.detach().numpy() for parameter in parameters)
    limit = float(np.abs(weights).max())
    image = left.imshow(weights, cmap="RdBu_r", vmin=-limit, vmax=limit)
    figure.colorbar(image, ax=left)
    left.set_title("weights")
    right.hist(biases, bins=20, color="#0072B2")
    right.set(title="biases", xlabel="bias")
    figures["figure-3-weights"] = figure
study.write(
    {"seconds": round(time.perf_counter() - begin, 1), "factor": factor, **headline},
    tables={"tables-3-4": Rows(columns, rows)},
    figures=figures,
)
