"""Progress of long work: a callable that stages tell, and its display."""

import time
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

# Seconds between two lines of a log.
_LINE_EVERY = 10.0


def no_progress(_done: int, _total: int, _note: str) -> None:
    """Shows nothing."""


@contextmanager
def bars(console: Console | None = None) -> Iterator[Callable[[str], Progress]]:
    """A display with the time left for each stage that asks for one.

    A bar in a terminal, a line that is written anew in a notebook, and lines of a log
    where neither is there, as in the queue of a cluster.

    Args:
        console: where to show it; standard error by default.
    """
    console = console or Console(stderr=True)
    if console.is_jupyter:
        yield _notebook_line
    elif console.is_terminal:
        with _display(console) as display:
            yield lambda stage: _bar(display, stage)
    else:
        yield lambda stage: _log(console, stage)


@contextmanager
def shown(progress: Progress | bool, stage: str) -> Iterator[Progress]:
    """The callable that a stage tells.

    Args:
        progress: of the caller; True for a display of its own, False for none.
        stage: heading of the display.
    """
    if progress is True:
        with bars() as each:
            yield each(stage)
    else:
        yield progress or no_progress


def duration_text(seconds: float) -> str:
    """A duration in the two largest units that it has."""
    total = round(seconds)
    hours, minutes = divmod(total // 60, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {total % 60} s" if minutes else f"{total} s"


def _display(console: Console) -> Display:
    return Display(
        TextColumn("{task.description:<11}"),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[note]}"),
        console=console,
    )


def _bar(display: Display, stage: str) -> Progress:
    task = display.add_task(stage, total=None, note="")

    def progress(done: int, total: int, note: str) -> None:
        display.update(task, completed=done, total=total, note=note)

    return progress


def _log(console: Console, stage: str) -> Progress:
    """A dated line every few seconds, and one at the end."""
    remaining, shown_at = _clock(), -float("inf")

    def progress(done: int, total: int, note: str) -> None:
        nonlocal shown_at
        left, now = remaining(done, total), time.monotonic()
        if now - shown_at < _LINE_EVERY and done < total:
            return
        shown_at = now
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        words = [f"{stamp} {stage} {done}/{total}", note, left]
        console.print(
            ", ".join(filter(None, words)),
            highlight=False,
            markup=False,
            soft_wrap=True,
        )

    return progress


def _notebook_line(stage: str) -> Progress:
    """One line of text, written anew, which needs no widgets."""
    remaining, shown_at = _clock(), -float("inf")

    def progress(done: int, total: int, note: str) -> None:
        nonlocal shown_at
        left, now = remaining(done, total), time.monotonic()
        if now - shown_at < 0.2 and done < total:
            return
        shown_at = now
        bar = "#" * round(20 * done / max(total, 1))
        words = [f"{stage} [{bar:<20}] {done}/{total}", note, left]
        end = "\n" if done >= total else ""
        print("\r" + ", ".join(filter(None, words)).ljust(79), end=end, flush=True)

    return progress


def _clock() -> Callable[[int, int], str]:
    """Words for the time left, from the pace since the first call."""
    first: tuple[float, int] | None = None

    def remaining(done: int, total: int) -> str:
        nonlocal first
        now = time.monotonic()
        if first is None:
            first = now, done
        begun, already = first
        if done >= total:
            return f"took {duration_text(now - begun)}"
        if done <= already:
            return ""
        pace = (now - begun) / (done - already)
        return f"{duration_text(pace * (total - done))} left"

    return remaining
