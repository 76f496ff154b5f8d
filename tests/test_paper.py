"""The page that puts the paper's numbers beside ours."""

import csv
import json
import re
import runpy
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

STUDIES = Path(__file__).parents[1] / "simulations"
# A few signals and weights in place of the paper's.
TINY = {
    "denoising": {
        "signals, training, points = 600, 540, 100": (
            "signals, training, points = 12, 8, 100"
        ),
        "weights = np.linspace(0, 50, 20)": "weights = np.linspace(0, 50, 3)",
    },
    "denoising_layers": {
        "signals, training_size, points = 600, 540, 100": (
            "signals, training_size, points = 12, 8, 100"
        ),
        "weights_tried = np.linspace(0, 50, 20)": (
            "weights_tried = np.linspace(0, 50, 3)"
        ),
        "epochs = 3 if study.quick": "epochs = 1 if study.quick",
    },
    "reconstruction": {
        "epochs = 10 if study.quick": "epochs = 1 if study.quick",
    },
    "paper": {},
}


class Parts(HTMLParser):
    """Cells of each table by its heading, figures, and what a page would load."""

    def __init__(self, page):
        super().__init__()
        self.tables, self.figures, self.loaded = {}, {}, []
        self._heading, self._tag = "", ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self._tag = tag
        if tag == "img":
            self.figures[values["alt"]] = values["src"]
        else:
            self.loaded += [values[key] for key in ("src", "href") if key in values]
        if tag == "tr":
            self.tables.setdefault(self._heading, []).append([])
        if tag in ("td", "th"):
            self.tables[self._heading][-1].append("")

    def handle_endtag(self, tag):
        self._tag = ""

    def handle_data(self, data):
        if self._tag == "h2":
            self._heading = data
        if self._tag in ("td", "th"):
            self.tables[self._heading][-1][-1] += data


@pytest.fixture(scope="module")
def paper(tmp_path_factory):
    """The folder of the results of a tiny run."""
    folder = tmp_path_factory.mktemp("paper")
    for name, changes in TINY.items():
        text = (STUDIES / f"{name}.py").read_text()
        for line, smaller in changes.items():
            assert text.count(line) == 1
            text = text.replace(line, smaller)
        (folder / f"{name}.py").write_text(text)

    def here(command, run=subprocess.run, **settings):
        """A study in this process, which has imported what it needs."""
        if command[0] != sys.executable:
            return run(command, **settings)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", command[1:])
            runpy.run_path(command[1], run_name="__main__")
        return None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("subprocess.run", here)
        words = [sys.executable, str(folder / "paper.py"), "--quick"]
        here([*words, "--run", str(folder / "run")])
    return folder / "run"


@pytest.mark.long
def test_each_number_of_the_paper_stands_beside_ours(paper):
    parts = Parts((paper / "page.html").read_text(encoding="utf-8"))
    sizes = {heading: len(rows) - 1 for heading, rows in parts.tables.items()}
    # Six penalties; three levels of noise without and with the layer; four rows of
    # stencils, each without and with two constraints.
    assert list(sizes.values()) == [6, 6, 6, 6, 6, 12, 8]
    for number in range(1, 5):
        assert sum(heading.startswith(f"Table {number}. ") for heading in sizes) == 1
    first = next(iter(parts.tables.values()))
    assert first[0] == [
        *("penalty", "order", "test loss", "paper: test loss", "ours / paper")
    ]
    text = (paper / "denoising/tables-1-2.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    assert [row[3] for row in first[1:]] == [
        *("0.135", "0.0833", "0.0796", "0.0934", "0.0903", "0.136")
    ]
    for shown, row in zip(first[1:], rows, strict=False):
        ours, theirs = float(row["test loss"]), float(row["paper: test loss"])
        assert shown[:2] == [row["penalty"], row["order"]]
        assert [float(cell) for cell in shown[2:]] == pytest.approx(
            [ours, theirs, ours / theirs], rel=5e-3
        )


@pytest.mark.long
def test_the_page_shows_the_figures_and_loads_nothing(paper):
    page = (paper / "page.html").read_text(encoding="utf-8")
    parts = Parts(page)
    assert parts.loaded == []
    assert [alt[:9] for alt in parts.figures] == [f"Figure {n}." for n in range(1, 9)]
    assert len(set(parts.figures.values())) == 8
    assert all(s.startswith("data:image/png;base64,") for s in parts.figures.values())
    assert not re.search(r"@import|url\(", page)
    # The Markdown beside it shows the same figures, as files.
    text = (paper / "page.md").read_text(encoding="utf-8")
    images = re.findall(r"!\[(.*?)\]\((.*?)\)", text)
    assert [caption for caption, _ in images] == list(parts.figures)
    assert all((paper / name).is_file() for _, name in images)
    gains = json.loads((paper / "result.json").read_text())["gains"]
    assert len([name for name in gains if name.startswith(("cosine", "piece"))]) == 6
