"""Ensembles in blocks: bounded, resumed, on workers, and the same bits always."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
import xarray as xr
from studies import generated, small

from stencilnet import Grid, denoise, generate, read_trajectories, train
from stencilnet.forcing import RandomForcing
from stencilnet.report import comparison_table, write_report
from stencilnet.storage import blocks, read_dataset, trajectories, write_trajectories
from stencilnet.study import (
    INITIAL_STATES,
    compare_study,
    denoising,
    generation,
    plan_sweep,
    rolling,
    run_sweep,
)
from stencilnet.study import compared as comparing
from stencilnet.study import ensemble as ensembles
from stencilnet.study.ensemble import Ensemble
from stencilnet.study.generation import store_path
from stencilnet.study.problem import SPLITS, problem_of, problem_of_samples
from stencilnet.study.reference import (
    UnresolvedError,
    onto,
    reference_solution,
    unheld,
)
from stencilnet.study.workers import crew, finished

distributed = pytest.importorskip("distributed")
dask = pytest.importorskip("dask")
# What ends processes hangs on how fast others start and end.
ends_processes = pytest.mark.skipif(
    "STENCILNET_CLUSTER" not in os.environ, reason="set STENCILNET_CLUSTER to try"
)

# Two batches, of which one holds samples of all splits.
MANY = {"data": {"training": 100, "validation": 40, "test": 20}}


def hashes(run: Path) -> dict[str, str]:
    """The content of each store, by path."""
    return {
        str(path.relative_to(run)): read_trajectories(path).attrs["content_hash"]
        for path in sorted(run.rglob("*.zarr"))
    }


def left(run: Path) -> list[Path]:
    """The hidden folders of blocks."""
    return sorted(run.glob(".*"))


FIELDS = ("u", "reference")


@pytest.fixture
def small_batches(monkeypatch):
    """Batches of two samples, of which the small study has four."""
    monkeypatch.setattr(ensembles, "_BATCH", 2)


@pytest.fixture
def solved(monkeypatch):
    """Numbers of the blocks that this process solves for."""
    numbers: list[int] = []
    solve = Ensemble.solve

    def noted(self, number, *others):
        numbers.append(number)
        return solve(self, number, *others)

    # Workers look it up by its name.
    noted.__name__ = "solve"
    monkeypatch.setattr(Ensemble, "solve", noted)
    return numbers


def stops_at(moment: int):
    """Progress that stops the process, as Ctrl-C does, when so much is done."""

    def progress(done, _total, note):
        if note == "solving the reference" and done == moment:
            raise KeyboardInterrupt

    return progress


def stopped(run: Path, moment: int, **sections) -> None:
    with pytest.raises(KeyboardInterrupt, match="goes on"):
        generate(small(**sections), run, progress=stops_at(moment))


@pytest.mark.parametrize("rows", [128, 32])
def test_blocks_hold_what_a_solution_at_once_holds(tmp_path, monkeypatch, rows):
    config = small(**MANY)
    each = ensembles.sample_bytes(config)
    monkeypatch.setattr(ensembles, "_BLOCK_BYTES", rows * each)
    sizes = []
    dataset = ensembles._Kept.dataset
    monkeypatch.setattr(
        ensembles._Kept,
        "dataset",
        lambda self, steps: sizes.append(len(self.largest)) or dataset(self, steps),
    )
    generate(config, tmp_path)
    monkeypatch.undo()
    # Steps that are found first keep nothing on any grid.
    assert max(sizes) == 128
    assert sizes.count(rows) >= 128 // rows
    problem, fine = problem_of(config, *SPLITS), Grid.line(64)
    modes = torch.cat(
        [
            torch.stack(
                [u_hat for u_hat, _ in reference_solution(problem.select(rows), fine)],
                dim=1,
            )
            for rows in (slice(0, 128), slice(128, 160))
        ]
    )[:, problem.start :]
    first = 0
    for split in SPLITS:
        rows = slice(first, first + getattr(config.data, split))
        first = rows.stop
        for points, averages in ((16, True), (32, True), (16, False)):
            path = store_path(tmp_path, split, points, averages=averages)
            stored = read_trajectories(path)
            args = modes[rows], fine, Grid.line(points)
            # A part of a batch may be rounded otherwise than the whole of it.
            for name, kept in (("u", onto), ("unheld", unheld)):
                expected = kept(*args, averages=averages)
                np.testing.assert_allclose(stored[name], expected, rtol=0, atol=1e-12)
            forcing = problem.forcing.select(rows).starting_at(0.2)
            assert np.array_equal(stored["forcing_phase"], forcing.phase)


def test_steps_do_not_depend_on_the_size_of_a_block(tmp_path, monkeypatch):
    # Larger forcings make samples of one batch differ in the steps that they need.
    config = small(forcing={"amplitude": 1.5}, reference={"points": 256})
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    generate(config, whole)
    monkeypatch.setattr(ensembles, "_BLOCK_BYTES", ensembles.sample_bytes(config))
    generate(config, parts)
    for path in hashes(whole):
        ours, theirs = (read_trajectories(run / path) for run in (whole, parts))
        assert ours.attrs["steps"] == theirs.attrs["steps"]
        np.testing.assert_allclose(ours["u"], theirs["u"], rtol=0, atol=1e-12)


# Stored states are drawn from a file, by the same streams.
@pytest.mark.parametrize("kind", sorted(set(INITIAL_STATES) - {"StoredStates"}))
def test_samples_do_not_depend_on_those_before_them(kind):
    grid, state = Grid.line(64), INITIAL_STATES[kind]()
    several = state.sample(5, 3)(grid)
    assert torch.equal(state.sample(2, 3, first=2)(grid), several[2:4])
    waves = RandomForcing.sample(5, seed=3)
    some = RandomForcing.sample(2, seed=3, first=2)
    assert torch.equal(some.phase, waves.phase[2:4])


def test_samples_of_a_study_count_through_its_splits():
    config, grid = small(problem={"initial": {"name": "RandomWaves"}}), Grid.line(64)
    everything = problem_of(config, *SPLITS)
    numbers = [6, 1, 2, 3, 4, 0]
    some = problem_of_samples(config, numbers)
    assert torch.equal(some.states(grid), everything.states(grid)[numbers])
    assert torch.equal(some.forcing.phase, everything.forcing.phase[numbers])


def test_a_stopped_generation_goes_on_after_its_whole_blocks(
    tmp_path, small_batches, solved
):
    whole, run = tmp_path / "whole", tmp_path / "run"
    generate(small(), whole)
    assert solved == [0, 1, 2, 3]
    solved.clear()
    stopped(run, 2 * 13 + 1)
    assert solved == [0, 1, 2]
    assert not list(run.rglob("*.zarr"))
    (folder,) = left(run)
    # A byte of the first block flips meanwhile.
    shard = folder / "64-0.8" / "averages_16" / "c" / "0" / "0" / "0"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(bytes(content))
    solved.clear()
    generate(small(), run)
    assert solved == [0, 2, 3]
    assert hashes(run) == hashes(whole)
    assert left(run) == []


def test_a_block_without_its_checksum_is_redone(tmp_path, small_batches, solved):
    stopped(tmp_path, 2 * 13 + 1)
    (folder,) = left(tmp_path)
    (folder / "64-0.8" / "block_checksum" / "c" / "1" / "0" / "0").unlink()
    damaged = folder / "64-0.8" / "block_checksum" / "c" / "0" / "0" / "0"
    damaged.write_bytes(damaged.read_bytes()[:-5])
    solved.clear()
    generate(small(), tmp_path)
    assert solved == [0, 1, 2, 3]


@pytest.mark.long
def test_a_killed_generation_ends_at_the_same_bits(tmp_path):
    program = (
        "import os, signal, sys;"
        "from stencilnet import generate;"
        "from stencilnet.study import ensemble;"
        "from stencilnet.study.loading import validate_config;"
        "import json;"
        "ensemble._BATCH = 2;"
        "solve = ensemble.Ensemble.solve;"
        "ensemble.Ensemble.solve = lambda *a:"
        " os.kill(os.getpid(), signal.SIGKILL) if a[1] == 1 else solve(*a);"
        "generate(validate_config(json.loads(sys.argv[2]), ''), sys.argv[1])"
    )
    run, whole = tmp_path / "run", tmp_path / "whole"
    killed = subprocess.run(
        [sys.executable, "-c", program, run, small().model_dump_json()],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert killed.returncode == -signal.SIGKILL
    assert len(left(run)) == 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ensembles, "_BATCH", 2)
        generate(small(), run)
        generate(small(), whole)
    assert hashes(run) == hashes(whole)
    assert left(run) == []


def test_what_was_begun_with_other_settings_is_not_discarded_unasked(
    tmp_path, small_batches, solved
):
    stopped(tmp_path, 13 + 1)
    other = small(data={"seed": 4})
    with pytest.raises(FileExistsError, match="other settings .* --overwrite"):
        generate(other, tmp_path)
    # What does not decide the data may change.
    solved.clear()
    with pytest.raises(KeyboardInterrupt):
        generate(
            small(training={"iterations": 7}), tmp_path, progress=stops_at(2 * 13 + 1)
        )
    assert solved == [1, 2]
    generate(other, tmp_path, overwrite=True)
    assert left(tmp_path) == []
    stored = read_trajectories(store_path(tmp_path, "test", 16, averages=True))
    assert stored.attrs["seed"] == 4


def test_stores_that_are_written_stay_when_others_follow(tmp_path, solved, monkeypatch):
    write, written = generation.write_in_blocks, []

    def stops(*arguments, **settings):
        if len(written) == 4:
            raise KeyboardInterrupt
        written.append(arguments[1])
        return write(*arguments, **settings)

    monkeypatch.setattr(generation, "write_in_blocks", stops)
    with pytest.raises(KeyboardInterrupt):
        generate(small(), tmp_path)
    first = [path.stat().st_ino for path in written]
    monkeypatch.setattr(generation, "write_in_blocks", write)
    solved.clear()
    with pytest.raises(FileExistsError, match="exists"):
        generate(small(data={"seed": 4}), tmp_path)
    paths = generate(small(), tmp_path)
    assert solved == []
    assert [path.stat().st_ino for path in paths[:4]] == first
    assert len(hashes(tmp_path)) == 9


@pytest.mark.long
def test_a_search_for_a_grid_goes_on_where_it_stopped(tmp_path, monkeypatch):
    config = small(
        problem={
            "equation": {"name": "Burgers", "viscosity": 0.02},
            "initial": {"name": "RandomWaves"},
        },
        reference={"points": "auto", "tolerance": 1e-6},
    )
    tried = []
    solve = generation.solve_ensemble

    def noted(ensemble, *others):
        tried.append((ensemble.points, ensemble.courant))
        if len(tried) == 3:
            raise KeyboardInterrupt
        return solve(ensemble, *others)

    monkeypatch.setattr(generation, "solve_ensemble", noted)
    with pytest.raises(KeyboardInterrupt):
        generate(config, tmp_path / "run")
    generate(config, tmp_path / "run")
    assert tried[2] == tried[3]
    assert len(set(tried)) == len(tried) - 1
    generate(config, tmp_path / "whole")
    assert hashes(tmp_path / "run") == hashes(tmp_path / "whole")


@pytest.fixture(scope="module")
def address():
    """A cluster in this process."""
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=False,
        dashboard_address="127.0.0.1:0",
    ) as cluster:
        yield cluster.scheduler_address


@pytest.fixture
def one_thread():
    """As workers have; sums over more threads are rounded otherwise."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
def test_a_cluster_ends_at_the_same_bits(tmp_path, small_batches, solved, address):
    here, there = tmp_path / "here", tmp_path / "there"
    generate(small(), here)
    solved.clear()
    stopped(there, 13 + 1)
    solved.clear()
    told = []
    generate(
        small(), there, scheduler=address, progress=lambda *words: told.append(words)
    )
    assert sorted(solved) == [1, 2, 3]
    assert hashes(here) == hashes(there)
    assert [done for done, _, note in told if note.startswith("solving")] == [
        2 * 13,
        3 * 13,
        4 * 13,
    ]


def test_what_is_wrong_on_a_worker_is_told_as_here(tmp_path, address):
    config = small(reference={"tolerance": 1e-15})
    with pytest.raises(UnresolvedError, match="above the tolerance"):
        generate(config, tmp_path, scheduler=address)
    blown = small(
        reference={"courant": 40.0},
        forcing={"amplitude": 300.0},
        problem={"equation": {"name": "Burgers", "viscosity": 1e-3}},
        data={"training": 1, "validation": 1, "test": 1},
    )
    with pytest.raises(UnresolvedError, match="blew up"):
        generate(blown, tmp_path, scheduler=address)
    assert not list(tmp_path.iterdir())


def test_blocks_that_do_not_arrive_are_told(tmp_path, monkeypatch, address):
    def solve(_self, number):
        return number

    monkeypatch.setattr(Ensemble, "solve", solve)
    with pytest.raises(OSError, match="share"):
        generate(small(), tmp_path, scheduler=address)


def test_a_cluster_takes_the_runs_of_a_sweep(tmp_path, monkeypatch, address):
    ran = []
    monkeypatch.setattr(
        "stencilnet.study.sweep._run", lambda _config, folder, _data: ran.append(folder)
    )
    (tmp_path / "small.json").write_text(small().model_dump_json())
    plan = plan_sweep(
        tmp_path / "small.json", ["training.seed=[0,1]"], tmp_path, data=tmp_path
    )
    assert run_sweep(plan, scheduler=address) == {}
    assert sorted(ran) == sorted(member.folder for member in plan.runs)
    with pytest.raises(ValueError, match="not both"):
        run_sweep(plan, jobs=2, scheduler=address)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"workers": 1, "scheduler": "tcp://a:1"}, ValueError, "not both"),
        ({"workers": 0}, ValueError, "workers"),
        ({"workers": 1.5}, ValueError, "workers"),
        ({"scheduler": "tcp://127.0.0.1:9"}, ConnectionError, "No Dask scheduler"),
        ({"scheduler": "nonsense"}, ConnectionError, "No Dask scheduler"),
    ],
)
def test_workers_that_cannot_be_are_refused(
    tmp_path, monkeypatch, settings, error, message
):
    monkeypatch.setattr("stencilnet.study.workers._PATIENCE", 0.5)
    with pytest.raises(error, match=message):
        generate(small(), tmp_path, **settings)
    assert not list(tmp_path.iterdir())
    # Or no dataset could be written as netCDF any more.
    assert dask.config.get("scheduler", None) is None


def test_without_dask_a_sentence_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ValueError, match=r"pip install 'stencilnet\[scale\]'"):
        generate(small(), tmp_path, workers=2)
    generate(small(), tmp_path)


@ends_processes
def test_the_block_of_a_dead_worker_is_redone(tmp_path):
    deaths = tmp_path / "deaths"
    with crew(workers=2) as client:
        results = list(finished(client, dies_once, [(deaths, n) for n in range(4)]))
        assert sorted(results) == [0, 1, 2, 3]
        with pytest.raises(ChildProcessError, match="Several workers died"):
            list(finished(client, dies, [0]))
    assert deaths.exists()
    # No worker outlives its crew.
    assert not [p for p in psutil.Process().children() if "dask" in p.name().lower()]


def dies_once(item):
    """The second half, by a process that ends itself where no other did."""
    deaths, number = item
    if number == 1:
        with contextlib.suppress(FileExistsError):
            deaths.touch(exist_ok=False)
            os._exit(1)
    return number


def dies(_item):
    os._exit(1)


@ends_processes
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGKILL], ids=["int", "kill"])
def test_a_stopped_crew_leaves_no_process_and_goes_on(tmp_path, kind):
    # So many blocks that the last one is not there when the first one is seen.
    config = small(data={"training": 2400, "validation": 100, "test": 100})
    (tmp_path / "small.json").write_text(config.model_dump_json())
    run = tmp_path / "run"
    command = [sys.executable, "-m", "stencilnet", "generate", "small.json"]
    command += ["--run", "run", "--workers", "2"]
    settings = {"cwd": tmp_path, "text": True, "start_new_session": True}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, **settings)
    done = "*/*/block_checksum/c/*/0/0"
    while not list(run.glob(f".{done}")) and not list(run.glob(done)):
        assert process.poll() is None, "ended before it could be stopped"
        time.sleep(0.01)
    os.killpg(process.pid, kind) if kind == signal.SIGINT else process.send_signal(kind)
    told = process.communicate()[1]
    if kind == signal.SIGINT:
        assert process.returncode == 130
        assert "goes on there" in told
        assert "Traceback" not in told
    deadline = time.monotonic() + 30
    while group(process.pid):
        assert time.monotonic() < deadline, "workers outlive the process"
        time.sleep(0.1)
    generate(config, run)
    generate(config, tmp_path / "whole")
    assert hashes(run) == hashes(tmp_path / "whole")
    assert left(run) == []


def group(number: int) -> list[int]:
    """Living processes of a group."""
    found = []
    for process in psutil.process_iter(["status"]):
        with contextlib.suppress(OSError, psutil.Error):
            alive = process.info["status"] != psutil.STATUS_ZOMBIE
            if alive and os.getpgid(process.pid) == number:
                found.append(process.pid)
    return found


@pytest.fixture
def noisy(tmp_path, monkeypatch):
    """A store of three blocks to denoise."""
    monkeypatch.setattr(blocks, "_BLOCK_BYTES", 2 * 6 * 16 * 8)
    u = np.random.default_rng(0).standard_normal((5, 6, 16)).cumsum(-1)
    dataset = trajectories(u, np.arange(6.0), Grid.line(16), averages=True)
    return write_trajectories(dataset, tmp_path / "noisy.zarr")


def test_workers_denoise_to_the_same_bits(tmp_path, noisy, address):
    settings = {"noise": 0.1, "seed": 3}
    here = denoise(noisy, tmp_path / "here.zarr", **settings)
    told = []
    there = denoise(
        noisy,
        tmp_path / "there.zarr",
        scheduler=address,
        progress=lambda *words: told.append(words[:2]),
        **settings,
    )
    assert told == [(0, 5), (2, 5), (4, 5), (5, 5)]
    one, other = read_trajectories(here), read_trajectories(there)
    assert one.attrs["content_hash"] == other.attrs["content_hash"]
    # In place, the store that is read is the one that is replaced.
    denoise(noisy, scheduler=address, **settings)
    assert read_trajectories(noisy).attrs["content_hash"] == one.attrs["content_hash"]
    assert not left(tmp_path)


def test_a_stopped_crew_denoises_what_is_missing(tmp_path, noisy, address, monkeypatch):
    """As after Ctrl-C, or the death of the process that gave the command."""

    def stops(done, _total, _note):
        if done:
            raise KeyboardInterrupt

    out = tmp_path / "out.zarr"
    with pytest.raises(KeyboardInterrupt):
        denoise(noisy, out, scheduler=address, progress=stops)
    # What workers still write is theirs; what they wrote is not made again.
    time.sleep(0.5)
    made = []
    write = denoising.write_block
    monkeypatch.setattr(
        denoising,
        "write_block",
        lambda folder, block, number, **sizes: (
            made.append(number),
            write(folder, block, number, **sizes),
        ),
    )
    denoise(noisy, out, scheduler=address)
    assert len(made) < 3
    here = denoise(noisy, tmp_path / "here.zarr")
    hashes = [read_trajectories(path).attrs["content_hash"] for path in (out, here)]
    assert hashes[0] == hashes[1]


@pytest.mark.long
@pytest.mark.usefixtures("one_thread")
def test_a_comparison_in_blocks_is_that_at_once(tmp_path, monkeypatch, address):
    config = generated(tmp_path, data={"test": 5})
    train(config, tmp_path)
    whole = compare_study(config, tmp_path)
    monkeypatch.setattr(rolling, "_BLOCK", 2 * 11 * 16)
    here = compare_study(config, tmp_path)
    there = compare_study(config, tmp_path, scheduler=address)
    for one, two, all_ in zip(here, there, whole, strict=True):
        xr.testing.assert_identical(one, two)
        xr.testing.assert_allclose(one, all_, rtol=1e-10)
        assert one.attrs == all_.attrs
        assert {n: one[n].attrs for n in one} == {n: all_[n].attrs for n in all_}


@pytest.mark.long
@pytest.mark.usefixtures("one_thread")
def test_a_large_comparison_keeps_the_fields_of_its_first_samples(
    tmp_path, monkeypatch
):
    config = generated(tmp_path, data={"test": 5})
    train(config, tmp_path)
    (whole,) = compare_study(config, tmp_path)
    monkeypatch.setattr(rolling, "_BLOCK", 2 * 11 * 16)
    size = 16 * 11 * 16 * whole.sizes["scheme"]
    limit = {"memory": 3.5 * size / 2**30}
    comparison = config.comparison.model_copy(update=limit)
    config = config.model_copy(update={"comparison": comparison})
    measured, columns = comparing._measured, []
    monkeypatch.setattr(
        comparing, "_measured", lambda *a: columns.extend(measured(*a)) or columns
    )
    (some,) = compare_study(config, tmp_path)
    # What is not kept is not held either, by a view into it.
    for fields in (column[name].values for column in columns for name in FIELDS):
        assert fields.base is None or fields.base.nbytes == fields.nbytes
    assert some["u"].dims == ("scheme", "kept", "time", "x")
    assert some.sizes["kept"] == 3
    np.testing.assert_allclose(some["u"], whole["u"][:, :3], rtol=1e-10)
    np.testing.assert_allclose(some["relative_l2"], whole["relative_l2"], rtol=1e-10)
    assert comparison_table([some]) is not None
    write_report([some], tmp_path / "comparison")
    assert read_dataset(tmp_path / "comparison" / "comparison-16.zarr").equals(some)
