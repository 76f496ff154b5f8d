"""Trajectories as files of other programs."""

import csv
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import xarray as xr

from stencilnet.errors import optional_module, unknown
from stencilnet.storage.datasets import encode_labels
from stencilnet.storage.trajectories import length_of

# Kinds of ends that The Well knows, by the names of boundaries; others are open there.
_WELL_ENDS = MappingProxyType({"wall": "WALL"})


def write_foreign(dataset: xr.Dataset, path: Path, layout: str) -> None:
    """Writes trajectories as a file that other programs read.

    Args:
        dataset: of `trajectories`. Positions are written from their origin on.
        path: of the file.
        layout: a name in `LAYOUTS`.

    Raises:
        ValueError: if there is no such layout, or it needs a package that is missing.

    Example:
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from stencilnet.storage import trajectories, write_foreign
        >>> u = np.array([[1.0, 2.0], [3.0, 4.0]])
        >>> dataset = trajectories(u, times=[0.0, 0.1], period=1.0)
        >>> write_foreign(dataset, Path("u.csv"), "csv")
        >>> print(Path("u.csv").read_text())
        sample,time,x,u
        0,0.0,0.0,1.0
        0,0.0,0.5,2.0
        0,0.1,0.0,3.0
        0,0.1,0.5,4.0
    """
    if layout not in LAYOUTS:
        raise unknown("format of data", layout, LAYOUTS)
    x = dataset["x"]
    if "origin" in x.attrs:
        x = x.copy(data=x.values + x.attrs["origin"])
        del x.attrs["origin"]
        dataset = dataset.assign_coords(x=x)
    LAYOUTS[layout][1](dataset, path)


def _arrays(dataset: xr.Dataset) -> dict[str, np.ndarray]:
    """All variables, with the names `t` and `x` for the coordinates.

    The domain is `period`, or `length` and the text `boundaries`, JSON of both ends.
    """
    names = {"time": "t"}
    arrays = {
        names.get(str(name), str(name)): variable.values
        for name, variable in dataset.variables.items()
    }
    length = np.array(length_of(dataset))
    if "boundaries" not in dataset["x"].attrs:
        return {**arrays, "period": length}
    ends = np.array(dataset["x"].attrs["boundaries"])
    return {**arrays, "length": length, "boundaries": ends}


def _write_npz(dataset: xr.Dataset, path: Path) -> None:
    with path.open("wb") as file:
        np.savez_compressed(file, **_arrays(dataset))  # type: ignore[arg-type]


def _write_mat(dataset: xr.Dataset, path: Path) -> None:
    from scipy.io import savemat

    with path.open("wb") as file:
        savemat(file, _arrays(dataset), do_compression=True)


def _write_hdf5(dataset: xr.Dataset, path: Path) -> None:
    """The layout of PDEBench, with all else under its own name."""
    h5py = optional_module("h5py", "Writing HDF5", extra="files")
    names = {"u": "tensor", "t": "t-coordinate", "x": "x-coordinate"}
    with h5py.File(path, "w") as file:
        for name, values in _arrays(dataset).items():
            if name == "boundaries":
                file.attrs[name] = str(values)
            else:
                file[names.get(name, name)] = values
        file.attrs.update(_texts(dataset.attrs))
        file.attrs["averages"] = int(dataset["u"].attrs["averages"])


def _write_well(dataset: xr.Dataset, path: Path) -> None:
    """The layout of The Well, one scalar field on a line."""
    h5py = optional_module("h5py", "Writing HDF5", extra="files")
    equation = json.loads(dataset.attrs.get("equation", "{}"))
    numbers = {k: v for k, v in equation.items() if isinstance(v, int | float)}
    still = {"sample_varying": False, "time_varying": False}
    with h5py.File(path, "w") as file:
        file.attrs.update(
            {
                "dataset_name": equation.get("name", "trajectories"),
                "grid_type": "cartesian",
                "n_spatial_dims": 1,
                "n_trajectories": dataset.sizes["sample"],
                "simulation_parameters": list(numbers),
                **numbers,
            }
        )
        file["dimensions/time"] = dataset["time"].values
        file["dimensions/x"] = dataset["x"].values
        file["dimensions"].attrs["spatial_dims"] = ["x"]
        file["dimensions/time"].attrs["sample_varying"] = False
        file["dimensions/x"].attrs.update(still)
        for name, (cells, kind) in _well_ends(dataset).items():
            mask = np.zeros(dataset.sizes["x"], dtype=bool)
            mask[cells] = True
            file[f"boundary_conditions/{name}/mask"] = mask
            file[f"boundary_conditions/{name}"].attrs.update(
                {
                    "associated_dims": ["x"],
                    "associated_fields": np.array([], dtype=h5py.string_dtype()),
                    "bc_type": kind,
                    **still,
                }
            )
        if "boundaries" in dataset["x"].attrs:
            file.attrs["boundaries"] = dataset["x"].attrs["boundaries"]
        file.create_group("scalars").attrs["field_names"] = list(numbers)
        for name, value in numbers.items():
            file[f"scalars/{name}"] = float(value)
            file[f"scalars/{name}"].attrs.update(still)
        file["t0_fields/u"] = dataset["u"].values
        file["t0_fields/u"].attrs.update(
            {"dim_varying": [True], "sample_varying": True, "time_varying": True}
        )
        file["t0_fields"].attrs["field_names"] = ["u"]
        for group in ("t1_fields", "t2_fields"):
            names = np.array([], dtype=h5py.string_dtype())
            file.create_group(group).attrs["field_names"] = names


def _well_ends(dataset: xr.Dataset) -> dict[str, tuple[list[int], str]]:
    """Cells at the ends of the domain and The Well's kinds of them, by name."""
    if "boundaries" not in dataset["x"].attrs:
        # The boundary is at the left end, whose periodic image the right one is.
        return {"x_periodic": ([0, -1], "PERIODIC")}
    ends = json.loads(dataset["x"].attrs["boundaries"])
    left, right = (_WELL_ENDS.get(end["name"], "OPEN") for end in ends)
    return {"x_left": ([0], left), "x_right": ([-1], right)}


def _write_netcdf(dataset: xr.Dataset, path: Path) -> None:
    bare = encode_labels(dataset).drop_encoding()
    bare.attrs = _texts(bare.attrs)
    for variable in bare.variables.values():
        variable.attrs = _texts(variable.attrs)
    bare.to_netcdf(path, engine="scipy")


def _write_csv(dataset: xr.Dataset, path: Path) -> None:
    """One row per value, in full precision."""
    u, times, x = (dataset[name].values for name in ("u", "time", "x"))
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["sample", "time", "x", "u"])
        for (sample, time, place), value in np.ndenumerate(u):
            row = (sample, times[time].item(), x[place].item(), value.item())
            writer.writerow(row)


def _texts(attributes: Mapping[Any, Any]) -> dict[str, Any]:
    """Attributes as numbers and texts, JSON for anything else."""
    return {
        str(key): value if isinstance(value, str | int | float) else json.dumps(value)
        for key, value in attributes.items()
    }


LAYOUTS: Mapping[str, tuple[str, Callable[[xr.Dataset, Path], None]]]
LAYOUTS = MappingProxyType(
    {
        "npz": (".npz", _write_npz),
        "mat": (".mat", _write_mat),
        "hdf5": (".h5", _write_hdf5),
        "well": (".hdf5", _write_well),
        "netcdf": (".nc", _write_netcdf),
        "csv": (".csv", _write_csv),
    }
)
"""Suffix and writer of the layouts for trajectories, by the names of `export`.

Example:
    >>> from stencilnet.storage import LAYOUTS
    >>> {name: suffix for name, (suffix, _) in LAYOUTS.items()}
    {'npz': '.npz', 'mat': '.mat', 'hdf5': '.h5', 'well': '.hdf5', 'netcdf': '.nc',
     'csv': '.csv'}
"""
