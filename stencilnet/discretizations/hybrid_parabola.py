"""A picture of a cell that is linear where the viscosity resolves the solution."""

import itertools
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.discretizations.pictures import Branch, SingleBranch
from stencilnet.discretizations.weno import Weno
from stencilnet.discretizations.windows import shifted
from stencilnet.equations import Equation
from stencilnet.errors import as_number
from stencilnet.grid import Grid
from stencilnet.stencils import finite_difference_coefficients, weighted_sum

# Cells on either side of the middle one that the linear values at faces read.
_MARGIN = 4


class HybridParabola(SingleBranch):
    """The parabola through the cell's mean and values at its faces, of two schemes.

    Where the viscosity resolves the solution no stencil crosses a shock, and limiting
    costs accuracy. So a value at a face is a blend of the linear one of order 9 and of
    WENO's of order 7,

        v = theta v_9 + (1 - theta) v_weno,   theta = 1 / (1 + (P / threshold)**4),

    by the largest Peclet number `P = |u_(j+1) - u_j| dx / 2 nu` of the eight
    differences that the linear values read.

    Source: hybrid schemes that keep WENO for shocks, Pirozzoli (2002),
    doi:10.1006/jcph.2002.7021; the switch by a Peclet number is this package's.

    Args:
        equation, grid: as `Picture`; of at least 9 cells.
        threshold: Peclet number at which both weigh the same.

    Raises:
        ValueError: if the threshold is not a positive number, or the grid has fewer
            than 9 cells.

    Example:
        >>> from stencilnet import Burgers, Grid, rollout
        >>> from stencilnet.discretizations import HybridParabola, WenoParabola
        >>> from stencilnet.equations import DecayingWave
        >>> from stencilnet.solver import ColeHopf
        >>> wave, grid = DecayingWave(viscosity=0.1), Grid.line(16)
        >>> u0, exact = wave.averages(grid, 0.0), wave.averages(grid, 1.0)
        >>> for kind in (WenoParabola, HybridParabola):
        ...     method = kind(Burgers(viscosity=0.1), grid)
        ...     u = rollout(method, u0, [0.0, 1.0], integrator=ColeHopf())  # one step
        ...     print(kind.__name__, f"{float((u[-1] - exact).abs().max()):.0e}")
        WenoParabola 2e-04
        HybridParabola 9e-05
    """

    def __init__(
        self, equation: Equation, grid: Grid, *, threshold: float = 4.0
    ) -> None:
        number = as_number(threshold)
        if number is None or not 0 < number < float("inf"):
            raise ValueError(
                f"`threshold` must be a positive Peclet number, not {threshold!r}."
            )
        super().__init__(equation, grid)
        if grid.shape[-1] < 2 * _MARGIN + 1:
            raise ValueError(
                f"Values at faces of order 9 need at least {2 * _MARGIN + 1} cells, "
                f"not {grid.shape[-1]}: refine the grid, or take WenoParabola, which "
                f"is base='weno' of a LearnedPicture."
            )
        self.threshold = number
        self._weno = Weno(self._equation, grid, order=7)
        offsets = [j - 0.5 for j in range(-_MARGIN, _MARGIN + 1)]
        row = finite_difference_coefficients(offsets, 0, averages=True)
        self._row = tuple(row.tolist())

    @property
    def settings(self) -> dict[str, Any]:
        return {"threshold": self.threshold}

    def parabola(self, u: Float[Tensor, "*batch x"]) -> Branch:
        around = shifted(u, range(-_MARGIN, _MARGIN + 1))
        # Differences to the middle cell vanish exactly where the field is constant.
        cells = [cell - u for cell in around]
        linear = [u + weighted_sum(self._row, part) for part in (cells, cells[::-1])]
        inner = around[1:-1]
        limited = self._weno.reconstruct(inner, inner[::-1])
        theta = self._resolved(around)
        right, left = (
            b + theta * (a - b) for a, b in zip(linear, limited, strict=True)
        )
        return Branch(u, right - left, 6 * (right + left - 2 * u))

    def _resolved(self, cells: list[Tensor]) -> Tensor:
        """`theta`."""
        jumps = [b - a for a, b in itertools.pairwise(cells)]
        steepest = torch.stack(jumps).abs().amax(0) * self.scale(cells[0])
        return 1 / (1 + (steepest / self.threshold) ** 4)
