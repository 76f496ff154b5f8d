"""Noise of trajectories, which does not depend on how they are divided."""

import numpy as np
from jaxtyping import Float

from stencilnet.denoising import add_noise


def with_noise(
    u: Float[np.ndarray, "sample time x"], noise: float, seed: int, start: int
) -> Float[np.ndarray, "sample time x"]:
    """Trajectories with noise, each from the stream of its number in the store."""
    noisy = np.empty_like(u)
    for row, trajectory in enumerate(u):
        stream = np.random.SeedSequence(seed, spawn_key=(start + row,))
        noisy[row] = add_noise(trajectory, noise, np.random.default_rng(stream))
    return noisy
