"""The entry point of the command `stencilnet`."""

import os
import sys
import warnings

from stencilnet.cli.commands import app
from stencilnet.cli.terminal import console, show_warning
from stencilnet.errors import in_words


def main() -> None:
    """Runs a command; a user's mistake ends it with one sentence and exit code 2."""
    warnings.showwarning = show_warning  # type: ignore[assignment]
    try:
        app()
    except (ValueError, OSError, ArithmeticError, MemoryError, RuntimeError) as error:
        sentence = in_words(error)
        if sentence is None or os.environ.get("STENCILNET_TRACEBACK"):
            raise
        console.print(f"Error: {sentence}", style="red", markup=False, highlight=False)
        sys.exit(2)
