"""Arrays in files of other programs, by name, without running code from them."""

import pickle
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stencilnet.errors import optional_module
from stencilnet.storage.paths import local_path

_HDF5 = b"\x89HDF\r\n\x1a\n"
# MATLAB's files in HDF5 begin with a block of its own.
_USER_BLOCK = 512


@dataclass(frozen=True)
class Contents:
    """What a file holds.

    Attributes:
        layout: of the file, such as "MATLAB 5" or "The Well".
        arrays: numeric arrays by name, groups before a slash.
        dims: names of the axes of an array, where the file says them.
        attributes: of the file as a whole.
        ends: what the file says of the ends of the domain, where it is no period: JSON
            of two boundaries, or the kinds of The Well.
    """

    layout: str
    arrays: dict[str, np.ndarray]
    dims: dict[str, tuple[str, ...]] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    ends: str | None = None

    def describe(self) -> str:
        """The arrays with their shapes, for messages."""
        shapes = [f"{name} {values.shape}" for name, values in self.arrays.items()]
        return ", ".join(shapes) or "no numeric array"


def file_contents(path: Path | str) -> Contents:
    """The arrays in a file, whose layout its first bytes tell.

    Raises:
        FileNotFoundError: if there is no file.
        ValueError: if the layout is unknown, needs a package that is not installed, or
            could be read by running code only.
    """
    path = local_path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file at {path}: check the path.")
    with path.open("rb") as file:
        head = file.read(_USER_BLOCK + len(_HDF5))
    reader = _reader(path, head)
    if reader is None:
        raise ValueError(
            f"{path} is of no known layout: give a file of MATLAB (.mat), numpy (.npy, "
            f".npz), HDF5, netCDF or tensors of torch (.pt)."
        )
    try:
        return reader(path)
    except _RefusedError as error:
        raise ValueError(str(error)) from None
    except Exception as error:
        # Each library has errors of its own for bytes that it does not understand.
        raise ValueError(
            f"{path} is damaged or incomplete and cannot be read ({error}): copy or "
            f"make it again."
        ) from error


class _RefusedError(ValueError):
    """A file that is whole, but not read."""


def _reader(path: Path, head: bytes) -> Callable[[Path], Contents] | None:
    if _HDF5 in (head[: len(_HDF5)], head[_USER_BLOCK:]):
        optional_module("h5py", f"Reading {path}", extra="files")
        return _matlab_73 if head.startswith(b"MATLAB 7.3") else _hdf5
    if head.startswith(b"MATLAB 5"):
        return _matlab_5
    if head.startswith(b"CDF"):
        return _netcdf_3
    if head.startswith(b"\x93NUMPY"):
        return _npy
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
        return _npz if any(name.endswith(".npy") for name in names) else _torch
    if path.suffix in (".pt", ".pth"):
        return _torch
    return None


def _numeric(arrays: dict[str, Any]) -> dict[str, np.ndarray]:
    known = {name: np.asarray(values) for name, values in arrays.items()}
    return {name: value for name, value in known.items() if value.dtype.kind in "fciu"}


def _ends(said: Any) -> str | None:
    """What a file says of its ends as a text; none for nothing, or for a period."""
    texts = [
        value.decode(errors="replace") if isinstance(value, bytes) else str(value)
        for value in np.asarray([] if said is None else said).reshape(-1)[:8].tolist()
    ]
    if all(text.strip().lower() in ("", "periodic") for text in texts):
        return None
    return texts[0] if len(texts) == 1 else " and ".join(texts)


def _matlab_5(path: Path) -> Contents:
    import scipy.io

    loaded = scipy.io.loadmat(path)
    arrays = {name: v for name, v in loaded.items() if not name.startswith("__")}
    return Contents("MATLAB 5", _numeric(arrays), ends=_ends(arrays.get("boundaries")))


def _matlab_73(path: Path) -> Contents:
    """MATLAB stores by columns: what HDF5 sees is transposed."""
    contents = _hdf5(path)
    arrays = {
        name: values.T
        for name, values in contents.arrays.items()
        if not name.startswith("#")
    }
    return Contents("MATLAB 7.3", arrays, ends=contents.ends)


def _npy(path: Path) -> Contents:
    return Contents("numpy", _numeric({"u": _load_numpy(path)}))


def _npz(path: Path) -> Contents:
    with _load_numpy(path) as archive:
        arrays = {}
        for name in archive.files:
            try:
                arrays[name] = archive[name]
            except ValueError:
                # Objects, which only pickle could read.
                continue
    ends = _ends(arrays.get("boundaries"))
    return Contents("numpy", _numeric(arrays), ends=ends)


def _load_numpy(path: Path) -> Any:
    try:
        return np.load(path, allow_pickle=False)
    except ValueError as error:
        if "pickle" not in str(error).lower():
            raise
        raise _RefusedError(
            f"{path} holds pickled objects, which run code when they are read: save "
            f"arrays of numbers, as in np.savez(path, u=u, t=t, x=x)."
        ) from None


def _torch(path: Path) -> Contents:
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise _RefusedError(
            f"{path} holds more than tensors, and reading it would run code: save a "
            f"dict of tensors, as in torch.save({{'u': u, 't': t}}, path)."
        ) from None
    if isinstance(loaded, Tensor):
        loaded = {"u": loaded}
    if not isinstance(loaded, dict):
        raise _RefusedError(
            f"{path} holds {type(loaded).__name__}, not tensors: save a dict of them."
        )
    tensors = {
        str(name): value.detach().numpy()
        for name, value in loaded.items()
        if isinstance(value, Tensor)
    }
    return Contents("torch", _numeric(tensors))


def _netcdf_3(path: Path) -> Contents:
    from scipy.io import netcdf_file

    with netcdf_file(path, mmap=False) as file:
        arrays = {
            # Of the byte order of this machine, which torch takes.
            name: np.array(variable[...]).astype(variable.data.dtype.newbyteorder("="))
            for name, variable in file.variables.items()
        }
        dims = {name: tuple(v.dimensions) for name, v in file.variables.items()}
        ends = _ends(getattr(file.variables.get("x"), "boundaries", None))
    return Contents("netCDF", _numeric(arrays), dims, ends=ends)


def _hdf5(path: Path) -> Contents:
    import h5py

    arrays: dict[str, np.ndarray] = {}
    dims: dict[str, tuple[str, ...]] = {}
    kinds: dict[str, str | None] = {}
    said: list[Any] = []

    def visit(name: str, node: Any) -> None:
        if "bc_type" in node.attrs:
            kinds[name] = _ends(_plain(node.attrs["bc_type"]))
        if name == "x" and "boundaries" in node.attrs:
            said.append(_plain(node.attrs["boundaries"]))
        if name == "boundaries" and isinstance(node, h5py.Dataset):
            # A text of MATLAB is a row of numbers.
            values = node[()]
            is_text = _plain(node.attrs.get("MATLAB_class", b"")) == "char"
            text = "".join(map(chr, values.reshape(-1))) if is_text else values
            said.append(_plain(text))
            return
        if not isinstance(node, h5py.Dataset) or node.shape is None:
            return
        if node.dtype.names in (("real", "imag"), ("r", "i")):
            parts = node[()]
            real, imaginary = node.dtype.names
            arrays[name] = np.asarray(parts[real] + 1j * parts[imaginary])
        elif node.dtype.kind in "fciu":
            values = np.asarray(node[()])
            arrays[name] = values.astype(node.dtype.newbyteorder("="))
        scales = [list(axis.values()) for axis in node.dims]
        if scales and all(scales):
            dims[name] = tuple(axis[0].name.strip("/") for axis in scales)

    with h5py.File(path, "r") as file:
        file.visititems(visit)
        attributes = {key: _plain(value) for key, value in file.attrs.items()}
    if "boundaries" in attributes:
        said.insert(0, attributes["boundaries"])
    ends = next(filter(None, map(_ends, said)), None)
    if ends is None and any(kinds.values()):
        ends = " and ".join(f"{name} {kinds[name]}" for name in sorted(kinds))
    layout = "HDF5"
    if any(name.startswith("t0_fields/") for name in arrays):
        layout = "The Well"
        arrays = {n: v for n, v in arrays.items() if _is_state(n)}
    elif {"tensor", "x-coordinate"} <= set(arrays) and "schema" not in attributes:
        layout = "PDEBench"
    elif dims or "_NCProperties" in attributes:
        layout = "netCDF"
    return Contents(layout, arrays, dims, attributes, ends)


def _is_state(name: str) -> bool:
    """Whether an array of The Well is a field, a coordinate or a number."""
    return not name.startswith("boundary_conditions/")


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
