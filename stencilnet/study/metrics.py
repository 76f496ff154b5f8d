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

from stencilnet.forcing import RandomForcing


@dataclass(frozen=True)
class Rollout:
    """Rollout of a method beside its reference.

    Attributes:
        u: solution of the method; infinite or NaN from a blow-up on.
        reference: what it should be, averages or point values as `u`.
        times: of both; the clock of `forcing`.
        forcing: one row per sample.
        threshold: relative error at which the valid time ends.
    """

    u: Float[Tensor, "sample time x"]
    reference: Float[Tensor, "sample time x"]
    times: Float[Tensor, " time"]
    forcing: RandomForcing
    threshold: float

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
        tiny = torch.finfo(norm.dtype).tiny
        floor = norm.amax(-1, keepdim=True).clamp(min=tiny) * 1e-12
        return self.difference.square().sum(-1).sqrt() / norm.clamp(min=floor)


@dataclass(frozen=True)
class Metric:
    """A number, or an array of numbers, that a comparison measures.

    Attributes:
        dims: of the array, among `sample`, `time`, `x` and wavenumber `k`.
        measure: computes it.
        column: makes it a column of the tables, see `report.columns`; empty for none.
    """

    dims: tuple[str, ...]
    measure: Callable[[Rollout], Tensor]
    column: Mapping[str, object] = field(default_factory=dict)


def relative_l2(
    u: Float[Tensor, "sample time x"], reference: Float[Tensor, "sample time x"]
) -> Float[Tensor, " sample"]:
    """`|u - reference| / |reference|` over time and space; infinite after a blow-up."""
    error = (u - reference).square().sum((-2, -1)).sqrt()
    norm = reference.square().sum((-2, -1)).sqrt()
    return torch.nan_to_num(error / norm, nan=math.inf, posinf=math.inf)


def mean_drift(
    u: Float[Tensor, "sample time x"],
    times: Float[Tensor, " time"],
    forcing: RandomForcing,
) -> Float[Tensor, " sample"]:
    """Largest departure of the spatial mean from what it starts with and is forced to.

    Args:
        u: solution; at `times[0]` the clock of `forcing` reads 0.
        times: at which `u` is known.
        forcing: one row per sample.

    Returns:
        A number per sample, in units of `u`; infinite after a blow-up.
    """
    mean = u.mean(-1)
    clock = times - times[0]
    drift = mean - mean[:, :1] - forcing.mean_impulse(clock)
    return torch.nan_to_num(drift.abs(), nan=math.inf, posinf=math.inf).amax(-1)


def valid_time(rollout: Rollout) -> Float[Tensor, " sample"]:
    """When the relative error first exceeds the threshold; the end if it never does."""
    wrong = rollout.error > rollout.threshold
    last = len(rollout.times) - 1
    first = torch.where(wrong.any(-1), wrong.int().argmax(-1), last)
    return rollout.times[first] - rollout.times[0]


def spectrum(u: Float[Tensor, "sample time x"]) -> Float[Tensor, " k"]:
    """Energy `|u_k|**2`, averaged over samples and times; NaN without samples."""
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
            lambda rollout: mean_drift(rollout.u, rollout.times, rollout.forcing),
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
        "spectrum": Metric(("k",), lambda rollout: spectrum(rollout.u[rollout.finite])),
        "reference_spectrum": Metric(
            ("k",), lambda rollout: spectrum(rollout.reference)
        ),
    }
)
"""Metrics of `compare` by the names of its variables, columns in this order."""


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
