"""Commands on results and several runs: what they take; `work` has what they do."""

from pathlib import Path
from typing import Annotated

import typer

from stencilnet.cli.options import (
    ConfigArgument,
    ExtensionOption,
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


def explore(
    store: Annotated[Path, typer.Argument(help="Trajectories, or a comparison.")],
    operator: Annotated[
        str | None,
        typer.Option(
            "--operator",
            help="Operator store or pretrained name (default: the run's, or burgers).",
        ),
    ] = None,
    port: Annotated[
        int, typer.Option(help="To listen on (default: any free one).", min=0)
    ] = 0,
    host: Annotated[
        str,
        typer.Option(help="To listen on. Whoever reaches it sees the store."),
    ] = "127.0.0.1",
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-origin",
            help="HOST:PORT from which a browser may use the page too; repeatable.",
        ),
    ] = None,
    extension: ExtensionOption = None,
    quiet: QuietOption = False,
) -> None:
    """Browse a store in a page of this machine, and solve beside it.

    One sample is read at a time. The page serves this machine only, until Ctrl-C.
    """
    from stencilnet.cli import work

    work.explore(
        store,
        operator=operator,
        port=port,
        host=host,
        allow_origins=allow_origin or [],
        extensions=extension or [],
    )


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
