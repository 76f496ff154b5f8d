"""Locks that end with the process that holds them.

What is locked is a folder, by `flock`: the system ends that lock with the process,
however it ends, and no trace of it stays on disk.
"""

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Claims of this process: thread and number of nested blocks, by folder.
_claims: dict[Path, tuple[int, int]] = {}


def hold(folder: Path) -> int | None:
    """Locks a folder, where the file system can.

    Returns:
        A descriptor, whose closing ends the lock; None if another process holds it.

    Raises:
        OSError: if the folder cannot be opened.
    """
    while True:
        descriptor = _open(folder)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError:
            return descriptor
        if _leads_to(folder, descriptor):
            return descriptor
        # Another folder took the name in between.
        os.close(descriptor)


def seize(folder: Path) -> int | None:
    """Locks a folder that a process which ended may have left.

    Returns:
        A descriptor, whose closing ends the lock; None if a process may hold it.
    """
    try:
        descriptor = _open(folder)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    if _leads_to(folder, descriptor):
        return descriptor
    os.close(descriptor)
    return None


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Sole use of a folder, of a run or a store, for writing; nests in one thread.

    A folder that does not exist is created, and removed again if it stays empty.

    Raises:
        BlockingIOError: if another process or thread uses it.
    """
    folder = Path(os.path.realpath(folder))
    thread, depth = _claims.get(folder, (threading.get_ident(), 0))
    if depth and thread == threading.get_ident():
        _claims[folder] = (thread, depth + 1)
        try:
            yield
        finally:
            _claims[folder] = (thread, depth)
        return
    created = _create(folder)
    descriptor = hold(folder)
    if descriptor is None:
        raise BlockingIOError(
            f"Another process is writing to {folder}: wait until it ends, or choose "
            f"another place."
        )
    _claims[folder] = (threading.get_ident(), 1)
    try:
        yield
    finally:
        del _claims[folder]
        os.close(descriptor)
        for empty in created:
            if not empty.is_dir() or any(empty.iterdir()):
                break
            empty.rmdir()


def _open(folder: Path) -> int:
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_DIRECTORY
    return os.open(folder, flags)


def _create(folder: Path) -> list[Path]:
    """Creates a folder and those above it; returns the new ones, innermost first."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


def _leads_to(folder: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(folder.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
