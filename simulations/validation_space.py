"""Orders in space against manufactured and exact solutions.

Every method on every equation that it fits: manufactured waves, the Cole-Hopf solution,
a wave that steepens, a shock and a soliton. Writes `table.md`, `table.csv`, the figure
`orders` and `result.json` to `runs/validation_space/`.

    python simulations/validation_space.py [--quick]
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from matplotlib.figure import Figure
from rich.progress import track
from torch import nn

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
from stencilnet.report import LABELS, WIDTH, Rows, package_style
from stencilnet.solver import RK4, SSPRK3, RungeKutta, rollout
from stencilnet.stencils import NullSpace
from stencilnet.study import Script

# Parameters

study = Script.parse(__file__, __doc__, quick="the two finest grids of each")
learned_order = 2
# Sixth order reaches rounding early, WENO-Z its asymptotic range late.
central_grids, upwind_grids = (16, 32, 64), (64, 128, 256)
Case = tuple[Equation, type[Form]]
cases: list[Case] = [
    (Burgers(0.1), Convective),
    (Burgers(0.1), CentralFlux),
    (Burgers(0.1), UpwindFlux),
    (Burgers(0.0), UpwindFlux),
    (Advection(1.3), Convective),
    (Advection(-0.7), UpwindFlux),
    (AdvectionDiffusion(1.3, 0.2), Convective),
    (AdvectionDiffusion(1.3, 0.2), UpwindFlux),
    (KortewegDeVries(), Convective),
    (KortewegDeVries(), CentralFlux),
    (KuramotoSivashinsky(), Convective),
    (KuramotoSivashinsky(), CentralFlux),
    (FisherKPP(0.3, 0.7), Convective),
]

# Methods


def central(
    order: int, equation: Equation, form: type[Form], grid: Grid
) -> Discretization:
    return FiniteDifference(equation, grid, order=order, form=form)


def weno(
    weights: Literal["Z", "JS"], equation: Equation, _: type[Form], grid: Grid
) -> Discretization:
    # Sixth order for u_x, so that the whole right-hand side is of fifth order.
    return Weno(equation, grid, weights=weights, viscous_order=6)


def galerkin(
    degree: int, equation: Equation, _: type[Form], grid: Grid
) -> Discretization:
    return DiscontinuousGalerkin(equation, grid, degree=degree)


def learned(equation: Equation, form: type[Form], grid: Grid) -> Discretization:
    """A learned stencil with random weights; under larger ones waves may grow."""
    order = NullSpace(order=learned_order)
    operator = LearnedStencil(
        equation, grid, form=form, constraint=order, network=MLP(8)
    )
    generator = torch.Generator().manual_seed(1)
    for weight in operator.parameters():
        nn.init.normal_(weight, std=0.3, generator=generator)
    return operator


@dataclass(frozen=True)
class Method:
    """A method, its order (None for a spectral one), and grids that show it."""

    make: Callable[[Equation, type[Form], Grid], Discretization]
    order: int | None
    grids: tuple[int, ...]
    one_sided: bool = False

    def fits(self, equation: Equation, form: type[Form]) -> bool:
        # Random centred stencils let waves grow, which advection does not damp.
        if self.make is learned and (type(equation), form) == (Advection, Convective):
            return False
        return form is UpwindFlux or not self.one_sided


methods = {
    **{
        f"central_{order}": Method(partial(central, order), order, central_grids)
        for order in (2, 4, 6)
    },
    "upwind_3": Method(partial(central, 3), 3, upwind_grids, one_sided=True),
    "weno_z": Method(partial(weno, "Z"), 5, (128, 256, 512, 1024), one_sided=True),
    "weno_js": Method(partial(weno, "JS"), 5, upwind_grids, one_sided=True),
    "muscl": Method(
        lambda equation, _, grid: Muscl(equation, grid),
        2,
        (256, 512, 1024, 2048),
        one_sided=True,
    ),
    "learned": Method(learned, learned_order, upwind_grids),
    "spectral": Method(
        lambda equation, form, grid: PseudoSpectral(
            equation, grid, averages=form.averages
        ),
        None,
        (8, 12, 16),
    ),
}
elements = {
    f"dg{degree}": Method(
        partial(galerkin, degree),
        degree + 1,
        (96, 192, 384) if degree == 3 else (48, 96, 192),
        one_sided=True,
    )
    for degree in (1, 2, 3)
}

# Run: errors in the L1 norm on every grid

rows: list[tuple[str, str, str, float | None, int | None, float]] = []
curves: dict[tuple[str, str, str], tuple[list[float], list[float]]] = {}


def measure(
    problem: str,
    case: Case,
    name: str,
    error: Callable[[Case, Method, int], float],
    *,
    grids: tuple[int, ...] = (),
    theory: int | None = None,
) -> None:
    """Adds the order between the two finest grids to the table."""
    equation, form = case
    method = (methods | elements)[name]
    used = grids or method.grids
    used = used[-2:] if study.quick else used
    errors = [error(case, method, points) for points in used]
    expected = theory or method.order
    label = f"{type(equation).__name__}, {form.__name__}"
    curves[problem, label, name] = ([2 * math.pi / points for points in used], errors)
    observed = None
    if expected is not None:
        observed = math.log(errors[-2] / errors[-1]) / math.log(used[-1] / used[-2])
    rows.append((problem, label, name, observed, expected, errors[-1]))


def final_error(
    solution: ExactSolution,
    discrete: Discretization,
    duration: float,
    substeps: int,
    integrator: RungeKutta = RK4,
) -> float:
    """The error at time `duration` of a run from the solution's first state."""
    grid, averages = discrete.grid, discrete.averages
    forcing = None
    if isinstance(solution, Manufactured):
        forcing = solution.forcing(discrete.equation, grid, averages=averages)
    with torch.no_grad():
        u = rollout(
            discrete,
            solution.of(grid, 0.0, averages=averages),
            torch.tensor([0.0, duration], dtype=torch.float64),
            forcing,
            integrator=integrator,
            steps=substeps,
        )[-1]
    return float((u - solution.of(grid, duration, averages=averages)).abs().mean())


def waves_error(case: Case, method: Method, points: int) -> float:
    """The error per time of a run so short that RK4's own stays below it."""
    finest = method.make(*case, Grid.line(method.grids[-1]))
    u0 = wave.of(finest.grid, 0.0, averages=case[1].averages)
    duration = min(0.1, 0.4 * 60 * finest.stable_step(u0, RK4))
    discrete = method.make(*case, Grid.line(points))
    return final_error(wave, discrete, duration, 60) / duration


wave = Manufactured()
for case in track(cases, description="Waves"):
    for name, method in methods.items():
        if method.fits(*case):
            measure("manufactured", case, name, waves_error)


def elements_error(case: Case, method: Method, points: int) -> float:
    """The error at time 0.5, as errors of elements gain an order while they settle."""
    discrete = method.make(*case, Grid.line(points))
    step = 0.4 * discrete.stable_step(steady.averages(discrete.grid, 0.0), RK4)
    return final_error(steady, discrete, 0.5, math.ceil(0.5 / step))


# Waves that nowhere turn: at sonic points the upwind side changes, the order is late.
steady = Manufactured(mean=2.0)
for case in track(cases, description="Elements"):
    for name, method in elements.items():
        if method.fits(*case):
            measure("manufactured", case, name, elements_error)


def solution_error(
    solution: ExactSolution,
    duration: float,
    case: Case,
    method: Method,
    points: int,
    *,
    length: float = 2 * math.pi,
    courant: float,
) -> float:
    """The error at time `duration` against a known solution."""
    discrete = method.make(*case, Grid.line(points, length))
    u0 = solution.of(discrete.grid, 0.0, averages=case[1].averages)
    step = min(discrete.stable_step(u0, RK4), discrete.grid.spacing[-1]) * courant
    integrator = SSPRK3 if isinstance(solution, MovingShock) else RK4
    substeps = math.ceil(duration / step)
    return final_error(solution, discrete, duration, substeps, integrator)


def shock_error(case: Case, method: Method, points: int) -> float:
    """The mean over blocks that start in different parts of a cell.

    A shock inside a cell has another error than one on its face.
    """
    starts = [1.0 + part / 8 * 2 * math.pi / points for part in range(8)]
    blocks = [MovingShock(start=start, stop=start + 2.0) for start in starts]
    errors = [
        solution_error(block, 1.0, case, method, points, courant=0.4)
        for block in blocks
    ]
    return sum(errors) / len(errors)


cole_hopf = partial(solution_error, DecayingWave(0.3), 0.5, courant=0.4)
for name in ("central_2", "central_4", "central_6", "spectral"):
    measure("Cole-Hopf", (Burgers(0.3), CentralFlux), name, cole_hopf, grids=(64, 128))
upwind = (Burgers(0.3), UpwindFlux)
measure("Cole-Hopf", upwind, "weno_z", cole_hopf, grids=(256, 512))
inviscid = (Burgers(0.0), UpwindFlux)
steepening = partial(solution_error, Steepening(), 0.5, courant=0.2)
for name in ("upwind_3", "weno_z", "weno_js"):
    measure("before the shock", inviscid, name, steepening, grids=(128, 256, 512))
for name in ("weno_z", "weno_js"):
    grids = (64, 128, 256, 512)  # of first order, as every method is at a shock
    measure("moving shock", inviscid, name, shock_error, grids=grids, theory=1)
wave_of_kdv = Solitons((1.5,), (24.0,))
soliton = partial(solution_error, wave_of_kdv, 0.05, length=50.0, courant=0.5)
kdv = (KortewegDeVries(), CentralFlux)
for name in ("central_2", "central_4", "central_6"):
    measure("soliton", kdv, name, soliton, grids=(384, 768))

# Tables

columns = {"problem": "", "equation": "", "method": ""}
numbers = {"order": "{:.3f}", "theory": "{:g}", "error": "{:.1e}"}
headline: dict[str, float | None] = {}
for problem, label, name, observed, expected, error in rows:
    key = f"{problem}_{label}_{name}".replace(", ", "_").replace(" ", "_")
    # Of a spectral method, which has no order, the error.
    headline[f"order_{key}" if expected else f"error_{key}"] = observed or error
    if expected:
        headline[f"order_{key}_theory"] = expected

# Plot

labels = [f"{type(equation).__name__}, {form.__name__}" for equation, form in cases]
shown = [label for label in labels if not label.startswith("Advection,")]
colours = (
    "#E69F00", "#009E73", "#CC79A7", "#666666", "#0072B2", "#56B4E9", "#D55E00",
    "#B8A800", "#A6761D",
)  # fmt: skip
palette = dict(zip(methods, colours, strict=True))
with package_style():
    figure = Figure(figsize=(WIDTH, 7.4), layout="constrained")
    panels = figure.subplots(4, 3).ravel()
    for axis, label in zip(panels, shown, strict=False):
        for name, method in methods.items():
            if ("manufactured", label, name) not in curves:
                continue
            spacings, errors = curves["manufactured", label, name]
            style = {"color": palette[name], "markersize": 2.5, "linewidth": 0.9}
            axis.loglog(spacings, errors, "o-", label=LABELS[name], **style)
            if method.order is None:
                continue
            reach = [spacings[-1], 2.5 * spacings[0]]
            ideal = [errors[-1] * (h / reach[0]) ** method.order for h in reach]
            axis.loglog(reach, ideal, ":", color="#999999", linewidth=0.8, zorder=0)
        axis.set(title=label, xlabel="$\\Delta x$", xlim=(2e-3, 1.2))
    for axis in panels[len(shown) :]:
        axis.remove()
    for axis in panels[: len(shown) : 3]:
        axis.set_ylabel("error per time")
    handles = {
        text: handle
        for axis in panels[: len(shown)]
        for handle, text in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=5)

study.write(
    headline,
    tables={"table": Rows(columns | numbers, rows)},
    figures={"orders": figure},
)
