"""Atomic writing: at any moment a name leads to the old or to the new, whole.

What is new is written into a hidden folder beside its name, `.NAME.TOKEN.partial`,
which its process keeps locked. It is flushed to disk and then takes the name in one
step, in which what had the name before moves into the hidden folder. Such a folder
without a living process is removed by whoever writes there next.
"""

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from stencilnet.storage.diagnosis import located
from stencilnet.storage.disk import flush, flush_one, remove
from stencilnet.storage.interruption import STOPS, uninterrupted
from stencilnet.storage.leftovers import (
    IDENTITY,
    REPLACED,
    SUFFIX,
    give_back,
    hidden_folders,
    identity_of,
    prefix_of,
    recover,
    sweep,
)
from stencilnet.storage.locks import hold, seize
from stencilnet.storage.ownership import refuse_foreign
from stencilnet.storage.paths import local_path
from stencilnet.storage.renaming import exchange, rename_new


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

    Example:
        >>> from pathlib import Path
        >>> from stencilnet.storage import refuse_existing
        >>> refuse_existing("notes.md", overwrite=False, kind="table")
        >>> Path("notes.md").touch()
        >>> refuse_existing("notes.md", overwrite=True, kind="table")
        Traceback (most recent call last):
        ...
        FileExistsError: notes.md is no result of stencilnet, so it is not replaced: ...
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

    Example:
        >>> from pathlib import Path
        >>> from stencilnet.storage import new_store
        >>> with new_store("error.json", kind="result") as partial:
        ...     size = partial.write_text('{"schema": "stencilnet.result/1"}')
        ...     print(Path("error.json").exists())
        False
        >>> Path("error.json").exists()
        True
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

    Example:
        >>> from contextlib import suppress
        >>> from stencilnet.storage import workspace
        >>> with suppress(KeyboardInterrupt), workspace("u", identity="seed 0") as work:
        ...     (work / "half").touch()
        ...     raise KeyboardInterrupt
        >>> with workspace("u", identity="seed 0") as work:
        ...     print((work / "half").exists())
        True
        >>> work.exists()
        False
    """
    path = Path(os.path.realpath(local_path(path)))
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in hidden_folders(path.parent):
        if not overwrite and identity_of(left, path.name) not in ("", identity):
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
            give_back(folder)
            if not stays:
                remove(folder)
            os.close(descriptor)


def _created(path: Path, identity: str | None) -> tuple[Path, int]:
    """A new hidden folder, and the descriptor of its lock."""
    while True:
        folder = path.with_name(
            f"{prefix_of(path.name)}{uuid.uuid4().hex[:16]}{SUFFIX}"
        )
        folder.mkdir()
        # Another process may take the folder, not locked yet, for abandoned.
        with contextlib.suppress(FileNotFoundError):
            descriptor = hold(folder)
            if descriptor is not None:
                if identity is not None:
                    (folder / IDENTITY).write_text(identity, encoding="utf-8")
                return folder, descriptor


def _adopted(path: Path, identity: str | None) -> tuple[Path, int] | None:
    """The hidden folder of a process that stopped while it wrote the same."""
    for folder in hidden_folders(path.parent):
        if identity is not None and identity_of(folder, path.name) == identity:
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
        path.rename(staged.with_name(REPLACED))
        staged.rename(path)
    flush_one(path.parent)
