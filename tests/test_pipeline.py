"""The whole way through the command line, and its answers to mistakes."""

import csv
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml
import zarr
from studies import SMALL

from stencilnet import (
    Burgers,
    Grid,
    LearnedStencil,
    load_operator,
    read_trajectories,
    save_operator,
)
from stencilnet.cli import main


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with a config and a run that has its data and its operator."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "small.yaml").write_text(yaml.safe_dump(SMALL))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert call(patch, "generate", "small.yaml") == 0
        assert call(patch, "train", "small.yaml") == 0
    return folder


@pytest.fixture
def home(finished, tmp_path, monkeypatch):
    """A copy of that folder for one test, which runs in it."""
    copy = tmp_path / "home"
    shutil.copytree(finished, copy)
    monkeypatch.chdir(copy)
    return copy


def call(patch, *arguments):
    """Exit code of the command."""
    patch.setattr(sys, "argv", ["stencilnet", *arguments])
    with pytest.raises(SystemExit) as caught:
        main()
    return caught.value.code


def test_the_stages_follow_each_other(home, monkeypatch, capsys):
    for figure in ("training", "certificate"):
        assert (home / f"runs/small/{figure}.png").exists()
    assert call(monkeypatch, "compare", "small.yaml") == 0
    assert list((home / "runs/small/comparison").glob("*.png"))
    printed = capsys.readouterr().out
    for word in ("learned", "WENO-Z", "pseudo-spectral", "rel. L2", "floor"):
        assert word in printed
    assert "wrote runs/small/comparison/table.md" in printed
    assert (
        call(
            monkeypatch,
            "simulate",
            "runs/small/operator.zarr",
            "a.zarr",
            "--samples",
            "2",
        )
        == 0
    )
    assert read_trajectories(home / "a.zarr").sizes["sample"] == 2
    assert (
        call(monkeypatch, "simulate", "weno_z", "b.zarr", "--config", "small.yaml") == 0
    )
    assert not list(home.rglob("*.partial"))


def test_verify_shows_what_a_store_vouches_for(home, monkeypatch, capsys):
    draw = ("--figure", "figures/certificate.pdf")
    assert call(monkeypatch, "verify", "runs/small/operator.zarr", *draw) == 0
    printed = capsys.readouterr().out
    for word in ("is whole", "moment residual", "u_x", "Lipschitz", "null_space"):
        assert word in printed
    assert (home / "figures/certificate.png").exists()
    assert call(monkeypatch, "verify", "runs/small/operator.zarr", *draw) == 2
    data = "runs/small/data/test/averages-16.zarr"
    again = ("verify", "runs/small/operator.zarr", "--data", data)
    assert call(monkeypatch, *again) == 0
    assert call(monkeypatch, "verify", data) == 0
    assert "cell averages: 2 sample, 11 time, 16 x" in capsys.readouterr().out


@pytest.mark.long(seconds=10)
def test_the_demo_leaves_its_result(home, monkeypatch, capsys):
    demo = ("demo", "--config", "small.yaml")
    assert call(monkeypatch, *demo) == 2
    # One run that replaces another; the other tests begin in empty folders.
    assert call(monkeypatch, *demo, "--overwrite") == 0
    assert "wrote runs/small/result.json" in capsys.readouterr().out
    result = json.loads((home / "runs/small/result.json").read_text())
    measured = {"seconds", "learned_rel_l2", "weno_z_rel_l2", "blow_ups"}
    assert set(result) == {*measured, "schema"}
    assert result["seconds"] > 0
    with (home / "runs/small/comparison/table.csv").open() as table:
        errors = {row["method"]: row["relative_l2"] for row in csv.DictReader(table)}
    assert result["learned_rel_l2"] == float(errors["learned"])
    assert result["weno_z_rel_l2"] == float(errors["weno_z"])
    assert errors["learned"] != errors["weno_z"]
    assert result["blow_ups"] == dict.fromkeys(
        ("learned", "weno_z", "central_2", "spectral"), 0
    )


def test_a_dry_run_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for command in (["generate", "p2"], ["train", "p2"], ["compare", "p2"], ["demo"]):
        assert call(monkeypatch, *command, "--dry-run") == 0
    assert "80 trajectories of 401 states" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def nan_in_the_training_data(home):
    path = home / "runs/small/data/training/averages-16.zarr"
    group = zarr.open_group(path)
    group["u"][0, 0, 0] = np.nan


def foreign_store(home):
    path = home / "runs/small/data/training/averages-16.zarr"
    zarr.open_group(path).attrs["schema"] = "other/7"


def half_written_store(home):
    path = home / "runs/small/data/test/averages-16.zarr"
    shutil.rmtree(path / "u" / "c")


MISTAKES = {
    "unknown key": (["generate", "small.yaml", "data.sed=1"], None, "did you mean"),
    "unknown config": (["generate", "smal.yaml"], None, "There is no config"),
    "grid that does not divide": (
        ["generate", "small.yaml", "data.averages=[24]", "--run", "new"],
        None,
        "cannot be kept on 24: choose a number that divides 64",
    ),
    "small stencil": (
        [
            "train",
            "small.yaml",
            "operator.width=2",
            "operator.constraint={kind: null_space, order: 3}",
            "--overwrite",
        ],
        None,
        "widen the stencil to 3 points or lower",
    ),
    "windows that are too long": (
        ["train", "small.yaml", "training.horizon=[500]", "--overwrite"],
        None,
        "shorten training.horizon",
    ),
    "other data": (
        ["train", "small.yaml", "data.seed=7", "--overwrite"],
        None,
        "was generated with data.seed=3",
    ),
    "method that does not exist": (
        ["demo", "--config", "small.yaml", "comparison.methods=[weno_z,weno_x]"],
        None,
        "There is no method 'weno_x', did you mean 'weno_z'.",
    ),
    "duration without end": (
        ["simulate", "weno_z", "a.zarr", "--config", "small.yaml", "--duration", "inf"],
        None,
        "must be finite, not inf",
    ),
    "more than fits": (
        ["generate", "small.yaml", "forcing.modes=100000000000", "--run", "new"],
        None,
        "Not enough memory",
    ),
    "config that is no text": (
        ["generate", "runs/small/operator.bin"],
        lambda home: (home / "runs/small/operator.bin").write_bytes(b"\xff\xfe\x00"),
        "is no text file",
    ),
    "run that is a file": (
        ["generate", "small.yaml", "--run", "small.yaml"],
        None,
        "small.yaml is a file",
    ),
    "viscosity": (
        ["generate", "small.yaml", "problem.equation.viscosity=-1"],
        None,
        "finite and not negative, but this one is -1",
    ),
    "output of generate exists": (["generate", "small.yaml"], None, "exists"),
    "output of train exists": (["train", "small.yaml"], None, "exists"),
    "NaN in a store": (
        ["train", "small.yaml", "--overwrite"],
        nan_in_the_training_data,
        "u/c/0/0/0 in it does not match its checksum",
    ),
    "store of another schema": (
        ["train", "small.yaml", "--overwrite"],
        foreign_store,
        "has the schema 'other/7'",
    ),
    "half-written store": (
        ["compare", "small.yaml"],
        half_written_store,
        "damaged or half-written",
    ),
    "half-written operator": (
        ["verify", "runs/small/operator.zarr"],
        lambda home: shutil.rmtree(home / "runs/small/operator.zarr/certificate/step"),
        "damaged or half-written",
    ),
    "trajectories certified on data": (
        ["verify", "runs/small/data/test/averages-16.zarr", "--data", "small.yaml"],
        None,
        "Only an operator is certified on data",
    ),
    "figure of trajectories": (
        ["verify", "runs/small/data/test/averages-16.zarr", "--figure", "a"],
        None,
        "Only a certificate is drawn",
    ),
    "nothing to verify": (["verify", "nothing.zarr"], None, "There is no store"),
    "data that is not there": (
        ["train", "small.yaml", "--run", "new"],
        None,
        "make it first",
    ),
    "overrides without a config": (
        ["simulate", "weno_z", "a.zarr", "problem.equation.viscosity=1"],
        None,
        "name one with --config",
    ),
    "operator that is a data store": (
        ["simulate", "runs/small/data/test/averages-16.zarr", "new.zarr"],
        None,
        "has the schema",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_costs_one_sentence_and_nothing_else(
    home, monkeypatch, capsys, mistake
):
    arguments, damage, message = MISTAKES[mistake]
    if damage:
        damage(home)
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*")}
    capsys.readouterr()
    assert call(monkeypatch, *arguments) == 2
    told = capsys.readouterr().err
    errors = " ".join(told[told.index("Error:") :].split())
    assert message in errors
    assert "Traceback" not in told
    assert {path: path.stat().st_mtime_ns for path in home.rglob("*")} == before


def test_a_bad_option_is_a_mistake_too(monkeypatch):
    assert call(monkeypatch, "simulate", "weno_z", "a", "--seed", "-1") == 2
    assert call(monkeypatch, "frobnicate") == 2


WRONG_TYPES = {
    "operator.constraint={kind: convex, side_conditions: "
    "[{kind: sign, index: a, sign: 1}]}": "not 'a'",
    "operator.constraint={kind: convex, side_conditions: [x]}": "'x'",
    "operator.constraint={kind: soft, mu: thin}": "'thin'",
    "operator.network={kind: mlp, hidden: [0]}": "at least 1 unit",
}


def test_values_of_a_wrong_type_are_mistakes(home):
    """Outside of this process, whose checks of types would come first."""
    script = (
        "import sys\n"
        "from stencilnet.cli import main\n"
        "for override in sys.argv[1:]:\n"
        "    sys.argv = ['stencilnet', 'train', 'small.yaml', '--dry-run',\n"
        "                override]\n"
        "    try:\n"
        "        main()\n"
        "    except SystemExit as end:\n"
        "        print(end.code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *WRONG_TYPES],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["2"] * len(WRONG_TYPES), done.stderr
    assert "Traceback" not in done.stderr
    for message in WRONG_TYPES.values():
        assert message in " ".join(done.stderr.split())


def test_dry_runs_refuse_what_could_not_run(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    for command, setting, message in (
        ("generate", "operator.form=Foo", "no form 'Foo'"),
        ("compare", "comparison.methods=[weno]", "did you mean 'weno_z'"),
        ("generate", "data.averages=[48]", "choose a number that divides"),
        ("train", "training.integrator=RK5", "did you mean 'RK4'"),
    ):
        assert call(monkeypatch, command, "demo", setting, "--dry-run") == 2
        assert message in " ".join(capsys.readouterr().err.split())
    assert call(monkeypatch, "generate", "demo", "--dry-run") == 0
    assert not any(tmp_path.iterdir())


def test_an_operator_of_ones_own_needs_a_problem(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    operator = LearnedStencil(Burgers(0.02), Grid.line(32), dtype=torch.float32)
    path = save_operator(operator, "own.zarr", attributes={"note": "mine"})
    found, stored = load_operator(path)
    for name, value in operator.state_dict().items():
        assert torch.equal(value, found.state_dict()[name])
    assert stored.attributes["note"] == "mine"
    assert call(monkeypatch, "simulate", "own.zarr", "a.zarr") == 2
    assert "--config" in capsys.readouterr().err
    settings = ("--config", "demo", "--duration", "1")
    assert call(monkeypatch, "simulate", "own.zarr", "a.zarr", *settings) == 0
