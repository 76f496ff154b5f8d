"""Commands that bring data in from other programs and take results out to them.

What they take; see `work` for what they do.
"""

from pathlib import Path
from typing import Annotated

import typer

from stencilnet.cli.options import (
    ExtensionOption,
    JsonOption,
    OverwriteOption,
    QuietOption,
)

BoundariesOption = Annotated[
    str | None,
    typer.Option(
        help="Of a domain that is no period, as in wall,outflow or "
        "'[{name: prescribed, value: 1}, outflow]'."
    ),
]
LengthOption = Annotated[
    float | None, typer.Option(help="Of the domain between boundaries.")
]
EquationOption = Annotated[
    str | None,
    typer.Option(help="Another one, as in '{name: KortewegDeVries, factor: 1}'."),
]
DropEndOption = Annotated[
    bool | None,
    typer.Option(help="Leave out the last point (default: if it equals the first)."),
]


def import_(
    file: Annotated[
        Path, typer.Argument(help="File of MATLAB, numpy, HDF5, netCDF or torch.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="Store to write (default: FILE.zarr).")
    ] = None,
    variable: Annotated[
        str | None, typer.Option(help="Array of the solution (default: the largest).")
    ] = None,
    x: Annotated[
        str | None, typer.Option("--x", help="Array of the positions.")
    ] = None,
    time: Annotated[str | None, typer.Option(help="Array of the times.")] = None,
    axes: Annotated[
        str | None, typer.Option(help="Axes of the solution, as in x,time.")
    ] = None,
    period: Annotated[float | None, typer.Option(help="Of the domain.")] = None,
    boundaries: BoundariesOption = None,
    length: LengthOption = None,
    interval: Annotated[
        float | None, typer.Option(help="Time between two states.")
    ] = None,
    viscosity: Annotated[
        float | None, typer.Option(help="Of Burgers' equation, which the data solve.")
    ] = None,
    equation: EquationOption = None,
    averages: Annotated[
        bool, typer.Option("--averages", help="The data are cell averages.")
    ] = False,
    drop_end: DropEndOption = None,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Turn a file of another program into a trajectory store."""
    from stencilnet.cli import work

    work.import_(
        file,
        out,
        viscosity=viscosity,
        equation=equation,
        overwrite=overwrite,
        variable=variable,
        x=x,
        time=time,
        axes=None if axes is None else [axis.strip() for axis in axes.split(",")],
        period=period,
        boundaries=boundaries,
        length=length,
        interval=interval,
        averages=averages,
        drop_end=drop_end,
    )


def export(
    store: Annotated[
        str, typer.Argument(help="Store, or name of a pretrained operator.")
    ],
    format: Annotated[  # noqa: A002
        str,
        typer.Option(
            help="Of data: npz, mat, hdf5, well, netcdf, csv, gif, mp4; of a "
            "comparison: gif, mp4; of an operator: numpy, c, torch, onnx."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="File to write (default: STORE.*).")
    ] = None,
    licence: Annotated[
        str, typer.Option(help="Of the data, for their card.")
    ] = "not stated",
    extension: ExtensionOption = None,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write trajectories or an operator for other programs."""
    from stencilnet.cli import work

    work.export(
        store,
        out,
        format=format,
        licence=licence,
        extensions=extension or [],
        overwrite=overwrite,
    )
