"""Dealiased pseudo-spectral method."""

from typing import Any

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from stencilnet.discretizations.base import Discretization
from stencilnet.equations import Equation
from stencilnet.grid import Grid


class PseudoSpectral(Discretization):
    """Fourier-Galerkin method with exactly dealiased quadratic fluxes.

    Solves `u_t = -F(u)_x + L u + S(u)` for all wavenumbers below the Nyquist one. Flux
    and source are formed on a grid of 3/2 as many points, which removes every aliasing
    error of quadratic ones (Orszag's rule,
    doi:10.1175/1520-0469(1971)028<1074:OTEOAI>2.0.CO;2).
    Cell averages are the same coefficients times `sinc(k dx / 2)`.

    Args:
        equation: the equation to discretize.
        grid: the grid to discretize on.
        averages: whether the field holds cell averages.

    Raises:
        ValueError: if the grid has fewer than 4 points.
    """

    def __init__(
        self, equation: Equation, grid: Grid, *, averages: bool = False
    ) -> None:
        super().__init__(equation, grid, averages=averages)
        points = grid.shape[-1]
        if points < 4:
            raise ValueError(
                f"A pseudo-spectral method needs at least 4 points, not {points}."
            )
        self.padded_points = 3 * points // 2 + (3 * points // 2) % 2
        self.modes = (points - 1) // 2 + 1
        k = grid.wavenumbers()[: self.modes]
        averaging = torch.sinc(k * grid.spacing[-1] / (2 * torch.pi))
        self.register_constant("k", k)
        self.register_constant("averaging", averaging)
        self.register_constant("slope", -k / self.padded_points)

    @property
    def settings(self) -> dict[str, Any]:
        return {"averages": self.averages}

    def to_modes(self, u: Float[Tensor, "*batch x"]) -> Complex[Tensor, "*batch modes"]:
        """Fourier coefficients of the solution whose point values or averages are `u`.

        They are those of `u(x) = sum_k u_k exp(i k x)`, whatever the number of points.
        The Nyquist mode of an even number of points, which has no phase, is dropped.
        """
        u_hat = torch.fft.rfft(u, norm="forward")[..., : self.modes]
        return u_hat / self._averaging_of(u) if self.averages else u_hat

    def to_values(
        self, u_hat: Complex[Tensor, "*batch modes"]
    ) -> Float[Tensor, "*batch x"]:
        """Point values or averages, as the method holds; inverse of `to_modes`."""
        if self.averages:
            u_hat = u_hat * self._averaging_of(u_hat.real)
        return torch.fft.irfft(u_hat, n=self.grid.shape[-1], norm="forward")

    def symbol(self) -> Tensor:
        """The linear part of the equation, per mode."""
        return self.equation.symbol(self.get_buffer("k"))

    def linear_symbol(self) -> Complex[Tensor, "*sample mode"]:
        """The linear part, that of the flux about zero included, see the base class.

        It is zero for the Nyquist mode, which the method drops.
        """
        k = self.get_constant("k", self.get_buffer("k").double())
        symbol = self.equation.symbol(k).to(torch.complex128)
        if self.equation.has_flux and self.equation.has_speed:
            symbol = symbol - 1j * k * self.equation.speed(torch.zeros_like(k[:1]))
        missing = self.grid.shape[-1] // 2 + 1 - self.modes
        return torch.nn.functional.pad(symbol, (0, missing))

    def nonlinear(
        self, u_hat: Complex[Tensor, "*batch modes"]
    ) -> Complex[Tensor, "*batch modes"]:
        """`-F(u)_x + S(u)` in Fourier space, dealiased."""
        equation = self.equation
        if not (equation.has_flux or equation.has_source):
            return torch.zeros_like(u_hat)
        u = torch.fft.irfft(u_hat, n=self.padded_points, norm="forward")
        terms = []
        if equation.has_flux:
            # The scaling of the transform is left to the factor, which is smaller.
            flux_hat = torch.fft.rfft(equation.flux(u))[..., : self.modes]
            terms.append(flux_hat * (1j * self.get_constant("slope", u)))
        if equation.has_source:
            source_hat = torch.fft.rfft(equation.source(u), norm="forward")
            terms.append(source_hat[..., : self.modes])
        return sum(terms[1:], terms[0])

    def forward(self, u: Float[Tensor, "*batch x"]) -> Float[Tensor, "*batch x"]:
        self.check_field(u)
        if not u.numel():
            # Some libraries of transforms refuse an empty batch.
            return u.clone()
        u_hat = self.to_modes(u)
        symbol = self.equation.symbol(self.get_constant("k", u))
        symbol = symbol.to(u_hat.dtype if symbol.is_complex() else u.dtype)
        return self.to_values(self.nonlinear(u_hat) + symbol.to(u.device) * u_hat)

    def _averaging_of(self, like: Tensor) -> Tensor:
        return self.get_constant("averaging", like)
