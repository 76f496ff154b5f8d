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

    Example:
        >>> import signal
        >>> from stencilnet.storage import Interrupted, stop
        >>> try:
        ...     try:
        ...         stop(signal.SIGTERM, None)
        ...     except Exception:
        ...         print("a failure")
        ... except Interrupted as error:
        ...     print(signal.Signals(error.number).name)
        SIGTERM
    """

    def __init__(self, number: int, message: str = "") -> None:
        super().__init__(message)
        self.number = number


STOPS = (KeyboardInterrupt, Interrupted)
"""What ends a stage before it is done, by wish of the user or the system.

Example:
    >>> from stencilnet.storage import STOPS, Interrupted
    >>> epochs = []
    >>> try:
    ...     for epoch in range(5):
    ...         epochs.append(epoch)
    ...         if epoch == 2:
    ...             raise Interrupted(15)
    ... except STOPS as error:
    ...     print(f"{type(error).__name__} after {len(epochs)} of 5 epochs")
    Interrupted after 3 of 5 epochs
"""


def stop(number: int, _frame: FrameType | None) -> None:
    """Handler of a signal, for programs: raises `Interrupted`.

    Example:
        >>> import signal
        >>> from stencilnet.storage import STOPS, stop
        >>> former = signal.signal(signal.SIGTERM, stop)
        >>> try:
        ...     signal.raise_signal(signal.SIGTERM)
        ... except STOPS as error:
        ...     print(type(error).__name__, int(error.number))
        Interrupted 15
        >>> signal.signal(signal.SIGTERM, former) is stop
        True
    """
    raise Interrupted(number)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """A block after which a signal takes effect that arrives within.

    Only for signals that Python handles, and in the main thread.

    Example:
        >>> import signal
        >>> from stencilnet.storage import STOPS, stop, uninterrupted
        >>> former, steps = signal.signal(signal.SIGTERM, stop), []
        >>> try:
        ...     with uninterrupted():
        ...         signal.raise_signal(signal.SIGTERM)
        ...         steps.append("whole")
        ...     steps.append("after")
        ... except STOPS:
        ...     steps.append("stopped")
        >>> signal.signal(signal.SIGTERM, former) is stop, steps
        (True, ['whole', 'stopped'])
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
