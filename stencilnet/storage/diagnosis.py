"""Why a store cannot be read or written, by cause."""

from pathlib import Path

from stencilnet.errors import causes, out_of_memory

# What a store that lacks a part, or is no folder, makes of reading it.
_MISSING = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


class DamagedError(ValueError):
    """A store that is not what was written, with a clause on what is wrong.

    Attributes:
        root: the store, where a value was used that is at fault.
    """

    root: Path | None = None


class ChangedError(ValueError):
    """A store whose content does not match its checksums, in a sentence."""


def damaged(path: Path, error: BaseException, *, remedy: str = "") -> Exception:
    """The error of a store that cannot be read, by the cause of `error`.

    Args:
        path: of the store.
        error: as it was raised where the store was read.
        remedy: a way to accept the content, for the message.

    Returns:
        A `ValueError` if the content is at fault. If the system refused to read it,
        such as for want of permission or memory, that error, with the path: the store
        may be whole.
    """
    clause = "it cannot be read"
    for cause in causes(error):
        if isinstance(cause, DamagedError):
            clause = str(cause)
            break
        if out_of_memory(cause):
            return MemoryError(str(path))
        system = isinstance(cause, OSError) and not isinstance(cause, _MISSING)
        if isinstance(cause, OSError) and system and cause.errno is not None:
            return located(cause, path)
    return ValueError(
        f"{path} was changed after it was written, or is damaged or half-written: "
        f"{clause}. Restore a copy of it, or make it again"
        f"{', or ' + remedy if remedy else ''}."
    )


def located(error: OSError, path: Path) -> OSError:
    """A new error of the system that names a path, `path` if `error` names none."""
    if error.errno is None:
        return type(error)(*error.args)
    place = str(path) if error.filename is None else error.filename
    return OSError(error.errno, error.strerror, place, None, error.filename2)
