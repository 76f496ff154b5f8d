"""Kills processes that replace a folder; run as a program, it prints what was found.

    python tests/crashes.py PACKAGE FOLDER MOMENTS

Each child replaces `FOLDER/a.zarr` and is killed, before or after each renaming, or at
a random moment. Counted are the names that then led to no whole store, and the hidden
folders that the next writer left.

Then the power fails after each flush and each renaming of two replacements: of files
and folders the disk holds what was flushed, of names those before or those after the
last renamings. Counted are the disks on which the name leads to no whole store.
"""

import json
import os
import random
import signal
import stat
import sys
import threading
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


class Disk:
    """What a disk holds at the worst, after each flush and each renaming.

    Args:
        root: the folder that is watched.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.lock = root, threading.Lock()
        self.contents, self.entries = {}, {}
        self.losses = []
        self.flush_all()

    def flush_all(self) -> None:
        """As after a long time."""
        for folder, folders, files in os.walk(self.root):
            for path in (folder, *(f"{folder}/{name}" for name in (*folders, *files))):
                self.flushed(Path(path))

    def flushed(self, path: Path) -> None:
        number = path.stat().st_ino
        if path.is_dir():
            self.entries[number] = {p.name: p.lstat() for p in path.iterdir()}
        else:
            self.contents[number] = path.read_bytes()

    def fails(self) -> None:
        """Notes both disks that a loss of power may leave now."""
        before = self.entries[self.root.stat().st_ino]
        self.losses.append(self._held(before))
        # A renaming takes effect at both of its ends or at none.
        after = dict(self.entries)
        for folder in (self.root, *self.root.glob(".*")):
            moved = {p.name: p.lstat() for p in folder.iterdir()}
            self.entries[folder.stat().st_ino] = moved
        self.losses.append(self._held(self.entries[self.root.stat().st_ino]))
        self.entries = after

    def _held(self, entries) -> dict:
        """Names with the content of files, and the same for folders."""
        return {
            name: self._held(self.entries.get(status.st_ino, {}))
            if stat.S_ISDIR(status.st_mode)
            else self.contents.get(status.st_ino, b"")
            for name, status in entries.items()
        }

    def watch(self) -> None:
        """Notes every flush and renaming of this process from now on."""
        flush, rename, path_rename = os.fsync, renaming._rename, Path.rename

        def fsync(descriptor):
            flush(descriptor)
            with self.lock:
                self.flushed(Path(f"/proc/self/fd/{descriptor}").resolve())
                self.fails()

        def then(function):
            def renamed(*arguments):
                answer = function(*arguments)
                with self.lock:
                    self.fails()
                return answer

            return renamed

        os.fsync = fsync
        renaming._rename, Path.rename = then(rename), then(path_rename)


def lay(held: dict, folder: Path) -> None:
    """Makes a folder as a disk holds it."""
    folder.mkdir()
    for name, content in held.items():
        if isinstance(content, dict):
            lay(content, folder / name)
        else:
            (folder / name).write_bytes(content)


def power_losses(folder: Path, *, exchanges: bool) -> tuple[int, int]:
    """Losses of power during two replacements, and those that leave no whole store."""
    root = folder / "root"
    root.mkdir()
    write(root / "a.zarr", 0)
    disk = Disk(root)
    if not exchanges:
        atomic.exchange = lambda _one, _other: False
    disk.watch()
    for value in (1, 2):
        write(root / "a.zarr", value)
    broken = 0
    for number, held in enumerate(disk.losses):
        lay(held, folder / f"{number}")
        broken += not whole(folder / f"{number}" / "a.zarr")
    return len(disk.losses), broken


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
    for exchanges in (True, False):
        place = folder / f"power-{exchanges}"
        place.mkdir()

        def fails(place=place, exchanges=exchanges):
            losses = power_losses(place, exchanges=exchanges)
            (place / "found.json").write_text(json.dumps(losses))

        os.waitpid(child(fails), 0)
        losses, broken = json.loads((place / "found.json").read_text())
        found["power_losses"] = found.get("power_losses", 0) + losses
        found["power_losses_broken"] = found.get("power_losses_broken", 0) + broken
    print(json.dumps(found))


if __name__ == "__main__":
    main()
