import io

import numpy as np
import xarray as xr
from rich.console import Console

from stencilnet.report import trajectories_table


def test_the_table_says_what_a_store_holds():
    dataset = xr.Dataset(
        {
            "u": (
                ("sample", "time", "x"),
                np.linspace(-1, 2, 24).reshape(2, 3, 4),
                {"averages": True},
            )
        },
        coords={"time": [0.0, 0.5, 1.0], "x": ("x", np.arange(4.0), {"period": 6.25})},
        attrs={"seed": 3, "tolerance": 1e-5, "config": "{}"},
    )
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(trajectories_table(dataset))
    lines = [" ".join(line.split()) for line in console.export_text().splitlines()]
    assert lines == [
        "u cell averages: 2 sample, 3 time, 4 x; from -1 to 2",
        "finite all values",
        "time 0 to 1",
        "period 6.25",
        "seed 3",
        "tolerance 1e-05",
    ]
