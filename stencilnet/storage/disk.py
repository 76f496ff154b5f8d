"""Files and folders written to disk, and removed from it."""

import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# As many files are flushed at a time; the disk writes them together.
_FLUSHED = 16


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


def remove(path: Path) -> None:
    """Removes a file, or a folder with its content, if it exists.

    Example:
        >>> from pathlib import Path
        >>> from stencilnet.storage import remove
        >>> Path("run/data").mkdir(parents=True)
        >>> remove(Path("run"))
        >>> remove(Path("run"))
        >>> Path("run").exists()
        False
    """
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
