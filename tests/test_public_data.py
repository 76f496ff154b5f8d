"""Public files, where they are at hand: read rightly, and solved as near as known."""

import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from stencilnet import ETDRK4, Burgers, Grid, PseudoSpectral, rollout
from stencilnet.equations import KortewegDeVries, KuramotoSivashinsky
from stencilnet.storage import grid_of, read_foreign, tensor_of

DATA = Path(
    os.environ.get("STENCILNET_DATA", Path(__file__).parents[2] / "shared" / "data")
)
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="no public data here")

APEBENCH = {"variable": "ground_truth", "period": 2 * math.pi, "interval": 0.058905}
# File, settings, period, states, points and what has to be told.
FILES = [
    ("burgers_shock.mat", {}, 2, 100, 255, ["turned", "starts at -1", "255 of 256"]),
    ("dde_Burgers.npz", {}, 2, 100, 255, ["turned", "starts at -1", "255 of 256"]),
    ("hpm_burgers.mat", {}, 16, 101, 256, ["imaginary", "turned", "starts at -8"]),
    ("hpm_burgers_sine.mat", {}, 16, 201, 256, ["turned", "starts at -8"]),
    (
        "no_burgers_test_16.pt",
        {"period": 1, "interval": 1 / 16},
        1,
        17,
        16,
        ["no coordinates", "Burgers(0.01)"],
    ),
    ("apebench_diff_burgers.npz", APEBENCH, 2 * math.pi, 201, 160, ["no coordinates"]),
    ("hpm_KdV_cos.mat", {}, 40, 201, 512, ["turned", "starts at -20"]),
    ("sindy_kdv.mat", {}, 60, 201, 512, ["imaginary", "turned", "starts at -30"]),
    ("hpm_KS.mat", {}, 20, 251, 511, ["turned", "511 of 512"]),
    ("sn_KS.mat", {"interval": 0.05}, 64, 1001, 255, ["turned", "255 of 256"]),
]


@pytest.mark.parametrize(
    ("name", "settings", "period", "states", "points", "told"), FILES
)
def test_every_file_is_read_and_its_traps_are_told(
    name, settings, period, states, points, told
):
    data = read_foreign(DATA / name, **settings)
    samples = 400 if name.endswith(".pt") else 1
    assert tuple(data.sizes.values()) == (samples, states, points)
    assert data["x"].attrs["period"] == pytest.approx(period)
    notes = " ".join(data.attrs["notes"])
    assert all(words in notes for words in told)


def test_twins_are_equal():
    first, second = (
        read_foreign(DATA / name) for name in ("burgers_shock.mat", "dde_Burgers.npz")
    )
    np.testing.assert_array_equal(first["u"], second["u"])


def test_what_two_files_leave_open_is_asked_for():
    for name, words in (
        ("sn_KS.mat", "2001 times for 1001 states"),
        ("no_burgers_test_16.pt", "give interval="),
        ("apebench_diff_burgers.npz", "variable='ground_truth'"),
    ):
        with pytest.raises(ValueError, match=words):
            read_foreign(DATA / name)


def solved(name, equation, *, until, steps, refine=1, **settings):
    """Relative L2 error of our solution from a file's first states, by time."""
    data = read_foreign(DATA / name, equation=equation, **settings)
    data = data.sel(time=slice(0, until * (1 + 1e-9)))
    grid, times = grid_of(data), tensor_of(data["time"], torch.float64)
    u = tensor_of(data["u"], torch.float64)
    fine = Grid.line(grid.shape[-1] * refine, grid.extent[-1])
    u0 = torch.fft.irfft(torch.fft.rfft(u[:, 0]) * refine, n=fine.shape[-1])
    method = PseudoSpectral(equation, fine)
    with torch.no_grad():
        v = rollout(method, u0, times, integrator=ETDRK4, steps=steps)[..., ::refine]
    return (v - u).norm(dim=-1) / u.norm(dim=-1), float((v - u).norm() / u.norm())


COARSE = {"period": 1, "interval": 1 / 16}
# File, equation, last time, substeps, points per point of the file, settings and the
# largest error. Steps are short enough for what is left to be the file's.
SOLUTIONS = [
    ("burgers_shock.mat", Burgers(0.01 / math.pi), 0.99, 20, 1, {}, 1.3e-3),
    ("dde_Burgers.npz", Burgers(0.01 / math.pi), 0.99, 20, 8, {}, 2.5e-10),
    ("hpm_burgers.mat", Burgers(0.1), 10, 20, 1, {}, 7e-9),
    ("hpm_burgers_sine.mat", Burgers(0.1), 10, 10, 1, {}, 6e-9),
    ("no_burgers_test_16.pt", Burgers(0.01), 1, 4, 2, COARSE, 0.0148),
    ("sindy_kdv.mat", KortewegDeVries(), 1, 40, 1, {}, 2e-5),
    ("hpm_KdV_cos.mat", KortewegDeVries(1.0, 1.0), 2, 20, 1, {}, 1e-11),
    ("hpm_KS.mat", KuramotoSivashinsky(), 10, 40, 1, {}, 1.5e-10),
    ("sn_KS.mat", KuramotoSivashinsky(), 1, 10, 1, {"interval": 0.05}, 3.8e-7),
    ("sn_KS.mat", KuramotoSivashinsky(), 10, 10, 1, {"interval": 0.05}, 3e-6),
]


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "equation", "until", "steps", "refine", "settings", "largest"), SOLUTIONS
)
def test_our_solver_reproduces_the_files(
    name, equation, until, steps, refine, settings, largest
):
    _, error = solved(
        name, equation, until=until, steps=steps, refine=refine, **settings
    )
    assert error < largest


@pytest.mark.long
def test_the_time_error_of_a_file_is_seen():
    errors, _ = solved(
        "apebench_diff_burgers.npz", Burgers(0.019635), until=0.6, steps=5, **APEBENCH
    )
    known = torch.tensor([1.5e-3, 7.4e-3]).double()
    torch.testing.assert_close(errors[0, [1, 10]], known, rtol=0.05, atol=0)
