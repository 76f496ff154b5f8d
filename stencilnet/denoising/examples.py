"""Clean and noisy signals of Dasgupta Chaudhuri and Maddu (2021), section 3.1."""

import math

import numpy as np
from jaxtyping import Float


def noisy_cosines(
    generator: np.random.Generator,
    signals: int,
    points: int,
    *,
    level: float,
    factor: float = 1.25,
) -> tuple[Float[np.ndarray, "signal point"], Float[np.ndarray, "signal point"]]:
    """Cosines, and the same with normal noise of a random covariance.

    The paper does not give its draws. The covariance `factor level**2 A A.T`, with `A`
    standard normal, a factor of 1.25 to 1.5, and one to two periods in each signal, is
    a reading that leads to the losses of both Table 1 and Table 3: nearly white noise
    on signals of few dimensions.

    Args:
        generator: of the draws.
        signals, points: how many, and how long.
        level: of the noise, which has a variance of `factor points level**2` in the
            mean.
        factor: of the covariance.

    Returns:
        Clean and noisy signals.
    """
    t = np.linspace(0, 1, points)
    periods = generator.uniform(1, 2, (signals, 1))
    phase = generator.uniform(0, 2 * math.pi, (signals, 1))
    clean = np.cos(2 * math.pi * periods * t + phase)
    mixing = generator.standard_normal((points, points))
    noise = generator.standard_normal((signals, points)) @ mixing.T
    return clean, clean + level * math.sqrt(factor) * noise


def noisy_levels(
    generator: np.random.Generator, signals: int, points: int, *, level: float
) -> tuple[Float[np.ndarray, "signal point"], Float[np.ndarray, "signal point"]]:
    """Constants between 10 and 100 over 4 to 8 pieces, and independent normal noise.

    Args:
        generator: of the draws.
        signals, points: how many, and how long.
        level: standard deviation of the noise.

    Returns:
        Clean and noisy signals.
    """
    clean = np.empty((signals, points))
    for signal in clean:
        cuts = generator.choice(np.arange(1, points), generator.integers(3, 8), False)
        lengths = np.diff([0, *np.sort(cuts), points])
        signal[:] = np.repeat(generator.uniform(10, 100, len(lengths)), lengths)
    return clean, clean + level * generator.standard_normal((signals, points))
