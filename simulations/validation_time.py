"""Orders in time of every integrator.

Forcing makes samples of manufactured waves solve the discrete equations, so that all
that is left is the error of the integrator, its forcing at stage times included; and
two solitons pass each other under an integrating factor. Writes `table.md`,
`table.csv`, the figure `orders` and `result.json` to `runs/validation_time/`.

    python simulations/validation_time.py [--quick]
"""

import math
from collections.abc import Callable

import torch
from matplotlib.figure import Figure
from rich.progress import track
from torch import Tensor, nn

from stencilnet.discretizations import (
    MLP,
    Discretization,
    FiniteDifference,
    LearnedStencil,
    PseudoSpectral,
    Weno,
)
from stencilnet.equations import (
    AdvectionDiffusion,
    Burgers,
    CentralFlux,
    Convective,
    Equation,
    Form,
    KortewegDeVries,
    KuramotoSivashinsky,
    Manufactured,
    Solitons,
    UpwindFlux,
)
from stencilnet.grid import Grid
from stencilnet.report import WIDTH, Rows, package_style
from stencilnet.solver import (
    IFRK4,
    INTEGRATORS,
    RK4,
    RungeKutta,
    SemilinearIntegrator,
    rollout,
)
from stencilnet.stencils import NullSpace
from stencilnet.study import Script

# Parameters

study = Script.parse(__file__, __doc__, quick="fewer steps, one equation")
# Steps; fewer for the highest orders, whose errors would soon be rounding.
many, few = (32, 64) if study.quick else (128, 256), (56, 112)
cases: list[tuple[Equation, type[Form]]] = [
    (Burgers(0.1), UpwindFlux),
    (Burgers(0.1), Convective),
    (AdvectionDiffusion(1.3, 0.2), UpwindFlux),
    (KortewegDeVries(), CentralFlux),
    (KuramotoSivashinsky(), CentralFlux),
][: 1 if study.quick else None]
grid = Grid.line(16)
# Those whose linear part is exact or implicit take a transform of any method. Exact
# evolution takes pictures of cells instead of methods: `exact_evolution.py` has its.
explicit, semilinear = (
    {key: value for key, value in INTEGRATORS.items() if isinstance(value, family)}
    for family in (RungeKutta, SemilinearIntegrator)
)

# Methods: all but MUSCL, whose limiters are not smooth, which hides any order


def discretize(equation: Equation, form: type[Form]) -> dict[str, Discretization]:
    """The methods that fit a form; the learned one has random weights."""
    methods: dict[str, Discretization] = {
        f"central_{order}": FiniteDifference(equation, grid, order=order, form=form)
        for order in (2, 4, 6)
    }
    if form is UpwindFlux:
        methods["upwind_3"] = FiniteDifference(equation, grid, order=3, form=form)
        for weights in ("Z", "JS"):
            name = f"weno_{weights.lower()}"
            methods[name] = Weno(equation, grid, weights=weights, viscous_order=6)
    learned = LearnedStencil(
        equation, grid, form=form, constraint=NullSpace(order=2), network=MLP(8)
    )
    generator = torch.Generator().manual_seed(1)
    for weight in learned.parameters():
        nn.init.normal_(weight, std=0.5, generator=generator)
    spectral = PseudoSpectral(equation, grid, averages=form.averages)
    return {**methods, "learned": learned, "spectral": spectral}


# Run


def sampled_forcing(
    wave: Manufactured, method: Discretization
) -> Callable[[float | Tensor], Tensor]:
    """`t -> f` under which the waves, sampled, solve the discrete equation."""

    def force(t: float | Tensor) -> Tensor:
        exact = wave.of(grid, float(t), averages=method.averages)
        rate = wave.rate(grid, float(t), averages=method.averages)
        return rate - method(exact)

    return force


def order(sizes: list[float], errors: list[float]) -> float:
    """Order between the two shortest steps."""
    return math.log(errors[-2] / errors[-1]) / math.log(sizes[-2] / sizes[-1])


rows: list[tuple[str, str, str, float, int, float]] = []
curves: dict[tuple[str, str, str], tuple[list[float], list[float]]] = {}
for equation, form in track(cases, description="Integrators"):
    label = f"{type(equation).__name__}, {form.__name__}"
    for name, method in discretize(equation, form).items():
        u0 = Manufactured().of(grid, 0.0, averages=form.averages)
        # Euler's method is never stable for waves: so short that they hardly grow. The
        # waves turn in this time, or the errors would drown in rounding.
        duration = min(0.5, 4 * method.stable_step(u0, RK4))
        wave = Manufactured(frequencies=(4 / duration, -3 / duration))
        forcing = sampled_forcing(wave, method)
        times = torch.tensor([0.0, duration], dtype=torch.float64)
        end = wave.of(grid, duration, averages=form.averages)
        for key, integrator in (explicit | semilinear).items():
            if key in semilinear and name not in ("central_4", "spectral", "learned"):
                continue
            errors = []
            counts = few if integrator.order > 4 else many
            for count in counts:
                with torch.no_grad():
                    u = rollout(
                        method,
                        u0,
                        times,
                        forcing,
                        integrator=integrator,
                        steps=count,
                    )[-1]
                errors.append(float((u - end).abs().max()))
            steps = [duration / count for count in counts]
            curves[label, name, key] = (steps, errors)
            theory = integrator.order
            rows.append((label, name, key, order(steps, errors), theory, errors[-1]))

# Two solitons, a long run

pair, line = Solitons((1.5, 1.0), (30.0, 38.0)), Grid.line(400, 100.0)
spectral = PseudoSpectral(KortewegDeVries(), line)
times, errors = torch.tensor([0.0, 10.0], dtype=torch.float64), []
counts = (4000, 8000) if study.quick else (8000, 16000)
for count in track(counts, description="Two solitons"):
    with torch.no_grad():
        u = rollout(
            spectral, pair.values(line, 0.0), times, integrator=IFRK4, steps=count
        )[-1]
    errors.append(float((u - pair.values(line, 10.0)).abs().max()))
steps = [10.0 / count for count in counts]
rows.append(("two solitons", "spectral", "IFRK4", order(steps, errors), 4, errors[-1]))

# Tables

columns = {"equation": "", "method": "", "integrator": ""}
numbers = {"order": "{:.3f}", "theory": "{:g}", "error": "{:.1e}"}
headline: dict[str, object] = {}
for label, name, key, observed, theory, _ in rows:
    entry = f"order_{label}_{name}_{key}".replace(", ", "_").replace(" ", "_")
    headline |= {entry: observed, f"{entry}_theory": theory}

# Plot

with package_style():
    figure = Figure(figsize=(WIDTH, 2.9), layout="constrained")
    left, right = figure.subplots(1, 2)
    label = f"{type(cases[0][0]).__name__}, {cases[0][1].__name__}"
    for axis, group in ((left, explicit), (right, semilinear)):
        for key in group:
            steps, errors = curves[label, "central_4", key]
            (line_,) = axis.loglog(steps, errors, "o-", markersize=2.5, label=key)
            reach = [steps[-1], 3 * steps[0]]
            ideal = [
                errors[-1] * (dt / reach[0]) ** INTEGRATORS[key].order for dt in reach
            ]
            axis.loglog(reach, ideal, ":", color=line_.get_color(), linewidth=0.8)
        axis.set(xlabel="$\\Delta t$", ylabel="error", xlim=(None, 30 * steps[0]))
        axis.legend(loc="lower right")
    left.set_title(f"explicit; central 4, {label}")
    right.set_title("linear part exact or implicit")

study.write(
    headline,
    tables={"table": Rows(columns | numbers, rows)},
    figures={"orders": figure},
)
