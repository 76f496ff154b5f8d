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
