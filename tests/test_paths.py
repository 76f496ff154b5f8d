"""Paths: the home folder is written out, and what is no local path is refused."""

from pathlib import Path

import pytest
import torch
from studies import small
from typer.testing import CliRunner

from stencilnet import (
    Burgers,
    Grid,
    LearnedStencil,
    RandomForcing,
    denoise,
    generate,
    load_config,
    load_operator,
    read_trajectories,
    save_operator,
    simulate,
    train,
    verify,
    write_trajectories,
)
from stencilnet.cli import app
from stencilnet.report import figure_paths, write_json, write_report
from stencilnet.storage import (
    equidistant_times,
    local_path,
    new_store,
    open_trajectories,
    read_operator,
    refuse_existing,
    schema_of,
    trajectories,
)
from stencilnet.study.comparison import compare_study
from stencilnet.study.demonstration import demo
from stencilnet.study.filters import compare_denoisers
from stencilnet.study.generation import read_split, store_path

GRID = Grid.line(16)


def data():
    u = torch.zeros(1, 2, 16, dtype=torch.float64)
    forcing = RandomForcing.sample(1, seed=0)
    return trajectories(u, equidistant_times(1, 0.1), GRID, forcing, averages=True)


def entered(context):
    with context:
        pass


TAKERS = {
    "write_trajectories": lambda path: write_trajectories(data(), path),
    "read_trajectories": read_trajectories,
    "open_trajectories": lambda path: entered(open_trajectories(path)),
    "save_operator": lambda path: save_operator(
        LearnedStencil(Burgers(0.1), GRID), path
    ),
    "load_operator": load_operator,
    "read_operator": read_operator,
    "new_store": lambda path: entered(new_store(path, kind="result")),
    "refuse_existing": lambda path: refuse_existing(
        path, overwrite=False, kind="result"
    ),
    "schema_of": schema_of,
    "load_config": load_config,
    "generate": lambda path: generate(small(), path),
    "train": lambda path: train(small(), path),
    "compare_study": lambda path: compare_study(small(), path),
    "compare_study operator": lambda path: compare_study(small(), "x", operator=path),
    "demo": lambda path: demo(small(), path),
    "store_path": lambda path: store_path(path, "test", 16, averages=True),
    "read_split": lambda path: read_split(small(), path, "test", 16, averages=True),
    "simulate out": lambda path: simulate("weno_z", path, config=small()),
    "simulate method": lambda path: simulate(str(path), "out.zarr"),
    "denoise": denoise,
    "denoise out": lambda path: denoise("x.zarr", path),
    "compare_denoisers": compare_denoisers,
    "verify": verify,
    "verify data": lambda path: verify("x.zarr", data=path),
    "write_json": lambda path: write_json({}, path),
    "write_report": lambda path: write_report([], path),
    "figure_paths": figure_paths,
}
REMOTE = ["s3://bucket/a.zarr", Path("s3://bucket/a.zarr"), "a::b.zarr"]


@pytest.mark.parametrize("path", REMOTE, ids=str)
@pytest.mark.parametrize("taker", TAKERS)
def test_what_is_no_local_path_is_refused(taker, path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="is a URL, but stores .* copy it"):
        TAKERS[taker](path)
    assert not list(tmp_path.iterdir())


COMMANDS = {
    "generate": ["generate", "demo", "--run"],
    "train": ["train", "demo", "--run"],
    "compare": ["compare", "demo", "--run"],
    "denoise": ["denoise"],
    "simulate": ["simulate", "weno_z", "--config", "demo"],
    "verify": ["verify"],
    "verify --figure": ["verify", "x.zarr", "--figure"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_refuse_them_too(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, [*COMMANDS[command], "gs://bucket/run"])
    assert isinstance(result.exception, ValueError)
    assert "is a URL" in str(result.exception)
    assert not list(tmp_path.iterdir())


def test_the_home_folder_is_written_out(tmp_path, monkeypatch):
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(work)
    path = write_trajectories(data(), "~/data/a.zarr")
    assert path == home / "data" / "a.zarr"
    assert read_trajectories("~/data/a.zarr").sizes["x"] == 16
    operator = save_operator(LearnedStencil(Burgers(0.1), GRID), "~/o.zarr")
    assert operator == home / "o.zarr"
    assert load_operator(Path("~/o.zarr"))[0].grid == GRID
    assert write_json({}, Path("~/r.json")).is_relative_to(home)
    assert all(figure.is_relative_to(home) for figure in figure_paths("~/figure"))
    (home / "study.yaml").write_text((load_config("demo")).model_dump_json())
    assert load_config("~/study.yaml") == load_config("demo")
    dry = CliRunner().invoke(app, ["generate", "demo", "--run", "~/run", "--dry-run"])
    assert str(home / "run") in dry.output.replace("\n", "")
    assert not list(work.iterdir())


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("", ValueError, "names no file"),
        ("a\0b", ValueError, "names no file"),
        ("~nobody-of-that-name/a", ValueError, "home folder .* does not exist"),
        (None, TypeError, "a string or a pathlib.Path, not None"),
        (b"a.zarr", TypeError, "a string or a pathlib.Path"),
    ],
)
@pytest.mark.usefixtures("unchecked_types")
def test_other_nonsense_is_refused(path, error, message):
    with pytest.raises(error, match=message):
        local_path(path)


@pytest.mark.parametrize("path", ["a.zarr", "a:b.zarr", "C:/a.zarr", "../a", "/a b/c"])
def test_a_local_path_stays(path):
    assert local_path(path) == Path(path)
