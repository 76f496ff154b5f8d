"""A rarefaction and a shock: the inviscid equation from a step up and a step down.

Where `u` steps up the solution opens as a fan, where it steps down a shock moves with
the mean of its two sides. Both are known: the printed errors are those of 64 cells.
"""

import torch
from matplotlib import pyplot

from stencilnet import Burgers, Grid, Muscl, Weno, rollout
from stencilnet.discretizations import classical
from stencilnet.report import package_style

inviscid, grid, end = Burgers(viscosity=0), Grid.line(64), 2.0


def block(x):
    return ((x > 1) & (x < 3)).double()


def exact(x):
    """The fan starts at 1, the shock at 3; they meet at t = 4."""
    fan = ((x - 1) / end).clamp(0, 1)
    return torch.where(x < 3 + end / 2, fan, 0.0)


fine = Grid.line(64 * 50)
start, truth = (
    function(fine.points()).roll(25).unflatten(-1, (64, 50)).mean(-1)
    for function in (block, exact)
)
methods = {
    "upwind 1": classical("upwind_1", inviscid, grid),
    "MUSCL": Muscl(inviscid, grid),
    "WENO-Z": Weno(inviscid, grid),
}
times = torch.tensor([0.0, end], dtype=torch.float64)
with torch.no_grad():
    solutions = {
        name: rollout(method, start, times, steps=60)[-1]
        for name, method in methods.items()
    }
for name, u in solutions.items():
    print(f"{name}: mean error {float((u - truth).abs().mean()):.4f}")

with package_style():
    figure, axis = pyplot.subplots(figsize=(7.2, 2.6), layout="constrained")
    axis.plot(fine.points(), exact(fine.points()), color="0.6", lw=2, label="exact")
    for (name, u), mark in zip(solutions.items(), "^so", strict=True):
        axis.plot(grid.points(), u, mark, ms=3, label=name)
    axis.set(xlabel="$x$", ylabel="$u$", title=f"$t = {end:g}$")
    axis.legend()
    figure.savefig("riemann.png", dpi=160)
