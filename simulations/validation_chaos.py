"""Statistics of Kuramoto-Sivashinsky chaos beside published ones.

The largest Lyapunov exponent, from pairs of neighbours that are brought back to their
distance, the mean energy and the spectrum, on a small and a large domain. Writes
`table.md`, `table.csv`, the figure `spectrum` and `result.json` to
`runs/validation_chaos/`.

    python simulations/validation_chaos.py [--quick]
"""

import math

import torch
from matplotlib.figure import Figure
from rich.progress import track
from torch import Tensor

from stencilnet.discretizations import PseudoSpectral
from stencilnet.equations import KuramotoSivashinsky
from stencilnet.grid import Grid
from stencilnet.report import WIDTH, Rows, package_style
from stencilnet.solver import IFRK4, rollout
from stencilnet.study import Script

# Parameters

study = Script.parse(__file__, __doc__, quick="a tenth of the time")
warm_up, brief = 200.0, 0.1 if study.quick else 1.0
between, substeps = 2.0, 20  # time between two corrections, in steps of 0.1
distance = 1e-7  # of the neighbours, relative
# Period, points, samples and time on each domain
domains = {
    "L = 22": (22.0, 32, 32, 1000 * brief),
    "L = 32 pi": (32 * math.pi, 128, 8, 600 * brief),
}
# L = 22: Cvitanovic et al. (2010), doi:10.1137/070705623. Large domains: the fit
# 0.093 - 0.94 (1 - 0.39) / L of Edson et al. (2019), doi:10.1017/S1446181119000105.
published = {"L = 22": 0.048, "L = 32 pi": 0.093 - 0.94 * 0.61 / (32 * math.pi)}

# Run


def smooth_noise(grid: Grid, samples: int) -> Tensor:
    """Random waves of mean zero with wavenumbers below 2."""
    generator = torch.Generator().manual_seed(2)
    u = torch.randn(samples, grid.shape[-1], generator=generator, dtype=torch.float64)
    k = grid.wavenumbers()
    return torch.fft.irfft(torch.fft.rfft(u) * ((k > 0) & (k < 2)), n=grid.shape[-1])


rows: list[tuple[str, str, float, float | None, float | None]] = []
spectra: dict[str, tuple[Tensor, Tensor]] = {}
for domain, (length, points, samples, duration) in domains.items():
    grid = Grid.line(points, length)
    method = PseudoSpectral(KuramotoSivashinsky(), grid)
    u = smooth_noise(grid, samples)
    pair = torch.stack([u, u * (1 + distance)])
    growth = torch.zeros(samples, dtype=torch.float64)
    energy, spectrum = 0.0, torch.zeros(points // 2 + 1, dtype=torch.float64)
    times = torch.tensor([0.0, between], dtype=torch.float64)
    start, stop = round(warm_up / between), round((warm_up + duration) / between)
    for index in track(range(stop), description=domain):
        with torch.no_grad():
            pair = rollout(method, pair, times, integrator=IFRK4, steps=substeps)
            pair = pair[..., -1, :]
        apart = pair[1] - pair[0]
        norm = torch.linalg.vector_norm(apart, dim=-1) / math.sqrt(points)
        pair[1] = pair[0] + apart * (distance / norm).unsqueeze(-1)
        if index >= start:
            growth += (norm / distance).log()
            energy += float(pair[0].square().mean())
            u_hat = torch.fft.rfft(pair[0], norm="forward")
            spectrum += u_hat.abs().square().mean(0)
    count = stop - start
    rates = growth / (count * between)
    spectra[domain] = (grid.wavenumbers(), 2 * spectrum / count)
    spread = float(rates.std()) / math.sqrt(samples)
    exponent = float(rates.mean())
    rows += [
        (domain, "Lyapunov exponent", exponent, published[domain], spread),
        (domain, "mean of u**2", energy / count, None, None),
    ]
k, power = spectra["L = 32 pi"]
peak = float(k[power.argmax()])
# The fastest growing wave of the linear part.
rows.append(("L = 32 pi", "k of the spectrum's peak", peak, 1 / math.sqrt(2), None))

# Tables

columns = {"domain": "", "quantity": ""}
numbers = {"observed": "{:.3f}", "published": "{:.3g}", "standard error": "{:.1e}"}
headline: dict[str, object] = {}
for domain, quantity, observed, expected, _ in rows:
    key = f"{quantity}_{domain}".replace(" ", "_")
    headline[key] = observed
    if expected is not None:
        headline[f"{key}_theory"] = expected

# Plot

with package_style():
    figure = Figure(figsize=(WIDTH / 2, 2.4), layout="constrained")
    axis = figure.subplots()
    axis.loglog(k[1:], power[1:], "k-")
    axis.axvline(1 / math.sqrt(2), color="#999999", linestyle=":")
    axis.set(title="chaos on L = 32$\\pi$", xlabel="$k$", ylabel="$|u_k|^2$")

study.write(
    headline,
    tables={"table": Rows(columns | numbers, rows)},
    figures={"spectrum": figure},
)
