"""Progress of long work, as a callable that a display implements."""

from collections.abc import Callable

Progress = Callable[[int, int, str], None]
"""`progress(done, total, note)`, called now and then during long work."""


def no_progress(_done: int, _total: int, _note: str) -> None:
    """Shows nothing."""
