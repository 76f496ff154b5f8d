"""The stages of a study as commands: what they take.

What they do is in `work`, imported only when one of them runs.
"""

from pathlib import Path
from typing import Annotated

import typer

from stencilnet.cli.options import (
    ConfigArgument,
    DataOption,
    DeviceOption,
    DryRunOption,
    ExtensionOption,
    JsonOption,
    OverridesArgument,
    OverwriteOption,
    QuietOption,
    RunOption,
    SchedulerOption,
    WorkersOption,
)


def generate(
    config: ConfigArgument,
    overrides: OverridesArgument = None,
    run: RunOption = None,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
    overwrite: OverwriteOption = False,
    dry_run: DryRunOption = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Solve for reference trajectories and keep them on coarse grids.

    When it was stopped, the same command goes on after the blocks that are whole.
    """
    from stencilnet.cli import work

    work.generate(
        config,
        overrides,
        run,
        workers=workers,
        scheduler=scheduler,
        overwrite=overwrite,
        dry_run=dry_run,
    )


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
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Add u_denoised to a trajectory store, and compare it with other filters."""
    from stencilnet.cli import work

    work.denoise(
        store,
        out,
        figure,
        along=along,
        order=order,
        penalty=penalty,
        weight=weight,
        noise=noise,
        seed=seed,
        workers=workers,
        scheduler=scheduler,
        overwrite=overwrite,
    )


def train(
    config: ConfigArgument,
    overrides: OverridesArgument = None,
    run: RunOption = None,
    data: DataOption = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue from the last checkpoint.")
    ] = False,
    tensorboard: Annotated[
        Path | None,
        typer.Option("--tensorboard", help="Folder for what TensorBoard shows."),
    ] = None,
    overwrite: OverwriteOption = False,
    dry_run: DryRunOption = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a learned stencil through the solver on a run's trajectories.

    The losses appear in RUN/losses.csv while it runs.
    """
    from stencilnet.cli import work

    work.train(
        config,
        overrides,
        run,
        data=data,
        resume=resume,
        tensorboard=tensorboard,
        overwrite=overwrite,
        dry_run=dry_run,
    )


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
    device: DeviceOption = None,
    dtype: Annotated[str, typer.Option(help="float64 or float32.")] = "float64",
    extension: ExtensionOption = None,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Roll out a stored operator or a classical method for new forcings."""
    from stencilnet.cli import work

    work.simulate(
        method,
        out,
        config,
        overrides,
        seed=seed,
        samples=samples,
        duration=duration,
        points=points,
        substeps=substeps,
        device=device,
        dtype=dtype,
        extensions=extension or [],
        overwrite=overwrite,
    )


def compare(
    config: ConfigArgument,
    overrides: OverridesArgument = None,
    run: RunOption = None,
    data: DataOption = None,
    operator: Annotated[
        Path | None,
        typer.Option(
            "--operator", help="Operator store or pretrained name (default: the run's)."
        ),
    ] = None,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
    overwrite: OverwriteOption = False,
    dry_run: DryRunOption = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Compare learned and classical methods on a run's test trajectories."""
    from stencilnet.cli import work

    work.compare(
        config,
        overrides,
        run,
        data=data,
        operator=operator,
        workers=workers,
        scheduler=scheduler,
        overwrite=overwrite,
        dry_run=dry_run,
    )


def demo(
    overrides: OverridesArgument = None,
    config: Annotated[str, typer.Option("--config", help="Study to run.")] = "demo",
    run: RunOption = None,
    overwrite: OverwriteOption = False,
    dry_run: DryRunOption = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Generate, train, compare and draw within minutes."""
    from stencilnet.cli import work

    work.demo(config, overrides, run, overwrite=overwrite, dry_run=dry_run)


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
    beside: Annotated[
        list[str] | None,
        typer.Option(
            "--beside",
            help="Classical method to draw modified wavenumbers of in "
            "FIGURE-wavenumbers, beside those of the operator; repeatable.",
        ),
    ] = None,
    device: DeviceOption = None,
    signature: Annotated[
        Path | None,
        typer.Option("--signature", help="Signature of the store, by `sign`."),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option("--key", help="Public key that the signature has to be by."),
    ] = None,
    extension: ExtensionOption = None,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Check a store against its checksum and show what it vouches for."""
    from stencilnet.cli import work

    work.verify(
        store,
        data,
        figure,
        beside=beside or [],
        device=device,
        signature=signature,
        key=key,
        extensions=extension or [],
        overwrite=overwrite,
    )


def sign(
    store: Annotated[Path, typer.Argument(help="Store.")],
    key: Annotated[
        Path, typer.Option("--key", help="Private key of yours, of Ed25519.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="File to write (default: STORE.sig)."),
    ] = None,
    passphrase: Annotated[
        bool, typer.Option("--passphrase", help="Ask for the passphrase of the key.")
    ] = False,
    extension: ExtensionOption = None,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Check a store and sign its content with a key of yours."""
    from stencilnet.cli import work

    secret = None
    if passphrase:
        secret = typer.prompt("Passphrase of the key", hide_input=True, err=True)
    work.sign(
        store,
        key,
        out,
        passphrase=secret,
        extensions=extension or [],
        overwrite=overwrite,
    )
