"""Frozen stencils of a method and their Fourier symbols."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from stencilnet.discretizations.learned import LearnedStencil
from stencilnet.discretizations.stencil_method import StencilMethod
from stencilnet.stencils import Derivative, stencil_offsets

# Points of each state at which a method without coefficients of its own is linearized.
_ROWS = 64


@dataclass(frozen=True)
class FrozenStencils:
    """The stencils by which a method approximates one derivative about some states.

    A derivative of order `d` at faces enters `u_t` through a divergence, so that its
    stencil acts as one for the derivative of order `D = d + 1` with the symbol

        S(k) = 2 i sin(k dx / 2) sum_j c_j exp(i s_j k dx),

    and any other as `D = d` without the factor. The modified wavenumber is
    `(k* dx)**D = S(k) / i**D`; its exact value is `(k dx)**D`. Its real part tells
    dispersion where `D` is odd and diffusion where it is even, its imaginary part the
    other of the two.

    Source: Lele (1992), doi:10.1016/0021-9991(92)90324-R, Section 3.1.

    Attributes:
        derivative: what the stencils approximate.
        coefficients: `c_j dx**d`, one row per stencil.
        offsets: `s_j`, from where the derivative is taken, in units of `dx`.

    Example:
        >>> import math
        >>> import torch
        >>> from stencilnet import Derivative
        >>> from stencilnet.discretizations import FrozenStencils
        >>> offsets = torch.tensor([-1.0, 0.0, 1.0]).double()
        >>> central = FrozenStencils(Derivative(1), offsets.reshape(1, 3) / 2, offsets)
        >>> k_dx = torch.tensor([math.pi / 6, math.pi / 2]).double()
        >>> [round(k, 6) for k in central.modified(k_dx)[0].real.tolist()]  # sin(k dx)
        [0.5, 1.0]
    """

    derivative: Derivative
    coefficients: Float[Tensor, "stencil points"]
    offsets: Float[Tensor, " points"]

    @property
    def modified_order(self) -> int:
        """The order `D` of the derivative for which the stencil acts in `u_t`."""
        return self.derivative.order + int(abs(self.derivative.at) == 0.5)

    def modified(self, k_dx: Float[Tensor, " k"]) -> Complex[Tensor, "stencil k"]:
        """`(k* dx)**D` of each stencil for waves of given `k dx`."""
        waves = torch.exp(1j * self.offsets.unsqueeze(-1) * k_dx)
        symbol = (self.coefficients + 0j) @ waves
        if self.modified_order > self.derivative.order:
            symbol = symbol * (2j * torch.sin(k_dx / 2))
        return symbol / 1j**self.modified_order


def frozen_stencils(
    method: StencilMethod, u: Float[Tensor, "state x"]
) -> dict[str, FrozenStencils]:
    """The stencils of a method about given states, per derivative.

    Those of a learned method are the coefficients that its network returns, at every
    point. Any other method is linearized, at up to 64 points of each state: its stencil
    is the derivative of what it supplies by the values of the field. For a linear
    method that is its stencil; for a nonlinear one, such as WENO, it includes how the
    weights respond to the field.

    Args:
        method: in the precision of `u`.
        u: states to freeze the method about.

    Raises:
        ValueError: if the grid of the method has boundaries.

    Example:
        >>> from stencilnet import Burgers, FiniteDifference, Grid
        >>> from stencilnet.discretizations import frozen_stencils
        >>> method = FiniteDifference(Burgers(viscosity=0.02), Grid.line(16), order=4)
        >>> u = method.grid.points().sin().reshape(1, 16)
        >>> frozen = frozen_stencils(method, u)["u_x"]
        >>> [round(12 * c) for c in frozen.coefficients[0].tolist()]
        [1, -15, 15, -1]
        >>> frozen.offsets.tolist(), frozen.modified_order
        ([-1.5, -0.5, 0.5, 1.5], 2)
    """
    method.grid.require_periodic("Frozen stencils")
    if isinstance(method, LearnedStencil):
        with torch.no_grad():
            coefficients = method.dimensionless(u)
        return {
            name: FrozenStencils(
                derivative,
                coefficients[name].flatten(end_dim=-2),
                stencil_offsets(method.stencils[name], derivative),
            )
            for name, derivative in method.form.requires.items()
        }
    return _linearized(method, u)


def _linearized(method: StencilMethod, u: Tensor) -> dict[str, FrozenStencils]:
    points, dx = u.shape[-1], method.grid.spacing[-1]
    rows = torch.linspace(0, points - 1, min(points, _ROWS)).round().long().tolist()
    state = u.detach().clone().requires_grad_()
    with torch.enable_grad():
        supplied = method.derivatives(state)
    stencils = {}
    for name, derivative in method.form.requires.items():
        offsets = _offsets(points, derivative)
        # The cell of each offset, counted from the point of the derivative.
        cells = (offsets + derivative.at).round().long()
        gathered = []
        for row in rows:
            (slopes,) = torch.autograd.grad(
                supplied[name][:, row].sum(),
                state,
                retain_graph=True,
                materialize_grads=True,
            )
            gathered.append(slopes[:, (row + cells) % points])
        coefficients = torch.cat(gathered) * dx**derivative.order
        used = (coefficients != 0).any(0)
        stencils[name] = FrozenStencils(
            derivative, coefficients[:, used], offsets[used]
        )
    return stencils


def _offsets(points: int, derivative: Derivative) -> Float[Tensor, " points"]:
    """Offsets of all cells of a periodic grid, the nearest image of each.

    Of two images at the same distance the one on the derivative's side counts.
    """
    first = -points / 2 + derivative.at
    start = math.ceil(first) if derivative.side < 0 else math.floor(first) + 1
    cells = torch.arange(start, start + points, dtype=torch.float64)
    return cells - derivative.at
