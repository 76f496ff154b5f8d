"""Checks shapes and types at run time, and fixes the number of threads."""

import os
from pathlib import Path

import pytest
import torch
from jaxtyping import install_import_hook

with install_import_hook("stencilnet", "typecheck.checked"):
    import stencilnet

torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))


def pytest_report_header() -> str:
    return f"stencilnet: {Path(stencilnet.__file__).parent}"


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(20)
