"""The page of a run: whole, offline, and alive in a browser."""

import json
import re
import shutil
import time
from html.parser import HTMLParser

import pytest
import xarray as xr

from stencilnet import Burgers, FiniteDifference, Grid, LearnedStencil
from stencilnet.discretizations import frozen_stencils
from stencilnet.report import report_page

pytest.importorskip("bokeh")


@pytest.fixture
def page(make_comparison, make_certificate, make_history):
    learned = LearnedStencil(Burgers(0.02), Grid.line(16))
    central = FiniteDifference(learned.equation, learned.grid, order=4)
    u = learned.grid.points().sin().unsqueeze(0)
    state = xr.Dataset(coords={"x": learned.grid.points()})
    for name, stencils in frozen_stencils(learned, u).items():
        offsets = {f"offset_{name}": stencils.offsets}
        state[name] = xr.DataArray(
            stencils.coefficients, offsets, ("x", f"offset_{name}")
        )
    return report_page(
        "a run",
        {"equation": "Burgers <viscosity & all>"},
        [make_comparison(points=16), make_comparison(points=32)],
        certificate=make_certificate(),
        history=make_history(),
        classical={
            name: {"central 4": stencils}
            for name, stencils in frozen_stencils(central, u).items()
        },
        state=state.assign_attrs(time=1.5),
    )


def test_the_page_shows_costs_coefficients_and_what_is_beside_them(page):
    parser = Outside()
    parser.feed(page)
    told = " ".join(parser.labels)
    for words in ("cost", "coefficients of u_x", "wavenumber of the stencils of u,"):
        assert words in told
    # Both grids stand in the figure of costs, and the classical stencils beside.
    (document,) = json.loads(re.search(r"const docs_json = '(.*?)';", page)[1]).values()
    models = json.dumps(document)
    assert "cells advanced per unit of time" in models
    assert models.count('"central 4"') >= 4
    assert models.count('"+0.5 dx"') == 2


class Outside(HTMLParser):
    """Addresses that a page would load."""

    def __init__(self):
        super().__init__()
        self.loaded, self.labels = [], []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.loaded += [values[key] for key in ("src", "href") if key in values]
        if tag == "figure":
            self.labels.append(values["aria-label"])


def test_the_page_is_one_file_that_loads_nothing(page):
    assert len(page.encode()) < 5_000_000
    parser = Outside()
    parser.feed(page)
    assert parser.loaded == []
    assert "default-src 'none'" in page
    assert not re.search(r"@import|url\(\\*[\"']?(https?:)?//", page)


def test_figures_have_words_and_text_is_text(page):
    parser = Outside()
    parser.feed(page)
    assert len(parser.labels) >= 5
    assert all(len(label) > 20 for label in parser.labels)
    assert "Burgers &lt;viscosity &amp; all&gt;" in page
    assert "<!--" not in page.partition("<script")[0]


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [
        c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_text_has_contrast_in_light_and_dark(page):
    for ink, back in re.findall(r"--ink: (#\w+); --page: (#\w+)", page):
        full = [
            c if len(c) == 7 else "#" + "".join(2 * d for d in c[1:])
            for c in (ink, back)
        ]
        low, high = sorted(map(luminance, full))
        assert (high + 0.05) / (low + 0.05) >= 4.5


needs_browser = pytest.mark.skipif(
    not (shutil.which("chromium") and shutil.which("chromedriver")),
    reason="needs chromium and chromedriver",
)


@needs_browser
def test_the_page_is_alive_in_a_browser(page, tmp_path):
    webdriver = pytest.importorskip("selenium.webdriver")
    from selenium.webdriver.chrome.service import Service

    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
    try:
        driver.get((tmp_path / "page.html").as_uri())
        for _ in range(600):
            if driver.execute_script("return document.body.dataset.ready"):
                break
            time.sleep(0.1)
        states = (
            "const now = Bokeh.documents[0].get_model_by_name('now');"
            "return Array.from(now.data.reference)"
        )
        before = driver.execute_script(states)
        driver.execute_script(
            "const slider = document.getElementById('time'); slider.value = slider.max;"
            "slider.dispatchEvent(new Event('input'));"
        )
        after = driver.execute_script(states)
        told = driver.execute_script(
            "return document.getElementById('shown').textContent"
        )
        heights = driver.execute_script(
            "return Array.from(document.querySelectorAll('figure'))"
            ".map(figure => figure.offsetHeight)"
        )
        requests = driver.execute_script(
            "return performance.getEntriesByType('resource').length"
        )
        errors = [
            entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"
        ]
    finally:
        driver.quit()
    assert before != after
    assert told.startswith("t = ")
    assert min(heights) > 150
    assert requests == 0
    assert errors == []
