"""Certificate of a method: order, stability, symbols, conservation, error."""

import copy
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from stencilnet.discretizations import (
    Discretization,
    LearnedStencil,
    Picture,
    StencilMethod,
    frozen_stencils,
    lipschitz_bound,
    local_lipschitz,
    refine,
)
from stencilnet.errors import as_integer, as_number
from stencilnet.solver import (
    SSPRK3,
    ColeHopf,
    Integrator,
    RungeKutta,
    SemilinearIntegrator,
    rollout,
    substeps_within,
)
from stencilnet.storage import boundary_classes, forcing_of, grid_of, tensor_of
from stencilnet.study.devices import as_device
from stencilnet.study.metrics import longest_interval, mean_drift, relative_l2
from stencilnet.study.picture_certificate import certify_picture

SCHEMA = "stencilnet.certificate/1"
QUANTILES = (0.0, 0.05, 0.5, 0.95, 1.0)

# Relative error below which a wave counts as resolved.
_RESOLVED = 0.01
# States about which a method is linearized.
_LINEARIZED = 32
# Waves of which modified wavenumbers are stored.
_WAVES = 32


def certify(
    method: Discretization,
    data: xr.Dataset,
    *,
    integrator: Integrator = SSPRK3,
    step: float | None = None,
    trajectories: int = 16,
    states: int = 256,
    refinements: int = 5,
    device: torch.device | str = "cpu",
) -> xr.Dataset:
    """Measures, in float64, what a method holds to on given data.

    Args:
        method: learned or classical, on the grid of the data.
        data: trajectories, as `read_trajectories` gives them.
        integrator: of the rollouts, and of the stability limits; pictures take
            `ColeHopf()` in place of any other than exact evolution.
        step: of the rollouts; half the stable one by default.
        trajectories: how many of the data are rolled out at most.
        states: how many states of the data are looked at, evenly spread, at most.
        refinements: how often the grid is halved to observe the order.
        device: to roll out and to linearize on, in double precision.

    Returns:
        A dataset. For every method:

        - `mean_drift`, `relative_l2`, `blow_up` (sample): of rollouts over the data, as
          in `comparison.compare`, with the `step`;
        - `stable_step` about constant states, and about those of the data
          `stable_step_of_data`: a step has to stay below both; `growth_rate` (largest
          real part of an eigenvalue about the data) and `eigenvalue_real`,
          `eigenvalue_imaginary` (state, mode). An integrator that treats the linear
          part apart has no limit about the data, where its step does not act on each
          eigenvalue by itself;
        - `amplification` (z_imaginary, z_real): `|R(z)|` of a Runge-Kutta method.

        For every method but those of elements, whose solution is more accurate than
        their right-hand side:

        - `observed_order_u_t`: between the two finest grids on which smooth fields
          leave an error above rounding, NaN if there are none; `refinement_error_u_t`
          (spacing): the largest error of the right-hand side, relative to its largest
          value.

        For a method with stencils, over `derivative` (those that its form requires):

        - `observed_order` and `refinement_error` (..., spacing), as above;
        - `modified_wavenumber` (derivative, part, quantile, k_dx): quantiles over the
          stencils about the data of `(k* dx)**D`, and `modified_order`: `D`, see
          `FrozenStencils`;
        - `resolved_k_dx`: the shortest wave of the grid up to which the median is
          within 1 % of exact, 0 if the longest is not;
        - `reversed_share`: of stencils for which the real part of `(k* dx)**D` is below
          zero for some `k`: a wave that runs, or diffuses, the wrong way.

        For a learned one:

        - `moment_residual` (derivative): largest over all stencils, dimensionless;
        - `lipschitz` (derivative): largest spectral norm of the coefficients'
          derivative by the values that the network reads, in units of the scale of the
          solution, over the states; `lipschitz_bound`: a bound for any states.

        Between boundaries there are no orders of waves, no wavenumbers and no drift of
        the mean, through whose ends `u` flows.

        A picture within cells is measured as `certify_picture` says.

    Raises:
        ValueError: if the data live on another grid, or hold point values where the
            method holds averages, or the reverse; if a number is not positive, or a
            weight of the method not finite.

    Example:
        >>> from stencilnet import Burgers, Grid, LearnedStencil, certify, simulate
        >>> from stencilnet import read_trajectories
        >>> path = simulate("burgers-p1-16", "data.zarr", duration=2.0, overwrite=True)
        >>> learned = LearnedStencil(Burgers(viscosity=0.01), Grid.line(16))
        >>> certificate = certify(learned, read_trajectories(path), step=0.05)
        >>> bool(certificate["moment_residual"].max() < 1e-9)
        True
    """
    _check(method, data)
    counts = [as_integer(count) or 0 for count in (trajectories, states, refinements)]
    if min(counts) < 1 or not (step is None or (as_number(step) or 0) > 0):
        raise ValueError(
            f"A certificate takes at least 1 trajectory, state and refinement and a "
            f"positive step, not {trajectories}, {states}, {refinements} and {step}."
        )
    place = as_device(device, needs=torch.float64)
    # Copies: what a caller passes in is never changed.
    method = copy.deepcopy(method).cpu().double()
    there = copy.deepcopy(method).to(place)
    u = tensor_of(data["u"], torch.float64)
    fields = _spread(u.flatten(end_dim=1), states)
    if isinstance(there, Picture):
        exact = integrator if isinstance(integrator, ColeHopf) else ColeHopf()
        some = fields.to(place)
        parts = [certify_picture(there, data, exact, step, trajectories, some)]
    else:
        stability = _stability(there, fields.to(place), integrator)
        limit = float(stability["stable_step"]) / 2
        followed = u[:trajectories].to(place)
        parts = [
            stability,
            _rollouts(there, data, followed, integrator, step or limit),
        ]
    waves = method.grid.boundaries is None
    if waves and method.element == 1 and not isinstance(method, Picture):
        # Data at rest have no size of their own.
        size = float(fields.std()) or 1.0
        parts.append(_refinement(method, size, refinements))
    if waves and isinstance(method, StencilMethod):
        parts.append(_symbols(method, fields))
    if isinstance(method, LearnedStencil):
        parts.append(_network(method, fields))
    return xr.merge(parts, join="exact").assign_attrs(
        schema=SCHEMA,
        spec=json.dumps(method.spec()),
        states=len(fields),
        data_hash=data.attrs.get("content_hash", ""),
        points=method.grid.shape[-1],
        period=method.grid.extent[-1],
    )


def _check(method: Discretization, data: xr.Dataset) -> None:
    """Raises if the data do not fit the method, or its weights are not finite."""
    grid = grid_of(data, boundary_classes(method.grid))
    if grid != method.grid:
        raise ValueError(
            f"The method lives on {method.grid.describe()}, the data on "
            f"{grid.describe()}: give data on its grid."
        )
    if bool(data["u"].attrs["averages"]) != method.averages:
        kind = "cell averages" if method.averages else "point values"
        raise ValueError(
            f"The method holds {kind}, but the data do not: give the other kind."
        )
    if not all(torch.isfinite(weights).all() for weights in method.parameters()):
        raise ValueError("A method with NaN or infinite weights has no certificate.")


def _spread(fields: Tensor, count: int) -> Tensor:
    """At most `count` of the rows, evenly spread from the first to the last."""
    rows = torch.linspace(0, len(fields) - 1, min(count, len(fields)))
    return fields[rows.round().long()]


def _stability(
    method: Discretization, fields: Float[Tensor, "state x"], integrator: Integrator
) -> xr.Dataset:
    """Eigenvalues, stable steps, and the integrator's region of stability."""
    jacobian = method.jacobian(_spread(fields, _LINEARIZED))
    # Few and small: the processor finds eigenvalues as fast.
    eigenvalues = torch.linalg.eigvals(jacobian.cpu())
    stability = xr.Dataset(
        {
            "stable_step": method.stable_step(fields, integrator),
            "growth_rate": float(eigenvalues.real.max()),
            "eigenvalue_real": (("state", "mode"), eigenvalues.real.numpy()),
            "eigenvalue_imaginary": (("state", "mode"), eigenvalues.imag.numpy()),
        }
    )
    if not isinstance(integrator, SemilinearIntegrator):
        limit = integrator.stable_step(eigenvalues)
        stability = stability.assign(stable_step_of_data=limit)
    if isinstance(integrator, RungeKutta):
        real, imaginary = np.linspace(-4, 1, 81), np.linspace(-4, 4, 129)
        z = torch.from_numpy(real + 1j * imaginary[:, np.newaxis])
        size = integrator.amplification(z).abs().numpy()
        stability = stability.assign_coords(z_real=real, z_imaginary=imaginary)
        stability["amplification"] = (("z_imaginary", "z_real"), size)
    return stability


def _rollouts(
    method: Discretization,
    data: xr.Dataset,
    u: Float[Tensor, "sample time x"],
    integrator: Integrator,
    step: float,
) -> xr.Dataset:
    """Errors of rollouts from the first states of the data."""
    times = tensor_of(data["time"], torch.float64)
    interval = longest_interval(times)
    substeps = substeps_within(interval, step)
    forcing = forcing_of(data).select(slice(len(u))).to(dtype=torch.float64)
    force = forcing.to(u.device).on(method.grid, averages=method.averages)
    with torch.no_grad():
        solution = rollout(
            method, u[:, 0], times, force, integrator=integrator, steps=substeps
        ).cpu()
    finite = torch.isfinite(solution).all(-1).all(-1)
    drift = {}
    if method.grid.boundaries is None:
        drift["mean_drift"] = ("sample", mean_drift(solution, times, forcing).numpy())
    return xr.Dataset(
        {
            "step": interval / substeps,
            **drift,
            "relative_l2": ("sample", relative_l2(solution, u.cpu()).numpy()),
            "blow_up": ("sample", (~finite).numpy()),
        }
    )


def _refinement(method: Discretization, size: float, levels: int) -> xr.Dataset:
    """Errors and orders on smooth fields of standard deviation `size`."""
    measured = refine(method, size, levels=levels)
    names = [name for name in measured.orders if name != "u_t"]
    variables: dict[str, Any] = {
        "observed_order_u_t": measured.orders["u_t"],
        "refinement_error_u_t": ("spacing", measured.errors["u_t"]),
    }
    if names:
        errors = [measured.errors[name] for name in names]
        variables |= {
            "observed_order": ("derivative", [measured.orders[name] for name in names]),
            "refinement_error": (("derivative", "spacing"), errors),
        }
    return xr.Dataset(
        variables,
        coords={"spacing": list(measured.spacings), **_along_derivatives(names)},
    )


def _symbols(method: StencilMethod, fields: Float[Tensor, "state x"]) -> xr.Dataset:
    """Modified wavenumbers of the stencils that the fields bring about."""
    k_dx = torch.arange(1, _WAVES + 1, dtype=torch.float64) * (torch.pi / _WAVES)
    if not isinstance(method, LearnedStencil):
        fields = _spread(fields, _LINEARIZED)
    rows: dict[str, list[Any]] = {
        "modified_order": [],
        "modified_wavenumber": [],
        "resolved_k_dx": [],
        "reversed_share": [],
    }
    stencils = frozen_stencils(method, fields)
    for frozen in stencils.values():
        modified = frozen.modified(k_dx)
        parts = np.quantile(torch.view_as_real(modified).numpy(), QUANTILES, axis=0)
        rows["modified_order"].append(frozen.modified_order)
        rows["modified_wavenumber"].append(np.moveaxis(parts, -1, 0))
        own = method.grid.wavenumbers()[1:] * method.grid.spacing[-1]
        median = torch.view_as_real(frozen.modified(own)).quantile(0.5, dim=0)
        rows["resolved_k_dx"].append(
            _resolved(torch.view_as_complex(median), own**frozen.modified_order, own)
        )
        reverses = (modified.real < -1e-12).any(-1)
        rows["reversed_share"].append(float(reverses.double().mean()))
    if not stencils:
        return xr.Dataset()
    dimensions = {"modified_wavenumber": ("derivative", "part", "quantile", "k_dx")}
    return xr.Dataset(
        {
            name: (dimensions.get(name, "derivative"), np.stack(values))
            for name, values in rows.items()
        },
        coords={
            "quantile": list(QUANTILES),
            "k_dx": k_dx.numpy(),
            **_along_derivatives(stencils),
        },
    )


def _resolved(symbol: Tensor, exact: Tensor, k_dx: Tensor) -> float:
    """The last of the leading waves whose symbol is nearly exact, 0 if none is."""
    accurate = (symbol / exact - 1).abs() <= _RESOLVED
    waves = int(accurate.int().cumprod(0).sum())
    return float(k_dx[waves - 1]) if waves else 0.0


def _network(method: LearnedStencil, fields: Float[Tensor, "state x"]) -> xr.Dataset:
    """Consistency of learned coefficients, and how they depend on the solution."""
    residuals = method.moment_residuals(fields)
    slopes = local_lipschitz(method, fields)
    return xr.Dataset(
        {
            "moment_residual": ("derivative", list(residuals.values())),
            "lipschitz": ("derivative", [slopes[name] for name in residuals]),
            "lipschitz_bound": lipschitz_bound(method),
        },
        coords=_along_derivatives(residuals),
    )


def _along_derivatives(names: Any) -> Mapping[str, Any]:
    """The coordinate of derivatives, none for a method without stencils."""
    if not list(names):
        return {}
    return {"derivative": np.array(list(names), dtype=np.dtypes.StringDType())}
