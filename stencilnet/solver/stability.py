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
    """The largest step below which no candidate is unstable, by bisection at the end.

    The stable steps need not form an interval, so the candidates are tried one by one.

    Args:
        stable: whether a step is stable.
        candidates: increasing steps, close enough for the purpose.

    Returns:
        The step, infinite if all candidates are stable.
    """
    good = 0.0
    for bad in candidates:
        if not stable(bad):
            break
        good = bad
    else:
        return math.inf
    for _ in range(20):
        middle = (good + bad) / 2
        good, bad = (middle, bad) if stable(middle) else (good, middle)
    return good
