"""Speed-ups, what training costs, and the paragraph about them."""

import json
import math

import pytest
from test_fronts import case

from stencilnet.study import load_config, load_operator, save_operator
from stencilnet.study.expenses import constant_stencil, spent
from stencilnet.study.fronts import errors
from stencilnet.study.verdicts import (
    SECONDS,
    UNKNOWNS,
    advantages,
    break_even,
    lines_of_fronts,
    quickest,
    solves_until_paid,
    verdict,
)


def groups():
    """Errors that fall with the cube of the cost, of three groups."""
    powers = (1.0, 2.0, 4.0)
    return {
        "classical": [
            *(case(8 * c, c**-3.0, "weno_z", unknowns=round(64 * c)) for c in powers),
            *(case(6 * c, c**-3.0, "other", unknowns=round(50 * c)) for c in powers),
            case(math.nan, 0.02, "untimed"),
        ],
        "exact evolution": [
            case(2 * c, c**-3.0, "exact", unknowns=round(40 * c)) for c in powers
        ],
        "learned": [
            case(0.4, 0.125, "net", points=16, unknowns=16),
            case(0.9, 0.126, "net", points=16, unknowns=16),
            case(math.nan, 0.1, "net", points=16, unknowns=16),
        ],
    }


def test_the_quickest_is_as_accurate_as_the_best_but_for_five_percent():
    cases = [case(2, 1e-3), case(1, 1.04e-3), case(0.5, 1.06e-3), case(math.nan, 1e-4)]
    assert quickest(cases, 32).seconds == 1
    assert quickest(cases, 64) is None
    assert errors(cases, 32) == [1e-4, 1e-3, 1.04e-3, 1.06e-3]
    assert errors(cases, 32, "b") == []


def test_advantages_name_each_group_of_opponents():
    found = advantages(groups(), 16)
    assert found["speedup_weno_z"] == pytest.approx(16 / 0.4)
    assert found["speedup_best_nonintegrable"] == pytest.approx(12 / 0.4)
    assert found["speedup_best"] == pytest.approx(4 / 0.4)
    assert found["unknowns_weno_z"] == pytest.approx(128 / 16)
    assert found["unknowns_exact_evolution"] == pytest.approx(80 / 16)
    assert advantages(groups(), 64) == {}


def test_training_pays_off_when_the_seconds_saved_are_those_spent():
    own, opponents = case(0.4, 0.125), [case(c, c**-3.0, "b") for c in (1.0, 2.0)]
    assert break_even(32.0, own, opponents) == pytest.approx(32 / (2 - 0.4))
    assert break_even(32.0, case(3.0, 0.125), opponents) == math.inf
    assert break_even(32.0, case(3.0, 1e-9), opponents) == 0
    paid = solves_until_paid(groups(), 16, 32.0, batch=4)
    assert paid["solves_until_paid_best"] == pytest.approx(4 * 32 / 3.6)
    assert paid["solves_until_paid_weno_z"] == pytest.approx(4 * 32 / 15.6)
    assert solves_until_paid(groups(), 64, 32.0, batch=4) == {}


def test_the_paragraph_says_who_wins_where():
    paid = {
        "solves_until_paid_weno_z": 12.3,
        "solves_until_paid_best": math.inf,
        "solves_until_paid_best_nonintegrable": math.nan,
    }
    text = verdict("P1", groups(), (0.125, 0.02), label=str.upper, paid=paid)
    assert "error of 0.125 learned wins (NET, 0.4 s), exact evolution (EXACT)" in text
    assert "takes 10 times as long" in text
    assert "classical (OTHER) takes 30 times as long" in text
    assert "error of 0.02 exact evolution wins (EXACT" in text
    assert "learned does not reach it" in text
    assert "Against WENO-Z training pays off after 12.3 solves." in text
    assert "exact evolution without learning training never pays off in time" in text
    assert "does not use integrability training cannot be judged" in text
    assert text.endswith("Not timed, errors alone: UNTIMED.")
    nobody = verdict("P1", groups(), (1e-9,), label=str, paid={})
    assert "none of the timed methods is accurate enough" in nobody


def test_lines_hold_the_fronts_of_what_was_timed():
    costs = {"seconds": SECONDS, "unknowns": UNKNOWNS}
    lines = lines_of_fronts(groups(), costs, {"weno_z": "finite volumes"}.get)
    assert set(lines) == set(costs)
    assert lines["seconds"]["finite volumes"][0] == (8.0, 1.0)
    joined = lines_of_fronts(groups(), costs, lambda name: "all")["seconds"]["all"]
    assert joined == [(0.4, 0.125), (8.0, 1 / 64)]


def test_an_operator_costs_its_data_and_its_training(tmp_path):
    operator, stored = load_operator("burgers-p1-16")
    config = load_config("p1", ["data.training=10", "data.validation=2"])

    def store(name, **attributes):
        kept = {"config": config.model_dump_json(), **attributes}
        save_operator(operator, tmp_path / f"{name}.zarr", attributes=kept)

    store("trained", seconds=100.0)
    store("silent")
    assert spent(tmp_path / "trained.zarr", 0.5) == pytest.approx(6 + 100)
    assert math.isnan(spent(tmp_path / "silent.zarr", 0.5))
    assert stored.attributes["seconds"] > 0


def test_a_constant_stencil_is_trained_once(tmp_path, monkeypatch):
    config = load_config(
        "p2-stencil-net",
        [
            *(f"data.{split}=1" for split in ("training", "validation", "test")),
            *("data.averages=[32]", "data.values=[]", "problem.duration=2"),
            *("training.iterations=8", "training.horizon=[2]"),
        ],
    )
    path, each = constant_stencil(config, tmp_path)
    operator, stored = load_operator(path)
    assert stored.spec["network"] == {"kind": "constant"}
    assert operator.grid.shape == (32,)
    assert each > 0
    (tmp_path / "seconds.json").write_text(json.dumps(7.0))
    monkeypatch.setattr("stencilnet.study.expenses.generate", None)
    assert constant_stencil(config, tmp_path) == (path, 7.0)
