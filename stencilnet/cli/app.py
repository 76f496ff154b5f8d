"""The command with its verbs, and an example of each.

What a verb takes is declared in light modules, what it does lies in `work`, which is
imported when a command runs: help and completion answer without torch.
"""

from collections.abc import Callable
from typing import Annotated

import typer

from stencilnet.cli import commands, configs, exchange, series
from stencilnet.cli.terminal import output

EXAMPLES: dict[Callable[..., None], tuple[str, ...]] = {
    commands.generate: ("generate p2", "generate my.yaml data.seed=1 --run runs/one"),
    commands.denoise: (
        "denoise runs/p2/data/test/averages-32.zarr --out noisy.zarr --noise 0.1",
    ),
    commands.train: (
        "train p2 training.iterations=4000 operator.network.hidden=[64,64]",
        "train p2 training.seed=1 --run runs/p2-seed-1 --data runs/p2",
        "train p2 --resume",
    ),
    commands.simulate: (
        "simulate runs/p2/operator.zarr long.zarr --seed 7 --duration 80",
        "simulate weno_z baseline.zarr --config p2 --points 128",
    ),
    commands.compare: (
        "compare p2",
        "compare p2 comparison.methods=[weno_z,muscl] --json",
    ),
    commands.demo: ("demo", "demo --config p1 --dry-run"),
    commands.verify: (
        "verify runs/p2/operator.zarr --figure certificate",
        "verify burgers",
        "verify theirs.zarr --signature theirs.zarr.sig --key public.pem",
    ),
    commands.sign: ("sign runs/p2/operator.zarr --key private.pem",),
    series.sweep: (
        "sweep demo training.seed=[0,1,2] operator.network.hidden=[[16],[32],[64]]",
        "sweep p2 operator.points=[16,32] --jobs 4 --run runs/sizes",
    ),
    series.report: ("report runs/demo", "report runs/p2 --out p2.html"),
    series.explore: (
        "explore runs/p2/data/test/averages-32.zarr",
        "explore runs/p2/comparison/comparison-32.zarr --port 5006",
    ),
    series.table: (
        "table runs/demo-sweep",
        "table runs/p1 runs/p2 --out table.tex",
    ),
    exchange.import_: (
        "import burgers_shock.mat --viscosity 0.00318",
        "import waves.npz --variable h --axes x,time --period 10 --interval 0.1",
    ),
    exchange.export: (
        "export runs/p2/data/test/averages-32.zarr --format mat",
        "export burgers --format c --out operator.h",
    ),
}
"""Lines that show the use of each command, without the word `stencilnet`."""

CONFIG_EXAMPLES: dict[Callable[..., None], tuple[str, ...]] = {
    configs.show: ("config show demo training.batch=32",),
    configs.schema: ("config schema --json > schema.json",),
    configs.new: ("config new my.yaml --like p2",),
    configs.explain: ("config explain training.horizon", "config explain reference"),
}
"""Lines that show the use of `stencilnet config`."""

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # Plain help takes half the time and half the lines.
    rich_markup_mode=None,
    help="Simulate Burgers' equation and its relatives with learned stencils, train "
    "them through the solver, and compare them with classical schemes.",
    epilog="Begin with: stencilnet demo",
)
"""The command with its verbs."""

config_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Show, explain and write configs."
)
app.add_typer(config_app, name="config")

for target, examples in ((app, EXAMPLES), (config_app, CONFIG_EXAMPLES)):
    for verb, lines in examples.items():
        shown = [f"  $ stencilnet {line}" for line in lines]
        # The first character keeps the lines as they are.
        name = verb.__name__.removesuffix("_")
        target.command(name, epilog="\n".join(["\b", "Examples:", *shown]))(verb)


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Print the version, and stop.",
            is_eager=True,
            callback=lambda given: given and _print_version(),
        ),
    ] = False,
) -> None:
    """Options of all commands."""


def _print_version() -> None:
    from importlib.metadata import version as version_of

    output.print(version_of("stencilnet"), highlight=False)
    raise typer.Exit
