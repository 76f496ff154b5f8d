"""Whether trajectories change as fast as their equation says."""

import math
import warnings

import torch
import xarray as xr

from stencilnet.equations import Equation
from stencilnet.storage.forcings import forcing_of, tensor_of
from stencilnet.storage.trajectories import grid_of

# Longest waves that are followed; short ones die or alias within an interval.
_WAVES = 3
# A factor of time that is told, and the largest misfit with which one is known.
_FACTOR, _MISFIT = 1.15, 0.3


def warn_of_units(dataset: xr.Dataset, equation: Equation) -> None:
    """Warns if data change at another rate than their equation says.

    The longest waves obey `d u_k / dt = -ik F_k + sum_p a_p (ik)**p u_k + f_k` exactly,
    shocks included: a shock at another speed than its jump says has units that cannot
    be right. The rate is the factor with which the right-hand side, integrated over
    each interval by the trapezoidal rule, fits the changes best.
    """
    factor = rate_of(dataset, equation)
    if factor is None or 1 / _FACTOR < factor < _FACTOR:
        return
    warnings.warn(
        f"The data change {factor:.3g} times as fast as {type(equation).__name__} "
        f"says, shocks at another speed than their jumps: look at the units of times, "
        f"period and u. Times {factor:.3g} times as long would fit.",
        stacklevel=3,
    )


def rate_of(dataset: xr.Dataset, equation: Equation) -> float | None:
    """The factor of `warn_of_units`; None where the data do not tell it."""
    if "boundaries" in dataset["x"].attrs:
        return None
    grid = grid_of(dataset)
    u = tensor_of(dataset["u"], torch.float64)
    times = tensor_of(dataset["time"], torch.float64)
    if u.shape[1] < 2 or u.shape[-1] < 2 * _WAVES + 1 or not u.isfinite().all():
        return None
    k = grid.wavenumbers()[1 : _WAVES + 1]

    def waves(field: torch.Tensor) -> torch.Tensor:
        return torch.fft.rfft(field, norm="forward")[..., 1 : _WAVES + 1]

    speed = -1j * k * waves(equation.flux(u)) + equation.symbol(k) * waves(u)
    force = forcing_of(dataset).to(dtype=torch.float64)
    averages = bool(dataset["u"].attrs["averages"])
    field = force.on(grid, averages=averages)
    speed = speed + waves(equation.source(u))
    added = torch.stack([field(t).expand(len(u), -1) for t in times], dim=-2)
    speed = speed + waves(added)
    expected = (speed[:, 1:] + speed[:, :-1]) / 2 * times.diff().unsqueeze(-1)
    found = waves(u).diff(dim=1)
    size = expected.abs().square().sum()
    if not size > 0:
        return None
    factor = float((found * expected.conj()).real.sum() / size)
    misfit = (found - factor * expected).abs().square().sum()
    share = float((misfit / found.abs().square().sum().clamp(min=1e-300)).sqrt())
    return factor if share < _MISFIT and factor > 0 and math.isfinite(factor) else None
