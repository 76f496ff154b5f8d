"""The shell of study scripts."""

import csv
import json
import math
import sys
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from stencilnet.report import Rows
from stencilnet.study import Script

STUDIES = sorted((Path(__file__).parents[1] / "simulations").glob("*.py"))


def parse(monkeypatch, *arguments, **settings):
    monkeypatch.setattr(sys, "argv", ["anything.py", *arguments])
    return Script.parse("studies/waves.py", "Waves.\n\nMore.", quick="few", **settings)


def test_a_study_writes_to_a_folder_of_its_name(monkeypatch):
    study = parse(monkeypatch)
    assert (study.folder, study.quick) == (Path("runs/waves"), False)
    study = parse(monkeypatch, "--quick", "--run", "~/elsewhere")
    assert (study.folder, study.quick) == (Path.home() / "elsewhere", True)


def test_options_of_a_study_have_their_types_and_defaults(monkeypatch):
    options = {
        "batch-size": {"type": int, "default": 3},
        "slow": {"action": "store_true"},
    }
    assert parse(monkeypatch, options=options).options == {
        "batch_size": 3,
        "slow": False,
    }
    study = parse(monkeypatch, "--batch-size", "5", options=options)
    assert study.options == {"batch_size": 5, "slow": False}
    with pytest.raises(SystemExit):
        parse(monkeypatch, "--batch-size", "five", options=options)
    with pytest.raises(SystemExit):
        parse(monkeypatch, "--slow")


def test_a_study_can_need_an_argument(monkeypatch):
    arguments = {"name": {"choices": ["one", "two"]}}
    study = parse(monkeypatch, "two", "--quick", arguments=arguments)
    assert (study.options, study.quick) == ({"name": "two"}, True)
    with pytest.raises(SystemExit):
        parse(monkeypatch, arguments=arguments)
    with pytest.raises(SystemExit):
        parse(monkeypatch, "three", arguments=arguments)


def test_what_a_study_leaves_can_be_read_back(monkeypatch, tmp_path, capsys):
    study = parse(monkeypatch, "--run", str(tmp_path / "new"))
    rows = Rows({"method": "", "error": "{:.1e}"}, [("a", 1 / 3), ("b", math.nan)])
    for _ in range(2):
        paths = study.write(
            {"error": 1 / 3, "none": math.nan},
            tables={"table": rows, "notes": "# Notes\n"},
            figures={"waves": Figure(figsize=(1, 1))},
        )
    names = [
        "table.md",
        "table.csv",
        "notes.md",
        "waves.png",
        "waves.pdf",
        "result.json",
    ]
    assert [path.name for path in paths] == names
    assert sorted((tmp_path / "new").iterdir()) == sorted(paths)
    result = json.loads(paths[-1].read_text())
    assert result.pop("schema").startswith("stencilnet.result/")
    assert result == {"error": 1 / 3, "none": None}
    _, first, _ = csv.reader(paths[1].read_text().splitlines())
    assert first == ["a", repr(1 / 3)]
    printed = capsys.readouterr().out
    assert "| a | 3.3e-01 |\n| b |  |\n" in printed
    assert printed.count("wrote ") == 2 * len(names)


def test_numbers_stand_on_the_right_and_gaps_are_empty():
    rows = Rows(
        {"name": "", "n": "{:d}", "x": "{:.2f}"}, [("a", 3, None), ("b", 4, 0.5)]
    )
    assert rows.markdown() == (
        "| name | n | x |\n| --- | ---: | ---: |\n| a | 3 |  |\n| b | 4 | 0.50 |\n"
    )
    with pytest.raises(ValueError, match="Row 0 has 1 values.*columns name, n, x"):
        Rows({"name": "", "n": "{:d}", "x": "{:.2f}"}, [("a",)])


@pytest.mark.parametrize("study", STUDIES, ids=lambda path: path.stem)
def test_every_study_has_the_quick_case_and_says_where_it_writes(study):
    text = study.read_text()
    documentation = text.split('"""')[1]
    assert f"python simulations/{study.name}" in documentation
    assert "--quick" in documentation
    assert f"runs/{study.stem}/" in " ".join(documentation.split())
    assert "result.json" in documentation


@pytest.mark.parametrize("study", STUDIES, ids=lambda path: path.stem)
def test_the_shell_of_a_study_is_two_calls(study):
    text = study.read_text()
    assert text.count("Script.parse(") == text.count(".write(") == 1
    for other in ("argparse", "open(", "print(", "write_text", "savefig"):
        assert other not in text
