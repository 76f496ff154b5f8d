"""Locks that end with the process that holds them.

What is locked is a folder, by `flock`: the system ends that lock with the process,
however it ends, and no trace of it stays on disk. Windows locks no folders: there the
lock is that of an empty file among the temporary ones, whose name follows from the
folder's, and holds on one machine.
"""

import contextlib
import hashlib
import importlib
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def _module(name: str) -> Any:
    """A module that some systems have; None elsewhere."""
    with contextlib.suppress(ImportError):
        return importlib.import_module(name)
    return None


_fcntl, _msvcrt = _module("fcntl"), _module("msvcrt")
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
            _lock(descriptor)
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
        _lock(descriptor)
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

    Example:
        >>> from concurrent.futures import ThreadPoolExecutor
        >>> from pathlib import Path
        >>> from stencilnet.storage import claimed
        >>> def write():
        ...     with claimed(Path("run")):
        ...         pass
        >>> with claimed(Path("run")), ThreadPoolExecutor(1) as threads:
        ...     print(threads.submit(write).exception())
        Another process is writing to ...run: wait until it ends, or choose ...
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
    """What is locked for a folder, opened."""
    if _fcntl is not None:
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_DIRECTORY
        return os.open(folder, flags)
    # It has to be there, as above.
    folder.lstat()
    return os.open(_stand_in(folder), os.O_RDWR | os.O_CREAT, 0o600)


def _stand_in(folder: Path) -> Path:
    """The file that is locked for a folder."""
    name = os.path.normcase(folder.parent.resolve() / folder.name)
    digest = hashlib.sha256(name.encode()).hexdigest()
    return Path(tempfile.gettempdir()) / f"stencilnet-{digest[:32]}.lock"


def _lock(descriptor: int) -> None:
    """Locks what is open.

    Raises:
        BlockingIOError: if another process has it locked.
        OSError: if the file system cannot.
    """
    if _fcntl is not None:
        _fcntl.flock(descriptor, _fcntl.LOCK_EX | _fcntl.LOCK_NB)
    elif _msvcrt is not None:
        try:
            _msvcrt.locking(descriptor, _msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError(str(error)) from None


def _create(folder: Path) -> list[Path]:
    """Creates a folder and those above it; returns the new ones, innermost first."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


def _leads_to(folder: Path, descriptor: int) -> bool:
    if _fcntl is None:
        return folder.is_dir()
    try:
        return os.path.samestat(folder.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
