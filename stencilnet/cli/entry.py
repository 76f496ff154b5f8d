"""The entry point of the command `stencilnet`."""

import os
import sys
import warnings
from typing import TYPE_CHECKING

from stencilnet.cli.app import app
from stencilnet.cli.early import ending_quietly
from stencilnet.cli.terminal import answer, complain, show_warning
from stencilnet.errors import in_words

if TYPE_CHECKING:
    from stencilnet.storage import Interrupted


def main() -> None:
    """Runs a command; a user's mistake ends it with one sentence and exit code 2.

    Ctrl-C and SIGTERM end it after what it left behind is in order, with the exit code
    that shells expect, 128 and the number of the signal.
    """
    warnings.showwarning = show_warning  # type: ignore[assignment]
    answer.reset()
    try:
        # Until `work` is imported, which has its own way to end.
        with ending_quietly():
            app()
    except SystemExit:
        # The usual end, for which nothing needs to be imported.
        raise
    except _interrupted() as interruption:
        sentence = str(interruption) or "Stopped: repeat the command to do it anew."
        complain(sentence, "yellow")
        sys.exit(128 + interruption.number)
    except (ValueError, OSError, ArithmeticError, MemoryError, RuntimeError) as error:
        sentence_or_none = in_words(error)
        if sentence_or_none is None or os.environ.get("STENCILNET_TRACEBACK"):
            raise
        answer.fail(sentence_or_none, alone=hasattr(error, "__notes__"))
        sys.exit(2)
    finally:
        answer.finish()


def _interrupted() -> "type[Interrupted]":
    from stencilnet.storage import Interrupted

    return Interrupted
