"""Dealiased pseudo-spectral method, with or without a filter."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from stencilnet.boundaries import Wall, ZeroSlope
from stencilnet.discretizations.base import Discretization
from stencilnet.equations import Equation, has_mirror_symmetry
from stencilnet.grid import Grid


@dataclass(frozen=True)
class ExponentialFilter:
    """Damping of the shortest waves that a spectral method holds.

        u_t = ... - strength c k_max (k / k_max)**order u_k,
        c**2 = 2 mean (F'(u) - mean F'(u))**2 of the sample at this time

    Over a step `dt` that is the exponential filter `exp(-alpha (k / k_max)**order)`
    with `alpha = strength c k_max dt`, whatever the step: a spectral vanishing
    viscosity that leaves long waves alone, to the order `order - 1`, and dissipates
    what steepening hands to the shortest ones. The speed `c`, the amplitude
    of a sine, follows the data, so that the damping does not depend on units, and a
    mean flow does not change it.

    Sources: Hesthaven, Gottlieb and Gottlieb (2007), Spectral Methods for
    Time-Dependent Problems, Section 9.2; Tadmor (1989), doi:10.1137/0726003.

    Attributes:
        order: even, at least 2.
        strength: not negative.

    Raises:
        ValueError: if the order is odd or below 2, or the strength is negative.

    Example:
        >>> from stencilnet import Burgers, Grid, PseudoSpectral
        >>> from stencilnet.discretizations import ExponentialFilter
        >>> inviscid, grid = Burgers(viscosity=0.0), Grid.line(16)
        >>> wave = (4 * grid.points()).sin()
        >>> damping = ExponentialFilter(order=2)
        >>> filtered = PseudoSpectral(inviscid, grid, damping=damping)(wave)
        >>> damped = filtered - PseudoSpectral(inviscid, grid)(wave)
        >>> round(float(damped @ wave / (wave @ wave)), 6)  # -k_max (k / k_max)**2
        -2.0
    """

    order: int = 6
    strength: float = 1.0

    def __post_init__(self) -> None:
        if self.order < 2 or self.order % 2:
            raise ValueError(
                f"A filter has an even order of at least 2, not {self.order!r}."
            )
        if not (math.isfinite(self.strength) and self.strength >= 0):
            raise ValueError(
                f"The strength of a filter is a number of at least 0, not "
                f"{self.strength!r}."
            )

    def spec(self) -> dict[str, Any]:
        """The attributes, as plain values."""
        return {"order": self.order, "strength": self.strength}


class PseudoSpectral(Discretization):
    """Fourier-Galerkin method with exactly dealiased quadratic fluxes.

    Solves `u_t = -F(u)_x + L u + S(u)` for all waves that the grid holds: those below
    the Nyquist wavenumber `K` and, for an even number of points, `cos(K x)`, whose
    sine the grid does not see. Galerkin's projection leaves this wave the real part of
    the linear symbol: it diffuses, and neither travels nor disperses.

    Flux and source are formed on a grid of at least 3/2 as many points, which removes
    every aliasing error of quadratic ones (Orszag's rule,
    doi:10.1175/1520-0469(1971)028<1074:OTEOAI>2.0.CO;2).
    Cell averages are the same coefficients times `sinc(k dx / 2)`.

    Between two walls the waves are sines, between two ends of zero slope cosines: the
    method is that of the reflected field on twice the domain. That takes an equation
    which reflection leaves alone: `(x, u) -> (-x, -u)` for walls, `x -> -x` for zero
    slopes, which no flux survives.

    Args:
        equation: the equation to discretize.
        grid: the grid to discretize on.
        averages: whether the field holds cell averages.
        damping: of the shortest waves; none by default.

    Raises:
        ValueError: if the grid has fewer than 4 points, if there is a filter and the
            equation has a flux but no speed, or if reflection at the boundaries is no
            symmetry of the equation.

    Example:
        >>> from stencilnet import Burgers, Grid, PseudoSpectral
        >>> method = PseudoSpectral(Burgers(viscosity=0.1), Grid.line(16))
        >>> x = method.grid.points()
        >>> exact = -x.sin() * x.cos() - 0.1 * x.sin()
        >>> bool((method(x.sin()) - exact).abs().max() < 1e-12)
        True
    """

    takes_boundaries = True

    def __init__(
        self,
        equation: Equation,
        grid: Grid,
        *,
        averages: bool = False,
        damping: ExponentialFilter | None = None,
    ) -> None:
        super().__init__(equation, grid, averages=averages)
        self._parity = _parity(equation, grid)
        self._whole = grid
        if self._parity:
            self._whole = Grid.line(2 * grid.shape[-1], 2 * grid.extent[-1])
        points = self._whole.shape[-1]
        if points < 4:
            raise ValueError(
                f"A pseudo-spectral method needs at least 4 points, not {points}."
            )
        if damping is not None and not equation.has_speed:
            raise ValueError(
                f"A filter needs the speed of the flux, which "
                f"{type(equation).__name__} does not define: define speed(u)."
            )
        self.damping = damping
        self.padded_points = 3 * points // 2 + (3 * points // 2) % 2
        if equation.has_source:
            # The square of cos(K x) must not fall on the wave K itself.
            self.padded_points = _fast_size(3 * points // 2 + 1)
        self.modes = (points - 1) // 2 + 1
        k = self._whole.wavenumbers()
        averaging = torch.sinc(k * grid.spacing[-1] / (2 * torch.pi))
        # A transform of N points counts the wave at the Nyquist wavenumber twice.
        twice = torch.ones_like(k)
        twice[self.modes :] = 2.0
        self.register_constant("wavenumbers", k)
        self.register_constant("k", k[: self.modes])
        self.register_constant("scale", twice * averaging if averages else twice)
        self.register_constant("slope", -k / self.padded_points)
        if damping is not None:
            share = (k / k[-1]) ** damping.order
            self.register_constant("damping_rate", -damping.strength * k[-1] * share)

    @property
    def settings(self) -> dict[str, Any]:
        return {"averages": self.averages, "damping": self.damping}

    def to_modes(self, u: Float[Tensor, "*batch x"]) -> Complex[Tensor, "*batch modes"]:
        """Fourier coefficients of the solution whose point values or averages are `u`.

        They are those of `u(x) = sum_k u_k exp(i k x)`, whatever the number of points,
        for the wavenumbers below the Nyquist one. A resolved solution has no more.
        """
        return self._transform(u)[..., : self.modes]

    def to_values(
        self, u_hat: Complex[Tensor, "*batch modes"]
    ) -> Float[Tensor, "*batch x"]:
        """Point values or averages, as the method holds; inverse of `to_modes`."""
        scaled = u_hat * self._scale(u_hat.real)[: u_hat.shape[-1]]
        values = torch.fft.irfft(scaled, n=self._whole.shape[-1], norm="forward")
        return values[..., : self.grid.shape[-1]] if self._parity else values

    def symbol(self) -> Tensor:
        """The linear part of the equation, per mode of `to_modes`."""
        return self.equation.symbol(self.get_buffer("k"))

    def linear_symbol(self) -> Complex[Tensor, "*sample mode"]:
        """The linear part, that of the flux about zero included, see the base class."""
        self.grid.require_periodic("Fourier symbols, and integrators that take one,")
        k = self.get_constant("wavenumbers", self.get_buffer("k").double())
        symbol = self.equation.symbol(k).to(torch.complex128)
        if self.equation.has_flux and self.equation.has_speed:
            symbol = symbol - 1j * k * self.equation.speed(torch.zeros_like(k[:1]))
        nyquist = symbol[..., self.modes :].real.to(symbol.dtype)
        return torch.cat([symbol[..., : self.modes], nyquist], dim=-1)

    def eigenvalues(
        self, levels: Float[Tensor, " state"]
    ) -> Complex[Tensor, "states x"]:
        """As the base class; between boundaries those on twice the domain."""
        if not self._parity:
            return super().eigenvalues(levels)
        return self.on(self._whole).eigenvalues(levels)

    def nonlinear(
        self, u_hat: Complex[Tensor, "*batch modes"]
    ) -> Complex[Tensor, "*batch modes"]:
        """`-F(u)_x + S(u)` and the filter in Fourier space, dealiased."""
        equation, modes = self.equation, u_hat.shape[-1]
        if not (equation.has_flux or equation.has_source):
            return torch.zeros_like(u_hat)
        u = torch.fft.irfft(u_hat, n=self.padded_points, norm="forward")
        terms = []
        if equation.has_flux:
            # The scaling of the transform is left to the factor, which is smaller.
            flux_hat = torch.fft.rfft(equation.flux(u))[..., :modes]
            terms.append(flux_hat * (1j * self.get_constant("slope", u)[:modes]))
            if self.damping is not None:
                rate = self.get_constant("damping_rate", u)[:modes]
                terms.append(_amplitude(equation.speed(u)) * rate * u_hat)
        if equation.has_source:
            source_hat = torch.fft.rfft(equation.source(u), norm="forward")
            terms.append(source_hat[..., :modes])
        return sum(terms[1:], terms[0])

    def forward(self, u: Float[Tensor, "*batch x"]) -> Float[Tensor, "*batch x"]:
        self.check_field(u)
        if not u.numel():
            # Some libraries of transforms refuse an empty batch.
            return u.clone()
        u_hat = self._transform(u)
        symbol = self.equation.symbol(self.get_constant("wavenumbers", u))
        symbol = symbol.to(u_hat.dtype if symbol.is_complex() else u.dtype)
        # The transform back takes the real part of the wave at the Nyquist wavenumber.
        return self.to_values(self.nonlinear(u_hat) + symbol.to(u.device) * u_hat)

    def _transform(self, u: Tensor) -> Tensor:
        """All modes that the grid holds."""
        if self._parity:
            u = torch.cat([u, self._parity * u.flip(-1)], dim=-1)
        return torch.fft.rfft(u, norm="forward") / self._scale(u)

    def _scale(self, like: Tensor) -> Tensor:
        return self.get_constant("scale", like)


def truncation_floor(
    u: Float[Tensor, "sample time x"],
    fine: Grid,
    coarse: Grid,
    *,
    averages: bool,
    fine_averages: bool | None = None,
) -> Float[Tensor, " sample"]:
    """Error of the exact solution truncated to the waves of a coarse grid.

    No spectral method on `coarse` does better on the whole: its waves cannot hold the
    others, which the exact values or averages there contain.

    Args:
        u: resolved solution.
        fine: grid of `u`.
        coarse: grid of the spectral method; its points are among those of `fine`.
        averages: whether the method holds cell averages.
        fine_averages: whether `u` holds cell averages; as the method by default.

    Returns:
        Relative L2 error over the rollout.

    Raises:
        ValueError: if the points of `coarse` are not among those of `fine`.

    Example:
        >>> from stencilnet import Grid
        >>> from stencilnet.discretizations import truncation_floor
        >>> fine, coarse = Grid.line(32), Grid.line(8)
        >>> x = fine.points()
        >>> u = (x.sin() + 0.1 * (6 * x).sin()).reshape(1, 1, 32)  # one sample and time
        >>> floor = truncation_floor(u, fine, coarse, averages=False)
        >>> [round(error, 4) for error in floor.tolist()]  # 0.1 / (1 + 0.1**2)**0.5
        [0.0995]
    """
    points = coarse.shape[-1]
    if coarse.extent != fine.extent or fine.shape[-1] % points:
        raise ValueError(
            f"A grid of {points} points over {coarse.extent[-1]:g} has others than one "
            f"of {fine.shape[-1]} over {fine.extent[-1]:g}: choose a divisor of "
            f"{fine.shape[-1]}, and one domain."
        )
    k = fine.wavenumbers().to(u)
    u_hat = torch.fft.rfft(u)
    if averages if fine_averages is None else fine_averages:
        u_hat = u_hat / torch.sinc(k * fine.spacing[-1] / (2 * math.pi))
    if averages:
        u_hat = u_hat * torch.sinc(k * coarse.spacing[-1] / (2 * math.pi))
    missing = torch.where(torch.arange(len(k), device=u.device) > points // 2, u_hat, 0)
    exact, error = (
        torch.fft.irfft(part, n=fine.shape[-1])[..., :: fine.shape[-1] // points]
        for part in (u_hat, missing)
    )
    norm = exact.square().sum((-2, -1)).sqrt()
    return error.square().sum((-2, -1)).sqrt() / norm.clamp(
        min=torch.finfo(norm.dtype).tiny
    )


def _parity(equation: Equation, grid: Grid) -> int:
    """Sign of the reflected field: 0 for a period, -1 at walls, 1 at zero slopes.

    Raises:
        ValueError: if reflection at the boundaries is no symmetry of the equation.
    """
    if grid.boundaries is None:
        return 0
    kinds = {type(boundary) for boundary in grid.boundaries}
    even = all(order % 2 == 0 for order in equation.linear())
    if kinds == {Wall} and has_mirror_symmetry(equation):
        return -1
    if kinds == {ZeroSlope} and even and not equation.has_flux:
        return 1
    raise ValueError(
        f"A spectral method takes a period, two walls for an equation with the mirror "
        f"symmetry (x, u) -> (-x, -u), or two zero slopes for one without a flux, not "
        f"{type(equation).__name__} between {grid.boundaries[0]!r} and "
        f"{grid.boundaries[1]!r}: take another method, such as FiniteDifference."
    )


def _amplitude(speed: Tensor) -> Tensor:
    """Root of twice the variance; at rest it has the gradient 0."""
    variance = (speed - speed.mean(-1, keepdim=True)).square().mean(-1, keepdim=True)
    return (2 * variance + torch.finfo(speed.dtype).tiny ** 0.6).sqrt()


def _fast_size(points: int) -> int:
    """The smallest even number from `points` on without prime factors above 5."""
    size = points + points % 2
    while True:
        rest = size
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return size
        size += 2
