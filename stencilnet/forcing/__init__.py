"""Forcing as a value: random sums of travelling waves, or values sampled in time."""

from stencilnet.forcing.grid_forcing import GridForcing
from stencilnet.forcing.random_forcing import RandomForcing
from stencilnet.forcing.sampled import SampledForcing

__all__ = ["GridForcing", "RandomForcing", "SampledForcing", "StoredForcing"]

StoredForcing = RandomForcing | SampledForcing
"""A forcing that trajectories carry: rows to select, on a clock to shift.

Example:
    >>> import torch
    >>> from stencilnet import Grid, RandomForcing
    >>> from stencilnet.forcing import SampledForcing, StoredForcing
    >>> grid, times = Grid.line(16), torch.linspace(0, 1, 11).double()
    >>> waves = RandomForcing.sample(3, seed=0)
    >>> values = torch.stack([waves.on(grid)(float(t)) for t in times], dim=1)
    >>> def later(forcing: StoredForcing):
    ...     return forcing.select([2]).starting_at(0.5).on(grid)
    >>> torch.allclose(later(waves)(0.1), later(SampledForcing(times, values))(0.1))
    True
"""
