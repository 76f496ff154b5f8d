"""Signals that ask to stop: what must not be cut short ends first."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """A signal asked the process to stop.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int, message: str = "") -> None:
        super().__init__(message)
        self.number = number


STOPS = (KeyboardInterrupt, Interrupted)
"""What ends a stage before it is done, by wish of the user or the system."""


def stop(number: int, _frame: FrameType | None) -> None:
    """Handler of a signal, for programs: raises `Interrupted`."""
    raise Interrupted(number)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """A block after which a signal takes effect that arrives within.

    Only for signals that Python handles, and in the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[tuple[int, FrameType | None]] = []
    former: dict[int, Any] = {}
    try:
        for kind in _SIGNALS:
            if callable(signal.getsignal(kind)):
                former[kind] = signal.signal(
                    kind, lambda *arguments: arrived.append(arguments)
                )
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
        for number, frame in arrived[:1]:
            former[number](number, frame)
