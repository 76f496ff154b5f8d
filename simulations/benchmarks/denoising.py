"""How exact and how fast denoising is, and how good SURE's choice of its weight.

On one thread, with medians of several runs:

- agreement with dense solvers (Clarabel at 1e-12 for `l1`, a root of one equation for
  `l2`, a linear system for `l2_squared`), and of gradients with central differences;
- times of order 1 against the number of points, of orders 2 and 3 for weights 1, 100
  and 5000, and of a layer's forward and backward pass beside cvxpylayers;
- the error with SURE's weight over the least error of any weight.

    python simulations/benchmarks/denoising.py [--json]
"""

import argparse
import json
import math
import time
import warnings
from collections.abc import Callable
from statistics import median

import cvxpy
import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from scipy.optimize import brentq

from stencilnet.denoising import (
    L1,
    L2,
    DenoisingLayer,
    L2Squared,
    Penalty,
    TotalVariation,
    choose_weight,
    denoise_signals,
    weight_max,
)
from stencilnet.denoising.cvxpy_layer import CvxpyTotalVariation, difference_matrix
from stencilnet.discretizations import classical
from stencilnet.equations import Burgers
from stencilnet.forcing import RandomForcing
from stencilnet.grid import Grid
from stencilnet.solver import rollout

# Parameters

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--json", action="store_true", help="print one JSON object")
arguments = parser.parse_args()
torch.set_num_threads(1)
# cvxpylayers and diffcp call what numpy 2.4 deprecates; Clarabel tells that it is as
# near as it gets.
warnings.simplefilter("ignore", DeprecationWarning)
warnings.simplefilter("ignore", UserWarning)
generator = np.random.default_rng(0)
orders = (1, 2, 3)
penalties: tuple[Penalty, ...] = (L1(), L2(), L2Squared())


def seconds(call: Callable[[], object], repeats: int = 5) -> float:
    """Median of several calls, after one that is not counted."""
    call()
    taken = []
    for _ in range(repeats):
        begin = time.perf_counter()
        call()
        taken.append(time.perf_counter() - begin)
    return median(taken)


# Agreement


def independent(
    x: np.ndarray, weight: float, order: int, penalty: Penalty
) -> np.ndarray:
    """The solution by dense matrices."""
    matrix = difference_matrix(len(x), order, periodic=False)

    def smoothed(stiffness: float) -> np.ndarray:
        rows = np.vstack([np.eye(len(x)), math.sqrt(stiffness) * matrix])
        right = np.concatenate([x, np.zeros(len(matrix))])
        solution: np.ndarray = np.linalg.lstsq(rows, right, rcond=None)[0]
        return solution

    def excess(logarithm: float) -> float:
        stiffness = math.exp(logarithm)
        norm = float(np.linalg.norm(matrix @ smoothed(stiffness)))
        return stiffness * norm - weight

    if penalty == L2Squared() or weight == 0:
        return smoothed(2 * weight)
    if penalty == L2():
        if excess(30.0) <= 0:
            place = np.linspace(-1, 1, len(x))
            fit: np.ndarray = np.polynomial.Polynomial.fit(place, x, order - 1)(place)
            return fit
        return smoothed(math.exp(brentq(excess, -40.0, 30.0, xtol=1e-14)))
    scale = float(np.abs(x).max()) or 1.0
    u = cvxpy.Variable(len(matrix))
    distance = cvxpy.sum_squares(matrix.T @ u - x / scale)
    box = [u <= weight / scale, u >= -weight / scale]
    problem = cvxpy.Problem(cvxpy.Minimize(distance), box)
    tight = {"tol_gap_abs": 1e-12, "tol_gap_rel": 1e-12, "tol_feas": 1e-12}
    problem.solve(solver=cvxpy.CLARABEL, **tight)  # type: ignore[no-untyped-call]
    dual = np.asarray(u.value)
    return x - scale * matrix.T @ dual


def disagreement(names: tuple[str, ...]) -> float:
    n = 80
    walk = generator.standard_normal(n).cumsum() + generator.standard_normal(n)
    signals = {
        "random": walk,
        "noisy ramp": np.linspace(-3, 5, n) + 0.1 * generator.standard_normal(n),
        "tiny": 1e-9 * walk,
        "huge": 1e9 * walk,
        "ramp": np.linspace(-3, 5, n),
        "spikes": np.where(np.arange(n) % 13 == 5, 40.0, 0.0),
        "constant": np.full(n, 2.5),
    }
    largest = 0.0
    for name in names:
        x = signals[name]
        for order in orders:
            top = float(weight_max(x, order=order))
            top = top if top > 1e-10 * np.abs(x).max() else 1.0
            for penalty in penalties:
                for share in (0.0, 1e-6, 1e-3, 0.1, 0.7, 3.0):
                    ours = denoise_signals(
                        x, share * top, order=order, penalty=penalty
                    ).signal
                    theirs = independent(x, share * top, order, penalty)
                    apart = np.abs(ours - theirs).max() / np.abs(x).max()
                    largest = max(largest, float(apart))
    return largest


def gradient_disagreement() -> float:
    """Against central differences, where no knot is about to come or go."""
    largest, step = 0.0, 1e-6
    for order in orders:
        for penalty in penalties:
            layer = TotalVariation(order=order, penalty=penalty)
            x = torch.from_numpy(generator.standard_normal(40).cumsum())
            weight = torch.tensor(1.0, dtype=torch.float64)
            given = [x.clone().requires_grad_(), weight.clone().requires_grad_()]
            out = torch.from_numpy(generator.standard_normal(40))
            gradients = torch.autograd.grad(layer(*given) @ out, given)
            for which, gradient in enumerate(gradients):
                for index in range(gradient.numel()):
                    moved = []
                    for sign in (1, -1):
                        values = [x.clone(), weight.clone()]
                        values[which].view(-1)[index] += sign * step
                        moved.append(float(layer(*values) @ out))
                    difference = (moved[0] - moved[1]) / (2 * step)
                    apart = abs(difference - float(gradient.reshape(-1)[index]))
                    largest = max(largest, apart)
    return largest


# Times


def growth() -> float:
    """Exponent of time in points, 1e3 to 1e7, the larger of two signals."""
    sizes = [10**exponent for exponent in range(3, 8)]
    exponents = []
    for make in (generator.standard_normal, lambda n: np.arange(n, dtype=float)):
        taken = []
        for n in sizes:
            x = make(n)

            def solve(x: np.ndarray = x) -> object:
                return denoise_signals(x, 10.0)

            taken.append(seconds(solve, 3 if n > 10**6 else 7))
        slope = np.polynomial.Polynomial.fit(np.log(sizes), np.log(taken), 1)
        exponents.append(float(slope.convert().coef[1]))
    return max(exponents)


def slowest(n: int, order: int) -> float:
    """Of the weights 1, 100 and 5000, for a wave in noise of level 1."""
    wave = 10 * np.sin(np.linspace(0, 8 * math.pi, n))
    x = wave + generator.standard_normal(n)
    taken = []
    for weight in (1.0, 1e2, 5e3):
        assert float(denoise_signals(x, weight, order=order).gap) <= 1e-8

        def solve(weight: float = weight) -> object:
            return denoise_signals(x, weight, order=order)

        taken.append(seconds(solve, 3 if n > 10**4 else 9))
    return max(taken)


def speedup() -> float:
    """Over cvxpylayers, forward and backward, 10 signals of 100 points, order 3."""
    x = torch.from_numpy(generator.standard_normal((10, 100)).cumsum(-1))
    taken = []
    kinds: tuple[tuple[type[DenoisingLayer], int], ...] = (
        (TotalVariation, 21),
        (CvxpyTotalVariation, 3),
    )
    for kind, repeats in kinds:
        layer = kind(5.0, order=3)

        def run(layer: DenoisingLayer = layer) -> object:
            given = x.clone().requires_grad_()
            return torch.autograd.grad(layer(given).square().sum(), given)

        taken.append(seconds(run, repeats))
    return taken[1] / taken[0]


# SURE


def snapshot(n: int) -> np.ndarray:
    """A state of forced Burgers' equation with shocks, by WENO-Z on enough points."""
    grid = Grid.line(512)
    force = RandomForcing.sample(
        1, amplitude=0.5, wavenumbers=(3, 4, 5, 6), seed=int(generator.integers(10**6))
    ).on(grid, averages=True)
    start = torch.zeros(1, 512, dtype=torch.float64)
    times = torch.linspace(0, 6, 61, dtype=torch.float64)
    with torch.no_grad():
        weno = classical("weno_z", Burgers(0.01), grid)
        u = rollout(weno, start, times, force, steps=20)
    states: np.ndarray = u[0, -1].numpy()
    return np.interp(np.linspace(0, 1, n), np.linspace(0, 1, 512), states)


def sure_ratios() -> dict[int, list[float]]:
    """Error with SURE's weight over the least, by the number of points."""
    ratios: dict[int, list[float]] = {}
    for n, draws in ((100, 6), (1000, 6), (10_000, 3), (100_000, 1)):
        t = np.linspace(0, 1, n)
        for _ in range(draws):
            knots = np.sort(generator.uniform(0, 1, 6))
            levels = generator.uniform(-3, 3, 8)
            families = {
                "steps": (levels[np.minimum((8 * t).astype(int), 7)], 1),
                "ramps": (np.interp(t, [0, *knots, 1], levels), 2),
                "sine": (2 * np.sin(6 * math.pi * t), 3),
                "burgers": (snapshot(n), 2),
            }
            for clean, order in families.values():
                noisy = clean + 0.2 * clean.std() * generator.standard_normal(n)
                choice = choose_weight(noisy, order=order)
                error = mse(noisy, clean, float(choice.weight), order)
                around = np.geomspace(choice.weights[0], choice.weights[-1], 30)
                near = float(choice.weight) * np.geomspace(0.3, 3, 15)
                every = [mse(noisy, clean, w, order) for w in (*around, *near)]
                ratios.setdefault(n, []).append(error / min(error, *every))
    return ratios


def mse(noisy: np.ndarray, clean: np.ndarray, weight: float, order: int) -> float:
    y = denoise_signals(noisy, weight, order=order).signal
    return float(((y - clean) ** 2).mean())


# Run

million = generator.standard_normal(10**6)
sure = sure_ratios()
every_ratio = [ratio for ratios in sure.values() for ratio in ratios]
result = {
    "agreement": disagreement(("random", "noisy ramp", "tiny", "huge")),
    "agreement_degenerate": disagreement(("ramp", "spikes", "constant")),
    "gradient_agreement": gradient_disagreement(),
    "seconds_k1_1e6": seconds(lambda: denoise_signals(million, 10.0), 9),
    "growth_k1": growth(),
    "seconds_k2_1e3": slowest(1000, 2),
    "seconds_k3_1e3": slowest(1000, 3),
    "seconds_k2_1e5": slowest(100_000, 2),
    "seconds_k3_1e5": slowest(100_000, 3),
    "speedup_cvxpylayers": speedup(),
    "sure_median": median(every_ratio),
    "sure_worst": max(every_ratio),
    **{f"sure_median_{n}": median(ratios) for n, ratios in sure.items()},
    **{f"sure_worst_{n}": max(ratios) for n, ratios in sure.items()},
}

# Print

if arguments.json:
    print(json.dumps(result))
else:
    table = Table("quantity", "value")
    for name, value in result.items():
        table.add_row(name, f"{value:.3g}")
    Console().print(table)
