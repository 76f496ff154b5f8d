"""Commands on several runs: what they take; see `work` for what they do."""

from pathlib import Path
from typing import Annotated

import typer

from stencilnet.cli.options import (
    ConfigArgument,
    JsonOption,
    QuietOption,
    SchedulerOption,
)


def sweep(
    config: ConfigArgument,
    settings: Annotated[
        list[str],
        typer.Argument(
            help="key=[a,b,...] for a key to vary, a list of lists where the value is "
            "a list; key=value for one that is the same in all runs."
        ),
    ],
    run: Annotated[
        Path | None,
        typer.Option("--run", help="Folder of all runs (default: runs/NAME-sweep)."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Run whose trajectories all runs use."),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(help="Runs at once (default: one for each core).", min=1),
    ] = None,
    scheduler: SchedulerOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would run, and stop.")
    ] = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train and compare every combination of settings, on shared trajectories.

    Runs that share a problem share its trajectories. A sweep that was interrupted goes
    on where it stopped when the same command is given again.
    """
    from stencilnet.cli import work

    work.sweep(
        config,
        settings,
        run,
        data=data,
        jobs=jobs,
        scheduler=scheduler,
        dry_run=dry_run,
    )


def report(
    run: Annotated[
        Path, typer.Argument(help="Folder of a run, or of a comparison within.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Page to write (default: RUN/report.html)."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a page that exists.")
    ] = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write a run as one HTML page, which opens offline.

    Figures zoom and tell values; a slider plays reference and methods in time.
    """
    from stencilnet.cli import work

    work.report(run, out, overwrite=overwrite)


def table(
    runs: Annotated[
        list[Path],
        typer.Argument(help="Runs with a comparison, or folders that hold such runs."),
    ],
    metric: Annotated[
        str, typer.Option(help="Column of the comparison to show.")
    ] = "relative_l2",
    out: Annotated[
        Path | None,
        typer.Option("--out", help="File to write: .csv, .md or .tex."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file that exists.")
    ] = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Tabulate runs: mean and spread of each method over the seeds of the training."""
    from stencilnet.cli import work

    work.table(runs, metric=metric, out=out, overwrite=overwrite)
