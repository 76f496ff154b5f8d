"""How steeply the coefficients of a learned method depend on the solution."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from stencilnet.discretizations.learned import LearnedStencil
from stencilnet.discretizations.networks import Perceptron
from stencilnet.discretizations.windows import patches

# Largest slope of SiLU, where z tanh(z / 2) = 2, rounded up.
_SILU_SLOPE = 1.09984


def local_lipschitz(
    operator: LearnedStencil, u: Float[Tensor, "state x"]
) -> dict[str, float]:
    """Largest spectral norm of `dc / d(window / scale)` over the states.

    There is one for each derivative; `c` are its dimensionless coefficients.

    Example:
        >>> from torch import nn
        >>> from stencilnet import MLP, Burgers, Grid, LearnedStencil
        >>> from stencilnet.discretizations import lipschitz_bound, local_lipschitz
        >>> learned = LearnedStencil(Burgers(0.02), Grid.line(16), network=MLP(6))
        >>> u = learned.grid.points().sin().reshape(1, 16)
        >>> local_lipschitz(learned, u)  # constant stencils until it is trained
        {'u': 0.0, 'u_x': 0.0}
        >>> _ = nn.init.eye_(learned.network[-1].weight)
        >>> 0 < local_lipschitz(learned, u)["u"] < lipschitz_bound(learned)
        True
    """
    ends = operator.ends
    longer = u if ends is None else ends.continued(u, ends.values(u, None))

    def read(indices: tuple[int, ...]) -> Tensor:
        """Windows in the domain, which reach over its ends."""
        cells = patches(longer, indices)
        return cells if ends is None else ends.within(cells.mT).mT

    windows = {
        indices: read(indices).flatten(end_dim=-2).clone().requires_grad_()
        for indices in set(operator.windows.values())
    }
    with torch.enable_grad():
        coefficients = operator.choose(windows)
    largest = {}
    for name, stencils in coefficients.items():
        window = windows[operator.windows[name]]
        rows = [
            torch.autograd.grad(
                column.sum(), window, retain_graph=True, materialize_grads=True
            )[0]
            for column in stencils.unbind(-1)
        ]
        norms = torch.linalg.matrix_norm(torch.stack(rows, dim=-2), ord=2)
        largest[name] = float(norms.max()) * operator.scale
    return largest


def lipschitz_bound(operator: LearnedStencil) -> float:
    """A bound of `local_lipschitz` for any states, NaN for a network of your own.

    The product of the constants of the network's layers: the package's coefficient
    layers are non-expansive, and so is the mean of a stencil and its mirror image.

    Example:
        >>> from torch import nn
        >>> from stencilnet import MLP, Burgers, Grid, LearnedStencil
        >>> from stencilnet.discretizations import lipschitz_bound
        >>> learned = LearnedStencil(Burgers(0.02), Grid.line(16), network=MLP(6))
        >>> for layer in (0, 2):
        ...     _ = nn.init.eye_(learned.network[layer].weight)
        >>> round(lipschitz_bound(learned), 4)  # the steepest slope of SiLU
        1.0998
    """
    if not isinstance(operator.network, Perceptron):
        return math.nan
    bound = 1.0
    for module in operator.network:
        if isinstance(module, nn.Linear):
            bound *= float(torch.linalg.matrix_norm(module.weight.detach(), ord=2))
        else:
            bound *= _SILU_SLOPE
    return bound
