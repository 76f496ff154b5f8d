"""Methods compared with trajectories in memory or on disk, here or by workers."""

import copy
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import xarray as xr
from torch import Tensor

from stencilnet.discretizations import Discretization
from stencilnet.grid import Grid
from stencilnet.progress import Progress
from stencilnet.solver import Integrator
from stencilnet.storage import boundary_classes, grid_of
from stencilnet.study.following import usual_integrator
from stencilnet.study.metrics import METRICS
from stencilnet.study.rolling import (
    Block,
    Reference,
    blocks_of,
    extremes_of,
    joined,
    numbered_column,
)
from stencilnet.study.workers import finished

_STEP = {"heading": "dt", "format": "{:.3g}"}
# Stands right after the relative L2 error.
_FLOOR = {"heading": "floor", "format": "error", "position": 1.5}


def compared(
    methods: Mapping[str, Discretization],
    references: tuple[Reference, ...],
    integrators: Mapping[str, Integrator],
    steps: Mapping[str, float],
    *,
    safety: float,
    memory: float,
    client: Any,
    progress: Progress,
    **to: Any,
) -> xr.Dataset:
    """Compares methods with trajectories in memory or in stores, see `compare`.

    Args:
        methods: by name.
        references: trajectories, and those of the other kind where there are.
        integrators: of some methods.
        steps: fixed ones of some methods.
        safety: share of the stable step that others take.
        memory: GiB of trajectories in the result, at most.
        client: of workers, see `crew`; None for this process.
        progress: told about the blocks.
        to: further attributes of each `Block`, threshold and place.
    """
    if not methods:
        raise ValueError("There is nothing to compare: name at least one method.")
    with ExitStack() as stack:
        datasets = [stack.enter_context(each.opened()) for each in references]
        first = datasets[0]
        for other in datasets[1:]:
            _check_same_draw(first, other)
        own = boundary_classes(*(method.grid for method in methods.values()))
        grid = grid_of(first, own)
        sizes = [first.sizes[name] for name in ("sample", "time", "x")]
        each = 16 * math.prod(sizes[1:]) * len(methods)
        most = int(memory * 2**30) // each
        kept = max(most, 1) if most < sizes[0] else None
        parts = blocks_of(*sizes)
        blocks, stable = [], []
        ranges: dict[bool, Tensor] = {}
        for name, given in methods.items():
            _check_grid(name, given, grid)
            # A copy: what a caller passes in is never changed.
            method = copy.deepcopy(given).cpu().double()
            integrator = integrators.get(name, usual_integrator(method))
            kind = method.averages
            if kind not in ranges:
                ranges[kind] = extremes_of(name, datasets, parts, averages=kind)
            extremes = ranges[kind]
            stable.append(method.stable_step(extremes, integrator))
            step = steps.get(name, safety * stable[-1])
            if name in steps:
                method.warn_if_unstable(extremes, integrator, step)
            rows = slice(0, sizes[0])
            whole = Block(name, method, integrator, step, references, rows, kept, **to)
            blocks += [whole.part(rows) for rows in parts]
        found = _measured(blocks, client, progress)
        size = len(parts)
        columns = [joined(found[at : at + size]) for at in range(0, len(found), size)]
        for column, limit in zip(columns, stable, strict=True):
            column["stable_step"] = ((), limit)
        result = _described(columns, list(methods), first, grid)
        return result.assign_attrs(threshold=to["threshold"], safety=safety)


def _measured(
    blocks: Sequence[Block], client: Any, progress: Progress
) -> list[xr.Dataset]:
    """What is measured of each block, here or by workers."""
    found: dict[int, xr.Dataset] = {}
    numbered = list(enumerate(blocks))
    results: Iterable[tuple[int, xr.Dataset]] = map(numbered_column, numbered)
    if client is not None:
        results = finished(client, numbered_column, numbered)
    for number, column in results:
        found[number] = column
        progress(len(found), len(blocks), blocks[number].name)
    return [found[number] for number in range(len(blocks))]


def _described(
    columns: Sequence[xr.Dataset], names: list[str], reference: xr.Dataset, grid: Grid
) -> xr.Dataset:
    """Metrics of all methods, with what makes them columns of the tables."""
    result = xr.concat(columns, dim="scheme", join="override")
    headings = {"step": _STEP, **{name: METRICS[name].column for name in METRICS}}
    for position, (name, attributes) in enumerate(headings.items()):
        if attributes:
            result[name].attrs.update(attributes, position=position)
    result["floor"].attrs.update(_FLOOR)
    # Columns that do not apply: to a method, or between boundaries.
    none = [name for name in ("floor", "mean_drift") if result[name].isnull().all()]
    return (
        result.drop_vars(none)
        .assign_coords(
            # Fixed-length strings have no specification in zarr.
            scheme=np.array(names, dtype=np.dtypes.StringDType()),
            time=reference["time"].load(),
            x=reference["x"].load(),
            k=_doubled(grid).wavenumbers().numpy(),
        )
        .assign_attrs(
            points=grid.shape[-1],
            period=grid.extent[-1],
            reference_hash=reference.attrs.get("content_hash", ""),
        )
    )


def _check_grid(name: str, method: Discretization, grid: Grid) -> None:
    """Raises if a method lives on another grid than the reference."""
    if method.grid != grid:
        raise ValueError(
            f"{name} lives on {method.grid.describe()}, the reference on "
            f"{grid.describe()}: use one grid."
        )


def _doubled(grid: Grid) -> Grid:
    """The period of a field; between boundaries that of its even reflection."""
    if grid.boundaries is None:
        return grid
    return Grid.line(2 * grid.shape[-1], 2 * grid.extent[-1])


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
