"""Metrics of a rollout against its reference: one entry in a table each."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

import numpy as np
import torch
import xarray as xr
from jaxtyping import Bool, Float
from torch import Tensor

from stencilnet.forcing import StoredForcing


@dataclass(frozen=True)
class Rollout:
    """Rollout of a method beside its reference.

    Attributes:
        u: solution of the method; infinite or NaN from a blow-up on.
        reference: what it should be, averages or point values as `u`.
        times: of both; the clock of `forcing`.
        forcing: one row per sample.
        threshold: relative error at which the valid time ends.
        periodic: whether the domain is.
    """

    u: Float[Tensor, "sample time x"]
    reference: Float[Tensor, "sample time x"]
    times: Float[Tensor, " time"]
    forcing: StoredForcing
    threshold: float
    periodic: bool = True

    @cached_property
    def finite(self) -> Bool[Tensor, " sample"]:
        """Whether all of a sample is finite."""
        return self.u.isfinite().all(-1).all(-1)

    @cached_property
    def difference(self) -> Float[Tensor, "sample time x"]:
        """`u - reference`, infinite where `u` is not finite."""
        return torch.where(self.u.isfinite(), self.u - self.reference, math.inf)

    @cached_property
    def error(self) -> Float[Tensor, "sample time"]:
        """Relative L2 error at each time."""
        norm = self.reference.square().sum(-1).sqrt()
        # A state at rest within a trajectory has no scale of its own.
        norm = norm.clamp(min=norm.amax(-1, keepdim=True) * 1e-12)
        return _ratio(self.difference.square().sum(-1).sqrt(), norm)


@dataclass(frozen=True)
class Metric:
    """A number, or an array of numbers, that a comparison measures.

    Attributes:
        dims: of the array, among `sample`, `time`, `x` and wavenumber `k`.
        measure: computes it.
        column: makes it a column of the tables, see `report.columns`; empty for none.

    Example:
        >>> import torch
        >>> from stencilnet import RandomForcing
        >>> from stencilnet.study import Metric
        >>> from stencilnet.study.metrics import Rollout
        >>> largest = Metric(("sample",), lambda run: run.difference.abs().amax((1, 2)))
        >>> u, times = torch.tensor([[[0.0, 1.0], [0.5, 0.25]]]), torch.arange(2.0)
        >>> rollout = Rollout(u, u.round(), times, RandomForcing.none(1), threshold=0.2)
        >>> largest.measure(rollout).tolist()
        [0.5]
    """

    dims: tuple[str, ...]
    measure: Callable[[Rollout], Tensor]
    column: Mapping[str, object] = field(default_factory=dict)


def relative_l2(
    u: Float[Tensor, "sample time x"], reference: Float[Tensor, "sample time x"]
) -> Float[Tensor, " sample"]:
    """`|u - reference| / |reference|` over time and space.

    Zero where the two are equal, at rest too; infinite after a blow-up, and where only
    the reference is at rest.

    Example:
        >>> import torch
        >>> from stencilnet.study import relative_l2
        >>> reference = torch.tensor([[[3.0, 4.0]], [[0.0, 0.0]], [[1.0, 1.0]]])
        >>> u = torch.tensor([[[3.0, 6.5]], [[0.0, 0.0]], [[float("nan"), 1.0]]])
        >>> relative_l2(u, reference).tolist()
        [0.5, 0.0, inf]
    """
    return _ratio(
        (u - reference).square().sum((-2, -1)).sqrt(),
        reference.square().sum((-2, -1)).sqrt(),
    )


def _ratio(error: Tensor, norm: Tensor) -> Tensor:
    """`error / norm`, with 0 for 0 / 0 and infinity for NaN."""
    ratio = torch.where(error == 0, 0.0, error / norm)
    return torch.nan_to_num(ratio, nan=math.inf, posinf=math.inf)


def longest_interval(times: Float[Tensor, " time"]) -> float:
    """The longest interval between two neighbouring times, in either direction.

    Raises:
        ValueError: if there are fewer than two times.
    """
    if len(times) < 2:
        raise ValueError(
            f"A rollout to compare needs at least 2 times, but the trajectories have "
            f"{len(times)}: generate a longer duration."
        )
    return float(times.diff().abs().max())


def mean_drift(
    u: Float[Tensor, "sample time x"],
    times: Float[Tensor, " time"],
    forcing: StoredForcing,
) -> Float[Tensor, " sample"]:
    """Largest departure of the spatial mean from its initial value plus the impulse.

    Args:
        u: solution.
        times: of the states, on the clock of `forcing`.
        forcing: one row per sample.

    Returns:
        A number per sample, in units of `u`; infinite after a blow-up.

    Example:
        >>> import torch
        >>> from stencilnet import RandomForcing
        >>> from stencilnet.study import mean_drift
        >>> u = torch.tensor([[[0.0, 1.0], [0.5, 0.5]], [[0.0, 1.0], [1.0, 0.5]]])
        >>> mean_drift(u, torch.arange(2.0), RandomForcing.none(2)).tolist()
        [0.0, 0.25]
    """
    mean, impulse = u.mean(-1), forcing.mean_impulse(times)
    drift = mean - mean[:, :1] - (impulse - impulse[:, :1])
    return torch.nan_to_num(drift.abs(), nan=math.inf, posinf=math.inf).amax(-1)


def valid_time(rollout: Rollout) -> Float[Tensor, " sample"]:
    """When the relative error first exceeds the threshold; the end if it never does."""
    wrong = rollout.error > rollout.threshold
    last = len(rollout.times) - 1
    first = torch.where(wrong.any(-1), wrong.int().argmax(-1), last)
    return (rollout.times[first] - rollout.times[0]).abs()


def drift(rollout: Rollout) -> Float[Tensor, " sample"]:
    """`mean_drift` of a rollout; NaN between boundaries, through which `u` flows."""
    if not rollout.periodic:
        return torch.full((len(rollout.u),), math.nan, dtype=rollout.u.dtype)
    return mean_drift(rollout.u, rollout.times, rollout.forcing)


def spectrum(
    u: Float[Tensor, "sample time x"], *, periodic: bool = True
) -> Float[Tensor, " k"]:
    """Energy `|u_k|**2`, averaged over samples and times; NaN without samples.

    Between boundaries that of the field and its even reflection on twice the length,
    which have no jump at the ends.
    """
    if not periodic:
        u = torch.cat([u, u.flip(-1)], dim=-1)
    if not len(u):
        return torch.full((u.shape[-1] // 2 + 1,), math.nan, dtype=u.dtype)
    return torch.fft.rfft(u, norm="forward").abs().square().mean((0, 1))


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        "relative_l2": Metric(
            ("sample",),
            lambda rollout: relative_l2(rollout.u, rollout.reference),
            {
                "heading": ["rel. L2", "spread", "worst"],
                "summary": ["mean", "spread", "max"],
                "column": ["relative_l2", "spread", "worst"],
                "format": "error",
            },
        ),
        "mean_absolute_error": Metric(
            ("sample",),
            lambda rollout: rollout.difference.abs().mean((-2, -1)),
            {"heading": "MAE", "format": "{:.1e}"},
        ),
        "valid_time": Metric(
            ("sample",), valid_time, {"heading": "valid t", "format": "{:.1f}"}
        ),
        "mean_drift": Metric(
            ("sample",),
            drift,
            {"heading": "drift", "summary": "max", "format": "{:.0e}"},
        ),
        "blow_up": Metric(
            ("sample",),
            lambda rollout: ~rollout.finite,
            {
                "heading": "blow-ups",
                "summary": "sum",
                "column": "blow_ups",
                "format": "{}/{samples}",
            },
        ),
        "error": Metric(("sample", "time"), lambda rollout: rollout.error),
        "spectrum": Metric(
            ("k",),
            lambda rollout: spectrum(
                rollout.u[rollout.finite], periodic=rollout.periodic
            ),
        ),
        "reference_spectrum": Metric(
            ("k",),
            lambda rollout: spectrum(rollout.reference, periodic=rollout.periodic),
        ),
    }
)
"""Metrics of `compare` by the names of its variables, columns in this order.

Example:
    >>> from stencilnet.study import METRICS
    >>> [name for name, metric in METRICS.items() if metric.column]
    ['relative_l2', 'mean_absolute_error', 'valid_time', 'mean_drift', 'blow_up']
    >>> METRICS["error"].dims, METRICS["spectrum"].dims
    (('sample', 'time'), ('k',))
"""


def measured(rollout: Rollout) -> xr.Dataset:
    """All metrics of one rollout, beside the trajectories themselves."""
    trajectory = ("sample", "time", "x")
    variables: dict[str, tuple[tuple[str, ...], np.ndarray]] = {
        "u": (trajectory, rollout.u.numpy()),
        "reference": (trajectory, rollout.reference.numpy()),
    }
    for name, metric in METRICS.items():
        variables[name] = (metric.dims, metric.measure(rollout).numpy())
    return xr.Dataset(variables)
