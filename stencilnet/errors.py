"""Checks of arguments, and the words that errors of the package share."""

import difflib
import errno
import importlib
import math
import numbers
import operator
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

# Texts of the allocators of torch and numpy, whose errors have no class of their own.
_NO_MEMORY = (
    "not enough memory",
    "DefaultCPUAllocator",
    "std::bad_alloc",
    "bad allocation",
    "Unable to allocate",
    "array is too big",
    "Maximum allowed dimension exceeded",
    "Storage size calculation overflowed",
    "CUDA out of memory",
)
_REFUSALS = {
    (errno.ENOSPC, errno.EDQUOT): (
        "The disk is full, so {} was not written; what stood there before is whole: "
        "make space and repeat the command."
    ),
    (errno.EACCES, errno.EPERM): (
        "There is no permission for {}, which may well be whole: change the "
        "permissions, or choose another place."
    ),
    (errno.EROFS,): "{} is on a disk that is read-only: choose another place.",
    (errno.ENOENT,): "{} does not exist: name a file or folder that does.",
    (errno.ENOTDIR,): "In the path {} a file stands for a folder: name a folder.",
    (errno.EISDIR,): "{} is a folder: name a file.",
    (errno.ENAMETOOLONG,): "The name {} is too long: choose a shorter one.",
    (errno.ELOOP,): "{} is a link where none may be, or one that leads to itself.",
    (errno.EMFILE, errno.ENFILE): (
        "Too many files are open to read or write {}: close programs, or raise the "
        "limit with ulimit -n."
    ),
    (errno.EIO, errno.ESTALE): (
        "The disk fails at {}: check it, and copy what can still be read first."
    ),
}


def unknown(kind: str, name: object, known: Iterable[str]) -> ValueError:
    """The error for an unknown name.

    Args:
        kind: of the thing named, such as "equation".
        name: the unknown name.
        known: the names that exist; the error suggests the nearest one.
    """
    return ValueError(f"There is no {kind} {name!r}, {nearest(str(name), known)}.")


def nearest(name: str, known: Iterable[str]) -> str:
    """A clause that points from a misspelt name to the nearest known one."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}"
    return f"known are {', '.join(names)}"


def in_words(error: Exception) -> str | None:
    """One sentence for a user's mistake; none for a fault of the program."""
    if out_of_memory(error):
        return (
            "Not enough memory for this: lower the number of samples, modes, points or "
            "states."
        )
    if isinstance(error, OverflowError):
        return (
            f"A number is beyond what the machine computes with ({error}): look for an "
            f"amplitude, a length or a size that is far off."
        )
    if isinstance(error, OSError) and error.errno is not None:
        return _of_system(error)
    known = isinstance(error, ValueError | OSError | FloatingPointError)
    return str(error) if known else None


def out_of_memory(error: BaseException) -> bool:
    """Whether an error, or what caused it, is a lack of memory.

    Python and numpy raise a MemoryError, the system an OSError with the number ENOMEM,
    torch an OutOfMemoryError, or a RuntimeError where the processor's memory ends.
    """
    for cause in causes(error):
        kinds = {kind.__name__ for kind in type(cause).__mro__}
        if kinds & {"MemoryError", "OutOfMemoryError"}:
            return True
        if isinstance(cause, OSError) and cause.errno == errno.ENOMEM:
            return True
        text = str(cause)
        if isinstance(cause, RuntimeError | ValueError) and any(
            words in text for words in _NO_MEMORY
        ):
            return True
    return False


def causes(error: BaseException) -> list[BaseException]:
    """An error and what it came from, in this order."""
    found: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in found:
        found.append(cause)
        cause = cause.__cause__ or cause.__context__
    return found


def _of_system(error: OSError) -> str:
    """What the system refused, where, and what to do about it."""
    place = error.filename if error.filename2 is None else error.filename2
    name = "a file" if place is None else str(place)
    for causes, sentence in _REFUSALS.items():
        if error.errno in causes:
            return sentence.format(name)
    return f"The system refuses {name}: {error.strerror}."


def holds(condition: Any) -> bool:
    """Whether a condition holds; true where nothing can be asked.

    That is under `vmap`, and of tensors on the device "meta", which have no values.

    Args:
        condition: a tensor of one bool.
    """
    if getattr(condition, "is_meta", False):
        return True
    try:
        return bool(condition)
    except RuntimeError as error:
        if not hidden_by_vmap(error):
            raise
        return True


def hidden_by_vmap(error: RuntimeError) -> bool:
    """Whether an error is that of `torch.func.vmap` where code asks for values."""
    return str(error).startswith("vmap:")


def as_integer(value: Any) -> int | None:
    """A whole number of Python, numpy or torch as an `int`; None for anything else.

    A bool and a float such as 32.0 are something else.
    """
    if _is_bool(value) or getattr(value, "ndim", None):
        return None
    try:
        return operator.index(value)
    except (TypeError, RuntimeError):
        return None


def as_number(value: Any) -> float | None:
    """A real number of Python, numpy or torch as a `float`; None for anything else.

    NaN and infinities are numbers; a bool, a text and an array with axes are not.
    """
    if not _is_bool(value) and getattr(value, "ndim", None) == 0:
        value = value.item()
    if _is_bool(value) or not isinstance(value, numbers.Real | Decimal):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def whole_number(name: str, value: object, *, least: int = 1) -> int:
    """A whole number of any type as an `int`.

    Args:
        name: of the setting, for the message, such as "The order".
        value: the setting.
        least: the smallest value allowed.

    Raises:
        ValueError: if `value` is not a whole number of at least `least`.
    """
    number = as_integer(value)
    if number is None or number < least:
        raise ValueError(
            f"{name} must be a whole number of at least {least}, not {value!r}."
        )
    return number


def real_number(name: str, value: object, *, positive: bool = False) -> float:
    """A finite number of any type as a `float`.

    Args:
        name: of the setting, for the message, such as "The scale".
        value: the setting.
        positive: whether it must be positive.

    Raises:
        ValueError: if `value` is not a finite number, or not positive.
    """
    number = as_number(value)
    if number is None or not math.isfinite(number) or (positive and number <= 0):
        needed = "must be positive and finite" if positive else "must be finite"
        raise ValueError(f"{name} {needed}, not {value!r}.")
    return number


def shown(text: object) -> str:
    """A text from elsewhere for a terminal: control characters stand as escapes."""
    return "".join(
        letter
        if letter.isprintable() or letter == "\n"
        else letter.encode("unicode_escape").decode("ascii")
        for letter in str(text)
    )


def plain(value: Any) -> Any:
    """A value for JSON: numbers and bools of numpy or torch as those of Python."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value.item() if getattr(value, "ndim", None) == 0 else value


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool) or "bool" in str(getattr(value, "dtype", ""))


def optional_module(name: str, purpose: str, *, extra: str) -> Any:
    """A module that an extra of the package installs.

    Args:
        name: of the module.
        purpose: what needs it, for the message.
        extra: of the package.

    Raises:
        ValueError: if it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ValueError(
            f"{purpose} needs {name}, which is not installed: run "
            f"pip install 'stencilnet[{extra}]'."
        ) from None
