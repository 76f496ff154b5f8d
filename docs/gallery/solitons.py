"""Two solitons of the Korteweg-de Vries equation pass through each other.

The faster one overtakes; both come out as they were, shifted. The exact solution says
how far off 400 points are afterwards.
"""

import torch
from matplotlib import pyplot

from stencilnet import Grid, PseudoSpectral, rollout
from stencilnet.equations import KortewegDeVries, Solitons
from stencilnet.report import package_style
from stencilnet.solver import IFRK4

line = Grid.line(400, 100.0)
pair = Solitons(rates=(1.5, 1.0), centres=(30.0, 38.0))
method = PseudoSpectral(KortewegDeVries(), line)
times = torch.linspace(0, 12, 61, dtype=torch.float64)
with torch.no_grad():
    u = rollout(method, pair.values(line, 0.0), times, integrator=IFRK4, steps=80)
error = float((u[-1] - pair.values(line, 12.0)).abs().max())
print(f"error after they have passed: {error:.1e}")

with package_style():
    figure, (left, right) = pyplot.subplots(
        1, 2, figsize=(7.2, 2.8), layout="constrained"
    )
    for index in (0, 20, 60):
        left.plot(line.points(), u[index], lw=1, label=f"$t = {float(times[index]):g}$")
    left.set(xlabel="$x$", ylabel="$u$", xlim=(20, 75))
    left.legend()
    field = (line.points().numpy(), times.numpy(), u.numpy())
    image = right.pcolormesh(*field, rasterized=True)
    right.set(xlabel="$x$", ylabel="$t$", xlim=(20, 75))
    figure.colorbar(image, ax=right, label="$u$")
    figure.savefig("solitons.png", dpi=160)
