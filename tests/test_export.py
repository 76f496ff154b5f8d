"""What leaves: files that read back, and operators that compute the same."""

import ctypes
import importlib.util
import shutil
import subprocess
import sys

import h5py
import numpy as np
import pytest
import torch
from helpers import randomize, smooth_field

from stencilnet import (
    MLP,
    Burgers,
    Convective,
    Convex,
    Grid,
    LearnedStencil,
    NullSpace,
    RandomForcing,
    UpwindFlux,
    load_operator,
    save_operator,
)
from stencilnet.boundaries import Outflow, Prescribed, Wall, ZeroSlope
from stencilnet.cli import main
from stencilnet.discretizations import Constant, c_code, take_apart
from stencilnet.equations import (
    AdvectionDiffusion,
    CentralFlux,
    FisherKPP,
    KortewegDeVries,
    KuramotoSivashinsky,
)
from stencilnet.stencils import Projection, Soft
from stencilnet.storage import (
    LAYOUTS,
    grid_of,
    read_foreign,
    read_operator,
    trajectories,
    write_trajectories,
)
from stencilnet.study import export, export_operator

GRID = Grid.line(16, 3.0)
TIMES = torch.arange(5, dtype=torch.float64) * 0.25
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5}
CASES = {
    "burgers": (Burgers(0.1), {"mirror": True}),
    "upwind": (Burgers(0.1), {"form": UpwindFlux, "mirror": True}),
    "points": (Burgers(0.1), {"form": Convective, "constraint": Projection(limit=2.0)}),
    "kdv": (KortewegDeVries(2.0, 0.3), {"constraint": Soft(mu=0.3), "window": 8}),
    "ks": (KuramotoSivashinsky(0.5), {"form": UpwindFlux, "network": Constant()}),
    "advection": (AdvectionDiffusion(-0.7, 0.2), {"form": UpwindFlux}),
    "reaction": (FisherKPP(0.3, 0.7), {"form": CentralFlux}),
    "reaction at points": (FisherKPP(0.3, 0.7), {"form": Convective}),
    "single": (Burgers(0.1), {"mirror": True, "dtype": torch.float32}),
    "unbounded": (Burgers(0.1), {"constraint": NullSpace(limit=float("inf"))}),
    "walls": (Burgers(0.1), {"mirror": True, "ends": Wall()}),
    "upwind walls": (Burgers(0.1), {"form": UpwindFlux, "ends": Wall()}),
    "inflow": (
        Burgers(0.1),
        {"form": UpwindFlux, "mirror": True, "ends": (Prescribed(0.8), Outflow())},
    ),
    "points between ends": (
        Burgers(0.1),
        {"form": Convective, "ends": (ZeroSlope(), Prescribed(-0.3))},
    ),
    "reaction between ends": (
        FisherKPP(0.3, 0.7),
        {"form": UpwindFlux, "ends": (Prescribed(1.0), ZeroSlope())},
    ),
    "single between ends": (
        Burgers(0.1),
        {"ends": (Outflow(), Prescribed(0.4)), "dtype": torch.float32},
    ),
}


def operator_of(case, points=16):
    equation, settings = CASES[case]
    settings = {"network": MLP(8, 8), "scale": 0.7, **settings}
    grid = Grid.line(points, 3.0, boundaries=settings.pop("ends", None))
    operator = LearnedStencil(equation, grid, **settings)
    randomize(operator.network)
    return operator


def fields(operator, points=16):
    u = smooth_field(Grid.line(points, 3.0 * points / 16), samples=3)
    return u.to(operator.dtype)


def relative(found, operator, u):
    own = operator(u).detach().numpy()
    return float(np.abs(found - own).max() / np.abs(own).max())


@pytest.mark.parametrize("case", CASES)
def test_numpy_computes_what_the_operator_does(case, tmp_path):
    operator = operator_of(case)
    path = export_operator(operator, tmp_path / "operator.py", format="numpy")
    spec = importlib.util.spec_from_file_location("exported", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    u = fields(operator)
    error = relative(module.time_derivative(u.numpy()), operator, u)
    assert error < TOLERANCE[operator.dtype]
    for name, values in operator.coefficients(u).items():
        found = module.coefficients(u.numpy())[name]
        largest = float(values.detach().abs().max())
        error = np.abs(found - values.detach().numpy()).max() / largest
        assert error < TOLERANCE[operator.dtype]
    assert "stencilnet" not in path.read_text()
    assert "torch" not in path.read_text()


def test_a_value_at_an_end_that_is_learned_leaves_as_it_is():
    value = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    grid = Grid.line(16, boundaries=(Wall(), Prescribed(value)))
    apart = take_apart(LearnedStencil(Burgers(0.1), grid))
    assert apart.ends[1].value == 0.3


class Softened(ZeroSlope):
    """A state beyond the end that no table of numbers holds."""

    def beyond(self, within, value):
        return within.tanh()


@pytest.mark.parametrize(
    "end",
    [Prescribed(torch.sin), Prescribed(torch.ones(3, 1)), Softened()],
    ids=["of time", "by sample", "one's own"],
)
def test_boundaries_without_a_formula_are_refused(end):
    operator = LearnedStencil(Burgers(0.1), Grid.line(16, boundaries=(Wall(), end)))
    with pytest.raises(ValueError, match=r"no formula for export.*format='torch'"):
        take_apart(operator)


@pytest.mark.skipif(not shutil.which("cc"), reason="no compiler of C here")
def test_c_computes_what_the_operator_does(tmp_path):
    """All cases in one program, which a strict compiler takes without a warning."""
    source = []
    for number, case in enumerate(CASES):
        header = tmp_path / f"case_{number}.h"
        export_operator(operator_of(case), header, format="c")
        source.append(
            f'#include "{header.name}"\n'
            f"void run_{number}(const case_{number}_real *u, case_{number}_real *v, "
            f"int n) {{ case_{number}_time_derivative(u, v, n); }}\n"
        )
    (tmp_path / "all.c").write_text("".join(source))
    flags = "-std=c99 -O1 -Wall -Wextra -Werror -shared -fPIC -o all.so all.c -lm"
    subprocess.run(["cc", *flags.split()], cwd=tmp_path, check=True)
    library = ctypes.CDLL(str(tmp_path / "all.so"))
    for number, case in enumerate(CASES):
        operator = operator_of(case)
        for points in (16, 20):
            u = fields(operator, points)[0].numpy()
            v = np.empty_like(u)
            run = getattr(library, f"run_{number}")
            run(
                u.ctypes.data_as(ctypes.c_void_p),
                v.ctypes.data_as(ctypes.c_void_p),
                points,
            )
            ends = operator.grid.boundaries
            longer = operator.on(Grid.line(points, 3.0 * points / 16, boundaries=ends))
            error = relative(v, longer, torch.from_numpy(u))
            assert error < TOLERANCE[operator.dtype], case


@pytest.mark.parametrize("case", ["burgers", "inflow"])
def test_names_in_c_begin_with_the_name_of_the_header(case):
    code = c_code(take_apart(operator_of(case)), "mine")
    defined = [
        line.split("(")[0].split()[-1]
        for line in code.splitlines()
        if line.startswith("static inline")
    ]
    assert defined
    assert all(name.startswith("mine_") for name in defined)


def test_a_graph_of_torch_takes_any_batch(tmp_path):
    operator = operator_of("burgers")
    path = export_operator(operator, tmp_path / "operator.pt2", format="torch")
    run = torch.export.load(path).module()
    u = fields(operator)
    for rows in (1, 3):
        assert relative(run(u[:rows]).detach().numpy(), operator, u[:rows]) < 1e-12


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_onnx_computes_what_the_operator_does(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    operator = operator_of("single")
    path = export_operator(operator, tmp_path / "operator.onnx", format="onnx")
    session = onnxruntime.InferenceSession(path.read_bytes())
    u = fields(operator)
    for rows in (1, 3):
        inputs = {session.get_inputs()[0].name: u[:rows].numpy()}
        assert relative(session.run(None, inputs)[0], operator, u[:rows]) < 1e-5


def test_an_operator_without_closed_form_is_refused(tmp_path):
    convex = LearnedStencil(Burgers(0.1), GRID, constraint=Convex())
    for kind in ("numpy", "c", "onnx"):
        with pytest.raises(ValueError, match="no closed form.*null_space, projection"):
            export_operator(convex, tmp_path / "o", format=kind)
    own = LearnedStencil(
        Burgers(0.1), GRID, network=torch.nn.Linear(6, 9, dtype=torch.float64)
    )
    with pytest.raises(ValueError, match="network Linear is not one of the package's"):
        export_operator(own, tmp_path / "o", format="c")
    with pytest.raises(ValueError, match="did you mean 'numpy'"):
        export_operator(own, tmp_path / "o", format="nump")
    assert not list(tmp_path.iterdir())


def test_a_store_holds_what_makes_weights_into_stencils(tmp_path):
    operator = operator_of("burgers")
    path = save_operator(operator, tmp_path / "o.zarr", history={"loss": np.ones(3)})
    stored = read_operator(path)
    assert stored.history["loss"].tolist() == [1, 1, 1]
    arrays = stored.stencils
    for name in ("u", "u_x"):
        matrix, moments = arrays[f"{name}.conditions"], arrays[f"{name}.moments"]
        raw = np.random.default_rng(0).normal(size=arrays[f"{name}.map"].shape[1])
        c = arrays[f"{name}.reference"] + arrays[f"{name}.map"] @ raw
        np.testing.assert_allclose(matrix @ c, moments, atol=1e-12)
    assert arrays["u.offsets"].tolist() == [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5]
    again, _ = load_operator(path)
    u = fields(operator)
    assert torch.equal(again(u), operator(u))


def stored_data(tmp_path, name="data.zarr"):
    u = smooth_field(GRID, samples=2).unsqueeze(1) * (1 + TIMES[:, None])
    data = trajectories(
        u,
        TIMES,
        GRID,
        RandomForcing.sample(2, modes=3, seed=0),
        averages=True,
        equation=Burgers(0.05),
        attributes={"notes": ["By hand."], "self_convergence": 1e-7},
    )
    write_trajectories(data, tmp_path / name)
    return data


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "csv"])
def test_exported_data_read_back_to_the_bit(layout, tmp_path):
    data = stored_data(tmp_path)
    target = tmp_path / f"out{LAYOUTS[layout][0]}"
    export(tmp_path / "data.zarr", target, format=layout)
    again = read_foreign(target)
    np.testing.assert_array_equal(again["u"], data["u"])
    np.testing.assert_array_equal(again["time"], data["time"])
    assert again["x"].attrs["period"] == pytest.approx(3.0, rel=1e-12)
    if layout != "well":
        assert "pi" not in " ".join(again.attrs["notes"])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_boundaries_leave_and_come_back(layout, tmp_path):
    ends = Prescribed(0.5), Wall()
    grid = Grid.line(16, 2.0, boundaries=ends)
    u = grid.points().cos() * (1 + TIMES[:, None])
    data = trajectories(u, TIMES, grid, averages=True)
    data["x"].attrs["origin"] = -1.0
    write_trajectories(data, tmp_path / "data.zarr")
    target = tmp_path / f"out{LAYOUTS[layout][0]}"
    export(tmp_path / "data.zarr", target, format=layout)
    words = "prescribed (value 0.5) at the left and wall at the right end"
    assert f"length 2.0, x from -1 on, {words}" in (tmp_path / "out.md").read_text()
    if layout == "csv":
        return
    again = read_foreign(target, averages=True)
    np.testing.assert_array_equal(again["u"], data["u"])
    assert grid_of(again).boundaries == ends
    assert again["x"].attrs["origin"] == pytest.approx(-1.0, abs=1e-12)
    assert grid_of(again).extent[-1] == pytest.approx(2.0, rel=1e-12)
    asked = read_foreign(target, boundaries=["outflow", {"name": "wall"}])
    assert grid_of(asked).boundaries == (Outflow(), Wall())
    if layout == "well":
        with h5py.File(target) as file:
            conditions = file["boundary_conditions"]
            kinds = {name: g.attrs["bc_type"] for name, g in conditions.items()}
            masks = {name: g["mask"][:].nonzero()[0] for name, g in conditions.items()}
        assert kinds == {"x_left": "OPEN", "x_right": "WALL"}
        assert masks == {"x_left": [0], "x_right": [15]}


def test_a_card_lies_beside_the_data(tmp_path, monkeypatch, capsys):
    data = stored_data(tmp_path)
    monkeypatch.chdir(tmp_path)

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["stencilnet", "export", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        return caught.value.code, " ".join("".join(capsys.readouterr()).split())

    assert command("data.zarr", "--format", "csv", "--licence", "CC-BY-4.0")[0] == 0
    text = (tmp_path / "data.md").read_text()
    for words in (
        "Burgers (viscosity 0.05)",
        "periodic, length 3.0",
        "cell averages",
        "sum of 3 waves",
        "self-convergence 1e-07",
        "CC-BY-4.0",
        "![Trajectories](data.png)",
        "- By hand.",
    ):
        assert words in text, words
    assert (tmp_path / "data.png").exists()
    rows = np.genfromtxt("data.csv", delimiter=",", names=True)
    np.testing.assert_array_equal(rows["u"], data["u"].values.ravel())
    code, words = command("data.zarr", "--format", "csv")
    assert (code, "--overwrite" in words) == (2, True)
    assert command("data.zarr", "--format", "csv", "--overwrite")[0] == 0
    code, words = command("data.zarr", "--format", "hdf")
    assert (code, "did you mean 'hdf5'" in words) == (2, True)
    save_operator(operator_of("burgers"), "o.zarr")
    code, words = command("o.zarr", "--format", "npz")
    assert (code, "no format of an operator 'npz'" in words) == (2, True)
    assert command("o.zarr", "--format", "c", "--out", "mine.h")[0] == 0
