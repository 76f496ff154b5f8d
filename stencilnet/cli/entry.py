"""The entry point of the command `stencilnet`."""

import os
import sys
import warnings

from stencilnet.cli.app import app
from stencilnet.cli.terminal import answer, show_warning
from stencilnet.errors import in_words


def main() -> None:
    """Runs a command; a user's mistake ends it with one sentence and exit code 2."""
    warnings.showwarning = show_warning  # type: ignore[assignment]
    answer.reset()
    try:
        app()
    except (ValueError, OSError, ArithmeticError, MemoryError, RuntimeError) as error:
        sentence = in_words(error)
        if sentence is None or os.environ.get("STENCILNET_TRACEBACK"):
            raise
        answer.fail(sentence)
        sys.exit(2)
    finally:
        answer.finish()
