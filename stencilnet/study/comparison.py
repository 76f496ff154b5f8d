"""Comparison of methods under the same forcing, on the same grid."""

import copy
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from stencilnet.discretizations import Discretization, Picture, PseudoSpectral
from stencilnet.grid import Grid
from stencilnet.progress import Progress, no_progress, shown
from stencilnet.solver import Integrator
from stencilnet.storage import (
    StoredOperator,
    forcing_of,
    grid_of,
    local_path,
    tensor_of,
)
from stencilnet.study.config import Config
from stencilnet.study.devices import as_device
from stencilnet.study.following import follow, usual_integrator
from stencilnet.study.generation import read_split
from stencilnet.study.kinds import in_kind
from stencilnet.study.loading import validate_config
from stencilnet.study.metrics import METRICS, Rollout, measured, relative_l2
from stencilnet.study.operators import habits, load_operator, moved
from stencilnet.study.problem import equation_of, integrator_of, method_of
from stencilnet.study.training import CONSTANT

_STEP = {"heading": "dt", "format": "{:.3g}"}
# Stands right after the relative L2 error.
_FLOOR = {"heading": "floor", "format": "error", "position": 1.5}


def compare(
    methods: Mapping[str, Discretization],
    reference: xr.Dataset,
    *,
    values: xr.Dataset | None = None,
    integrators: Mapping[str, Integrator] | None = None,
    steps: Mapping[str, float] | None = None,
    safety: float = 0.5,
    threshold: float = 0.2,
    device: torch.device | str = "cpu",
    progress: Progress | bool = no_progress,
) -> xr.Dataset:
    """Rolls out methods from the same states under the same forcing, in float64.

    A method is compared with what it holds, cell averages or point values: `reference`
    or `values`, whichever holds these, or else `reference` converted, which is exact
    for resolved data and refused for others. A method with an entry in `steps` keeps
    that step; any other takes equal steps of at most `safety` times its stable one for
    the range of the reference. What blows up stays in the result as infinities.

    Args:
        methods: by name, on the grid of the reference.
        reference: trajectories of cell averages or point values, as `read_trajectories`
            gives them.
        values: the same trajectories of the other kind, where a method holds it.
        integrators: of methods that do not use SSPRK3, or exact evolution.
        steps: fixed steps in units of time.
        safety: share of the stable step that classical methods take.
        threshold: relative error at which the valid time ends.
        device: to roll out on.
        progress: told about the methods; True for a display.

    Returns:
        A dataset over scheme, sample, time, x and wavenumber k:

        - `u` and `reference`, the trajectories; the latter per method, as averages or
          point values;
        - `floor` (scheme, sample), where a pseudo-spectral method is compared with
          trajectories of `generate`: relative L2 error of the exact solution without
          the waves that its grid cannot hold, NaN for other methods;
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
        ValueError: if there are no methods, one lives on another grid, one holds what
            the reference neither is nor resolves, or `values` holds other trajectories
            than `reference`.
    """
    if not methods:
        raise ValueError("There is nothing to compare: name at least one method.")
    if values is not None:
        _check_same_draw(reference, values)
    integrators, steps, place = integrators or {}, steps or {}, as_device(device)
    grid, forcing = grid_of(reference), forcing_of(reference).to(dtype=torch.float64)
    times = tensor_of(reference["time"], torch.float64)
    columns = []
    with shown(progress, "Comparing") as told:
        for done, (name, method) in enumerate(methods.items()):
            _check_grid(name, method, grid)
            truth = in_kind(name, method.averages, reference, values)
            # A copy: what a caller passes in is never changed.
            method = copy.deepcopy(method).cpu().double()
            integrator = integrators.get(name, usual_integrator(method))
            stable = method.stable_step(truth, integrator)
            with torch.no_grad():
                u, step = follow(
                    copy.deepcopy(method).to(place),
                    truth[:, 0].to(place),
                    times,
                    forcing.to(place),
                    integrator=integrator,
                    step=steps.get(name, safety * stable),
                )
            if name in steps:
                method.warn_if_unstable(truth, integrator, step)
            column = measured(Rollout(u.cpu(), truth, times, forcing, threshold))
            column["step"] = ((), step)
            column["stable_step"] = ((), stable)
            column["floor"] = (("sample",), _floor(method, truth, reference, values))
            columns.append(column)
            told(done + 1, len(methods), name)
    result = _described(columns)
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


def compare_study(
    config: Config,
    run: Path | str,
    *,
    data: Path | str | None = None,
    operator: Path | str | None = None,
    progress: Progress | bool = no_progress,
) -> list[xr.Dataset]:
    """Compares the learned operator and the classical methods of a config.

    Args:
        config: the study; its section comparison names methods and grids.
        run: folder with the test trajectories that `generate` wrote.
        data: folder of another run whose test trajectories to take instead.
        operator: store of the learned operator, the run's own by default. It may have
            been trained elsewhere: equation and domain follow the test trajectories.
        progress: told about the methods; True for a display.

    Returns:
        A dataset of `compare` per grid, finest last.

    Raises:
        FileNotFoundError: if the run lacks test trajectories or the operator.
        ValueError: if a method does not exist, or if the operator's own grid is not
            among those of the comparison.
    """
    run = local_path(run)
    source = run if data is None else local_path(data)
    comparison = config.comparison
    trained = _trained(config, run, operator)
    own = 1 / trained["learned"][0].grid.spacing[-1]
    results = []
    for points in sorted(set(comparison.points)):
        grid = Grid.line(points, config.problem.length)
        methods: dict[str, Discretization] = {}
        integrators: dict[str, Integrator] = {}
        steps: dict[str, float] = {}
        for name in dict.fromkeys(["learned", *comparison.methods]):
            if name not in trained:
                methods[name] = method_of(config, name, grid)
                if not isinstance(methods[name], Picture):
                    integrators[name] = integrator_of(comparison.integrator)
                continue
            learned, stored = trained[name]
            at_home = math.isclose(1 / grid.spacing[-1], own, rel_tol=1e-9)
            if at_home or isinstance(learned, Picture):
                methods[name] = moved(learned, grid, equation_of(config))
                integrators[name], step = habits(stored)
                if step is not None and at_home:
                    steps[name] = step
        # Cell averages come first where methods hold both.
        kinds = sorted({method.averages for method in methods.values()}, reverse=True)
        tests = [
            read_split(config, source, "test", points, averages=averages)
            for averages in kinds
        ]
        results.append(
            compare(
                methods,
                tests[0],
                values=tests[1] if len(tests) > 1 else None,
                integrators=integrators,
                steps=steps,
                safety=comparison.safety,
                threshold=comparison.threshold,
                device=comparison.device,
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
    """Raises if a method or its integrator does not exist or does not fit its grid.

    Raises:
        ValueError: naming the method.
    """
    integrator_of(config.comparison.integrator)
    for points in set(config.comparison.points):
        grid = Grid.line(points, config.problem.length)
        for name in config.comparison.methods:
            if name != CONSTANT:
                method_of(config, name, grid)


def stored_config(
    attributes: Mapping[str, object], path: Path, extensions: Sequence[type] = ()
) -> Config:
    """The config that a store carries.

    Args:
        attributes: of the store.
        path: of the store, for messages.
        extensions: classes that the config may name. Those that the store itself lists
            are not imported.

    Raises:
        ValueError: if it carries none.
    """
    if "config" not in attributes:
        raise ValueError(
            f"{path} does not say which problem it is for: name a config, as in "
            f"--config p2."
        )
    values = {**json.loads(str(attributes["config"])), "extensions": tuple(extensions)}
    return validate_config(values, f"config in {path}")


def _described(columns: Sequence[xr.Dataset]) -> xr.Dataset:
    """Metrics of all methods, with what makes them columns of the tables."""
    result = xr.concat(columns, dim="scheme", join="override")
    headings = {"step": _STEP, **{name: METRICS[name].column for name in METRICS}}
    for position, (name, attributes) in enumerate(headings.items()):
        if attributes:
            result[name].attrs.update(attributes, position=position)
    if bool(result["floor"].isnull().all()):
        return result.drop_vars("floor")
    result["floor"].attrs.update(_FLOOR)
    return result


def _check_grid(name: str, method: Discretization, grid: Grid) -> None:
    """Raises if a method lives on another grid than the reference."""
    if method.grid != grid:
        raise ValueError(
            f"{name} lives on {method.grid.shape[-1]} points over "
            f"{method.grid.extent[-1]:g}, the reference on {grid.shape[-1]} over "
            f"{grid.extent[-1]:g}: use one grid."
        )


def _trained(
    config: Config, run: Path, operator: Path | str | None
) -> dict[str, tuple[Any, StoredOperator]]:
    """The learned operator and, where asked for, the best constant stencil.

    The latter is that of the run, or lies beside the operator.
    """
    operator = operator or run / "operator.zarr"
    trained = {"learned": load_operator(operator, extensions=config.extensions)}
    if CONSTANT in config.comparison.methods:
        candidates = [
            folder / f"{CONSTANT}.zarr" for folder in (run, local_path(operator).parent)
        ]
        path = next((path for path in candidates if path.exists()), None)
        if path is None:
            raise FileNotFoundError(
                f"There is no best constant stencil at {candidates[0]}: train the run, "
                f"or leave {CONSTANT} out of comparison.methods."
            )
        trained[CONSTANT] = load_operator(path, extensions=config.extensions)
    return trained


def _floor(
    method: Discretization,
    truth: Float[Tensor, "sample time x"],
    *stores: xr.Dataset | None,
) -> np.ndarray:
    """The least error over the rollout that a spectral method can have; else NaN."""
    floor = np.full(len(truth), np.nan)
    for store in stores:
        if (
            isinstance(method, PseudoSpectral)
            and store is not None
            and "unheld" in store
            and bool(store["u"].attrs["averages"]) == method.averages
        ):
            missing = tensor_of(store["unheld"], torch.float64).unsqueeze(-1)
            size = truth.square().mean(-1, keepdim=True).sqrt()
            floor = relative_l2(size + missing, size).numpy()
    return floor


def _check_same_draw(reference: xr.Dataset, values: xr.Dataset) -> None:
    """Raises if point values belong to other trajectories than the averages."""
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
