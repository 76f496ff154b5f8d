"""Exact solutions: what methods and integrators are measured against."""

import abc
import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.grid import Grid


class ExactSolution(abc.ABC):
    """A known `u(x, t)`, as point values and as exact cell averages.

    Example:
        >>> import math
        >>> from stencilnet import Grid
        >>> from stencilnet.equations import ExactSolution
        >>> class Heat(ExactSolution):  # of u_t = u_xx
        ...     def values(self, grid, t):
        ...         return math.exp(-t) * grid.points().sin()
        ...
        ...     def averages(self, grid, t):
        ...         half = grid.spacing[-1] / 2
        ...         return math.sin(half) / half * self.values(grid, t)
        >>> u = Heat().of(Grid.line(4), 0.0, averages=True)
        >>> round(float(u[1]), 4)
        0.9003
    """

    @abc.abstractmethod
    def values(self, grid: Grid, t: float) -> Float[Tensor, " x"]:
        """`u` at the points of `grid`."""

    @abc.abstractmethod
    def averages(self, grid: Grid, t: float) -> Float[Tensor, " x"]:
        """Means of `u` over the cells of `grid`."""

    def of(self, grid: Grid, t: float, *, averages: bool) -> Float[Tensor, " x"]:
        """Cell averages, or point values."""
        return self.averages(grid, t) if averages else self.values(grid, t)


@dataclass(frozen=True)
class DecayingWave(ExactSolution):
    """A decaying wave of viscous Burgers' equation on `[0, 2 pi)`, by Cole-Hopf.

    `u = -2 nu phi_x / phi` with `phi = 2 + exp(-nu t) cos x`, which solves the heat
    equation; averages follow from `u = -2 nu (log phi)_x`. It is odd about 0 and `pi`,
    so that on `[0, pi]` it is a solution between walls.

    Source: Hopf (1950), doi:10.1002/cpa.3160030302; Cole (1951),
    doi:10.1090/qam/42889.

    Example:
        >>> import torch
        >>> from stencilnet import Burgers, FiniteDifference, Grid, rollout
        >>> from stencilnet.equations import DecayingWave
        >>> wave, grid = DecayingWave(viscosity=0.3), Grid.line(32)
        >>> method = FiniteDifference(Burgers(viscosity=0.3), grid, order=4)
        >>> times, u0 = torch.tensor([0.0, 0.5]).double(), wave.averages(grid, 0.0)
        >>> u = rollout(method, u0, times, steps=20)
        >>> bool((u[-1] - wave.averages(grid, 0.5)).abs().max() < 1e-3)
        True
    """

    viscosity: float = 0.3

    def values(self, grid: Grid, t: float) -> Float[Tensor, " x"]:
        _check_period(grid)
        x = grid.points()
        slope = -math.exp(-self.viscosity * t) * x.sin()
        return -2 * self.viscosity * slope / self._potential(x, t)

    def averages(self, grid: Grid, t: float) -> Float[Tensor, " x"]:
        _check_period(grid)
        left, right = faces(grid)
        ratio = self._potential(right, t) / self._potential(left, t)
        return -2 * self.viscosity * ratio.log() / grid.spacing[-1]

    def _potential(self, x: Tensor, t: float) -> Tensor:
        return 2 + math.exp(-self.viscosity * t) * x.cos()


@dataclass(frozen=True)
class TravellingWave(ExactSolution):
    """A wave of the advection-diffusion equation.

        u = mean + exp(-diffusivity k**2 t) sin(k (x - velocity t))

    Attributes:
        velocity, diffusivity: of the equation.
        wavenumber: `k`, a multiple of `2 pi` over the period.
        mean: the constant part.

    Example:
        >>> import math
        >>> from stencilnet import FiniteDifference, Grid
        >>> from stencilnet.equations import Advection, TravellingWave
        >>> wave, errors = TravellingWave(velocity=1.0), []
        >>> for grid in (Grid.line(32), Grid.line(64)):
        ...     method = FiniteDifference(Advection(1.0), grid)
        ...     u_t = method(wave.averages(grid, 0.0))
        ...     rate = (wave.averages(grid, 1e-4) - wave.averages(grid, -1e-4)) / 2e-4
        ...     errors.append(float((u_t - rate).abs().max()))
        >>> round(math.log2(errors[0] / errors[1]), 1)  # second order
        2.0
    """

    velocity: float
    diffusivity: float = 0.0
    wavenumber: float = 1.0
    mean: float = 0.2

    def values(self, grid: Grid, t: float) -> Float[Tensor, " x"]:
        k = self.wavenumber
        wave = (k * (grid.points() - self.velocity * t)).sin()
        return self.mean + math.exp(-self.diffusivity * k**2 * t) * wave

    def averages(self, grid: Grid, t: float) -> Float[Tensor, " x"]:
        half = torch.tensor(self.wavenumber * grid.spacing[-1] / 2).double()
        wave = self.values(grid, t) - self.mean
        return self.mean + torch.sinc(half / math.pi) * wave


@dataclass(frozen=True)
class Steepening(ExactSolution):
    """Inviscid Burgers' equation from `u_0 = mean + amplitude sin x`, before the shock.

    Characteristics give `u(x, t) = u_0(y)` with `x = y + u_0(y) t`, which Newton's
    method solves. The integral of `u` over `x` is that of `u_0 (1 + t u_0')` over `y`,
    so that averages are exact:

        averages = [U_0(y) + t u_0(y)**2 / 2] between faces / dx,    U_0' = u_0.

    On `[0, 2 pi)`.

    Example:
        >>> from stencilnet import Grid
        >>> from stencilnet.equations import Steepening
        >>> wave, grid = Steepening(mean=0.3, amplitude=0.5), Grid.line(64)
        >>> wave.shock_time
        2.0
        >>> u = wave.values(grid, 1.5)
        >>> origin = grid.points() - 1.5 * u  # of each characteristic
        >>> bool((u - (0.3 + 0.5 * origin.sin())).abs().max() < 1e-12)
        True
    """

    mean: float = 0.3
    amplitude: float = 1.0

    def __post_init__(self) -> None:
        if not self.amplitude > 0:
            raise ValueError(
                f"A wave that steepens has a positive amplitude, not {self.amplitude}."
            )

    @property
    def shock_time(self) -> float:
        """When the solution ceases to be smooth."""
        return 1 / self.amplitude

    def values(self, grid: Grid, t: float) -> Float[Tensor, " x"]:
        _check_period(grid)
        return self._initial(self._origin(grid.points(), t))

    def averages(self, grid: Grid, t: float) -> Float[Tensor, " x"]:
        _check_period(grid)
        left, right = (self._primitive(x, t) for x in faces(grid))
        return (right - left) / grid.spacing[-1]

    def _initial(self, y: Tensor) -> Tensor:
        return self.mean + self.amplitude * y.sin()

    def _primitive(self, x: Tensor, t: float) -> Tensor:
        y = self._origin(x, t)
        area = self.mean * y - self.amplitude * y.cos()
        return area + t * self._initial(y) ** 2 / 2

    def _origin(self, x: Tensor, t: float) -> Tensor:
        """Where the characteristic through `(x, t)` starts."""
        if not 0 <= t < self.shock_time:
            raise ValueError(
                f"Characteristics cross at t = {self.shock_time}: ask for an earlier "
                f"time than {t}, and none before 0."
            )
        y = x - self.mean * t
        # The first steps may leave the basin of convergence: keep to the interval
        # that holds the origin.
        low, high = y - self.amplitude * t, y + self.amplitude * t
        for _ in range(60):
            excess = y + self._initial(y) * t - x
            low = torch.where(excess < 0, y, low)
            high = torch.where(excess > 0, y, high)
            newton = y - excess / (1 + self.amplitude * t * y.cos())
            inside = (newton >= low) & (newton <= high)
            y = torch.where(inside, newton, (low + high) / 2)
        return y


@dataclass(frozen=True)
class MovingShock(ExactSolution):
    """Inviscid Burgers' equation from a block: a shock ahead, a rarefaction behind.

    `u_0` is `high` on `[start, stop)` and `low` elsewhere. The front moves by the
    jump condition, at `(low + high) / 2`; the fan `(x - start) / t` follows from the
    rear. Valid while fan and shock are apart and inside the period.

    Source: LeVeque (2002), Finite Volume Methods for Hyperbolic Problems, chapter 11.

    Attributes:
        low, high: the two states, `low < high`.
        start, stop: the ends of the block at `t = 0`.

    Example:
        >>> from stencilnet import Grid
        >>> from stencilnet.equations import MovingShock
        >>> shock = MovingShock(low=0.0, high=1.0, start=1.0, stop=3.0)
        >>> shock.front(2.0)
        4.0
        >>> grid = Grid.line(64)
        >>> mass = shock.averages(grid, 2.0).sum() * grid.spacing[-1]
        >>> round(float(mass), 6)
        2.0
    """

    low: float = 0.0
    high: float = 1.0
    start: float = 1.0
    stop: float = 3.0

    def __post_init__(self) -> None:
        if not (self.low < self.high and self.start < self.stop):
            raise ValueError(
                f"A block needs low < high and start < stop, not {self.low}, "
                f"{self.high}, {self.start} and {self.stop}."
            )

    def front(self, t: float) -> float:
        """Where the shock is."""
        return self.stop + (self.low + self.high) / 2 * t

    def values(self, grid: Grid, t: float) -> Float[Tensor, " x"]:
        self._check(grid, t)
        x = grid.points()
        fan = ((x - self.start) / t if t else _jump(x - self.start)).clamp(
            self.low, self.high
        )
        return torch.where(x < self.front(t), fan, self.low)

    def averages(self, grid: Grid, t: float) -> Float[Tensor, " x"]:
        self._check(grid, t)
        left, right = (self._primitive(x, t) for x in faces(grid))
        return (right - left) / grid.spacing[-1]

    def _primitive(self, x: Tensor, t: float) -> Tensor:
        """Integral of `u` from 0 to `x`."""
        tail, head = self.start + self.low * t, self.start + self.high * t
        behind = x.clamp(tail, head) - tail
        fan = behind**2 / (2 * t) if t else 0 * x
        block = (self.high - self.low) * (x.clamp(head, self.front(t)) - head)
        return self.low * x + fan + block

    def _check(self, grid: Grid, t: float) -> None:
        tail, length = self.start + self.low * t, grid.extent[-1]
        if t < 0 or min(self.start, tail) < 0 or self.front(t) > length:
            raise ValueError(
                f"At t = {t} the block lies between {tail} and {self.front(t)}, beyond "
                f"the period from 0 to {length}: ask for a time from 0 on at which it "
                f"lies within."
            )
        if self.start + self.high * t > self.front(t):
            raise ValueError(
                f"The rarefaction has caught up with the shock at t = {t}: ask for an "
                f"earlier time, or take a longer block."
            )


def _check_period(grid: Grid) -> None:
    """Raises if a grid without boundaries has another period than the solution."""
    if grid.boundaries is None and not math.isclose(grid.extent[-1], 2 * math.pi):
        raise ValueError(
            f"This solution has the period 2 pi, but the grid {grid.extent[-1]}: give "
            f"Grid.line(points)."
        )


def faces(grid: Grid) -> tuple[Tensor, Tensor]:
    """Coordinates of the left and the right face of each cell."""
    half = grid.spacing[-1] / 2
    return grid.points() - half, grid.points() + half


def _jump(x: Tensor) -> Tensor:
    """Minus or plus infinity, as the sign of `x` says; 0 counts as positive."""
    return torch.where(x < 0, -math.inf, math.inf).to(x.dtype)
