"""Discontinuous Galerkin methods on P1, beside WENO-Z with as many unknowns.

16, 32 and 64 elements of degree 1 to 3 start from the projection of the resolved state
after the warm-up and run for 15 units of time under 16 unseen forcings. Their element
averages are compared with the exact ones of the reference, and so are those of WENO-Z
with a cell for each unknown of an element. Writes `table.md` and `result.json` to
`runs/galerkin/`.

    python simulations/galerkin.py [--quick]
"""

import math
from collections.abc import Callable
from itertools import product

import torch
from rich.progress import track
from torch import Tensor

from stencilnet.discretizations import DiscontinuousGalerkin, Discretization, Weno
from stencilnet.equations import equation_from_spec
from stencilnet.forcing import RandomForcing
from stencilnet.grid import Grid
from stencilnet.report import Rows
from stencilnet.solver import SSPRK3, rollout, substeps_within
from stencilnet.study import Script, load_config, problem_of, reference_solution

# Parameters

study = Script.parse(__file__, __doc__, quick="two forcings, one unit of time")
samples, duration = (2, 1) if study.quick else (16, 15)
numbers, safety = (64, 32, 16), 0.8
config = load_config("p1", [f"problem.duration={duration}", f"data.test={samples}"])
problem = config.problem

# Reference

reference = problem_of(config, "test")
forcing, times = reference.forcing, reference.times[reference.start :]
times = times - times[0]
fine = Grid.line(1024, config.problem.length)
solved = reference_solution(reference, fine, courant=config.reference.courant)
total = len(reference.times)
states = [u_hat for u_hat, _ in track(solved, total=total, description="Reference")]
modes = torch.stack(states[reference.start :], dim=1)
k = 2 * math.pi / problem.length * torch.arange(modes.shape[-1], dtype=torch.float64)


def projected(
    waves: RandomForcing, method: DiscontinuousGalerkin
) -> Callable[..., Tensor]:
    """The forcing's L2 projection onto the polynomials of a method."""
    k = waves.wavenumber.unsqueeze(-1) * (2 * math.pi / method.grid.extent[-1])
    return waves.carried_by(
        method.project(lambda x: (k * x).cos()), method.project(lambda x: (k * x).sin())
    )


def averages(u_hat: Tensor, centres: Tensor, width: float) -> Tensor:
    """Exact averages of a solution given by modes, over cells of a width."""
    waves = torch.exp(1j * k.unsqueeze(-1) * centres)
    damped = u_hat * torch.sinc(k * width / (2 * math.pi))
    return 2 * (damped[..., 1:] @ waves[1:]).real + damped[..., :1].real


# Methods and run

errors: dict[str, float] = {}
rows: list[tuple[int, str, int, float, float, float]] = []
equation = equation_from_spec(problem.equation)
for elements, degree in product(numbers, (1, 2, 3)):
    width = problem.length / elements
    grid = Grid.line(elements * (degree + 1), problem.length)
    centres = (torch.arange(elements) + 0.5) * width - grid.spacing[-1] / 2
    truth = averages(modes, centres, width)
    galerkin = DiscontinuousGalerkin(equation, grid, degree=degree)
    methods: dict[str, Discretization] = {
        f"dg{degree}": galerkin,
        f"weno_z, {grid.shape[-1]}": Weno(equation, grid),
    }
    for name, method in methods.items():
        if method is galerkin:
            u0 = galerkin.project(lambda x: averages(modes[:, 0], x, 0.0))
            force = projected(forcing.starting_at(problem.warm_up), galerkin)
        else:
            u0 = averages(modes[:, 0], grid.points(), grid.spacing[-1])
            force = forcing.starting_at(problem.warm_up).on(grid, averages=True)
        stable = method.stable_step(1.2 * truth, SSPRK3)
        substeps = substeps_within(problem.interval, safety * stable)
        with torch.no_grad():
            u = rollout(method, u0, times, force, steps=substeps)
        solution = u.reshape(*u.shape[:-1], elements, degree + 1).mean(-1)
        key = name if elements == numbers[0] else f"{name}, {elements} elements"
        errors[key] = float((solution - truth).abs().mean())
        relative = float((solution - truth).norm() / truth.norm())
        step = problem.interval / substeps
        rows.append((elements, name, grid.shape[-1], errors[key], relative, step))

# Table

columns = {"elements": "{}", "method": "", "unknowns": "{}"}
formats = dict.fromkeys(("MAE", "rel. L2", "dt"), "{:.3g}")
headline = {
    f"mae_{name.replace(', ', '_').replace(' ', '_')}": error
    for name, error in errors.items()
}
study.write(headline, tables={"table": Rows(columns | formats, rows)})
