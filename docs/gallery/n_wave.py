"""An N-wave decays: two shocks that drift apart and weaken.

Whatever a pulse of mean zero looks like, it ends as an N: a straight line between two
shocks. That of height 1 at `t = 0` has the height `(1 + t)**-0.5` until viscosity takes
over. Exact evolution by Cole and Hopf's transform takes one step from each picture to
the next, the last one of seven time units.
"""

import torch
from matplotlib import pyplot

from stencilnet import Burgers, Grid, rollout
from stencilnet.discretizations import WenoParabola
from stencilnet.report import package_style
from stencilnet.solver import ColeHopf

grid = Grid.line(256, 16.0)
picture = WenoParabola(Burgers(viscosity=0.005), grid)
x, fine = grid.points() - 8, Grid.line(256 * 32, 16.0).points() - 8
u0 = (fine * (fine.abs() < 1)).roll(16).unflatten(-1, (256, 32)).mean(-1)
times = torch.tensor([0, 0.5, 2, 5.5, 9, 16], dtype=torch.float64)
with torch.no_grad():
    u = rollout(picture, u0, times, integrator=ColeHopf(), steps=1)

heights = u.amax(-1)
slope = (heights[-1] / heights[1]).log() / ((1 + times[-1]) / (1 + times[1])).log()
print(f"height falls as 1 + t to the power {float(slope):.2f}")
print(f"mean changes by {float((u.mean(-1) - u0.mean()).abs().max()):.0e}")

with package_style():
    figure, (left, right) = pyplot.subplots(
        1, 2, figsize=(7.2, 2.6), layout="constrained", width_ratios=(2, 1)
    )
    for t, state in zip(times.tolist(), u, strict=True):
        left.plot(x, state, lw=1, label=f"$t = {t:g}$")
    left.set(xlabel="$x$", ylabel="$u$")
    left.legend()
    right.loglog(1 + times, heights, "o", label="height")
    right.loglog(1 + times, (1 + times) ** -0.5, ":", color="0.4", label="inviscid")
    right.set(xlabel="$1 + t$")
    right.legend()
    figure.savefig("n_wave.png", dpi=160)
