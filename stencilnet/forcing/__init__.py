"""Forcing as a value: random sums of travelling waves, and what they are on a grid."""

from stencilnet.forcing.random_forcing import GridForcing, RandomForcing

__all__ = ["GridForcing", "RandomForcing"]
