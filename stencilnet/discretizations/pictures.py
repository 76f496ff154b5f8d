"""Pictures of Burgers' equation within cells, for exact evolution.

Under `ColeHopf` the only spatial error is what the solution is taken to be within a
cell, given the averages around it. A picture says it by `log(phi)`, with
`phi = exp(-psi / 2 nu)` and `psi_x = u`. One smooth branch is a parabola; a shock is
the sum of two of them in `phi`, the viscous form of Lax and Oleinik's minimum.
"""

import abc
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from stencilnet.discretizations.cell_picture import Picture
from stencilnet.discretizations.weno import Weno
from stencilnet.discretizations.windows import shifted
from stencilnet.equations import Equation
from stencilnet.grid import Grid


class Branch(NamedTuple):
    """A parabola `v(s) = mean + slope (s - 1/2) + curvature ((s - 1/2)**2 / 2 - 1/24)`.

    `s` runs from 0 at the left to 1 at the right face of a cell, so that slope and
    curvature carry powers of `dx`.

    Attributes:
        mean: over the cell, shape `(*batch, x)`.
        slope: at the middle of the cell, times `dx`.
        curvature: the second derivative, times `dx**2`.

    Example:
        >>> from stencilnet.discretizations import Branch
        >>> fall = Branch(mean=0.5, slope=-1.0, curvature=0.0)  # from 1 to 0
        >>> fall.mirrored()
        Branch(mean=-0.5, slope=-1.0, curvature=-0.0)
    """

    mean: Tensor
    slope: Tensor
    curvature: Tensor

    def mirrored(self) -> "Branch":
        """The branch of the mirror image `(x, u) -> (-x, -u)`."""
        return Branch(-self.mean, self.slope, -self.curvature)


class SingleBranch(Picture):
    """A parabola in each cell."""

    @abc.abstractmethod
    def parabola(self, u: Float[Tensor, "*batch x"]) -> Branch:
        """The parabola of each cell, whose mean is the cell's."""

    def branches(
        self,
        u: Float[Tensor, "*batch x"],
        positions: Float[Tensor, " node"],
        force: Float[Tensor, "*#batch x"] | None = None,
    ) -> tuple[Float[Tensor, "*batch node x"], ...]:
        self.check_field(u)
        scale = self.scale(u)
        terms = [scale * value for value in self.parabola(u)]
        return (-_integrals(positions, terms),)


class Linear(SingleBranch):
    """A line in each cell, of the centred slope `(u_(i+1) - u_(i-1)) / 2`.

    Example:
        >>> from stencilnet import Burgers, Grid, rollout
        >>> from stencilnet.discretizations import Linear
        >>> from stencilnet.equations import DecayingWave
        >>> from stencilnet.solver import ColeHopf
        >>> wave, grid = DecayingWave(viscosity=0.1), Grid.line(32)
        >>> u0, exact = wave.averages(grid, 0.0), wave.averages(grid, 1.0)
        >>> linear = Linear(Burgers(viscosity=0.1), grid)
        >>> u = rollout(linear, u0, [0.0, 1.0], integrator=ColeHopf())  # one step
        >>> bool((u[-1] - exact).abs().max() < 1e-4)
        True
    """

    def parabola(self, u: Float[Tensor, "*batch x"]) -> Branch:
        before, here, after = shifted(u, (-1, 0, 1))
        return Branch(here, (after - before) / 2, torch.zeros_like(u))


class Parabola(SingleBranch):
    """The parabola through three cell averages, third order.

    Example:
        >>> import torch
        >>> from stencilnet import Burgers, Grid
        >>> from stencilnet.discretizations import Parabola
        >>> picture = Parabola(Burgers(viscosity=0.1), Grid.line(12))
        >>> branch = picture.parabola(torch.arange(12.0) ** 2)
        >>> [value[4].item() for value in branch]  # mean, slope and curvature
        [16.0, 8.0, 2.0]
    """

    def parabola(self, u: Float[Tensor, "*batch x"]) -> Branch:
        before, here, after = shifted(u, (-1, 0, 1))
        return Branch(here, (after - before) / 2, after - 2 * here + before)


class WenoParabola(SingleBranch):
    """The parabola through the cell's mean and WENO's values at its faces.

    Args:
        equation, grid: as `Picture`.
        weights: as `Weno`.

    Example:
        >>> import torch
        >>> from stencilnet import Burgers, Grid
        >>> from stencilnet.discretizations import Parabola, WenoParabola
        >>> step = (torch.arange(12) > 5).double()
        >>> for picture in (Parabola, WenoParabola):
        ...     branch = picture(Burgers(viscosity=0.1), Grid.line(12)).parabola(step)
        ...     print(picture.__name__, round(float(branch.slope.abs().max()), 6))
        Parabola 0.5
        WenoParabola 0.0
    """

    def __init__(self, equation: Equation, grid: Grid, *, weights: Any = "Z") -> None:
        super().__init__(equation, grid)
        self._weno = Weno(self._equation, grid, weights=weights)

    @property
    def settings(self) -> dict[str, Any]:
        return {"weights": self._weno.weights}

    def parabola(self, u: Float[Tensor, "*batch x"]) -> Branch:
        around = shifted(u, (-2, -1, 0, 1, 2))
        right, left = self._weno.reconstruct(around, around[::-1])
        return Branch(u, right - left, 6 * (right + left - 2 * u))


class TwoBranches(Picture):
    """Two smooth branches that meet in a shock of the right width.

    With the branches `v_L` and `v_R`, `psi_L = dx int_0^s v_L` and
    `psi_R = dx (u - int_s^1 v_R)`,

        psi(s) = -2 nu log(exp(-psi_L / 2 nu) + exp(-psi_R / 2 nu)) + a + b s

    where `a` and `b` put both faces right. Where the branches agree this is their
    parabola. Where they do not and `v_L > u > v_R`, it is a shock at the place that the
    mean of the cell dictates.

    Example:
        >>> import torch
        >>> from stencilnet import Burgers, Grid
        >>> from stencilnet.discretizations import Branch, TwoBranches
        >>> class Jumps(TwoBranches):
        ...     def pair(self, u, force):
        ...         left = torch.maximum(u.roll(1, -1), u)
        ...         right = torch.minimum(u.roll(-1, -1), u)
        ...         return Branch(left, 0 * u, 0 * u), Branch(right, 0 * u, 0 * u)
        ...
        >>> jumps = Jumps(Burgers(viscosity=0.01), Grid.line(16))
        >>> u = jumps.grid.points().sin()
        >>> left, right = jumps.branches(u, torch.ones(1).double())
        >>> rise = -torch.logaddexp(left, right)[0] / jumps.scale(u)
        >>> torch.allclose(rise, u)  # the mean is kept
        True
    """

    @abc.abstractmethod
    def pair(
        self, u: Float[Tensor, "*batch x"], force: Float[Tensor, "*#batch x"] | None
    ) -> tuple[Branch, Branch]:
        """The left and the right branch of each cell."""

    def branches(
        self,
        u: Float[Tensor, "*batch x"],
        positions: Float[Tensor, " node"],
        force: Float[Tensor, "*#batch x"] | None = None,
    ) -> tuple[Float[Tensor, "*batch node x"], ...]:
        self.check_field(u)
        scale = self.scale(u)
        left, right = self.pair(u, force)
        # Exponents are psi_L / 2 nu + start + tilt s, and likewise for the right one.
        start = _softplus(scale * (right.mean - u))
        tilt = _softplus(scale * (u - left.mean)) - start
        shift = scale * (u - right.mean)
        exponents = []
        for branch, offset in ((left, start), (right, start + shift)):
            mean, slope, curvature = (scale * value for value in branch)
            terms = [mean + tilt, slope, curvature]
            exponents.append(-_integrals(positions, terms, offset))
        return tuple(exponents)


class SubCellShocks(TwoBranches):
    """WENO's parabola, and shocks within cells where there are any.

    A cell holds a shock if the solution falls across it, `u_(i-1) > u_i > u_(i+1)`, by
    more than `ratio` times the differences next to it on either side and by a Peclet
    number of at least 2. The branches are then the lines through the two cells on
    either side, continued into it. Fourth and more cells away from a shock are not
    touched, but the switch is not differentiable.

    Source: Harten (1989), doi:10.1016/0021-9991(89)90226-X, whose shocks are jumps.

    Args:
        equation, grid: as `Picture`.
        ratio: see above.
        weights: as `Weno`.

    Raises:
        ValueError: if `ratio` is not positive.

    Example:
        >>> import torch
        >>> from stencilnet import Burgers, Grid
        >>> from stencilnet.discretizations import SubCellShocks
        >>> picture = SubCellShocks(Burgers(viscosity=0.01), Grid.line(16))
        >>> u = torch.tensor([1.0] * 8 + [0.3] + [-1.0] * 7)  # a shock in cell 8
        >>> left, right = picture.pair(u, None)
        >>> left.mean[8].item(), right.mean[8].item()
        (1.0, -1.0)
    """

    def __init__(
        self,
        equation: Equation,
        grid: Grid,
        *,
        ratio: float = 4.0,
        weights: Any = "Z",
    ) -> None:
        super().__init__(equation, grid)
        if not ratio > 0:
            raise ValueError(f"The ratio of jumps must be positive, not {ratio}.")
        self.ratio = ratio
        self._smooth = WenoParabola(self._equation, grid, weights=weights)

    @property
    def settings(self) -> dict[str, Any]:
        return {"ratio": self.ratio, **self._smooth.settings}

    def pair(
        self, u: Float[Tensor, "*batch x"], force: Float[Tensor, "*#batch x"] | None
    ) -> tuple[Branch, Branch]:
        smooth = self._smooth.parabola(u)
        far, near, here, after, beyond = shifted(u, (-2, -1, 0, 1, 2))
        jump = near - after
        before_slope, after_slope = near - far, beyond - after
        steepest = torch.maximum(before_slope.abs(), after_slope.abs())
        shock = (jump > self.ratio * steepest) & (jump * self.scale(u) > 2)
        shock = shock & (near >= here) & (here >= after)
        flat = torch.zeros_like(u)
        # The mean of the cell lies between the branches, or there is no place for it.
        left = torch.maximum(near + before_slope, here)
        right = torch.minimum(after - after_slope, here)
        lines = Branch(left, before_slope, flat), Branch(right, after_slope, flat)
        return tuple(  # type: ignore[return-value]
            Branch(
                *(torch.where(shock, a, b) for a, b in zip(line, smooth, strict=True))
            )
            for line in lines
        )


def _softplus(x: Tensor) -> Tensor:
    """`log(1 + exp(x))` to rounding; torch's own drops the rest from `x = 20` on."""
    return functional.softplus(x, threshold=40.0)


def _integrals(
    positions: Float[Tensor, " node"],
    terms: list[Tensor],
    offset: Tensor | None = None,
) -> Float[Tensor, "*batch node x"]:
    """`offset + int_0^s` of a branch at the nodes of each cell."""
    centred = positions - 0.5
    columns = [
        positions,
        (centred**2 - 0.25) / 2,
        (centred**3 + 0.125) / 6 - positions / 24,
    ]
    values = terms if offset is None else [*terms, offset]
    if offset is not None:
        columns.append(torch.ones_like(positions))
    basis = torch.stack(columns, dim=-1).to(terms[0])
    return basis @ torch.stack(values, dim=-2)
