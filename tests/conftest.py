"""Checks shapes and types at run time, and fixes threads and compiler's cache."""

import os
import tempfile
import warnings
from pathlib import Path

import hypothesis
import jaxtyping
import matplotlib
import pytest
import torch
from jaxtyping import install_import_hook

# For good, as the wings are imported when they are first asked for. It makes a test run
# much slower: `test_typecheck.py` asks for it.
if os.environ.get("STENCILNET_TYPECHECK"):
    install_import_hook("stencilnet", "typecheck.checked")
import stencilnet

# Half of the time of small studies goes into files, on many a disk: memory is quicker,
# where there is enough of it that may hold programs too.
MEMORY = Path("/dev/shm")
if MEMORY.is_dir() and os.access(MEMORY, os.W_OK):
    room = os.statvfs(MEMORY)
    if room.f_bavail * room.f_frsize > 4 * 2**30 and not room.f_flag & os.ST_NOEXEC:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))
# What torch compiled for one set of instructions it would take for another.
capability = torch.backends.cpu.get_cpu_capability().replace(" ", "-")
os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(
    Path(tempfile.gettempdir()) / f"stencilnet-{os.getuid()}-{capability}"
)
# torch loads what forward mode needs when first asked for it, with a warning of its
# own: here, where no test counts it as an error of the package.
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    torch.func.jvp(torch.sin, (torch.ones(1),), (torch.ones(1),))
# Most of a short study's time goes into its figures: few pixels, unless a test says.
matplotlib.rcParams["savefig.dpi"] = 40
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
# The same examples everywhere, and none judged by the speed of a machine.
hypothesis.settings.register_profile("stencilnet", deadline=None, derandomize=True)
hypothesis.settings.load_profile("stencilnet")


def pytest_report_header() -> str:
    return f"stencilnet: {Path(stencilnet.__file__).parent}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that say their seconds go first: no worker is left with one at the end.

    Then those of the denoising, whose kernels take half a minute to compile: all in the
    first half, so that one worker compiles for both.
    """

    def place(item: pytest.Item) -> tuple[float, bool]:
        mark = item.get_closest_marker("long")
        seconds = 0.0 if mark is None else mark.kwargs.get("seconds", 0.0)
        return -seconds, not item.path.name.startswith("test_denoising")

    items.sort(key=place)


@pytest.fixture
def unchecked_types(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs the package as a user does, so that it refuses a wrong type by itself."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(20)
