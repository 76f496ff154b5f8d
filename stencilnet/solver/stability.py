"""Search for the largest stable step."""

import math
from collections.abc import Callable, Iterable

from torch import Tensor


def check_eigenvalues(eigenvalues: Tensor) -> None:
    """Raises unless there are eigenvalues, all of them finite."""
    if not eigenvalues.numel():
        raise ValueError(
            "Cannot compute a stable step without eigenvalues: pass at least one."
        )
    infinite = int((~eigenvalues.isfinite()).sum())
    if infinite:
        raise ValueError(
            f"Cannot compute a stable step: {infinite} of {eigenvalues.numel()} "
            f"eigenvalues are not finite."
        )


def last_stable(stable: Callable[[float], bool], candidates: Iterable[float]) -> float:
    """The step at which stability is first lost.

    The stable steps need not form an interval, so the candidates are tried one by one;
    bisection refines the first unstable one.

    Args:
        stable: whether a step is stable.
        candidates: increasing steps, close enough to show every loss of stability.

    Returns:
        The step, infinite if all candidates are stable.
    """
    low = 0.0
    for high in candidates:
        if not stable(high):
            break
        low = high
    else:
        return math.inf
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if stable(middle) else (low, middle)
    return low
