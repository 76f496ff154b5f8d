"""Progress of long work: a callable that stages tell, and its display in a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Display

Progress = Callable[[int, int, str], None]
"""`progress(done, total, note)`, called now and then during long work."""


def no_progress(_done: int, _total: int, _note: str) -> None:
    """Shows nothing."""


@contextmanager
def bars(console: Console) -> Iterator[Callable[[str], Progress]]:
    """Progress bars with the time left, one for each stage that asks for it."""
    with Display(
        TextColumn("{task.description:<11}"),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[note]}"),
        console=console,
    ) as display:

        def bar(stage: str) -> Progress:
            task = display.add_task(stage, total=None, note="")

            def progress(done: int, total: int, note: str) -> None:
                display.update(task, completed=done, total=total, note=note)

            return progress

        yield bar
