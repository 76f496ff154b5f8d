"""Initial states as values, one random stream per sample."""

import abc
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.grid import Grid

Profile = Callable[[Float[Tensor, " x"], float], Float[Tensor, " x"]]
"""`profile(x, period) -> u`, point values of one sample."""

States = Callable[[Grid], Float[Tensor, "sample x"]]
"""`states(grid) -> u`, point values of all samples on any grid."""

# Images of a localized profile on either side of the period.
_IMAGES = 3


class InitialState(abc.ABC):
    """A state at time 0, the same for all samples or drawn for each of them.

    A subclass is a frozen dataclass of plain numbers and tuples, which configs write
    with its name, as in `{name: Bump, height: 0.5}`.

    Example:
        >>> from dataclasses import dataclass
        >>> import torch
        >>> from stencilnet import Grid
        >>> from stencilnet.study import InitialState
        >>> @dataclass(frozen=True)
        ... class RandomStep(InitialState):
        ...     height: float = 1.0
        ...
        ...     def draw(self, stream):
        ...         start = stream.uniform()
        ...         return lambda x, period: self.height * (x > start * period)
        >>> steps, grid = RandomStep(height=2.0), Grid.line(32)
        >>> u = steps.sample(3, seed=0)(grid)
        >>> tuple(u.shape), u.max().item()
        ((3, 32), 2.0)
        >>> torch.equal(u[:2], steps.sample(2, seed=0)(grid))
        True
    """

    @abc.abstractmethod
    def draw(self, stream: np.random.Generator) -> Profile:
        """The profile of one sample; `stream` is its own."""

    def sample(
        self, samples: int, seed: int | np.random.SeedSequence = 0, *, first: int = 0
    ) -> States:
        """Point values of some samples, as a function of the grid.

        Each sample has a stream of its own, so the first ones do not depend on how many
        are drawn, nor on the grid. The streams are disjoint from those of
        `RandomForcing.sample` with the same seed.

        Args:
            samples: number of them.
            seed: of the draw.
            first: number of the first sample, in a draw of more of them.
        """
        if not isinstance(seed, np.random.SeedSequence):
            seed = np.random.SeedSequence(seed)
        profiles = [
            self.draw(
                np.random.default_rng(
                    np.random.SeedSequence(
                        seed.entropy, spawn_key=(*seed.spawn_key, row, 1)
                    )
                )
            )
            for row in range(first, first + samples)
        ]

        def states(grid: Grid) -> Float[Tensor, "sample x"]:
            x, period = grid.points(), grid.extent[-1]
            return torch.stack([profile(x, period) for profile in profiles])

        return states


def averaged(states: States, grid: Grid, refinement: int) -> Float[Tensor, "sample x"]:
    """Cell averages of states between boundaries, of fourth order in the fine cells.

    Args:
        states: point values on any grid.
        grid: of the cells.
        refinement: fine cells in each.
    """

    def mean(parts: int) -> Tensor:
        points, length = grid.shape[-1], grid.extent[-1]
        fine = Grid.line(points * parts, length, boundaries=grid.boundaries)
        values: Tensor = states(fine)
        return values.reshape(*values.shape[:-1], points, parts).mean(-1)

    # Midpoint rules, of which the leading error is known.
    return (4 * mean(2 * refinement) - mean(refinement)) / 3


@dataclass(frozen=True)
class Rest(InitialState):
    """No motion, `u = 0`."""

    def draw(self, stream: np.random.Generator) -> Profile:
        return lambda x, _period: torch.zeros_like(x)


@dataclass(frozen=True)
class Bump(InitialState):
    """A bump `mean + height exp(-((x - position) / width)**2)`.

    The default is the initial state of the paper, and of STENCIL-NET. It is not
    continued periodically, so the position must be some widths inside the period.
    """

    position: float = 3.0
    height: float = 1.0
    width: float = 1.0
    mean: float = 0.0

    def __post_init__(self) -> None:
        _check(self, positive=("width",))

    def draw(self, stream: np.random.Generator) -> Profile:
        return lambda x, _period: (
            self.mean + self.height * _gaussian(x - self.position, self.width)
        )


@dataclass(frozen=True)
class RandomBump(InitialState):
    """A periodic bump of random position, height, sign and mean in each sample.

    Attributes:
        height: range of the size of the bump, whose sign is as often + as -.
        width: of the bump.
        mean: range of what is added.
    """

    height: tuple[float, float] = (0.5, 1.0)
    width: float = 1.0
    mean: tuple[float, float] = (-0.5, 0.5)

    def __post_init__(self) -> None:
        _check(self, positive=("width",))

    def draw(self, stream: np.random.Generator) -> Profile:
        position = stream.uniform()
        height = stream.uniform(*self.height) * stream.choice([-1.0, 1.0])
        mean = stream.uniform(*self.mean)

        def profile(x: Float[Tensor, " x"], period: float) -> Float[Tensor, " x"]:
            distances = _distances(x, position * period, period)
            return mean + height * _gaussian(distances, self.width).sum(0)

        return profile


@dataclass(frozen=True)
class RandomWaves(InitialState):
    """A sum of sine waves, one of each wavenumber, of random size and phase.

        u = mean + sum_l A_l sin(2 pi l x / L + phi_l)

    Attributes:
        amplitude: `A` is uniform in `[-amplitude, amplitude]`.
        wavenumbers: `l`, whole numbers of waves in the period.
        mean: the constant part.
    """

    amplitude: float = 1.0
    wavenumbers: tuple[int, ...] = (1, 2, 3)
    mean: float = 0.0

    def __post_init__(self) -> None:
        _check(self)

    def draw(self, stream: np.random.Generator) -> Profile:
        count = len(self.wavenumbers)
        amplitude = torch.from_numpy(stream.uniform(-1, 1, count)) * self.amplitude
        phase = torch.from_numpy(stream.uniform(0, 2 * math.pi, count))
        number = torch.tensor(self.wavenumbers, dtype=torch.float64)

        def profile(x: Float[Tensor, " x"], period: float) -> Float[Tensor, " x"]:
            angle = 2 * math.pi / period * number * x.unsqueeze(-1) + phase
            return self.mean + (amplitude * angle.sin()).sum(-1)

        return profile


@dataclass(frozen=True)
class RandomSolitons(InitialState):
    """Solitons of the Korteweg-de Vries equation with its default coefficients.

    The sum of `kappa**2 / 2 sech(kappa / 2 (x - c))**2` over `count` places, spread
    evenly over the period from a random one on. It is exact for each soliton alone;
    where tails overlap, small waves are radiated.

    Attributes:
        count: number of solitons.
        rates: range of `kappa`; a soliton moves with the speed `kappa**2`.
    """

    count: int = 2
    rates: tuple[float, float] = (0.7, 1.2)

    def __post_init__(self) -> None:
        _check(self, positive=("count",))

    def draw(self, stream: np.random.Generator) -> Profile:
        start = stream.uniform()
        rates = stream.uniform(*self.rates, self.count)

        def profile(x: Float[Tensor, " x"], period: float) -> Float[Tensor, " x"]:
            u = torch.zeros_like(x)
            for place, rate in enumerate(rates):
                centre = (start + place / self.count) * period
                distances = _distances(x, centre, period)
                u = u + (rate**2 / 2 / (rate / 2 * distances).cosh() ** 2).sum(0)
            return u

        return profile


@dataclass(frozen=True)
class RandomShocks(InitialState):
    """Shocks at random places, between ramps: a sum of periodic sawtooth waves.

    Each falls by `2 height` in a shock, `-height tanh(x / width)`, and rises along the
    rest of the period.

    Attributes:
        count: number of shocks.
        height: range of half the jump of each.
        width: of the shocks, in units of length. A shock of viscosity `nu` has the
            width `2 nu / height`; a thinner one needs a finer reference.
        mean: range of what is added.
    """

    count: int = 2
    height: tuple[float, float] = (0.2, 0.6)
    width: float = 0.1
    mean: tuple[float, float] = (-0.2, 0.2)

    def __post_init__(self) -> None:
        _check(self, positive=("count", "width"))

    def draw(self, stream: np.random.Generator) -> Profile:
        places = stream.uniform(size=self.count)
        heights = stream.uniform(*self.height, self.count)
        mean = stream.uniform(*self.mean)

        def profile(x: Float[Tensor, " x"], period: float) -> Float[Tensor, " x"]:
            u = torch.full_like(x, mean)
            for place, height in zip(places, heights, strict=True):
                distances = _distances(x, place * period, period)
                # The middle image is the nearest one.
                ramp = 2 * distances[_IMAGES] / period
                u = u + height * (ramp - (distances / self.width).tanh().sum(0))
            return u

        return profile


def _check(state: Any, positive: tuple[str, ...] = ()) -> None:
    """Raises unless all numbers are finite and ranges ascend."""
    for name, value in vars(state).items():
        numbers = value if isinstance(value, tuple) else (value,)
        bounds = isinstance(value, tuple) and name != "wavenumbers"
        if not all(math.isfinite(number) for number in numbers):
            raise ValueError(f"{name} must be finite, not {value}")
        if bounds and not value[0] <= value[1]:
            raise ValueError(f"{name} is a range from low to high, not {value}")
        if name in positive and not value > 0:
            raise ValueError(f"{name} must be positive, not {value}")


def _gaussian(distance: Tensor, width: float) -> Tensor:
    return torch.exp(-((distance / width) ** 2))


def _distances(
    x: Float[Tensor, " x"], centre: float, period: float
) -> Float[Tensor, "image x"]:
    """Signed distances to a point and its periodic images."""
    images = torch.arange(-_IMAGES, _IMAGES + 1, dtype=x.dtype)
    nearest_image = (x - centre + period / 2).remainder(period) - period / 2
    return nearest_image + period * images.unsqueeze(-1)
