"""The package in surroundings that are not its own."""

import ast
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

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
from stencilnet import *

print(stencilnet.__file__)
"""


HELP = """
import sys
from typer.testing import CliRunner
from stencilnet.cli import app
from stencilnet.cli.app import CONFIG_EXAMPLES, EXAMPLES

verbs = [[], *([verb.__name__.rstrip("_")] for verb in EXAMPLES)]
verbs += [["config", verb.__name__] for verb in CONFIG_EXAMPLES]
for words in verbs:
    told = CliRunner().invoke(app, [*words, "--help"])
    assert told.exit_code == 0, told.output
    assert "stencilnet " + " ".join(words) in told.output
heavy = {"torch", "xarray", "matplotlib", "numba", "cvxpy"}
print(sorted(heavy & set(sys.modules)))
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


@pytest.mark.long
def test_the_package_imports_where_nothing_can_be_written():
    home = {"HOME": "/nowhere", "XDG_CACHE_HOME": "/nowhere", "NUMBA_CACHE_DIR": ""}
    assert run(READ_ONLY + USE, **home) == stencilnet.__file__


def test_help_waits_for_no_numerics():
    assert run(HELP) == "[]"


def test_names_come_from_where_the_types_say():
    tree = ast.parse(Path(stencilnet.__file__).read_text())
    homes = {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module.startswith("stencilnet.")
        for alias in node.names
    }
    assert set(homes) == set(stencilnet.__all__)
    for name, module in homes.items():
        home = importlib.import_module(module)
        assert getattr(stencilnet, name) is getattr(home, name)
        assert name in dir(stencilnet)
    assert stencilnet.solver is importlib.import_module("stencilnet.solver")
    with pytest.raises(AttributeError, match="no attribute 'Gird'"):
        getattr(stencilnet, "Gird")  # noqa: B009


def test_the_package_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "stencilnet", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "stencilnet [OPTIONS] COMMAND" in done.stdout
    assert "__main__" not in done.stdout
