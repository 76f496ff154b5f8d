"""The package in surroundings that are not its own."""

import os
import subprocess
import sys
from pathlib import Path

import stencilnet

# Every attempt to write outside the folder for temporary files fails.
READ_ONLY = """
import os, sys, tempfile

temporary = os.path.realpath(tempfile.gettempdir())

def refuse(event, arguments):
    if event == "open":
        path, _, flags = arguments
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    elif event in ("os.mkdir", "os.rename", "os.remove"):
        path, writes = arguments[0], True
    else:
        return
    if writes and isinstance(path, str) and path != os.devnull:
        if not os.path.realpath(path).startswith(temporary + os.sep) or OWN in path:
            raise PermissionError(13, "read-only", path)

OWN = os.path.dirname(sys.argv[1]) + os.sep
sys.addaudithook(refuse)
"""
USE = """
import stencilnet, stencilnet.cli

print(stencilnet.__file__)
"""


def run(code: str, **environment: str) -> str:
    package = Path(stencilnet.__file__)
    answer = subprocess.run(
        [sys.executable, "-P", "-W", "error", "-c", code, str(package)],
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "PYTHONPATH": str(package.parents[1]),
            "PYTHONDONTWRITEBYTECODE": "1",
            **environment,
        },
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.strip()


def test_the_package_imports_where_nothing_can_be_written():
    home = {"HOME": "/nowhere", "XDG_CACHE_HOME": "/nowhere", "NUMBA_CACHE_DIR": ""}
    assert run(READ_ONLY + USE, **home) == stencilnet.__file__
