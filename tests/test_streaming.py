"""Trainings whose trajectories stay on disk are those in memory, to the bit."""

import shutil

import numpy as np
import pytest
import torch
from studies import generated, small

from stencilnet import Burgers, Grid, LearnedStencil, fit, read_trajectories, train
from stencilnet.forcing import RandomForcing, SampledForcing
from stencilnet.storage import (
    blocks,
    equidistant_times,
    open_pieces,
    read_operator,
    trajectories,
    write_trajectories,
)
from stencilnet.study import store_path
from stencilnet.study.streaming import stored
from stencilnet.study.windows import Trajectories, summary_of

SAMPLES, TIMES, POINTS = 7, 9, 16


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of three samples in chunks of one."""
    sample = TIMES * POINTS * 8
    monkeypatch.setattr(blocks, "_BLOCK_BYTES", 3 * sample)
    monkeypatch.setattr(blocks, "_CHUNK_BYTES", sample)


def data(forcing="waves"):
    """Trajectories under waves or under a forcing that is known by its values."""
    u = np.random.default_rng(0).standard_normal((SAMPLES, TIMES, POINTS))
    times = equidistant_times(TIMES - 1, 0.1)
    known = RandomForcing.sample(SAMPLES, seed=0)
    if forcing == "values":
        known = SampledForcing(times, u[::-1].copy())
    return trajectories(u, times, Grid.line(POINTS), known, averages=True)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("forcing", ["waves", "values"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_windows_from_disk_are_those_in_memory(tmp_path, forcing, dtype):
    path = write_trajectories(data(forcing), tmp_path / "a.zarr")
    whole = Trajectories.of(read_trajectories(path), dtype)
    with stored(path, dtype) as (source, _):
        for seed in range(4):
            draw = (8, 3, slice(2, 7))
            if seed % 2:
                source.expect(np.random.default_rng(seed), *draw)
            one = whole.windows(np.random.default_rng(seed), *draw)
            other = source.windows(np.random.default_rng(seed), *draw)
            assert torch.equal(one.u, other.u)
            assert one.u.dtype == other.u.dtype == dtype
            assert torch.equal(one.force()(0.05), other.force()(0.05))
        assert source.summary().deviation == whole.summary().deviation
        assert torch.equal(source.summary().extremes, whole.summary().extremes)
        parts = list(source.parts())
    assert torch.equal(torch.cat([part.u for part in parts]), whole.u)


def test_a_summary_does_not_depend_on_how_the_samples_are_divided():
    u = np.random.default_rng(0).standard_normal((50, 30, 16)) + 100
    one = summary_of([u], torch.float64)
    many = summary_of(np.array_split(u, 7), torch.float64)
    assert one.deviation == many.deviation == pytest.approx(u.std(ddof=1), rel=1e-12)
    assert one.extremes.tolist() == [u.min(), u.max()]


@pytest.mark.parametrize(
    ("rows", "starts", "length"),
    [([0], [-1], 2), ([0], [TIMES - 1], 2), ([-1], [0], 2), ([0, 99], [0, 0], 2)],
)
def test_pieces_outside_of_what_is_stored_are_refused(tmp_path, rows, starts, length):
    path = write_trajectories(data(), tmp_path / "a.zarr")
    with open_pieces(path) as (_, pieces), pytest.raises(IndexError, match="outside"):
        pieces("u").read(np.array(rows), np.array(starts), length)


@pytest.mark.usefixtures("small_blocks")
def test_a_part_of_the_chunks_is_kept(tmp_path, monkeypatch):
    path = write_trajectories(data(), tmp_path / "a.zarr")
    with open_pieces(path, 2 * TIMES * POINTS * 8) as (_, pieces):
        u = pieces("u")
        decoded = []
        decode = u._decode
        monkeypatch.setattr(
            u, "_decode", lambda n, into: (decoded.append(n), decode(n, into))
        )
        for rows in ([0, 1, 0, 1], [1, 0], [2, 2], [0, 1, 2]):
            u.read(np.array(rows), np.zeros(len(rows), int), 2)
            assert len(u._kept) <= 2
    assert decoded == [0, 1, 2, 0, 1, 2][: len(decoded)]
    assert len(decoded) <= 6


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("seen", [False, True])
def test_what_changes_on_disk_is_noticed_when_it_is_read(tmp_path, seen):
    path = write_trajectories(data(), tmp_path / "a.zarr")
    file = path / "u" / "c" / "1" / "0" / "0"
    rows = np.array([3, 5])
    with open_pieces(path) as (_, pieces):
        u = pieces("u")
        u.read(rows - 3, rows * 0, 2)
        if seen:
            u.read(rows, rows * 0, 2)
        content = bytearray(file.read_bytes())
        content[len(content) // 3] ^= 4
        file.write_bytes(bytes(content))
        with pytest.raises(ValueError, match=r"a\.zarr.*does not match its checksum"):
            u.read(rows, rows * 0, 2)
        u.read(rows - 3, rows * 0, 2)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    generated(folder, data={"averages": [16], "values": []})
    return folder


def trained(run, folder, **training):
    """The operator that a training of a copy of the run ends at."""
    shutil.copytree(run, folder)
    config = small(data={"averages": [16], "values": []}, training=training)
    return read_operator(train(config, folder))


def test_a_training_from_disk_ends_at_the_same_bits(run, tmp_path):
    one = trained(run, tmp_path / "memory")
    other = trained(run, tmp_path / "disk", memory=0)
    assert one.spec == other.spec
    for part in ("arrays", "history"):
        values, others = getattr(one, part), getattr(other, part)
        assert {k: v.tobytes() for k, v in values.items()} == {
            k: v.tobytes() for k, v in others.items()
        }
    assert one.attributes["validation_relative_l2"] == pytest.approx(
        other.attributes["validation_relative_l2"], rel=0
    )


def test_a_fit_takes_the_path_of_a_store(run):
    path = store_path(run, "training", 16, averages=True)
    losses = []
    for source, settings in (
        (read_trajectories(path), {}),
        (path, {}),
        (path, {"memory": 0}),
    ):
        operator = LearnedStencil(Burgers(0.1), Grid.line(16), seed=0)
        told = fit(operator, source, iterations=4, horizon=(1, 2), batch=3, **settings)
        losses.append(told["loss"].tolist())
    assert losses[0] == losses[1] == losses[2]
    points = LearnedStencil(Burgers(0.1), Grid.line(32), seed=0)
    with pytest.raises(ValueError, match="build it on grid_of"):
        fit(points, path, memory=0)


def test_what_is_not_finite_on_disk_is_refused(tmp_path):
    bad = data()
    bad["u"][2, 3, 4] = np.nan
    path = write_trajectories(bad, tmp_path / "a.zarr")
    with (
        stored(path, torch.float32) as (source, _),
        pytest.raises(ValueError, match=r"a\.zarr, values of u are NaN"),
    ):
        source.summary()
