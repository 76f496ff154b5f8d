"""What commands say on the terminal: results, progress and warnings."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from stencilnet.progress import Progress, bars

console = Console(stderr=True)
output = Console()


@contextmanager
def bar(stage: str) -> Iterator[Progress]:
    with bars(console) as each:
        yield each(stage)


def say(paths: list[Path]) -> None:
    for path in paths:
        output.print(f"wrote {path}", highlight=False, soft_wrap=True, markup=False)


def show_warning(
    message: Warning | str,
    category: type[Warning],
    _filename: str,
    _lineno: int,
    *_rest: Any,
) -> None:
    """A warning in one sentence, without the line of code it came from."""
    label = "Warning" if category is UserWarning else category.__name__
    console.print(f"{label}: {message}", style="yellow", markup=False, highlight=False)
