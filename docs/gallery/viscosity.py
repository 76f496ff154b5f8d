"""An inverse problem: the viscosity, from noisy observations at every fourth point.

The solver is differentiable, so the misfit's gradient with respect to the logarithm of
the viscosity costs one backward pass; a quasi-Newton method needs a few of them.
"""

import torch
from matplotlib import pyplot

from stencilnet import ETDRK4, Burgers, Grid, PseudoSpectral, rollout
from stencilnet.report import package_style

grid, true = Grid.line(64), 0.05
x = grid.points()
u0 = torch.sin(x) + 0.5 * torch.cos(2 * x)
times = torch.linspace(0, 2, 11, dtype=torch.float64)


def solve(viscosity):
    method = PseudoSpectral(Burgers(viscosity), grid)
    return rollout(method, u0, times, integrator=ETDRK4, steps=8)


noise = 0.01 * torch.randn(11, 16, generator=torch.Generator().manual_seed(0))
observed = solve(true)[:, ::4].detach() + noise
logarithm = torch.tensor(0.2).double().log().requires_grad_()
optimizer = torch.optim.LBFGS([logarithm], max_iter=15, line_search_fn="strong_wolfe")
path = []


def misfit():
    optimizer.zero_grad()
    loss = (solve(logarithm.exp())[:, ::4] - observed).square().mean()
    loss.backward()
    path.append(float(logarithm.detach().exp()))
    return loss


optimizer.step(misfit)
found = float(logarithm.detach().exp())
print(f"viscosity {found:.4f} from a start at 0.2, truly {true}")

with package_style():
    figure, (left, right) = pyplot.subplots(
        1, 2, figsize=(7.2, 2.6), layout="constrained"
    )
    left.plot(x, solve(found)[-1].detach(), label="recovered")
    left.plot(x[::4], observed[-1], "o", ms=4, label="observed")
    left.set(xlabel="$x$", ylabel="$u$", title="$t = 2$")
    left.legend()
    right.semilogy(path, "o-")
    right.axhline(true, color="0.4", ls=":")
    right.set(xlabel="evaluation", ylabel="viscosity")
    figure.savefig("viscosity.png", dpi=160)
