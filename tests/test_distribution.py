"""What a wheel and an sdist hold, and that one of them runs where nothing else is."""

import io
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NAME = f"stencilnet-{PROJECT['version']}"


def build(tree, kind, folder):
    """Builds a distribution from a tree, offline."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d"]
    subprocess.run([*command, str(folder)], cwd=tree, check=True, capture_output=True)
    (path,) = folder.iterdir()
    return path


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    pytest.importorskip("hatchling")
    return build(ROOT, "wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """The tree that an sdist unpacks to."""
    pytest.importorskip("hatchling")
    path = build(ROOT, "sdist", tmp_path_factory.mktemp("sdist"))
    folder = tmp_path_factory.mktemp("source")
    with tarfile.open(path) as archive:
        archive.extractall(folder, filter="data")
    return folder / NAME


def contents(wheel):
    """The files of a wheel, but the list of their checksums."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if not name.endswith("RECORD")]
        return {name: archive.read(name) for name in names}


@pytest.mark.long
def test_the_wheel_holds_what_the_package_reads(wheel):
    held = contents(wheel)
    assert "stencilnet/py.typed" in held
    assert "stencilnet/report/page.html" in held
    configs = {path.name for path in (ROOT / "configs").glob("*.yaml")}
    assert {f"stencilnet/configs/{name}" for name in configs} <= set(held)
    stores = ROOT / "stencilnet/pretrained"
    files = {path.relative_to(ROOT) for path in stores.rglob("*") if path.is_file()}
    assert len(files) > 50
    assert {path.as_posix() for path in files} <= set(held)
    # Nothing beside the package.
    info = f"{NAME}.dist-info"
    assert {name.split("/")[0] for name in held} == {"stencilnet", info}
    assert not [name for name in held if "__pycache__" in name or "/tests/" in name]
    assert b"License-Expression: MIT" in held[f"{info}/METADATA"]


@pytest.mark.long
def test_the_sdist_holds_what_the_readme_calls(source):
    readme = (source / "README.md").read_text()
    links = re.findall(r"\]\((?!https?:)([^)#]+)", readme)
    assert len(links) > 10
    for name in [*links, "Makefile", "constraints.txt", "configs/p2.yaml", "LICENSE"]:
        assert (source / name).exists(), name
    for script in re.findall(r"(?:simulations|tests)/\w+\.py", readme):
        assert (source / script).exists(), script
    # `make test` and `make docs` need all of these.
    for folder in ("tests", "docs", "simulations"):
        here = {p.relative_to(ROOT) for p in (ROOT / folder).rglob("*.py")}
        there = {p.relative_to(source) for p in (source / folder).rglob("*.py")}
        assert there == here


@pytest.mark.long
def test_a_wheel_from_the_sdist_is_the_wheel_from_the_tree(source, wheel, tmp_path):
    again = build(source, "wheel", tmp_path)
    assert again.name == wheel.name
    assert contents(again) == contents(wheel)


@pytest.mark.long(seconds=30)
def test_the_wheel_runs_where_the_tree_is_not(wheel, tmp_path):
    target = tmp_path / "installed"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index"]
    options = ["--no-deps", "--disable-pip-version-check", "--target", str(target)]
    subprocess.run([*pip, *options, str(wheel)], check=True, capture_output=True)
    program = (
        "import stencilnet, sys; from stencilnet.study import load_config;"
        "from importlib.metadata import version;"
        "operator, _ = stencilnet.load_operator('burgers');"
        "print(stencilnet.__file__, load_config('p2').name, version('stencilnet'),"
        " type(operator).__name__)"
    )
    script = target / "bin" / "stencilnet"
    for command in (
        [sys.executable, "-c", program],
        [sys.executable, str(script), "config", "show", "kdv", "--json"],
    ):
        told = subprocess.run(
            command,
            cwd=tmp_path,
            env={"PYTHONPATH": str(target), "PATH": "", "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        if command[1] == "-c":
            file, *words = told.split()
            assert Path(file).is_relative_to(target)
            assert words == ["p2", PROJECT["version"], "LearnedPicture"]
    assert yaml.safe_load(io.StringIO(told))["name"] == "kdv"


def test_versions_and_dates_agree():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    changelog = (ROOT / "CHANGELOG.md").read_text()
    heading = re.search(r"^## \[([\d.]+)\] - (\d{4}-\d\d-\d\d)$", changelog, re.M)
    assert heading, "the changelog has no released version"
    assert heading[1] == citation["version"] == PROJECT["version"]
    assert heading[2] == str(citation["date-released"])
    assert citation["license"] == PROJECT["license"]
    for key in ("cff-version", "message", "title", "authors"):
        assert citation[key]


def test_the_pythons_that_are_claimed_are_those_that_are_required():
    claimed = [
        line.rpartition(" ")[2]
        for line in PROJECT["classifiers"]
        if re.search(r":: 3\.\d+$", line)
    ]
    assert PROJECT["requires-python"] == f">={claimed[0]}"
    assert claimed == sorted(claimed, key=lambda v: int(v.split(".")[1]))
