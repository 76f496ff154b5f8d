"""Compilation of steps: all use of torch beyond its public interface."""

import importlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import lru_cache
from types import CodeType, FunctionType
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from stencilnet.solver.base import Compile, Forcing, outliving_inference

# Where torch keeps the switch by which a compiled backward pass overwrites its inputs.
_SETTINGS, _SWITCH = "torch._functorch.config", "donated_buffer"
# Code objects of the functions of each right-hand side, by the kind of forcing.
_codes: WeakKeyDictionary[Any, dict[tuple[Any, ...], CodeType]] = WeakKeyDictionary()


def compiler(
    rhs: Callable[[Tensor], Tensor],
    forcing: Forcing | None,
    device: torch.device,
    *,
    retained: bool,
) -> Compile:
    """Compiles functions by `torch.compile`, once for all numbers, which are tensors.

    torch caches a few versions beside the code object of a function. Each right-hand
    side gets a copy of the code for each kind of forcing, or they would evict each
    other's versions.

    Args:
        rhs: what the functions advance.
        forcing: its forcing.
        device: of the state.
        retained: whether a graph of the functions is differentiated repeatedly.
    """
    try:
        copies = _codes.setdefault(rhs, {})
    except TypeError:
        # Some objects, as those with slots, cannot be keys.
        copies = {}

    # Compiled for arguments that are one tensor, a step would be compiled anew where
    # they are two: each place has tensors of its own.
    @lru_cache(maxsize=64)
    def scalar(place: int, value: float) -> Tensor:
        with outliving_inference():
            return torch.tensor(value, dtype=torch.float64, device=device)

    def plain(place: int, value: Any) -> Any:
        if isinstance(value, float):
            return scalar(place, value)
        # Likewise for a first state that is a view into trajectories.
        return value.contiguous() if isinstance(value, Tensor) else value

    def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
        if isinstance(function, FunctionType):
            kind = getattr(forcing, "__code__", type(forcing))
            key = (function.__code__, kind, retained)
            code = copies.setdefault(key, function.__code__.replace())
            name, closure = function.__name__, function.__closure__
            function = FunctionType(code, function.__globals__, name, None, closure)
        fast = torch.compile(function, dynamic=False)

        def called(*values: Any) -> Any:
            return fast(*(plain(place, value) for place, value in enumerate(values)))

        return called

    return compiled


def retaining_graphs() -> AbstractContextManager[None]:
    """A context that compiles steps for graphs that are differentiated repeatedly.

    Checkpoints retain graphs, and the compiler would overwrite what these store.

    Raises:
        RuntimeError: if this version of torch keeps the switch elsewhere.
    """
    try:
        settings = importlib.import_module(_SETTINGS)
        getattr(settings, _SWITCH)
    except (ImportError, AttributeError) as error:
        raise RuntimeError(
            f"torch {torch.__version__} has no {_SETTINGS}.{_SWITCH}, without which "
            f"compiled steps cannot be checkpointed: drop compile or checkpoint."
        ) from error
    context: AbstractContextManager[None] = settings.patch(**{_SWITCH: False})
    return context
