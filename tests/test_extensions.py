"""A user's own classes in every stage, named in the config and never by a store."""

import json
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
from studies import SMALL

from stencilnet import load_operator, read_trajectories, train, verify
from stencilnet.storage import read_operator
from stencilnet.study.comparison import compare_study
from stencilnet.study.generation import generate, store_path
from stencilnet.study.loading import validate_config
from stencilnet.study.simulation import simulate

PHYSICS = '''
from dataclasses import dataclass

import torch

from stencilnet import Equation, FiniteDifference
from stencilnet.study.initial import InitialState


@dataclass(frozen=True)
class CubicFlux(Equation):
    """`u_t + (u**3 / 3)_x = nu u_xx`."""

    viscosity: float

    def flux(self, u):
        return u**3 / 3

    def speed(self, u):
        return u**2

    def linear(self):
        return {2: self.viscosity}


@dataclass(frozen=True)
class Step(InitialState):
    """`height` times a smooth step up and down."""

    height: float = 1.0

    def draw(self, stream):
        return lambda x, period: self.height * torch.tanh(4 * torch.sin(x))


class FourthOrder(FiniteDifference):
    """Central differences of fourth order."""

    def __init__(self, equation, grid, order=4, **settings):
        super().__init__(equation, grid, order=order, **settings)
'''
OWN = {
    **SMALL,
    "extensions": ["my_physics:CubicFlux", "my_physics:Step", "my_physics:FourthOrder"],
    "problem": {
        **SMALL["problem"],
        "equation": {"name": "CubicFlux", "viscosity": 0.1},
        "initial": {"name": "Step", "height": 0.5},
    },
    "reference": {**SMALL["reference"], "points": 128, "tolerance": 1e-4},
    "comparison": {"methods": ["FourthOrder", "weno_z"], "points": [16]},
}


@pytest.fixture
def physics(tmp_path, monkeypatch):
    (tmp_path / "my_physics.py").write_text(PHYSICS)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("my_physics", None)


def test_an_equation_of_ones_own_runs_through_every_stage(physics):
    config = validate_config(OWN, "own")
    run = physics / "run"
    generate(config, run)
    path = train(config, run)
    (result,) = compare_study(config, run)
    assert set(result["scheme"].values) == {"learned", "FourthOrder", "weno_z"}
    assert float(result["relative_l2"].sel(scheme="weno_z").max()) < 0.1
    own = config.extensions
    simulated = simulate(str(path), physics / "out", config=config, extensions=own)
    assert np.isfinite(read_trajectories(simulated)["u"]).all()
    data = store_path(run, "test", 16, averages=True)
    assert isinstance(verify(path, data=data, extensions=own), xr.Dataset)


@pytest.mark.long
def test_nothing_that_a_store_names_is_imported(physics):
    config = validate_config(OWN, "own")
    run = physics / "run"
    generate(config, run)
    path = train(config, run)
    assert "my_physics:CubicFlux" in read_operator(path).attributes["config"]
    code = (
        "import sys, pathlib\n"
        "from stencilnet import load_operator, simulate\n"
        f"path = pathlib.Path({str(path)!r})\n"
        "for call in (lambda: load_operator(path), lambda: simulate(str(path), 'o')):\n"
        "    try:\n"
        "        call()\n"
        "    except ValueError as error:\n"
        "        print(error)\n"
        "print('my_physics' in sys.modules)\n"
    )
    lines = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=physics,
        check=True,
    ).stdout.splitlines()
    assert lines[-1] == "False"
    assert all("no equation 'CubicFlux'" in line for line in lines[:2])
    operator, _ = load_operator(path, extensions=config.extensions)
    assert type(operator.equation).__name__ == "CubicFlux"


def test_a_config_keeps_the_names_of_its_extensions(physics):
    config = validate_config(OWN, "own")
    names = json.loads(config.model_dump_json())["extensions"]
    assert names == OWN["extensions"]
    again = validate_config({**OWN, "extensions": list(config.extensions)}, "classes")
    assert again == config


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("my_physics", "written module:Class"),
        ("my_physics:Missing", "no class 'Missing' in the module 'my_physics'"),
        ("my_physics:torch", "no class 'torch'"),
        ("nowhere:Class", "cannot be imported"),
    ],
)
def test_extensions_that_do_not_exist_are_told(physics, name, message):
    with pytest.raises(ValueError, match=message):
        validate_config({**OWN, "extensions": [name]}, "own")


def test_an_unlisted_initial_state_is_told(physics):
    listed = [name for name in OWN["extensions"] if not name.endswith(":Step")]
    config = validate_config({**OWN, "extensions": listed}, "own")
    with pytest.raises(ValueError, match="no initial state 'Step'.*as an extension"):
        generate(config, physics / "run")


def test_an_unlisted_equation_is_told(physics):
    problem = {**OWN["problem"], "initial": {"name": "Bump"}}
    config = validate_config({**OWN, "problem": problem, "extensions": []}, "own")
    with pytest.raises(ValueError, match="no equation 'CubicFlux'.*extension"):
        generate(config, physics / "run")
