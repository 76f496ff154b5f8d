"""Domains between boundaries in files of other programs are read rightly."""

import json
import re

import h5py
import numpy as np
import pytest
import xarray as xr
from test_foreign import matlab_73
from typer.testing import CliRunner

from stencilnet import Grid
from stencilnet.boundaries import Outflow, Prescribed, Wall, ZeroSlope
from stencilnet.cli.app import app
from stencilnet.storage import grid_of, read_foreign, read_trajectories


def test_data_between_boundaries(tmp_path):
    centres = 1.0 + (np.arange(6) + 0.5) * 0.25
    u = np.random.default_rng(0).normal(size=(4, 6))
    path, bare = tmp_path / "a.npz", tmp_path / "b.npz"
    np.savez(path, u=u, t=np.arange(4.0), x=centres)
    np.savez(bare, u=u, t=np.arange(4.0))
    faces, named = tmp_path / "faces.npz", {"axes": ("time", "x")}
    np.savez(faces, u=u, t=np.arange(4.0), x=np.arange(7) * 0.25)
    data = read_foreign(path, boundaries=("wall", Outflow(1)), averages=True)
    assert grid_of(data) == Grid.line(6, 1.5, boundaries=(Wall(), Outflow(1)))
    assert data["x"].attrs["origin"] == 1.0
    assert "from 1 to 2.5" in " ".join(data.attrs["notes"])
    known = read_foreign(bare, boundaries=Wall(), length=3.0)
    assert grid_of(known) == Grid.line(6, 3.0, boundaries=Wall())
    for source, settings, words in (
        (path, {"boundaries": "wall", "length": 1.25}, "6 positions reach from one"),
        (path, {"boundaries": "wall", "length": 9.0}, "make the length 1.5, not 9"),
        (path, {"boundaries": "wall", "length": -1.0}, "must be positive and finite"),
        (path, {"boundaries": "wall", "period": 1.5}, "has either a period, or bound"),
        (path, {"boundaries": ["wall"] * 3}, "two ends, left and right"),
        (path, {"boundaries": [{"name": [1]}, "wall"]}, "no boundary"),
        (faces, {"boundaries": "wall", **named}, "perhaps those of the faces"),
        (path, {"boundaries": "wal"}, "did you mean 'wall'"),
        (path, {"length": 1.5}, "has either a period, or bound"),
        (bare, {"boundaries": "wall"}, "give length="),
    ):
        with pytest.raises(ValueError, match=words):
            read_foreign(source, **settings)


def test_files_with_ends_are_not_taken_for_periodic(tmp_path):
    path = tmp_path / "well.hdf5"
    with h5py.File(path, "w") as file:
        file["t0_fields/u"] = np.random.default_rng(0).normal(size=(2, 4, 6))
        file["dimensions/time"], file["dimensions/x"] = np.arange(4.0), np.arange(6.0)
        group = file.create_group("boundary_conditions/x_wall")
        group.attrs["bc_type"] = "WALL"
    with pytest.raises(ValueError, match="no period but has ends .*x_wall WALL"):
        read_foreign(path)
    assert grid_of(read_foreign(path, boundaries="wall")).extent == (6.0,)
    # A user knows better.
    assert read_foreign(path, period=6.0)["x"].attrs["period"] == 6.0


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("[1]", "[1]"),
        ('{"wall": 1, "outflow": 2}', '{"wall": 1'),
        ("[" * 100_000, "[[[["),
        (["wall", "outflow"], "wall and outflow"),
        ([0.0, 1.5], "0.0 and 1.5"),
    ],
    ids=["number", "mapping", "deep", "list", "numbers"],
)
def test_ends_that_are_told_otherwise_are_asked_for(said, shown, tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, u=np.eye(4), t=np.arange(4), x=np.arange(4), boundaries=said)
    with pytest.raises(ValueError, match=re.escape(f"has ends ({shown}")):
        read_foreign(path)
    assert read_foreign(path, period=4.0)["x"].attrs["period"] == 4.0


@pytest.mark.parametrize("place", ["x of HDF5", "x of netCDF", "MATLAB 7.3"])
def test_ends_are_found_wherever_a_file_says_them(place, tmp_path):
    path, text = tmp_path / "a.data", json.dumps(["wall", "outflow"])
    u, t, x = np.eye(4), np.arange(4.0), np.arange(4) + 0.5
    if place == "x of netCDF":
        data = xr.Dataset({"u": (("t", "x"), u)}, {"t": t, "x": x})
        data["x"].attrs["boundaries"] = text
        data.to_netcdf(path, engine="scipy")
    elif place == "MATLAB 7.3":
        letters = np.array([[ord(letter) for letter in text]], dtype="u2")
        matlab_73(path, u=u, t=t, x=x, boundaries=letters)
        with h5py.File(path, "r+") as file:
            file["boundaries"].attrs["MATLAB_class"] = np.bytes_("char")
    else:
        with h5py.File(path, "w") as file:
            file["u"], file["t"], file["x"] = u, t, x
            file["x"].attrs["boundaries"] = text
    assert grid_of(read_foreign(path)).boundaries == (Wall(), Outflow())


def test_files_that_say_that_they_are_periodic_are(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, u=np.eye(4), t=np.arange(4), x=np.arange(4), boundaries="Periodic")
    assert read_foreign(path)["x"].attrs["period"] == 4.0
    well = tmp_path / "well.hdf5"
    with h5py.File(well, "w") as file:
        file["t0_fields/u"] = np.random.default_rng(0).normal(size=(2, 4, 6))
        file["dimensions/time"], file["dimensions/x"] = np.arange(4.0), np.arange(6.0)
        group = file.create_group("boundary_conditions/x_periodic")
        group.attrs["bc_type"] = ["periodic"]
    assert read_foreign(well)["x"].attrs["period"] == 6.0
    # An attribute of another kind is no damage.
    data = xr.Dataset(
        {"u": (("t", "x"), np.eye(4))}, {"t": [0, 1, 2, 3], "x": range(4)}
    )
    data["x"].attrs["boundaries"] = [0.0, 3.0]
    data.to_netcdf(tmp_path / "a.nc", engine="scipy")
    with pytest.raises(ValueError, match="say what holds there"):
        read_foreign(tmp_path / "a.nc")


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("wall", (Wall(), Wall())),
        ("wall,outflow", (Wall(), Outflow())),
        ("[{name: prescribed, value: 1}, zero_slope]", (Prescribed(1.0), ZeroSlope())),
    ],
)
def test_boundaries_on_the_command_line(text, ends, tmp_path):
    path, out = tmp_path / "a.npz", tmp_path / "a.zarr"
    np.savez(path, u=np.eye(4), t=np.arange(4), x=np.arange(4) + 0.5)
    call = ["import", str(path), "--out", str(out), "--boundaries", text]
    result = CliRunner().invoke(app, call)
    assert result.exit_code == 0, result.output
    assert grid_of(read_trajectories(out)).boundaries == ends
    for wrong in ("[wall", "", "2001-13-45"):
        result = CliRunner().invoke(app, [*call, "--boundaries", wrong, "--overwrite"])
        assert "are written as wall,outflow" in str(result.exception)
