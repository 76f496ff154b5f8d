"""A store to look at one sample at a time, and solves beside it."""

import contextlib
import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

from stencilnet.discretizations import CLASSICAL, LearnedStencil, frozen_stencils
from stencilnet.equations import Equation, equation_from_spec
from stencilnet.errors import whole_number
from stencilnet.forcing import RandomForcing, StoredForcing
from stencilnet.grid import Grid
from stencilnet.report import with_fields
from stencilnet.storage import (
    DATASET_SCHEMA,
    forcing_of,
    local_path,
    open_dataset,
    open_trajectories,
    schema_of,
)
from stencilnet.study.config import Config
from stencilnet.study.live import Bench, Live, Solution, bench_of
from stencilnet.study.loading import stored_config
from stencilnet.study.problem import equation_of, split_forcing
from stencilnet.study.problem import forcing_of as drawn_forcing

# What a draw takes from a store that does not say how its own was drawn.
_AMPLITUDE, _FREQUENCY, _WAVENUMBERS = 0.1, 0.4, (2, 3, 4, 5)


class Explorer:
    """A trajectory store or a comparison, of which one sample is read at a time.

    Of a comparison that keeps the trajectories of its first samples only, these.

    Args:
        dataset: as `open_trajectories` or a comparison gives it.
        path: of the store, for messages and for the operator of its run.
        operator: store of the learned operator or name of a pretrained one; that of
            the run which the store lies in, or the pretrained one for Burgers'
            equation, by default.
        extensions: classes of your own that store or operator name.

    Raises:
        ValueError: if the dataset has no samples to show, or if the operator that was
            asked for does not fit its equation and grid.

    Example:
        >>> from pathlib import Path
        >>> import torch
        >>> from stencilnet import Burgers, Grid, LearnedStencil, save_operator
        >>> from stencilnet.storage import trajectories
        >>> from stencilnet.study import Explorer
        >>> burgers, grid = Burgers(viscosity=0.1), Grid.line(16)
        >>> times = torch.arange(2.0)
        >>> wave = grid.points().sin().expand(2, -1)
        >>> data = trajectories(wave, times, grid, equation=burgers, averages=True)
        >>> operator = save_operator(LearnedStencil(burgers, grid), "mine.zarr")
        >>> explorer = Explorer(data, Path("waves.zarr"), operator=operator)
        >>> u = explorer.fields(sample=0)["u"]
        >>> offsets, coefficients = explorer.coefficients(u[-1])["u_x"]
        >>> offsets.tolist(), coefficients.shape  # (x, offset)
        ([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5], (16, 6))
    """

    def __init__(
        self,
        dataset: xr.Dataset,
        path: Path,
        *,
        operator: Path | str | None = None,
        extensions: Sequence[type] = (),
    ) -> None:
        needed = {"u", "time", "x"} - set(map(str, dataset.variables))
        if not needed:
            dataset = with_fields(dataset)
        self.dataset, self.path = dataset, path
        if needed or not all(dataset.sizes[a] for a in ("sample", "time", "x")):
            raise ValueError(
                f"{path} has no trajectories to show: give a store of trajectories or "
                f"a comparison, such as runs/p2/comparison/comparison-32.zarr."
            )
        self.compares = "scheme" in dataset.dims
        self.times = dataset["time"].values.astype(float)
        self.x = dataset["x"].values.astype(float)
        self.samples = dataset.sizes["sample"]
        self.schemes = list(map(str, dataset["scheme"].values)) if self.compares else []
        self.extensions = tuple(extensions)
        self.bench: Bench | None = None
        if self.equation is not None and not self.bounded:
            self.bench = bench_of(
                path, self.grid, self.equation, self.averages, operator, extensions
            )
        self._kept: tuple[int, dict[str, np.ndarray]] = (-1, {})

    @cached_property
    def config(self) -> Config | None:
        """The study that the store belongs to, if it says so."""
        if "config" not in self.dataset.attrs:
            return None
        return stored_config(self.dataset.attrs, self.path, self.extensions)

    @cached_property
    def equation(self) -> Equation | None:
        """The equation of the trajectories, if the store says it."""
        if "equation" in self.dataset.attrs:
            spec = json.loads(str(self.dataset.attrs["equation"]))
            return equation_from_spec(spec, self.extensions)
        return None if self.config is None else equation_of(self.config)

    @cached_property
    def bounded(self) -> bool:
        """Whether the trajectories lie between boundaries, where nothing is solved."""
        if self.config is not None and self.config.problem.boundaries is not None:
            return True
        attributes = (self.dataset.attrs, self.dataset["x"].attrs)
        return any("boundaries" in each for each in attributes)

    @cached_property
    def grid(self) -> Grid:
        period = self.dataset.attrs.get("period", self.dataset["x"].attrs.get("period"))
        if period is None:
            period = len(self.x) * float(np.diff(self.x).mean())
        return Grid.line(len(self.x), float(period))

    @cached_property
    def averages(self) -> bool:
        """Whether the states that solves begin from are cell averages."""
        first = self.schemes[self._first()] if self.compares else ""
        if first in CLASSICAL and self.equation is not None:
            return CLASSICAL[first].build(self.equation, self.grid).averages
        return bool(self.dataset["u"].attrs.get("averages", True))

    @property
    def names(self) -> list[str]:
        """Names of the fields of a sample, the reference first."""
        if self.compares:
            return ["reference", *self.schemes]
        others = ("u_noisy", "u_denoised")
        return ["u", *(name for name in others if name in self.dataset)]

    def fields(self, sample: int) -> dict[str, np.ndarray]:
        """The fields of one sample, (time, x) each, by `names`.

        Raises:
            ValueError: if there is no such sample.
        """
        sample = self._checked(sample)
        if self._kept[0] != sample:
            row = self.dataset.isel(sample=sample)
            if self.compares:
                u, truth = (
                    row[name].transpose("scheme", "time", "x").values
                    for name in ("u", "reference")
                )
                fields = {"reference": truth[self._first()]}
                fields |= dict(zip(self.schemes, u, strict=True))
            else:
                fields = {
                    name: row[name].transpose("time", "x").values for name in self.names
                }
            self._kept = (sample, fields)
        return self._kept[1]

    def errors(self, sample: int) -> dict[str, np.ndarray]:
        """Relative L2 error of each field at each time, but of the reference."""
        sample = self._checked(sample)
        if self.compares:
            error = self.dataset["error"].isel(sample=sample)
            rows = error.transpose("scheme", "time").values
            return dict(zip(self.schemes, rows, strict=True))
        truth, *others = self.fields(sample).items()
        return {name: relative(field, truth[1]) for name, field in others}

    def coefficients(self, u: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Offsets, and coefficients (x, offset), of each learned stencil about a state.

        Nothing where there is no learned stencil: a picture has no coefficients.
        """
        learned = None if self.bench is None else self.bench.operator
        if not isinstance(learned, LearnedStencil):
            return {}
        state = torch.tensor(u[np.newaxis], dtype=torch.float64)
        return {
            name: (frozen.offsets.numpy(), frozen.coefficients.numpy())
            for name, frozen in frozen_stencils(learned, state).items()
        }

    def solve(self, live: Live) -> Solution:
        """The problem of a sample solved anew, learned and classical.

        Raises:
            ValueError: if the store does not say its equation, or a setting cannot be.
        """
        if self.bounded:
            raise ValueError(
                f"{self.path} lies between boundaries, and the page solves periodic "
                f"problems only: use `stencilnet simulate`."
            )
        if self.bench is None:
            raise ValueError(
                f"{self.path} does not say which equation it solves: nothing to solve."
            )
        fields = self.fields(live.sample)
        truth = next(iter(fields.values()))
        # A comparison without its study does not say its forcing.
        same = live.seed is None and not (self.compares and self.config is None)
        return self.bench.solve(
            live, truth, self.times, self._forcing(live), compare_with=same
        )

    def _forcing(self, live: Live) -> StoredForcing:
        """The forcing of a solve, on the clock of the stored times."""
        rows = slice(live.sample, live.sample + 1)
        if live.seed is None and not self.compares:
            return forcing_of(self.dataset.isel(sample=rows).load())
        config = self.config
        if live.seed is None:
            if config is None:
                return RandomForcing.none(1)
            forcing = split_forcing(config, "test", rows)
            return forcing.starting_at(config.problem.warm_up)
        seed = whole_number("The seed of a forcing", live.seed, least=0)
        if config is not None and config.forcing is not None:
            return drawn_forcing(config, 1, seed).starting_at(-self.times[0])
        return RandomForcing.sample(
            1,
            amplitude=_AMPLITUDE,
            frequency=_FREQUENCY,
            wavenumbers=_WAVENUMBERS,
            seed=seed,
        )

    def _first(self) -> int:
        """The row of a comparison that is of the kind of the learned method."""
        return self.schemes.index("learned") if "learned" in self.schemes else 0

    def _checked(self, sample: int) -> int:
        if not 0 <= sample < self.samples:
            raise ValueError(
                f"There is no sample {sample}: give one from 0 to {self.samples - 1}."
            )
        return sample


def relative(u: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """`|u - truth| / |truth|` at each time, NaN where that is not finite."""
    norm = np.sqrt((truth**2).sum(-1))
    with np.errstate(all="ignore"):
        error: np.ndarray = np.sqrt(((u - truth) ** 2).sum(-1)) / norm
    return np.where(np.isfinite(error), error, np.nan)


@contextlib.contextmanager
def opened(
    store: Path | str,
    *,
    operator: Path | str | None = None,
    extensions: Sequence[type] = (),
) -> Iterator[Explorer]:
    """A store of trajectories or a comparison, to look at.

    Nothing of it but its coordinates is read before it is looked at.

    Raises:
        FileNotFoundError: if there is nothing at `store`.
        ValueError: as `Explorer`, or if it is another kind of store.

    Example:
        >>> from stencilnet import load_config, simulate
        >>> from stencilnet.study import opened
        >>> p2 = load_config("p2")
        >>> path = simulate("weno_z", "p2.zarr", config=p2, duration=1.0, points=16)
        >>> with opened(path) as explorer:
        ...     explorer.equation, explorer.fields(sample=0)["u"].shape
        (Burgers(viscosity=0.02), (11, 16))
    """
    path = local_path(store)
    reader: Any = open_trajectories
    if schema_of(path) == DATASET_SCHEMA:
        reader = open_dataset
    with reader(path) as dataset:
        yield Explorer(dataset, path, operator=operator, extensions=extensions)
