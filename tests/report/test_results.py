import json
import math

import pytest

from stencilnet.report import write_json


def test_numbers_that_are_not_finite_become_null(tmp_path):
    values = {"a": math.nan, "b": {"c": math.inf, "d": [1.5, -math.inf]}, "e": "text"}
    path = write_json(values, tmp_path / "result.json")
    assert json.loads(path.read_text()) == {
        "a": None,
        "b": {"c": None, "d": [1.5, None]},
        "e": "text",
        "schema": "stencilnet.result/1",
    }
    with pytest.raises(FileExistsError, match="--overwrite"):
        write_json({}, path)
    again = json.loads(write_json({}, path, overwrite=True).read_text())
    assert again == {"schema": "stencilnet.result/1"}
