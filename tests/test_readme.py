"""What the README and the documentation show works as shown."""

import contextlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from stencilnet.cli import main

ROOT = Path(__file__).parents[1]
GENERATED = ("config-keys.md", "reference.md")
PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    # Those follow from the code when the site is built.
    if path.parent.name != "reference" and path.name not in GENERATED
}
PYTHON = {name: re.findall(r"```python\n(.*?)```", PAGES[name], re.S) for name in PAGES}
# Examples of what no test has, such as a cluster.
ELSEWHERE = {name: re.findall(r"```py\n(.*?)```", PAGES[name], re.S) for name in PAGES}
COMMANDS = {
    name: re.findall(
        r"^\$ (?:stencilnet )?((?<=stencilnet ).*|openssl .*)$",
        re.sub("```text.*?```", "", PAGES[name], flags=re.S),
        re.M,
    )
    for name in PAGES
}

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
    "comparison.points=[32]",
]


def test_there_are_examples_to_test():
    assert sum(map(len, PYTHON.values())) >= 14
    assert sum(map(len, COMMANDS.values())) >= 17


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(name, marks=[pytest.mark.long] * (name != "README.md"))
        for name in PAGES
        if PYTHON[name]
    ],
)
def test_python_examples_run_one_after_the_other(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for example in PYTHON[page]:
        short = re.sub(r"iterations=\d+", "iterations=20", example)
        # What writes stores does so a second time as well.
        for _ in range(2 if "overwrite" in example else 1):
            exec(compile(short, page, "exec"), names)


@pytest.mark.parametrize("page", [name for name in PAGES if ELSEWHERE[name]])
def test_examples_of_what_no_test_has_are_python(page):
    for example in ELSEWHERE[page]:
        compile(example, page, "exec")


def test_the_first_number_is_computed_within_forty_lines(capsys):
    lines = PAGES["README.md"].splitlines()
    end = [index for index, line in enumerate(lines) if line == "```"][1]
    assert lines[end - 1].startswith("    print")
    assert end <= 40
    exec(compile(PYTHON["README.md"][0], "README.md", "exec"), {})
    told = re.findall(r"# ([\d.]+), then ([\d.]+)", lines[end - 1])[0]
    printed = capsys.readouterr().out.split()
    assert [float(word) for word in printed] == pytest.approx(
        [float(word) for word in told], rel=0.02
    )


def quick(command):
    """A command in a form that takes seconds."""
    verb, *words = shlex.split(command)
    if verb in ("generate", "train", "compare"):
        return [verb, *words, *QUICK]
    if verb != "sweep":
        return [verb, *words]
    # Lists of values stand for one run, the first.
    fixed = [
        f"{key}=[{value}]" if value[0] == "[" else f"{key}={value}"
        for key, _, value in (word.partition("=") for word in QUICK)
    ]
    first = [re.sub(r"=\[(\[.*?\]|[^,\]]*).*\]$", r"=[\1]", word) for word in words]
    return [verb, *first, *fixed, "training.iterations=2", "--jobs=1"]


@pytest.mark.long(seconds=60)
def test_commands_run_in_their_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # A server that would run until it is interrupted.
    loop = pytest.importorskip("tornado.platform.asyncio").BaseAsyncIOLoop
    monkeypatch.setattr(loop, "start", lambda _loop: None)
    for command in (line for page in PAGES for line in COMMANDS[page]):
        if command.startswith("openssl"):
            subprocess.run(shlex.split(command), check=True)
            continue
        monkeypatch.setattr(sys, "argv", ["stencilnet", *quick(command)])
        with contextlib.suppress(SystemExit), pytest.raises(SystemExit) as caught:
            main()
        assert caught.value.code == 0, command


@pytest.mark.parametrize("page", PAGES)
def test_files_that_pages_name_exist(page):
    folder = (ROOT / page).parent
    for name, script in re.findall(
        r"\]\((?!https?:)([^):#]+)\)|python (simulations/\S+\.py)", PAGES[page]
    ):
        path = ROOT / script if script else folder / name
        assert name in GENERATED or path.exists(), path


@pytest.mark.parametrize("page", PAGES)
def test_sections_that_pages_refer_to_exist(page):
    for target, anchor in re.findall(r"\]\(([\w/.-]*\.md)?#([^)]+)\)", PAGES[page]):
        path = (ROOT / page).parent / target if target else ROOT / page
        headings = re.findall(r"^#+ (.*)$", path.read_text(), re.M)
        known = {heading.lower().replace(" ", "-") for heading in headings}
        assert anchor in known
