"""Contents of a trajectory store, as a table."""

import json

import numpy as np
import xarray as xr
from rich.box import SIMPLE_HEAD
from rich.table import Table

from stencilnet.report.style import cell


def lineage_table(dataset: xr.Dataset) -> Table:
    """Variables and attributes of any store, for a terminal of 80 columns.

    Example:
        >>> import torch
        >>> from rich.console import Console
        >>> from stencilnet import Grid
        >>> from stencilnet.report import lineage_table
        >>> from stencilnet.storage import trajectories
        >>> grid, times = Grid.line(16), torch.linspace(0, 1, 3)
        >>> u = (grid.points() - times.unsqueeze(-1)).sin()
        >>> wave = trajectories(u, times, grid, averages=True)
        >>> Console(width=80, color_system=None).print(lineage_table(wave))
        variables u
        sizes     1 sample, 3 time, 16 x
        schema    stencilnet.trajectories/...
    """
    sizes = ", ".join(f"{size} {name}" for name, size in dataset.sizes.items())
    variables = ", ".join(map(str, dataset.data_vars))
    return _table({"variables": variables, "sizes": sizes, **_attributes(dataset)})


def trajectories_table(dataset: xr.Dataset) -> Table:
    """Sizes, range and attributes of a store, for a terminal of 80 columns.

    Args:
        dataset: with `u`, whose attribute `averages` tells cell averages from point
            values, `time`, and `x` with the attribute `period`.

    Example:
        >>> import torch
        >>> from rich.console import Console
        >>> from stencilnet import Grid
        >>> from stencilnet.report import trajectories_table
        >>> from stencilnet.storage import trajectories
        >>> grid, times = Grid.line(16), torch.linspace(0, 1, 3)
        >>> u = (grid.points() - times.unsqueeze(-1)).sin()
        >>> wave = trajectories(u, times, grid, averages=True)
        >>> Console(width=80, color_system=None).print(trajectories_table(wave))
        u      cell averages: 1 sample, 3 time, 16 x; from -1 to 1
        finite all values
        time   0 to 1
        period 6.28319
        schema stencilnet.trajectories/...
    """
    u = dataset["u"]
    bad = int((~np.isfinite(u.values)).sum())
    kind = "cell averages" if u.attrs["averages"] else "point values"
    sizes = ", ".join(f"{size} {name}" for name, size in u.sizes.items())
    time, domain = dataset["time"].values, dataset["x"].attrs
    rows = {
        "u": f"{kind}: {sizes}; from {float(u.min()):.4g} to {float(u.max()):.4g}",
        "finite": "all values" if not bad else f"all but {bad} values",
        "time": f"{time[0]:g} to {time[-1]:g}",
        **{
            key: f"{domain[key]:.6g}" if key != "boundaries" else _ends(domain[key])
            for key in ("period", "length", "boundaries")
            if key in domain
        },
        **_attributes(dataset),
    }
    return _table(rows)


def _ends(text: str) -> str:
    """The boundaries of a store in words."""
    return " and ".join(
        " ".join(str(value) for value in end.values()) for end in json.loads(text)
    )


def _attributes(dataset: xr.Dataset) -> dict[str, str]:
    return {
        str(name): f"{value:.3g}" if isinstance(value, float) else str(value)
        for name, value in dataset.attrs.items()
        if name != "config"
    }


def _table(rows: dict[str, str]) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=0, show_edge=False, show_header=False)
    for name, text in rows.items():
        table.add_row(cell(name), cell(text))
    return table
