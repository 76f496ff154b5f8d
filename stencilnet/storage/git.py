"""The commit that is checked out in the working folder."""

import functools
import os
import subprocess
from pathlib import Path

_SECONDS = 5.0
# Nothing that the folder configures runs: no hook, no monitor, no fetching.
_QUIET = (
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.untrackedCache=false",
    "submodule.recurse=false",
)
_ENVIRONMENT = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "none",
    "LC_ALL": "C",
}


def git_commit() -> str:
    """The commit, with "-dirty" where tracked files differ; empty outside of git.

    As the process first saw it. Whether files differ is left out if git takes longer
    than a few seconds to say.

    Example:
        >>> import xarray as xr
        >>> from stencilnet.storage import git_commit, read_dataset, save_dataset
        >>> path = save_dataset(xr.Dataset({"error": 0.25}), "error.zarr")
        >>> read_dataset(path).attrs["git_commit"] == git_commit()
        True
    """
    return _git_commit(Path.cwd())


@functools.cache
def _git_commit(_folder: Path) -> str:
    commit = _answer("rev-parse", "--verify", "HEAD")
    if not commit:
        return ""
    settings = _without_filters()
    if settings is None:
        return commit
    status = _answer(
        "status",
        "--porcelain",
        "--untracked-files=no",
        "--ignore-submodules=all",
        settings=settings,
    )
    return f"{commit}-dirty" if status else commit


def _without_filters() -> list[str] | None:
    """Settings that empty each filter of contents that the folder configures."""
    listed = _answer("config", "--null", "--name-only", "--list")
    if listed is None:
        return None
    names = {name for name in listed.split("\0") if name.startswith("filter.")}
    return [f"{name}={'false' if name.endswith('.required') else ''}" for name in names]


def _answer(*arguments: str, settings: list[str] | None = None) -> str | None:
    """What git prints; None if it fails, takes too long, or does not exist."""
    options = [part for each in (*_QUIET, *(settings or [])) for part in ("-c", each)]
    try:
        answer = subprocess.run(
            ["git", "--no-pager", *options, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **_ENVIRONMENT},
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None
