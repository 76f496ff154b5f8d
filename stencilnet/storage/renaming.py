"""Renaming in one step: two names exchanged, or a name taken only if it is free."""

import ctypes
import errno
import os
from pathlib import Path

_HERE = -100  # AT_FDCWD
_NO_REPLACE, _EXCHANGE = 1, 2
# The system, or the file system, does not know the call.
_UNKNOWN = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM)


def exchange(one: Path, other: Path) -> bool:
    """Exchanges the names of two files or folders in one step.

    Returns:
        Whether the system can do that; if not, nothing has changed.

    Raises:
        OSError: if one does not exist, or may not be renamed.
    """
    return _rename(one, other, _EXCHANGE)


def rename_new(path: Path, name: Path) -> None:
    """Renames a file or folder to a name that is free.

    Raises:
        FileExistsError: if it is taken.
        OSError: if it may not be renamed.
    """
    if _rename(path, name, _NO_REPLACE):
        return
    if os.path.lexists(name):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(name))
    path.rename(name)


def _rename(old: Path, new: Path, flags: int) -> bool:
    if os.name == "nt":
        return False
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is None:
        return False
    if not function(_HERE, os.fsencode(old), _HERE, os.fsencode(new), flags):
        return True
    number = ctypes.get_errno()
    if number in _UNKNOWN:
        return False
    raise OSError(number, os.strerror(number), str(old), None, str(new))
