"""Costs at equal error."""

import math

import pytest

from stencilnet.study.case_log import CaseLog
from stencilnet.study.fronts import Case, advantage, cost_at, front


def case(seconds, error, method="a", **settings):
    values = {"points": 32, "unknowns": 32, "step": 0.1, "evaluations": 30.0}
    return Case(method, error=error, seconds=seconds, **values | settings)


def seconds(entry):
    return entry.seconds


def test_a_front_holds_what_nothing_beats():
    cases = [case(4, 1e-3), case(1, 0.1), case(2, 0.2), case(3, 1e-2), case(5, 1e-3)]
    blown, untimed = case(0.1, math.inf), case(math.nan, 1e-9)
    kept = front([*cases, blown, untimed], seconds)
    assert [entry.seconds for entry in kept] == [1, 3, 4]


def test_costs_are_interpolated_on_powers():
    # An error that falls with the cube of the cost is a straight line.
    cases = [case(c, c**-3.0) for c in (1.0, 2.0, 8.0)]
    for cost in (1.3, 2.0, 5.0, 8.0):
        assert cost_at(cases, cost**-3.0, seconds) == pytest.approx(cost)


def test_lines_join_cases_of_one_method_only():
    cases = [case(1, 0.1, "a"), case(9, 1e-4, "a"), case(2, 1e-3, "b")]
    between = cost_at(cases, 0.01, seconds)
    assert between == 2
    assert cost_at(cases[:2], 0.01, seconds) == pytest.approx(9 ** (1 / 3))


def test_errors_that_are_out_of_reach():
    cases = [case(2, 0.1), case(4, 0.01)]
    assert cost_at(cases, 1e-3, seconds) == math.inf
    assert cost_at(cases, 0.5, seconds) == 2
    assert cost_at([], 0.5, seconds) == math.inf
    with pytest.raises(ValueError, match="must be positive, not 0"):
        cost_at(cases, 0, seconds)


def test_an_advantage_is_a_ratio_of_costs_at_equal_error():
    opponents = [case(c, c**-3.0, "b") for c in (1.0, 2.0, 8.0)]
    assert advantage(case(0.5, 4.0**-3), opponents, seconds) == pytest.approx(8)
    assert advantage(case(0.5, 1e-9), opponents, seconds) == math.inf


def test_measured_cases_are_not_measured_again(tmp_path):
    path, count = tmp_path / "runs" / "cases.jsonl", []

    def measured():
        count.append(1)
        return case(math.nan, math.inf if len(count) == 2 else 0.1 / 3)

    log = CaseLog(path, {"machine": "a"})
    first = [log.measured(key, measured) for key in ("x", "y", "x")]
    assert len(count) == 2
    # A line that a stop cut off is measured again, those before it are not.
    path.write_text(path.read_text() + '{"key": "z", "ca')
    log = CaseLog(path, {"machine": "a"})
    again = [log.measured(key, measured) for key in ("x", "y", "x")]
    assert repr(again) == repr(first)
    assert len(count) == 2
    log.measured("z", measured)
    assert len(count) == 3
    assert len(path.read_text().splitlines()) == 4
    # Seconds of another machine count for nothing.
    CaseLog(path, {"machine": "b"}).measured("x", measured)
    assert len(count) == 4
    assert len(path.with_name("cases.jsonl.before").read_text().splitlines()) == 4
    path.write_text("notes of mine\n")
    with pytest.raises(FileExistsError, match="no log of measured cases"):
        CaseLog(path, {})
    assert path.read_text() == "notes of mine\n"
