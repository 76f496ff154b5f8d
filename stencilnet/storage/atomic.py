"""Atomic writing: stores and files appear under their name when complete."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from stencilnet.storage.paths import local_path

# Contents of folders, and suffixes of files, that this package writes.
_MARKS = ("zarr.json", "comparison-*.zarr")
_FILES = (".csv", ".html", ".json", ".md", ".pdf", ".png", ".tex")


def refuse_existing(path: Path | str, *, overwrite: bool) -> None:
    """Raises if a result cannot be written to `path`, before it is computed.

    Raises:
        FileExistsError: if `path` exists and `overwrite` is false, or if it is not a
            result of this package.
        TypeError, ValueError: if `path` is not a local path, see `local_path`.
    """
    path = local_path(path)
    if not path.exists():
        return
    if not overwrite:
        raise FileExistsError(
            f"{path} exists: choose another place, or replace it with --overwrite "
            f"(in Python, overwrite=True)."
        )
    if path.is_dir():
        own = any(any(path.glob(mark)) for mark in _MARKS) or not any(path.iterdir())
    else:
        own = path.suffix in _FILES
    if not own:
        raise FileExistsError(
            f"{path} is no result of stencilnet, so it is not replaced: choose another "
            f"place, or remove it yourself."
        )


@contextlib.contextmanager
def new_store(path: Path | str, *, overwrite: bool = False) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it at the end of the block.

    If the block raises, the temporary path is removed; if the process is killed, it
    stays, with a name that ends in `.partial` and that nothing reads.

    Args:
        path: the final name of the file or folder.
        overwrite: whether to replace an older one. It is moved aside first and removed
            last, so that one complete store exists at any moment.

    Raises:
        FileExistsError, TypeError, ValueError: as `refuse_existing`.
    """
    path = local_path(path)
    refuse_existing(path, overwrite=overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    replaced = path.with_name(f".{path.name}.{os.getpid()}.replaced")
    remove(partial)
    try:
        yield partial
        refuse_existing(path, overwrite=overwrite)
        if path.exists():
            remove(replaced)
            path.rename(replaced)
        partial.rename(path)
    except BaseException:
        remove(partial)
        raise
    remove(replaced)


def remove(path: Path) -> None:
    """Removes a file, or a folder with its content, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
