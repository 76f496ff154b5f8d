"""The entry point of the command `stencilnet`."""

import os
import signal
import sys
import warnings

from stencilnet.cli.exchange import app
from stencilnet.cli.terminal import complain, show_warning
from stencilnet.errors import in_words
from stencilnet.storage import Interrupted, stop


def main() -> None:
    """Runs a command; a user's mistake ends it with one sentence and exit code 2.

    Ctrl-C and SIGTERM end it after what it left behind is in order, with the exit code
    that shells expect, 128 and the number of the signal.
    """
    warnings.showwarning = show_warning  # type: ignore[assignment]
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, stop)
    try:
        app()
    except Interrupted as interruption:
        sentence = str(interruption) or "Stopped: repeat the command to do it anew."
        complain(sentence, "yellow")
        sys.exit(128 + interruption.number)
    except (ValueError, OSError, ArithmeticError, MemoryError, RuntimeError) as error:
        sentence = in_words(error)
        if sentence is None or os.environ.get("STENCILNET_TRACEBACK"):
            raise
        complain(f"Error: {sentence}", "red")
        sys.exit(2)
