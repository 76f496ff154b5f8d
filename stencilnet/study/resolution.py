"""Whether a reference is resolved, and the grid on which it is."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from stencilnet.study.reference import UnresolvedError

Solved = TypeVar("Solved")

# Of the largest mode; beyond it the grid visibly truncates the solution.
_TAIL = 1e-4
_TINY = torch.finfo(torch.float64).tiny
# Past them "auto" gives up.
_MOST_POINTS, _FEWEST_STEPS = 2**15, 32


@dataclass(frozen=True)
class Accuracy:
    """Accuracy demanded of a reference.

    Attributes:
        courant: step in units of the time in which the fastest wave crosses the
            shortest length, see `reference_solution`.
        tolerance: largest self-convergence error accepted, relative.
        checked: number of trajectories whose self-convergence is measured.
    """

    courant: float = 0.8
    tolerance: float = 1e-5
    checked: int = 4


@dataclass(frozen=True)
class ReferenceQuality:
    """Measured quality of a set of reference trajectories.

    Attributes:
        self_convergence: largest relative L2 difference, over the whole trajectory,
            from a solution with twice the points and half the step.
        spectral_tail: largest mode in the upper eighth of the spectrum, at any time,
            relative to the largest mode.
        steps: time steps taken.
        courant: their length, see `Accuracy`.
    """

    self_convergence: float
    spectral_tail: float
    steps: int
    courant: float


def resolve(
    attempt: Callable[[int, float], Solved],
    points: int,
    courant: float,
    accuracy: Accuracy,
) -> Solved:
    """Solves on the coarsest grid and with the longest steps that are accurate enough.

    Points are doubled and steps halved, whichever the error comes from, so that all
    attempts together cost about as much as the last one.

    Args:
        attempt: solves with some points and steps.
        points: with which the doubling begins.
        courant: of the longest steps to try first, `accuracy.courant` or below.
        accuracy: what is asked of the solution.

    Returns:
        What the attempt that succeeds returns.

    Raises:
        UnresolvedError: if no grid and no step of a feasible size do.
    """
    while points <= _MOST_POINTS and courant >= accuracy.courant / _FEWEST_STEPS:
        try:
            return attempt(points, courant)
        except UnresolvedError as error:
            if error.remedy == "points":
                points *= 2
            else:
                courant /= 2
    raise UnresolvedError(
        f"No reference of at most {_MOST_POINTS} points, with steps of at least "
        f"1/{_FEWEST_STEPS} of reference.courant, meets the tolerance "
        f"{accuracy.tolerance:.1e}: raise the viscosity or reference.tolerance."
    )


def check_resolved(tail: float, points: int) -> None:
    """Raises with a number of points if the spectral tail is too large.

    The spectrum of an analytic solution decays exponentially in `k`, so twice as many
    points square the tail; the number has a margin, as other samples may be harder.

    Args:
        tail: see `ReferenceQuality`.
        points: of the reference.

    Raises:
        UnresolvedError: if it is too large.
    """
    if not tail <= _TAIL:
        doublings = 1
        while tail ** (2**doublings) > _TAIL / 100 and doublings < 6:
            doublings += 1
        raise UnresolvedError(
            f"The reference is not resolved, its highest modes reach {tail:.1e} of the "
            f"largest: raise reference.points from {points} to about "
            f"{points * 2**doublings}, or set it to auto."
        )


def check_converged(error: float, tail: float, points: int, accuracy: Accuracy) -> None:
    """Raises with a remedy if the self-convergence misses the tolerance.

    Args:
        error: the self-convergence, see `ReferenceQuality`.
        tail: likewise.
        points: of the reference.
        accuracy: what is asked of it, and its steps.

    Raises:
        UnresolvedError: if it is above the tolerance.
    """
    if not error <= accuracy.tolerance:
        # What the spectrum cuts off is far below the error: the step is its cause.
        remedy = "courant" if tail < error / 30 else "points"
        change = {
            "courant": f"lower reference.courant below {accuracy.courant:g}",
            "points": f"raise reference.points above {points}",
        }[remedy]
        raise UnresolvedError(
            f"The reference of {points} points differs by {error:.1e} from one "
            f"with twice the points and half the step, above the tolerance "
            f"{accuracy.tolerance:.1e}: {change}.",
            remedy=remedy,
        )


def relative_difference(
    pairs: Iterable[
        tuple[Complex[Tensor, "sample modes"], Complex[Tensor, "sample more"]]
    ],
) -> float:
    """Largest relative L2 difference over a trajectory; missing modes count as zero.

    Args:
        pairs: the modes of two solutions at each time; the second has more of them.
    """
    differences, norms = [], []
    for modes, finer in pairs:
        missing = finer.shape[-1] - modes.shape[-1]
        difference = torch.nn.functional.pad(modes, (0, missing)) - finer
        differences.append(energy(difference))
        norms.append(energy(finer))
    norm = torch.stack(norms, dim=1).sum(-1)
    ratio = torch.stack(differences, dim=1).sum(-1) / norm.clamp(min=_TINY)
    return float(ratio.max().sqrt())


def energy(modes: Complex[Tensor, "*batch modes"]) -> Float[Tensor, "*batch"]:
    """Squared norm in space; every mode but the mean stands for two."""
    square = torch.view_as_real(modes).square().sum(-1)
    return 2 * square.sum(-1) - square[..., 0]
