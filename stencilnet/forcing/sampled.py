"""Forcing known by its values at some times, interpolated between them."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.errors import holds, whole_number
from stencilnet.grid import Grid

# Share of the shortest interval by which a stage time may miss the sampled range.
_SLACK = 1e-6
# Gauss points per interval: exact for polynomials of degree 7.
_NODES = 4


@dataclass(frozen=True)
class SampledForcing:
    """A forcing sampled in time on one grid, a function `f(t)` between its times.

    It is interpolated by the polynomial through the `order` nearest times, with an
    error of `O(dt**order)` in the sampling interval, so that no integrator of at most
    this order loses its own. Differentiable by the values.

    Attributes:
        times: increasing, on the clock of the times passed to `rollout`.
        values: shape `(sample, time, x)`; `(time, x)` is one sample.
        averages: whether the values are cell averages rather than point values.
        order: number of times that are interpolated; fewer where there are fewer.
        shift: what is added to a time before it is looked up, one number per sample.

    Raises:
        ValueError: if times and values do not fit, times do not increase, or a value is
            NaN or infinite.

    Example:
        >>> import math
        >>> import torch
        >>> from stencilnet.forcing import SampledForcing
        >>> times = torch.linspace(0, 1, 11).double()
        >>> forcing = SampledForcing(times, times.sin().unsqueeze(-1).expand(-1, 16))
        >>> f = forcing(0.55)
        >>> tuple(f.shape), bool((f - math.sin(0.55)).abs().max() < 1e-8)
        ((1, 16), True)
    """

    times: Float[Tensor, " time"]
    values: Float[Tensor, "sample time x"]
    averages: bool = False
    order: int = 6
    shift: Float[Tensor, " sample"] | None = None

    def __init__(
        self,
        times: Any,
        values: Any,
        *,
        averages: bool = False,
        order: int = 6,
        shift: Any = None,
    ) -> None:
        samples = _as_tensor(values)
        samples = samples.unsqueeze(0) if samples.ndim == 2 else samples
        clock = _as_tensor(times).to(samples.device, torch.float64)
        if samples.ndim != 3 or clock.ndim != 1 or samples.shape[1] != len(clock):
            raise ValueError(
                f"A sampled forcing needs values of shape (sample, time, x) at "
                f"{tuple(clock.shape)} times, not {tuple(samples.shape)}: give a state "
                f"of the forcing per time."
            )
        if not len(clock) or not holds((clock.diff() > 0).all()):
            raise ValueError(
                "The times of a sampled forcing must increase, and be at least one: "
                "sort them."
            )
        if not holds(samples.detach().isfinite().all()):
            raise ValueError(
                "A sampled forcing must be finite: fill in what is NaN or infinite."
            )
        fields = {
            "times": clock,
            "values": samples,
            "averages": bool(averages),
            "order": whole_number("The order of a sampled forcing", order),
            "shift": None if shift is None else _as_tensor(shift).to(clock),
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        """Number of samples."""
        return self.values.shape[0]

    def __call__(self, t: float | Tensor) -> Float[Tensor, "*sample x"]:
        """The forcing at one time, or at one time per sample, of shape `(sample, 1)`.

        Raises:
            ValueError: if a time lies outside of those that were sampled.
        """
        clock = torch.as_tensor(t, dtype=torch.float64, device=self.times.device)
        if clock.ndim:
            clock = clock.reshape(*clock.shape[:-2], -1)
        if self.shift is not None:
            clock = clock + self.shift
        self._check_range(clock)
        count, length = min(self.order, len(self.times)), len(self.times)
        right = torch.searchsorted(self.times, clock.detach().contiguous())
        start = (right - count // 2).clamp(0, length - count)
        chosen = start.unsqueeze(-1) + torch.arange(count, device=start.device)
        weights = _lagrange(self.times[chosen], clock).to(self.values)
        if not clock.ndim:
            return torch.einsum("n,snx->sx", weights, self.values[:, chosen])
        rows = torch.arange(len(self), device=start.device).unsqueeze(-1)
        if len(self) == 1:
            rows = torch.zeros_like(rows)
        return torch.einsum("sn,snx->sx", weights, self.values[rows, chosen])

    def select(self, rows: slice | Sequence[int] | Tensor) -> "SampledForcing":
        """The forcing of some of the samples, in the order of `rows`."""
        shift = None if self.shift is None else self.shift[rows]
        return self._with(values=self.values[rows], shift=shift)

    def starting_at(self, t0: float | Float[Tensor, " sample"]) -> "SampledForcing":
        """The same forcing on a clock that reads 0 at `t0`, one time or one each."""
        added = torch.as_tensor(t0).to(self.times).expand(len(self))
        return self._with(shift=added if self.shift is None else self.shift + added)

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> "SampledForcing":
        """The same forcing on another device or in another precision."""
        shift = None if self.shift is None else self.shift.to(device)
        return self._with(
            times=self.times.to(device),
            values=self.values.to(device=device, dtype=dtype),
            shift=shift,
        )

    def on(self, grid: Grid, *, averages: bool = False) -> "SampledForcing":
        """The forcing as point values or cell averages of its own grid.

        They determine each other by the Fourier symbol `sinc(k dx / 2)`, exactly where
        the grid resolves the forcing.

        Raises:
            ValueError: if it was sampled on another number of points.
        """
        points = self.values.shape[-1]
        if points not in (1, grid.shape[-1]):
            raise ValueError(
                f"The forcing was sampled on {points} points, not on "
                f"{grid.shape[-1]}: sample it on the grid of the method."
            )
        if averages == self.averages or points == 1:
            return self
        symbol = torch.sinc(grid.wavenumbers() * grid.spacing[-1] / (2 * torch.pi))
        symbol = symbol.to(self.values)
        modes = torch.fft.rfft(self.values) * (symbol if averages else 1 / symbol)
        values = torch.fft.irfft(modes, n=points)
        return self._with(values=values, averages=averages)

    def mirrored(self) -> "SampledForcing":
        """The mirror image `-f(-x, t)`, as point values and as cell averages alike."""
        return self._with(values=-self.values.flip(-1).roll(1, -1))

    def mean_impulse(
        self, times: Float[Tensor, " time"]
    ) -> Float[Tensor, "sample time"]:
        """The contribution to the spatial mean from the first of the times on."""
        mean = self._with(values=self.values.mean(-1, keepdim=True))
        clock = times.to(self.times)
        knots = torch.cat([clock, self.times])
        first, last = clock.min(), clock.max()
        knots = knots[(knots >= first) & (knots <= last)]
        knots = knots.unique(sorted=True)  # type: ignore[no-untyped-call]
        roots, weights = np.polynomial.legendre.leggauss(_NODES)
        halves = knots.diff().unsqueeze(-1) / 2
        nodes = (knots[:-1, None] + halves * (1 + torch.from_numpy(roots))).flatten()
        zero = self.values.new_zeros(len(self), 1)
        if not len(nodes):
            return zero.expand(-1, len(clock))
        values = torch.stack([mean(t)[..., 0] for t in nodes], dim=-1)
        parts = (halves * torch.from_numpy(weights)).flatten().to(values) * values
        sums = parts.unflatten(-1, (-1, _NODES)).sum(-1).cumsum(-1)
        return torch.cat([zero, sums], dim=-1)[:, torch.searchsorted(knots, clock)]

    def _with(self, **changes: Any) -> "SampledForcing":
        values = {field.name: getattr(self, field.name) for field in _fields()}
        return SampledForcing(**{**values, **changes})

    def _check_range(self, clock: Tensor) -> None:
        if clock.is_meta or torch.compiler.is_compiling():
            return
        gaps = self.times.diff()
        slack = _SLACK * (float(gaps.min()) if len(gaps) else 1.0)
        low, high = float(self.times[0]), float(self.times[-1])
        known = clock.detach()
        inside = (known >= low - slack) & (known <= high + slack)
        # One state alone stands for a forcing that does not change.
        if len(self.times) > 1 and not holds(inside.all()):
            missed = float(known[~inside].flatten()[0])
            raise ValueError(
                f"The forcing was sampled from t = {low:g} to {high:g}, but is needed "
                f"at {missed:g}: sample it over all of the rollout, on its clock."
            )


def _fields() -> tuple["dataclasses.Field[Any]", ...]:
    return dataclasses.fields(SampledForcing)


def _lagrange(
    knots: Float[Tensor, "*batch n"], t: Float[Tensor, "*batch"]
) -> Float[Tensor, "*batch n"]:
    """Weights with which values at `knots` make the value of their polynomial."""
    differences = knots.unsqueeze(-1) - knots.unsqueeze(-2)
    same = torch.eye(knots.shape[-1], dtype=torch.bool, device=knots.device)
    ratios = (t[..., None, None] - knots.unsqueeze(-2)) / differences.masked_fill(
        same, 1.0
    )
    return ratios.masked_fill(same, 1.0).prod(-1)


def _as_tensor(values: Any) -> Tensor:
    # A copy: arrays of xarray cannot be written to, which a tensor has to be.
    known = values if isinstance(values, Tensor) else torch.tensor(np.asarray(values))
    return known if known.is_floating_point() else known.double()
