"""Methods, integrators and equations against exact solutions.

Orders in space against manufactured solutions, the Cole-Hopf solution, a wave that
steepens, a shock and solitons; orders in time under forcing at stage times; and the
statistics of Kuramoto-Sivashinsky chaos beside published ones. Writes `table.md`,
`table.csv`, the figure `orders` and `result.json` to `runs/validation/`.

    python simulations/validation.py [--quick]
"""

import argparse
import csv
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from stencilnet.discretizations import (
    MLP,
    DiscontinuousGalerkin,
    Discretization,
    FiniteDifference,
    LearnedStencil,
    Muscl,
    PseudoSpectral,
    Weno,
)
from stencilnet.equations import (
    Advection,
    AdvectionDiffusion,
    Burgers,
    CentralFlux,
    Convective,
    DecayingWave,
    Equation,
    ExactSolution,
    FisherKPP,
    Form,
    KortewegDeVries,
    KuramotoSivashinsky,
    Manufactured,
    MovingShock,
    Solitons,
    Steepening,
    UpwindFlux,
)
from stencilnet.grid import Grid
from stencilnet.report import LABELS, WIDTH, package_style, save, write_json
from stencilnet.solver import INTEGRATORS, RK4, SSPRK3, RungeKutta, rollout
from stencilnet.solver.exponential import IntegratingFactor
from stencilnet.stencils import NullSpace

# Parameters

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument(
    "--quick", action="store_true", help="two grids each, short statistics"
)
parser.add_argument("--run", type=Path, default=Path("runs/validation"))
arguments = parser.parse_args()
torch.set_num_threads(1)
quick = arguments.quick


@dataclass(frozen=True)
class Posed:
    """An equation in a form."""

    equation: Equation
    form: type[Form]

    @property
    def averages(self) -> bool:
        return self.form.averages

    @property
    def label(self) -> str:
        return f"{type(self.equation).__name__}, {self.form.__name__}"


equations = [
    Posed(Burgers(0.1), Convective),
    Posed(Burgers(0.1), CentralFlux),
    Posed(Burgers(0.1), UpwindFlux),
    Posed(Burgers(0.0), UpwindFlux),
    Posed(Advection(1.3), Convective),
    Posed(Advection(-0.7), UpwindFlux),
    Posed(AdvectionDiffusion(1.3, 0.2), Convective),
    Posed(AdvectionDiffusion(1.3, 0.2), UpwindFlux),
    Posed(KortewegDeVries(), Convective),
    Posed(KortewegDeVries(), CentralFlux),
    Posed(KuramotoSivashinsky(), Convective),
    Posed(KuramotoSivashinsky(), CentralFlux),
    Posed(FisherKPP(0.3, 0.7), Convective),
]
learned_order = 2
# Sixth order reaches rounding early, WENO-Z its asymptotic range late.
central_grids = (16, 32, 64)
upwind_grids = (64, 128, 256)
weno_grids = (128, 256, 512, 1024)
# Integrators whose linear part is exact or implicit take a transform of any method.
explicit = {k: v for k, v in INTEGRATORS.items() if isinstance(v, RungeKutta)}
semilinear = {k: v for k, v in INTEGRATORS.items() if k not in explicit}

# Methods


def learned(posed: Posed, grid: Grid) -> LearnedStencil:
    """A learned stencil with random weights."""
    operator = LearnedStencil(
        posed.equation,
        grid,
        form=posed.form,
        constraint=NullSpace(order=learned_order),
        network=MLP(8),
    )
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in operator.parameters():
            draw = torch.randn(weight.shape, generator=generator, dtype=weight.dtype)
            weight.copy_(0.5 * draw)
    return operator


@dataclass(frozen=True)
class Method:
    """A method, its order (None for a spectral one), and grids that show it."""

    make: Callable[[Posed, Grid], Discretization]
    order: int | None
    grids: tuple[int, ...]
    one_sided: bool = False


def central(order: int) -> Method:
    return Method(
        lambda posed, grid: FiniteDifference(
            posed.equation, grid, order=order, form=posed.form
        ),
        order,
        central_grids,
    )


methods = {
    **{f"central_{order}": central(order) for order in (2, 4, 6)},
    "upwind_3": Method(
        lambda posed, grid: FiniteDifference(
            posed.equation, grid, order=3, form=posed.form
        ),
        3,
        upwind_grids,
        one_sided=True,
    ),
    # Sixth order for u_x, so that the whole right-hand side is of fifth order.
    "weno_z": Method(
        lambda posed, grid: Weno(posed.equation, grid, viscous_order=6),
        5,
        weno_grids,
        one_sided=True,
    ),
    "weno_js": Method(
        lambda posed, grid: Weno(posed.equation, grid, weights="JS", viscous_order=6),
        5,
        upwind_grids,
        one_sided=True,
    ),
    "muscl": Method(
        lambda posed, grid: Muscl(posed.equation, grid),
        2,
        (256, 512, 1024, 2048),
        one_sided=True,
    ),
    "learned": Method(learned, learned_order, upwind_grids),
    "spectral": Method(
        lambda posed, grid: PseudoSpectral(
            posed.equation, grid, averages=posed.averages
        ),
        None,
        (8, 12, 16),
    ),
}


def discontinuous(degree: int) -> Method:
    return Method(
        lambda posed, grid: DiscontinuousGalerkin(posed.equation, grid, degree=degree),
        degree + 1,
        (96, 192, 384) if degree == 3 else (48, 96, 192),
        one_sided=True,
    )


galerkin = {f"dg{degree}": discontinuous(degree) for degree in (1, 2, 3)}


def supports(method: Method, posed: Posed) -> bool:
    if method is methods["learned"] and (
        type(posed.equation) is Advection and posed.form is Convective
    ):
        # Random centred stencils let waves grow, and nothing here damps them.
        return False
    return posed.form is UpwindFlux or not method.one_sided


# Tables hold one row per measurement.


@dataclass(frozen=True)
class Row:
    """An observed number beside what theory or the literature says.

    Attributes:
        study, equation, method: what was measured.
        quantity: "order in space", "order in time" or a statistic.
        observed, theory: the number and what it should be; NaN if nothing is known.
        error: on the finest grid or with the smallest step.
    """

    study: str
    equation: str
    method: str
    quantity: str
    observed: float
    theory: float
    error: float = math.nan


rows: list[Row] = []
curves: dict[tuple[str, str, str], tuple[list[float], list[float]]] = {}


def slope(sizes: list[float], errors: list[float]) -> float:
    """Order between the two finest sizes."""
    return math.log(errors[-2] / errors[-1]) / math.log(sizes[-2] / sizes[-1])


def measure_space(
    study: str,
    posed: Posed,
    name: str,
    grids: tuple[int, ...],
    error: Callable[[int], float],
    theory: float | None = None,
) -> None:
    """Adds the order of `error` of a number of points to the table."""
    used = grids[-2:] if quick else grids
    spacings = [1.0 / points for points in used]
    errors = [error(points) for points in used]
    expected = (methods | galerkin)[name].order if theory is None else theory
    label = posed.label
    curves[study, label, name] = (spacings, errors)
    observed = math.nan if expected is None else slope(spacings, errors)
    quantity = "error" if expected is None else "order in space"
    rows.append(
        Row(study, label, name, quantity, observed, expected or math.nan, errors[-1])
    )


# Manufactured solutions: orders in space

wave = Manufactured()


def integrate_waves(
    posed: Posed, method: Method, duration: float
) -> Callable[[int], float]:
    """The error per time of a short run on a number of points, in the L1 norm."""

    def error(points: int) -> float:
        grid = Grid.line(points)
        times = torch.tensor([0.0, duration], dtype=torch.float64)
        with torch.no_grad():
            u = rollout(
                method.make(posed, grid),
                wave.of(grid, 0.0, averages=posed.averages),
                times,
                wave.forcing(posed.equation, grid, averages=posed.averages),
                integrator=RK4,
                steps=60,
            )[-1]
        exact = wave.of(grid, duration, averages=posed.averages)
        return float((u - exact).abs().mean() / duration)

    return error


for posed in equations:
    for name, method in methods.items():
        if not supports(method, posed):
            continue
        finest = method.make(posed, Grid.line(method.grids[-1]))
        u0 = wave.of(finest.grid, 0.0, averages=posed.averages)
        # So short that the errors of RK4 stay below those in space.
        duration = min(0.1, 0.4 * 60 * finest.stable_step(u0, RK4))
        error = integrate_waves(posed, method, duration)
        measure_space("manufactured", posed, name, method.grids, error)
print(f"{len(rows)} orders in space")

# Discontinuous Galerkin methods: their errors gain an order while they settle. The
# waves nowhere turn, as at sonic points the upwind side changes and the order is late.

steady_sign = Manufactured(mean=2.0)


def integrate_elements(posed: Posed, method: Method) -> Callable[[int], float]:
    """The error after a time on a number of points, in the L1 norm."""
    duration = 0.5

    def error(points: int) -> float:
        grid = Grid.line(points)
        discrete = method.make(posed, grid)
        u0 = steady_sign.averages(grid, 0.0)
        step = 0.4 * discrete.stable_step(u0, RK4)
        with torch.no_grad():
            u = rollout(
                discrete,
                u0,
                torch.tensor([0.0, duration], dtype=torch.float64),
                steady_sign.forcing(posed.equation, grid, averages=posed.averages),
                integrator=RK4,
                steps=math.ceil(duration / step),
            )[-1]
        return float((u - steady_sign.averages(grid, duration)).abs().mean())

    return error


for posed in (
    Posed(Burgers(0.1), UpwindFlux),
    Posed(Burgers(0.0), UpwindFlux),
    Posed(Advection(-0.7), UpwindFlux),
    Posed(AdvectionDiffusion(1.3, 0.2), UpwindFlux),
):
    for name, method in galerkin.items():
        error = integrate_elements(posed, method)
        measure_space("manufactured", posed, name, method.grids, error)
print(f"{len(rows)} orders in space with discontinuous elements")

# Known solutions: orders in space


def integrate(
    solution: ExactSolution,
    posed: Posed,
    method: Method,
    duration: float,
    length: float = 2 * math.pi,
    courant: float = 0.1,
) -> Callable[[int], float]:
    """The error at time `duration` on a number of points, in the L1 norm."""

    def error(points: int) -> float:
        grid = Grid.line(points, length)
        discrete = method.make(posed, grid)
        u0 = solution.of(grid, 0.0, averages=posed.averages)
        step = min(discrete.stable_step(u0, RK4), grid.spacing[-1]) * courant
        times = torch.tensor([0.0, duration], dtype=torch.float64)
        with torch.no_grad():
            u = rollout(
                discrete,
                u0,
                times,
                integrator=SSPRK3 if isinstance(solution, MovingShock) else RK4,
                steps=math.ceil(duration / step),
            )[-1]
        exact = solution.of(grid, duration, averages=posed.averages)
        return float((u - exact).abs().mean())

    return error


inviscid = Posed(Burgers(0.0), UpwindFlux)
for name in ("central_2", "central_4", "central_6", "weno_z", "spectral"):
    posed = Posed(Burgers(0.3), UpwindFlux if name == "weno_z" else CentralFlux)
    measure_space(
        "Cole-Hopf",
        posed,
        name,
        (256, 512) if name == "weno_z" else (64, 128),
        integrate(DecayingWave(0.3), posed, methods[name], 0.5, courant=0.4),
    )
for name in ("upwind_3", "weno_z", "weno_js"):
    measure_space(
        "before the shock",
        Posed(Burgers(0.0), UpwindFlux),
        name,
        (64, 128) if quick else (128, 256, 512),
        integrate(
            Steepening(),
            Posed(Burgers(0.0), UpwindFlux),
            methods[name],
            0.5,
            courant=0.2,
        ),
    )


def shock_error(name: str) -> Callable[[int], float]:
    """The mean error over blocks that start in different parts of a cell.

    A shock inside a cell has another error than one on its face.
    """

    def error(points: int) -> float:
        cell = 2 * math.pi / points
        errors = []
        for part in range(8):
            start = 1.0 + part / 8 * cell
            block = MovingShock(start=start, stop=start + 2.0)
            run = integrate(
                block, Posed(Burgers(0.0), UpwindFlux), methods[name], 1.0, courant=0.4
            )
            errors.append(run(points))
        return sum(errors) / len(errors)

    return error


for name in ("weno_z", "weno_js"):
    measure_space(
        "moving shock",
        Posed(Burgers(0.0), UpwindFlux),
        name,
        (64, 128, 256, 512),
        shock_error(name),
        theory=1,
    )
for name in ("central_2", "central_4", "central_6"):
    measure_space(
        "soliton",
        Posed(KortewegDeVries(), CentralFlux),
        name,
        (384, 768),
        integrate(
            Solitons((1.5,), (24.0,)),
            Posed(KortewegDeVries(), CentralFlux),
            methods[name],
            0.05,
            length=50.0,
            courant=0.5,
        ),
    )
print(f"{len(rows)} orders in space, known solutions included")

# Solitons with an integrating factor: a long run

pair = Solitons((1.5, 1.0), (30.0, 38.0))
grid = Grid.line(400, 100.0)
spectral = PseudoSpectral(KortewegDeVries(), grid)
duration, errors = 10.0, []
counts = (4000, 8000) if quick else (8000, 16000)
for count in counts:
    stepper = IntegratingFactor(RK4, spectral.symbol(), duration / count)
    u_hat = spectral.to_modes(pair.values(grid, 0.0))
    for index in range(count):
        u_hat = stepper.step(lambda _, v: spectral.nonlinear(v), index * 0.0, u_hat)
    difference = spectral.to_values(u_hat) - pair.values(grid, duration)
    errors.append(float(difference.abs().max()))
steps = [duration / count for count in counts]
rows.append(
    Row(
        "two solitons",
        "KortewegDeVries",
        "spectral, integrating factor",
        "order in time",
        slope(steps, errors),
        4,
        errors[-1],
    )
)

# Orders in time: the forcing makes samples of the waves solve the discrete equations,
# so that all that is left is the error of the integrator.


def sampled_forcing(
    wave: Manufactured, discrete: Discretization
) -> Callable[[float | Tensor], Tensor]:
    """`t -> f` under which the waves, sampled, solve the discrete equation."""
    averages = discrete.averages

    def force(t: float | Tensor) -> Tensor:
        exact = wave.of(discrete.grid, float(t), averages=averages)
        rate = wave.rate(discrete.grid, float(t), averages=averages)
        return rate - discrete(exact)

    return force


few = (56, 112)  # of the highest orders, whose errors would soon be rounding
many = (32, 64) if quick else (128, 256)
for posed in (
    Posed(Burgers(0.1), Convective),
    Posed(Burgers(0.1), UpwindFlux),
    Posed(AdvectionDiffusion(1.3, 0.2), UpwindFlux),
    Posed(KortewegDeVries(), CentralFlux),
    Posed(KuramotoSivashinsky(), CentralFlux),
):
    for name, method in methods.items():
        # Limiters are not smooth, which hides the order of any integrator.
        if name == "muscl" or not supports(method, posed):
            continue
        discrete = method.make(posed, Grid.line(16))
        averages = posed.averages
        u0 = wave.of(discrete.grid, 0.0, averages=averages)
        label = posed.label
        # Euler's method is never stable for waves: so short that they hardly grow. The
        # waves turn in this time, or the errors would drown in rounding.
        duration = min(0.5, 4 * discrete.stable_step(u0, RK4))
        fast = Manufactured(frequencies=(4 / duration, -3 / duration))
        forcing = sampled_forcing(fast, discrete)
        times = torch.tensor([0.0, duration], dtype=torch.float64)
        end = fast.of(discrete.grid, duration, averages=averages)
        apart = semilinear if name in ("central_4", "spectral", "learned") else {}
        for key, integrator in (explicit | apart).items():
            errors = []
            counts = few if integrator.order > 4 else many
            for count in counts:
                with torch.no_grad():
                    u = rollout(
                        discrete,
                        u0,
                        times,
                        forcing,
                        integrator=integrator,
                        steps=count,
                    )[-1]
                errors.append(float((u - end).abs().max()))
            steps = [duration / count for count in counts]
            curves["in time", label, f"{name}, {key}"] = (steps, errors)
            rows.append(
                Row(
                    "manufactured",
                    label,
                    f"{name}, {key}",
                    "order in time",
                    slope(steps, errors),
                    integrator.order,
                    errors[-1],
                )
            )
print(f"{len(rows)} measurements")

# Kuramoto-Sivashinsky: the largest Lyapunov exponent, from pairs of neighbours that are
# brought back to their distance, the mean energy and the spectrum


def chaos(
    length: float, points: int, samples: int, duration: float, dt: float = 0.1
) -> tuple[float, float, float, Tensor, Tensor]:
    """Exponent, its standard error over samples, `<u**2>`, `k` and the spectrum."""
    method = PseudoSpectral(KuramotoSivashinsky(), Grid.line(points, length))
    stepper = IntegratingFactor(RK4, method.symbol(), dt)
    generator = torch.Generator().manual_seed(2)
    u = torch.randn(samples, points, generator=generator, dtype=torch.float64)
    distance, warm_up = 1e-7, 200.0
    u_hat = method.to_modes(u)
    u_hat = u_hat * (method.get_buffer("k") < 2)
    u_hat[:, 0] = 0.0
    u_hat = torch.stack([u_hat, u_hat * (1 + distance)])
    growth, energy, count = torch.zeros(samples, dtype=torch.float64), 0.0, 0
    spectrum = torch.zeros(method.modes, dtype=torch.float64)
    steps_between = round(2 / dt)
    for index in range(round((warm_up + duration) / dt)):
        u_hat = stepper.step(lambda _, v: method.nonlinear(v), 0.0, u_hat)
        if index % steps_between:
            continue
        apart = u_hat[1] - u_hat[0]
        norm = torch.linalg.vector_norm(apart, dim=-1)
        u_hat[1] = u_hat[0] + apart * (distance / norm).unsqueeze(-1)
        if index * dt >= warm_up:
            growth += (norm / distance).log()
            power = 2 * u_hat[0].abs() ** 2
            energy += float(power.sum(-1).mean())
            spectrum += power.mean(0)
            count += 1
    rates = growth / (count * steps_between * dt)
    error = float(rates.std()) / math.sqrt(samples)
    k = method.get_buffer("k")
    return float(rates.mean()), error, energy / count, k, spectrum / count


brief = 0.1 if quick else 1.0
small = chaos(22.0, 32, 32, 1000 * brief)
large = chaos(32 * math.pi, 128, 8, 600 * brief)
peak = float(large[3][large[4].argmax()])
label = "KuramotoSivashinsky"
# 0.048: Cvitanovic et al. (2010), doi:10.1137/070705623. Large domains: the fit
# 0.093 - 0.94 (1 - 0.39) / L of Edson et al. (2019), doi:10.1017/S1446181119000105.
fit = 0.093 - 0.94 * 0.61 / (32 * math.pi)
for study, quantity, observed, theory, spread in (
    ("L = 22", "Lyapunov exponent", small[0], 0.048, small[1]),
    ("L = 32 pi", "Lyapunov exponent", large[0], fit, large[1]),
    ("L = 22", "mean of u**2", small[2], math.nan, math.nan),
    ("L = 32 pi", "mean of u**2", large[2], math.nan, math.nan),
    ("L = 32 pi", "k of the spectrum's peak", peak, 1 / math.sqrt(2), math.nan),
):
    rows.append(Row(study, label, "spectral", quantity, observed, theory, spread))

# Tables

header = ["study", "equation", "method", "quantity", "observed", "theory", "error"]
arguments.run.mkdir(parents=True, exist_ok=True)
lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * 4 + " ---: |" * 3]
headline: dict[str, float] = {}
for row in rows:
    cells = [row.study, row.equation, row.method, row.quantity]
    numbers = [row.observed, row.theory, row.error]
    formats = ("{:.3f}", "{:.3g}", "{:.1e}")
    cells += [
        form.format(number) if math.isfinite(number) else ""
        for form, number in zip(formats, numbers, strict=True)
    ]
    lines.append("| " + " | ".join(cells) + " |")
    parts = (row.quantity, row.study, row.equation, row.method)
    key = "_".join(parts).replace(", ", "_").replace(" ", "_")
    if math.isfinite(row.observed):
        headline[key] = row.observed
    else:
        headline[key] = row.error
    if math.isfinite(row.theory):
        headline[f"{key}_theory"] = row.theory
table = arguments.run / "table.md"
table.write_text("\n".join(lines) + "\n", encoding="utf-8")
with (arguments.run / "table.csv").open("w", newline="", encoding="utf-8") as file:
    csv.writer(file).writerows([header, *(vars(row).values() for row in rows)])
result = write_json(headline, arguments.run / "result.json", overwrite=True)

# Plot

shown = [posed for posed in equations if type(posed.equation) is not Advection]
colours = ("#E69F00", "#009E73", "#CC79A7", "#666666", "#0072B2", "#56B4E9", "#D55E00")
palette = dict(zip(methods, (*colours, "#B8A800", "#A6761D"), strict=True))
with package_style():
    figure = Figure(figsize=(WIDTH, 7.4), layout="constrained")
    panels = figure.subplots(4, 3).ravel()
    for axis, posed in zip(panels, shown, strict=False):
        label = posed.label
        for name, method in methods.items():
            if ("manufactured", label, name) not in curves:
                continue
            spacings, errors = curves["manufactured", label, name]
            spacings = [2 * math.pi * h for h in spacings]
            style = {"color": palette[name], "markersize": 2.5, "linewidth": 0.9}
            axis.loglog(spacings, errors, "o-", label=LABELS[name], **style)
            if method.order is None:
                continue
            reach = [spacings[-1], 2.5 * spacings[0]]
            ideal = [errors[-1] * (h / reach[0]) ** method.order for h in reach]
            axis.loglog(reach, ideal, ":", color="#999999", linewidth=0.8, zorder=0)
        axis.set_title(label)
        axis.set_xlim(2e-3, 1.2)
    handles: dict[str, Any] = {}
    for axis in panels[: len(shown)]:
        for handle, text in zip(*axis.get_legend_handles_labels(), strict=True):
            handles.setdefault(text, handle)
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=5)
    for axis in panels[len(shown) - 3 : len(shown)]:
        axis.set_xlabel("$\\Delta x$")
    for axis in panels[: len(shown) : 3]:
        axis.set_ylabel("error per time")
    axis = panels[len(shown)]
    for key, colour in zip(explicit, colours, strict=False):
        name = f"central_4, {key}"
        steps, errors = curves["in time", Posed(Burgers(0.1), UpwindFlux).label, name]
        axis.loglog(steps, errors, "o-", color=colour, markersize=2.5, label=key)
        order = INTEGRATORS[key].order
        reach = [steps[-1], 3 * steps[0]]
        ideal = [errors[-1] * (dt / reach[0]) ** order for dt in reach]
        axis.loglog(reach, ideal, ":", color="#999999", linewidth=0.8, zorder=0)
    axis.set(title="in time: central 4, Burgers, UpwindFlux", xlabel="$\\Delta t$")
    axis.set_xlim(steps[-1] / 3, 3000 * steps[0])
    axis.legend(loc="center right")
    axis = panels[-1]
    axis.loglog(large[3][1:], large[4][1:], "k-")
    axis.axvline(1 / math.sqrt(2), color="#999999", linestyle=":")
    axis.set(title="chaos on L = 32$\\pi$", xlabel="$k$", ylabel="$|u_k|^2$")
files = save(figure, arguments.run / "orders")
print("\n".join(lines))
for path in (table, arguments.run / "table.csv", result, *files):
    print(f"wrote {path}")
