"""Trajectories of a comparison, of which a large one keeps those of some samples."""

import xarray as xr

_FIELDS = ["u", "reference"]


def with_fields(comparison: xr.Dataset) -> xr.Dataset:
    """The samples of a comparison whose trajectories it keeps.

    Example:
        >>> import torch
        >>> from stencilnet import FiniteDifference, Grid, compare
        >>> from stencilnet.equations import Advection
        >>> from stencilnet.report import with_fields
        >>> from stencilnet.storage import trajectories
        >>> grid, times = Grid.line(16), torch.linspace(0, 1, 3)
        >>> u = (grid.points() - times.unsqueeze(-1)).sin().expand(4, 3, 16)
        >>> waves = trajectories(u, times, grid, averages=True)
        >>> central = FiniteDifference(Advection(1.0), grid)
        >>> comparison = compare({"central_2": central}, waves, memory=2e-6)
        >>> comparison.sizes["sample"], comparison.sizes["kept"]
        (4, 2)
        >>> dict(with_fields(comparison)["u"].sizes)
        {'scheme': 1, 'sample': 2, 'time': 3, 'x': 16}
    """
    if "kept" not in comparison.dims:
        return comparison
    first = slice(0, comparison.sizes["kept"])
    fields = comparison[_FIELDS].rename(kept="sample")
    return comparison.drop_vars(_FIELDS).isel(sample=first).merge(fields)
