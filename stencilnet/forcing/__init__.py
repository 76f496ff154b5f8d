"""Forcing as a value: random sums of travelling waves, or values sampled in time."""

from stencilnet.forcing.random_forcing import GridForcing, RandomForcing
from stencilnet.forcing.sampled import SampledForcing

__all__ = ["GridForcing", "RandomForcing", "SampledForcing", "StoredForcing"]

StoredForcing = RandomForcing | SampledForcing
"""A forcing that trajectories carry: rows to select, on a clock to shift."""
