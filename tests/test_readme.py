"""What the README shows works as shown."""

import re
import shlex
import sys
from pathlib import Path

import pytest

from stencilnet.cli import main

README = (Path(__file__).parents[1] / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", README, re.S)
COMMANDS = re.findall(r"^\$ stencilnet (.*)$", README, re.M)

# Overrides that shrink any study to seconds.
QUICK = [
    "problem.equation.viscosity=0.1",
    "problem.duration=1.0",
    "problem.initial=Bump",
    "problem.warm_up=0",
    "forcing.wavenumbers=[1,2]",
    "reference.points=64",
    "data.training=3",
    "data.validation=2",
    "data.test=2",
    "data.averages=[32]",
    "data.values=[32]",
    "operator.network.hidden=[8]",
    "training.iterations=6",
    "training.batch=4",
    "training.horizon=[1,2]",
    "comparison.methods=[weno_z,spectral]",
]


def test_there_are_examples_to_test():
    assert len(PYTHON) == 6
    assert len(COMMANDS) == 8


@pytest.mark.parametrize("example", PYTHON)
def test_python_examples_run(example, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # What writes stores does so a second time as well.
    for _ in range(2 if "overwrite" in example else 1):
        exec(compile(example, "README.md", "exec"), {})


def test_commands_run_in_their_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for command in COMMANDS:
        arguments = shlex.split(command)
        if arguments[0] in ("generate", "train", "compare"):
            arguments += [*QUICK, "comparison.points=[32]"]
        monkeypatch.setattr(sys, "argv", ["stencilnet", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        assert caught.value.code == 0, command


def test_files_that_the_readme_names_exist():
    root = Path(__file__).parents[1]
    for name in re.findall(r"\]\(([^):#]+)\)|python (\S+\.py)", README):
        assert (root / "".join(name)).exists(), name


def test_sections_that_the_readme_refers_to_exist():
    headings = re.findall(r"^#+ (.*)$", README, re.M)
    known = {heading.lower().replace(" ", "-") for heading in headings}
    anchors = re.findall(r"\]\(#([^)]+)\)", README)
    assert anchors
    assert set(anchors) <= known
