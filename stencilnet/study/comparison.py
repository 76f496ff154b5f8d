"""Comparison of methods under the same forcing, on the same grid."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import xarray as xr

from stencilnet.discretizations import Discretization, Picture
from stencilnet.progress import Progress, no_progress, shown
from stencilnet.solver import Integrator
from stencilnet.storage import (
    StoredOperator,
    local_path,
    open_trajectories,
)
from stencilnet.study.compared import compared
from stencilnet.study.config import Config
from stencilnet.study.constant import CONSTANT
from stencilnet.study.devices import as_device, as_dtype
from stencilnet.study.generation import check_split, store_path
from stencilnet.study.operators import habits, load_operator, moved
from stencilnet.study.problem import domain_of, equation_of, integrator_of, method_of
from stencilnet.study.rolling import Reference
from stencilnet.study.workers import crew


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
    dtype: torch.dtype | str = torch.float64,
    memory: float = 4.0,
    workers: int | None = None,
    scheduler: str | None = None,
    progress: Progress | bool = no_progress,
) -> xr.Dataset:
    """Rolls out methods from the same states under the same forcing.

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
        dtype: precision of the rollouts, float64 or float32; steps and errors are
            computed in float64.
        memory: GiB that the trajectories in the result may take; of more, `u` and
            `reference` are kept for the first samples only, over an axis `kept`.
        workers: processes of one thread each, on this machine, as in `generate`.
        scheduler: address of a Dask cluster.
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
            than `reference`; also as `crew`.
        ConnectionError, ChildProcessError: if the cluster does not answer, or workers
            die again and again.

    Example:
        >>> from stencilnet import Burgers, Grid, Muscl, Weno, compare
        >>> from stencilnet import read_trajectories, simulate
        >>> path = simulate("burgers-p1-32", "data.zarr", duration=2.0, overwrite=True)
        >>> burgers, grid = Burgers(viscosity=0.01), Grid.line(32)
        >>> methods = {"weno_z": Weno(burgers, grid), "muscl": Muscl(burgers, grid)}
        >>> result = compare(methods, read_trajectories(path))
        >>> result["relative_l2"].dims, bool((result["relative_l2"] < 0.5).all())
        (('scheme', 'sample'), True)
    """
    references = tuple(
        Reference(dataset) for dataset in (reference, values) if dataset is not None
    )
    with crew(workers, scheduler) as client, shown(progress, "Comparing") as told:
        return compared(
            methods,
            references,
            integrators or {},
            steps or {},
            safety=safety,
            threshold=threshold,
            place=(as_device(device, needs=as_dtype(dtype)), as_dtype(dtype)),
            memory=memory,
            client=client,
            progress=told,
        )


def compare_study(
    config: Config,
    run: Path | str,
    *,
    data: Path | str | None = None,
    operator: Path | str | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype | str | None = None,
    progress: Progress | bool = no_progress,
) -> list[xr.Dataset]:
    """Compares the learned operator and the classical methods of a config.

    Args:
        config: the study; its section comparison names methods and grids.
        run: folder with the test trajectories that `generate` wrote.
        data: folder of another run whose test trajectories to take instead.
        operator: store of the learned operator, the run's own by default. It may have
            been trained elsewhere: equation and domain follow the test trajectories.
        workers: processes of one thread each, on this machine, as in `generate`.
        scheduler: address of a Dask cluster, whose workers see the run's folder.
        device: to roll out on; that of the config by default.
        dtype: precision of the rollouts; that of the config by default.
        progress: told about the methods; True for a display.

    Returns:
        A dataset of `compare` per grid, finest last.

    Raises:
        FileNotFoundError: if the run lacks test trajectories or the operator.
        ValueError: if a method does not exist, or if the operator's own grid is not
            among those of the comparison.

    Example:
        >>> from stencilnet import Burgers, Grid, LearnedStencil, generate, load_config
        >>> from stencilnet import save_operator
        >>> from stencilnet.study import compare_study
        >>> small = "data.training=1 data.validation=1 data.test=1 data.values=[]"
        >>> small += " problem.equation.viscosity=0.1 problem.duration=1 forcing=null"
        >>> small += " reference.points=64 comparison.methods=[weno_z]"
        >>> config = load_config("demo", small.split())
        >>> paths = generate(config, "small")
        >>> untrained = LearnedStencil(Burgers(viscosity=0.1), Grid.line(32))
        >>> operator = save_operator(untrained, "small/operator.zarr")
        >>> (result,) = compare_study(config, "small")
        >>> result["scheme"].values.tolist(), bool((result["relative_l2"] < 1e-3).all())
        (['learned', 'weno_z'], True)
    """
    run = local_path(run)
    source = run if data is None else local_path(data)
    config = config.on("comparison", device=device, dtype=dtype)
    comparison = config.comparison
    place = torch.device(str(comparison.device)), as_dtype(comparison.dtype)
    trained = _trained(config, run, operator)
    own = 1 / trained["learned"][0].grid.spacing[-1]
    results = []
    with crew(workers, scheduler) as client, shown(progress, "Comparing") as told:
        for points in sorted(set(comparison.points)):
            methods, integrators, steps = _methods(config, points, trained, own)
            # Cell averages come first where methods hold both.
            kinds = {method.averages for method in methods.values()}
            references = tuple(
                _reference(config, source, points, averages=averages)
                for averages in sorted(kinds, reverse=True)
            )
            result = compared(
                methods,
                references,
                integrators,
                steps,
                safety=comparison.safety,
                threshold=comparison.threshold,
                place=place,
                memory=comparison.memory,
                client=client,
                progress=told,
            )
            results.append(result.assign_attrs(config=config.model_dump_json()))
    if not any("learned" in result["scheme"] for result in results):
        raise ValueError(
            f"The operator was learned at {own:.4g} points per unit of length, which "
            f"none of the grids {sorted(set(comparison.points))} has: add its grid to "
            f"comparison.points."
        )
    return results


def _methods(
    config: Config,
    points: int,
    trained: Mapping[str, tuple[Any, StoredOperator]],
    own: float,
) -> tuple[dict[str, Discretization], dict[str, Integrator], dict[str, float]]:
    """Methods on a grid, their integrators and the steps of those that keep theirs."""
    grid = domain_of(config, points)
    methods: dict[str, Discretization] = {}
    integrators: dict[str, Integrator] = {}
    steps: dict[str, float] = {}
    for name in dict.fromkeys(["learned", *config.comparison.methods]):
        if name not in trained:
            methods[name] = method_of(config, name, grid)
            if not isinstance(methods[name], Picture):
                integrators[name] = integrator_of(config.comparison.integrator)
            continue
        learned, stored = trained[name]
        at_home = math.isclose(1 / grid.spacing[-1], own, rel_tol=1e-9)
        if at_home or isinstance(learned, Picture):
            methods[name] = moved(learned, grid, equation_of(config))
            integrators[name], step = habits(stored)
            if step is not None and at_home:
                steps[name] = step
    return methods, integrators, steps


def _reference(config: Config, run: Path, points: int, *, averages: bool) -> Reference:
    """The test trajectories of a run on a grid, which are read block by block."""
    path = store_path(run, "test", points, averages=averages)
    with open_trajectories(path) as dataset:
        check_split(config, dataset, path, "test")
        return Reference(path=path, content=str(dataset.attrs["content_hash"]))


def check_comparison(config: Config) -> None:
    """Raises if a method or its integrator does not exist or does not fit its grid.

    Raises:
        ValueError: naming the method.
    """
    integrator_of(config.comparison.integrator)
    for points in set(config.comparison.points):
        grid = domain_of(config, points)
        for name in config.comparison.methods:
            if name != CONSTANT:
                method_of(config, name, grid)


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
