"""Arguments and options that several commands share."""

from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from stencilnet.cli.terminal import answer


def _config_names(incomplete: str) -> list[str]:
    """Names of the configs that come with the package, for shell completion."""
    package = resources.files("stencilnet")
    folders = [package / "configs", package / ".." / "configs"]
    names = [
        entry.name.removesuffix(".yaml")
        for folder in folders
        if folder.is_dir()
        for entry in folder.iterdir()
        if entry.name.endswith(".yaml")
    ]
    return sorted(name for name in set(names) if name.startswith(incomplete))


def _be_quiet(given: bool) -> bool:
    answer.quiet = given
    return given


def _answer_in_json(given: bool) -> bool:
    answer.as_json = given
    return given


ConfigArgument = Annotated[
    str,
    typer.Argument(
        help="YAML file, or a built-in config: demo, p1, p2, p2-stencil-net, kdv, ks.",
        autocompletion=_config_names,
    ),
]
OverridesArgument = Annotated[
    list[str] | None, typer.Argument(help="Overrides, as in training.batch=32.")
]
RunOption = Annotated[
    Path | None, typer.Option("--run", help="Folder of the run (default: runs/NAME).")
]
DataOption = Annotated[
    Path | None,
    typer.Option("--data", help="Run whose trajectories to use (default: its own)."),
]
OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Replace results that exist.")
]
ExtensionOption = Annotated[
    list[str] | None,
    typer.Option(
        "--extension",
        help="Class of your own that the store names, as module:Class; repeatable.",
    ),
]
DeviceOption = Annotated[
    str | None, typer.Option("--device", help="Where to compute: cpu, cuda:0, mps.")
]
DryRunOption = Annotated[
    bool,
    typer.Option("--dry-run", help="Say what would run, its memory and time; stop."),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers", help="Processes on this machine (default: this one).", min=1
    ),
]
SchedulerOption = Annotated[
    str | None,
    typer.Option("--scheduler", help="Dask cluster to work on: tcp://HOST:PORT."),
]
QuietOption = Annotated[
    bool,
    typer.Option(
        "--quiet",
        "-q",
        help="Show warnings and errors only.",
        callback=_be_quiet,
    ),
]
JsonOption = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print one JSON object instead of tables and text.",
        callback=_answer_in_json,
    ),
]
