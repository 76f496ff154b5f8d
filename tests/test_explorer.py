"""What an explorer shows of a store, solves beside it, and serves to whom."""

import json
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from stencilnet import Burgers, Grid, RandomForcing, Weno, rollout
from stencilnet.boundaries import Wall
from stencilnet.storage import (
    save_dataset,
    trajectories,
    write_in_blocks,
    write_trajectories,
)
from stencilnet.study import Live, compare, opened, serve

GRID, EQUATION = Grid.line(16), Burgers(viscosity=0.05)
TIMES = torch.linspace(0, 2, 11, dtype=torch.float64)


def make_trajectories(samples=3):
    forcing = RandomForcing.sample(samples, seed=2)
    weno = Weno(EQUATION, GRID)
    force = forcing.on(GRID, averages=True)
    u = rollout(weno, GRID.points().sin() + force(0.0), TIMES, force, steps=4)
    spec = json.dumps(EQUATION.spec())
    return trajectories(
        u, TIMES, GRID, forcing, averages=True, attributes={"equation": spec}
    )


@pytest.fixture(scope="module")
def data():
    return make_trajectories()


@pytest.fixture
def store(data, tmp_path):
    """A store with a block of its own for each sample."""
    return write_in_blocks(
        lambda rows: data.isel(sample=rows), tmp_path / "data.zarr", samples=3, block=1
    )


@pytest.fixture
def comparison(data, tmp_path):
    methods = {"weno_z": Weno(EQUATION, GRID), "weno_js": Weno(EQUATION, GRID)}
    result = compare(methods, data).assign_attrs(equation=json.dumps(EQUATION.spec()))
    return result, save_dataset(result, tmp_path / "comparison-16.zarr")


def test_samples_are_read_one_at_a_time(store, data):
    files = sorted(path for path in (store / "u").rglob("*") if path.is_file())
    broken = [path for path in files if path.parts[-3:-2] == ("2",)]
    assert len(broken) == 1
    broken[0].write_bytes(b"")
    with opened(store) as explorer:
        assert explorer.names == ["u"]
        for sample in (1, 0):
            shown = explorer.fields(sample)["u"]
            assert np.array_equal(shown, data["u"].values[sample])
        with pytest.raises(ValueError, match="does not match its checksum"):
            explorer.fields(2)
        with pytest.raises(ValueError, match="no sample 3"):
            explorer.fields(3)


def test_a_comparison_shows_its_methods_and_their_errors(comparison):
    result, path = comparison
    with opened(path) as explorer:
        assert explorer.names == ["reference", "weno_z", "weno_js"]
        fields, errors = explorer.fields(1), explorer.errors(1)
        assert np.array_equal(fields["weno_js"], result["u"].values[1, 1])
        assert np.array_equal(fields["reference"], result["reference"].values[0, 1])
        assert np.array_equal(errors["weno_z"], result["error"].values[0, 1])


def test_a_comparison_that_keeps_some_samples_shows_those(data, tmp_path):
    methods = {"weno_z": Weno(EQUATION, GRID), "weno_js": Weno(EQUATION, GRID)}
    each = 16 * len(methods) * data.sizes["time"] * data.sizes["x"]
    result = compare(methods, data, memory=2.5 * each / 2**30)
    assert result.sizes["kept"] == 2 < result.sizes["sample"]
    result.attrs["equation"] = json.dumps(EQUATION.spec())
    path = save_dataset(result, tmp_path / "comparison-16.zarr")
    with opened(path) as explorer:
        assert explorer.samples == 2
        fields, errors = explorer.fields(1), explorer.errors(1)
        solved = explorer.solve(Live(1, duration=1.0))
        assert solved.fields
        # Without its study nothing says the forcing, so that errors would mean nothing.
        assert not solved.errors
        with pytest.raises(ValueError, match="from 0 to 1"):
            explorer.fields(2)
    assert np.array_equal(fields["weno_js"], result["u"].values[1, 1])
    assert np.array_equal(fields["reference"], result["reference"].values[0, 1])
    assert np.array_equal(errors["weno_z"], result["error"].values[0, 1])


def test_a_live_solve_repeats_the_stored_problem(store, data):
    with opened(store) as explorer:
        solved = explorer.solve(Live(1, duration=2.0))
    assert list(solved.fields) == ["learned", "weno_z"]
    assert np.allclose(solved.times, TIMES)
    # WENO-Z made the store; in other steps it comes close, and begins there.
    assert np.array_equal(solved.fields["weno_z"][0], data["u"].values[1, 0])
    assert np.nanmax(solved.errors["weno_z"]) < 0.01
    assert np.nanmax(solved.errors["learned"]) < 0.1
    assert solved.steps["weno_z"] < 0.21


def test_viscosity_and_seed_make_other_problems(store):
    with opened(store) as explorer:
        stored, thick, drawn, again, other = (
            explorer.solve(Live(0, duration=1.0, **settings))
            for settings in (
                {},
                {"viscosity": 0.5},
                {"seed": 3},
                {"seed": 3},
                {"seed": 4},
            )
        )
    ends = [result.fields["weno_z"][-1] for result in (stored, thick, drawn, other)]
    assert np.array_equal(drawn.fields["weno_z"], again.fields["weno_z"])
    for first in range(4):
        for second in range(first):
            assert not np.allclose(ends[first], ends[second], atol=1e-3)
    assert np.ptp(ends[1]) < 0.8 * np.ptp(ends[0])
    assert not thick.errors
    assert not drawn.errors


def test_times_beyond_the_stored_ones_have_no_error(store):
    with opened(store) as explorer:
        solved = explorer.solve(Live(0, duration=4.0))
    known = np.isfinite(solved.errors["weno_z"])
    assert known[solved.times < 2.01].all()
    assert not known[solved.times > 2.01].any()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"viscosity": -1.0}, "viscosity must be positive"),
        ({"duration": 0.0}, "duration must be positive"),
        ({"duration": 1e9}, "shorter duration"),
        ({"classical": "wenoz"}, "weno_z"),
        ({"seed": -1}, "seed"),
    ],
)
def test_what_cannot_be_solved_is_refused_in_words(store, settings, words):
    with opened(store) as explorer, pytest.raises(ValueError, match=words):
        explorer.solve(Live(0, **settings))


def test_a_store_without_equation_is_shown_but_not_solved(tmp_path, data):
    plain = data.copy()
    del plain.attrs["equation"]
    path = write_in_blocks(
        lambda rows: plain.isel(sample=rows), tmp_path / "p.zarr", samples=3, block=3
    )
    with opened(path) as explorer:
        assert explorer.fields(0)
        with pytest.raises(ValueError, match="which equation"):
            explorer.solve(Live(0))


def test_coefficients_are_those_of_the_learned_stencil(store, tmp_path):
    from stencilnet import MLP, LearnedStencil, save_operator

    learned = LearnedStencil(EQUATION, GRID, network=MLP(4), scale=0.7)
    # Weights that let the coefficients follow the solution.
    with torch.no_grad():
        for weight in learned.network.parameters():
            weight.add_(torch.linspace(-1, 1, weight.numel()).reshape(weight.shape))
    save_operator(learned, store.parent / "operator.zarr")
    with opened(store) as explorer:
        state = explorer.fields(0)["u"][-1]
        shown = explorer.coefficients(state)
    expected = learned.dimensionless(torch.from_numpy(state))
    assert shown.keys() == expected.keys() == {"u", "u_x"}
    for name, (offsets, values) in shown.items():
        assert offsets.tolist() == [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5]
        assert np.allclose(values, expected[name].detach().numpy())
        assert np.ptp(values, axis=0).max() > 1e-3


@pytest.fixture
def page(store):
    pytest.importorskip("bokeh")
    from stencilnet.study.explorer_page import Page

    with opened(store) as explorer:
        yield Page(explorer)


def test_controls_change_what_is_shown(page, data):
    state = page.figures.sources["state"].data
    assert np.array_equal(state["reference"], data["u"].values[0, 0])
    page.sample.value, page.time.value = 2, 2.0
    state = page.figures.sources["state"].data
    assert np.array_equal(state["reference"], data["u"].values[2, -1])
    (image,) = page.figures.sources["field"].data["image"]
    assert np.allclose(image, data["u"].values[2].T)


def test_beside_the_reference_all_errors_are_shown(comparison):
    pytest.importorskip("bokeh")
    from stencilnet.study.explorer_page import Page

    with opened(comparison[1]) as explorer:
        page = Page(explorer)
        shown = page.figures.sources["error"].data
        assert shown["method"] == ["WENO-JS"]
        page.method.value = "reference"
        shown = page.figures.sources["error"].data
        assert shown["method"] == ["WENO-Z (exponent 2)", "WENO-JS"]
        assert len(set(shown["colour"])) == 2
        errors = list(explorer.errors(0).values())
    for line, error in zip(shown["error"], errors, strict=True):
        assert np.allclose(line, np.where(error > 0, error, np.nan), equal_nan=True)


def test_a_click_solves_and_tells_it(page):
    page.duration.value, page.time.value = 2.0, 1.0
    page.run()
    assert 'role="status"' in page.status.text
    assert "WENO-Z" in page.status.text
    state = page.figures.sources["state"].data
    assert np.allclose(state["classical"], state["reference"], atol=0.03)
    assert len(page.figures.sources["error"].data["method"]) == 2
    # Another sample is another problem.
    page.sample.value = 1
    assert page.status.text == ""
    assert np.isnan(page.figures.sources["state"].data["classical"]).all()
    assert page.figures.sources["learned"].data["image"] == []


def test_a_mistake_on_the_page_is_told_there(page):
    page.seed.value = "<b>"
    page.told(page.run)
    assert 'role="alert"' in page.status.text
    assert "&lt;b&gt;" in page.status.text


def test_the_server_is_for_this_machine_and_its_own_page(store):
    pytest.importorskip("bokeh")
    from tornado.httpclient import HTTPClientError, HTTPRequest
    from tornado.websocket import websocket_connect

    async def answer(server, origin):
        from bokeh.util.token import generate_jwt_token, generate_session_id

        token = generate_jwt_token(generate_session_id())
        request = HTTPRequest(
            f"ws://127.0.0.1:{server.port}/ws", headers={"Origin": origin}
        )
        try:
            socket = await websocket_connect(request, subprotocols=["bokeh", token])
        except HTTPClientError as error:
            return error.code
        socket.close()
        return 101

    with opened(store) as explorer:
        server = serve(explorer, allow_origins=["notebook.example:8888"])
        try:
            listening = {s.getsockname()[0] for s in server._http._sockets.values()}
            codes = {
                origin: server.io_loop.run_sync(lambda o=origin: answer(server, o))
                for origin in (
                    f"http://127.0.0.1:{server.port}",
                    f"http://localhost:{server.port}",
                    "http://notebook.example:8888",
                    "http://evil.example",
                    f"http://evil.example:{server.port}",
                    "http://127.0.0.1:1",
                )
            }
        finally:
            server.stop()
            server.io_loop.close()
    assert listening == {"127.0.0.1"}
    assert list(codes.values()) == [101, 101, 101, 403, 403, 403]


needs_browser = pytest.mark.skipif(
    not (shutil.which("chromium") and shutil.which("chromedriver")),
    reason="needs chromium and chromedriver",
)

BUTTON = """
const find = root => {
  for (const node of root.querySelectorAll("*")) {
    if (node.matches("button.bk-btn-primary")) return node;
    const inner = node.shadowRoot && find(node.shadowRoot);
    if (inner) return inner;
  }
};
"""


@needs_browser
@pytest.mark.long
def test_the_page_is_alive_in_a_browser(store):
    pytest.importorskip("bokeh")
    webdriver = pytest.importorskip("selenium.webdriver")
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.support.ui import WebDriverWait

    command = [sys.executable, "-m", "stencilnet", "explore", str(store)]
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        # Whoever started the tests may have them ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        driver = None
        try:
            told = process.stdout.readline()
            address = next(word for word in told.split() if "http" in word).rstrip(",")
            driver = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
            wait = WebDriverWait(driver, 60)
            driver.get(address)
            wait.until(lambda d: d.execute_script(BUTTON + "return !!find(document)"))
            driver.execute_script(BUTTON + "find(document).click()")
            status = "return Bokeh.documents[0].get_model_by_name('status').text"
            wait.until(lambda d: "WENO-Z" in d.execute_script(status))
            canvases = driver.execute_script(
                "return Bokeh.documents[0].all_models.size > 50"
            )
            requests = driver.execute_script(
                "return performance.getEntriesByType('resource').map(r => r.name)"
            )
            log = driver.get_log("browser")
        finally:
            if driver is not None:
                driver.quit()
            process.send_signal(signal.SIGINT)
            for _ in range(100):
                if process.poll() is not None:
                    break
                time.sleep(0.1)
            process.kill()
    assert canvases
    assert all(request.startswith(address) for request in requests)
    assert [entry for entry in log if entry["level"] == "SEVERE"] == []
    assert process.returncode == 128 + signal.SIGINT


def test_between_boundaries_nothing_is_solved_as_if_periodic(tmp_path):
    grid = Grid.line(16, 1.0, boundaries=Wall())
    times = torch.tensor([0.0, 0.1], dtype=torch.float64)
    data = trajectories(
        torch.zeros(1, 2, 16, dtype=torch.float64),
        times,
        grid,
        averages=True,
        attributes={"equation": json.dumps(Burgers(0.1).spec())},
    )
    path = write_trajectories(data, tmp_path / "walls.zarr")
    with opened(path) as explorer:
        assert explorer.fields(0)["u"].shape == (2, 16)
        with pytest.raises(ValueError, match="lies between boundaries"):
            explorer.solve(Live(sample=0))
