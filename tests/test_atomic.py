"""Names that lead to whole results at any moment, and what may be replaced."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import crashes
import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from stencilnet.report import save, write_json, write_table
from stencilnet.storage import (
    STOPS,
    TABLE_MARK,
    Interrupted,
    atomic,
    claimed,
    has_work,
    locks,
    mark_report,
    new_store,
    read_dataset,
    refuse_existing,
    save_dataset,
    stop,
    sweep_below,
    uninterrupted,
    workspace,
)
from stencilnet.storage.ownership import kind_of

PACKAGE = str(Path(atomic.__file__).parents[1])


def dataset(value):
    return xr.Dataset({"a": ("x", np.full(4, float(value)))}, attrs={"number": value})


def test_a_killed_writer_leaves_every_name_whole_and_no_trace(tmp_path):
    done = subprocess.run(
        [sys.executable, crashes.__file__, PACKAGE, str(tmp_path), "10"],
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert found["kills"] >= 10
    assert found["lost"] == found["leftovers"] == 0
    # Nor does a loss of power, whenever it comes.
    assert found["power_losses"] > 50
    assert found["power_losses_broken"] == 0


@pytest.mark.parametrize("exchanges", [True, False])
def test_a_store_is_replaced_whether_or_not_names_can_be_exchanged(
    tmp_path, monkeypatch, exchanges
):
    if not exchanges:
        monkeypatch.setattr(atomic, "exchange", lambda _one, _other: False)
    path = tmp_path / "a.zarr"
    for value in (1, 2, 3):
        save_dataset(dataset(value), path, overwrite=True)
        assert read_dataset(path).attrs["number"] == value
    assert list(tmp_path.iterdir()) == [path]


def test_a_replacement_that_fails_between_two_renames_loses_nothing(
    tmp_path, monkeypatch
):
    path = save_dataset(dataset(1), tmp_path / "a.zarr")
    monkeypatch.setattr(atomic, "exchange", lambda _one, _other: False)
    rename = Path.rename

    def fails(self, target):
        if self.parent.suffix == ".partial":
            raise PermissionError(13, "Permission denied", str(self))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(PermissionError):
        save_dataset(dataset(2), path, overwrite=True)
    assert read_dataset(path).attrs["number"] in (1, 2)
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path):
    (tmp_path / "disk").mkdir()
    path = save_dataset(dataset(1), tmp_path / "disk" / "a.zarr")
    link = tmp_path / "link.zarr"
    link.symlink_to(path)
    save_dataset(dataset(2), link, overwrite=True)
    assert link.is_symlink()
    assert read_dataset(path).attrs["number"] == 2


def test_two_writers_of_one_new_name_do_not_replace_each_other(tmp_path):
    path = tmp_path / "a.zarr"
    with pytest.raises(FileExistsError), new_store(path, kind="dataset") as late:
        late.mkdir()
        save_dataset(dataset(1), path)
    assert read_dataset(path).attrs["number"] == 1
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_living_writer_has_begun_is_not_swept_away(tmp_path):
    with new_store(tmp_path / "a.json", kind="result") as partial:
        partial.write_text("{}")
        with pytest.raises(RuntimeError), new_store(tmp_path / "a.json", kind="result"):
            raise RuntimeError
        sweep_below(tmp_path)
    assert (tmp_path / "a.json").read_text() == "{}"


def test_what_a_dead_writer_left_is_swept_away(tmp_path):
    for place in ("", "data/test"):
        left = tmp_path / place / ".a.zarr.0123456789abcdef.partial" / "a.zarr"
        left.mkdir(parents=True)
        (left / "zarr.json").write_text("half")
    sweep_below(tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["data", "test"]


def test_everything_is_on_disk_before_it_takes_its_name(tmp_path, monkeypatch):
    """The disk after a loss of power holds what was flushed, and no more."""
    flushed: dict[int, float] = {}
    fsync = os.fsync

    def recorded(descriptor):
        fsync(descriptor)
        status = os.fstat(descriptor)
        flushed[status.st_ino] = status.st_mtime_ns

    lost, named = [], []
    take = atomic.take_name

    def taken(staged, path, *, overwrite):
        for part in (staged, *staged.rglob("*")):
            status = part.stat()
            if flushed.get(status.st_ino) != status.st_mtime_ns:
                lost.append(part)
        take(staged, path, overwrite=overwrite)
        named.append(path)
        parent = path.parent.stat()
        if flushed.get(parent.st_ino) != parent.st_mtime_ns:
            lost.append(path.parent)

    monkeypatch.setattr(os, "fsync", recorded)
    monkeypatch.setattr(atomic, "take_name", taken)
    for value in (1, 2):
        save_dataset(dataset(value), tmp_path / "a.zarr", overwrite=True)
        write_json({"a": value}, tmp_path / "a.json", overwrite=True)
    assert len(named) == 4
    assert not lost


def test_a_run_has_one_writer_at_a_time(tmp_path):
    refused = []

    def other():
        try:
            with claimed(tmp_path / "run"):
                pass
        except BlockingIOError as error:
            refused.append(str(error))

    def elsewhere():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()

    with claimed(tmp_path / "run"), claimed(tmp_path / "run"):
        elsewhere()
        # The inner block ended, the outer one has not.
    assert len(refused) == 1
    assert "Another process is writing" in refused[0]
    elsewhere()
    assert len(refused) == 1
    assert not locks._claims
    assert not (tmp_path / "run").exists()


def test_a_lock_ends_with_the_process_that_holds_it(tmp_path):
    program = (
        "import fcntl, os, sys, time\n"
        "folder = os.open(sys.argv[1], os.O_RDONLY)\n"
        "fcntl.flock(folder, fcntl.LOCK_EX)\n"
        "print('held', flush=True)\n"
        "time.sleep(60)\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE
    )
    holder.stdout.readline()
    with pytest.raises(BlockingIOError), claimed(tmp_path):
        pass
    holder.kill()
    holder.wait()
    holder.stdout.close()
    with claimed(tmp_path):
        pass


def figure(path):
    return save(Figure(figsize=(1, 1)), path.with_suffix(""))


def report(path):
    path.mkdir()
    (path / "table.md").write_text("")
    save_dataset(dataset(1), path / "comparison-16.zarr")
    mark_report(path)


OWN = {
    "a.json": ("result", lambda path: write_json({}, path)),
    "a.png": ("figure", figure),
    "a.pdf": ("figure", figure),
    "a.md": ("table", lambda path: write_table("| a |\n", path)),
    "a.zarr": ("dataset", lambda path: save_dataset(dataset(1), path)),
    "comparison": ("report", report),
}
FOREIGN = {
    "a.json": lambda path: path.write_text('{"schema": "mine"}'),
    "list.json": lambda path: path.write_text("[1, 2]"),
    "a.png": lambda path: Figure(figsize=(1, 1)).savefig(path),
    "a.pdf": lambda path: Figure(figsize=(1, 1)).savefig(path),
    "a.md": lambda path: path.write_text("# Notes\n"),
    "a.csv": lambda path: path.write_text("a,b\n"),
    "a.zarr": lambda path: xr.Dataset({"a": 1}).to_zarr(path, consolidated=False),
    "checkpoints": lambda path: (path.mkdir(), (path / "notes.txt").touch()),
    "broken.zarr": lambda path: (path.mkdir(), (path / "zarr.json").write_text("{")),
}


@pytest.mark.parametrize("name", OWN)
def test_a_result_is_replaced_by_one_of_its_kind_only(tmp_path, name):
    kind, write = OWN[name]
    write(tmp_path / name)
    assert kind_of(tmp_path / name) == kind
    refuse_existing(tmp_path / name, overwrite=True, kind=kind)
    for other in {kind for kind, _ in OWN.values()} - {kind}:
        with pytest.raises(FileExistsError, match="another kind"):
            refuse_existing(tmp_path / name, overwrite=True, kind=other)


@pytest.mark.parametrize("name", FOREIGN)
def test_what_others_wrote_is_never_replaced(tmp_path, name):
    FOREIGN[name](tmp_path / name)
    for kind in {kind for kind, _ in OWN.values()}:
        with pytest.raises(FileExistsError, match="no result of stencilnet"):
            refuse_existing(tmp_path / name, overwrite=True, kind=kind)


@pytest.mark.parametrize("name", ["a.zarr", "comparison"])
def test_a_result_with_the_notes_of_a_user_in_it_stays(tmp_path, name):
    kind, write = OWN[name]
    write(tmp_path / name)
    inner = {"a.zarr": "a", "comparison": "comparison-16.zarr"}[name]
    for notes in (tmp_path / name / "notes.txt", tmp_path / name / inner / "notes.txt"):
        notes.write_text("years of work")
        with pytest.raises(FileExistsError, match=r"notes\.txt in it is not of"):
            refuse_existing(tmp_path / name, overwrite=True, kind=kind)
        notes.unlink()
    refuse_existing(tmp_path / name, overwrite=True, kind=kind)


def test_a_figure_that_cannot_be_drawn_leaves_neither_of_its_files(tmp_path):
    class Wrong(Figure):
        def savefig(self, *arguments, **settings):
            if settings["format"] == "pdf":
                raise RuntimeError("half-way")
            super().savefig(*arguments, **settings)

    with pytest.raises(RuntimeError):
        save(Wrong(figsize=(1, 1)), tmp_path / "a")
    assert not list(tmp_path.iterdir())


def test_a_signal_waits_for_the_end_of_what_must_not_be_cut_short():
    steps = []
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            with uninterrupted(), uninterrupted():
                signal.raise_signal(signal.SIGINT)
                steps.append("whole")
            steps.append("after")
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, former)
    assert steps == ["whole"]


def test_commands_turn_signals_into_an_orderly_end():
    former = signal.signal(signal.SIGTERM, stop)
    try:
        with pytest.raises(Interrupted) as caught:
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, former)
    assert caught.value.number == signal.SIGTERM
    assert isinstance(caught.value, STOPS)
    assert not isinstance(caught.value, Exception)


class Msvcrt:
    """The locks of Windows, on files, by those of this system."""

    LK_NBLCK = 2

    @staticmethod
    def locking(descriptor, _mode, _size):
        fcntl = pytest.importorskip("fcntl")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OSError(13, "Permission denied") from None


def test_locks_hold_where_folders_cannot_be_locked(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "_fcntl", None)
    monkeypatch.setattr(locks, "_msvcrt", Msvcrt)
    monkeypatch.setattr(locks.tempfile, "tempdir", str(tmp_path))
    folder = tmp_path / "run"
    folder.mkdir()
    held = locks.hold(folder)
    assert held is not None
    assert locks.hold(folder) is None
    assert locks.seize(folder) is None
    with pytest.raises(BlockingIOError, match="Another process"), claimed(folder):
        pass
    os.close(held)
    again = locks.seize(folder)
    assert again is not None
    os.close(again)
    assert locks.seize(tmp_path / "none") is None
    path = save_dataset(dataset(1), folder / "a.zarr")
    assert save_dataset(dataset(2), path, overwrite=True) == path
    assert [left.name for left in folder.iterdir()] == ["a.zarr"]


def test_the_package_is_imported_without_locks_of_the_system():
    program = (
        "import sys\n"
        "sys.modules['fcntl'] = None\n"
        "from stencilnet.storage import locks\n"
        "assert locks._fcntl is None and locks._msvcrt is None\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_ctrl_c_during_imports_ends_without_a_word():
    program = (
        "import builtins, os, signal\n"
        # Whoever started the tests may have them ignore it.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "imports = builtins.__import__\n"
        "def stops(name, *others, **named):\n"
        "    if name == 'typer':\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "    return imports(name, *others, **named)\n"
        "builtins.__import__ = stops\n"
        "import stencilnet.cli\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_work_that_was_begun_through_a_link_is_found_through_either(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real", target_is_directory=True)
    with (
        pytest.raises(KeyboardInterrupt),
        workspace(tmp_path / "link", identity="a") as work,
    ):
        (work / "half").touch()
        raise KeyboardInterrupt
    assert has_work(tmp_path / "link", "a")
    assert has_work(tmp_path / "real", "a")
    assert not has_work(tmp_path / "real", "b")


def test_the_mark_of_a_table_has_a_line_of_its_own(tmp_path):
    path = write_table("| error |", tmp_path / "a.md")
    assert path.read_text() == f"| error |\n{TABLE_MARK}"
