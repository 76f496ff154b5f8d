"""Words that errors of the package share."""

import difflib
from collections.abc import Iterable


def unknown(kind: str, name: object, known: Iterable[str]) -> ValueError:
    """The error for a name that is not among the known ones.

    Args:
        kind: what is named, such as "equation".
        name: the name given.
        known: names that exist; the nearest one is suggested.
    """
    return ValueError(f"There is no {kind} {name!r}, {nearest(str(name), known)}.")


def nearest(name: str, known: Iterable[str]) -> str:
    """Words that point from a misspelt name to the nearest known one."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}"
    return f"known are {', '.join(names)}"


def in_words(error: Exception) -> str | None:
    """One sentence for a user's mistake; none for a fault of the program."""
    # torch reports a lack of memory as a RuntimeError.
    if isinstance(error, MemoryError) or "not enough memory" in str(error):
        return (
            "Not enough memory for this: lower the number of samples, modes, points or "
            "states."
        )
    if isinstance(error, OverflowError):
        return (
            f"A number is beyond what the machine computes with ({error}): look for an "
            f"amplitude, a length or a size that is far off."
        )
    known = isinstance(error, ValueError | OSError | FloatingPointError)
    return str(error) if known else None
