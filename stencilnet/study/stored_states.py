"""Initial states from a file."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from stencilnet.grid import Grid
from stencilnet.storage import (
    grid_of,
    local_path,
    read_foreign,
    read_trajectories,
    tensor_of,
)
from stencilnet.study.initial import InitialState, Profile


@dataclass(frozen=True)
class StoredStates(InitialState):
    """States of a trajectory store, or of another file that `read_foreign` reads.

    Each sample draws one of its trajectories and takes its state at one time, between
    its points by trigonometric interpolation.

    Attributes:
        path: of the file.
        time: of the state; the nearest stored one is taken, the first by default.
        shifted: whether each sample is also moved by a random part of the period.

    Raises:
        ValueError: if the file has another period than the problem, or as its reader.
    """

    path: str
    time: float = -math.inf
    shifted: bool = False

    @cached_property
    def _dataset(self) -> xr.Dataset:
        path = local_path(self.path)
        return read_trajectories(path) if path.is_dir() else read_foreign(path)

    def draw(self, stream: np.random.Generator) -> Profile:
        dataset = self._dataset
        grid, times = grid_of(dataset), dataset["time"].values
        nearest = int(np.abs(times - max(self.time, times.min())).argmin())
        row = int(stream.integers(dataset.sizes["sample"]))
        u = tensor_of(dataset["u"][row, nearest], torch.float64)
        modes = torch.fft.rfft(u, norm="forward")
        if bool(dataset["u"].attrs["averages"]):
            dx = grid.spacing[-1]
            modes = modes / torch.sinc(grid.wavenumbers() * dx / (2 * math.pi))
        if u.shape[-1] % 2 == 0:
            # The shortest wave has no phase that its points would tell.
            modes = modes[:-1]
        offset = stream.uniform() * grid.extent[-1] if self.shifted else 0.0
        return _interpolant(modes, grid, offset, self.path)


def _interpolant(modes: Tensor, grid: Grid, offset: float, path: str) -> Profile:
    def profile(x: Float[Tensor, " x"], period: float) -> Float[Tensor, " x"]:
        if not math.isclose(period, grid.extent[-1], rel_tol=1e-6):
            raise ValueError(
                f"The states in {path} have the period {grid.extent[-1]:g}, the "
                f"problem {period:g}: set problem.length to that of the states."
            )
        angle = grid.wavenumbers()[: len(modes)] * (x.unsqueeze(-1) - offset)
        twice = torch.where(torch.arange(len(modes)) > 0, 2.0, 1.0).double()
        waves = torch.complex(angle.cos(), angle.sin()) * modes * twice
        return waves.sum(-1).real

    return profile
