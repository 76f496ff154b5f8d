"""What commands say: results and warnings, for a reader or as JSON."""

import os
import sys
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType

from stencilnet.errors import shown

console = Console(stderr=True)
output = Console()
# Of several processes that train together, the first one speaks.
rank = int(os.environ.get("RANK", 0)) if "TORCHELASTIC_RUN_ID" in os.environ else 0


class Answer:
    """Answer of one command, shown while it runs or printed as one JSON object.

    Attributes:
        as_json: whether standard output is one JSON object, `values`.
        quiet: whether to show nothing but warnings and errors.
        values: what the command found, as plain values.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begins anew, for the next command of this process."""
        self.as_json = self.quiet = False
        self.values: dict[str, Any] = {}

    def show(self, renderable: RenderableType, **values: Any) -> None:
        """Shows text or a table; `values` say the same in JSON."""
        self.values.update(values)
        if isinstance(renderable, str):
            renderable = shown(renderable)
        if not (self.as_json or self.quiet or rank):
            output.print(renderable, highlight=False, soft_wrap=True, markup=False)

    def wrote(self, paths: list[Path]) -> None:
        """Names the files that a command wrote."""
        self.values.setdefault("wrote", []).extend(str(path) for path in paths)
        for path in paths:
            self.show(f"wrote {path}")

    def fail(self, sentence: str, *, alone: bool = False) -> None:
        """Tells a mistake; `alone` if it is that of one process of several."""
        self.values["error"] = sentence
        if rank and alone:
            console.print(shown(f"Rank {rank}: {sentence}"), style="red", markup=False)
        complain(f"Error: {sentence}", "red")

    def finish(self) -> None:
        """Prints the JSON object, if that was asked for."""
        if self.as_json and self.values and not rank:
            from stencilnet.report import json_text

            sys.stdout.write(json_text(self.values))


answer = Answer()


def complain(text: str, colour: str) -> None:
    """A sentence on what went wrong."""
    if not rank:
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
