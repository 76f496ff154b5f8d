"""Problems with a linear part that integrators treat apart, in Fourier space."""

from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from stencilnet.solver.runge_kutta import Field, Forcing

T = TypeVar("T")
# Past it the least recent coefficients are forgotten; steps of a rollout take a few
# values, which differ by rounding.
_REMEMBERED = 32


class Split(Generic[T]):
    """A problem as `u_t = L u + N(t, u)`, where `L` is diagonal in Fourier space.

    The remainder is `N(t, u) = rhs(u) + forcing(t) - L u`, so any `L` is consistent.
    One that contains the stiff part leaves a remainder that is not.

    Args:
        method: name of the integrator, for messages.
        rhs: a `Discretization`, or any function if `symbol` is given.
        forcing: `t -> f`.
        symbol: of `L`, one number per mode of `rfft`; that of `rhs.linear_symbol()` by
            default. Its gradient is kept.
        prepare: what the integrator needs for steps of one length, from the symbol in
            double precision, `dt` and the dtype that is wanted.

    Raises:
        ValueError: if there is no symbol or if it is zero for all modes.
    """

    def __init__(
        self,
        method: str,
        rhs: Field,
        forcing: Forcing | None,
        symbol: Tensor | None,
        prepare: Callable[[Tensor, float, torch.dtype], T],
    ) -> None:
        if symbol is None and hasattr(rhs, "linear_symbol"):
            symbol = rhs.linear_symbol()
        if symbol is None:
            raise ValueError(
                f"{method} needs the Fourier symbol of the linear part, which this "
                f"right-hand side does not tell: give a Discretization, or the "
                f"integrator the argument `symbol`."
            )
        if not symbol.ndim or not symbol.numel() or not bool(symbol.isfinite().all()):
            raise ValueError(
                f"{method} needs a finite symbol with one number per mode, not one of "
                f"the shape {tuple(symbol.shape)}"
                f"{'' if bool(symbol.isfinite().all()) else ' with NaN or infinity'}."
            )
        if not bool(symbol.detach().abs().max() > 0):
            raise ValueError(
                f"{method} has nothing to treat exactly, the linear part is zero for "
                f"all modes: take an explicit method such as RK4."
            )
        self.symbol = symbol.to(torch.complex128)
        self._method = method
        self._rhs = rhs
        self._forcing = forcing
        self._prepare = prepare
        self._prepared: dict[tuple[float, torch.dtype, torch.device, bool], T] = {}

    def to_modes(self, u: Float[Tensor, "*batch x"]) -> Complex[Tensor, "*batch mode"]:
        """Fourier coefficients, without scaling."""
        modes = u.shape[-1] // 2 + 1
        if modes != self.symbol.shape[-1]:
            raise ValueError(
                f"{self._method} has a symbol of {self.symbol.shape[-1]} modes, but a "
                f"field of {u.shape[-1]} points has {modes}: put both on one grid."
            )
        return torch.fft.rfft(u)

    def coefficients(self, dt: float, like: Complex[Tensor, "*batch mode"]) -> T:
        """What `prepare` returned for `dt`, in the precision of `like`."""
        # What was made without gradients has none to give later.
        key = (dt, like.dtype, like.device, torch.is_grad_enabled())
        if key not in self._prepared:
            if len(self._prepared) >= _REMEMBERED:
                del self._prepared[next(iter(self._prepared))]
            symbol = self.symbol.to(like.device)
            self._prepared[key] = self._prepare(symbol, dt, like.dtype)
        return self._prepared[key]

    def remainder(
        self, t: float | Tensor, u_hat: Complex[Tensor, "*batch mode"], points: int
    ) -> Complex[Tensor, "*batch mode"]:
        """`N(t, u)` in Fourier space."""
        u_t = self._rhs(torch.fft.irfft(u_hat, n=points))
        if self._forcing is not None:
            u_t = u_t + self._forcing(t)
        return torch.fft.rfft(u_t) - self.symbol.to(u_hat) * u_hat
