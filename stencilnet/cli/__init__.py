"""The command `stencilnet`."""

from stencilnet.cli.early import ending_quietly

with ending_quietly():
    from stencilnet.cli.app import app
    from stencilnet.cli.entry import main

__all__ = ["app", "main"]
