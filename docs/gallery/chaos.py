"""Chaos of the Kuramoto-Sivashinsky equation, and how fast two runs part.

Two states that differ by a millionth stay together for a while, then not: their
distance grows by the largest Lyapunov exponent, about 0.09 a time unit in long domains.
"""

import math

import torch
from matplotlib import pyplot

from stencilnet import ETDRK4, Grid, PseudoSpectral, rollout
from stencilnet.equations import KuramotoSivashinsky
from stencilnet.report import package_style

grid = Grid.line(192, 32 * math.pi)
method = PseudoSpectral(KuramotoSivashinsky(), grid)
k = 2 * math.pi / grid.extent[-1]
x = grid.points()
start = torch.cos(k * x) * (1 + torch.sin(3 * k * x))
both = torch.stack([start, start + 1e-6 * torch.cos(5 * k * x)])
times = torch.linspace(0, 250, 251, dtype=torch.float64)
with torch.no_grad():
    u = rollout(method, both, times, integrator=ETDRK4, steps=4)
distance = (u[1] - u[0]).norm(dim=-1) / u[0, 50:].norm(dim=-1).mean()
apart = float(times[distance > 0.3][0])
print(f"apart after {apart:.0f} time units")

with package_style():
    figure, (left, right) = pyplot.subplots(
        1, 2, figsize=(7.2, 2.8), layout="constrained"
    )
    field = (x.numpy(), times.numpy(), u[0].numpy())
    image = left.pcolormesh(*field, cmap="RdBu_r", rasterized=True)
    left.set(xlabel="$x$", ylabel="$t$")
    figure.colorbar(image, ax=left, label="$u$")
    right.semilogy(times, distance)
    right.set(xlabel="$t$", ylabel="relative distance of two runs")
    figure.savefig("chaos.png", dpi=160)
