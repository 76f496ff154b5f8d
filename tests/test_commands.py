"""Commands for long work: examples, JSON, logs, configs, sweeps and tables."""

import contextlib
import csv
import io
import json
import shlex
import sys

import numpy as np
import pytest
import typer
import xarray as xr
import yaml
from rich.console import Console
from studies import SMALL, small

from stencilnet import load_config
from stencilnet.cli import app, main
from stencilnet.cli.app import CONFIG_EXAMPLES, EXAMPLES
from stencilnet.progress import bars, shown
from stencilnet.report import Rows
from stencilnet.storage import read_operator, write_dataset
from stencilnet.study import Config, config_keys, config_text, plan_sweep, tabulate
from stencilnet.study.loading import validate_config
from stencilnet.study.sweep_plans import _word

SWEEP = (
    "training.seed=[0,1]",
    "training.iterations=2",
    "data.validation=1",
    "comparison.methods=[[weno_z]]",
    "--jobs=1",
)


def say(patch, *words):
    """Exit code, standard output and standard error of a command."""
    patch.setattr(sys, "argv", ["stencilnet", *words])
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as end,
    ):
        main()
    return end.value.code, out.getvalue(), err.getvalue()


def rows_of(path):
    return list(csv.DictReader(path.read_text().splitlines()))


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A folder with a sweep over two seeds, and what the command said."""
    folder = tmp_path_factory.mktemp("swept")
    (folder / "small.yaml").write_text(yaml.safe_dump(SMALL))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        code, out, err = say(patch, "sweep", "small.yaml", *SWEEP)
    assert code == 0, err
    return folder, out, err


def test_examples_are_commands_with_options_that_exist():
    group = typer.main.get_command(app)
    assert {verb.__name__.removesuffix("_") for verb in EXAMPLES} | {"config"} == set(
        group.commands
    )
    for lines in [*EXAMPLES.values(), *CONFIG_EXAMPLES.values()]:
        for line in lines:
            verb, *words = shlex.split(line.split(" > ")[0])
            command = group.commands[verb]
            if verb == "config":
                verb, *words = words
                command = command.commands[verb]
            command.make_context(verb, words)
            with pytest.raises(Exception, match="--no-such"):
                command.make_context(verb, [*words, "--no-such"])


def test_completion_knows_the_configs(monkeypatch):
    monkeypatch.setenv("_STENCILNET_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "stencilnet train p2")
    monkeypatch.setenv("COMP_CWORD", "2")
    code, out, _ = say(monkeypatch)
    assert code == 0
    assert out.split() == ["p2", "p2-stencil-net"]


def test_a_mistake_is_an_object_in_json(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    code, out, err = say(monkeypatch, "generate", "nothing", "--json")
    assert code == 2
    assert json.loads(out)["error"].startswith("There is no config 'nothing'")
    assert "Error: There is no config" in err


def test_a_dry_run_tells_memory_and_time(monkeypatch, tmp_path):
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(SMALL))
    monkeypatch.chdir(tmp_path)
    told = [
        json.loads(
            say(monkeypatch, "train", "small.yaml", *words, "--dry-run", "--json")[1]
        )
        for words in ([], ["training.batch=40"], ["reference.points=auto"])
    ]
    assert all(cost["training_seconds"] > 0 for cost in told)
    assert told[0]["generating_seconds"] > 0
    kept = 7 * 11 * 8 * (17 + 33 + 17)
    assert told[0]["generating_disk_bytes"] == 2 * kept
    assert told[0]["generating_bytes"] > 2 * kept
    assert told[2]["generating_seconds"] is None
    # Ten times the windows keep about ten times as much for the gradient.
    ratio = told[1]["training_bytes"] / told[0]["training_bytes"]
    assert ratio == pytest.approx(10, rel=0.2)
    assert not (tmp_path / "runs").exists()


def test_without_a_terminal_progress_is_lines_with_the_time_left(monkeypatch):
    clock = iter(np.arange(0.0, 1000.0, 3.0))
    monkeypatch.setattr("time.monotonic", lambda: float(next(clock)))
    text = io.StringIO()
    with bars(Console(file=text, width=20)) as each:
        progress = each("Training")
        for done in range(1, 11):
            progress(done, 10, f"loss {done}e-3")
    lines = text.getvalue().splitlines()
    # Two readings of the clock, six seconds, for each update.
    assert [line.split(" ", 2)[2] for line in lines] == [
        "Training 1/10, loss 1e-3",
        "Training 3/10, loss 3e-3, 42 s left",
        "Training 5/10, loss 5e-3, 30 s left",
        "Training 7/10, loss 7e-3, 18 s left",
        "Training 9/10, loss 9e-3, 6 s left",
        "Training 10/10, loss 10e-3, took 54 s",
    ]


def test_progress_is_shown_when_asked_for(capsys):
    for asked, seen in ((True, True), (False, False)):
        with shown(asked, "Working") as progress:
            progress(1, 1, "")
        assert ("Working 1/1" in capsys.readouterr().err) is seen
    calls = []
    with shown(lambda *told: calls.append(told), "Working") as progress:
        progress(1, 2, "half")
    assert calls == [(1, 2, "half")]


def test_every_key_is_explained():
    schema = Config.model_json_schema()
    sections = schema["$defs"]
    expected = []
    for name, entry in schema["properties"].items():
        choices = [entry, *entry.get("anyOf", [])]
        section = next((e["$ref"] for e in choices if "$ref" in e), None)
        inner = sections[section.rpartition("/")[2]]["properties"] if section else None
        expected += [f"{name}.{key}" for key in inner] if inner else [name]
    keys = config_keys()
    assert [key.name for key in keys] == expected
    assert all(key.type and key.meaning for key in keys)
    bound = {key.name: key.type for key in keys}
    assert bound["operator.width"] == "int >= 1 or null"
    assert bound["reference.points"] == "int >= 8 or 'auto'"
    data = [name for name in expected if name.startswith("data.")]
    assert [key.name for key in config_keys("data")] == data
    with pytest.raises(ValueError, match=r"did you mean 'data\.test'"):
        config_keys("data.tst")


@pytest.mark.parametrize("comments", [False, True])
@pytest.mark.parametrize("name", ["demo", "kdv"])
def test_a_config_written_out_is_the_same_config(name, comments):
    config = load_config(name)
    text = config_text(config, comments=comments)
    assert validate_config(yaml.safe_load(text), "text") == config
    assert max(map(len, text.splitlines()[:20])) <= 100
    assert ("# number of updates." in text) is comments


def test_config_commands(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert say(monkeypatch, "config", "new", "my.yaml", "--like", "p1")[0] == 0
    assert load_config("my.yaml") == load_config("p1")
    assert say(monkeypatch, "config", "new", "my.yaml")[0] == 2
    out = say(monkeypatch, "config", "show", "p1", "training.batch=7")[1]
    assert yaml.safe_load(out)["training"]["batch"] == 7
    assert "default 64" in say(monkeypatch, "config", "explain", "training.batch")[1]
    schema = json.loads(say(monkeypatch, "config", "schema")[1])
    assert set(schema["required"]) == {"name", "problem", "data"}


def test_runs_of_a_sweep_that_read_alike_have_folders_of_their_own():
    settings = ["problem.boost=[-0.5,0.5]", "comparison.methods=[[weno_z]]"]
    folders = [run.folder.name for run in plan_sweep("demo", settings).runs]
    assert folders == ["boost--0.5", "boost-0.5"]
    lists = [[1, 2], [-1, 2], "1/2", 3]
    words = [_word(value, lists) for value in lists]
    assert len(set(words)) == 4
    assert all(word.startswith("1-2-") for word in words[:3])
    assert words[3] == "3"
    # The same, whatever the order of the values.
    assert words[::-1] == [_word(value, lists[::-1]) for value in lists[::-1]]


@pytest.mark.long(seconds=13)
def test_a_sweep_shares_its_data_and_tabulates_the_seeds(swept):
    folder, out, err = swept
    root = folder / "runs/small-sweep"
    runs = ["seed-0", "seed-1"]
    assert sorted(path.name for path in root.iterdir())[-2:] == runs
    assert len(list(root.glob("data-*"))) == 1
    assert not list(root.glob("seed-*/data"))
    assert "Runs 2/2, seed-1" in err
    errors = [
        float(row["relative_l2"])
        for run in runs
        for row in rows_of(root / run / "comparison/table.csv")
        if row["method"] == "learned"
    ]
    rows = {row["method"]: row for row in tabulate([root]).records()}
    assert rows["learned"]["runs"] == 2
    assert rows["learned"]["mean"] == pytest.approx(np.mean(errors))
    assert rows["learned"]["spread"] == pytest.approx(np.std(errors, ddof=1))
    assert rows["WENO-Z (exponent 2)"]["spread"] == 0
    assert "| learned | 16 | 2 |" in out


@pytest.mark.long(seconds=13)
def test_an_interrupted_sweep_goes_on_where_it_stopped(swept, monkeypatch):
    folder, *_ = swept
    monkeypatch.chdir(folder)
    complete = folder / "runs/small-sweep/seed-0"
    before = {path: path.stat().st_mtime_ns for path in complete.rglob("*")}
    (folder / "runs/small-sweep/seed-1/comparison").rename(folder / "aside")
    code, out, err = say(monkeypatch, "sweep", "small.yaml", *SWEEP, "--json")
    assert code == 0, err
    assert len(json.loads(out)["wrote"]) == 2
    assert (folder / "runs/small-sweep/seed-1/comparison").exists()
    assert {path: path.stat().st_mtime_ns for path in complete.rglob("*")} == before
    other = ("sweep", "small.yaml", *SWEEP, "training.learning_rate=1e-3", "--quiet")
    code, out, err = say(monkeypatch, *other)
    assert (code, out) == (2, "")
    assert "2 of 2 runs failed" in " ".join(err.split())
    assert "holds a run with other settings" in " ".join(err.split())


def test_a_sweep_keeps_what_every_run_needs(monkeypatch, tmp_path):
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(SMALL))
    monkeypatch.chdir(tmp_path)
    settings = ["operator.points=[8,16]", "problem.duration=[1.0,2.0]"]
    plan = plan_sweep("small.yaml", settings)
    assert len(plan.runs) == 4
    assert len(plan.data) == 2
    for config in plan.data.values():
        assert config.data.averages == (8, 16, 32)
        # The spectral method of the comparison holds point values.
        assert config.data.values == (8, 16)
    assert {run.config.comparison.points for run in plan.runs} == {(8,), (16,)}
    with pytest.raises(ValueError, match="A sweep varies a key"):
        plan_sweep("small.yaml", ["training.batch=3"])
    advice = r"brackets of their own: training\.horizon=\[\[2\]\]"
    with pytest.raises(ValueError, match=advice):
        plan_sweep("small.yaml", ["training.horizon=[2]"])
    both = ["training.horizon=[2]", "comparison.points=[8]"]
    with pytest.raises(
        ValueError, match=r"horizon=\[\[2\]\] comparison\.points=\[\[8\]\]"
    ):
        plan_sweep("small.yaml", both)
    with pytest.raises(ValueError, match=r"batch(?!.*brackets)"):
        plan_sweep("small.yaml", ["training.batch=[many]"])


@pytest.mark.long(seconds=13)
def test_losses_are_a_table_while_a_training_runs(swept):
    folder = swept[0] / "runs/small-sweep/seed-1"
    history = read_operator(folder / "operator.zarr").history
    rows = rows_of(folder / "losses.csv")
    assert [int(row["update"]) for row in rows] == [1, 2]
    assert [float(row["loss"]) for row in rows] == pytest.approx(history["loss"], 1e-5)
    assert rows[0]["validation_relative_l2"] == ""
    error = history["validation_relative_l2"][-1]
    assert float(rows[1]["validation_relative_l2"]) == pytest.approx(error, 1e-5)


def comparison(folder, errors, **sections):
    """A run whose comparison has one error per method."""
    metric = {"heading": "error", "column": "relative_l2"}
    names = np.array(list(errors), dtype=np.dtypes.StringDType())
    dataset = xr.Dataset(
        {"relative_l2": (("scheme", "sample"), [[e] for e in errors.values()], metric)},
        {"scheme": names},
        {"points": 16, "config": small(**sections).model_dump_json()},
    )
    (folder / "comparison").mkdir(parents=True)
    write_dataset(dataset, folder / "comparison/comparison-16.zarr")


def test_a_table_tells_runs_apart_by_what_they_differ_in(tmp_path):
    for batch, seed, error in (
        (4, 0, 0.1),
        (4, 1, 0.3),
        (16, 0, 0.5),
        (16, 1, 0.9),
    ):
        comparison(
            tmp_path / f"batch-{batch}_{seed}",
            {"learned": error, "weno_z": 0.2},
            training={"batch": batch, "seed": seed},
        )
    rows = [tuple(row) for row in tabulate([tmp_path]).rows]
    assert rows == [
        ("4", "learned", 16, 2, pytest.approx(0.2), pytest.approx(0.02**0.5), 0.3),
        ("", "WENO-Z (exponent 2)", 16, 4, pytest.approx(0.2), 0, 0.2),
        ("16", "learned", 16, 2, pytest.approx(0.7), pytest.approx(0.08**0.5), 0.9),
    ]
    for rate in (0.5, 0.05, 0.25):
        run = tmp_path / f"rates/rate-{rate}"
        comparison(run, {"learned": rate}, training={"learning_rate": rate})
    assert [row[-1] for row in tabulate([tmp_path / "rates"]).rows] == [0.05, 0.25, 0.5]
    with pytest.raises(FileNotFoundError, match="There is no comparison"):
        tabulate([tmp_path / "batch-4_0/comparison"])
    with pytest.raises(ValueError, match="did you mean 'relative_l2'"):
        tabulate([tmp_path], metric="relativ_l2")


def test_tables_come_in_three_formats():
    rows = Rows({"name": "", "error_1": "{:.1f}"}, [["50% & more", 0.25]])
    assert rows.text(".csv").splitlines() == ["name,error_1", "50% & more,0.25"]
    assert rows.text(".md").splitlines()[2] == "| 50% & more | 0.2 |"
    assert rows.text(".tex").splitlines() == [
        r"\begin{tabular}{lr}",
        r"\toprule",
        r"name & error\_1 \\",
        r"\midrule",
        r"50\% \& more & 0.2 \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]
    with pytest.raises(ValueError, match="no format of tables '.xls'"):
        rows.text(".xls")
