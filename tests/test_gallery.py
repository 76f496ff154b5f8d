"""The gallery's scripts run, print the numbers that they promise, and draw."""

import re
import runpy
from pathlib import Path

import matplotlib
import pytest
from matplotlib import pyplot

GALLERY = Path(__file__).parents[1] / "docs" / "gallery"
# Ranges of the numbers that each script prints, in their order.
PRINTED = {
    "chaos": [(100, 250)],
    "denoising": [(0.09, 0.11), (0.05, 0.065), (0.03, 0.05), (0.1, 0.1), (0.09, 0.11)],
    "n_wave": [(1, 1), (-0.52, -0.48), (0, 1e-14)],
    "riemann": [(1, 1), (0.03, 0.034), (0.006, 0.008), (0.006, 0.008)],
    "shock": [(0, 0.01), (0.01, 0.1), (480, 480), (0, 0.002)],
    "solitons": [(0, 1e-6)],
    "viscosity": [(0.049, 0.052), (0.2, 0.2), (0.05, 0.05)],
}


def test_every_script_is_known():
    assert {path.stem for path in GALLERY.glob("*.py")} == set(PRINTED)
    page = GALLERY.with_suffix(".md").read_text()
    shown = re.findall(r"literalinclude\} gallery/(\w+)\.py", page)
    assert sorted(shown) == sorted(PRINTED)


@pytest.mark.long
@pytest.mark.parametrize("name", PRINTED)
def test_a_script_prints_what_it_promises_and_draws(
    name, tmp_path, monkeypatch, capsys
):
    matplotlib.use("agg")
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(GALLERY / f"{name}.py"))
    pyplot.close("all")
    numbers = re.findall(r"(?<![\w.])-?\d+\.?\d*(?:e[-+]\d+)?", capsys.readouterr().out)
    for number, (least, most) in zip(map(float, numbers), PRINTED[name], strict=True):
        assert least <= number <= most
    (picture,) = tmp_path.iterdir()
    assert picture.stat().st_size > 10_000
