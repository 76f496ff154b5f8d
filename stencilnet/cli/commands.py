"""The commands of `stencilnet`: one verb per stage."""

from importlib.metadata import version as version_of
from pathlib import Path
from typing import Annotated

import typer

import stencilnet.study as stages
from stencilnet.cli.terminal import bar, console, output, say
from stencilnet.progress import bars
from stencilnet.report import (
    certificate_figure,
    certificate_table,
    comparison_table,
    denoising_figure,
    denoising_table,
    figure_paths,
    save,
    trajectories_table,
    write_report,
)
from stencilnet.storage import local_path, refuse_existing

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Simulate Burgers' equation with learned stencils, train them through the "
    "solver, and compare them with classical schemes.",
)
"""The command with its verbs."""

ConfigArgument = Annotated[
    str,
    typer.Argument(
        help="YAML file, or a built-in config: demo, p1, p2, p2-stencil-net, kdv, ks."
    ),
]
OverridesArgument = Annotated[
    list[str] | None, typer.Argument(help="Overrides, as in training.batch=32.")
]
RunOption = Annotated[
    Path | None, typer.Option("--run", help="Folder of the run (default: runs/NAME).")
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
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Say what would run, and stop.")
]


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Print the version, and stop.",
            is_eager=True,
            callback=lambda given: _print_version() if given else None,
        ),
    ] = False,
) -> None:
    """Options of all commands."""


def _print_version() -> None:
    output.print(version_of("stencilnet"), highlight=False)
    raise typer.Exit


@app.command()
def generate(
    config: ConfigArgument,
    overrides: OverridesArgument = None,
    run: RunOption = None,
    overwrite: OverwriteOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Solve for reference trajectories and keep them on coarse grids."""
    study, folder = _study(config, overrides, run, dry_run)
    with bar("Generating") as progress:
        paths = stages.generate(study, folder, overwrite=overwrite, progress=progress)
    say(paths)


@app.command()
def denoise(
    store: Annotated[Path, typer.Argument(help="Trajectory store.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Store to write (default: in place).")
    ] = None,
    along: Annotated[
        str, typer.Option(help="Axis to denoise along: x, t or both.")
    ] = "x",
    order: Annotated[int, typer.Option(help="Of the differences, 1 to 3.")] = 2,
    penalty: Annotated[str, typer.Option(help="l1, l2 or l2_squared.")] = "l1",
    weight: Annotated[
        str, typer.Option(help="Number, or chosen by sure, gcv or cv.")
    ] = "sure",
    noise: Annotated[
        float | None,
        typer.Option(help="Noise to add to u first, in its standard deviations."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the noise.", min=0)] = 0,
    figure: Annotated[
        Path | None,
        typer.Option("--figure", help="FIGURE.png, .pdf (default: beside the store)."),
    ] = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Add u_denoised to a trajectory store, and compare it with other filters."""
    target = store if out is None else out
    drawn = target.with_name(f"{target.stem}-denoised") if figure is None else figure
    drawn = _without_suffix(drawn)
    for path in figure_paths(drawn):
        refuse_existing(path, overwrite=overwrite, kind="figure")
    with bar("Denoising") as progress:
        path = stages.denoise(
            store,
            out,
            along=along,
            order=order,
            penalty=penalty,
            weight=_number_or_name(weight),
            noise=noise,
            seed=seed,
            overwrite=overwrite,
            progress=progress,
        )
    compared = stages.compare_denoisers(path)
    if "error" in compared:
        output.print(denoising_table(compared))
    say([path, *save(denoising_figure(compared), drawn)])


@app.command()
def train(
    config: ConfigArgument,
    overrides: OverridesArgument = None,
    run: RunOption = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue from the last checkpoint.")
    ] = False,
    overwrite: OverwriteOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Train a learned stencil through the solver on a run's trajectories."""
    study, folder = _study(config, overrides, run, dry_run)
    for path in stages.training_figure_paths(folder / "operator.zarr"):
        refuse_existing(path, overwrite=overwrite, kind="figure")
    with bar("Training") as progress:
        path = stages.train(
            study, folder, resume=resume, overwrite=overwrite, progress=progress
        )
    say([path, *stages.save_training_figures(path)])


@app.command()
def simulate(
    method: Annotated[
        str, typer.Argument(help="Operator store, or a classical method: weno_z, ...")
    ],
    out: Annotated[Path, typer.Argument(help="Trajectory store to write.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Overrides of the config.")
    ] = None,
    config: Annotated[
        str | None,
        typer.Option("--config", help="Problem (default: that of the operator)."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the forcings.", min=0)] = 0,
    samples: Annotated[int, typer.Option(help="Number of forcings.")] = 1,
    duration: Annotated[
        float | None, typer.Option(help="Time to simulate (default: the problem's).")
    ] = None,
    points: Annotated[
        int | None, typer.Option(help="Grid of a classical method.")
    ] = None,
    substeps: Annotated[
        int | None,
        typer.Option(help="Steps per kept state (default: chosen for stability)."),
    ] = None,
    extension: ExtensionOption = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Roll out a stored operator or a classical method for new forcings."""
    if overrides and config is None:
        raise ValueError("Overrides change a config: name one with --config.")
    study = stages.load_config(config, overrides or []) if config else None
    path = stages.simulate(
        method,
        out,
        config=study,
        seed=seed,
        samples=samples,
        duration=duration,
        points=points,
        substeps=substeps,
        extensions=[stages.imported(name) for name in extension or []],
        overwrite=overwrite,
    )
    say([path])


@app.command()
def compare(
    config: ConfigArgument,
    overrides: OverridesArgument = None,
    run: RunOption = None,
    operator: Annotated[
        Path | None,
        typer.Option(
            "--operator", help="Operator store or pretrained name (default: the run's)."
        ),
    ] = None,
    overwrite: OverwriteOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Compare learned and classical methods on a run's test trajectories."""
    study, folder = _study(config, overrides, run, dry_run)
    refuse_existing(folder / "comparison", overwrite=overwrite, kind="report")
    with bar("Comparing") as progress:
        comparisons = stages.compare_study(
            study, folder, operator=operator, progress=progress
        )
    paths = write_report(comparisons, folder / "comparison", overwrite=overwrite)
    output.print(comparison_table(comparisons))
    say(paths)


@app.command()
def demo(
    overrides: OverridesArgument = None,
    config: Annotated[str, typer.Option("--config", help="Study to run.")] = "demo",
    run: RunOption = None,
    overwrite: OverwriteOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Generate, train, compare and draw within minutes."""
    study, folder = _study(config, overrides, run, dry_run)
    with bars(console) as each:
        result = stages.demo(study, folder, overwrite=overwrite, progress=each)
    output.print(comparison_table(result.comparisons))
    say([*result.paths, result.result])


@app.command()
def verify(
    store: Annotated[
        Path, typer.Argument(help="Store, or name of a pretrained operator.")
    ],
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Trajectories to certify the operator on anew."),
    ] = None,
    figure: Annotated[
        Path | None,
        typer.Option("--figure", help="Draw the certificate as FIGURE.png and .pdf."),
    ] = None,
    extension: ExtensionOption = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Check a store against its checksum and show what it vouches for."""
    if figure is not None:
        figure = _without_suffix(figure)
        for path in figure_paths(figure):
            refuse_existing(path, overwrite=overwrite, kind="figure")
    extensions = [stages.imported(name) for name in extension or []]
    vouched = stages.verify(store, data=data, extensions=extensions)
    tell(f"{store} is whole.")
    if "u" in vouched:
        if figure is not None:
            raise ValueError("Only a certificate is drawn: leave out --figure.")
        output.print(trajectories_table(vouched))
        return
    output.print(certificate_table(vouched), highlight=False)
    if figure is not None:
        say(save(certificate_figure(vouched), figure))


def _study(
    config: str, overrides: list[str] | None, run: Path | None, dry_run: bool
) -> tuple[stages.Config, Path]:
    """The study and its folder; a dry run prints its outline and ends here."""
    study = stages.load_config(config, overrides or [])
    stages.check_study(study)
    folder = local_path(run or Path("runs") / study.name)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file: name a folder for the run.")
    if dry_run:
        output.print(stages.outline(study, folder), highlight=False)
        raise typer.Exit
    return study, folder


def _without_suffix(figure: Path) -> Path:
    figure = local_path(figure)
    return figure.with_suffix("") if figure.suffix in (".png", ".pdf") else figure


def _number_or_name(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
