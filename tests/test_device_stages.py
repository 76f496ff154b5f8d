"""Every stage computes on the device that it is told, and leaves nothing elsewhere.

Where there is no card, one that is none stands for it, see `card`; where there is one,
it is used as well.
"""

import json

import numpy as np
import pytest
import torch
from card import NAME, card
from studies import SMALL, generated, small

from stencilnet import (
    Burgers,
    LearnedStencil,
    certify,
    compare,
    fit,
    generate,
    load_operator,
    read_trajectories,
    simulate,
    train,
)
from stencilnet.discretizations import PICTURES, Weno
from stencilnet.storage import grid_of
from stencilnet.study import compare_study, devices, verify
from stencilnet.study.loading import stored_config, validate_config

ONE = {"averages": [16], "values": []}
METHODS = {"methods": ["weno_z", "exact_parabola", "constant"]}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("here")
    config = generated(folder, data=ONE, comparison=METHODS)
    train(config, folder)
    return folder


@pytest.fixture(params=["card", "cuda"])
def device(request):
    """A device that is not the processor, present for the time of a test."""
    if request.param == "cuda":
        if not torch.cuda.is_available():
            pytest.skip("there is no card")
        yield "cuda:0"
        return
    with card() as name:
        yield name


def test_trajectories_are_generated(device, run, tmp_path):
    (path, *_) = generate(small(data=ONE), tmp_path, device=device)
    there = read_trajectories(path)["u"].values
    here = read_trajectories(run / "data/training/averages-16.zarr")["u"].values
    np.testing.assert_allclose(there, here, atol=1e-10)


@pytest.mark.long
def test_operators_train_resume_and_compare(device, run, tmp_path):
    config = small(data=ONE, comparison=METHODS)
    first = small(data=ONE, comparison=METHODS, training={"iterations": 6})
    path = train(first, tmp_path, data=run, device=device, dtype="float64")
    operator, stored = load_operator(path)
    assert operator.dtype == torch.float64
    assert json.loads(stored.attributes["config"])["training"]["device"] == device
    here = train(config, tmp_path / "here", data=run, dtype="float64")
    for name, weights in load_operator(here)[0].weights().items():
        torch.testing.assert_close(operator.weights()[name], weights)
    (there,) = compare_study(config, tmp_path, data=run, device=device)
    (again,) = compare_study(config, tmp_path, data=run)
    np.testing.assert_allclose(there["u"], again["u"], atol=1e-9)


@pytest.mark.long
def test_a_training_goes_on_from_a_checkpoint(device, run, tmp_path):
    config = small(data=ONE, training={"dtype": "float64"})
    whole = train(config, tmp_path / "whole", data=run, device=device)

    def stop(done, _total, _note):
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "parts", data=run, device=device, progress=stop)
    parts = train(config, tmp_path / "parts", data=run, device=device, resume=True)
    weights = load_operator(parts)[0].weights()
    for name, value in load_operator(whole)[0].weights().items():
        torch.testing.assert_close(weights[name], value)


@pytest.mark.long
def test_fit_and_certificates(device, run):
    data = read_trajectories(run / "data/training/averages-16.zarr")
    operator = LearnedStencil(Burgers(0.1), grid_of(data), scale=0.3)
    fit(operator, data, iterations=2, horizon=1, device=device, batch=2)
    assert next(operator.parameters()).device == torch.device(device)
    there = certify(operator, data, states=8, refinements=1, device=device)
    here = certify(operator, data, states=8, refinements=1)
    assert set(there) == set(here)
    for name in ("relative_l2", "stable_step", "lipschitz", "moment_residual"):
        np.testing.assert_allclose(there[name], here[name], rtol=1e-6, atol=1e-12)
    picture = PICTURES["exact_parabola"].build(Burgers(0.1), grid_of(data))
    there = certify(picture, data, states=8, device=device)
    np.testing.assert_allclose(
        there["relative_l2"], certify(picture, data, states=8)["relative_l2"], rtol=1e-6
    )


@pytest.mark.long
def test_simulations_and_verifications(device, run, tmp_path):
    for method in ("weno_z", str(run / "operator.zarr"), "burgers"):
        settings = {"config": small(), "points": 16, "samples": 2}
        there = simulate(method, tmp_path / "a", device=device, **settings)
        here = simulate(method, tmp_path / "b", **settings)
        np.testing.assert_allclose(
            read_trajectories(there)["u"], read_trajectories(here)["u"], atol=1e-9
        )
        for path in (there, here):
            path.rename(path.with_name(f"{path.name}-{len(method)}"))
    data = run / "data/test/averages-16.zarr"
    vouched = verify(run / "operator.zarr", data=data, device=device)
    assert not vouched["blow_up"].any()


def test_precision_of_rollouts(run, tmp_path):
    data = read_trajectories(run / "data/test/averages-16.zarr")
    methods = {"weno_z": Weno(Burgers(0.1), grid_of(data))}
    double, single = (
        compare(methods, data, dtype=dtype)["u"].values
        for dtype in ("float64", torch.float32)
    )
    assert single.dtype == np.float64
    assert 1e-9 < np.abs(double - single).max() < 1e-5
    path = simulate("weno_z", tmp_path / "a", config=small(), dtype="float32")
    assert read_trajectories(path)["u"].dtype == np.float32
    with pytest.raises(ValueError, match="no precision 'float16'"):
        simulate("weno_z", tmp_path / "b", config=small(), dtype="float16")


def test_one_key_places_all_stages():
    config = validate_config({**SMALL, "device": NAME}, "small")
    assert (config.device, config.training.device) == (NAME, None)
    elsewhere = config.on("comparison", device="cpu")
    assert elsewhere.comparison.device == "cpu"
    assert elsewhere.device == NAME


def test_a_device_that_is_not_there_is_named_by_every_stage(run, tmp_path):
    data = run / "data/test/averages-16.zarr"
    operator, config = str(run / "operator.zarr"), small(data=ONE)
    known = read_trajectories(data)
    stages = [
        lambda: generate(config, tmp_path / "a", device="cuda:99"),
        lambda: train(config, tmp_path / "a", data=run, device="cuda:99"),
        lambda: compare_study(config, run, device="cuda:99"),
        lambda: compare(
            {"a": Weno(Burgers(0.1), grid_of(known))}, known, device="cuda:99"
        ),
        lambda: certify(Weno(Burgers(0.1), grid_of(known)), known, device="cuda:99"),
        lambda: simulate(operator, tmp_path / "b", device="cuda:99"),
        lambda: verify(operator, data=data, device="cuda:99"),
        lambda: validate_config({**SMALL, "device": "cuda:99"}, "small"),
    ]
    for stage in stages:
        with pytest.raises(ValueError, match="here is no device 'cuda:99' here"):
            stage()


def test_double_precision_is_refused_where_there_is_none(monkeypatch, run, tmp_path):
    monkeypatch.setattr(devices, "present", lambda: ["cpu", "mps"])
    with pytest.raises(ValueError, match="'mps' knows no double precision"):
        generate(small(), tmp_path, device="mps")
    with pytest.raises(ValueError, match="'mps' knows no double precision"):
        train(small(data=ONE), tmp_path, data=run, device="mps", dtype="float64")


def test_stores_from_a_machine_with_other_devices_are_read(run, tmp_path):
    _, stored = load_operator(run / "operator.zarr")
    config = json.loads(stored.attributes["config"])
    config["device"] = config["training"]["device"] = "cuda:99"
    attributes = {**stored.attributes, "config": json.dumps(config)}
    assert stored_config(attributes, run).training.device is None


def test_the_card_that_is_none_is_as_strict_as_one():
    with card() as name:
        there = torch.ones(3).to(name)
        assert (there.device, (2 * there).cpu().tolist()) == (
            torch.device(name),
            [2] * 3,
        )
        with pytest.raises(RuntimeError, match="on the card and on cpu"):
            there + torch.ones(3)
        with pytest.raises(RuntimeError, match="numpy"):
            there.numpy()
