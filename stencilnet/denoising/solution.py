"""Solutions of the compiled kernels: their certificate, gradients and freedom."""

import math
import warnings
from dataclasses import dataclass, replace

import numpy as np

from stencilnet.denoising.kernels.batches import (
    count_held_rows,
    pull_back_rows,
    solve_rows,
)
from stencilnet.denoising.penalties import L1, L2, L2Squared, Penalty
from stencilnet.denoising.rows import LARGEST, Rows

TOLERANCE = 1e-8
"""Duality gap that the kernels aim for, relative to the objective."""

_PROBES = 16
_PER_ROW = (
    "weights",
    "y",
    "u",
    "knots",
    "gap",
    "objective",
    "iterations",
    "stiffness",
)


@dataclass(frozen=True)
class Solution:
    """Solved rows, in the units of the rows.

    Attributes:
        rows: the signals.
        penalty: on their differences.
        weights: one per row.
        y: solutions, `(signal, n)`.
        u: dual variables, one per difference.
        knots: which differences the penalty leaves free.
        gap: duality gap, one per row.
        objective: its least value, one per row.
        iterations: of the solver, one per row.
        stiffness: that of the quadratic penalty with the same solution; 0 for `l1`.
    """

    rows: Rows
    penalty: Penalty
    weights: np.ndarray
    y: np.ndarray
    u: np.ndarray
    knots: np.ndarray
    gap: np.ndarray
    objective: np.ndarray
    iterations: np.ndarray
    stiffness: np.ndarray

    def select(self, index: int) -> "Solution":
        """One of the rows."""
        one = slice(index, index + 1)
        return replace(
            self,
            rows=self.rows.select([index]),
            **{name: getattr(self, name)[one] for name in _PER_ROW},
        )

    @property
    def relative_gap(self) -> np.ndarray:
        """The gap beyond the rounding of the signals, in units of the objective.

        Residuals and differences of float64 numbers are rounded, which costs either
        term of the objective something whatever the solver does.
        """
        epsilon = np.finfo(np.float64).eps
        size = np.einsum("si,si->s", self.rows.precision, self.rows.x**2)
        rounding = (16 * epsilon) ** 2 * size
        rounding += self.weights * self._rough * epsilon * np.abs(self.y).max(-1)
        beyond = np.maximum(self.gap - rounding, 0.0)
        smallest = np.finfo(np.float64).tiny
        return beyond / np.maximum(self.objective, rounding + smallest)

    @property
    def _rough(self) -> np.ndarray:
        """The penalty of the differences of a signal of ones with random signs."""
        one = 2.0**self.rows.order
        if isinstance(self.penalty, L1):
            return one * self.knots.sum(-1)
        if isinstance(self.penalty, L2):
            curved = np.isfinite(self.stiffness)
            return one * math.sqrt(self.rows.differences) * curved
        return np.zeros(len(self.y))

    @property
    def _jumps(self) -> np.ndarray:
        """Differences that are not rounding: two levels that tie are one."""
        y = self.y
        if self.rows.periodic:
            y = np.concatenate([y, y[:, : self.rows.order]], axis=-1)
        sizes = np.abs(np.diff(y, n=self.rows.order))
        return np.asarray(sizes > self.rows.rounding[:, np.newaxis])

    def pull_back(self, gradient: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Gradients of signals and weights, from those of the solutions.

        Args:
            gradient: `(signal, n)`.

        Returns:
            Arrays `(signal, n)` and `(signal,)`.
        """
        pulled: tuple[np.ndarray, np.ndarray] = pull_back_rows(
            np.ascontiguousarray(gradient),
            self.rows.precision,
            self.y,
            self.u,
            self.knots,
            self.stiffness,
            self.weights,
            self.penalty.code,
            self.rows.coefficients,
            self.rows.differences,
        )
        return pulled

    def freedom(self, observed: np.ndarray) -> np.ndarray:
        """Degrees of freedom: trace of the solution's derivative by observed samples.

        On a face of `l1` it is the dimension of the piecewise polynomials there, as far
        as the observed samples tell them apart: those that live on missing samples
        alone, as many as the conditions on these leave free, do not count.

        Args:
            observed: samples that all rows have, `(n,)`.
        """
        rows, samples = self.rows, int(observed.sum())
        if isinstance(self.penalty, L1):
            holes, knots = ~observed, self.knots & self._jumps
            held = count_held_rows(knots, holes, rows.coefficients, rows.differences)
            constants = 0 if rows.periodic else rows.order
            dimension = np.maximum(knots.sum(-1) + constants, 1)
            dimension = dimension - (int(holes.sum()) - held)
            return np.where(self.weights == 0, samples, dimension).astype(np.float64)
        # The trace of the Jacobian, from its products with random signs.
        generator = np.random.default_rng(0)
        signs = generator.choice([-1.0, 1.0], (_PROBES, len(observed)))
        trace = np.zeros(len(self.y))
        for sign in signs * observed:
            product, _ = self.pull_back(np.tile(sign, (len(self.y), 1)))
            trace += product @ sign / _PROBES
        return trace


def solve(
    rows: Rows, weights: np.ndarray, penalty: Penalty, tolerance: float = TOLERANCE
) -> Solution:
    """Denoises each row with its weight, both in the units of the rows."""
    rows = rows.with_light_gaps(weights)
    solved = solve_rows(
        rows.x,
        rows.precision,
        rows.observed,
        weights,
        penalty.code,
        rows.coefficients,
        rows.differences,
        min(tolerance, TOLERANCE),
    )
    return Solution(rows, penalty, weights, *solved)


def largest_weights(rows: Rows, penalty: Penalty) -> np.ndarray:
    """`weight_max` of each row, in the caller's units."""
    if isinstance(penalty, L2Squared):
        return np.full(len(rows.x), math.inf)
    # With any weight beyond the largest the dual variables are those of a polynomial.
    dual = solve(rows, np.full(len(rows.x), LARGEST), penalty).u
    norm = 2 if isinstance(penalty, L2) else math.inf
    largest = np.linalg.norm(dual, ord=norm, axis=-1) * rows.weight_unit(penalty)
    return np.asarray(largest)


def warn_of_gap(relative: np.ndarray, tolerance: float) -> None:
    """Warns if the relative duality gap of a signal misses the tolerance."""
    missed = ~(relative <= tolerance)
    if missed.any():
        warnings.warn(
            f"{int(missed.sum())} of {relative.size} signals have a "
            f"duality gap above {tolerance:.1e}, up to {relative.max():.1e} of the "
            f"objective.",
            stacklevel=3,
        )
