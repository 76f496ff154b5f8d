"""Denoised trajectories beside those of other filters."""

from pathlib import Path

import numpy as np
import xarray as xr

from stencilnet.denoising import (
    ALONG,
    QUANTITIES,
    Criterion,
    available_filters,
    fill_gaps,
    filter_at_best,
    relative_errors,
)
from stencilnet.storage import length_of, local_path, open_trajectories
from stencilnet.study.denoising import Denoising

_DIMS = ("sample", "time", "x")
# Values that filters compete on.
_COMPARED = 2**19


def compare_denoisers(store: Path | str) -> xr.Dataset:
    """The denoised trajectories of a store beside those of other filters.

    Gaussian, Savitzky-Golay and Tikhonov (squared differences) filters, and wavelets
    if PyWavelets is installed, run along the same axes, each with the settings for all
    trajectories that come nearest to the clean `u`; total variation is read from the
    store. Errors of derivatives are those
    of central differences, against the same of the clean field.

    Args:
        store: written by `denoise`. The comparison takes as many of its trajectories,
            spread evenly, as have half a million values.

    Returns:
        By `filter` ("none", "gaussian", "savitzky_golay", "tikhonov", "wavelets",
        "total_variation"): `field` `(filter, sample, time, x)`, `setting`; and if the
        clean field is known `error` `(filter, quantity)` of `u`, `u_x` and `u_xx` in
        units of the standard deviation of the clean one, `snr_gain` in decibels, and
        `clean`. Without a clean field the first and the last filter only.

    Raises:
        FileNotFoundError, ValueError: if `store` cannot be read or is not denoised.

    Example:
        >>> import torch
        >>> from stencilnet import Grid, denoise, write_trajectories
        >>> from stencilnet.storage import trajectories
        >>> from stencilnet.study import compare_denoisers
        >>> grid, times = Grid.line(32), torch.arange(2.0)
        >>> step = (grid.points() < 3).double().expand(2, -1)
        >>> path = write_trajectories(trajectories(step, times, grid), "step.zarr")
        >>> gain = compare_denoisers(denoise(path, noise=0.2, order=1))["snr_gain"]
        >>> [float(gain.sel(filter=by)) > 3 for by in ("gaussian", "total_variation")]
        [False, True]
    """
    store = local_path(store)
    with open_trajectories(store) as dataset:
        if "u_denoised" not in dataset:
            raise ValueError(
                f"{store} holds no u_denoised: run stencilnet denoise on it first."
            )
        settings = Denoising.from_dataset(dataset, store)
        size = dataset.sizes
        count = max(1, min(size["sample"], _COMPARED // (size["time"] * size["x"])))
        samples = np.unique(np.linspace(0, size["sample"] - 1, count).astype(int))
        part = dataset.isel(sample=samples).load()
    has_clean, periodic = "u_noisy" in part, "boundaries" not in part["x"].attrs
    noisy = fill_gaps(part["u_noisy" if has_clean else "u"].values.astype(np.float64))
    clean = part["u"].values.astype(np.float64)
    clean[~np.isfinite(clean)] = np.nan
    fields, words = {"none": noisy}, {"none": ""}
    for name in available_filters() if has_clean else ():
        axes = ALONG[settings.along]
        best = filter_at_best(name, noisy, clean, axes, periodic=periodic)
        fields[name], words[name] = best
    fields["total_variation"] = part["u_denoised"].values.astype(np.float64)
    words["total_variation"] = _in_words(settings)
    result = xr.Dataset(
        {
            "field": (("filter", *_DIMS), np.stack(list(fields.values()))),
            "setting": ("filter", list(words.values())),
        },
        coords={
            "filter": list(fields),
            "sample": samples,
            "time": part["time"],
            "x": part["x"],
        },
        attrs={"denoising": part.attrs["denoising"]},
    )
    if not has_clean:
        return result
    return _with_errors(result, clean, periodic=periodic, dtype=part["u"].dtype)


def _with_errors(
    result: xr.Dataset, clean: np.ndarray, *, periodic: bool, dtype: np.dtype
) -> xr.Dataset:
    """A comparison with the clean field and the errors against it."""
    spacing = length_of(result) / result.sizes["x"]
    fields = list(result["field"].values)
    errors = relative_errors(fields, clean, spacing, periodic=periodic, dtype=dtype)
    # Without noise the gain is 0 / 0: not a number.
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = 20 * np.log10(errors[0, 0] / errors[:, 0])
    return result.assign(
        clean=(_DIMS, clean),
        error=(("filter", "quantity"), errors),
        snr_gain=("filter", gain),
    ).assign_coords(quantity=list(QUANTITIES))


def _in_words(settings: Denoising) -> str:
    weight = settings.weight
    by = f"by {weight.kind}" if isinstance(weight, Criterion) else f"{weight:.3g}"
    return f"order {settings.order}, weight {by}"
