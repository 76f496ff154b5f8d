"""What can be measured of a learned operator, beside how well it fits its data."""

import json
import math
from collections.abc import Mapping

import numpy as np
import torch
import xarray as xr
from jaxtyping import Complex, Float
from torch import Tensor, nn

from stencilnet.discretizations import LearnedStencil, Perceptron, patches
from stencilnet.grid import Grid
from stencilnet.solver import SSPRK3, Integrator, rollout, substeps_within
from stencilnet.stencils import Derivative, stencil_offsets
from stencilnet.storage import forcing_of, grid_of
from stencilnet.study.metrics import mean_drift, relative_l2

SCHEMA = "stencilnet.certificate/1"
QUANTILES = (0.0, 0.05, 0.5, 0.95, 1.0)

# Relative error below which a wave counts as resolved.
_RESOLVED = 0.01
# Largest slope of SiLU, the activation of the networks.
_SILU_SLOPE = 1.09984
_SMOOTH_MODES = 3


def certify(
    operator: LearnedStencil,
    data: xr.Dataset,
    *,
    integrator: Integrator = SSPRK3,
    step: float | None = None,
    trajectories: int = 16,
    states: int = 256,
    refinements: int = 5,
) -> xr.Dataset:
    """Measures, in float64, what a learned operator holds to on given data.

    A symbol is that of a single stencil with its coefficients frozen. A derivative of
    order `d` at faces enters `u_t` through a divergence, so that its stencil acts as
    one for the derivative of order `D = d + 1` with the symbol

        S(k) = 2 i sin(k dx / 2) sum_j c_j exp(i s_j k dx),

    and one at points as `D = d` without the factor. The modified wavenumber is
    `(k* dx)**D = S(k) / i**D`; its exact value is `(k dx)**D`. Its real part tells
    dispersion where `D` is odd and diffusion where it is even, its imaginary part the
    other of the two.

    Args:
        operator: on the grid of the data.
        data: trajectories, as `read_trajectories` gives them.
        integrator: of the rollouts, and of the stability limits.
        step: of the rollouts; half the stable one by default.
        trajectories: how many of the data are rolled out at most.
        states: how many states of the data are looked at, evenly spread, at most.
        refinements: how often the grid is halved to observe the order.

    Returns:
        A dataset over `derivative` (those that the equation requires):

        - `observed_order`, `observed_order_u_t`: between the two finest grids on which
          smooth fields leave an error above rounding, NaN if there are none;
          `refinement_error`, `refinement_error_u_t` (..., spacing): the largest errors,
          relative to the largest value;
        - `moment_residual`: largest over all stencils, dimensionless;
        - `modified_wavenumber` (derivative, part, quantile, k_dx): quantiles over all
          stencils of `(k* dx)**D`, `modified_order`: `D`;
        - `resolved_k_dx`: up to which `k dx` the median is within 1 % of exact;
        - `reversed_share`: of stencils for which the real part of `(k* dx)**D` is below
          zero for some `k`: a wave that runs, or diffuses, the wrong way;
        - `lipschitz`: largest spectral norm of the coefficients' derivative by the
          values that the network reads, in units of the scale of the solution, over
          the states; `lipschitz_bound`: a bound for any states;
        - `mean_drift`, `relative_l2`, `blow_up` (sample): of rollouts over the data, as
          in `comparison.compare`;
        - `step`, `stable_step` about constant states, and about those of the data
          `stable_step_of_data`, `growth_rate` (largest real part of an eigenvalue) and
          `eigenvalue_real`, `eigenvalue_imaginary` (state, mode);
        - `amplification` (z_imaginary, z_real): `|R(z)|` of the integrator.

    Raises:
        ValueError: if the data live on another grid, or hold point values where the
            operator holds averages, or the reverse; if a number is not positive, or a
            weight of the operator not finite.
    """
    grid, form = grid_of(data), operator.form
    if grid != operator.grid:
        raise ValueError(
            f"The operator lives on {operator.grid.shape[-1]} points over "
            f"{operator.grid.extent[-1]:g}, the data on {grid.shape[-1]} over "
            f"{grid.extent[-1]:g}: give data on its grid."
        )
    if bool(data["u"].attrs["averages"]) != operator.averages:
        held = "cell averages" if operator.averages else "point values"
        raise ValueError(
            f"The operator holds {held}, but the data do not: give the other kind."
        )
    if min(trajectories, states, refinements) < 1 or not (step is None or step > 0):
        raise ValueError(
            f"A certificate takes at least 1 trajectory, state and refinement and a "
            f"positive step, not {trajectories}, {states}, {refinements} and {step}."
        )
    if not all(torch.isfinite(weights).all() for weights in operator.parameters()):
        raise ValueError("An operator with NaN or infinite weights has no certificate.")
    operator = operator.on(operator.grid).double()
    # A copy: xarray hands out arrays that cannot be written to.
    everything = torch.tensor(data["u"].values, dtype=torch.float64)
    u = everything[:trajectories]
    fields = _spread(everything.flatten(end_dim=1), states)
    stable = operator.stable_step(fields, integrator)
    times = torch.tensor(data["time"].values)
    interval = float(times.diff().max())
    substeps = substeps_within(interval, stable / 2 if step is None else step)
    forcing = forcing_of(data).select(slice(len(u))).to(dtype=torch.float64)
    with torch.no_grad():
        followed = rollout(
            operator,
            u[:, 0],
            times,
            forcing.on(grid, averages=operator.averages),
            integrator=integrator,
            steps=substeps,
        )
    per_derivative = {
        "moment_residual": operator.moment_residuals(fields),
        "lipschitz": _lipschitz(operator, fields),
        "modified_order": {
            name: derivative.order + int(derivative.at == 0.5)
            for name, derivative in form.requires.items()
        },
    }
    eigenvalues = torch.linalg.eigvals(operator.jacobian(_spread(fields, 32)))
    finite = torch.isfinite(followed).all(-1).all(-1)
    single = {
        "lipschitz_bound": _lipschitz_bound(operator),
        "step": interval / substeps,
        "stable_step": stable,
        "stable_step_of_data": integrator.stable_step(eigenvalues),
        "growth_rate": float(eigenvalues.real.max()),
    }
    measured = xr.Dataset(
        {
            **{name: ((), value) for name, value in single.items()},
            **{
                name: ("derivative", list(values.values()))
                for name, values in per_derivative.items()
            },
            "mean_drift": ("sample", mean_drift(followed, times, forcing).numpy()),
            "relative_l2": ("sample", relative_l2(followed, u).numpy()),
            "blow_up": ("sample", (~finite).numpy()),
            "eigenvalue_real": (("state", "mode"), eigenvalues.real.numpy()),
            "eigenvalue_imaginary": (("state", "mode"), eigenvalues.imag.numpy()),
        },
        coords={
            "derivative": np.array(list(form.requires), dtype=np.dtypes.StringDType())
        },
        attrs={
            "schema": SCHEMA,
            "spec": json.dumps(operator.spec()),
            "states": len(fields),
            "data_hash": data.attrs.get("content_hash", ""),
            "points": grid.shape[-1],
            "period": grid.extent[-1],
        },
    )
    return xr.merge(
        [
            measured,
            _refinement(operator, float(fields.std()), refinements),
            _symbols(operator, fields),
            _stability_region(integrator),
        ],
        combine_attrs="override",
    )


def _spread(fields: Tensor, count: int) -> Tensor:
    """At most `count` of the rows, evenly spread from the first to the last."""
    rows = torch.linspace(0, len(fields) - 1, min(count, len(fields)))
    return fields[rows.round().long()]


def _refinement(operator: LearnedStencil, size: float, refinements: int) -> xr.Dataset:
    """Errors on smooth fields of standard deviation `size` as the grid is refined."""
    grid, form = operator.grid, operator.form
    generator = torch.Generator().manual_seed(0)
    modes = max(1, min(_SMOOTH_MODES, (grid.shape[-1] - 1) // 2))
    draw = torch.randn(4, modes, 2, generator=generator, dtype=torch.float64)
    waves = torch.view_as_complex(draw)
    waves = waves * (size * math.sqrt(2) / waves.abs().square().sum(-1, True).sqrt())
    errors: dict[str, list[float]] = {name: [] for name in (*form.requires, "u_t")}
    powers = {name: of.order for name, of in form.requires.items()}
    powers["u_t"] = max(of.order + int(of.at == 0.5) for of in form.requires.values())
    sizes = [grid.shape[-1] * 2**level for level in range(refinements + 1)]
    for points in sizes:
        fine = Grid((points,), grid.extent)
        averages = operator.averages
        u = _evaluate(waves, fine, Derivative(0), averages=averages)
        exact = {
            name: _evaluate(waves, fine, derivative)
            for name, derivative in form.requires.items()
        }
        method = operator.on(fine)
        with torch.no_grad():
            found = method.derivatives(u)
            found["u_t"] = method.form.time_derivative(u, found, fine)
            exact["u_t"] = method.form.time_derivative(u, exact, fine)
        for name, values in exact.items():
            error = (found[name] - values).abs().max() / values.abs().max()
            errors[name].append(float(error))
    orders = {
        name: _order(of, [5e-14 * points ** powers[name] for points in sizes])
        for name, of in errors.items()
    }
    names = list(form.requires)
    return xr.Dataset(
        {
            "observed_order": ("derivative", [orders[name] for name in names]),
            "observed_order_u_t": ((), orders["u_t"]),
            "refinement_error": (
                ("derivative", "spacing"),
                [errors[name] for name in names],
            ),
            "refinement_error_u_t": ("spacing", errors["u_t"]),
        },
        coords={"spacing": [grid.extent[-1] / points for points in sizes]},
    )


def _evaluate(
    waves: Complex[Tensor, "field mode"],
    grid: Grid,
    derivative: Derivative,
    *,
    averages: bool = False,
) -> Float[Tensor, "field x"]:
    """A derivative of `Re sum_m w_m exp(i k_m x)`, `k_m` the lowest wavenumbers."""
    k = grid.wavenumbers()[1 : waves.shape[-1] + 1]
    x = grid.points() + derivative.at * grid.spacing[-1]
    factors = waves * (1j * k) ** derivative.order
    if averages:
        factors = factors * torch.sinc(k * grid.spacing[-1] / (2 * math.pi))
    return (factors @ torch.exp(1j * k.unsqueeze(-1) * x)).real


def _order(errors: list[float], floors: list[float]) -> float:
    """Slope between the two finest neighbours with errors above rounding."""
    useful = [error > floor for error, floor in zip(errors, floors, strict=True)]
    for level in reversed(range(1, len(errors))):
        if useful[level - 1] and useful[level]:
            return math.log2(errors[level - 1] / errors[level])
    return math.nan


def _symbols(
    operator: LearnedStencil, fields: Float[Tensor, "state x"], *, count: int = 32
) -> xr.Dataset:
    """Modified wavenumbers of all stencils that the fields bring about."""
    k_dx = torch.arange(1, count + 1, dtype=torch.float64) * (math.pi / count)
    quantiles, resolved, turned = [], [], []
    with torch.no_grad():
        chosen = operator.dimensionless(fields)
    for name, derivative in operator.form.requires.items():
        stencils = chosen[name].flatten(end_dim=-2)
        offsets = stencil_offsets(operator.stencils[name], derivative)
        symbol = stencils + 0j
        symbol = symbol @ torch.exp(1j * offsets.unsqueeze(-1) * k_dx)
        order = derivative.order
        if derivative.at == 0.5:
            order += 1
            symbol = symbol * (2j * torch.sin(k_dx / 2))
        modified = symbol / 1j**order
        parts = torch.view_as_real(modified).numpy()
        of_parts = np.moveaxis(np.quantile(parts, QUANTILES, axis=0), -1, 0)
        quantiles.append(of_parts)
        real, imaginary = of_parts[:, QUANTILES.index(0.5)]
        error = np.abs((real + 1j * imaginary) / k_dx.numpy() ** order - 1)
        good = np.append(error <= _RESOLVED, False).argmin()
        resolved.append(float(k_dx[good - 1]) if good else 0.0)
        turned.append(float((modified.real < -1e-12).any(-1).double().mean()))
    return xr.Dataset(
        {
            "modified_wavenumber": (
                ("derivative", "part", "quantile", "k_dx"),
                np.stack(quantiles),
            ),
            "resolved_k_dx": ("derivative", resolved),
            "reversed_share": ("derivative", turned),
        },
        coords={"quantile": list(QUANTILES), "k_dx": k_dx.numpy()},
    )


def _lipschitz(
    operator: LearnedStencil, fields: Float[Tensor, "state x"]
) -> Mapping[str, float]:
    """Largest spectral norm of `dc / d(window / scale)` over the fields."""
    seen = {
        indices: patches(fields, indices).flatten(end_dim=-2).clone().requires_grad_()
        for indices in set(operator.windows.values())
    }
    with torch.enable_grad():
        chosen = operator.choose(seen)
    largest = {}
    for name, stencils in chosen.items():
        window = seen[operator.windows[name]]
        rows = [
            torch.autograd.grad(
                column.sum(), window, retain_graph=True, materialize_grads=True
            )[0]
            for column in stencils.unbind(-1)
        ]
        norms = torch.linalg.matrix_norm(torch.stack(rows, dim=-2), ord=2)
        largest[name] = float(norms.max()) * operator.scale
    return largest


def _lipschitz_bound(operator: LearnedStencil) -> float:
    """Product of the layers' constants; no coefficient layer stretches."""
    if not isinstance(operator.network, Perceptron):
        return math.nan
    bound = 1.0
    for module in operator.network:
        if isinstance(module, nn.Linear):
            bound *= float(torch.linalg.matrix_norm(module.weight.detach(), ord=2))
        else:
            bound *= _SILU_SLOPE
    return bound


def _stability_region(integrator: Integrator) -> xr.Dataset:
    """`|R(z)|` about the region where it is at most 1."""
    real, imaginary = np.linspace(-4, 1, 81), np.linspace(-4, 4, 129)
    z = torch.from_numpy(real + 1j * imaginary[:, np.newaxis])
    size = integrator.amplification(z).abs().numpy()
    return xr.Dataset(
        {"amplification": (("z_imaginary", "z_real"), size)},
        coords={"z_real": real, "z_imaginary": imaginary},
    )
