"""Burgers' equation on a mesh that follows the solution."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.equations import Burgers, Equation
from stencilnet.forcing import RandomForcing
from stencilnet.grid import Grid

# A real limit of SSPRK3 on the negative axis.
_REAL_LIMIT = 2.5


class Cells(NamedTuple):
    """Cells of a periodic mesh.

    Attributes:
        u: averages.
        left: positions of the left faces, increasing, within one period.
        width: of each cell.
    """

    u: Float[Tensor, "*batch x"]
    left: Float[Tensor, "*batch x"]
    width: Float[Tensor, "*batch x"]


class MovingMesh:
    """Finite volumes of third order whose cells equidistribute a monitor.

    A right-hand side for `rollout` of the coupled system: integrals of `u` over cells,
    positions of their left faces and the time,

        (h_i u_i)' = -(G_(i+1/2) - G_(i-1/2)) + int f dx,
        G = F(u) - w u - nu u_x,    w = x'_(i+1/2),
        h_i' = -(M_i h_i - mean(M h)) / relaxation,

    MMPDE6, in which mesh points move with the mean of `u` beside. The monitor

        M = 1 - share + share |u_x|**power / mean(|u_x|**power)

    is bounded by `compression` and smoothed over neighbouring cells. Face values are
    those of a parabola, Godunov's flux is that of the moving face, and `u_x` at faces
    is of third order, of fourth on equal cells. The integral of `u` is conserved to
    rounding, and a constant stays one on any mesh. Use float64: positions in single
    precision are too coarse for cells in shocks.

    Sources: Huang, Ren and Russell (1994), doi:10.1137/0731038, Eq. (29), MMPDE6;
    Beckett and Mackenzie (2000), doi:10.1016/S0168-9274(99)00065-3, for the monitor;
    Huang (1997), doi:10.1137/S0036142994272813, for its smoothing.

    Args:
        equation: Burgers' equation.
        grid: number of cells and period; the cells of `averages`.
        forcing: one row per sample, or none.
        share: of the cells that go where the solution is steep.
        power: of the slope.
        compression: how many times a cell may be smaller than those of the grid.
        relaxation: time in which a cell of the average monitor follows it.
        smoothing: cells over which the monitor is smoothed.

    Raises:
        TypeError: if the equation is another one.
        ValueError: if a number is out of its range.

    Example:
        >>> from stencilnet import Burgers, Grid, rollout
        >>> from stencilnet.discretizations import MovingMesh
        >>> mesh = MovingMesh(Burgers(viscosity=0.02), Grid.line(24), compression=5.0)
        >>> front = -(20 * Grid.line(96).points().sin()).tanh()
        >>> state = mesh.start(front, sweeps=50)
        >>> width = mesh.cells(state)[0].width
        >>> round(float(width.max() / width.min()))
        4
        >>> state = rollout(mesh, state, [0.0, 0.05], steps=8)[-1]
        >>> bool(mesh.averages(state).mean().abs() < 1e-12)
        True
    """

    def __init__(
        self,
        equation: Equation,
        grid: Grid,
        forcing: RandomForcing | None = None,
        *,
        share: float = 0.6,
        power: float = 1.5,
        compression: float = 10.0,
        relaxation: float = 0.05,
        smoothing: float = 1.0,
    ) -> None:
        grid.require_periodic("Moving meshes")
        if not isinstance(equation, Burgers):
            raise TypeError(
                f"A moving mesh solves Burgers' equation, not "
                f"{type(equation).__name__}: choose a method on a fixed grid."
            )
        if not 0 <= share < 1:
            raise ValueError(f"The share of moved cells lies in [0, 1), not {share}.")
        for name, value in (
            ("power", power),
            ("compression", compression),
            ("relaxation", relaxation),
        ):
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"The {name} must be positive, not {value}.")
        if not (math.isfinite(smoothing) and smoothing >= 0):
            raise ValueError(f"The smoothing must not be negative, but is {smoothing}.")
        self.equation, self.grid = equation, grid
        self.share, self.power = share, power
        self.compression, self.relaxation = compression, relaxation
        points = grid.shape[-1]
        eye = torch.eye(points, dtype=torch.float64)
        second = eye.roll(1, 0) + eye.roll(-1, 0) - 2 * eye
        self._smooth = torch.linalg.inv(eye - smoothing * (1 + smoothing) * second)
        # The right face of the last cell is the left one of the first, a period on.
        self._wrap = grid.extent[-1] * eye[-1]
        self._waves = None if forcing is None else _Waves(forcing, grid.extent[-1])

    def __call__(
        self, state: Float[Tensor, "*batch entry"]
    ) -> Float[Tensor, "*batch entry"]:
        """The rate of a state."""
        cells, time = self.cells(state)
        rate = self._widening(cells)
        # Mesh points move with the mean flow, beside what widens cells.
        mean = (cells.u * cells.width).sum(-1, keepdim=True) / self.grid.extent[-1]
        moved = rate.cumsum(-1) - rate
        velocity = mean + moved - moved.mean(-1, keepdim=True)
        flux = self._flux(cells, velocity)
        gained = flux - flux.roll(-1, -1)
        if self._waves is not None:
            gained = gained + self._waves.integral(time, cells)
        return torch.cat([gained, velocity, torch.ones_like(time)], dim=-1)

    def cells(self, state: Float[Tensor, "*batch entry"]) -> tuple[Cells, Tensor]:
        """The cells of a state, and its time."""
        points = self.grid.shape[-1]
        integral, left = state[..., :points], state[..., points:-1]
        width = left.roll(-1, -1) - left + self._wrap
        return Cells(integral / width, left, width), state[..., -1:]

    def start(
        self, u: Float[Tensor, "*batch fine"], t: float = 0.0, *, sweeps: int = 400
    ) -> Float[Tensor, "*batch entry"]:
        """The state of cell averages on a uniform grid, on a mesh that fits them.

        Args:
            u: averages, best on a grid that resolves the solution.
            t: the time, on the clock of the forcing.
            sweeps: of the search for the mesh.
        """
        period, points = self.grid.extent[-1], self.grid.shape[-1]
        source = _uniform(u, period)
        width = torch.full((*u.shape[:-1], points), period / points, dtype=u.dtype)
        for _ in range(sweeps + 1):
            left = source.left[..., :1] + width.cumsum(-1) - width
            integral = _integrals(source, left, period)
            cells = Cells(integral / width, left, width)
            rate = self._widening(cells) * self.relaxation
            width = width + rate / (2 * self.compression)
        time = torch.full_like(integral[..., :1], t)
        return torch.cat([integral, left, time], dim=-1)

    def averages(
        self, state: Float[Tensor, "*batch entry"]
    ) -> Float[Tensor, "*batch x"]:
        """Averages over the cells of the grid, of the parabolas of a state's cells."""
        period, points = self.grid.extent[-1], self.grid.shape[-1]
        cells = self.cells(state)[0]
        target = _uniform(torch.zeros_like(cells.u), period).left
        return _integrals(cells, target, period) * (points / period)

    def stable_step(self, state: Float[Tensor, "*batch entry"]) -> float:
        """The stable step of SSPRK3 for the smallest cells that the monitor allows.

        Args:
            state: whose largest speed counts; solutions that grow need a share of it.
        """
        cells, _ = self.cells(state)
        nu = float(torch.as_tensor(self.equation.viscosity).max())
        width = self.grid.spacing[-1] / self.compression
        speed = float(cells.u.amax() - cells.u.amin())
        diffusion = 16 / 3 * nu / width**2
        relaxation = self.compression / self.relaxation
        return _REAL_LIMIT / (diffusion + speed / width + relaxation)

    def _widening(self, cells: Cells) -> Float[Tensor, "*batch x"]:
        """Rate at which each cell widens."""
        u, width = cells.u, cells.width
        distance = width + (width.roll(1, -1) + width.roll(-1, -1)) / 2
        slope = (u.roll(-1, -1) - u.roll(1, -1)) / distance
        tiny = torch.finfo(u.dtype).tiny ** 0.5
        steep = (slope**2 + tiny) ** (self.power / 2)
        mean = (steep * width).sum(-1, keepdim=True) / self.grid.extent[-1]
        monitor = 1 - self.share + self.share * steep / mean
        monitor = monitor / (1 + monitor / self.compression)
        load = monitor @ self._smooth.to(u) * width
        return (load.mean(-1, keepdim=True) - load) / self.relaxation

    def _flux(
        self, cells: Cells, velocity: Float[Tensor, "*batch x"]
    ) -> Float[Tensor, "*batch x"]:
        """Flux through the left face of each cell, which moves."""
        u, width = cells.u, cells.width
        ahead, bend = _parabolas(cells)
        after, before = width.roll(-1, -1), width.roll(1, -1)
        at_right = u + width * (ahead - bend * after)
        at_left = u - width * (ahead - bend * (width + after))
        left, right = at_right.roll(1, -1), at_left
        # In the frame of the face, F - w u = (u - w)**2 / 2 - w**2 / 2.
        moving = self.equation.riemann(left - velocity, right - velocity)
        # The derivative at the right face, by a cubic through four cells.
        twist = (bend.roll(-1, -1) - bend) / (
            before + width + after + width.roll(-2, -1)
        )
        uneven = width - after
        slope = 2 * (
            ahead + bend * uneven + twist * (uneven * (width + before) - width * after)
        )
        viscous = self.equation.viscosity * slope.roll(1, -1)
        return moving - velocity**2 / 2 - viscous


class _Waves:
    """Integrals of a random forcing over any cells."""

    def __init__(self, forcing: RandomForcing, period: float) -> None:
        self._forcing = forcing.to(dtype=torch.float64)
        # All waves of one wavenumber are one; the sine carries the sign.
        numbers = self._forcing.wavenumber
        distinct: Tensor = numbers.abs().unique()  # type: ignore[no-untyped-call]
        self._same = (numbers.abs().unsqueeze(-1) == distinct).double()
        self._odd = torch.where(numbers < 0, -1.0, 1.0).double()
        self._k = (distinct * (2 * math.pi / period)).unsqueeze(-1)

    def integral(self, t: Tensor, cells: Cells) -> Float[Tensor, "*batch x"]:
        """Integrals over cells at a time, which is a tensor `(*batch, 1)`."""
        forcing = self._forcing
        clock = forcing.frequency * t + forcing.phase
        cosine = self._summed(clock.sin())
        sine = self._summed(self._odd * clock.cos())
        # sin(q + k x) integrates to sin(q + k m) h sinc(k h / 2) about the middle m.
        middle = (cells.left + cells.width / 2).unsqueeze(-2)
        angle = self._k * middle
        damping = torch.sinc(self._k * cells.width.unsqueeze(-2) / (2 * math.pi))
        waves = cosine * angle.cos() + sine * angle.sin()
        return (waves * damping).sum(-2) * cells.width

    def _summed(self, factor: Tensor) -> Tensor:
        amplitude = (self._forcing.amplitude * factor).unsqueeze(-2)
        return (amplitude @ self._same).transpose(-1, -2)


def _uniform(u: Tensor, period: float) -> Cells:
    """The cells of a uniform grid, whose first one is about 0."""
    grid = Grid.line(u.shape[-1], period)
    left = (grid.points().to(u) - grid.spacing[-1] / 2).expand_as(u)
    return Cells(u, left, torch.full_like(u, grid.spacing[-1]))


def _parabolas(cells: Cells) -> tuple[Tensor, Tensor]:
    """Second and third divided differences of the integral of `u`.

    In a cell from `x_1` to `x_2`, with the next face `x_3`, the integral from `x_1` is

        u (x - x_1) + (x - x_1) (x - x_2) (ahead + bend (x - x_3)).
    """
    u, width = cells.u, cells.width
    after = width.roll(-1, -1)
    ahead = (u.roll(-1, -1) - u) / (width + after)
    bend = (ahead - ahead.roll(1, -1)) / (width.roll(1, -1) + width + after)
    return ahead, bend


def _integrals(
    cells: Cells, left: Float[Tensor, "*batch y"], period: float
) -> Float[Tensor, "*batch y"]:
    """Integrals of cells' parabolas over other cells, given by their left faces."""
    ahead, bend = _parabolas(cells)
    whole = (cells.u * cells.width).cumsum(-1)
    # Positions within the period that begins with the first cell.
    turns = ((left - cells.left[..., :1]) / period).floor()
    position = left - turns * period
    index = torch.searchsorted(cells.left.contiguous(), position, right=True) - 1
    index = index.clamp(min=0)

    def at(field: Tensor) -> Tensor:
        return field.gather(-1, index)

    inner = position - at(cells.left)
    width, after = at(cells.width), at(cells.width.roll(-1, -1))
    part = at(ahead) + at(bend) * (inner - width - after)
    primitive = at(whole - cells.u * cells.width) + inner * at(cells.u)
    primitive = primitive + inner * (inner - width) * part + turns * whole[..., -1:]
    following = primitive.roll(-1, -1)
    # The last cell ends a period after the first begins.
    last = torch.zeros_like(primitive)
    last[..., -1] = 1.0
    return following + last * whole[..., -1:] - primitive
