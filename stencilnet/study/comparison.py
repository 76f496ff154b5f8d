"""Comparison of methods under the same forcing, on the same grid."""

import copy
import json
import math
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from stencilnet.discretizations import Discretization, classical
from stencilnet.equations import equation_from_spec
from stencilnet.forcing import RandomForcing
from stencilnet.grid import Grid
from stencilnet.progress import Progress, no_progress
from stencilnet.solver import INTEGRATORS, SSPRK3, Integrator, rollout, substeps_within
from stencilnet.storage import forcing_of, grid_of
from stencilnet.study.config import Config, validate_config
from stencilnet.study.generation import read_split
from stencilnet.study.operators import habits, load_operator, moved

# Columns of the tables, from left to right: attributes of the variables of a
# comparison, which `report.columns` describes.
_COLUMNS: Mapping[str, Mapping[str, object]] = MappingProxyType(
    {
        "step": {"heading": "dt", "format": "{:.3g}"},
        "relative_l2": {
            "heading": ["rel. L2", "spread", "worst"],
            "summary": ["mean", "spread", "max"],
            "column": ["relative_l2", "spread", "worst"],
            "format": "error",
        },
        "mean_absolute_error": {"heading": "MAE", "format": "{:.1e}"},
        "valid_time": {"heading": "valid t", "format": "{:.1f}"},
        "mean_drift": {"heading": "drift", "summary": "max", "format": "{:.0e}"},
        "blow_up": {
            "heading": "blow-ups",
            "summary": "sum",
            "column": "blow_ups",
            "format": "{}/{samples}",
        },
    }
)


def compare(
    methods: Mapping[str, Discretization],
    reference: xr.Dataset,
    *,
    values: xr.Dataset | None = None,
    integrators: Mapping[str, Integrator] | None = None,
    steps: Mapping[str, float] | None = None,
    safety: float = 0.5,
    threshold: float = 0.2,
    progress: Progress = no_progress,
) -> xr.Dataset:
    """Rolls out methods from the same states under the same forcing, in float64.

    A method that holds cell averages is compared with `reference`, one that holds point
    values with `values`. A method with an entry in `steps` keeps that step; any other
    takes equal steps of at most `safety` times its stable one for the range of the
    reference. What blows up stays in the result as infinities.

    Args:
        methods: by name, on the grid of the reference.
        reference: trajectories of cell averages, as `read_trajectories` gives them, or
            of point values if all methods hold those.
        values: the same trajectories as point values, where a method holds them.
        integrators: methods that do not use SSPRK3.
        steps: fixed steps in units of time.
        safety: share of the stable step that classical methods take.
        threshold: relative error at which the valid time ends.
        progress: told about the methods.

    Returns:
        A dataset over scheme, sample, time, x and wavenumber k:

        - `u` and `reference`, the trajectories; the latter per method, as averages or
          point values;
        - `relative_l2` (scheme, sample) over the rollout, `mean_absolute_error`;
        - `error` (scheme, sample, time), the relative L2 error at each time;
        - `valid_time` (scheme, sample): when `error` first exceeds the threshold;
        - `mean_drift` (scheme, sample): largest departure of the spatial mean from its
          initial value plus what the forcing adds to it;
        - `spectrum`, `reference_spectrum` (scheme, k): energy `|u_k|**2`, averaged over
          time and samples that stayed finite;
        - `blow_up` (scheme, sample);
        - `step` and `stable_step` (scheme).

        Metrics have attributes that make them columns of the tables, see
        `report.columns`.

    Raises:
        ValueError: if there are no methods, one lives on another grid, one holds point
            values and there are none to compare with, or `values` holds other
            trajectories than `reference`.
    """
    if not methods:
        raise ValueError("There is nothing to compare: name at least one method.")
    if values is not None:
        _check_same_draw(reference, values)
    integrators, steps = integrators or {}, steps or {}
    grid, forcing = grid_of(reference), forcing_of(reference)
    times = torch.tensor(reference["time"].values)
    columns = []
    for done, (name, method) in enumerate(methods.items()):
        if method.grid != grid:
            raise ValueError(
                f"{name} lives on {method.grid.shape[-1]} points over "
                f"{method.grid.extent[-1]:g}, the reference on {grid.shape[-1]} over "
                f"{grid.extent[-1]:g}: use one grid."
            )
        known = _matching(name, method, reference, values)
        truth = torch.tensor(known["u"].values, dtype=torch.float64)
        # A copy: what a caller passes in is never changed.
        method = copy.deepcopy(method).double()
        integrator = integrators.get(name, SSPRK3)
        stable = method.stable_step(truth, integrator)
        interval = float(times.diff().max())
        if name in steps:
            substeps = substeps_within(interval, steps[name])
            method.warn_if_unstable(truth, integrator, interval / substeps)
        else:
            substeps = substeps_within(interval, safety * stable)
        with torch.no_grad():
            u = rollout(
                method,
                truth[:, 0],
                times,
                forcing.on(grid, averages=method.averages),
                integrator=integrator,
                steps=substeps,
            )
        column = _measure(u, truth, times, threshold)
        column["mean_drift"] = ("sample", mean_drift(u, times, forcing))
        column["step"] = ((), interval / substeps)
        column["stable_step"] = ((), stable)
        columns.append(column)
        progress(done + 1, len(methods), name)
    result = xr.concat(columns, dim="scheme", join="override")
    for position, (name, attributes) in enumerate(_COLUMNS.items()):
        result[name].attrs.update(attributes, position=position)
    return result.assign_coords(
        # Fixed-length strings have no specification in zarr.
        scheme=np.array(list(methods), dtype=np.dtypes.StringDType()),
        time=reference["time"],
        x=reference["x"],
        k=grid.wavenumbers().numpy(),
    ).assign_attrs(
        points=grid.shape[-1],
        period=grid.extent[-1],
        threshold=threshold,
        safety=safety,
        reference_hash=reference.attrs.get("content_hash", ""),
    )


def relative_l2(
    u: Float[Tensor, "sample time x"], reference: Float[Tensor, "sample time x"]
) -> Float[Tensor, " sample"]:
    """`|u - reference| / |reference|` over time and space; infinite after a blow-up."""
    error = (u - reference).square().sum((-2, -1)).sqrt()
    norm = reference.square().sum((-2, -1)).sqrt()
    return torch.nan_to_num(error / norm, nan=math.inf, posinf=math.inf)


def mean_drift(
    u: Float[Tensor, "sample time x"],
    times: Float[Tensor, " time"],
    forcing: RandomForcing,
) -> np.ndarray:
    """Largest departure of the spatial mean from what it starts with and is forced to.

    Args:
        u: solution; at `times[0]` the clock of `forcing` reads 0.
        times: when.
        forcing: one row per sample.

    Returns:
        A number per sample, in units of `u`; infinite after a blow-up.
    """
    mean = u.mean(-1)
    clock = times - times[0]
    drift = mean - mean[:, :1] - forcing.mean_impulse(clock)
    largest: np.ndarray = (
        torch.nan_to_num(drift.abs(), nan=math.inf, posinf=math.inf).amax(-1).numpy()
    )
    return largest


def compare_study(
    config: Config,
    run: Path | str,
    *,
    operator: Path | None = None,
    progress: Progress = no_progress,
) -> list[xr.Dataset]:
    """Compares the learned operator and the classical methods of a config.

    Args:
        config: the study; its section comparison names methods and grids.
        run: folder with the test trajectories that `generate` wrote.
        operator: store of the learned operator, the run's own by default. It may have
            been trained elsewhere: equation and domain follow the test trajectories.
        progress: told about the methods.

    Returns:
        A dataset of `compare` per grid, finest last.

    Raises:
        FileNotFoundError: if the run lacks test trajectories or the operator.
        ValueError: if a method does not exist, or if the operator's own grid is not
            among those of the comparison.
    """
    run = Path(run)
    comparison = config.comparison
    equation = equation_from_spec(config.problem.equation)
    learned, stored = load_operator(operator or run / "operator.zarr")
    own = learned.grid.shape[-1] / learned.grid.extent[-1]
    results = []
    for points in sorted(set(comparison.points)):
        reference = read_split(config, run, "test", points, averages=True)
        grid = grid_of(reference)
        methods: dict[str, Discretization] = {}
        steps, integrators = {}, {}
        if math.isclose(points / grid.extent[-1], own, rel_tol=1e-9):
            methods["learned"] = moved(learned, grid, equation)
            integrator, step = habits(stored)
            integrators["learned"] = INTEGRATORS[integrator]
            if step is not None:
                steps["learned"] = step
        for name in comparison.methods:
            methods[name] = classical(name, equation, grid)
        needs_values = any(not method.averages for method in methods.values())
        results.append(
            compare(
                methods,
                reference,
                values=read_split(config, run, "test", points, averages=False)
                if needs_values
                else None,
                integrators=integrators,
                steps=steps,
                safety=comparison.safety,
                threshold=comparison.threshold,
                progress=progress,
            ).assign_attrs(config=config.model_dump_json())
        )
    if not any("learned" in result["scheme"] for result in results):
        raise ValueError(
            f"The operator was learned at {own:.4g} points per unit of length, which "
            f"none of the grids {sorted(set(comparison.points))} has: add its grid to "
            f"comparison.points."
        )
    return results


def check_comparison(config: Config) -> None:
    """Refuses methods that do not exist or do not fit their grid.

    Raises:
        ValueError: naming the method.
    """
    equation = equation_from_spec(config.problem.equation)
    for points in set(config.comparison.points):
        grid = Grid.line(points, config.problem.length)
        for name in config.comparison.methods:
            classical(name, equation, grid)


def stored_config(attributes: Mapping[str, object], path: Path) -> Config:
    """The config that a store carries.

    Raises:
        ValueError: if it carries none.
    """
    if "config" not in attributes:
        raise ValueError(
            f"{path} does not say which problem it is for: name a config, as in "
            f"--config p2."
        )
    return validate_config(json.loads(str(attributes["config"])), f"config in {path}")


def _check_same_draw(reference: xr.Dataset, values: xr.Dataset) -> None:
    """Refuses point values that belong to other trajectories than the averages."""
    shared = [
        "time",
        "x",
        *(name for name in reference if str(name).startswith("forcing_")),
    ]
    for name in shared:
        if name not in values or not np.array_equal(
            reference[name].values, values[name].values
        ):
            raise ValueError(
                f"The point values and the cell averages to compare with differ in "
                f"{name}: generate both together."
            )


def _matching(
    name: str, method: Discretization, reference: xr.Dataset, values: xr.Dataset | None
) -> xr.Dataset:
    """The trajectories that hold what the method holds."""
    for known in (reference, values):
        if known is not None and (
            bool(known["u"].attrs["averages"]) == method.averages
        ):
            return known
    kind = "cell averages" if method.averages else "point values"
    raise ValueError(
        f"{name} holds {kind}, but the reference does not: generate these too."
    )


def _measure(
    u: Float[Tensor, "sample time x"],
    reference: Float[Tensor, "sample time x"],
    times: Float[Tensor, " time"],
    threshold: float,
) -> xr.Dataset:
    """The metrics of one method, see `compare`."""
    finite = torch.isfinite(u).all(-1).all(-1)
    difference = torch.where(torch.isfinite(u), u - reference, math.inf)
    norm = reference.square().sum(-1).sqrt()
    floor = norm.amax(-1, keepdim=True).clamp(min=torch.finfo(norm.dtype).tiny) * 1e-12
    error = difference.square().sum(-1).sqrt() / norm.clamp(min=floor)
    wrong = error > threshold
    first = torch.where(wrong.any(-1), wrong.int().argmax(-1), len(times) - 1)
    field = ("sample", "time", "x")
    return xr.Dataset(
        {
            "u": (field, u.numpy()),
            "reference": (field, reference.numpy()),
            "relative_l2": ("sample", relative_l2(u, reference).numpy()),
            "mean_absolute_error": ("sample", difference.abs().mean((-2, -1)).numpy()),
            "error": (("sample", "time"), error.numpy()),
            "valid_time": ("sample", (times[first] - times[0]).numpy()),
            "spectrum": ("k", _spectrum(u[finite])),
            "reference_spectrum": ("k", _spectrum(reference)),
            "blow_up": ("sample", (~finite).numpy()),
        }
    )


def _spectrum(u: Tensor) -> np.ndarray:
    """Energy per wavenumber, averaged over samples and times; NaN without any."""
    if not len(u):
        return np.full(u.shape[-1] // 2 + 1, np.nan)
    energy: np.ndarray = (
        torch.fft.rfft(u, norm="forward").abs().square().mean((0, 1)).numpy()
    )
    return energy
