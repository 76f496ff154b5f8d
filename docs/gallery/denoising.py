"""Denoising a shock: total variation keeps the edge that a Gaussian filter rounds.

The weight is chosen from the noisy data alone, by Stein's unbiased risk estimate; the
Gaussian filter gets the width that is best for the truth, which nobody would know.
"""

import numpy as np
import torch
from matplotlib import pyplot
from scipy.ndimage import gaussian_filter1d

from stencilnet import Burgers, Grid, Weno, rollout
from stencilnet.denoising import choose_weight, denoise_signals
from stencilnet.report import package_style

grid = Grid.line(256)
x = grid.points()
times = torch.tensor([0.0, 1.6], dtype=torch.float64)
with torch.no_grad():
    u = rollout(Weno(Burgers(0.01), grid), x.sin(), times, steps=200)[-1].numpy()
noisy = u + 0.1 * np.random.default_rng(0).standard_normal(256)

choice = choose_weight(noisy, periodic=True)
ours = denoise_signals(noisy, choice.weight, periodic=True).signal
smooth = min(
    (gaussian_filter1d(noisy, width, mode="wrap") for width in np.linspace(0.5, 8, 40)),
    key=lambda y: np.square(y - u).mean(),
)
results = {"noisy": noisy, "Gaussian, best width": smooth, "total variation": ours}
for name, y in results.items():
    print(f"{name}: root mean square error {np.sqrt(np.square(y - u).mean()):.4f}")
print(f"noise level 0.1, estimated {float(choice.sigma):.3f}")

with package_style():
    figure, axes = pyplot.subplots(
        1, 3, figsize=(7.2, 2.4), sharey=True, layout="constrained"
    )
    for axis, (name, y) in zip(axes, results.items(), strict=True):
        axis.plot(x, u, color="0.6", lw=2)
        axis.plot(x, y, ".", ms=2)
        axis.set(title=name, xlabel="$x$")
    axes[0].set_ylabel("$u$")
    figure.savefig("denoising.png", dpi=160)
