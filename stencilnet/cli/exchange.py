"""Commands that bring data in from other programs and take results out to them."""

from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

import stencilnet.storage as stores
import stencilnet.study as stages
from stencilnet.cli.commands import ExtensionOption, OverwriteOption, app
from stencilnet.cli.terminal import output, say
from stencilnet.equations import Burgers, Equation, equation_from_spec
from stencilnet.report import trajectories_table

__all__ = ["app"]


@app.command("import")
def import_file(
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
    interval: Annotated[
        float | None, typer.Option(help="Time between two states.")
    ] = None,
    viscosity: Annotated[
        float | None, typer.Option(help="Of Burgers' equation, which the data solve.")
    ] = None,
    equation: Annotated[
        str | None,
        typer.Option(help="Another one, as in '{name: KortewegDeVries, factor: 1}'."),
    ] = None,
    averages: Annotated[
        bool, typer.Option("--averages", help="The data are cell averages.")
    ] = False,
    drop_end: Annotated[
        bool | None,
        typer.Option(
            help="Leave out the last point (default: if it equals the first)."
        ),
    ] = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Turn a file of another program into a trajectory store."""
    target = Path(f"{file.stem}.zarr") if out is None else out
    stores.refuse_existing(target, overwrite=overwrite, kind="trajectories")
    dataset = stores.read_foreign(
        file,
        variable=variable,
        x=x,
        time=time,
        axes=None if axes is None else [axis.strip() for axis in axes.split(",")],
        period=period,
        interval=interval,
        equation=_equation(viscosity, equation),
        averages=averages,
        drop_end=drop_end,
    )
    for note in dataset.attrs["notes"]:
        output.print(note, highlight=False, soft_wrap=True, markup=False)
    output.print(trajectories_table(dataset.drop_attrs(deep=False)))
    say([stores.write_trajectories(dataset, target, overwrite=overwrite)])


def _equation(viscosity: float | None, text: str | None) -> Equation | None:
    if viscosity is not None and text is not None:
        raise ValueError("Give either a viscosity or an equation, not both.")
    if viscosity is not None:
        return Burgers(viscosity)
    if text is None:
        return None
    try:
        spec: Any = yaml.safe_load(text)
    except yaml.YAMLError:
        spec = None
    if not isinstance(spec, dict):
        raise ValueError(
            f"An equation is written with its name, as in "
            f"'{{name: Burgers, viscosity: 0.01}}', not {text!r}."
        )
    return equation_from_spec(spec)


@app.command("export")
def export_store(
    store: Annotated[
        str, typer.Argument(help="Store, or name of a pretrained operator.")
    ],
    format: Annotated[  # noqa: A002
        str,
        typer.Option(
            help="Of data: npz, mat, hdf5, well, netcdf, csv; of an operator: numpy, "
            "c, torch, onnx."
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
) -> None:
    """Write trajectories or an operator for other programs."""
    paths = stages.export(
        store,
        out,
        format=format,
        licence=licence,
        extensions=[stages.imported(name) for name in extension or []],
        overwrite=overwrite,
    )
    say(paths)
