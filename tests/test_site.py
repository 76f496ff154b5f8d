"""Pages of the documentation that are generated say what the code says."""

import importlib
import runpy
from pathlib import Path

import pytest

from stencilnet.study import config_keys

ROOT = Path(__file__).parents[1]
GENERATE = runpy.run_path(str(ROOT / "docs/generate.py"))


def test_every_key_has_a_row():
    page = GENERATE["keys_page"]()
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == [key.name for key in config_keys()]
    assert all(row.count("|") == 5 for row in rows)


@pytest.mark.parametrize("wing", ["", *GENERATE["WINGS"]])
def test_the_reference_holds_every_public_name(wing):
    name = f"stencilnet.{wing}".strip(".")
    page = GENERATE["reference_page"](name)
    titles = [line[3:] for line in page.splitlines() if line.startswith("## ")]
    assert titles == importlib.import_module(name).__all__
    assert page.count("```") % 2 == 0
    # What torch gives a module is in torch's reference.
    assert ".load_state_dict" not in page


def test_pages_are_in_the_site():
    index = (ROOT / "docs/index.md").read_text().split()
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")}
    assert pages - {"index", "config-keys", "reference"} <= set(index)
