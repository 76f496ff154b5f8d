"""A forced shock on 64 cells: learned, WENO-Z, and the truth.

From rest, forcing steepens the solution into shocks about as wide as a cell. The
learned operator comes with the package and takes 25 steps of exact evolution; WENO-Z
takes 500. The truth is the learned operator's solution on fifteen times as many cells;
the last line printed is how far WENO-Z on those is from it.
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


learned = solve(lambda grid: operator.on(grid, burgers), 64, integrator=ColeHopf())
fine = solve(lambda grid: operator.on(grid, burgers), 15 * 64, integrator=ColeHopf())
weno = solve(lambda grid: Weno(burgers, grid), 64, steps=20)
check = solve(lambda grid: Weno(burgers, grid), 15 * 64, steps=300)
truth = fine.roll(7, -1).unflatten(-1, (64, 15)).mean(-1)

# The steepest shock of the last state, and ten cells on each side of it.
x = Grid.line(64).points()
cell = int((truth[-1] - truth[-1].roll(-1)).argmax())
near = [(cell + offset) % 64 for offset in range(-9, 11)]
place = torch.arange(-9, 11) * float(x[1])
errors = {
    name: float((u - truth).norm() / truth.norm())
    for name, u in (("learned", learned), ("WENO-Z", weno))
}
for name, error in errors.items():
    print(f"{name}: relative L2 error {error:.5f}")
print(f"WENO-Z on 960 cells: {float((check - fine).norm() / fine.norm()):.5f}")

with package_style():
    figure, (left, right) = pyplot.subplots(
        1, 2, figsize=(7.2, 2.9), layout="constrained", width_ratios=(3, 2)
    )
    for axis, points, rows in ((left, x, slice(None)), (right, place, near)):
        axis.plot(points, truth[-1, rows], color="0.6", lw=3, label="truth")
        axis.plot(points, weno[-1, rows], "s", ms=3.5, color="C1", label="WENO-Z")
        axis.plot(points, learned[-1, rows], "o", ms=3.5, color="C0", label="learned")
    left.set(xlabel="$x$", ylabel="$u$", title="64 cells, $t = 10$")
    right.set(xlabel="distance from the shock", title="through the steepest shock")
    left.legend()
    figure.savefig("shock.png", dpi=160)
