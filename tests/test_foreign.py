"""Files of other programs are read rightly, and their traps are told."""

import json
import math
import re
import sys

import h5py
import numpy as np
import pytest
import scipy.io
import torch
import xarray as xr

from stencilnet import Burgers, Grid
from stencilnet.cli import main
from stencilnet.equations import MovingShock
from stencilnet.storage import read_foreign, read_trajectories

TIMES = np.arange(6) * 0.1
X = np.arange(16) / 4 - 2.0
U = np.sin(np.pi * X / 2 - TIMES[:, None])
MANY = U * np.arange(1, 4)[:, None, None]


def notes(dataset):
    return " ".join(dataset.attrs["notes"])


def matlab_73(path, **arrays):
    """A file as MATLAB writes it: HDF5 behind a block of text, by columns."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, values in arrays.items():
            if values.dtype.kind == "c":
                kind = np.dtype([("real", "f8"), ("imag", "f8")])
                values = values.view(kind).reshape(values.shape)
            file[name] = values.T
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file")


def save(path, **arrays):
    """A file of the layout that its name says."""
    if path.name == "7.3.mat":
        matlab_73(path, **arrays)
    elif path.suffix == ".mat":
        scipy.io.savemat(path, arrays)
    elif path.suffix == ".npz":
        np.savez(path, **arrays)
    elif path.suffix == ".pt":
        torch.save({name: torch.from_numpy(v) for name, v in arrays.items()}, path)
    else:
        with h5py.File(path, "w") as file:
            for name, values in arrays.items():
                file[name] = values


@pytest.mark.parametrize("name", ["5.mat", "7.3.mat", "u.npz", "u.pt", "u.h5"])
def test_every_layout_gives_the_same_trajectories(name, tmp_path):
    path = tmp_path / name
    turned = np.ascontiguousarray(U.T)
    save(path, usol=turned + 1e-9j, t=TIMES[:, None], x=X[None])
    dataset = read_foreign(path)
    assert dict(dataset.sizes) == {"sample": 1, "time": 6, "x": 16}
    np.testing.assert_array_equal(dataset["u"][0], U)
    np.testing.assert_array_equal(dataset["time"], TIMES)
    assert dataset["x"].attrs["period"] == 4.0
    for words in ("imaginary parts of at most 1.0e-09", "turned", "x starts at -2"):
        assert words in notes(dataset)


def test_samples_are_found_by_the_lengths_of_the_others(tmp_path):
    save(tmp_path / "u.npz", u=MANY.swapaxes(1, 2), t=TIMES, x=X)
    np.testing.assert_array_equal(read_foreign(tmp_path / "u.npz")["u"], MANY)


def test_both_ends_are_dropped_where_they_are_equal(tmp_path):
    both = np.concatenate([U, U[:, :1]], axis=1)
    path = tmp_path / "u.npz"
    save(path, u=both, t=TIMES, x=np.append(X, 2.0))
    for dataset in (read_foreign(path), read_foreign(path, period=4.0)):
        np.testing.assert_array_equal(dataset["u"][0], U)
        assert "16 of 17 points" in notes(dataset)
    assert read_foreign(path, drop_end=False, period=4.25).sizes["x"] == 17
    save(path, u=U, t=TIMES, x=X)
    assert read_foreign(path).sizes["x"] == 16


def test_the_layout_of_pdebench_is_known(tmp_path):
    save(
        tmp_path / "1D_Burgers.hdf5",
        tensor=MANY.astype(np.float32),
        **{"x-coordinate": X + 0.125, "t-coordinate": np.append(TIMES, 0.6)},
    )
    dataset = read_foreign(tmp_path / "1D_Burgers.hdf5")
    np.testing.assert_array_equal(dataset["u"], MANY.astype(np.float32))
    assert "the last time has no state" in notes(dataset)
    assert "nu / pi" in notes(dataset)


def test_the_layout_of_the_well_is_known(tmp_path):
    save(
        tmp_path / "well.hdf5",
        **{
            "t0_fields/velocity": MANY,
            "dimensions/x": X,
            "dimensions/time": TIMES,
            "boundary_conditions/x_periodic/mask": np.ones(40000),
        },
    )
    np.testing.assert_array_equal(read_foreign(tmp_path / "well.hdf5")["u"], MANY)


def test_netcdf_says_its_axes(tmp_path):
    # Square, so that lengths alone would not tell.
    square = MANY[:, :, :6].swapaxes(1, 2)
    dims = ("sample", "x", "time")
    array = xr.Dataset({"v": (dims, square)}, coords={"x": X[:6], "time": TIMES})
    array.to_netcdf(tmp_path / "u.nc", engine="scipy")
    read = read_foreign(tmp_path / "u.nc")["u"]
    np.testing.assert_array_equal(read, MANY[:, :, :6])
    with h5py.File(tmp_path / "u4.nc", "w") as file:
        file["v"], file["x"], file["time"] = square[0], X[:6], TIMES
        for name, axis in (("x", 0), ("time", 1)):
            file[name].make_scale(name)
            file["v"].dims[axis].attach_scale(file[name])
    read = read_foreign(tmp_path / "u4.nc")["u"]
    np.testing.assert_array_equal(read[0], MANY[0, :, :6])


def test_strided_tensors_without_coordinates_need_domain_and_times(tmp_path):
    path = tmp_path / "u.pt"
    strided = torch.from_numpy(MANY).permute(2, 1, 0).contiguous().permute(2, 1, 0)
    torch.save({"x": strided[:, 0], "y": strided, "visc": torch.ones(1, 1)}, path)
    with pytest.raises(ValueError, match="the times of its 6 states: give interval="):
        read_foreign(path)
    with pytest.raises(ValueError, match="how long their domain is"):
        read_foreign(path, interval=0.1)
    dataset = read_foreign(path, interval=0.1, period=4)
    np.testing.assert_array_equal(dataset["u"], MANY)
    assert "equation=Burgers(1)" in notes(dataset)
    assert "taken as (sample, time, x)" in notes(dataset)


class Marker:
    """An object that only pickle stores."""


def test_nothing_is_unpickled(tmp_path):
    torch.save({"u": torch.from_numpy(U), "other": Marker()}, tmp_path / "u.pt")
    with pytest.raises(ValueError, match="would run code: save a dict of tensors"):
        read_foreign(tmp_path / "u.pt")
    np.save(tmp_path / "u.npy", np.array([Marker()], dtype=object))
    with pytest.raises(ValueError, match="run code when they are read"):
        read_foreign(tmp_path / "u.npy")


def test_what_a_file_does_not_tell_is_asked_for(tmp_path):
    path = tmp_path / "u.npz"

    def refused(words, arrays, **settings):
        np.savez(path, **arrays)
        with pytest.raises(ValueError, match=words):
            read_foreign(path, **settings)

    refused(r"holds a \(6, 16\), b \(6, 16\): say which", {"a": U, "b": U})
    refused("did you mean 'usol'", {"usol": U}, variable="usoll")
    refused("did you mean 'x'", {"u": U, "x": X}, axes=("time", "xx"))
    arrays = {"u": U, "t": np.arange(11) * 0.1, "x": X}
    refused("11 times for 6 states: give interval=0.1", arrays)
    refused("more than rounding", {"u": U * 1j, "t": TIMES, "x": X})
    refused("not clear from their lengths", {"u": MANY, "t": TIMES[:4], "x": X[:7]})
    refused("has the shape", {"u": MANY[None], "t": TIMES, "x": X})
    refused("is no row of x coordinates", {"u": MANY, "v": U}, x="v")
    refused("equal steps", {"u": U, "t": TIMES, "x": X**3})
    text = tmp_path / "u.csv"
    text.write_text("1,2,3")
    with pytest.raises(ValueError, match="no known layout: give a file of MATLAB"):
        read_foreign(text)
    with pytest.raises(FileNotFoundError):
        read_foreign(tmp_path / "none.mat")
    torn = path.read_bytes()[:100]
    (tmp_path / "torn.mat").write_bytes(b"MATLAB 5.0 MAT-file" + torn)
    with pytest.raises(ValueError, match="damaged or incomplete"):
        read_foreign(tmp_path / "torn.mat")


def test_axes_of_equal_length_are_named(tmp_path):
    square = U[:, :6]
    np.savez(tmp_path / "u.npz", u=square.T)
    settings = {"interval": 0.1, "period": 4.0}
    named = read_foreign(tmp_path / "u.npz", axes=("x", "time"), **settings)
    np.testing.assert_array_equal(named["u"][0], square)
    with pytest.raises(ValueError, match="name each once"):
        read_foreign(tmp_path / "u.npz", axes=("x",), **settings)


@pytest.mark.parametrize("factor", [1.0, 2 * math.pi])
def test_a_shock_at_the_wrong_speed_is_told_with_the_factor(factor, tmp_path, recwarn):
    grid, times = Grid.line(64), np.linspace(0, 1, 21)
    u = torch.stack([MovingShock().averages(grid, t) for t in times])
    path = tmp_path / "u.npz"
    np.savez(path, u=u, t=times * factor, x=grid.points())
    read_foreign(path, equation=Burgers(0.0), averages=True)
    told = [str(warning.message) for warning in recwarn.list]
    assert len(told) == (factor > 1)
    for text in told:
        found = re.search("change ([0-9.]+) times as fast as Burgers", text)
        assert float(found[1]) == pytest.approx(1 / factor, rel=0.05)


def test_the_command_imports_a_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.savez("u.npz", usol=U.T + 0j, t=TIMES, x=X)

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["stencilnet", "import", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        return caught.value.code, " ".join("".join(capsys.readouterr()).split())

    code, words = command("u.npz", "--equation", "{name: Advection, velocity: 0.6366}")
    assert code == 0, words
    assert "they are turned" in words
    stored = read_trajectories("u.zarr")
    np.testing.assert_array_equal(stored["u"][0], U)
    assert json.loads(stored.attrs["equation"])["name"] == "Advection"
    assert command("u.npz")[0] == 2
    code, words = command("u.npz", "--overwrite", "--viscosity", "1", "--equation", "x")
    assert (code, "not both" in words) == (2, True)
    code, words = command("u.npz", "--overwrite", "--equation", "Burgers")
    assert (code, "written with its name" in words) == (2, True)
    code, words = command("u.npz", "--overwrite", "--axes", "x,t")
    assert (code, "no axis 't'" in words) == (2, True)
