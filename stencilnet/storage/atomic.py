"""Stores and files that appear under their name only when they are complete."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

# What tells the folders and files that this package writes.
_MARKS = ("zarr.json", "comparison-*.zarr")
_FILES = (".json", ".pdf", ".png")


def refuse_existing(path: Path, *, overwrite: bool) -> None:
    """Stops before work is done whose result would have no place.

    Raises:
        FileExistsError: if there is something at `path` and `overwrite` is false, or if
            it is nothing that this package writes.
    """
    if not path.exists():
        return
    if not overwrite:
        raise FileExistsError(
            f"{path} exists: choose another place, or replace it with --overwrite "
            f"(in Python, overwrite=True)."
        )
    if path.is_dir():
        kept = any(any(path.glob(mark)) for mark in _MARKS) or not any(path.iterdir())
    else:
        kept = path.suffix in _FILES
    if not kept:
        raise FileExistsError(
            f"{path} is no result of stencilnet, so it is not replaced: choose another "
            f"place, or remove it yourself."
        )


@contextlib.contextmanager
def new_store(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """A temporary path beside `path` that takes its name once the block has ended.

    If the block raises, what it wrote is removed; if the process is killed, it stays
    under the temporary name, which ends in `.partial` and which nothing reads.

    Args:
        path: the final name of the file or folder.
        overwrite: whether an older one is replaced. It is moved aside first and
            removed last, so that one complete store exists at any moment.

    Raises:
        FileExistsError: as `refuse_existing`.
    """
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
    """Removes a file or a folder with all that is in it, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
