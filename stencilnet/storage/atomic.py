"""Atomic writing: at any moment a name leads to the old or to the new, whole.

What is new is written into a hidden folder beside its name, `.NAME.TOKEN.partial`,
which its process keeps locked. It is flushed to disk and then takes the name in one
step, in which what had the name before moves into the hidden folder. Such a folder
without a living process is removed by whoever writes there next.
"""

import contextlib
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from stencilnet.storage.diagnosis import located
from stencilnet.storage.interruption import STOPS, uninterrupted
from stencilnet.storage.locks import hold, seize
from stencilnet.storage.ownership import refuse_foreign
from stencilnet.storage.paths import local_path
from stencilnet.storage.renaming import exchange, rename_new

_REPLACED, _IDENTITY, _SUFFIX = ".replaced", ".identity", ".partial"
# As many files are flushed at a time; the disk writes them together.
_FLUSHED = 16
# Of a name, beside the token and the dots.
_LONGEST = 200


def refuse_existing(path: Path | str, *, overwrite: bool, kind: str) -> None:
    """Raises if a result cannot be written to `path`, before it is computed.

    Args:
        path: of the result.
        overwrite: whether an older one may be replaced.
        kind: of the result, see `refuse_foreign`; only one of that kind is replaced.

    Raises:
        FileExistsError: if `path` exists and `overwrite` is false, or if it is not a
            result of this package and of this kind.
        TypeError, ValueError: if `path` is not a local path, see `local_path`.
    """
    path = local_path(path)
    recover(path)
    if not os.path.lexists(path):
        return
    if not overwrite:
        raise FileExistsError(
            f"{path} exists: choose another place, or replace it with --overwrite "
            f"(in Python, overwrite=True)."
        )
    refuse_foreign(path, kind)


@contextlib.contextmanager
def new_store(
    path: Path | str,
    *,
    kind: str,
    overwrite: bool = False,
    identity: str | None = None,
) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it at the end of the block.

    If the block raises, what it wrote is removed. If the process is killed, it stays,
    hidden, until the next writer in that folder removes it.

    Args:
        path: the final name of the file or folder; behind a link, of what it leads to.
        kind: of the result, see `refuse_foreign`.
        overwrite: whether to replace an older one of that kind.
        identity: of what is written, if it can be resumed. What a process wrote that
            was stopped, or had no space left, is then given to the next one that
            writes the same under this name.

    Raises:
        FileExistsError, TypeError, ValueError: as `refuse_existing`.
    """
    path = local_path(path)
    refuse_existing(path, overwrite=overwrite, kind=kind)
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path.parent, name=path.name, identity=identity)
    try:
        with _staging(path, identity) as folder:
            staged = folder / path.name
            yield staged
            flush(staged)
            with uninterrupted():
                refuse_existing(path, overwrite=overwrite, kind=kind)
                take_name(staged, path, overwrite=overwrite)
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise located(error, path) from error


def has_work(path: Path, identity: str) -> bool:
    """Whether work was begun that `workspace` would resume."""
    left = _partial(Path(os.path.realpath(path)).parent)
    return any(_identity(folder, path.name) == identity for folder in left)


@contextlib.contextmanager
def workspace(
    path: Path | str, *, identity: str, overwrite: bool = False
) -> Iterator[Path]:
    """A hidden folder for work that can be resumed, removed when the block ends.

    It stays if the process is killed or stopped, or if the disk is full, and is given
    to the next one that does the same work.

    Args:
        path: beside which the folder lies; no other result has this name.
        identity: of the work.
        overwrite: whether to discard what is left of other work.

    Raises:
        FileExistsError: if other work was stopped there and `overwrite` is false.
        TypeError, ValueError: if `path` is not a local path.
    """
    path = Path(os.path.realpath(local_path(path)))
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in _partial(path.parent):
        if not overwrite and _identity(left, path.name) not in ("", identity):
            raise FileExistsError(
                f"{path.parent} holds the work of a command that was stopped, with "
                f"other settings or of another version: repeat that command, choose "
                f"another place, or discard that work with --overwrite (in Python, "
                f"overwrite=True)."
            )
    sweep(path.parent, name=path.name, identity=identity)
    try:
        with _staging(path, identity) as folder:
            yield folder
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise located(error, path) from error


@contextlib.contextmanager
def _staging(path: Path, identity: str | None) -> Iterator[Path]:
    """A hidden folder beside `path`, locked, and removed at the end."""
    folder, descriptor = _adopted(path, identity) or _created(path, identity)
    stays = False
    try:
        yield folder
    except (*STOPS, OSError):
        # What has nothing but its identity is not worth resuming.
        stays = identity is not None and len(list(folder.iterdir())) > 1
        raise
    finally:
        with uninterrupted():
            _give_back(folder)
            if not stays:
                remove(folder)
            os.close(descriptor)


def _created(path: Path, identity: str | None) -> tuple[Path, int]:
    """A new hidden folder, and the descriptor of its lock."""
    while True:
        folder = path.with_name(f"{_prefix(path.name)}{uuid.uuid4().hex[:16]}{_SUFFIX}")
        folder.mkdir()
        # Another process may take the folder, not locked yet, for abandoned.
        with contextlib.suppress(FileNotFoundError):
            descriptor = hold(folder)
            if descriptor is not None:
                if identity is not None:
                    (folder / _IDENTITY).write_text(identity, encoding="utf-8")
                return folder, descriptor


def _adopted(path: Path, identity: str | None) -> tuple[Path, int] | None:
    """The hidden folder of a process that stopped while it wrote the same."""
    for folder in _partial(path.parent):
        if identity is not None and _identity(folder, path.name) == identity:
            descriptor = seize(folder)
            if descriptor is not None:
                return folder, descriptor
    return None


def take_name(staged: Path, path: Path, *, overwrite: bool) -> None:
    """Gives a file or folder its final name, in one step.

    Args:
        staged: what to name, flushed, alone in a hidden folder, which receives what
            had the name before.
        path: the name.
        overwrite: whether the name may be taken from another.

    Raises:
        FileExistsError: if the name is taken and `overwrite` is false.
    """
    if not overwrite:
        rename_new(staged, path)
    elif not staged.is_dir() and not path.is_dir():
        staged.replace(path)
    elif not os.path.lexists(path):
        rename_new(staged, path)
    elif not exchange(staged, path):
        # Whoever comes between the two finds both in the hidden folder, see `recover`.
        path.rename(staged.with_name(_REPLACED))
        staged.rename(path)
    flush_one(path.parent)


def recover(path: Path) -> None:
    """Gives back a name that a process lost which was killed while replacing.

    That happens only where the system cannot exchange two names in one step.
    """
    if os.path.lexists(path) or not path.parent.is_dir():
        return
    for _ in range(50):
        folders = [
            folder
            for folder in _partial(path.parent)
            if (folder / _REPLACED).exists() and (folder / path.name).exists()
        ]
        if not folders:
            return
        for folder in folders:
            descriptor = seize(folder)
            if descriptor is not None:
                _give_back(folder)
                os.close(descriptor)
        if os.path.lexists(path):
            return
        # A living process is between the two renames.
        time.sleep(0.02)


def sweep(folder: Path, *, name: str = "", identity: str | None = None) -> None:
    """Removes what processes that ended left half-written in a folder.

    Args:
        folder: to look in, not below.
        name: that is about to be written. What can be resumed under another name stays.
        identity: of what is about to be written; what has it stays.
    """
    for left in _partial(folder):
        if (left / _IDENTITY).exists() and _identity(left, name) in ("", identity):
            continue
        descriptor = seize(left)
        if descriptor is not None:
            _give_back(left)
            remove(left)
            os.close(descriptor)


def sweep_below(folder: Path, *, depth: int = 2) -> None:
    """As `sweep`, for a run's folder and those in it that are no stores."""
    if not folder.is_dir():
        return
    sweep(folder)
    for inner in sorted(folder.iterdir()) if depth else ():
        if inner.is_dir() and not inner.is_symlink() and inner.suffix != ".zarr":
            sweep_below(inner, depth=depth - 1)


def flush(path: Path) -> None:
    """Has a file, or a folder with all that is in it, written to disk."""
    if not path.is_dir():
        flush_one(path)
        return
    paths = [path]
    for folder, folders, files in os.walk(path):
        paths += [Path(folder, name) for name in (*folders, *files)]
    with ThreadPoolExecutor(min(_FLUSHED, len(paths))) as threads:
        list(threads.map(flush_one, paths))


def remove(path: Path) -> None:
    """Removes a file, or a folder with its content, if it exists."""
    # Threads of a library that was interrupted may still write into the folder.
    for attempt in range(5):
        try:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        except FileNotFoundError:
            continue
        except OSError:
            if attempt == 4:
                raise
            time.sleep(0.05)
        else:
            return


def _partial(folder: Path) -> list[Path]:
    return sorted(folder.glob(f".*{_SUFFIX}"))


def _prefix(name: str) -> str:
    return f".{name[:_LONGEST]}."


def _identity(folder: Path, name: str) -> str:
    """Of what a hidden folder holds for a name; empty for another name, or none."""
    with contextlib.suppress(OSError):
        length = len(f"{_prefix(name)}{'0' * 16}{_SUFFIX}")
        if len(folder.name) == length and folder.name.startswith(_prefix(name)):
            return (folder / _IDENTITY).read_text(encoding="utf-8")
    return ""


def _give_back(folder: Path) -> None:
    """Ends a replacement that stopped between its two renames."""
    replaced = folder / _REPLACED
    known = (_REPLACED, _IDENTITY)
    new = [path for path in folder.iterdir() if path.name not in known]
    if replaced.exists() and len(new) == 1:
        with contextlib.suppress(FileExistsError):
            rename_new(new[0], folder.parent / new[0].name)
            flush_one(folder.parent)


def flush_one(path: Path) -> None:
    """Has a file or a folder on the disk itself."""
    flags = os.O_RDONLY
    if os.name == "nt":
        # Windows flushes files that are open for writing, and no folders.
        if path.is_dir():
            return
        flags = os.O_RDWR
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
