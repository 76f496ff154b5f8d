import math
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from studies import generated, small

from stencilnet import (
    SSPRK3,
    Burgers,
    FiniteDifference,
    Grid,
    LearnedStencil,
    RandomForcing,
    generate,
    load_operator,
    rollout,
    train,
)
from stencilnet.discretizations import ConstantOutput
from stencilnet.report import markdown_table
from stencilnet.storage import Interrupted, read_operator
from stencilnet.study import compare_study, read_split
from stencilnet.study.metrics import relative_l2
from stencilnet.study.schedule import horizon_at, learning_rate
from stencilnet.study.state import TrainingState, resume_from
from stencilnet.study.windows import Trajectories, window_loss


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A run with its data, which no test changes."""
    folder = tmp_path_factory.mktemp("data")
    generated(folder, data={"averages": [16], "values": []})
    return folder


@pytest.fixture
def run(data, tmp_path):
    """A copy of that run for one test."""
    shutil.copytree(data, tmp_path, dirs_exist_ok=True)
    return tmp_path


def classical_trajectories(samples=3, steps=20):
    """Trajectories of the very scheme that the untrained stencil is."""
    grid = Grid.line(16)
    scheme = FiniteDifference(Burgers(0.1), grid, order=6)
    forcing = RandomForcing.sample(samples, wavenumbers=(1, 2), seed=0)
    times = torch.arange(steps + 1, dtype=torch.float64) * 0.1
    u0 = 0.5 * torch.sin(grid.points()).expand(samples, -1)
    force = forcing.on(grid, averages=True)
    u = rollout(scheme, u0, times, force, steps=2)
    return Trajectories(u, times, grid, forcing, True)


def test_the_loss_of_the_generating_scheme_is_zero_in_every_window():
    known = classical_trajectories()
    operator = LearnedStencil(Burgers(0.1), known.grid)
    for seed in range(5):
        window = known.windows(np.random.default_rng(seed), 8, 3)
        assert window.u.shape == (8, 4, 16)
        loss = window_loss(operator, window, integrator=SSPRK3, substeps=2)
        assert float(loss.detach()) < 1e-25


def test_backward_windows_add_their_own_error():
    known = classical_trajectories()
    operator = LearnedStencil(Burgers(0.1), known.grid)
    window = known.windows(np.random.default_rng(0), 8, 1)
    settings = {"integrator": SSPRK3, "substeps": 2}
    both = window_loss(operator, window, backward=1.0, **settings).detach()
    assert 1e-20 < float(both) < 1e-6


def test_windows_differ_by_draw_alone():
    known = classical_trajectories()
    one, two, other = (
        known.windows(np.random.default_rng(seed), 8, 3).u for seed in (1, 1, 2)
    )
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


def test_windows_longer_than_the_trajectories_are_refused():
    with pytest.raises(ValueError, match=r"shorten training\.horizon"):
        classical_trajectories(steps=5).windows(np.random.default_rng(0), 1, 6)


def test_relative_error_is_infinite_after_a_blow_up():
    reference = torch.ones(3, 2, 2)
    u = torch.stack([reference[0], 1.1 * reference[1], reference[2] * math.nan])
    assert relative_l2(u, reference).tolist() == pytest.approx([0, 0.1, math.inf])


def test_schedules_follow_the_config():
    training = small(
        training={"iterations": 100, "horizon": [2, 4, 8], "learning_rate": 0.1}
    ).training
    assert [horizon_at(training, i) for i in (0, 33, 34, 66, 67, 99)] == [
        *(2, 2, 4, 4),
        *(8, 8),
    ]
    rates = [learning_rate(training, i) for i in range(100)]
    assert max(rates) == pytest.approx(0.1)
    assert rates.index(max(rates)) == 10
    assert rates[0] < 0.02
    assert rates[-1] < 1e-4


def test_training_lowers_the_error(run):
    path = train(small(training={"iterations": 40, "horizon": [2, 5]}), run)
    _, stored = load_operator(path)
    losses = stored.history["loss"]
    assert np.mean(losses[-5:]) < 0.5 * losses[0]
    errors = stored.history["validation_relative_l2"]
    assert stored.attributes["validation_relative_l2"] == errors.min()
    assert errors.min() < 0.7 * errors[0]


def test_the_best_operator_is_kept(run):
    config = small(training={"iterations": 9, "validate_every": 3})
    operator, stored = load_operator(train(config, run))
    best = stored.history["validation_relative_l2"].min()
    assert stored.attributes["validation_relative_l2"] == best
    assert operator.moment_residual(torch.randn(5, 16)) < 1e-5


def test_training_is_reproducible_and_depends_on_its_seed(run):
    def weights(**training):
        stored = read_operator(train(small(training=training), run, overwrite=True))
        return {name: values.tobytes() for name, values in stored.arrays.items()}

    once = weights()
    assert weights() == once
    assert weights(seed=1) != once


class InterruptionError(Exception):
    """A training that ends before its time."""


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """What a training with backward windows ends at if nothing interrupts it."""
    folder = tmp_path_factory.mktemp("whole")
    shutil.copytree(data, folder, dirs_exist_ok=True)
    return read_operator(
        train(small(training={"backward": 0.1, "averaging": 0.9}), folder)
    )


@pytest.mark.parametrize("moment", [1, 3, 4, 6])
def test_a_resumed_training_ends_at_the_same_bits(run, whole, moment):
    config = small(training={"backward": 0.1, "averaging": 0.9})

    def interrupt(done, _total, _note):
        if done == moment:
            raise InterruptionError

    with pytest.raises(InterruptionError):
        train(config, run, progress=interrupt)
    resumed = read_operator(train(config, run, resume=True, overwrite=True))
    for name, values in whole.arrays.items():
        assert resumed.arrays[name].tobytes() == values.tobytes()
    for name, values in whole.history.items():
        np.testing.assert_array_equal(resumed.history[name], values)


def test_a_training_that_is_asked_to_stop_leaves_a_checkpoint(run, whole):
    config = small(
        training={
            "backward": 0.1,
            "averaging": 0.9,
            "checkpoint_every": 100,
            "validate_every": 3,
        }
    )

    def interrupt(done, _total, _note):
        if done == 3:
            raise Interrupted(15)

    with pytest.raises(Interrupted, match="after update 3: continue with .* --resume"):
        train(config, run, progress=interrupt)
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["00000003.zarr"]
    resumed = read_operator(train(config, run, resume=True))
    for name, values in whole.arrays.items():
        assert resumed.arrays[name].tobytes() == values.tobytes()


def test_a_damaged_checkpoint_is_passed_over(run, whole):
    config = small(training={"backward": 0.1, "averaging": 0.9})

    def interrupt(done, _total, _note):
        if done == 4:
            raise InterruptionError

    with pytest.raises(InterruptionError):
        train(config, run, progress=interrupt)
    newest = run / "checkpoints" / "00000004.zarr" / "zarr.json"
    newest.write_text("{")
    with pytest.warns(UserWarning, match=r"goes on from .*00000002\.zarr"):
        resumed = read_operator(train(config, run, resume=True))
    for name, values in whole.arrays.items():
        assert resumed.arrays[name].tobytes() == values.tobytes()
    assert (run / "checkpoints" / "00000004.damaged" / "zarr.json").read_text() == "{"
    for path in (run / "checkpoints").iterdir():
        (path / "zarr.json").write_text("{")
    (run / "operator.zarr").rename(run / "kept.zarr")
    with pytest.raises(ValueError, match="No checkpoint in .* is whole"):
        train(config, run, resume=True)


def test_foreign_files_among_the_checkpoints_stay(run):
    notes = run / "checkpoints" / "notes.txt"
    notes.parent.mkdir()
    notes.write_text("years of work")
    train(small(), run, overwrite=True)
    train(small(), run, overwrite=True)
    assert notes.read_text() == "years of work"


@pytest.mark.long
def test_a_killed_training_resumes_to_the_same_bits(run):
    config = small(training={"iterations": 24, "checkpoint_every": 2})
    (run / "small.json").write_text(config.model_dump_json())
    program = (
        "import sys, pathlib, torch; torch.set_num_threads(1);"
        "from stencilnet import load_config, train;"
        "run = pathlib.Path(sys.argv[1]);"
        "train(load_config(run / 'small.json'), run)"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-c", program, run], env=environment)
    deadline = time.monotonic() + 60
    while not list((run / "checkpoints").glob("*.zarr")):
        assert time.monotonic() < deadline
        assert process.poll() is None, "ended before it could be killed"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (run / "operator.zarr").exists()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        resumed = read_operator(train(config, run, resume=True))
        whole = read_operator(train(config, run, overwrite=True))
    finally:
        torch.set_num_threads(threads)
    for name, values in whole.arrays.items():
        assert resumed.arrays[name].tobytes() == values.tobytes()


def test_a_loss_that_turns_nan_stops_with_the_last_good_checkpoint(run):
    def poison(done, _total, _note):
        if done == 4:
            raise InterruptionError

    with pytest.raises(InterruptionError):
        train(small(), run, progress=poison)
    # An absurd rate makes the weights overflow within one update.
    wild = small(training={"learning_rate": 1e30})
    with pytest.raises(FloatingPointError, match=r"00000004\.zarr"):
        train(wild, run, resume=True)
    assert not (run / "operator.zarr").exists()
    assert read_operator(run / "checkpoints" / "00000004.zarr").attributes
    path = train(small(), run, resume=True)
    assert np.isfinite(read_operator(path).history["loss"]).all()


def test_results_are_not_overwritten_unasked(run):
    train(small(), run)
    with pytest.raises(FileExistsError, match=r"operator\.zarr exists"):
        train(small(), run)
    (run / "operator.zarr").rename(run / "kept.zarr")
    with pytest.raises(FileExistsError, match="checkpoints exists"):
        train(small(), run)


def test_only_the_same_operator_and_data_resume(run, tmp_path_factory):
    train(small(), run)
    other = small(operator={"network": {"kind": "mlp", "hidden": [4]}})
    with pytest.raises(ValueError, match="another operator"):
        train(other, run, resume=True, overwrite=True)
    for key, value in {"integrator": "RK4", "substeps": 2, "batch": 3}.items():
        with pytest.raises(ValueError, match=rf"was trained with training\.{key}="):
            changed = small(training={key: value})
            train(changed, run, resume=True, overwrite=True)
    for key, value in {"iterations": 12, "warm_up": 0.5}.items():
        with pytest.raises(ValueError, match="learning rate would jump"):
            changed = small(training={key: value})
            train(changed, run, resume=True, overwrite=True)


def test_checkpoints_of_other_data_do_not_resume(run):
    train(small(), run)
    operator, stored = load_operator(run / "operator.zarr")
    state = TrainingState(operator, torch.optim.Adam(operator.parameters()))
    resume_from(state, run / "checkpoints", dict(stored.attributes))
    changed = {**stored.attributes, "data_hash": "another"}
    with pytest.raises(ValueError, match="learned from other trajectories"):
        resume_from(state, run / "checkpoints", changed)


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"training": {"integrator": "RK3"}}, "no integrator 'RK3', did you mean"),
        (
            {"operator": {"form": "Central"}},
            "no form 'Central', did you mean 'CentralFlux'",
        ),
        (
            {"problem": {"equation": {"name": "Burger", "viscosity": 0.1}}},
            "no equation 'Burger'",
        ),
        ({"operator": {"width": 5}}, "choose an even width"),
        (
            {"operator": {"constraint": {"kind": "null_space", "order": 9}}},
            "widen the stencil to 9 points or lower",
        ),
        ({"operator": {"constraint": {"kind": "hard"}}}, "no constraint"),
        ({"training": {"horizon": [99]}}, "shorten training.horizon"),
    ],
)
def test_settings_that_make_no_sense_are_refused(run, sections, message):
    with pytest.raises(ValueError, match=message):
        train(small(**sections), run)
    assert not (run / "operator.zarr").exists()


def test_data_of_another_problem_are_refused(run):
    with pytest.raises(
        ValueError, match=r"problem\.equation=.*0\.1.*, but .* says .*0\.2"
    ):
        train(small(problem={"equation": {"name": "Burgers", "viscosity": 0.2}}), run)
    with pytest.raises(ValueError, match=r"forcing\.amplitude=0\.1"):
        train(small(forcing={"amplitude": 0.3}), run)
    with pytest.raises(ValueError, match=r"data\.seed=3"):
        train(small(data={"averages": [16], "values": [16], "seed": 5}), run)
    with pytest.raises(ValueError, match=r"reference\.points=64"):
        train(small(reference={"points": 128}), run)


def test_training_needs_its_data(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"training/averages-16\.zarr"):
        train(small(), tmp_path)


def test_an_unstable_step_is_warned_about(run):
    config = small(training={"iterations": 1}, operator={"points": 16})
    config = config.model_copy(
        update={"training": config.training.model_copy(update={"integrator": "Euler"})}
    )
    coarse = generated(
        run / "slow", problem={"interval": 1.0, "duration": 2.0, "warm_up": 0.0}
    )
    with pytest.warns(UserWarning, match="exceeds the stability limit") as warned:
        train(coarse.model_copy(update={"training": config.training}), run / "slow")
    # Before the first update, and of the operator that is kept.
    assert sum("stability limit" in str(entry.message) for entry in warned) == 2


@pytest.mark.long(seconds=9)
def test_the_best_constant_stencil_is_trained_where_a_comparison_names_it(tmp_path):
    config = generated(
        tmp_path,
        data={"values": []},
        comparison={"methods": ["weno_z", "constant"], "points": [16, 32]},
        training={"iterations": 20, "validate_every": 5},
    )
    train(config, tmp_path)
    constant, stored = load_operator(tmp_path / "constant.zarr")
    assert isinstance(constant.network, ConstantOutput)
    assert len(stored.history["loss"]) == 5
    u = read_split(config, tmp_path, "test", 16, averages=True)["u"].values
    coefficients = constant.coefficients(torch.tensor(u[0]).float())
    for values in coefficients.values():
        assert torch.equal(values, values[:1, :1].expand_as(values))
    coarse, fine = compare_study(config, tmp_path)
    assert list(coarse["scheme"].values) == ["learned", "weno_z", "constant"]
    assert float(coarse["step"].sel(scheme="constant")) == pytest.approx(0.1)
    assert list(fine["scheme"].values) == ["weno_z"]
    assert "| best constant stencil | 16 |" in markdown_table([coarse, fine])
    # An operator from elsewhere brings the one beside it.
    other = tmp_path / "other"
    generate(config, other)
    assert len(compare_study(config, other, operator=tmp_path / "operator.zarr")) == 2
    shutil.rmtree(tmp_path / "constant.zarr")
    with pytest.raises(FileNotFoundError, match="no best constant stencil.*train"):
        compare_study(config, tmp_path)
    # Training anew makes it anew.
    train(config, tmp_path, resume=True, overwrite=True)
    assert (tmp_path / "constant.zarr").exists()
