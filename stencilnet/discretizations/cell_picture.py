"""What pictures of Burgers' equation within cells have in common."""

import abc
import math
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.discretizations.base import Discretization
from stencilnet.equations import Burgers, Equation
from stencilnet.grid import Grid
from stencilnet.solver import Integrator

# Time in which the fastest flow relative to the slowest crosses the domain, per step.
_CROSSINGS = 0.25


class Picture(Discretization):
    """What a solution of Burgers' equation is within cells, from cell averages.

    It has no right-hand side: `ColeHopf` evolves it exactly, see `CellPicture`.

    Args:
        equation: Burgers' equation with a positive viscosity.
        grid: the grid of the cells.

    Raises:
        TypeError: if it is another equation.
        ValueError: if the viscosity is zero.

    Example:
        >>> from stencilnet import Burgers, Grid, rollout
        >>> from stencilnet.discretizations import Picture
        >>> from stencilnet.equations import DecayingWave
        >>> from stencilnet.solver import ColeHopf
        >>> class Flat(Picture):
        ...     def branches(self, u, positions, force=None):
        ...         peclet = (self.scale(u) * u).unsqueeze(-2)
        ...         return (-positions.unsqueeze(-1) * peclet,)
        >>> wave, grid = DecayingWave(viscosity=0.1), Grid.line(64)
        >>> u0, exact = wave.averages(grid, 0.0), wave.averages(grid, 1.0)
        >>> flat = Flat(Burgers(viscosity=0.1), grid)
        >>> u = rollout(flat, u0, [0.0, 1.0], integrator=ColeHopf())
        >>> bool((u[-1] - exact).abs().max() < 5e-4)
        True
    """

    def __init__(self, equation: Equation, grid: Grid) -> None:
        if not isinstance(equation, Burgers):
            raise TypeError(
                f"Exact evolution exists for Burgers' equation alone, not for "
                f"{type(equation).__name__}: take a method such as Weno or "
                f"FiniteDifference."
            )
        super().__init__(equation, grid, averages=True)
        viscosity = torch.as_tensor(equation.viscosity).detach()
        if not viscosity.is_meta and not bool((viscosity > 0).all()):
            raise ValueError(
                f"Exact evolution divides by the viscosity, which must be positive, "
                f"not {float(viscosity.min())}: the smallest that this grid takes is "
                f"about {grid.spacing[-1] / 1200:.1g} max|u|."
            )

    @final  # type: ignore[misc]
    def forward(self, u: Float[Tensor, "*batch x"]) -> Float[Tensor, "*batch x"]:
        """Raises: a picture is evolved exactly.

        Raises:
            TypeError: always.
        """
        raise TypeError(
            f"{type(self).__name__} is a picture of the solution within cells and has "
            f"no right-hand side: give rollout integrator=ColeHopf()."
        )

    @abc.abstractmethod
    def branches(
        self,
        u: Float[Tensor, "*batch x"],
        positions: Float[Tensor, " node"],
        force: Float[Tensor, "*#batch x"] | None = None,
    ) -> tuple[Float[Tensor, "*batch node x"], ...]:
        """See `CellPicture.branches`."""

    @property
    def viscosity(self) -> float | Tensor:
        """`nu`, a number or a tensor `(*sample, 1)`."""
        viscosity: float | Tensor = self.equation.viscosity  # type: ignore[attr-defined]
        return viscosity

    def scale(self, u: Tensor) -> Tensor:
        """`dx / 2 nu` in the precision of a state: `scale * u` are Peclet numbers."""
        nu = torch.as_tensor(self.viscosity, dtype=u.dtype, device=u.device)
        return (self.grid.spacing[-1] / 2) / nu

    def stable_step(
        self,
        u: Float[Tensor, "*batch x"],
        integrator: Any,
        *,
        states: int = 9,
        growth: float = 1e-4,
    ) -> float:
        """Twice the step that is recommended for fields with the range of `u`.

        Exact evolution is stable for any step. Longer steps have larger errors of the
        splitting; shorter ones have larger errors of the picture, which each drift
        adds. The step recommended, which is half of what is returned, as `StableStep`
        takes, is a quarter of the time in which the flow crosses the domain:
        `L / 4 (max u - min u)`.

        Args:
            u: any fields; only their extremes count.
            integrator: `ColeHopf`.
            states: without effect.
            growth: without effect.

        Raises:
            TypeError: if the integrator needs a right-hand side.
            ValueError: if `u` is not finite.
        """
        if not hasattr(integrator, "splitting"):
            return float(self.forward(u).sum())
        low, high = float(u.min()), float(u.max())
        if not math.isfinite(high - low):
            raise ValueError(
                "No step fits a field with NaN or infinite values: look for the "
                "blow-up before."
            )
        if high == low:
            return math.inf
        return 2 * _CROSSINGS * self.grid.extent[-1] / (high - low)

    def warn_if_unstable(
        self, u: Float[Tensor, "*batch x"], integrator: Integrator, dt: float
    ) -> None:
        """No warning: exact evolution is stable for any step."""
