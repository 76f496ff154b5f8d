"""Paths of stores: local ones, with the home folder written out."""

import os
import re
from pathlib import Path

# A letter alone is a drive. `Path` turns the two slashes of a URL into one.
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


def local_path(path: str | os.PathLike[str]) -> Path:
    """A path in the local file system, with `~` expanded.

    Stores take their names in one step, see `new_store`, which object storage and
    archives cannot do.

    Raises:
        TypeError: if `path` is not a path.
        ValueError: if it is empty, a URL such as `s3://bucket/a.zarr`, a chain such as
            `zip::a.zarr`, or in the home folder of nobody.

    Example:
        >>> from pathlib import Path
        >>> from stencilnet.storage import local_path
        >>> local_path("~/u.zarr") == Path.home() / "u.zarr"
        True
        >>> local_path("s3://bucket/u.zarr")
        Traceback (most recent call last):
        ...
        ValueError: The path s3://bucket/u.zarr is a URL, but stores are written and ...
    """
    try:
        text = os.fspath(path)
    except TypeError:
        text = None
    if not isinstance(text, str):
        raise TypeError(
            f"A path must be a string or a pathlib.Path, not {path!r}: name a file or "
            f"a folder."
        )
    if not text or "\0" in text:
        raise ValueError(
            f"The path {text!r} names no file or folder: give one, as in "
            f"runs/demo/operator.zarr."
        )
    if _URL.match(text) or "::" in text:
        raise ValueError(
            f"The path {text} is a URL, but stores are written and read in local "
            f"folders only: copy it to or from there, for example with fsspec."
        )
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise ValueError(
            f"The home folder in {text} does not exist: write the path out."
        ) from error
