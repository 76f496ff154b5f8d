"""The forcing of trajectories as variables of their dataset."""

from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from stencilnet.forcing import RandomForcing, SampledForcing, StoredForcing

_FORCING = ("amplitude", "frequency", "wavenumber", "phase")
_CLOCK = "forcing_time"
_AXES = ("sample", "mode", "time", _CLOCK, "x")


def forcing_variables(
    forcing: StoredForcing | None, times: Float[Tensor, " time"]
) -> dict[str, Any]:
    """Variables that keep a forcing; none for no forcing.

    Args:
        forcing: on the clock of `times`.
        times: of the states.
    """
    if isinstance(forcing, RandomForcing):
        names = _FORCING if forcing.amplitude.shape[-1] else ()
        return {
            f"forcing_{name}": (("sample", "mode"), _array(getattr(forcing, name)))
            for name in names
        }
    if forcing is None:
        return {}
    clock, values = forcing.times, forcing.values
    if forcing.shift is not None:
        shift = forcing.shift.unique()  # type: ignore[no-untyped-call]
        if len(shift) > 1:
            raise ValueError(
                "The samples of a sampled forcing have clocks of their own, which one "
                "dataset cannot keep: sample it on the clock of the trajectories."
            )
        clock = clock - shift
    values = values.expand(-1, -1, values.shape[-1])
    attributes = {
        "long_name": "forcing",
        "averages": int(forcing.averages),
        "order": forcing.order,
    }
    return {
        "forcing": (("sample", _CLOCK, "x"), _array(values), attributes),
        _CLOCK: ((_CLOCK,), _array(clock), {"long_name": "time of the forcing"}),
    }


def forcing_of(dataset: xr.Dataset) -> StoredForcing:
    """The forcing of the trajectories on the clock `time`, in its stored dtype.

    Example:
        >>> import torch
        >>> from stencilnet import Grid, RandomForcing
        >>> from stencilnet.storage import forcing_of, trajectories
        >>> forcing = RandomForcing.sample(2, seed=0)
        >>> dataset = trajectories(torch.zeros(2, 1, 8), [0.0], Grid.line(8), forcing)
        >>> torch.equal(forcing_of(dataset).phase, forcing.phase)
        True
    """
    if "forcing" in dataset:
        forcing = dataset["forcing"]
        # One that a user adds runs over the times of the states.
        clock = dataset[_CLOCK if _CLOCK in forcing.dims else "time"]
        return SampledForcing(
            tensor_of(clock, torch.float64),
            tensor_of(forcing),
            averages=bool(forcing.attrs.get("averages", dataset["u"].averages)),
            order=int(forcing.attrs.get("order", 6)),
        )
    if not any(f"forcing_{name}" in dataset for name in _FORCING):
        return RandomForcing.none(dataset.sizes["sample"])
    return RandomForcing(*(tensor_of(dataset[f"forcing_{name}"]) for name in _FORCING))


def tensor_of(variable: xr.DataArray, dtype: torch.dtype | None = None) -> Tensor:
    """The values of a variable as a tensor, which shares no memory with them.

    Its axes are in the order `sample, mode, time, x`, whatever that of the variable.

    Example:
        >>> import xarray as xr
        >>> from stencilnet.storage import tensor_of
        >>> values = xr.DataArray([[1.0, 2.0], [3.0, 4.0]], dims=("x", "time"))
        >>> tensor_of(values).tolist()  # (time, x)
        [[1.0, 3.0], [2.0, 4.0]]
    """
    order = [dim for dim in _AXES if dim in variable.dims]
    values = variable.transpose(..., *order).values
    # Reversed views have strides that torch does not take.
    return torch.tensor(np.ascontiguousarray(values), dtype=dtype)


def _array(values: Tensor) -> np.ndarray:
    return values.detach().cpu().numpy()
