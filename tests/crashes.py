"""Kills processes that replace a folder; run as a program, it prints what was found.

    python tests/crashes.py PACKAGE FOLDER MOMENTS

Each child replaces `FOLDER/a.zarr` and is killed, before or after each renaming, or at
a random moment. Counted are the names that then led to no whole store, and the hidden
folders that the next writer left.
"""

import json
import os
import random
import signal
import sys
import time
import types
from pathlib import Path

if __name__ == "__main__":
    # Only the modules that replace: what the package imports beside takes long.
    package = Path(sys.argv[1])
    for name in ("stencilnet", "stencilnet.storage"):
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__path__ = [str(package.parent / name.replace(".", "/"))]

from stencilnet.storage import atomic, renaming

PARTS = 5


def write(path: Path, value: int) -> None:
    """A store as far as its name is concerned, of several files with one value."""
    with atomic.new_store(path, kind="dataset", overwrite=True) as partial:
        partial.mkdir()
        attributes = {"schema": "stencilnet.dataset/1", "value": value}
        (partial / "zarr.json").write_text(json.dumps({"attributes": attributes}))
        for part in range(PARTS):
            (partial / f"{part}").mkdir()
            (partial / f"{part}" / "c").write_text(f"{value}")


def whole(path: Path) -> bool:
    """Whether all parts are there and hold one value."""
    atomic.recover(path)
    try:
        value = json.loads((path / "zarr.json").read_text())["attributes"]["value"]
        parts = [int((path / f"{part}" / "c").read_text()) for part in range(PARTS)]
    except (OSError, ValueError):
        return False
    return parts == [value] * PARTS


def killed_at(number: int, *, exchanges: bool) -> None:
    """Has this process killed at the beginning or the end of one of its renamings."""
    count = 0

    def kills(function):
        def renamed(*arguments):
            nonlocal count
            for step in range(2):
                if count == number:
                    os.kill(os.getpid(), signal.SIGKILL)
                count += 1
                if step == 0:
                    answer = function(*arguments)
            return answer

        return renamed

    if not exchanges:
        atomic.exchange = lambda _one, _other: False
    renaming._rename = kills(renaming._rename)
    Path.rename = kills(Path.rename)


def child(work) -> int:
    """The number of a process that does some work and ends."""
    number = os.fork()
    if not number:
        work()
        os._exit(0)
    return number


def main() -> None:
    folder, moments = Path(sys.argv[2]), int(sys.argv[3])
    path = folder / "a.zarr"
    write(path, 0)
    found = {"kills": 0, "lost": 0, "leftovers": 0, "ended": 0}

    def judge(number: int) -> None:
        _, status = os.waitpid(number, 0)
        died = os.WIFSIGNALED(status)
        found["kills"] += died
        found["ended"] += not died
        found["lost"] += not whole(path)
        write(path, -1)
        found["leftovers"] += len(list(folder.iterdir())) - 1

    for exchanges in (True, False):
        for moment in range(10):

            def work(moment=moment, exchanges=exchanges):
                killed_at(moment, exchanges=exchanges)
                write(path, moment + 1)

            judge(child(work))
    draw = random.Random(0)
    for _ in range(moments):
        number = child(lambda: [write(path, value) for value in range(10**6)])
        time.sleep(draw.uniform(0, 0.05))
        os.kill(number, signal.SIGKILL)
        judge(number)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
