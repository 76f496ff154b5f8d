"""Checks shapes and types at run time, and fixes the number of threads."""

import os
from pathlib import Path

import hypothesis
import pytest
import torch
from jaxtyping import install_import_hook

with install_import_hook("stencilnet", "typecheck.checked"):
    import stencilnet

torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
# The same examples everywhere, and none judged by the speed of a machine.
hypothesis.settings.register_profile("stencilnet", deadline=None, derandomize=True)
hypothesis.settings.load_profile("stencilnet")


def pytest_report_header() -> str:
    return f"stencilnet: {Path(stencilnet.__file__).parent}"


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(20)
