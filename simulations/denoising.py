"""Total-variation denoising inside a network: the paper's section 3.1.

Tables 1 and 2: six penalties, their one weight searched on a grid against the clean
training signals. Tables 3 and 4: a linear layer alone, with the best penalty behind it
(its weight fixed, or learned as well), and the penalty alone, at three noise levels.
Writes the tables (Markdown and CSV), Figures 1 to 3, the losses of every epoch
(`losses.zarr`) and `result.json` to `runs/denoising/`.

    python simulations/denoising.py [--quick] [--seeds 5]
"""

import argparse
import csv
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from matplotlib.figure import Figure
from rich.progress import track
from torch import Tensor, nn

from stencilnet.denoising import (
    L1,
    L2,
    Penalty,
    TotalVariation,
    denoise_signals,
    search_weight,
)
from stencilnet.report import WIDTH, package_style, save, write_json
from stencilnet.storage import new_store, write_dataset

# Parameters

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--quick", action="store_true", help="one seed, three epochs")
parser.add_argument("--seeds", type=int, default=5)
parser.add_argument("--run", type=Path, default=Path("runs/denoising"))
arguments = parser.parse_args()
torch.set_num_threads(1)
seeds = range(1 if arguments.quick else arguments.seeds)
epochs = 3 if arguments.quick else 100
signals, learned_from, points = 600, 540, 100
batch, learning_rate = 10, 1e-4
tried = np.linspace(0, 50, 20)
penalties: list[tuple[Penalty, int]] = [
    (L1(), 1), (L1(), 2), (L1(), 3), (L2(), 1), (L2(), 2), (L2(), 3),
]  # fmt: skip


@dataclass(frozen=True)
class Family:
    """A family of signals, and what the paper found.

    Attributes:
        draw: clean signals and noise of level 1 from a generator, `(signal, point)`.
        scale: what the noise of level 1 is multiplied by, a function of the level.
        best: penalty and order that the paper found best, and uses for training.
        levels: of the noise, the one of the search in the middle of Table 2 first.
        searched: level of the noise in the search.
        paper_search: best test losses of the six penalties, and seconds of the search.
        paper_training: test losses without and with the layer, and their seconds.
    """

    draw: Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray]]
    scale: Callable[[float], float]
    best: tuple[Penalty, int]
    levels: tuple[float, ...]
    searched: float
    paper_search: tuple[tuple[float, float], ...]
    paper_training: tuple[tuple[float, float, float, float], ...]


# Data


def cosines(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Pieces of cosines, and noise of a random covariance with variance 1 in the mean.

    The paper does not give its draws. A covariance `A A.T` with `A` uniform in [0, 1],
    three quarters of which move a signal as a whole, and a quarter to three quarters of
    a period in each signal lead to losses and weights of the size that it reports.
    """
    t = np.linspace(0, 1, points)
    periods = generator.uniform(0.25, 0.75, (signals, 1))
    phase = generator.uniform(0, 2 * math.pi, (signals, 1))
    mixing = generator.uniform(0, 1, (points, points))
    mixing /= np.sqrt((mixing**2).sum(0).mean())
    noise = generator.standard_normal((signals, points)) @ mixing
    return np.cos(2 * math.pi * periods * t + phase), noise


def levels(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Constants between 10 and 100 over 4 to 8 pieces, and independent noise."""
    clean = np.empty((signals, points))
    for signal in clean:
        cuts = generator.choice(np.arange(1, points), generator.integers(3, 8), False)
        lengths = np.diff([0, *np.sort(cuts), points])
        signal[:] = np.repeat(generator.uniform(10, 100, len(lengths)), lengths)
    return clean, generator.standard_normal((signals, points))


families = {
    # The paper's losses fall in proportion to the level: it scales the covariance.
    "cosine": Family(
        cosines, math.sqrt, (L1(), 3), (0.1, 0.05, 0.01), 0.1,
        ((0.1354, 77), (0.0833, 84), (0.0796, 120),
         (0.0934, 64), (0.0903, 65), (0.1355, 66)),
        ((0.0187, 0.0127, 16, 1851), (0.0080, 0.0048, 12, 1771),
         (0.0024, 0.0009, 11, 1516)),
    ),
    "piecewise": Family(
        levels, float, (L1(), 1), (10, 5, 1), 5,
        ((4.7051, 201), (10.0671, 250), (13.8286, 269),
         (24.8718, 169), (25.117, 182), (23.8416, 186)),
        ((92.0652, 75.6486, 12, 2317), (69.4389, 58.3109, 12, 2267),
         (60.7361, 53.7937, 11, 1248)),
    ),
}  # fmt: skip


def make(name: str, level: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Clean and noisy signals; the noise of all levels is the same up to its size."""
    clean, noise = families[name].draw(np.random.default_rng([seed, len(name)]))
    return clean, clean + families[name].scale(level) * noise


def mse(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.mean((one - other) ** 2))


# Tables 1 and 2: search

begin = time.perf_counter()
denoise_signals(np.zeros((1, points)), 1.0, order=2)  # Loads, or compiles, the kernels.
compiled = time.perf_counter() - begin
search_lines: list[list[object]] = []
headline: dict[str, str | float] = {}
search_seconds = 0.0
for name, family in families.items():
    losses: dict[tuple[Penalty, int], list[tuple[float, float, float, float]]] = {}
    for seed in track(seeds, description=f"Search, {name}"):
        clean, noisy = make(name, family.searched, seed)
        for penalty, order in penalties:
            start = time.perf_counter()
            found = search_weight(
                noisy[:learned_from],
                clean[:learned_from],
                tried,
                order=order,
                penalty=penalty,
            )
            seconds = time.perf_counter() - start
            unseen = slice(learned_from, None)
            weight = float(found.weight)
            y = denoise_signals(
                noisy[unseen], weight, order=order, penalty=penalty
            ).signal
            losses.setdefault((penalty, order), []).append(
                (weight, float(found.curve.min()), mse(y, clean[unseen]), seconds)
            )
    means = {key: np.mean(values, axis=0) for key, values in losses.items()}
    search_seconds += sum(float(mean[3]) for mean in means.values())
    winner = min(means, key=lambda key: means[key][2])
    headline[f"best_{name}"] = f"{winner[0].kind} order {winner[1]}"
    for (key, mean), (loss, took) in zip(
        means.items(), family.paper_search, strict=True
    ):
        spread = np.std([value[2] for value in losses[key]])
        search_lines.append(
            [name, key[0].kind, key[1], *mean[:3], spread, mean[3], loss, took]
        )

# Tables 3 and 4: training


class Denoiser(nn.Module):
    """A linear layer, a penalty, or one behind the other."""

    def __init__(self, *, linear: bool, layer: TotalVariation | None) -> None:
        super().__init__()
        self.linear = nn.Linear(points, points) if linear else nn.Identity()
        self.layer = nn.Identity() if layer is None else layer

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.layer(self.linear(x))
        return result


def train(
    model: Denoiser, noisy: Tensor, clean: Tensor, seed: int
) -> tuple[list[float], list[float], float]:
    """Training and test loss of each epoch, and seconds."""
    generator = torch.Generator().manual_seed(seed)
    parameters = list(model.parameters())
    optimizer = torch.optim.Adam(parameters, lr=learning_rate) if parameters else None
    known, unseen = slice(learned_from), slice(learned_from, None)
    training, test = [], []
    start = time.perf_counter()
    for _ in range(epochs if parameters else 1):
        total = 0.0
        shuffled = torch.randperm(learned_from, generator=generator)
        for rows in torch.split(shuffled, batch):
            loss = (model(noisy[known][rows]) - clean[known][rows]).square().mean()
            if optimizer is not None:
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            total += float(loss.detach()) * len(rows) / learned_from
        training.append(total)
        with torch.no_grad():
            error = (model(noisy[unseen]) - clean[unseen]).square().mean()
        test.append(float(error))
    missing = epochs - len(test)
    training += [training[-1]] * missing
    test += [test[-1]] * missing
    return training, test, time.perf_counter() - start


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
kept: dict[tuple[str, str], tuple[Denoiser, Tensor, Tensor]] = {}
for name, index, seed in track(jobs, description="Training"):
    family = families[name]
    penalty, order = family.best
    level = family.levels[index]
    arrays = make(name, level, seed)
    clean_signals, noisy_signals = (torch.from_numpy(array).float() for array in arrays)
    best = search_weight(
        arrays[1][:learned_from],
        arrays[0][:learned_from],
        tried,
        order=order,
        penalty=penalty,
    )
    weight = float(best.weight)
    place = (list(families).index(name), index)
    for m, kind in enumerate(models):
        torch.manual_seed(seed)
        learn = kind == "linear + learned"
        layer = None
        if kind != "linear":
            start_at = max(weight, 1e-2) if learn else weight
            layer = TotalVariation(start_at, order=order, penalty=penalty, learn=learn)
        model = Denoiser(linear=kind != "layer", layer=layer)
        curves = train(model, noisy_signals, clean_signals, seed)
        training_loss[(*place, m, seed)], test_loss[(*place, m, seed)] = curves[:2]
        seconds_of[(*place, m, seed)] = curves[2]
        if layer is not None:
            weight_of[(*place, m, seed)] = float(layer.weight.detach())
        if seed == 0 and level == family.searched:
            kept[name, kind] = (model, noisy_signals, clean_signals)
names = np.array(list(families), dtype=np.dtypes.StringDType())
losses_of = xr.Dataset(
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
arguments.run.mkdir(parents=True, exist_ok=True)
with new_store(arguments.run / "losses.zarr", overwrite=True) as partial:
    write_dataset(losses_of, partial)

training_lines: list[list[object]] = []
final = losses_of.isel(epoch=-1)
for number, (name, family) in enumerate(families.items()):
    for index, level in enumerate(family.levels):
        of = final.isel(family=number, level=index)
        alone = of["test_loss"].sel(model="linear")
        for kind in models:
            row = of.sel(model=kind)
            with_layer = {"linear": 0, "linear + layer": 1}.get(kind)
            paper = family.paper_training[index]
            ratio = float((row["test_loss"] / alone).mean())
            training_lines.append(
                [
                    name,
                    level,
                    kind,
                    float(row["weight"].mean()),
                    float(row["training_loss"].mean()),
                    float(row["test_loss"].mean()),
                    float(row["test_loss"].std()),
                    ratio,
                    float(row["seconds"].mean()),
                    math.nan if with_layer is None else paper[with_layer],
                    math.nan if with_layer is None else paper[with_layer] / paper[0],
                    math.nan if with_layer is None else paper[2 + with_layer],
                ]
            )
            if kind == "linear + layer":
                headline[f"table{3 + number}_{level:g}"] = ratio

# Tables


def write_table(name: str, header: list[str], lines: list[list[object]]) -> str:
    def cell(value: object) -> str:
        if isinstance(value, float):
            return "" if math.isnan(value) else f"{value:.3g}"
        return str(value)

    text = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    text += ["| " + " | ".join(map(cell, line)) + " |" for line in lines]
    whole = "\n".join(text) + "\n"
    (arguments.run / f"{name}.md").write_text(whole, encoding="utf-8")
    with (arguments.run / f"{name}.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *lines])
    return whole


first = write_table(
    "tables-1-2",
    [
        "signals", "penalty", "order", "weight", "train loss", "test loss", "spread",
        "seconds", "paper: test loss", "paper: seconds",
    ],
    search_lines,
)  # fmt: skip
second = write_table(
    "tables-3-4",
    [
        "signals", "noise", "model", "weight", "train loss", "test loss", "spread",
        "ratio", "seconds", "paper: test loss", "paper: ratio", "paper: seconds",
    ],
    training_lines,
)  # fmt: skip

# Plot

figures: dict[str, Figure] = {}
shown = ("linear", "linear + layer", "layer")
with package_style():
    for number, name in enumerate(families):
        figure = Figure(figsize=(WIDTH, 2.2), layout="constrained")
        axes = figure.subplots(1, 3, sharey=True)
        for axis, kind in zip(axes, shown, strict=True):
            model, noisy_signals, clean_signals = kept[name, kind]
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
    parameters = kept["piecewise", "linear + layer"][0].linear.parameters()
    weights, biases = (parameter.detach() for parameter in parameters)
    limit = float(weights.abs().max())
    image = left.imshow(weights, cmap="RdBu_r", vmin=-limit, vmax=limit)
    figure.colorbar(image, ax=left)
    left.set_title("weights")
    right.hist(biases, bins=20, color="#0072B2")
    right.set(title="biases", xlabel="bias")
    figures["figure-3-weights"] = figure
paths = [
    path
    for name, figure in figures.items()
    for path in save(figure, arguments.run / name)
]
result = write_json(
    {
        "seconds": round(time.perf_counter() - begin, 1),
        "seconds_compiling": round(compiled, 1),
        "seconds_searching": round(search_seconds, 2),
        **headline,
    },
    arguments.run / "result.json",
    overwrite=True,
)
print(first)
print(second)
for path in (*paths, result):
    print(f"wrote {path}")
