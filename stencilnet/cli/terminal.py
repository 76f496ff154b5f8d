"""What commands say on the terminal: results, progress and warnings."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from stencilnet.errors import shown
from stencilnet.progress import Progress, bars

console = Console(stderr=True)
output = Console()


@contextmanager
def bar(stage: str) -> Iterator[Progress]:
    with bars(console) as each:
        yield each(stage)


def say(paths: list[Path]) -> None:
    for path in paths:
        tell(f"wrote {path}")


def tell(text: str) -> None:
    """A line of a result."""
    output.print(shown(text), highlight=False, soft_wrap=True, markup=False)


def complain(text: str, colour: str) -> None:
    """A sentence on what went wrong."""
    console.print(shown(text), style=colour, markup=False, highlight=False)


def show_warning(
    message: Warning | str,
    category: type[Warning],
    _filename: str,
    _lineno: int,
    *_rest: Any,
) -> None:
    """A warning in one sentence, without the line of code it came from."""
    label = "Warning" if category is UserWarning else category.__name__
    complain(f"{label}: {message}", "yellow")
