"""Solitons of the Korteweg-de Vries equation."""

import math
from dataclasses import dataclass
from itertools import combinations

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.equations.exact import ExactSolution, faces
from stencilnet.grid import Grid


@dataclass(frozen=True)
class Solitons(ExactSolution):
    """Solitons of the Korteweg-de Vries equation `u_t = -6 u u_x - u_xxx`.

    Hirota's formula `u = 2 (log tau)_xx` sums over all subsets `S` of the solitons:

        tau = sum_S exp(sum_(i in S) theta_i) prod_(i < j in S) a_ij,
        theta_i = kappa_i (x - centre_i) - kappa_i**3 t,
        a_ij = ((kappa_i - kappa_j) / (kappa_i + kappa_j))**2.

    Soliton `i` has the height `kappa_i**2 / 2` and the speed `kappa_i**2`. With the
    normalized terms of `tau` as weights, `(log tau)_x` is the mean of the terms' slopes
    and `(log tau)_xx` their variance, which neither overflows nor cancels.

    On the line: on a period the solitons must stay so far from its ends that their
    tails are below rounding.

    Source: Hirota (1971), doi:10.1103/PhysRevLett.27.1192.

    Attributes:
        rates: `kappa_i`, positive and distinct.
        centres: of each soliton at `t = 0`, but for the shifts of collisions.

    Example:
        >>> from stencilnet import Grid
        >>> from stencilnet.equations import Solitons
        >>> grid = Grid.line(320, 80.0)
        >>> pair = Solitons(rates=(2.0, 1.0), centres=(20.0, 40.0))
        >>> u = pair.values(grid, 0.0)
        >>> round(float(u.max()), 6), float(grid.points()[u.argmax()])
        (2.0, 20.0)
        >>> mass = pair.averages(grid, 5.0).sum() * grid.spacing[-1]
        >>> round(float(mass), 6)  # 2 (2 + 1)
        6.0
    """

    rates: tuple[float, ...]
    centres: tuple[float, ...]

    def __post_init__(self) -> None:
        distinct = len(set(self.rates)) == len(self.rates) == len(self.centres)
        if not (distinct and min(self.rates, default=0.0) > 0):
            raise ValueError(
                f"Solitons have positive, distinct rates and one centre each, not "
                f"{self.rates} and {self.centres}."
            )

    def values(self, grid: Grid, t: float) -> Float[Tensor, " x"]:
        slopes, weights = self._terms(grid.points(), t)
        mean = (weights * slopes).sum(0)
        return 2 * (weights * (slopes - mean) ** 2).sum(0)

    def averages(self, grid: Grid, t: float) -> Float[Tensor, " x"]:
        means = []
        for x in faces(grid):
            slopes, weights = self._terms(x, t)
            means.append((weights * slopes).sum(0))
        return 2 * (means[1] - means[0]) / grid.spacing[-1]

    def _terms(self, x: Tensor, t: float) -> tuple[Tensor, Tensor]:
        """Slope and normalized size of each term of `tau`, `(term, 1)`, `(term, x)`."""
        slopes, logarithms = [], []
        solitons = list(zip(self.rates, self.centres, strict=True))
        for size in range(len(solitons) + 1):
            for subset in combinations(solitons, size):
                rates = [rate for rate, _ in subset]
                logarithm = torch.zeros_like(x)
                for rate, centre in subset:
                    logarithm = logarithm + rate * (x - centre) - rate**3 * t
                for one, other in combinations(rates, 2):
                    logarithm += 2 * math.log(abs(one - other) / (one + other))
                slopes.append(sum(rates))
                logarithms.append(logarithm)
        column = torch.tensor(slopes, dtype=x.dtype).unsqueeze(-1)
        return column, torch.stack(logarithms).softmax(0)
