"""Fronts: the least cost at which methods reach an error."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Case:
    """A method at one setting, what it costs and how wrong it is.

    Attributes:
        method: its name.
        points: of its grid.
        unknowns: numbers that it holds per sample.
        step: in units of time.
        evaluations: of the right-hand side, or drifts, per unit of time.
        error: relative L2 error.
        seconds: wall time of the whole rollout; NaN where it was not measured.
    """

    method: str
    points: int
    unknowns: int
    step: float
    evaluations: float
    error: float
    seconds: float = math.nan


Cost = Callable[[Case], float]
"""What a case costs: seconds, evaluations or unknowns."""


def front(cases: Iterable[Case], cost: Cost) -> list[Case]:
    """The cases that no other beats in both cost and error, cheapest first.

    Cases whose cost or error is not finite count for nothing.
    """
    best: list[Case] = []
    usable = (c for c in cases if math.isfinite(cost(c)) and math.isfinite(c.error))
    for case in sorted(usable, key=lambda c: (cost(c), c.error)):
        if not best or case.error < best[-1].error:
            best.append(case)
    return best


def cost_at(cases: Iterable[Case], error: float, cost: Cost) -> float:
    """The least cost of an error, on straight lines between the logarithms.

    Args:
        cases: of one method or of several, each of which may be the best somewhere.
            Lines join cases of one method only.
        error: to reach, positive.
        cost: what to count.

    Returns:
        The cost; infinite if no case is that accurate. Where even the cheapest case is
        more accurate than asked, its cost.

    Raises:
        ValueError: if the error is not positive.
    """
    if not error > 0:
        raise ValueError(f"The error to reach must be positive, not {error}.")
    methods: dict[str, list[Case]] = {}
    for case in cases:
        methods.setdefault(case.method, []).append(case)
    costs = [_on_front(front(own, cost), error, cost) for own in methods.values()]
    return min(costs, default=math.inf)


def errors(
    cases: Iterable[Case], points: int, method: str | None = None
) -> list[float]:
    """Errors on a grid, of one method or of all, best first."""
    return sorted(
        case.error
        for case in cases
        if case.points == points and method in (None, case.method)
    )


def advantage(own: Case, opponents: Iterable[Case], cost: Cost) -> float:
    """How many times the cost of a case its opponents need for its error."""
    return cost_at(opponents, own.error, cost) / cost(own)


def _on_front(best: Sequence[Case], error: float, cost: Cost) -> float:
    if not best or best[-1].error > error:
        return math.inf
    if best[0].error <= error:
        return cost(best[0])
    for cheap, dear in pairwise(best):
        if dear.error <= error:
            share = math.log(cheap.error / error) / math.log(cheap.error / dear.error)
            return float(cost(cheap) ** (1 - share) * cost(dear) ** share)
    return math.inf
