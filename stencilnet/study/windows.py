"""Pieces of trajectories, and the error of a rollout over them."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from stencilnet.discretizations import LearnedStencil
from stencilnet.forcing import StoredForcing
from stencilnet.grid import Grid
from stencilnet.solver import Integrator, rollout
from stencilnet.storage import forcing_of, grid_of, tensor_of

Loss = Callable[[Tensor, Tensor], Tensor]
"""`loss(u, reference)`, a number, of states of shape (window, time, x)."""


# Values of a part of trajectories that are rolled out whole, at most.
_PART = 2**26
_ALL = slice(None)


@dataclass(frozen=True)
class Summary:
    """What training needs to know of all trajectories together.

    Attributes:
        extremes: the lowest and the highest value.
        deviation: standard deviation of all values.
    """

    extremes: Float[Tensor, "2"]
    deviation: float


@dataclass(frozen=True)
class Trajectories:
    """Trajectories to learn from, as tensors.

    Attributes:
        u: solution, shape `(sample, time, x)`.
        times: equidistant, in float64, on the clock of `forcing`.
        grid: the grid of the solution.
        forcing: one row per sample, in float64.
        averages: whether `u` holds cell averages.
    """

    u: Float[Tensor, "sample time x"]
    times: Float[Tensor, " time"]
    grid: Grid
    forcing: StoredForcing
    averages: bool

    @classmethod
    def of(
        cls, dataset: xr.Dataset, dtype: torch.dtype, extensions: Sequence[type] = ()
    ) -> "Trajectories":
        """Those of a trajectory store, with the solution in `dtype`.

        Args:
            dataset: of the store.
            dtype: of the solution.
            extensions: classes of boundaries of your own.

        Raises:
            ValueError: if their times are not equidistant.
        """
        times = equidistant(dataset)
        return cls(
            tensor_of(dataset["u"], dtype),
            times,
            grid_of(dataset, extensions),
            forcing_of(dataset).to(dtype=torch.float64),
            bool(dataset["u"].attrs["averages"]),
        )

    def windows(
        self,
        generator: np.random.Generator,
        count: int,
        horizon: int,
        share: slice = _ALL,
    ) -> "Trajectories":
        """Random pieces of `horizon` intervals, all on one clock that starts at 0.

        Args:
            generator: of the draw.
            count: number of pieces.
            horizon: intervals of a piece.
            share: which of the pieces to take.

        Raises:
            ValueError: if the trajectories are shorter than that.
        """
        rows, starts = (
            torch.from_numpy(places[share])
            for places in drawn(generator, tuple(self.u.shape), count, horizon)
        )
        pieces = self.u[
            rows.unsqueeze(-1), starts.unsqueeze(-1) + torch.arange(horizon + 1)
        ]
        forcing = self.forcing.select(rows).starting_at(self.times[starts])
        times = self.times[: horizon + 1] - self.times[0]
        return Trajectories(pieces, times, self.grid, forcing, self.averages)

    def expect(
        self,
        generator: np.random.Generator,
        count: int,
        horizon: int,
        share: slice = _ALL,
    ) -> None:
        """What `windows` will be asked for next; it is all here."""

    def parts(self) -> Iterator["Trajectories"]:
        """All trajectories, some samples at a time."""
        rows = rows_of_part(tuple(self.u.shape))
        for start in range(0, len(self.u), rows):
            part = slice(start, start + rows)
            yield dataclasses.replace(
                self, u=self.u[part], forcing=self.forcing.select(part)
            )

    def summary(self) -> Summary:
        """Extremes and standard deviation of the solution."""
        blocks = (block.double().cpu().numpy() for block in torch.split(self.u, 256))
        return summary_of(blocks, self.u.dtype)

    @property
    def device(self) -> torch.device:
        """Where the solution is."""
        return self.u.device

    def to(self, device: torch.device | str) -> "Trajectories":
        """The same trajectories on another device."""
        forcing = self.forcing.to(device)
        return dataclasses.replace(self, u=self.u.to(device), forcing=forcing)

    def check_horizon(self, horizon: int) -> None:
        """Raises if windows are longer than the trajectories."""
        check_horizon(horizon, tuple(self.u.shape))

    def force(self) -> Callable[[float | Tensor], Tensor]:
        """The forcing on the grid, in the dtype of the solution."""
        forcing = self.forcing.to(self.u.device, self.u.dtype)
        return forcing.on(self.grid, averages=self.averages)


def equidistant(dataset: xr.Dataset) -> Float[Tensor, " time"]:
    """The times of trajectories to learn from.

    Raises:
        ValueError: if they are not equidistant.
    """
    times = tensor_of(dataset["time"], torch.float64)
    gaps = times.diff()
    if len(gaps) and not torch.allclose(gaps, gaps[0].expand_as(gaps), 1e-6, 0):
        raise ValueError(
            f"Training needs equidistant times, but their intervals run from "
            f"{float(gaps.min()):g} to {float(gaps.max()):g}: keep times of equal "
            f"distance."
        )
    return times


def drawn(
    generator: np.random.Generator, shape: tuple[int, ...], count: int, horizon: int
) -> tuple[np.ndarray, np.ndarray]:
    """Samples and first states of random pieces of `horizon` intervals.

    Args:
        generator: of the draw.
        shape: of the trajectories, `(sample, time, ...)`.
        count: number of pieces.
        horizon: intervals of a piece.

    Raises:
        ValueError: if the trajectories are shorter than that.
    """
    check_horizon(horizon, shape)
    rows = generator.integers(shape[0], size=count)
    return rows, generator.integers(shape[1] - horizon, size=count)


def check_horizon(horizon: int, shape: tuple[int, ...]) -> None:
    """Raises if windows are longer than trajectories of a shape."""
    intervals = shape[1] - 1
    if horizon > intervals:
        raise ValueError(
            f"A window of {horizon} intervals does not fit trajectories of "
            f"{intervals}: shorten training.horizon or lengthen problem.duration."
        )


def summary_of(
    blocks: Iterable[Float[np.ndarray, "sample time x"]], dtype: torch.dtype
) -> Summary:
    """The summary of trajectories, which does not depend on how they are divided.

    Args:
        blocks: some samples each, in double precision.
        dtype: of the extremes.
    """
    count, lowest, highest = 0, math.inf, -math.inf
    sums: list[np.ndarray] = []
    squares: list[np.ndarray] = []
    for block in blocks:
        rows = block.reshape(len(block), -1)
        count = rows.shape[1]
        lowest = float(np.minimum(lowest, rows.min(initial=math.inf)))
        highest = float(np.maximum(highest, rows.max(initial=-math.inf)))
        sums.append(rows.sum(1))
        squares.append(np.square(rows - sums[-1][:, np.newaxis] / count).sum(1))
    means = np.concatenate(sums) / count
    spread = count * np.square(means - math.fsum(means) / len(means))
    variance = math.fsum([*np.concatenate(squares), *spread])
    variance /= max(count * len(means) - 1, 1)
    return Summary(torch.tensor([lowest, highest], dtype=dtype), math.sqrt(variance))


def rows_of_part(shape: tuple[int, ...]) -> int:
    """Samples that are rolled out whole at once."""
    return max(_PART // max(math.prod(shape[1:]), 1), 1)


def window_loss(
    operator: LearnedStencil,
    window: Trajectories,
    *,
    integrator: Integrator,
    substeps: int,
    backward: float = 0.0,
    loss: Loss | None = None,
    compile: bool = False,  # noqa: A002
) -> Float[Tensor, ""]:
    """Mean squared error of a rollout over a window, in units of the squared scale.

    Args:
        operator: the operator to train.
        window: the trajectories to follow.
        integrator: of the rollout.
        substeps: steps per kept state.
        backward: weight of the error of the rollout that starts from the last state
            and runs backward in time.
        loss: in place of the error.
        compile: whether to compile the steps.

    Raises:
        ValueError: if `loss` does not return one number.
    """
    forcing = window.force()
    settings: dict[str, Any] = {
        "integrator": integrator,
        "steps": substeps,
        "compile": compile,
    }
    u = rollout(operator, window.u[:, 0], window.times, forcing, **settings)
    measure = loss or (lambda u, known: (u - known).square().mean())
    error = measure(u[:, 1:], window.u[:, 1:])
    if not isinstance(error, Tensor) or error.numel() != 1:
        raise ValueError(
            f"A loss returns one number, a tensor, not {error!r:.80}: take its mean."
        )
    if backward:
        reverse = window.times.flip(0)
        u = rollout(operator, window.u[:, -1], reverse, forcing, **settings)
        error = error + backward * measure(u[:, 1:], window.u.flip(1)[:, 1:])
    return error.reshape(()) if loss else error / operator.scale**2
