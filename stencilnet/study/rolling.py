"""What a comparison measures of one method, block of samples by block."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from stencilnet.discretizations import Discretization, PseudoSpectral
from stencilnet.solver import Integrator
from stencilnet.storage import forcing_of, open_trajectories, tensor_of
from stencilnet.study.following import follow_on
from stencilnet.study.kinds import in_kind
from stencilnet.study.metrics import METRICS, Rollout, measured, relative_l2

# Values that are rolled out at once.
_BLOCK = 2**24
_FIELDS = ("u", "reference")


@dataclass(frozen=True)
class Reference:
    """Trajectories to compare with, in memory or in a store.

    Attributes:
        dataset: in memory; None for a store.
        path: of the store.
        content: its hash.
    """

    dataset: xr.Dataset | None = None
    path: Path | None = None
    content: str = ""

    @contextmanager
    def opened(self) -> Iterator[xr.Dataset]:
        """The dataset, whose values are read when they are used.

        Raises:
            OSError, ValueError: as `open_trajectories`, or if the store was replaced.
        """
        if self.path is None:
            assert self.dataset is not None
            yield self.dataset
            return
        with open_trajectories(self.path) as dataset:
            if self.content and dataset.attrs["content_hash"] != self.content:
                raise ValueError(
                    f"{self.path} is not the store that the comparison began with: "
                    f"leave it as it is until the command ends."
                )
            yield dataset

    def part(self, rows: slice) -> "Reference":
        """Some samples, in memory if the rest is."""
        if self.dataset is None:
            return self
        return Reference(self.dataset.isel(sample=rows))


@dataclass(frozen=True)
class Block:
    """Samples that a method is rolled out for, plain values for any process.

    Attributes:
        name: of the method.
        method: in float64, on the processor.
        integrator: of the rollout.
        step: the longest step.
        references: the trajectories, and those of the other kind where there are.
        rows: of the samples.
        kept: of the samples, how many fields are kept, over an axis `kept`; None for
            all, over that of the samples.
        threshold: relative error that ends the valid time.
        place: device and precision of the rollout.
    """

    name: str
    method: Discretization
    integrator: Integrator
    step: float
    references: tuple[Reference, ...]
    rows: slice
    kept: int | None
    threshold: float
    place: tuple[torch.device, torch.dtype]

    def part(self, rows: slice) -> "Block":
        """Some of the samples."""
        kept = self.kept
        if kept is not None:
            kept = min(max(kept - rows.start, 0), rows.stop - rows.start)
        references = tuple(each.part(rows) for each in self.references)
        return replace(self, references=references, rows=rows, kept=kept)

    def measured(self) -> xr.Dataset:
        """The rollout and its metrics."""
        datasets = [loaded(reference, self.rows) for reference in self.references]
        truth = in_kind(self.name, self.method.averages, *datasets)
        times = tensor_of(datasets[0]["time"], torch.float64)
        forcing = forcing_of(datasets[0]).to(dtype=torch.float64)
        how: dict[str, Any] = {"integrator": self.integrator, "step": self.step}
        u, step = follow_on(self.place, self.method, truth[:, 0], times, forcing, **how)
        whole = self.method.grid.boundaries is None
        column = measured(
            Rollout(u.double(), truth, times, forcing, self.threshold, whole)
        )
        column["step"] = ((), step)
        column["floor"] = (("sample",), _floor(self.method, truth, datasets))
        if self.kept is not None:
            fields = column[list(_FIELDS)].isel(sample=slice(0, self.kept))
            # A view, empty or not, would hold the whole field in memory.
            fields = fields.copy(deep=True)
            column = column.drop_vars(_FIELDS).merge(fields.rename(sample="kept"))
        return column


def blocks_of(samples: int, states: int, points: int) -> list[slice]:
    """The samples that are rolled out together."""
    size = max(_BLOCK // (states * points), 1)
    starts = range(0, samples, size)
    return [slice(start, min(start + size, samples)) for start in starts]


def loaded(reference: Reference, rows: slice) -> xr.Dataset:
    """Some samples of trajectories, in memory."""
    if reference.dataset is not None:
        # It holds them alone, see `Reference.part`.
        return reference.dataset.load()
    with reference.opened() as dataset:
        return dataset.isel(sample=rows).load()


def numbered_column(block: tuple[int, Block]) -> tuple[int, xr.Dataset]:
    """What is measured of a block, with its number, for any process."""
    return block[0], block[1].measured()


def extremes_of(
    name: str,
    datasets: Sequence[xr.Dataset],
    parts: Sequence[slice],
    *,
    averages: bool,
) -> Float[Tensor, "2"]:
    """The lowest and the highest value of trajectories as a method holds them.

    Args:
        name: of the method, for messages.
        datasets: the trajectories, of one kind or both.
        parts: samples that are looked at together.
        averages: whether the method holds cell averages.
    """
    ends: list[Tensor] = []
    for rows in parts:
        some = [dataset.isel(sample=rows).load() for dataset in datasets]
        ends += in_kind(name, averages, *some).aminmax()
    every = torch.stack(ends)
    return torch.stack([every.min(), every.max()])


def joined(blocks: Sequence[xr.Dataset]) -> xr.Dataset:
    """One column of the parts of a method, in the order of their samples."""
    if len(blocks) == 1:
        return blocks[0]
    variables: dict[str, xr.Variable] = {}
    for name, variable in blocks[0].data_vars.items():
        parts = [block[name].variable for block in blocks if name in block]
        along = next((d for d in ("sample", "kept") if d in variable.dims), None)
        if along is not None:
            variables[str(name)] = _end_to_end(parts, along)
        elif str(name) in METRICS:
            weights = [_weight(str(name), block) for block in blocks]
            variables[str(name)] = _mean(parts, weights)
        else:
            variables[str(name)] = parts[0]
    return xr.Dataset(variables)


def _weight(name: str, block: xr.Dataset) -> int:
    """Samples that a mean over samples runs over."""
    if name == "spectrum":
        return int((~block["blow_up"]).sum())
    return block.sizes["sample"]


def _mean(parts: Sequence[xr.Variable], weights: Sequence[int]) -> xr.Variable:
    some = [pair for pair in zip(parts, weights, strict=True) if pair[1]]
    if not some:
        return parts[0]
    total = sum(weight for _, weight in some)
    means = np.stack([part.values * (weight / total) for part, weight in some])
    return xr.Variable(parts[0].dims, means.sum(0), parts[0].attrs)


def _end_to_end(parts: Sequence[xr.Variable], along: str) -> xr.Variable:
    axis = parts[0].dims.index(along)
    values = np.concatenate([part.values for part in parts], axis)
    return xr.Variable(parts[0].dims, values, parts[0].attrs)


def _floor(
    method: Discretization,
    truth: Float[Tensor, "sample time x"],
    stores: Sequence[xr.Dataset],
) -> np.ndarray:
    """The least error over the rollout that a spectral method can have; else NaN."""
    floor = np.full(len(truth), np.nan)
    for store in stores:
        if (
            isinstance(method, PseudoSpectral)
            and "unheld" in store
            and bool(store["u"].attrs["averages"]) == method.averages
        ):
            missing = tensor_of(store["unheld"], torch.float64).unsqueeze(-1)
            size = truth.square().mean(-1, keepdim=True).sqrt()
            floor = relative_l2(size + missing, size).numpy()
    return floor
