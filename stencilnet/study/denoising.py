"""The stage `denoise`: trajectories denoised in their store."""

import json
import math
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from stencilnet.denoising import (
    ALONG,
    CRITERIA,
    L1,
    Criterion,
    Penalty,
    Sure,
    denoise_trajectory,
)
from stencilnet.errors import as_number, unknown, whole_number
from stencilnet.progress import Progress, no_progress, shown
from stencilnet.storage import (
    claimed,
    local_path,
    open_trajectories,
    refuse_existing,
    samples_in_block,
    write_block,
    write_in_blocks,
)
from stencilnet.study.noise import with_noise
from stencilnet.study.workers import crew, finished

# What one run of `denoise` writes, beside `u_noisy` where it adds noise.
_RESULTS = ("u_denoised", "denoising_weight", "denoising_sigma")
_ATTRIBUTE = "denoising"


@dataclass(frozen=True)
class Denoising:
    """How a store is denoised.

    Attributes:
        along: "x", "t", or "both", first along x.
        order: of the differences.
        penalty: on them.
        weight: a number, or the criterion that chooses one per trajectory and axis.
        noise: standard deviation of the noise that `denoise` added to `u`, in units of
            that of `u` in each trajectory; none if the store brought its noise.
        seed: of that noise.

    Raises:
        ValueError: if a setting is unknown or out of its range.
    """

    along: str = "x"
    order: int = 2
    penalty: Penalty = field(default_factory=L1)
    weight: float | Criterion = field(default_factory=Sure)
    noise: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.along not in ALONG:
            raise unknown("direction", self.along, ALONG)
        noise = as_number(self.noise)
        if self.noise is not None and (noise is None or not 0 < noise < math.inf):
            raise ValueError(
                f"The noise to add must be positive and finite, not {self.noise}: "
                f"leave it out for a store that is noisy."
            )
        plain = {
            "noise": noise,
            "seed": whole_number("A seed", self.seed, least=0),
            "order": whole_number("The order of differences", self.order),
        }
        for name, value in plain.items():
            object.__setattr__(self, name, value)

    @staticmethod
    def from_spec(spec: Mapping[str, Any]) -> "Denoising":
        """Settings from plain values.

        Args:
            spec: as from `spec`; a penalty or a criterion is also its kind alone.

        Raises:
            TypeError, ValueError: if a setting is unknown or out of its range.
        """
        values = dict(spec)
        if isinstance(values.get("penalty"), str | Mapping):
            values["penalty"] = Penalty.from_spec(values["penalty"])
        weight = values.get("weight", Sure())
        if isinstance(weight, str | Mapping):
            values["weight"] = _weight_from_spec(weight)
        elif not isinstance(weight, Criterion):
            values["weight"] = float(weight)
        return Denoising(**values)

    @staticmethod
    def from_dataset(dataset: xr.Dataset, store: Path) -> "Denoising":
        """The settings that `denoise` left in a store.

        Raises:
            ValueError: if the attribute was not written by `denoise`.
        """
        try:
            return Denoising.from_spec(json.loads(dataset.attrs[_ATTRIBUTE]))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{store} does not say how it was denoised: run stencilnet denoise on "
                f"it with --overwrite."
            ) from error

    def spec(self) -> dict[str, Any]:
        """Every setting, plain values for JSON."""
        weight = self.weight
        plain = weight.spec() if isinstance(weight, Criterion) else weight
        return {**asdict(self), "penalty": self.penalty.spec(), "weight": plain}


def denoise(
    store: Path | str,
    out: Path | str | None = None,
    *,
    along: str = "x",
    order: int = 2,
    penalty: Penalty | str = "l1",
    weight: float | Criterion | str = "sure",
    noise: float | None = None,
    seed: int = 0,
    overwrite: bool = False,
    workers: int | None = None,
    scheduler: str | None = None,
    progress: Progress | bool = no_progress,
) -> Path:
    """Adds `u_denoised` to a trajectory store, one block of samples at a time.

    If it is stopped, or the disk is full, the same call goes on after the last whole
    block and ends at the same bits.

    The input is `u_noisy`, made from `u` if `noise` is passed, or `u` itself if the
    store has no `u_noisy`. NaN and infinities are missing samples, which are filled in.
    Results of an earlier run are replaced as a whole; noise that it added stays, and
    its level and seed with it, unless `noise` is passed anew.

    Args:
        store: of trajectories.
        out: path to write; `store` itself by default.
        along: "x", "t" or "both".
        order: of the differences; second ones leave shocks and the ramps between them
            as they are.
        penalty: on the differences, or its name: "l1", "l2" or "l2_squared".
        weight: `lambda`, or the criterion that chooses it, or its name: "sure", "gcv"
            or "cv". A chosen weight is one per trajectory and axis, as in
            `denoise_trajectory`.
        noise: standard deviation of independent normal noise to add, in units of that
            of `u` in each trajectory.
        seed: of the noise; each sample has a stream of its own.
        overwrite: whether to replace `u_noisy`, `u_denoised` or a store at `out`.
        workers: processes of one thread each, on this machine, as in `generate`.
        scheduler: address of a Dask cluster, whose workers see both stores.
        progress: told about the samples; True for a display.

    Returns:
        The path of the store, which now holds also `denoising_weight` and
        `denoising_sigma` `(sample, axis)`, one column per axis in the order of
        `along`, and the attribute `denoising` (JSON).

    Raises:
        FileExistsError: if something to be written exists and `overwrite` is false.
        FileNotFoundError, ValueError: if `store` cannot be read, a trajectory is
            missing altogether, or an argument does not fit; also as `crew`.
        ConnectionError, ChildProcessError: if the cluster does not answer, or workers
            die again and again.

    Example:
        >>> from stencilnet import denoise, read_trajectories, simulate
        >>> path = simulate("burgers-p1-16", "noisy.zarr", duration=2.0, overwrite=True)
        >>> path = denoise(path, noise=0.1, seed=0, overwrite=True)
        >>> sorted(name for name in read_trajectories(path) if name.startswith("u_"))
        ['u_denoised', 'u_noisy']
    """
    store = local_path(store)
    target = store if out is None else local_path(out)
    settings = Denoising.from_spec(
        {
            "along": along,
            "order": order,
            "penalty": penalty,
            "weight": weight,
            "noise": noise,
            "seed": seed,
        }
    )
    in_place = target.resolve() == store.resolve()
    if not in_place:
        refuse_existing(target, overwrite=overwrite, kind="trajectories")
    if store.resolve() in target.resolve().parents:
        raise ValueError(f"{target} lies within {store}: choose a place outside.")
    # A new store has no other user yet.
    alone = claimed(target) if target.is_dir() else nullcontext()
    with alone, open_trajectories(store) as dataset:
        if "u" not in dataset:
            raise ValueError(f"{store} holds no u: give a store of trajectories.")
        added = ["u_denoised"] if noise is None else ["u_noisy", "u_denoised"]
        present = [name for name in added if name in dataset]
        if present and not overwrite:
            raise FileExistsError(
                f"{store} has {' and '.join(present)} already: replace it with "
                f"--overwrite."
            )
        block, content = samples_in_block(dataset), dataset.attrs["content_hash"]
        with crew(workers, scheduler) as client, shown(progress, "Denoising") as told:
            work = _Work(store, str(content), settings, dataset.sizes["sample"], block)
            # Of workers, finished blocks are told, and not the sample made here.
            seen = no_progress if client is not None else told
            told(0, work.samples, "compiles for half a minute the first time")
            return write_in_blocks(
                lambda rows: _denoised(dataset, rows, settings, seen),
                target,
                samples=work.samples,
                block=block,
                overwrite=overwrite or in_place,
                identity=json.dumps([settings.spec(), content], sort_keys=True),
                elsewhere=None if client is None else partial(work.share, client, told),
            )


@dataclass(frozen=True)
class _Work:
    """Blocks to denoise in other processes: plain values.

    Attributes:
        store: that is read.
        content: its hash.
        settings: how it is denoised.
        samples: of the store.
        block: samples of each block but the last.
    """

    store: Path
    content: str
    settings: Denoising
    samples: int
    block: int

    def share(
        self, client: Any, progress: Progress, folder: Path, numbers: list[int]
    ) -> None:
        """Has workers write blocks into a folder."""
        total = -(-self.samples // self.block)
        done = total - len(numbers)
        for _ in finished(client, partial(self.write, folder), numbers):
            done += 1
            progress(min(done * self.block, self.samples), self.samples, "")

    def write(self, folder: Path, number: int) -> None:
        """Denoises a block and writes it into a folder."""
        start = number * self.block
        rows = slice(start, min(start + self.block, self.samples))
        with open_trajectories(self.store) as dataset:
            if dataset.attrs["content_hash"] != self.content:
                raise ValueError(
                    f"{self.store} is not, where a worker runs, the store that this "
                    f"command opened: leave it as it is until the command ends."
                )
            made = _denoised(dataset, rows, self.settings, no_progress)
        write_block(folder, made, number, samples=self.samples, size=self.block)


def _weight_from_spec(spec: str | Mapping[str, Any]) -> Criterion:
    if isinstance(spec, str) and spec not in CRITERIA:
        error = unknown("weight criterion", spec, CRITERIA)
        raise ValueError(f"{error} A weight may also be a number.")
    return Criterion.from_spec(spec)


def _denoised(
    dataset: xr.Dataset, rows: slice, settings: Denoising, progress: Progress
) -> xr.Dataset:
    """A block of the dataset with its denoised trajectories."""
    samples, start = dataset.sizes["sample"], rows.start
    # Those of an earlier run may have other dimensions and other axes.
    bare = dataset.drop_vars(_RESULTS, errors="ignore")
    block = bare.isel(sample=rows).load()
    u = block["u"]
    if settings.noise is not None:
        noisy = with_noise(u.values, settings.noise, settings.seed, start)
        block["u_noisy"] = u.copy(data=noisy)
    noisy = block["u_noisy" if "u_noisy" in block else "u"].values
    denoised, weights, sigmas = np.empty_like(noisy), [], []
    for row, trajectory in enumerate(noisy):
        try:
            result = denoise_trajectory(
                trajectory,
                settings.weight,
                along=settings.along,
                order=settings.order,
                penalty=settings.penalty,
                periodic="boundaries" not in dataset["x"].attrs,
            )
        except ValueError as error:
            raise ValueError(f"Sample {start + row}: {error}") from error
        denoised[row] = result.field
        weights.append(result.weight)
        sigmas.append(result.sigma)
        progress(start + row + 1, samples, "")
    block["u_denoised"] = u.copy(data=denoised)
    for name, suffix in (("u_noisy", "with noise"), ("u_denoised", "denoised")):
        if name in block:
            block[name].attrs["long_name"] = f"solution, {suffix}"
    block["denoising_weight"] = (("sample", "axis"), np.array(weights))
    block["denoising_sigma"] = (("sample", "axis"), np.array(sigmas))
    return block.assign_attrs(_described(settings, dataset))


def _described(settings: Denoising, dataset: xr.Dataset) -> dict[str, str]:
    """The attributes that the stage adds."""
    kept = _with_former_noise(settings, dataset)
    return {_ATTRIBUTE: json.dumps(kept.spec()), "parent": _parent(dataset)}


def _parent(dataset: xr.Dataset) -> str:
    """The hash of the trajectories before they were denoised.

    A store that was denoised in place names it: repeated, the stage ends at the same
    bits.
    """
    denoised = "u_denoised" in dataset and _ATTRIBUTE in dataset.attrs
    return str(dataset.attrs["parent" if denoised else "content_hash"])


def _with_former_noise(settings: Denoising, dataset: xr.Dataset) -> Denoising:
    """The settings, with the noise that an earlier run added and this one keeps."""
    if settings.noise is not None or not {"u_noisy", "u_denoised"} <= set(dataset):
        return settings
    try:
        former = Denoising.from_spec(json.loads(dataset.attrs[_ATTRIBUTE]))
    except (KeyError, TypeError, ValueError):
        return settings
    return replace(settings, noise=former.noise, seed=former.seed)
