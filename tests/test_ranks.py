"""Processes that share each batch train as one does."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.distributed as dist
from studies import generated

from stencilnet import train
from stencilnet.storage import read_operator
from stencilnet.study.keys import config_text
from stencilnet.study.ranks import Ranks, joined


@pytest.mark.parametrize(("batch", "count"), [(8, 2), (7, 3), (3, 3), (5, 1)])
def test_every_window_of_a_batch_has_one_process(batch, count):
    rows = [np.arange(batch)[Ranks(rank, count).share(batch)] for rank in range(count)]
    assert np.array_equal(np.concatenate(rows), np.arange(batch))
    assert min(len(own) for own in rows) >= batch // count


def test_fewer_windows_than_processes_are_refused():
    with pytest.raises(ValueError, match=r"A batch of 2.*raise training\.batch to 3"):
        Ranks(0, 3).share(2)


def test_shares_of_any_size_average_to_the_gradient_of_the_batch(monkeypatch):
    batch, count = 7, 3
    x = torch.randn(batch, 4, dtype=torch.float64)
    weights = [torch.ones(4, dtype=torch.float64, requires_grad=True) for _ in range(4)]
    sent = []

    def gradient(rank, weight):
        own = Ranks(rank, count)
        loss = (x[own.share(batch)] @ weight).square().mean()
        weight.grad = None
        loss.backward()
        return own.average(loss, [weight], batch)

    monkeypatch.setattr(dist, "all_reduce", lambda own: sent.append(own.clone()))
    for rank in range(count):
        gradient(rank, weights[rank])
    total = sum(sent)
    monkeypatch.setattr(dist, "all_reduce", lambda numbers: numbers.copy_(total))
    losses = [gradient(rank, weights[rank]) for rank in range(count)]
    whole = (x @ weights[3]).square().mean()
    whole.backward()
    for loss, weight in zip(losses, weights[:3], strict=True):
        assert torch.allclose(loss, whole.detach(), rtol=1e-14)
        assert torch.allclose(weight.grad, weights[3].grad, rtol=1e-13)


def test_a_process_that_is_alone_waits_for_nobody():
    with joined() as ranks, ranks.together():
        ranks.wait()
    assert (ranks.number, ranks.count, ranks.first) == (0, 1, True)
    with pytest.raises(OSError, match="here"), ranks.together():
        raise OSError("here")


def test_a_failure_elsewhere_is_told_here(monkeypatch):
    def gather(texts, _own):
        texts[:] = [None, "no such file"]

    monkeypatch.setattr(dist, "all_gather_object", gather)
    told = pytest.raises(ChildProcessError, match="Rank 1: no such file")
    with told, Ranks(0, 2).together():
        pass


def test_a_process_that_is_gone_is_told_with_the_way_on(monkeypatch):
    def gone():
        raise RuntimeError("Connection closed by peer")

    monkeypatch.setattr(dist, "barrier", gone)
    with pytest.raises(ConnectionError, match="--resume"):
        Ranks(1, 2).wait()


def trains(config, run, count, *options):
    """The history of a training by `stencilnet` in some processes."""
    launch = ["torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
    # After "--" options are those of stencilnet.
    command = ["-m", *launch, "-m", "--", "stencilnet", "train", config, "--json"]
    done = subprocess.run(
        [sys.executable, *map(str, [*command, "--run", run, *options])],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    # One process speaks.
    assert json.loads(done.stdout)["wrote"][0].endswith("operator.zarr")
    return read_operator(run / "operator.zarr").history


def forgets(run):
    """Leaves a run as one that ended before its last checkpoint."""
    for path in (run / "operator.zarr", run / "checkpoints" / "00000006.zarr"):
        shutil.rmtree(path)
    for figure in run.glob("operator*.p*"):
        figure.unlink()


@pytest.mark.long(seconds=50)
def test_two_processes_train_as_one_and_resume_each_other(tmp_path):
    study = generated(
        tmp_path / "alone",
        data={"averages": [16], "values": []},
        training={"dtype": "float64", "batch": 5},
    )
    config = tmp_path / "small.yaml"
    config.write_text(config_text(study))
    alone, together = tmp_path / "alone", tmp_path / "together"
    shutil.copytree(alone, together)
    histories = [read_operator(train(study, alone)).history]
    histories.append(trains(config, together, 2))
    for run in (alone, together):
        forgets(run)
    histories.append(trains(config, alone, 2, "--resume"))
    histories.append(read_operator(train(study, together, resume=True)).history)
    for history in histories[1:]:
        for name, values in histories[0].items():
            assert history[name] == pytest.approx(values, rel=1e-9), name
