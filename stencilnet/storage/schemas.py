"""What the attributes and variables of a store must be, checked as a whole."""

import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import numpy as np
import xarray as xr
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
)

_FORCING = tuple(
    f"forcing_{name}" for name in ("amplitude", "frequency", "wavenumber", "phase")
)
_FIELDS = ("u", "u_noisy", "u_denoised")


def _object(text: str) -> str:
    """A text that is a JSON object."""
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("it is no JSON object")
    return text


def _moment(text: str) -> str:
    """A text that is a date and a time."""
    datetime.fromisoformat(text)
    return text


_Json = Annotated[str, Field(max_length=2**20), AfterValidator(_object)]
_Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Positive = Annotated[_Finite, Field(gt=0)]
_NonNegative = Annotated[_Finite, Field(ge=0)]
_Count = Annotated[int, Field(ge=0)]
_Text = Annotated[str, Field(max_length=10_000)]
_Time = Annotated[str, Field(max_length=40), AfterValidator(_moment)]


class _Attributes(BaseModel):
    """Attributes of any store; of others than these any plain value may stand."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    content_hash: _Hash | None = None
    origin: _Hash | None = None
    versions: _Json | None = None
    git_commit: _Text | None = None
    created: _Time | None = None
    config: _Json | None = None
    integrator: _Text | None = None
    step: _Positive | None = None


class _Trajectories(_Attributes):
    equation: _Json | None = None
    split: _Text | None = None
    method: _Text | None = None
    seed: _Count | None = None
    steps: _Count | None = None
    reference_points: Annotated[int, Field(ge=1)] | None = None
    courant: _Positive | None = None
    self_convergence: _NonNegative | None = None
    spectral_tail: _NonNegative | None = None
    blow_ups: _Count | None = None
    parent: _Hash | None = None
    denoising: _Json | None = None


class _Operator(_Attributes):
    spec: _Json
    splitting: dict[str, list[_Finite]] | None = None
    regimes: list[_Text] | None = None
    recipe: dict[str, Any] | None = None
    untrained: dict[str, _Finite] | None = None
    data_hash: _Text | None = None
    iteration: _Count | None = None
    best_error: float | None = None
    validation_relative_l2: float | None = None


def check_trajectory_attributes(attributes: Mapping[str, Any], where: str) -> None:
    """Raises unless the attributes of trajectories are of their types and ranges.

    Raises:
        ValueError: naming the attribute; `where` begins the message.
    """
    _validate(_Trajectories, attributes, where)


def check_operator_attributes(attributes: Mapping[str, Any], where: str) -> None:
    """Raises unless the attributes of an operator are of their types and ranges.

    Raises:
        ValueError: naming the attribute; `where` begins the message.
    """
    _validate(_Operator, attributes, where)


def check_trajectories(dataset: xr.Dataset, where: str) -> None:
    """Raises unless the variables of trajectories fit each other and their meaning.

    What runs over time and space is not read.

    Raises:
        ValueError: with what is wrong; `where` begins the message.
    """
    for name in _FIELDS:
        if name in dataset and (
            dataset[name].dims != ("sample", "time", "x")
            or dataset[name].dtype.kind != "f"
        ):
            raise ValueError(f"{where}: {name} must be floats over (sample, time, x).")
    for name in ("time", "x"):
        if name in dataset.dims:
            _check_axis(dataset, name, where)
    if "u" in dataset:
        averages = dataset["u"].attrs.get("averages")
        if type(averages) is not int or averages not in (0, 1):
            raise ValueError(
                f"{where}: the attribute 'averages' of u must be 0 or 1, not "
                f"{averages!r:.40}."
            )
    if "x" in dataset.dims:
        key = "length" if "boundaries" in dataset["x"].attrs else "period"
        period = dataset["x"].attrs.get(key)
        number = isinstance(period, int | float) and not isinstance(period, bool)
        if not number or not 0 < float(period or 0) < math.inf:
            raise ValueError(
                f"{where}: the attribute {key!r} of x must be positive and finite, "
                f"not {period!r:.40}."
            )
        if np.ptp(dataset["x"].values) >= float(period or 0):
            raise ValueError(f"{where}: x is longer than its {key} {period:g}.")
        if key == "length":
            _check_boundaries(dataset["x"].attrs["boundaries"], where)
    present = [name for name in _FORCING if name in dataset]
    if present and len(present) < len(_FORCING):
        raise ValueError(
            f"{where}: of the forcing, only {', '.join(present)} is there."
        )
    for name in present:
        values = dataset[name]
        if values.dims != ("sample", "mode") or not np.isfinite(values.values).all():
            raise ValueError(f"{where}: {name} must be finite, over (sample, mode).")
    if "forcing" in dataset:
        _check_sampled(dataset, where)


def check_weights(arrays: Mapping[str, np.ndarray], where: str) -> None:
    """Raises if a weight is not finite.

    Raises:
        ValueError: naming the array; `where` begins the message.
    """
    for name, values in arrays.items():
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise ValueError(
                f"{where}: the weights {name} are NaN or infinite, so it computes "
                f"nothing: train it again."
            )


def _check_sampled(dataset: xr.Dataset, where: str) -> None:
    """Raises unless a sampled forcing is as `forcings` writes it, or over `time`."""
    forcing = dataset["forcing"]
    clock = "forcing_time" if "forcing_time" in forcing.dims else "time"
    if forcing.dims != ("sample", clock, "x") or forcing.dtype.kind != "f":
        raise ValueError(
            f"{where}: forcing must be floats over (sample, forcing_time, x)."
        )
    if any(name in dataset for name in _FORCING):
        raise ValueError(f"{where}: there are two forcings, one in modes and samples.")
    _check_axis(dataset, clock, where)
    averages = forcing.attrs.get("averages", 0)
    if type(averages) is not int or averages not in (0, 1):
        raise ValueError(
            f"{where}: the attribute 'averages' of forcing must be 0 or 1, not "
            f"{averages!r:.40}."
        )
    order = forcing.attrs.get("order", 1)
    if type(order) is not int or not 1 <= order <= 100:
        raise ValueError(
            f"{where}: the attribute 'order' of forcing must be from 1 to 100, not "
            f"{order!r:.40}."
        )


def _check_boundaries(text: Any, where: str) -> None:
    """Raises unless an attribute names two boundaries, known here or not."""
    try:
        ends = json.loads(str(text))
    except (RecursionError, ValueError):
        ends = None
    pair = isinstance(ends, list) and len(ends) == 2
    if not pair or not all(isinstance(end, dict) and "name" in end for end in ends):
        raise ValueError(
            f"{where}: the attribute 'boundaries' of x must be JSON of two boundaries, "
            f"not {text!r:.60}."
        )


def _check_axis(dataset: xr.Dataset, name: str, where: str) -> None:
    if name not in dataset.coords:
        raise ValueError(f"{where}: there is no coordinate {name}.")
    values = dataset[name].values
    numbers = values.dtype.kind in "fiu" and np.isfinite(values).all()
    if not (len(values) and numbers and (np.diff(values) > 0).all()):
        raise ValueError(f"{where}: {name} must be finite and increase.")


def _validate(
    model: type[BaseModel], attributes: Mapping[str, Any], where: str
) -> None:
    try:
        model.model_validate(dict(attributes))
    except ValidationError as error:
        detail = error.errors()[0]
        key = ".".join(str(part) for part in detail["loc"])[:80]
        message = str(detail["msg"]).removeprefix("Value error, ")
        raise ValueError(
            f"{where}: the attribute {key!r} is wrong, "
            f"{message[0].lower()}{message[1:]}: give a store that stencilnet wrote."
        ) from None
