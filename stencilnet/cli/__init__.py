"""The command `stencilnet`."""

from stencilnet.cli.entry import main
from stencilnet.cli.exchange import app

__all__ = ["app", "main"]
