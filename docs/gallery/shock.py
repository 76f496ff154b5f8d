"""Forced shocks on 32 cells: learned, WENO-Z, and the truth.

From rest, forcing steepens the solution into shocks thinner than a cell. The learned
operator comes with the package and takes 25 steps of exact evolution; WENO-Z takes 500.
The truth is the learned operator's solution on fifteen times as many cells; the last
line printed is how far WENO-Z on those is from it.
"""

import torch
from matplotlib import pyplot

from stencilnet import Burgers, Grid, RandomForcing, Weno, load_operator, rollout
from stencilnet.report import package_style
from stencilnet.solver import ColeHopf

burgers = Burgers(viscosity=0.01)
waves = RandomForcing.sample(1, amplitude=0.5, wavenumbers=(3, 4, 5, 6), seed=0)
times = torch.linspace(0, 10, 26, dtype=torch.float64)
operator, _ = load_operator("burgers")


def solve(method, cells, **how):
    grid = Grid.line(cells)
    rest, force = torch.zeros(1, cells).double(), waves.on(grid, averages=True)
    with torch.no_grad():
        return rollout(method(grid), rest, times, force, **how)[0]


learned = solve(lambda grid: operator.on(grid, burgers), 32, integrator=ColeHopf())
fine = solve(lambda grid: operator.on(grid, burgers), 15 * 32, integrator=ColeHopf())
weno = solve(lambda grid: Weno(burgers, grid), 32, steps=20)
check = solve(lambda grid: Weno(burgers, grid), 15 * 32, steps=100)
truth = fine.roll(7, -1).unflatten(-1, (32, 15)).mean(-1)

methods = {"learned": learned, "WENO-Z": weno}
for name, u in methods.items():
    error = float((u - truth).norm() / truth.norm())
    print(f"{name}: relative L2 error {error:.5f}")
print(f"WENO-Z on 480 cells: {float((check - fine).norm() / fine.norm()):.5f}")

x, x_fine = Grid.line(32).points(), Grid.line(15 * 32).points()
with package_style():
    figure, (left, right) = pyplot.subplots(
        1, 2, figsize=(7.2, 2.9), layout="constrained", width_ratios=(3, 2)
    )
    left.plot(x_fine, fine[-1], color="0.6", lw=2, label="truth")
    for (name, u), mark in zip(methods.items(), "os", strict=True):
        left.plot(x, u[-1], mark, ms=4, label=name)
        right.semilogy(x, (u - truth)[-1].abs(), f"{mark}-", ms=3, lw=0.8)
    left.set(xlabel="$x$", ylabel="$u$", title="averages of 32 cells, $t = 10$")
    right.set(xlabel="$x$", title="error of each cell")
    left.legend()
    figure.savefig("shock.png", dpi=160)
