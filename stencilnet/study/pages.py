"""The page of a run: everything that its folder holds, in one file."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from stencilnet.discretizations import (
    FiniteDifference,
    FrozenStencils,
    LearnedStencil,
    frozen_stencils,
)
from stencilnet.report import report_page, write_page
from stencilnet.storage import local_path, read_dataset, read_operator
from stencilnet.study.operators import load_operator

# Of the central stencils beside the learned ones.
_ORDERS = (2, 4, 6)


def run_page(
    run: Path | str, out: Path | str | None = None, *, overwrite: bool = False
) -> Path:
    """Writes a run or a comparison as one HTML page, which opens offline.

    Args:
        run: folder of a run, or of a comparison within.
        out: the file; `report.html` in the folder by default.
        overwrite: whether to replace it.

    Raises:
        FileExistsError: if the file exists and `overwrite` is false.
        FileNotFoundError: if there is neither a comparison nor an operator.
        ValueError: if the plotting library is not installed, see `report_page`.

    Example:
        >>> from stencilnet import Burgers, Grid, LearnedStencil, save_operator
        >>> from stencilnet.study import run_page
        >>> learned = LearnedStencil(Burgers(viscosity=0.02), Grid.line(16))
        >>> operator = save_operator(learned, "mine/operator.zarr")
        >>> page = run_page("mine")
        >>> page.as_posix(), "<title>stencilnet: mine</title>" in page.read_text()
        ('mine/report.html', True)
    """
    run = local_path(run)
    folder = run if any(run.glob("comparison-*.zarr")) else run / "comparison"
    paths = sorted(
        folder.glob("comparison-*.zarr"),
        key=lambda path: int(path.stem.rpartition("-")[2]),
    )
    operator = run / "operator.zarr"
    if not paths and not operator.exists():
        raise FileNotFoundError(
            f"{run} holds neither a comparison nor an operator: run `stencilnet train` "
            f"or `stencilnet compare` first."
        )
    comparisons = [read_dataset(path) for path in paths]
    stored = read_operator(operator) if operator.exists() else None
    learned = _learned(operator)
    attributes = dict(stored.attributes) if stored else dict(comparisons[0].attrs)
    about = {"folder": str(run)}
    for name in ("created", "git_commit", "data_hash", "versions"):
        if name in attributes:
            about[name.replace("_", " ")] = str(attributes[name])
    title = str(run)
    if "config" in attributes:
        values = json.loads(str(attributes["config"]))
        title = values["name"]
        about |= {
            name: ", ".join(f"{key}: {entry}" for key, entry in section.items())
            for name, section in values.items()
            if isinstance(section, dict)
        }
    text = report_page(
        f"stencilnet: {title}",
        about,
        comparisons,
        certificate=stored.certificate if stored else None,
        history=stored.history if stored else None,
        classical={} if learned is None else _classical(learned),
        state=None if learned is None else _state(learned, comparisons),
    )
    return write_page(text, out or run / "report.html", overwrite=overwrite)


def _learned(path: Path) -> LearnedStencil | None:
    """The learned stencil of a run; None for a picture, or for classes of your own."""
    if not path.exists():
        return None
    try:
        operator, _ = load_operator(path)
    except ValueError:
        return None
    return operator.double() if isinstance(operator, LearnedStencil) else None


def _classical(learned: LearnedStencil) -> dict[str, dict[str, FrozenStencils]]:
    """Central stencils beside a learned one, by derivative and label."""
    found: dict[str, dict[str, FrozenStencils]] = {}
    state = learned.grid.points().sin().unsqueeze(0)
    for order in _ORDERS:
        try:
            method = FiniteDifference(
                learned.equation, learned.grid, order=order, form=learned.form
            )
        except ValueError:
            # One-sided derivatives have no central stencils.
            continue
        for name, stencils in frozen_stencils(method, state).items():
            found.setdefault(name, {})[f"central {order}"] = stencils
    return found


def _state(
    learned: LearnedStencil, comparisons: Sequence[xr.Dataset]
) -> xr.Dataset | None:
    """Coefficients along the steepest state of the first sample, on its grid."""
    for comparison in comparisons:
        schemes = list(map(str, comparison["scheme"].values))
        if "learned" not in schemes or comparison.sizes["x"] != learned.grid.shape[-1]:
            continue
        u = comparison["reference"].sel(scheme="learned").isel(sample=0)
        steepest = int(abs(u.diff("x")).max("x").argmax("time"))
        u = u.isel(time=steepest)
        field = torch.tensor(u.values[np.newaxis], dtype=torch.float64)
        variables = {}
        for name, stencils in frozen_stencils(learned, field).items():
            axis = f"offset_{name}"
            variables[name] = xr.DataArray(
                stencils.coefficients.numpy(),
                dims=("x", axis),
                coords={"x": u["x"].values, axis: stencils.offsets.numpy()},
            )
        time = float(comparison["time"].values[steepest])
        return xr.Dataset(variables, attrs={"time": time})
    return None
