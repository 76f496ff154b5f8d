"""Compilation of the kernels, and of the entry points to them."""

from collections.abc import Callable
from typing import Any

from numba import njit


def entry_point(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles a function, and stores its code on disk where a folder allows it.

    That is the package's own or one in the home folder; without either, as in a
    container under another user, numba raises and each process compiles anew.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        compiled: Callable[..., Any] = njit(cache=True, **options)(function)
    except RuntimeError:
        compiled = njit(**options)(function)
    return compiled


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles a function that compiled functions call, without a wrapper for C."""
    options: dict[str, Any] = {"error_model": "numpy", "no_cfunc_wrapper": True}
    compiled: Callable[..., Any] = njit(**options)(function)
    return compiled
