"""Trajectories of a comparison, of which a large one keeps those of some samples."""

import xarray as xr

_FIELDS = ["u", "reference"]


def with_fields(comparison: xr.Dataset) -> xr.Dataset:
    """The samples of a comparison whose trajectories it keeps."""
    if "kept" not in comparison.dims:
        return comparison
    first = slice(0, comparison.sizes["kept"])
    fields = comparison[_FIELDS].rename(kept="sample")
    return comparison.drop_vars(_FIELDS).isel(sample=first).merge(fields)
