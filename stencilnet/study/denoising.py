"""Trajectories denoised in their store, beside other filters."""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import xarray as xr
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d
from scipy.signal import savgol_filter

from stencilnet import denoising
from stencilnet.denoising import (
    METHODS,
    PENALTIES,
    Method,
    Penalty,
    choose_weight,
    fill_linearly,
)
from stencilnet.progress import Progress, no_progress
from stencilnet.storage import open_trajectories, refuse_existing, write_in_blocks

Along = Literal["x", "t", "both"]

_DIMS = ("sample", "time", "x")
# Signals of a trajectory that choose its weight, and values that filters compete on.
_CHOOSING, _COMPARED = 64, 2**19


@dataclass(frozen=True)
class Denoising:
    """How a store was denoised.

    Attributes:
        along: "x", which is periodic, "t", or "both", first along x.
        order: of the differences.
        penalty: on them.
        weight: given, or the method that chose one per trajectory and axis.
        noise: standard deviation of what was added to `u`, in units of that of `u` in
            each trajectory; none if the store brought its noise.
        seed: of what was added.
    """

    along: Along = "x"
    order: int = 2
    penalty: Penalty = "l1"
    weight: float | Method = "sure"
    noise: float | None = None
    seed: int = 0

    @staticmethod
    def checked(**values: Any) -> "Denoising":
        """Settings from values of any kind.

        Raises:
            ValueError: if one is not among those that are known, or no fitting number.
        """
        for name, known in (("along", get_args(Along)), ("penalty", PENALTIES)):
            if values[name] not in known:
                raise ValueError(
                    f"There is no {name} {values[name]!r}: use one of "
                    f"{', '.join(known)}."
                )
        if isinstance(values["weight"], str) and values["weight"] not in METHODS:
            raise ValueError(
                f"There is no method {values['weight']!r} to choose a weight: use one "
                f"of {', '.join(METHODS)}, or give a number."
            )
        noise = values["noise"]
        if noise is not None and not 0 < noise < math.inf:
            raise ValueError(
                f"The noise to add is positive and finite, not {noise}: leave it out "
                f"for a store that is noisy."
            )
        if values["seed"] < 0:
            raise ValueError(f"A seed is zero or more, not {values['seed']}.")
        if not isinstance(values["weight"], str):
            values["weight"] = float(values["weight"])
        return Denoising(**values)

    @staticmethod
    def of(dataset: xr.Dataset, store: Path) -> "Denoising":
        """The settings that `denoise` left in a store.

        Raises:
            ValueError: if what stands there is none of its making.
        """
        try:
            return Denoising.checked(**json.loads(dataset.attrs["denoising"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{store} does not say how it was denoised: run stencilnet denoise on "
                f"it with --overwrite."
            ) from error

    @property
    def axes(self) -> tuple[int, ...]:
        """Those of `(time, x)`, in the order in which they are denoised."""
        return {"x": (1,), "t": (0,), "both": (1, 0)}[self.along]


def denoise(
    store: Path | str,
    out: Path | str | None = None,
    *,
    along: str = "x",
    order: int = 2,
    penalty: str = "l1",
    weight: float | str = "sure",
    noise: float | None = None,
    seed: int = 0,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> Path:
    """Adds `u_denoised` to a trajectory store, one block of samples after the other.

    What is denoised is `u_noisy`, made from `u` if `noise` is given, or `u` itself if
    the store has no `u_noisy`. NaN and infinities are missing samples, which are filled
    in. A chosen weight is one per trajectory and axis: that of `choose_weight` with
    `shared`, for up to 64 signals spread over the trajectory.

    Args:
        store: of trajectories.
        out: where to write it; in place of `store` by default.
        along: "x" (periodic), "t" or "both".
        order: of the differences; second ones leave shocks and ramps between them as
            they are.
        penalty: on the differences, as in `denoising.denoise`.
        weight: `lambda`, or how it is chosen: "sure", "gcv" or "cv".
        noise: standard deviation of independent normal noise to add, in units of that
            of `u` in each trajectory.
        seed: of the noise; each sample has a stream of its own.
        overwrite: whether `u_noisy`, `u_denoised` or a store at `out` are replaced.
        progress: told about the samples.

    Returns:
        The path of the store, which now holds also `denoising_weight` and
        `denoising_sigma` `(sample, axis)`, one column per axis in the order of
        `along`, and the attribute `denoising` (JSON).

    Raises:
        FileExistsError: if what is to be written exists and `overwrite` is false.
        FileNotFoundError, ValueError: if `store` cannot be read, a trajectory is
            missing altogether, or an argument does not fit.
    """
    store = Path(store)
    out = None if out is None else Path(out)
    settings = Denoising.checked(
        along=along, order=order, penalty=penalty, weight=weight, noise=noise, seed=seed
    )
    target = store if out is None else out
    in_place = target.resolve() == store.resolve()
    if not in_place:
        refuse_existing(target, overwrite=overwrite)
    if store.resolve() in target.resolve().parents:
        raise ValueError(f"{target} lies within {store}: choose a place outside.")
    with open_trajectories(store) as dataset:
        if "u" not in dataset:
            raise ValueError(f"{store} holds no u: give a store of trajectories.")
        added = ["u_denoised"] if noise is None else ["u_noisy", "u_denoised"]
        there = [name for name in added if name in dataset]
        if there and not overwrite:
            raise FileExistsError(
                f"{store} has {' and '.join(there)} already: replace it with "
                f"--overwrite."
            )
        blocks = _blocks(dataset, settings, progress)
        return write_in_blocks(blocks, target, overwrite=overwrite or in_place)


def compare_denoisers(store: Path) -> xr.Dataset:
    """The denoised trajectories of a store beside what other filters make of the noise.

    Gaussian, Savitzky-Golay and Tikhonov (squared differences) filters run along the
    same axes, each with those settings for all trajectories that come nearest to the
    clean `u`; total variation is what the store holds. Errors of derivatives are those
    of central differences, against the same of the clean field.

    Args:
        store: that `denoise` wrote. The comparison takes as many of its trajectories,
            spread evenly, as have half a million values.

    Returns:
        By `filter` ("none", "gaussian", "savitzky_golay", "tikhonov",
        "total_variation"): `field` `(filter, sample, time, x)`, `setting`; and if the
        clean field is known `error` `(filter, quantity)` of `u`, `u_x` and `u_xx` in
        units of the standard deviation of the clean one, `snr_gain` in decibels, and
        `clean`. Without a clean field the first and the last filter only.

    Raises:
        FileNotFoundError, ValueError: if `store` cannot be read or is not denoised.
    """
    with open_trajectories(store) as dataset:
        if "u_denoised" not in dataset:
            raise ValueError(
                f"{store} holds no u_denoised: run stencilnet denoise on it first."
            )
        size = dataset.sizes
        count = max(1, min(size["sample"], _COMPARED // (size["time"] * size["x"])))
        chosen = np.unique(np.linspace(0, size["sample"] - 1, count).astype(int))
        part = dataset.isel(sample=chosen).load()
        settings = Denoising.of(dataset, store)
    known = "u_noisy" in part
    noisy = part["u_noisy" if known else "u"].values.astype(np.float64)
    noisy = np.apply_along_axis(_filled, -1, noisy)
    fields = {"none": (noisy, "")}
    if known:
        clean = part["u"].values.astype(np.float64)
        clean[~np.isfinite(clean)] = np.nan
        for name in _FILTERS:
            fields[name] = _best(name, noisy, clean, settings)
    weight = settings.weight
    how = f"weight {weight:.3g}" if isinstance(weight, float) else f"weight by {weight}"
    ours = part["u_denoised"].values.astype(np.float64)
    fields["total_variation"] = (ours, f"order {settings.order}, {how}")
    result = xr.Dataset(
        {
            "field": (("filter", *_DIMS), np.stack([of for of, _ in fields.values()])),
            "setting": ("filter", [of for _, of in fields.values()]),
        },
        coords={
            "filter": list(fields),
            "sample": chosen,
            "time": part["time"],
            "x": part["x"],
        },
        attrs={"denoising": part.attrs["denoising"]},
    )
    if not known:
        return result
    spacing = float(part["x"].attrs["period"]) / part.sizes["x"]
    true = _derivatives(clean, spacing)
    # Where the clean field has gaps, nothing is known of errors.
    scales = np.nanstd(true, axis=(1, 2, 3))
    errors = [
        np.sqrt(np.nanmean((_derivatives(of, spacing) - true) ** 2, axis=(1, 2, 3)))
        for of, _ in fields.values()
    ]
    relative = np.array(errors) / np.where(scales > 0, scales, 1.0)
    # Without noise there is no gain, which is no number.
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = 20 * np.log10(relative[0, 0] / relative[:, 0])
    return result.assign(
        clean=(_DIMS, clean),
        error=(("filter", "quantity"), relative),
        snr_gain=("filter", gain),
    ).assign_coords(quantity=["u", "u_x", "u_xx"])


def _blocks(
    dataset: xr.Dataset, settings: Denoising, progress: Progress
) -> Iterator[xr.Dataset]:
    """The dataset with its denoised trajectories, in blocks of samples."""
    samples = dataset.sizes["sample"]
    chunk = dataset["u"].encoding["chunks"][0]
    for start in range(0, samples, chunk):
        block = dataset.isel(sample=slice(start, start + chunk)).load()
        u = block["u"]
        if settings.noise is not None:
            noisy = _noisy(u.values, settings.noise, settings.seed, start)
            block["u_noisy"] = u.copy(data=noisy)
        noisy = block["u_noisy" if "u_noisy" in block else "u"].values
        denoised = np.empty_like(noisy)
        weights = np.empty((len(noisy), len(settings.axes)))
        sigmas = np.full_like(weights, np.nan)
        for row, field in enumerate(noisy):
            try:
                denoised[row], weights[row], sigmas[row] = _denoised(field, settings)
            except ValueError as error:
                raise ValueError(f"Sample {start + row}: {error}") from error
            progress(start + row + 1, samples, "")
        block["u_denoised"] = u.copy(data=denoised)
        for name, words in (("u_noisy", "with noise"), ("u_denoised", "denoised")):
            if name in block:
                block[name].attrs["long_name"] = f"solution, {words}"
        block["denoising_weight"] = (("sample", "axis"), weights)
        block["denoising_sigma"] = (("sample", "axis"), sigmas)
        yield block.assign_attrs(
            denoising=json.dumps(asdict(settings)),
            parent=str(dataset.attrs["content_hash"]),
        )


def _noisy(
    u: Float[np.ndarray, "sample time x"], noise: float, seed: int, start: int
) -> Float[np.ndarray, "sample time x"]:
    """Trajectories with noise, each from the stream of its number in the store."""
    noisy = np.empty_like(u)
    for row, field in enumerate(u):
        stream = np.random.SeedSequence(seed, spawn_key=(start + row,))
        drawn = np.random.default_rng(stream).standard_normal(field.shape)
        known = field[np.isfinite(field)]
        deviation = known.std() if known.size else 0.0
        noisy[row] = field + noise * deviation * drawn
    return noisy


def _denoised(
    field: Float[np.ndarray, "time x"], settings: Denoising
) -> tuple[np.ndarray, list[float], list[float]]:
    """One trajectory, with the weight and the noise level along each axis."""
    weights, sigmas = [], []
    for axis in settings.axes:
        missing = ~np.isfinite(field)
        signals = np.moveaxis(field, axis, -1)
        few = np.unique(np.linspace(0, len(signals) - 1, _CHOOSING).astype(int))
        weight, sigma = settings.weight, np.nan
        if isinstance(weight, str):
            choice = choose_weight(
                signals[few],
                weight,
                order=settings.order,
                penalty=settings.penalty,
                periodic=axis == 1,
                missing=np.moveaxis(missing, axis, -1)[few],
                shared=True,
            )
            weight, sigma = float(choice.weight), float(choice.sigma)
        field = denoising.denoise(
            field,
            weight,
            order=settings.order,
            penalty=settings.penalty,
            periodic=axis == 1,
            missing=missing if missing.any() else None,
            axis=axis,
        ).signal
        weights.append(weight)
        sigmas.append(sigma)
    return field, weights, sigmas


def _filled(signal: Float[np.ndarray, " x"]) -> Float[np.ndarray, " x"]:
    """A signal with linear interpolation where it is not finite."""
    hole = ~np.isfinite(signal)
    return fill_linearly(signal, hole) if hole.any() and not hole.all() else signal


def _derivatives(
    u: Float[np.ndarray, "sample time x"], spacing: float
) -> Float[np.ndarray, "3 sample time x"]:
    """`u`, `u_x` and `u_xx` by central differences on a periodic grid."""
    left, right = np.roll(u, 1, -1), np.roll(u, -1, -1)
    return np.stack(
        [u, (right - left) / (2 * spacing), (right - 2 * u + left) / spacing**2]
    )


def _gaussian(
    field: np.ndarray, axis: int, *, width: float, periodic: bool
) -> np.ndarray:
    mode = "wrap" if periodic else "nearest"
    filtered: np.ndarray = gaussian_filter1d(field, width, axis=axis, mode=mode)
    return filtered


def _savitzky_golay(
    field: np.ndarray, axis: int, *, window: int, degree: int, periodic: bool
) -> np.ndarray:
    mode = "wrap" if periodic else "interp"
    filtered: np.ndarray = savgol_filter(field, window, degree, axis=axis, mode=mode)
    return filtered


def _tikhonov(
    field: np.ndarray, axis: int, *, weight: float, order: int, periodic: bool
) -> np.ndarray:
    return denoising.denoise(
        field, weight, order=order, penalty="l2_squared", periodic=periodic, axis=axis
    ).signal


_FILTERS: dict[str, Callable[..., np.ndarray]] = {
    "gaussian": _gaussian,
    "savitzky_golay": _savitzky_golay,
    "tikhonov": _tikhonov,
}


def _settings(name: str, points: int) -> Iterator[dict[str, float]]:
    """Those that a filter is tried with on signals of so many points."""
    if name == "gaussian":
        for width in np.geomspace(0.2, max(points / 8, 1.0), 40):
            yield {"width": float(width)}
    elif name == "savitzky_golay":
        for degree in (1, 2, 3, 4, 5):
            for window in range(degree + 2 - degree % 2, min(points, 64) + 1, 2):
                if window % 2:
                    yield {"window": window, "degree": degree}
                elif window + 1 <= points:
                    yield {"window": window + 1, "degree": degree}
    else:
        for order in range(1, min(3, points - 1) + 1):
            for weight in np.geomspace(1e-2, 1e2 * 3.0 ** (2 * order), 30):
                yield {"weight": float(weight), "order": order}


def _best(
    name: str,
    noisy: Float[np.ndarray, "sample time x"],
    clean: Float[np.ndarray, "sample time x"],
    settings: Denoising,
) -> tuple[np.ndarray, str]:
    """What a filter makes of the noise at its best, axis after axis, and how."""
    field, said = noisy, []
    for axis in settings.axes:
        periodic = axis == 1
        tried = (
            (_FILTERS[name](field, axis + 1, periodic=periodic, **values), values)
            for values in _settings(name, field.shape[axis + 1])
        )
        unfiltered: tuple[np.ndarray, dict[str, float]] = (field, {})
        error = np.nanmean((field - clean) ** 2)
        best = unfiltered
        for filtered, values in tried:
            of_filtered = np.nanmean((filtered - clean) ** 2)
            if of_filtered < error:
                best, error = (filtered, values), of_filtered
        field, values = best
        said.append(", ".join(f"{key} {of:.3g}" for key, of in values.items()))
    return field, "; ".join(said)
