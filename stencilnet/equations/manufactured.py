"""Manufactured solutions of any equation."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from numpy.polynomial import legendre
from torch import Tensor

from stencilnet.equations.base import Equation
from stencilnet.equations.exact import ExactSolution, faces
from stencilnet.grid import Grid

_QUADRATURE_POINTS = 10


@dataclass(frozen=True)
class Manufactured(ExactSolution):
    """Manufactured solution: a sum of waves, made exact by a suitable forcing.

        u = mean + sum_j amplitude_j sin(k_j x - frequency_j t + phase_j)

    The forcing `f = u_t + F(u)_x - L u - S(u)` is exact for point values, with `F'` by
    automatic differentiation. For averages `F` is differenced over the faces, `L` acts
    by its symbol, and the mean of `S(u)` over each cell is taken by Gauss quadrature,
    to round-off.

    Source of the method: Roache (2002), doi:10.1115/1.1436090.

    Attributes:
        mean: the constant part.
        amplitudes, wavenumbers, frequencies, phases: one of each per wave; wavenumbers
            are multiples of `2 pi` over the period.

    Example:
        >>> import torch
        >>> from stencilnet import Grid, PseudoSpectral, rollout
        >>> from stencilnet.equations import FisherKPP, Manufactured
        >>> equation, grid, waves = FisherKPP(), Grid.line(16), Manufactured()
        >>> times, u0 = torch.tensor([0.0, 0.1]).double(), waves.values(grid, 0.0)
        >>> forcing = waves.forcing(equation, grid, averages=False)
        >>> u = rollout(PseudoSpectral(equation, grid), u0, times, forcing, steps=10)
        >>> bool((u[-1] - waves.values(grid, 0.1)).abs().max() < 1e-5)
        True
    """

    mean: float = 0.2
    amplitudes: tuple[float, ...] = (1.0, 0.4)
    wavenumbers: tuple[float, ...] = (1.0, 2.0)
    frequencies: tuple[float, ...] = (1.0, -0.7)
    phases: tuple[float, ...] = (0.0, math.pi / 2)

    def values(self, grid: Grid, t: float) -> Float[Tensor, " x"]:
        return self._at(grid.points(), t)

    def averages(self, grid: Grid, t: float) -> Float[Tensor, " x"]:
        waves = self._waves(grid.points(), t) * self._averaging(grid)
        return self.mean + waves.imag.sum(0)

    def rate(self, grid: Grid, t: float, *, averages: bool) -> Float[Tensor, " x"]:
        """`u_t` of the sum of waves."""
        slopes = -1j * self._column(self.frequencies) * self._waves(grid.points(), t)
        return (slopes * self._averaging(grid) if averages else slopes).imag.sum(0)

    def right_hand_side(
        self, equation: Equation, grid: Grid, t: float, *, averages: bool
    ) -> Float[Tensor, " x"]:
        """`-F(u)_x + L u + S(u)` of the sum of waves, as values or averages."""
        # `L` maps real fields to real ones, so it acts on a sine through `exp(i k x)`.
        k = torch.tensor((0.0, *self.wavenumbers), dtype=torch.float64)
        symbol = equation.symbol(k)
        linear = symbol[1:].unsqueeze(-1) * self._waves(grid.points(), t)
        if averages:
            linear = linear * self._averaging(grid)
        total = symbol[0].real * self.mean + linear.imag.sum(0)
        source = self._source(equation, grid, t, averages=averages)
        return total + source - self._flux_slope(equation, grid, t, averages=averages)

    def forcing(
        self, equation: Equation, grid: Grid, *, averages: bool
    ) -> Callable[[float | Tensor], Tensor]:
        """`t -> f` under which the equation has this solution, for `rollout`."""

        def force(t: float | Tensor) -> Tensor:
            rate = self.rate(grid, float(t), averages=averages)
            return rate - self.right_hand_side(
                equation, grid, float(t), averages=averages
            )

        return force

    def _flux_slope(
        self, equation: Equation, grid: Grid, t: float, *, averages: bool
    ) -> Tensor:
        """`F(u)_x`, or its mean over each cell."""
        if not equation.has_flux:
            return torch.zeros_like(grid.points())
        if averages:
            left, right = (equation.flux(self._at(face, t)) for face in faces(grid))
            return (right - left) / grid.spacing[-1]
        x = grid.points()
        u = self._at(x, t).requires_grad_()
        with torch.enable_grad():
            (speed,) = torch.autograd.grad(equation.flux(u).sum(), u)
        u_x = (1j * self._column(self.wavenumbers) * self._waves(x, t)).imag.sum(0)
        return speed * u_x

    def _source(
        self, equation: Equation, grid: Grid, t: float, *, averages: bool
    ) -> Tensor:
        """`S(u)`, or its mean over each cell."""
        x = grid.points()
        if not averages:
            return equation.source(self._at(x, t))
        nodes, weights = legendre.leggauss(_QUADRATURE_POINTS)
        parts = [
            equation.source(self._at(x + node * grid.spacing[-1] / 2, t)) * weight / 2
            for node, weight in zip(nodes.tolist(), weights.tolist(), strict=True)
        ]
        return torch.stack(parts).sum(0)

    def _at(self, x: Tensor, t: float) -> Tensor:
        return self.mean + self._waves(x, t).imag.sum(0)

    def _waves(self, x: Tensor, t: float) -> Tensor:
        """`a_j exp(i (k_j x - w_j t + p_j))`, shape `(wave, x)`."""
        k, frequency, phase, amplitude = (
            self._column(numbers)
            for numbers in (
                self.wavenumbers,
                self.frequencies,
                self.phases,
                self.amplitudes,
            )
        )
        return torch.polar(amplitude.expand(-1, len(x)), k * x - frequency * t + phase)

    def _averaging(self, grid: Grid) -> Tensor:
        k = self._column(self.wavenumbers)
        return torch.sinc(k * grid.spacing[-1] / (2 * math.pi))

    def _column(self, numbers: tuple[float, ...]) -> Tensor:
        return torch.tensor(numbers, dtype=torch.float64).unsqueeze(-1)
