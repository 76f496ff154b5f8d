"""What processes that ended left half-written: resumed, given back or removed.

It lies in hidden folders, see `atomic`, whose locks ended with their processes.
"""

import contextlib
import os
import time
from pathlib import Path

from stencilnet.storage.disk import flush_one, remove
from stencilnet.storage.locks import seize
from stencilnet.storage.renaming import rename_new

REPLACED, IDENTITY, SUFFIX = ".replaced", ".identity", ".partial"
# Of a name, beside the token and the dots.
_LONGEST = 200


def has_work(path: Path, identity: str) -> bool:
    """Whether work was begun that `workspace` would resume.

    Example:
        >>> from contextlib import suppress
        >>> from pathlib import Path
        >>> from stencilnet.storage import has_work, workspace
        >>> with suppress(KeyboardInterrupt), workspace("u", identity="seed 0") as work:
        ...     (work / "half").touch()
        ...     raise KeyboardInterrupt
        >>> has_work(Path("u"), "seed 0"), has_work(Path("u"), "seed 1")
        (True, False)
    """
    place = Path(os.path.realpath(path))
    left = hidden_folders(place.parent)
    return any(identity_of(folder, place.name) == identity for folder in left)


def recover(path: Path) -> None:
    """Gives back a name that a process lost which was killed while replacing.

    That happens only where the system cannot exchange two names in one step.
    """
    if os.path.lexists(path) or not path.parent.is_dir():
        return
    for _ in range(50):
        folders = [
            folder
            for folder in hidden_folders(path.parent)
            if (folder / REPLACED).exists() and (folder / path.name).exists()
        ]
        if not folders:
            return
        for folder in folders:
            descriptor = seize(folder)
            if descriptor is not None:
                give_back(folder)
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
    for left in hidden_folders(folder):
        if (left / IDENTITY).exists() and identity_of(left, name) in ("", identity):
            continue
        descriptor = seize(left)
        if descriptor is not None:
            give_back(left)
            remove(left)
            os.close(descriptor)


def sweep_below(folder: Path, *, depth: int = 2) -> None:
    """As `sweep`, for a run's folder and those in it that are no stores.

    Example:
        >>> from pathlib import Path
        >>> from stencilnet.storage import sweep_below
        >>> left = Path("run/.u.zarr.0123456789abcdef.partial")
        >>> (left / "u.zarr").mkdir(parents=True)
        >>> Path("run/notes.txt").touch()
        >>> sweep_below(Path("run"))
        >>> [path.name for path in Path("run").iterdir()]
        ['notes.txt']
    """
    if not folder.is_dir():
        return
    sweep(folder)
    for inner in sorted(folder.iterdir()) if depth else ():
        if inner.is_dir() and not inner.is_symlink() and inner.suffix != ".zarr":
            sweep_below(inner, depth=depth - 1)


def hidden_folders(folder: Path) -> list[Path]:
    """Hidden folders in a folder, of living processes too."""
    return sorted(folder.glob(f".*{SUFFIX}"))


def prefix_of(name: str) -> str:
    """How the hidden folders for a name begin."""
    return f".{name[:_LONGEST]}."


def identity_of(folder: Path, name: str) -> str:
    """Of what a hidden folder holds for a name; empty for another name, or none."""
    with contextlib.suppress(OSError):
        length = len(f"{prefix_of(name)}{'0' * 16}{SUFFIX}")
        if len(folder.name) == length and folder.name.startswith(prefix_of(name)):
            return (folder / IDENTITY).read_text(encoding="utf-8")
    return ""


def give_back(folder: Path) -> None:
    """Ends a replacement that stopped between its two renames."""
    replaced = folder / REPLACED
    known = (REPLACED, IDENTITY)
    new = [path for path in folder.iterdir() if path.name not in known]
    if replaced.exists() and len(new) == 1:
        with contextlib.suppress(FileExistsError):
            rename_new(new[0], folder.parent / new[0].name)
            flush_one(folder.parent)
