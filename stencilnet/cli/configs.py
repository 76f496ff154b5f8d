"""The commands `stencilnet config`; `config_work` has what they do."""

from pathlib import Path
from typing import Annotated

import typer

from stencilnet.cli.options import (
    ConfigArgument,
    JsonOption,
    OverridesArgument,
    QuietOption,
)


def show(
    config: ConfigArgument,
    overrides: OverridesArgument = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Print a config whole, every default written out."""
    from stencilnet.cli import config_work

    config_work.show_config(config, overrides)


def schema(as_json: JsonOption = False) -> None:
    """Print the JSON schema of configs, for editors that complete and check YAML."""
    from stencilnet.cli import config_work

    config_work.show_schema()


def new(
    path: Annotated[Path, typer.Argument(help="YAML file to write.")],
    like: Annotated[str, typer.Option(help="Config to start from.")] = "demo",
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write a config with a comment on every key."""
    from stencilnet.cli import config_work

    config_work.new_config(path, like)


def explain(
    key: Annotated[
        str | None, typer.Argument(help="Key or section (default: all keys).")
    ] = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Say what a key of a config means, its type and its default."""
    from stencilnet.cli import config_work

    config_work.explain_keys(key)
