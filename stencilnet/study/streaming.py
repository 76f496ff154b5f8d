"""Trajectories that stay on disk, of which a training reads its windows."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from stencilnet.forcing import SampledForcing, StoredForcing
from stencilnet.storage import Pieces, forcing_of, grid_of, open_pieces
from stencilnet.study.windows import (
    Summary,
    Trajectories,
    check_horizon,
    drawn,
    equidistant,
    rows_of_part,
    summary_of,
)

_ALL = slice(None)
# Samples, first states and horizon of some windows, in bytes.
_Key = tuple[bytes, bytes, int]


class StoredTrajectories:
    """Trajectories of a store that is open, as `Trajectories` would hold them.

    The windows of the next update are read while this one is computed.

    Args:
        dataset: of the store, whose values are read when they are used.
        pieces: random pieces of its variables.
        path: of the store, for messages.
        dtype: of the solution.
        device: of what is read.
        extensions: classes of boundaries of your own.

    Attributes:
        times, grid, averages, device: as those of `Trajectories`.

    Raises:
        ValueError: if the times are not equidistant, or the store does not lie in
            blocks of samples.
    """

    def __init__(
        self,
        dataset: xr.Dataset,
        pieces: Callable[[str], Pieces],
        path: Path,
        dtype: torch.dtype,
        device: torch.device | str = "cpu",
        extensions: Sequence[type] = (),
    ) -> None:
        self.times = equidistant(dataset)
        self.grid = grid_of(dataset, extensions)
        self.averages = bool(dataset["u"].attrs["averages"])
        self._u, self._path = pieces("u"), path
        self._dtype, self.device = dtype, torch.device(device)
        self._forcing = _forcings(dataset, pieces)
        self._reader = ThreadPoolExecutor(1, "windows")
        self._next: tuple[_Key, Future[Trajectories]] | None = None

    def windows(
        self,
        generator: np.random.Generator,
        count: int,
        horizon: int,
        share: slice = _ALL,
    ) -> Trajectories:
        """Random pieces of `horizon` intervals, see `Trajectories.windows`.

        Raises:
            OSError: if the system refuses to read them.
            ValueError: if the trajectories are shorter, or damaged.
        """
        key = self._key(generator, count, horizon, share)
        expected, self._next = self._next, None
        if expected is None or expected[0] != key:
            expected = (key, self._reader.submit(self._window, key))
        return expected[1].result()

    def expect(
        self,
        generator: np.random.Generator,
        count: int,
        horizon: int,
        share: slice = _ALL,
    ) -> None:
        """Begins to read what `windows` will be asked for next."""
        key = self._key(generator, count, horizon, share)
        self._next = (key, self._reader.submit(self._window, key))

    def parts(self) -> Iterator[Trajectories]:
        """All trajectories, some samples at a time."""
        samples, length = self._u.shape[:2]
        size = rows_of_part(self._u.shape)
        for start in range(0, samples, size):
            rows = np.arange(start, min(start + size, samples))
            starts = np.zeros_like(rows)
            read = self._reader.submit(self._u.read, rows, starts, length)
            yield self._pieces(read.result(), self._forcing(rows), self.times)

    def summary(self) -> Summary:
        """Extremes and standard deviation of the solution, which is read once.

        Raises:
            ValueError: if a value is NaN or infinite, or the store damaged.
        """
        found = summary_of(map(self._double, self._u.blocks()), self._dtype)
        if not bool(found.extremes.isfinite().all()):
            raise ValueError(
                f"In {self._path}, values of u are NaN or infinite: remove these "
                f"samples or make the store again."
            )
        return found

    def check_horizon(self, horizon: int) -> None:
        """Raises if windows are longer than the trajectories."""
        check_horizon(horizon, self._u.shape)

    def close(self) -> None:
        """Ends reading ahead."""
        self._reader.shutdown(cancel_futures=True)

    def _key(
        self, generator: np.random.Generator, count: int, horizon: int, share: slice
    ) -> _Key:
        rows, starts = drawn(generator, self._u.shape, count, horizon)
        return rows[share].tobytes(), starts[share].tobytes(), horizon

    def _window(self, key: _Key) -> Trajectories:
        rows, starts = (np.frombuffer(part, np.int64) for part in key[:2])
        horizon = key[2]
        u = self._u.read(rows, starts, horizon + 1)
        forcing = self._forcing(rows).starting_at(self.times[torch.tensor(starts)])
        times = self.times[: horizon + 1] - self.times[0]
        return self._pieces(u, forcing, times)

    def _pieces(
        self, u: np.ndarray, forcing: StoredForcing, times: Tensor
    ) -> Trajectories:
        solution = torch.from_numpy(u).to(self._dtype)
        pieces = Trajectories(solution, times, self.grid, forcing, self.averages)
        return pieces.to(self.device)

    def _double(self, u: np.ndarray) -> np.ndarray:
        """Values as a training has them, in double precision."""
        # By numpy: the heap grows with every large tensor that torch makes and frees.
        precision = torch.empty(0, dtype=self._dtype).numpy().dtype
        return u.astype(precision, copy=False).astype(np.float64, copy=False)


Source = Trajectories | StoredTrajectories
"""What a training takes its windows from."""


@contextmanager
def stored(
    path: Path,
    dtype: torch.dtype,
    device: torch.device | str = "cpu",
    *,
    memory: int = 0,
    extensions: Sequence[type] = (),
) -> Iterator[tuple[StoredTrajectories, xr.Dataset]]:
    """The trajectories of a store on disk, and its dataset.

    Args:
        path: of the store.
        dtype: of the solution.
        device: of what is read.
        memory: bytes that are kept for the next windows.
        extensions: classes of boundaries of your own.

    Raises:
        FileNotFoundError, OSError, TypeError, ValueError: as `open_trajectories` and
            `StoredTrajectories`.
    """
    with open_pieces(path, memory) as (dataset, pieces):
        trajectories = StoredTrajectories(
            dataset, pieces, path, dtype, device, extensions
        )
        try:
            yield trajectories, dataset
        finally:
            trajectories.close()


def _forcings(
    dataset: xr.Dataset, pieces: Callable[[str], Pieces]
) -> Callable[[np.ndarray], StoredForcing]:
    """The forcing of some samples, in float64; that by values stays on disk."""
    if "forcing" not in dataset:
        waves = forcing_of(dataset).to(dtype=torch.float64)
        return lambda rows: waves.select(torch.tensor(rows))
    values = pieces("forcing")
    # The variable but for its values, which are those of one sample.
    one = forcing_of(dataset.isel(sample=slice(0, 1)))
    assert isinstance(one, SampledForcing)

    def some(rows: np.ndarray) -> StoredForcing:
        found = values.read(rows, np.zeros_like(rows), values.shape[1])
        return SampledForcing(
            one.times, found, averages=one.averages, order=one.order
        ).to(dtype=torch.float64)

    return some
