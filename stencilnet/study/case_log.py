"""Measured cases on disk, so that a long comparison can be stopped and continued."""

import json
import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import torch

from stencilnet.storage import git_commit
from stencilnet.study.fronts import Case


def machine() -> dict[str, object]:
    """Where and by what seconds are measured."""
    return {
        "machine": platform.node(),
        "platform": platform.platform(),
        "processor": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "commit": git_commit(),
    }


class CaseLog:
    """Cases by a key, one line each, added as they are measured.

    Seconds compare only where the machine and the settings are the same: a log of
    others is put aside as `*.before`. What follows a line that was cut off is measured
    again.

    Args:
        path: of the file.
        conditions: what all cases have in common, as plain values: machine, versions,
            settings.

    Raises:
        FileExistsError: if the file is no such log.
    """

    def __init__(self, path: Path, conditions: Mapping[str, object]) -> None:
        self.path = path
        self._first = json.dumps({"conditions": dict(conditions)}, sort_keys=True)
        self._cases: dict[str, Case] = {}
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        lines = text.splitlines()
        if lines and not lines[0].startswith('{"conditions": '):
            raise FileExistsError(
                f"{path} is no log of measured cases: move it away, or choose another "
                f"folder."
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        if lines and lines[0] != self._first:
            path.replace(path.with_name(f"{path.name}.before"))
            lines = []
        for line in lines[1:]:
            try:
                entry = json.loads(line)
                self._cases[entry["key"]] = Case(**entry["case"])
            except (KeyError, TypeError, ValueError):
                break
        kept = [self._first, *(self._line(key) for key in self._cases)]
        # The log has its name only when it is whole.
        partial = path.with_name(f"{path.name}.partial")
        partial.write_text("\n".join(kept) + "\n", encoding="utf-8")
        partial.replace(path)

    def measured(self, key: str, measure: Callable[[], Case]) -> Case:
        """The case of a key, from the log or measured now."""
        if key not in self._cases:
            self._cases[key] = measure()
            with self.path.open("a", encoding="utf-8") as file:
                file.write(self._line(key) + "\n")
        return self._cases[key]

    def _line(self, key: str) -> str:
        # Python's JSON has infinities and NaN.
        return json.dumps({"key": key, "case": asdict(self._cases[key])})
