"""Who wins where: speed-ups, what training costs, and a paragraph that says so."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter

from stencilnet.report import Rows
from stencilnet.study.fronts import Case, Cost, advantage, cost_at, front

SECONDS: Cost = attrgetter("seconds")
"""Wall time of a case."""

UNKNOWNS: Cost = attrgetter("unknowns")
"""Numbers that a case holds per sample."""

EVALUATIONS: Cost = attrgetter("evaluations")
"""Right-hand sides, or drifts, of a case per unit of time."""

CLASSICAL, EXACT, LEARNED = GROUPS = ("classical", "exact evolution", "learned")
"""Groups of methods."""

Groups = Mapping[str, Sequence[Case]]
"""Cases of one problem, by their group."""

# Names of results, with the opponents that they count.
_OPPONENTS: Mapping[str, Callable[[Groups], Iterable[Case]]] = {
    "weno_z": lambda groups: [c for c in groups[CLASSICAL] if c.method == "weno_z"],
    "best_nonintegrable": lambda groups: groups[CLASSICAL],
    "best": lambda groups: groups[EXACT],
}


def quickest(cases: Iterable[Case], points: int) -> Case | None:
    """The quickest on a grid of those whose error is within 5 % of the least.

    None where nothing was timed there.
    """
    timed = [c for c in cases if c.points == points and math.isfinite(c.seconds)]
    least = min((c.error for c in timed), default=math.inf)
    usable = [c for c in timed if c.error <= 1.05 * least]
    return min(usable, key=SECONDS, default=None)


def advantages(groups: Groups, points: int) -> dict[str, float]:
    """Costs of opponents over those of the best learned operator, at its error."""
    own = quickest(groups[LEARNED], points)
    if own is None:
        return {}
    opponents = {name: select(groups) for name, select in _OPPONENTS.items()}
    return {
        **{
            f"speedup_{name}": advantage(own, cases, SECONDS)
            for name, cases in opponents.items()
        },
        "unknowns_weno_z": advantage(own, opponents["weno_z"], UNKNOWNS),
        "unknowns_exact_evolution": advantage(own, opponents["best"], UNKNOWNS),
    }


def break_even(spent: float, own: Case, opponents: Iterable[Case]) -> float:
    """Rollouts after which what was spent beforehand is saved.

    Args:
        spent: seconds for data and training.
        own: the method that these were spent for.
        opponents: the quickest of them at equal error is compared.

    Returns:
        `spent / (their seconds - own seconds)`; infinite where they are as quick,
        and 0 where they do not reach the error at all.
    """
    saved = cost_at(opponents, own.error, SECONDS) - own.seconds
    return spent / saved if saved > 0 else math.inf


def solves_until_paid(
    groups: Groups, points: int, spent: float, batch: int
) -> dict[str, float]:
    """Solves until training pays off against each opponent, see `break_even`.

    Args:
        groups: of the problem.
        points: of the learned operator's grid.
        spent: seconds for data and training.
        batch: solves in one timed rollout.
    """
    own = quickest(groups[LEARNED], points)
    if own is None:
        return {}
    return {
        f"solves_until_paid_{name}": batch * break_even(spent, own, select(groups))
        for name, select in _OPPONENTS.items()
    }


def lines_of_fronts(
    groups: Groups, costs: Mapping[str, Cost], label: Callable[[str], str]
) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """Cost and error on the front of each method, by cost, of those that were timed.

    Args:
        groups: of the problem.
        costs: by the name of an axis.
        label: what a method is called; those of one label share a front.
    """
    methods: dict[str, list[Case]] = {}
    for case in (case for cases in groups.values() for case in cases):
        if math.isfinite(case.seconds):
            methods.setdefault(label(case.method), []).append(case)
    return {
        name: {
            method: [(cost(case), case.error) for case in front(cases, cost)]
            for method, cases in methods.items()
        }
        for name, cost in costs.items()
    }


def verdict(
    problem: str,
    groups: Groups,
    errors: Sequence[float],
    *,
    label: Callable[[str], str],
    paid: Mapping[str, float],
) -> str:
    """A paragraph that says which group wins at which error, by wall time and size.

    Args:
        problem: its name.
        groups: cases of the problem.
        errors: relative errors to reach, largest first.
        label: what a method is called.
        paid: from `solves_until_paid`.
    """
    sentences = [f"{problem}, by wall time on the fronts of this table:"]
    sentences += [
        f"for an error of {error:g} {_winners(groups, error, label)};"
        for error in errors
    ]
    sentences[-1] = sentences[-1].rstrip(";") + "."
    fewest = _least(groups, errors[-1], UNKNOWNS)
    if fewest:
        (unknowns, group, method), *_ = fewest
        sentences.append(
            f"The fewest unknowns for {errors[-1]:g} are {unknowns:.0f}, of "
            f"{label(method)} ({group})."
        )
    for name, solves in paid.items():
        opponent = name.removeprefix("solves_until_paid_").replace("_", " ")
        sentences.append(
            f"Against {_OPPONENT_LABELS.get(opponent, opponent)} training "
            f"{_paid_off(solves)}."
        )
    everything = [case for cases in groups.values() for case in cases]
    timed = {case.method for case in everything if math.isfinite(case.seconds)}
    untimed = sorted({label(c.method) for c in everything if c.method not in timed})
    if untimed:
        sentences.append(f"Not timed, errors alone: {'; '.join(untimed)}.")
    return " ".join(sentences)


_OPPONENT_LABELS = {
    "weno z": "WENO-Z",
    "best nonintegrable": "the best that does not use integrability",
    "best": "exact evolution without learning",
}


def _paid_off(solves: float) -> str:
    if solves == math.inf:
        return "never pays off in time"
    if solves == 0:
        return "pays off at once, as that does not reach the error"
    if math.isnan(solves):
        return "cannot be judged, as its cost is not known"
    return f"pays off after {solves:.3g} solves"


def _least(groups: Groups, error: float, cost: Cost) -> list[tuple[float, str, str]]:
    """Cost, group and method of each group that reaches an error, cheapest first."""
    found = []
    for group, cases in groups.items():
        methods = {case.method for case in cases}
        costs = {
            method: cost_at([c for c in cases if c.method == method], error, cost)
            for method in methods
        }
        method = min(costs, key=lambda name: (costs[name], name), default="")
        if method and math.isfinite(costs[method]):
            found.append((costs[method], group, method))
    return sorted(found)


def _winners(groups: Groups, error: float, label: Callable[[str], str]) -> str:
    """Who reaches an error soonest, and how much longer the other groups take."""
    found = _least(groups, error, SECONDS)
    if not found:
        return "none of the timed methods is accurate enough"
    (least, group, method), *others = found
    told = [
        f"{name} ({label(other)}) takes {seconds / least:.2g} times as long"
        for seconds, name, other in others
    ]
    absent = [name for name in groups if name not in {entry[1] for entry in found}]
    told += [f"{name} does not reach it" for name in absent]
    winner = f"{group} wins ({label(method)}, {least:.2g} s)"
    return f"{winner}, {', '.join(told)}" if told else winner


def table_of(cases: Mapping[str, Groups]) -> Rows:
    """All cases of all problems, one row each."""
    columns = {
        **dict.fromkeys(("problem", "group", "method"), ""),
        **{"unknowns": "{:d}", "step": "{:.3g}", "evaluations a unit": "{:.3g}"},
        **{"relative L2": "{:.2g}", "seconds": "{:.2g}"},
    }
    rows = [
        (name, group, c.method, c.unknowns, c.step, c.evaluations, c.error, c.seconds)
        for name, groups in cases.items()
        for group, entries in groups.items()
        for c in entries
    ]
    return Rows(columns, rows)
