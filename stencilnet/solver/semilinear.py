"""Integrators that treat a linear part exactly or implicitly, in Fourier space."""

import abc
import math
from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from stencilnet.errors import holds
from stencilnet.solver.base import (
    Field,
    Forcing,
    Integrator,
    RightHandSide,
    Step,
    outliving_inference,
    with_forcing,
)
from stencilnet.solver.stability import check_eigenvalues, last_stable

# Schemes to cache: the steps of a rollout take a few values, which differ by rounding.
_CACHED = 32
# Largest growth rate of a stable mode in units of its own, which implicit methods
# exaggerate.
_OWN_GROWTH = 1.1
# Candidate steps: the first in units of the fastest mode's time scale, their ratio, and
# the last in those of the slowest mode, past any bounded region of stability.
_FIRST, _RATIO, _LAST = 0.02, 1.03, 50.0
_LARGEST_EXPONENT = 500.0


class Scheme(abc.ABC):
    """Steps of one length for `u_t = L u + N(t, u)` with a diagonal `L`."""

    @abc.abstractmethod
    def step(self, rhs: RightHandSide, t: Any, u: Tensor) -> Tensor:
        """The solution after one step; `rhs` is the remainder `N(t, u)`."""


class SemilinearIntegrator(Integrator):
    """An integrator for `u_t = L u + N(t, u)`, where `L` is diagonal in Fourier space.

    The remainder is `N(t, u) = rhs(u) + forcing(t) - L u`, so any `L` is consistent.
    One that contains the stiff part leaves a remainder that is not.

    Attributes:
        description: the method in words, the subject of error messages.
        symbol: of `L`, one number per mode of `rfft`; by default that of
            `rhs.linear_symbol()`. Its gradient is kept.

    Example:
        >>> from stencilnet import Burgers, Grid, PseudoSpectral, rollout
        >>> from stencilnet.equations import DecayingWave
        >>> from stencilnet.solver import Euler, IntegratingFactor, SemilinearIntegrator
        >>> class LawsonEuler(SemilinearIntegrator):
        ...     description, order, symbol = "Lawson's Euler method", 1, None
        ...
        ...     def scheme(self, symbol, dt, dtype):
        ...         return IntegratingFactor(Euler, symbol.to(dtype), dt)
        ...
        >>> method = PseudoSpectral(Burgers(viscosity=0.3), Grid.line(32))
        >>> wave = DecayingWave(viscosity=0.3)
        >>> u0, end = (wave.values(method.grid, t) for t in (0.0, 1.0))
        >>> u = rollout(method, u0, [0.0, 1.0], integrator=LawsonEuler(), steps=20)
        >>> bool((u[-1] - end).abs().max() < 0.02)
        True
    """

    compilable: ClassVar[bool] = False
    description: ClassVar[str]

    symbol: Tensor | None = None

    @abc.abstractmethod
    def scheme(
        self, symbol: Complex[Tensor, "*shape"], dt: float, dtype: torch.dtype
    ) -> Scheme:
        """Steps of the length `dt`, for states of a complex dtype.

        Args:
            symbol: the diagonal of `L` in double precision, broadcastable to the state.
            dt: the step, which may be negative.
            dtype: of the state.
        """

    def bind(self, rhs: Field, forcing: Forcing | None) -> Step:
        """See `Integrator.bind`.

        Raises:
            ValueError: if there is no symbol or if it is zero for all modes.
        """
        with outliving_inference():
            symbol = self.linear_symbol(rhs).to(torch.complex128, copy=True)
        slope = with_forcing(rhs, forcing)
        schemes: dict[Any, Scheme] = {}

        def scheme(dt: float, like: Tensor) -> Scheme:
            # A scheme made without gradients cannot serve a step that needs them, nor
            # one that is made in inference mode.
            modes = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
            key = (dt, like.dtype, like.device, *modes)
            if key not in schemes:
                if len(schemes) >= _CACHED:
                    del schemes[next(iter(schemes))]
                schemes[key] = self.scheme(symbol.to(like.device), dt, like.dtype)
            return schemes[key]

        def step(t: float, u: Tensor, dt: float) -> Tensor:
            if not u.numel():
                # Some FFT libraries refuse an empty batch.
                return u.clone()
            points = u.shape[-1]
            u_hat = self._modes(u, symbol.shape[-1])
            diagonal = symbol.to(u_hat)

            def remainder(t: float | Tensor, u_hat: Tensor) -> Tensor:
                u = torch.fft.irfft(u_hat, n=points)
                return torch.fft.rfft(slope(t, u)) - diagonal * u_hat

            u_hat = scheme(dt, u_hat).step(remainder, t, u_hat)
            return torch.fft.irfft(u_hat, n=points)

        return step

    def linear_symbol(self, rhs: Any) -> Complex[Tensor, "*sample mode"]:
        """The symbol of `L` for a right-hand side.

        Raises:
            ValueError: if there is none, if it is not finite, or if it is zero for all
                modes.
        """
        symbol = self.symbol
        if symbol is None and hasattr(rhs, "linear_symbol"):
            symbol = rhs.linear_symbol()
        if symbol is None:
            raise ValueError(
                f"{self.description} needs the Fourier symbol of the linear part, "
                f"which this right-hand side does not define: pass a Discretization or "
                f"set `symbol`."
            )
        if not symbol.ndim or not symbol.numel() or not holds(symbol.isfinite().all()):
            raise ValueError(
                f"{self.description} needs a finite symbol with one number per mode, "
                f"not one of shape {tuple(symbol.shape)}"
                f"{'' if holds(symbol.isfinite().all()) else ' with NaN or infinity'}."
            )
        if not holds(symbol.detach().abs().max() > 0):
            raise ValueError(
                f"{self.description} needs a linear part, which is zero here for all "
                f"modes: take an explicit method such as RK4."
            )
        return symbol + 0j

    def amplification(
        self, z: Complex[Tensor, "*shape"], linear: Complex[Tensor, "*shape"]
    ) -> Complex[Tensor, "*shape"]:
        """Stability function: one step maps `u` to `R u` when `u_t = lambda u`.

        Args:
            z: `lambda dt`.
            linear: its part `L dt`; the remainder is `(lambda - L) dt u`.
        """
        scheme = self.scheme(linear, 1.0, z.dtype)
        remainder = z - linear
        return scheme.step(lambda t, u: remainder * u, 0.0, torch.ones_like(z))

    def stable_step(
        self,
        eigenvalues: Complex[Tensor, "*shape"],
        *,
        linear: Complex[Tensor, "*shape"] | None = None,
        growth: float = 1e-4,
    ) -> float:
        """The largest `dt` with `|R| <= 1` for all eigenvalues, see `amplification`.

        A mode that grows by itself is held to 1.1 times the rate of its own growth, and
        the fastest mode, which `growth` refers to, is that of the remainder. See
        `Integrator.stable_step`.
        """
        check_eigenvalues(eigenvalues)
        if linear is None:
            raise ValueError(
                f"{self.description} needs the linear part of each eigenvalue for a "
                f"stable step: pass `linear`, or ask Discretization.stable_step."
            )
        check_eigenvalues(linear)
        if linear.shape != eigenvalues.shape:
            raise ValueError(
                f"The linear part has shape {tuple(linear.shape)} and the eigenvalues "
                f"{tuple(eigenvalues.shape)}: pass one for each."
            )
        eigenvalues = eigenvalues.detach().flatten()
        linear = linear.detach().flatten()
        own = torch.maximum(eigenvalues.real, linear.real).clamp(min=0)
        rates = torch.maximum((eigenvalues - linear).abs(), own)
        # The remainder of modes that have none is rounding.
        rates = rates[rates > 1e-10 * float(eigenvalues.abs().max())]
        if not len(rates):
            return math.inf
        scale = float(rates.max())
        allowed = _OWN_GROWTH * eigenvalues.real.clamp(min=0)

        def stable(dt: float) -> bool:
            factor = self.amplification(eigenvalues * dt, linear * dt).abs()
            return bool((factor <= torch.exp(allowed * dt) + growth * scale * dt).all())

        def candidates() -> Iterator[float]:
            last = _LAST / float(rates.min())
            if float(own.max()) > 0:
                last = min(last, _LARGEST_EXPONENT / float(own.max()))
            dt = _FIRST / scale
            while dt < last:
                yield dt
                dt *= _RATIO

        return last_stable(stable, candidates())

    def _modes(
        self, u: Float[Tensor, "*batch x"], modes: int
    ) -> Complex[Tensor, "*batch mode"]:
        """Fourier coefficients, without scaling."""
        if u.shape[-1] // 2 + 1 != modes:
            raise ValueError(
                f"{self.description} has a symbol of {modes} modes, but a field of "
                f"{u.shape[-1]} points has {u.shape[-1] // 2 + 1}: put both on one "
                f"grid."
            )
        return torch.fft.rfft(u)
