"""Shapes and types at run time, which a test run by itself does not check."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CHECKED = os.environ | {"STENCILNET_TYPECHECK": "1"}
MODULES = ("test_foreign_ends.py", "test_moments.py", "test_pictures.py")


@pytest.mark.long(seconds=30)
@pytest.mark.parametrize("module", MODULES)
def test_calls_have_the_shapes_and_types_that_they_declare(module):
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    options = ["-m", "not long", "-p", "no:randomly", "-p", "no:xdist", module]
    done = subprocess.run(
        [*command, *options],
        cwd=HERE,
        env=CHECKED,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-2000:]


@pytest.mark.long(seconds=10)
def test_a_call_with_a_wrong_type_is_noticed():
    code = (
        "import conftest\n"
        "from stencilnet.denoising import denoise_signals\n"
        "denoise_signals([0.0, 1.0], 0.1, periodic='yes')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=HERE,
        env=CHECKED,
        capture_output=True,
        text=True,
    )
    assert "TypeCheckError" in done.stderr
