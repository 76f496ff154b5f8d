"""The command `stencilnet`."""

from stencilnet.cli.app import app
from stencilnet.cli.entry import main

__all__ = ["app", "main"]
