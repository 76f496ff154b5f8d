import io
import math

import numpy as np
import pytest
import torch
import xarray as xr
import zarr
from helpers import randomize, smooth_field
from rich.console import Console
from studies import generated

from stencilnet import (
    MLP,
    RK4,
    SSPRK3,
    Burgers,
    CentralFlux,
    Convective,
    Convex,
    Discretization,
    FiniteDifference,
    Grid,
    LearnedStencil,
    NullSpace,
    RandomForcing,
    UpwindFlux,
    Weno,
    certify,
    load_operator,
    rollout,
    save_operator,
    train,
    verify,
)
from stencilnet.discretizations import (
    CLASSICAL,
    StencilMethod,
    frozen_stencils,
    lipschitz_bound,
)
from stencilnet.equations import Advection, FisherKPP, KortewegDeVries
from stencilnet.report import certificate_figure, certificate_table
from stencilnet.solver import INTEGRATORS, Euler
from stencilnet.stencils import Dissipation, Unconstrained
from stencilnet.storage import trajectories

NU = 0.1
GRID = Grid.line(16)


def learned(grid=GRID, seed=1, *, equation=None, **settings):
    equation = equation or Burgers(NU)
    operator = LearnedStencil(equation, grid, **settings, network=MLP(8))
    if seed:
        randomize(operator, seed)
    return operator


def printed(certificate):
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(certificate_table(certificate))
    return console.export_text()


def data_for(operator, samples=2, length=5, growth=2.0):
    """Trajectories of the operator's kind, of a smooth field that grows."""
    growth = torch.linspace(1, growth, length, dtype=torch.float64).unsqueeze(-1)
    u = smooth_field(operator.grid, samples=samples).unsqueeze(1) * growth
    times = torch.arange(length, dtype=torch.float64) * 0.01
    forcing = RandomForcing.sample(samples, modes=3, wavenumbers=(1,), seed=0)
    averages = operator.averages
    return trajectories(u, times, operator.grid, forcing, averages=averages)


def test_the_untrained_operator_has_the_symbols_of_the_classical_scheme():
    operator = learned(seed=0, width=2)
    found = certify(operator, data_for(operator))
    k = found["k_dx"].values
    modified = found["modified_wavenumber"]
    assert found["modified_order"].values.tolist() == [1, 2]
    for quantile in found["quantile"]:
        of = modified.sel(quantile=quantile)
        np.testing.assert_allclose(of.sel(derivative="u")[0], np.sin(k), atol=1e-14)
        second = 4 * np.sin(k / 2) ** 2
        np.testing.assert_allclose(of.sel(derivative="u_x")[0], second, atol=1e-14)
        np.testing.assert_allclose(of.isel(part=1), 0, atol=1e-14)
    assert (found["reversed_share"] == 0).all()
    np.testing.assert_allclose(found["observed_order"], 2, atol=0.02)


@pytest.mark.parametrize("points", [12, 20, 64, 128])
def test_resolved_waves_are_waves_of_the_grid(points):
    operator = learned(grid=Grid.line(points), seed=0, width=2)
    resolved = certify(operator, data_for(operator))["resolved_k_dx"]
    # sin(k) / k and (2 sin(k / 2) / k)**2 leave 1 % at 0.245 and 0.348.
    longest = 2 * math.pi / points
    expected = [longest * math.floor(limit / longest) for limit in (0.245, 0.348)]
    np.testing.assert_allclose(resolved, expected)
    assert (resolved == 0).any() == (points <= 20)


def test_the_classical_scheme_has_its_stable_step_and_no_lipschitz_constant():
    operator = learned(seed=0, width=2)
    data = data_for(operator)
    data["u"] *= 0
    found = certify(operator, data, integrator=Euler)
    heat = GRID.spacing[-1] ** 2 / (2 * NU)
    for name in ("stable_step", "stable_step_of_data"):
        assert float(found[name]) == pytest.approx(heat, rel=1e-3)
    assert abs(float(found["growth_rate"])) < 1e-12
    assert (found["lipschitz"] == 0).all()
    assert float(found["lipschitz_bound"]) == 0


def test_the_stable_step_of_data_sees_waves():
    operator = learned(equation=Advection(1.0), form=Convective, seed=0, width=3)
    found = certify(operator, data_for(operator), integrator=RK4)
    waves = 2 * math.sqrt(2) * GRID.spacing[-1]
    assert float(found["stable_step_of_data"]) == pytest.approx(waves, rel=1e-2)
    assert np.abs(found["eigenvalue_real"]).max() < 1e-12


@pytest.mark.parametrize("points", [16, 32, 128])
def test_high_orders_are_observed_or_left_open(points):
    operator = learned(grid=Grid.line(points), seed=0)
    found = certify(operator, data_for(operator))
    orders = [*found["observed_order"].values, float(found["observed_order_u_t"])]
    for order in orders:
        assert math.isnan(order) or abs(order - 6) < 0.2
    assert points > 32 or not any(map(math.isnan, orders))


@pytest.mark.parametrize("points", [4, 5])
def test_the_coarsest_grids_are_certified(points):
    operator = learned(grid=Grid.line(points), width=4)
    found = certify(operator, data_for(operator))
    assert float(found["observed_order_u_t"]) >= 0.9


def test_a_blow_up_is_part_of_the_certificate():
    operator = learned(seed=0)
    data = data_for(operator).assign_coords(time=10.0 * np.arange(5))
    with np.errstate(all="ignore"):
        found = certify(operator, data, step=10.0)
    assert found["blow_up"].all()
    assert np.isinf(found["relative_l2"]).all()


def test_the_lipschitz_bound_is_the_product_of_the_layers_constants():
    operator = LearnedStencil(Burgers(NU), GRID, network=MLP(4, 4))
    with torch.no_grad():
        for layer, size in zip(
            list(operator.network)[::2], (2.0, 3.0, 0.5), strict=True
        ):
            layer.weight.zero_()
            layer.weight[1, 2] = -size
    # SiLU is steepest where z tanh(z / 2) = 2.
    z = 2.3993572805
    sigmoid = 1 / (1 + math.exp(-z))
    steepest = sigmoid * (1 + z * (1 - sigmoid))
    bound = lipschitz_bound(operator)
    assert bound >= 3.0 * steepest**2
    assert bound == pytest.approx(3.0 * steepest**2, rel=1e-5)


def test_a_network_of_ones_own_has_no_lipschitz_bound():
    operator = LearnedStencil(
        Burgers(NU), GRID, network=torch.nn.Linear(6, 9, dtype=torch.float64)
    )
    found = certify(operator, data_for(operator))
    assert math.isnan(float(found["lipschitz_bound"]))
    assert (found["lipschitz"] > 0).all()


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("form", [CentralFlux, UpwindFlux])
def test_promises_hold_for_random_weights(order, form):
    operator = learned(form=form, constraint=NullSpace(order=order))
    found = certify(operator, data_for(operator))
    assert (found["moment_residual"] <= 1e-12).all()
    assert (found["mean_drift"] <= 1e-12).all()
    assert (found["observed_order"] >= order - 0.1).all()
    assert float(found["observed_order_u_t"]) >= order - 0.1


@pytest.mark.parametrize("equation", [Burgers(NU), Advection(1.0)])
def test_operators_of_point_values_are_certified(equation):
    operator = learned(equation=equation, form=Convective, width=5)
    found = certify(operator, data_for(operator), integrator=RK4)
    assert (found["observed_order"] >= 0.9).all()
    assert list(found["derivative"].values) == list(operator.form.requires)


def test_a_certificate_tells_of_an_operator_that_is_not_consistent():
    operator = learned(constraint=Unconstrained())
    found = certify(operator, data_for(operator))
    assert (found["moment_residual"] > 1e-2).all()
    assert float(found["observed_order_u_t"]) < 0.5


def test_side_conditions_show_in_the_symbols():
    free = learned(seed=3)
    side = Dissipation(1, at=0.5, wavenumbers=32)
    held = learned(
        seed=3, constraint={"u": Convex(), "u_x": Convex(side_conditions=(side,))}
    )
    for one in (free, held):
        randomize(one, 3, scale=2.0)
    share = [
        float(certify(one, data_for(one))["reversed_share"].sel(derivative="u_x"))
        for one in (free, held)
    ]
    assert share[0] > 0
    assert share[1] == 0


def test_the_lipschitz_estimate_is_the_largest_local_slope():
    operator = learned(scale=0.5)
    data = data_for(operator, growth=1.0)
    found = certify(operator, data)
    estimate = found["lipschitz"].max().item()
    assert 0 < estimate <= float(found["lipschitz_bound"])
    u = torch.tensor(data["u"].values[:, 0])
    steepest = 0.0
    with torch.no_grad():
        before = operator.dimensionless(u)["u"]
        for cell in range(16):
            moved = u.clone()
            moved[:, cell] += 1e-6
            change = (operator.dimensionless(moved)["u"] - before).norm(dim=-1)
            steepest = max(steepest, float(change.max()) / 1e-6 * operator.scale)
    of_u = float(found["lipschitz"].sel(derivative="u"))
    assert steepest <= of_u * (1 + 1e-4)
    assert steepest >= of_u / math.sqrt(6)


def test_eigenvalues_are_those_of_finite_differences():
    operator = learned()
    u = smooth_field(GRID, samples=2)
    jacobian = operator.jacobian(u)
    with torch.no_grad():
        for cell in (0, 5):
            moved = u.clone()
            moved[:, cell] += 1e-6
            column = (operator(moved) - operator(u)) / 1e-6
            torch.testing.assert_close(
                jacobian[:, :, cell], column, rtol=1e-4, atol=1e-4
            )
    found = certify(operator, data_for(operator, growth=1.0))
    fastest = torch.linalg.eigvals(jacobian).real.max().item()
    assert float(found["growth_rate"]) == pytest.approx(fastest)


def test_rollouts_of_a_certificate_are_those_of_the_solver():
    operator = learned()
    data = data_for(operator)
    found = certify(operator, data, step=0.005)
    assert float(found["step"]) == pytest.approx(0.005)
    forcing = RandomForcing.sample(2, modes=3, wavenumbers=(1,), seed=0)
    force = forcing.on(GRID, averages=True)
    u = torch.tensor(data["u"].values)
    times = torch.tensor(data["time"].values)
    with torch.no_grad():
        followed = rollout(operator, u[:, 0], times, force, steps=2)
    error = (followed - u).norm(dim=(1, 2)) / u.norm(dim=(1, 2))
    np.testing.assert_allclose(found["relative_l2"], error, rtol=1e-10)


def test_certifying_changes_nothing_of_the_operator():
    operator = learned(dtype=torch.float32)
    before = [weights.clone() for weights in operator.parameters()]
    certify(operator, data_for(operator))
    for one, other in zip(operator.parameters(), before, strict=True):
        assert torch.equal(one, other)
        assert one.dtype == other.dtype
        assert one.grad is None


def test_data_of_another_kind_or_grid_are_refused():
    operator = learned()
    with pytest.raises(ValueError, match="give the other kind"):
        certify(operator, data_for(learned(form=Convective, width=5)))
    with pytest.raises(ValueError, match="give data on its grid"):
        certify(operator, data_for(learned(grid=Grid.line(32))))


@pytest.mark.parametrize("name", CLASSICAL)
def test_every_classical_method_is_certified(name):
    method = CLASSICAL[name].build(Burgers(NU), Grid.line(24))
    found = certify(method, data_for(method))
    assert not found["blow_up"].any()
    assert (found["mean_drift"] <= 1e-12).all()
    assert 0 < float(found["stable_step"]) < math.inf
    assert found["eigenvalue_real"].shape == (10, 24)
    for absent in ("lipschitz", "lipschitz_bound", "moment_residual"):
        assert absent not in found
    certificate_table(found)
    certificate_figure(found)
    stencils = isinstance(method, StencilMethod)
    assert ("modified_wavenumber" in found) == ("observed_order" in found) == stencils
    assert ("observed_order_u_t" in found) == (method.element == 1)


@pytest.mark.parametrize("order", [2, 4, 6])
@pytest.mark.parametrize("equation", [Burgers(NU), FisherKPP(0.3, 0.7)])
def test_finite_differences_have_their_order_and_their_symbols(order, equation):
    method = FiniteDifference(equation, GRID, order=order)
    found = certify(method, data_for(method))
    np.testing.assert_allclose(found["observed_order"], order, atol=0.1)
    # Two Gauss points average a source to fourth order only.
    whole = min(order, 4) if equation.has_source else order
    assert float(found["observed_order_u_t"]) == pytest.approx(whole, abs=0.25)
    second = found["modified_wavenumber"].sel(derivative="u_x")
    s = 4 * np.sin(found["k_dx"].values / 2) ** 2
    # k**2 dx**2 = s + s**2 / 12 + s**3 / 90 + ..., cut off (Fornberg 1988).
    expected = (s, s + s**2 / 12, s + s**2 / 12 + s**3 / 90)[order // 2 - 1]
    for quantile in found["quantile"]:
        parts = second.sel(quantile=quantile)
        np.testing.assert_allclose(parts.isel(part=0), expected, rtol=1e-12)
        np.testing.assert_allclose(parts.isel(part=1), 0, atol=1e-13)


@pytest.mark.parametrize("weights", ["Z", "JS"])
@pytest.mark.parametrize("points", [6, 16])
def test_weno_about_constants_is_the_upwind_scheme_of_fifth_order(weights, points):
    grid = Grid.line(points)
    method = Weno(Advection(1.0), grid, weights=weights)
    data = data_for(method)
    data["u"] = xr.full_like(data["u"], 0.5)
    found = certify(method, data, integrator=SSPRK3, step=0.01)
    upwind = FiniteDifference(Advection(1.0), grid, order=5)
    linear = certify(upwind, data, integrator=SSPRK3, step=0.01)
    for name in ("modified_wavenumber", "stable_step", "stable_step_of_data"):
        xr.testing.assert_allclose(found[name], linear[name], atol=1e-10)
    # The Courant number of WENO5 under SSPRK3: Wang and Spiteri (2007), Table 5.1,
    # doi:10.1137/050637868.
    courant = float(found["stable_step"]) / grid.spacing[-1]
    if points == 16:
        assert courant == pytest.approx(1.43, abs=0.02)


def test_linearized_stencils_act_like_the_method_on_small_changes():
    grid = Grid.line(20)
    method = Weno(Burgers(NU), grid)
    u = 1.5 + smooth_field(grid, samples=2)
    change = 1e-6 * smooth_field(grid, samples=2, seed=5)
    moved = [method.derivatives(u + sign * change) for sign in (1, -1)]
    for name, frozen in frozen_stencils(method, u).items():
        cells = (frozen.offsets + frozen.derivative.at).round().long().tolist()
        near = torch.stack([change.roll(-cell, -1) for cell in cells], dim=-1)
        # One row of stencils per point, with one stencil per state.
        stencils = frozen.coefficients.reshape(20, 2, -1).transpose(0, 1)
        predicted = (stencils * near).sum(-1) / grid.spacing[-1] ** (
            frozen.derivative.order
        )
        actual = (moved[0][name] - moved[1][name]) / 2
        torch.testing.assert_close(predicted, actual, rtol=1e-4, atol=1e-10)


@pytest.mark.parametrize("name", ["ETDRK4", "IFRK4", "ARS443", "RK4"])
def test_a_certificate_takes_every_integrator(name):
    method = FiniteDifference(KortewegDeVries(), GRID)
    found = certify(method, data_for(method), integrator=INTEGRATORS[name])
    explicit = name == "RK4"
    assert ("stable_step_of_data" in found) == ("amplification" in found) == explicit
    assert float(found["step"]) <= float(found["stable_step"]) / 2
    assert not found["blow_up"].any()
    assert "largest stable" in printed(found)
    certificate_figure(found)


def test_the_rollouts_of_a_certificate_use_its_integrator():
    method = FiniteDifference(KortewegDeVries(), GRID)
    data = data_for(method)
    errors = [
        certify(method, data, integrator=integrator, step=0.005)["relative_l2"].values
        for integrator in (INTEGRATORS["ETDRK4"], RK4)
    ]
    assert not np.array_equal(*errors)
    np.testing.assert_allclose(*errors, rtol=1e-2)


def test_discretizations_of_ones_own_are_certified():
    class Damping(Discretization):
        """`u_t = -u`, whatever the equation."""

        def __init__(self, equation, grid):
            super().__init__(equation, grid, averages=False)

        def forward(self, u):
            return -u

    method = Damping(Burgers(0.0), GRID)
    found = certify(method, data_for(method), integrator=Euler)
    assert "derivative" not in found.coords
    assert float(found["stable_step"]) == pytest.approx(2, rel=1e-3)
    assert float(found["growth_rate"]) == pytest.approx(-1)
    # It does not solve its equation.
    assert float(found["observed_order_u_t"]) == pytest.approx(0, abs=0.1)


def test_certifying_leaves_parameters_of_the_equation_alone():
    viscosity = torch.nn.Parameter(torch.tensor(NU, dtype=torch.float32))
    method = FiniteDifference(Burgers(viscosity), GRID).float()
    certify(method, data_for(method))
    assert method.equation.viscosity is viscosity
    assert viscosity.dtype == torch.float32


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certified")
    config = generated(folder)
    train(config, folder)
    return folder


def test_a_training_leaves_the_certificate_of_its_best_weights(run):
    stored = verify(run / "operator.zarr")
    operator, _ = load_operator(run / "operator.zarr")
    data = verify(run / "data/validation/averages-16.zarr")
    step = float(stored["step"])
    xr.testing.assert_identical(
        stored.drop_attrs(deep=False),
        certify(operator, data, step=step).drop_attrs(deep=False),
    )
    assert stored.attrs["data_hash"] == data.attrs["content_hash"]


def test_other_data_certify_anew(run):
    test = verify(run / "operator.zarr", data=run / "data/test/averages-16.zarr")
    stored = verify(run / "operator.zarr")
    assert test.attrs["data_hash"] != stored.attrs["data_hash"]
    assert not np.array_equal(test["relative_l2"], stored["relative_l2"])
    assert float(test["observed_order_u_t"]) != float(stored["observed_order_u_t"])
    with pytest.raises(ValueError, match="learned at the spacing"):
        verify(run / "operator.zarr", data=run / "data/test/averages-32.zarr")
    with pytest.raises(ValueError, match="Only an operator"):
        verify(
            run / "data/test/averages-32.zarr", data=run / "data/test/averages-32.zarr"
        )


def test_an_operator_of_an_older_schema_asks_to_be_trained_again(tmp_path):
    path = save_operator(learned(), tmp_path / "old.zarr")
    zarr.open_group(path).attrs["schema"] = "stencilnet.operator/1"
    message = r"'stencilnet\.operator/1' instead of 'stencilnet\.operator/3'.*train"
    with pytest.raises(ValueError, match=message):
        verify(path)


def test_a_certificate_that_was_tampered_with_is_noticed(run):
    group = zarr.open_group(run / "operator.zarr" / "certificate")
    before = group["moment_residual"][...]
    group["moment_residual"][...] = 0.0
    with pytest.raises(ValueError, match="does not match its checksum"):
        verify(run / "operator.zarr")
    group["moment_residual"][...] = before
    verify(run / "operator.zarr")
