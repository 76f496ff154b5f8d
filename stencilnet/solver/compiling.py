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

from stencilnet.solver.base import Forcing, Step

# Where torch keeps the switch by which a compiled backward pass overwrites its inputs.
_SETTINGS, _SWITCH = "torch._functorch.config", "donated_buffer"
# Code objects of the steps of each right-hand side, by the kind of forcing.
_codes: WeakKeyDictionary[Any, dict[tuple[Any, ...], CodeType]] = WeakKeyDictionary()


def compiled(
    step: Any,
    rhs: Callable[[Tensor], Tensor],
    forcing: Forcing | None,
    like: Tensor,
    *,
    retained: bool,
) -> Step:
    """A step compiled by `torch.compile`, once for all times, which are tensors.

    The compiler caches a few versions beside the code object of a function. Each
    right-hand side gets a copy of the code for each kind of forcing, or they would
    evict each other's versions.

    Args:
        step: as an integrator binds it.
        rhs: its right-hand side.
        forcing: its forcing.
        like: a state.
        retained: whether a graph of the step is differentiated repeatedly.
    """
    if isinstance(step, FunctionType):
        try:
            copies = _codes.setdefault(rhs, {})
        except TypeError:
            # Some objects, as those with slots, cannot be keys.
            copies = {}
        kind = (step.__code__, getattr(forcing, "__code__", type(forcing)), retained)
        code = copies.setdefault(kind, step.__code__.replace())
        step = FunctionType(code, step.__globals__, "step", None, step.__closure__)
    function = torch.compile(step, dynamic=False)

    @lru_cache(maxsize=64)
    def scalar(value: float) -> Tensor:
        return torch.tensor(value, dtype=torch.float64, device=like.device)

    def timed(t: float, u: Tensor, dt: float) -> Tensor:
        result: Tensor = function(scalar(t), u, scalar(dt))  # type: ignore[no-untyped-call]
        return result

    return timed


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
