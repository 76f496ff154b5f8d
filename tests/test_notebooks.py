"""The notebooks run from top to bottom, and hold the outputs of such a run."""

import json
import re
from pathlib import Path

import matplotlib
import pytest
from matplotlib import pyplot

FOLDER = Path(__file__).parents[1] / "docs" / "notebooks"
NAMES = ["differentiate", "first_solve", "own_data", "train"]


def code_cells(name):
    notebook = json.loads((FOLDER / f"{name}.ipynb").read_text(encoding="utf-8"))
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def test_every_notebook_is_known():
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == NAMES


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs(name, tmp_path, monkeypatch):
    matplotlib.use("agg")
    monkeypatch.chdir(tmp_path)
    names = {}
    for cell in code_cells(name):
        source = re.sub(
            r"^%matplotlib inline$", "", "".join(cell["source"]), flags=re.M
        )
        short = re.sub(r"iterations=\d+", "iterations=8", source)
        exec(compile(short, name, "exec"), names)
    pyplot.close("all")


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_holds_its_outputs(name):
    cells = code_cells(name)
    assert [cell["execution_count"] for cell in cells] == [*range(1, len(cells) + 1)]
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert len(outputs) >= 3
    assert not any(output["output_type"] == "error" for output in outputs)
    assert "nan" not in str([o.get("data", {}).get("text/plain") for o in outputs])
