"""Random draws of the waves of a forcing, one stream per sample."""

import math
from collections.abc import Sequence

import numpy as np

from stencilnet.errors import as_integer, as_number, whole_number


def draw_waves(
    samples: int,
    *,
    modes: int,
    amplitude: float,
    frequency: float,
    wavenumbers: Sequence[int],
    seed: int | np.random.SeedSequence,
    first: int = 0,
) -> tuple[np.ndarray, ...]:
    """Amplitudes, frequencies, wavenumbers and phases, each of shape `(sample, mode)`.

    See `RandomForcing.sample`.
    """
    rows, count = as_integer(samples), as_integer(modes)
    if rows is None or count is None or rows < 1 or count < 1:
        raise ValueError(
            f"A forcing needs at least 1 sample and 1 mode, whole numbers, not "
            f"{samples} and {modes}."
        )
    largest, fastest = as_number(amplitude), as_number(frequency)
    if largest is None or fastest is None or not _are_bounds(largest, fastest):
        raise ValueError(
            f"Bounds of amplitude and frequency must be finite and not negative, "
            f"but are {amplitude} and {frequency}."
        )
    if not len(wavenumbers):
        raise ValueError("A forcing needs at least one wavenumber to draw from.")
    if not isinstance(seed, np.random.SeedSequence):
        seed = np.random.SeedSequence(whole_number("A seed", seed, least=0))
    first = whole_number("The first sample", first, least=0)
    streams = [
        np.random.default_rng(
            np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, row))
        )
        for row in range(first, first + rows)
    ]
    draws = [
        (
            stream.uniform(-largest, largest, count),
            stream.uniform(-fastest, fastest, count),
            stream.choice(np.asarray(wavenumbers, dtype=float), count),
            stream.uniform(0, 2 * math.pi, count),
        )
        for stream in streams
    ]
    return tuple(np.stack(parameter) for parameter in zip(*draws, strict=True))


def _are_bounds(*numbers: float) -> bool:
    return all(0 <= number < math.inf for number in numbers)
