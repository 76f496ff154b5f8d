"""The parts of an initial value problem, validated before any work starts."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.errors import hidden_by_vmap
from stencilnet.solver.base import fits

Numbers = Tensor | np.ndarray | Sequence[Any]
"""A tensor, an array, or a list of numbers, nested or not."""


def as_times(times: Any) -> Float[Tensor, " time"]:
    """Times in double precision.

    Raises:
        ValueError: unless `times` is a 1-D sequence of finite, strictly monotone times.
    """
    values = _tensor("times", times).detach().double()
    if values.ndim != 1:
        raise ValueError(
            f"`times` must be a tensor with one axis, not {tuple(values.shape)}: take "
            f"one, as in torch.linspace(0, 1, 11)."
        )
    if not len(values):
        raise ValueError("`times` needs at least the start time, but is empty.")
    infinite = int((~values.isfinite()).sum())
    if infinite:
        raise ValueError(
            f"`times` must be finite, but {infinite} of {len(values)} are not."
        )
    gaps = values.diff()
    if not (bool((gaps > 0).all()) or bool((gaps < 0).all())):
        raise ValueError(
            "`times` must increase or decrease strictly: sort them and remove "
            "duplicates."
        )
    return values


def as_state(u0: Any) -> Float[Tensor, "*batch x"]:
    """A state as a tensor; numbers without a precision of their own become float64.

    Raises:
        TypeError: if the state is not floating-point.
        ValueError: if it has no axis.
    """
    u = _tensor("u0", u0)
    if not u.is_floating_point():
        raise TypeError(
            f"A state is floating-point, not {u.dtype}: convert it, as in u0.double()."
        )
    if u.ndim == 0:
        raise ValueError("A state has at least the axis x, but this is one number.")
    return u


def _tensor(name: str, values: Any) -> Tensor:
    if isinstance(values, Tensor):
        return values
    if np.ma.is_masked(values):
        masked = int(np.ma.getmaskarray(values).sum())
        raise ValueError(
            f"`{name}` has {masked} masked values, and a solver needs all: fill them "
            f"in first."
        )
    try:
        array = np.asarray(values)
        # A copy: arrays of xarray cannot be written to, which a tensor has to be. And
        # torch reads the byte order of the machine only, files have others.
        return torch.tensor(array.astype(array.dtype.newbyteorder("=")))
    except (TypeError, ValueError) as error:
        dtype = getattr(values, "dtype", None)
        kind = type(values).__name__ + (f" of {dtype}" if dtype is not None else "")
        raise TypeError(
            f"`{name}` must hold numbers, not {kind}: pass a tensor, an array or a "
            f"list of them."
        ) from error


def check_shape(u: Tensor, u0: Tensor) -> None:
    """Raises if a right-hand side has changed the shape of the state."""
    if u.shape != u0.shape:
        raise ValueError(
            f"The right-hand side turns a state of shape {tuple(u0.shape)} into "
            f"{tuple(u.shape)}: give the state the sample axis of its parameters, as "
            f"in u0.expand(samples, -1)."
        )


@contextmanager
def refused_under_vmap(subject: str, remedy: str) -> Iterator[None]:
    """A block that needs values, which `vmap` hides.

    Args:
        subject: what needs them.
        remedy: what to do instead, in the imperative.

    Raises:
        RuntimeError: in place of that of `torch.func.vmap`.
    """
    try:
        yield
    except RuntimeError as error:
        if not hidden_by_vmap(error):
            raise
        raise RuntimeError(
            f"{subject} depends on values, which torch.func.vmap hides: {remedy}."
        ) from error


def check_forcing(
    forcing: Any, t: Float[Tensor, "*time"], u0: Float[Tensor, "*batch x"]
) -> None:
    """Raises if a forcing would change shape, precision or device of the state.

    Args:
        forcing: evaluated once.
        t: the time, as the forcing will see it.
        u0: the state.
    """
    if not callable(forcing):
        raise TypeError(
            f"A forcing is a function of time, not {type(forcing).__name__}: a "
            f"RandomForcing becomes one by .on(grid)."
        )
    force = _forced(forcing, t)
    if not isinstance(force, Tensor):
        raise TypeError(
            f"A forcing returns a tensor, not {type(force).__name__}: return one that "
            f"is broadcastable to the state."
        )
    if force.dtype != u0.dtype:
        raise TypeError(
            f"The forcing is {force.dtype} and the state {u0.dtype}: convert one, as "
            f"in forcing.to(u0.device, u0.dtype)."
        )
    if force.device != u0.device and force.ndim:
        raise ValueError(
            f"The forcing is on {force.device} and the state on {u0.device}: move one, "
            f"as in forcing.to(u0.device)."
        )
    if fits(force.shape, u0.shape):
        return
    if fits(force.shape, (1, *u0.shape)):
        raise ValueError(
            f"The forcing has a sample axis, shape {tuple(force.shape)}, which the "
            f"state of shape {tuple(u0.shape)} lacks: add it, as in u0[None]."
        )
    raise ValueError(
        f"The forcing has shape {tuple(force.shape)}, which does not fit the state of "
        f"shape {tuple(u0.shape)}: select one row of forcing per sample, on the "
        f"state's grid."
    )


def _forced(forcing: Any, t: Float[Tensor, "*time"]) -> Any:
    """The forcing at a time, or an error that says which time it would take."""
    try:
        return forcing(t)
    except Exception as error:
        start = torch.zeros(t.shape, dtype=t.dtype)
        if t.device != start.device and _succeeds(forcing, start):
            raise ValueError(
                f"The forcing is on cpu and the state on {t.device}: move one, as in "
                f"forcing.to(u0.device)."
            ) from error
        if t.ndim and _succeeds(forcing, t.flatten()[0]):
            raise TypeError(
                f"The forcing takes one time, but adaptive steps have one per sample, "
                f"of shape {tuple(t.shape)}: use functions of torch, as t.sin() for "
                f"math.sin(t), or a number of equal steps."
            ) from error
        raise


def _succeeds(function: Any, value: Tensor) -> bool:
    try:
        function(value)
    except Exception:
        return False
    return True
