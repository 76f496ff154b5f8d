"""Ctrl-C while the package is imported: an end without words, as nothing has begun."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def ending_quietly() -> Iterator[None]:
    """A block that Ctrl-C ends, and the process with it, unless it says otherwise.

    An exception would pass through whatever library is being imported, and some of
    them catch it. Whoever ignores or handles the signal already goes on to do so.
    """
    mine = threading.current_thread() is threading.main_thread()
    if not mine or signal.getsignal(signal.SIGINT) != signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _end)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) == _end:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(number: int, _frame: FrameType | None) -> None:
    os._exit(128 + number)
