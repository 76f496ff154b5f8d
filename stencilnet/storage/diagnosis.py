"""Why a store cannot be read or written, by cause."""

from pathlib import Path

# What a store that lacks a part, or is no folder, makes of reading it.
_MISSING = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


def damaged(path: Path, error: BaseException) -> Exception:
    """The error of a store that cannot be read, by the cause of `error`.

    Returns:
        A `ValueError` if the content is at fault. If the system refused to read it,
        such as for want of permission or memory, that error, with the path: the store
        may be whole.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError):
            return MemoryError(str(path))
        system = isinstance(cause, OSError) and not isinstance(cause, _MISSING)
        if system and cause.errno is not None:
            return located(cause, path)
        cause = cause.__cause__ or cause.__context__
    return ValueError(
        f"{path} is damaged or half-written and cannot be read: restore a copy of it, "
        f"or make it again."
    )


def located(error: OSError, path: Path) -> OSError:
    """An error of the system that names a path, `path` if it names none."""
    if error.errno is None or error.filename is not None:
        return error
    return OSError(error.errno, error.strerror, str(path))
