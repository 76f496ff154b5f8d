"""Criteria that choose the weight of a penalty: SURE, GCV, cross-validation."""

import abc
import math
from dataclasses import dataclass, replace

import numpy as np

from stencilnet.denoising.specs import Value

EQUAL = math.sqrt(np.finfo(np.float64).eps)
"""Scores this close, relative to their size, differ by rounding: half of the digits."""


@dataclass(frozen=True)
class Evidence:
    """Denoised signals with each of several weights, as far as a criterion needs them.

    Attributes:
        weights: ascending, `(weight,)`.
        residual: `sum w (y - x)**2` over observed samples, one per weight.
        freedom: degrees of freedom, one per weight.
        held_out: squared errors of samples that the fit did not see; zero for a
            criterion without folds.
        samples: number of observed samples.
    """

    weights: np.ndarray
    residual: np.ndarray
    freedom: np.ndarray
    held_out: np.ndarray
    samples: int

    def merge(self, other: "Evidence") -> "Evidence":
        """Evidence for the weights of both."""
        order = np.argsort(np.concatenate([self.weights, other.weights]))

        def merged(name: str) -> np.ndarray:
            both = np.concatenate([getattr(self, name), getattr(other, name)])
            return np.asarray(both[order])

        return replace(
            self,
            weights=merged("weights"),
            residual=merged("residual"),
            freedom=merged("freedom"),
            held_out=merged("held_out"),
        )


@dataclass(frozen=True)
class Criterion(Value, abc.ABC):
    """A score of each weight, of which the least is best.

    Example:
        >>> import math
        >>> from dataclasses import dataclass
        >>> import numpy as np
        >>> from stencilnet.denoising import Criterion, Sure, choose_weight
        >>> @dataclass(frozen=True)
        ... class Bic(Criterion):
        ...     kind = "bic"
        ...
        ...     def score(self, evidence, sigma):
        ...         cost = math.log(evidence.samples) * sigma**2 * evidence.freedom
        ...         return (evidence.residual + cost) / evidence.samples
        >>> noise = np.random.default_rng(7).normal(scale=0.1, size=200)
        >>> x = np.repeat([0.0, 1.0], 100) + noise
        >>> [int(choose_weight(x, c).degrees_of_freedom) for c in (Sure(), Bic())]
        [8, 3]
    """

    noun = "weight criterion"

    @property
    def parts(self) -> int:
        """Number of parts of the samples that are held out in turn; 0 for none."""
        return 0

    @abc.abstractmethod
    def score(self, evidence: Evidence, sigma: float) -> np.ndarray:
        """Scores of all weights, zero or more: sums without cancellation.

        Args:
            evidence: for each weight.
            sigma: standard deviation of the noise.
        """

    def curve(self, score: np.ndarray, sigma: float) -> np.ndarray:
        """The scores, shifted to what they estimate."""
        return score


@dataclass(frozen=True)
class Sure(Criterion):
    """Stein's unbiased risk estimate of the mean squared error.

        (R + factor sigma**2 f) / n - sigma**2

    with the residual `R` and the degrees of freedom `f`, which for `l1` are the knots
    and the order. The factor 2 is unbiased, but noise of the estimate favours weights
    that do too little: a tenth more avoids most of such choices.

    Sources: Stein (1981), doi:10.1214/aos/1176345632; Tibshirani and Taylor (2012),
    doi:10.1214/12-AOS1003, for the degrees of freedom.

    Example:
        >>> import numpy as np
        >>> from stencilnet.denoising import Sure, denoise_signals
        >>> clean = np.repeat([0.0, 1.0], 100)
        >>> noise = np.random.default_rng(0).normal(scale=0.1, size=200)
        >>> denoised = denoise_signals(clean + noise, Sure())
        >>> error = np.mean((denoised.signal - clean) ** 2)
        >>> [round(float(mse), 4) for mse in (error, denoised.choice.curve.min())]
        [0.0002, 0.0002]
    """

    kind = "sure"

    factor: float = 2.2

    def __post_init__(self) -> None:
        _require_positive("factor", self.factor)

    def score(self, evidence: Evidence, sigma: float) -> np.ndarray:
        cost = self.factor * sigma**2 * evidence.freedom
        return np.asarray((evidence.residual + cost) / evidence.samples)

    def curve(self, score: np.ndarray, sigma: float) -> np.ndarray:
        return score - sigma**2


@dataclass(frozen=True)
class Gcv(Criterion):
    """Generalized cross-validation, which needs no level of the noise.

        (R / n) / (1 - factor f / n)**2

    A factor of 1 is the original; a fifth more avoids weights that do too little.

    Sources: Golub et al. (1979), doi:10.1080/00401706.1979.10489751; Kim and Gu (2004),
    doi:10.1046/j.1369-7412.2003.05316.x, for the factor.

    Example:
        >>> import numpy as np
        >>> from stencilnet.denoising import Gcv, choose_weight
        >>> noise = np.random.default_rng(2).normal(scale=0.1, size=200)
        >>> x = np.repeat([0.0, 1.0], 100) + noise
        >>> choices = [choose_weight(x, Gcv(factor)) for factor in (1.0, 1.2)]
        >>> [int(choice.degrees_of_freedom) for choice in choices]
        [196, 4]
    """

    kind = "gcv"

    factor: float = 1.2

    def __post_init__(self) -> None:
        _require_positive("factor", self.factor)

    def score(self, evidence: Evidence, sigma: float) -> np.ndarray:
        # Infinite where too few samples are left for an estimate.
        left = 1 - self.factor * evidence.freedom / evidence.samples
        enough = left > 0
        mean = evidence.residual / evidence.samples
        return np.where(enough, mean / np.where(enough, left, 1) ** 2, np.inf)


@dataclass(frozen=True)
class CrossValidation(Criterion):
    """Mean squared error of every `folds`-th sample, predicted from the others.

    Attributes:
        folds: number of parts, at least 2.

    Example:
        >>> import numpy as np
        >>> from stencilnet.denoising import CrossValidation, choose_weight
        >>> noise = np.random.default_rng(0).normal(scale=0.1, size=200)
        >>> x = np.repeat([0.0, 1.0], 100) + noise
        >>> choice = choose_weight(x, CrossValidation(folds=4))
        >>> round(float(choice.curve.min()), 3)  # variance of the noise: 0.01
        0.013
    """

    kind = "cv"

    folds: int = 5

    def __post_init__(self) -> None:
        if not isinstance(self.folds, int) or self.folds < 2:
            raise ValueError(
                f"Cross-validation needs at least 2 folds, not {self.folds!r}: 5 is "
                f"usual."
            )

    @property
    def parts(self) -> int:
        return self.folds

    def score(self, evidence: Evidence, sigma: float) -> np.ndarray:
        return evidence.held_out / evidence.samples


CRITERIA = Criterion.kinds()
"""The criteria by the kinds that specs and configs use.

Example:
    >>> from stencilnet.denoising import CRITERIA
    >>> [criterion() for criterion in CRITERIA.values()]
    [Sure(factor=2.2), Gcv(factor=1.2), CrossValidation(folds=5)]
"""


def checked_criterion(criterion: object) -> Criterion:
    """The criterion, by default `Sure()`."""
    return Criterion.checked(criterion, Sure())


def smoothest(scores: np.ndarray) -> int:
    """Index of the last of the least scores, equal up to rounding.

    Args:
        scores: zero or more, from the roughest signal to the smoothest.
    """
    return int(np.flatnonzero(scores <= scores.min() * (1 + EQUAL))[-1])


def _require_positive(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise ValueError(f"`{name}` must be positive and finite, not {value!r}.")
