import math

import pytest
import yaml
from studies import SMALL

from stencilnet.study.comparison import check_comparison
from stencilnet.study.config import Comparison
from stencilnet.study.loading import built_in_configs, load_config


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "small.yaml"
    file.write_text(yaml.safe_dump(SMALL))
    return file


@pytest.mark.parametrize("name", sorted(built_in_configs()))
def test_built_in_configs_are_valid(name):
    assert load_config(name).name == name


@pytest.mark.parametrize("name", sorted(built_in_configs()))
def test_built_in_comparisons_hold_the_strong_baselines(name):
    config = load_config(name)
    check_comparison(config)
    strong = {"weno_z", "weno_z_1", "weno_7", "weno_9", "muscl", "upwind_1", "upwind_3"}
    if config.problem.equation["name"] == "Burgers":
        # No discontinuous Galerkin method here takes a third or fourth derivative.
        strong |= {"dg1", "dg3"}
    assert strong | {"constant"} <= set(config.comparison.methods)
    assert {"weno_z", "weno_z_1", "weno_7", "weno_9", "muscl"} <= set(
        Comparison().methods
    )


def test_built_in_problems_are_those_of_the_protocol():
    p1, p2, paper = map(load_config, ("p1", "p2", "p2-stencil-net"))
    for config, viscosity, amplitude, wavenumbers, warm_up, duration, initial in (
        (p1, 0.01, 0.5, (3, 4, 5, 6), 10, 20, "Rest"),
        (p2, 0.02, 0.1, (2, 3, 4, 5), 0, 40, "RandomBump"),
        (paper, 0.02, 0.1, (2, 3, 4, 5), 0, 40, "Bump"),
    ):
        assert config.problem.equation == {
            "name": "Burgers",
            "viscosity": viscosity,
        }
        assert config.problem.length == 2 * math.pi
        assert config.problem.warm_up == warm_up
        assert config.problem.duration == duration
        assert config.problem.initial["name"] == initial
        assert config.forcing.amplitude == amplitude
        assert config.forcing.frequency == 0.4
        assert config.forcing.modes == 20
        assert config.forcing.wavenumbers == wavenumbers
        assert config.data.test >= 16


def test_overrides_change_single_values(path):
    config = load_config(
        path, ["training.batch=7", "data.averages=[32]", "problem.initial=Rest"]
    )
    assert config.training.batch == 7
    assert config.data.averages == (32,)
    assert config.problem.initial == {"name": "Rest"}
    assert config.training.iterations == 6


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("problem.legnth=1", "no key 'legnth' .*did you mean 'length'"),
        ("problm.length=1", "no key 'problm', did you mean 'problem'"),
        ("problem.length=0", "problem.length: .*greater than 0, not 0"),
        ("problem.length=-1", "greater than 0"),
        ("problem.length=.nan", "problem.length"),
        ("problem.length=.inf", "finite"),
        ("problem.length=thick", "problem.length: .*number, .*'thick'"),
        ("problem.duration=0.25", "no whole number of intervals"),
        ("problem.initial=3", "problem.initial"),
        ("extensions=[physics]", "written module:Class"),
        ("extensions=['no_such_module_anywhere:A']", "cannot be imported"),
        ("training.batch=0", "training.batch: .*greater than or equal to 1"),
        ("training.horizon=[]", "training.horizon"),
        ("data.averages=[0]", "data.averages"),
        ("forcing.wavenumbers=[1.5]", "forcing.wavenumbers"),
        ("name=../elsewhere", "name"),
        ("training.batch", "reads key=value"),
        ("name.deep=1", "is no section"),
        ("training.batch=[", "not YAML"),
    ],
)
def test_mistakes_are_told_in_one_sentence(path, override, message):
    with pytest.raises(ValueError, match=message) as caught:
        load_config(path, [override])
    assert "\n" not in str(caught.value)


def test_every_unknown_key_is_named(path):
    with pytest.raises(ValueError, match="'bacth'.*'batch'.*'sed'.*'seed'"):
        load_config(path, ["training.bacth=1", "training.sed=2"])


def test_a_missing_key_is_named(path):
    path.write_text("name: x\ndata: {averages: [8]}\n")
    with pytest.raises(ValueError, match="the key 'problem' is missing"):
        load_config(path)


def test_a_study_without_grids_is_refused(path):
    with pytest.raises(ValueError, match="no grid to keep"):
        load_config(path, ["data.averages=[]", "data.values=[]"])


@pytest.mark.parametrize("text", ["", "[1, 2]", "just words"])
def test_a_file_without_keys_is_refused(path, text):
    path.write_text(text)
    with pytest.raises(ValueError, match="holds no keys"):
        load_config(path)


def test_broken_yaml_is_located(path):
    path.write_text("name: x\nproblem: [\n")
    with pytest.raises(ValueError, match="not valid YAML in line 3"):
        load_config(path)


def test_a_config_that_does_not_exist_is_told_with_those_that_do():
    with pytest.raises(
        FileNotFoundError, match="demo, kdv, ks, p1, p2, p2-stencil-net"
    ):
        load_config("p3")
    assert list(built_in_configs()) == [
        "demo",
        "kdv",
        "ks",
        "p1",
        "p2",
        "p2-stencil-net",
    ]
