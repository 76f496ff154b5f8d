import math
import shutil

import numpy as np
import pytest
import torch
from studies import generated, small

from stencilnet import (
    MLP,
    Burgers,
    Convective,
    FiniteDifference,
    Grid,
    LearnedStencil,
    PseudoSpectral,
    UpwindFlux,
    Weno,
    compare,
    read_trajectories,
    save_operator,
    train,
)
from stencilnet.report import markdown_table, summarize
from stencilnet.solver import INTEGRATORS
from stencilnet.study.comparison import compare_study
from stencilnet.study.generation import store_path
from stencilnet.study.kinds import in_kind


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare")
    train(generated(folder), folder)
    return folder


@pytest.fixture(scope="module")
def reference(run):
    return read_trajectories(store_path(run, "test", 16, averages=True))


@pytest.fixture(scope="module")
def comparison(run):
    (result,) = compare_study(small(), run)
    return result


def test_a_study_compares_every_method(comparison):
    names = ["learned", "weno_z", "central_2", "spectral"]
    assert comparison["scheme"].values.tolist() == names
    assert (comparison["relative_l2"] < 0.5).all()
    assert not comparison["blow_up"].any()


def test_metrics_are_their_definitions(comparison):
    for name in comparison["scheme"].values:
        of = comparison.sel(scheme=name)
        difference = (of["u"] - of["reference"]).values
        reference = of["reference"].values
        norm = np.linalg.norm(difference, axis=(1, 2))
        np.testing.assert_allclose(
            of["relative_l2"], norm / np.linalg.norm(reference, axis=(1, 2))
        )
        np.testing.assert_allclose(
            of["mean_absolute_error"], np.abs(difference).mean((1, 2))
        )
        np.testing.assert_allclose(
            of["error"],
            np.linalg.norm(difference, axis=2) / np.linalg.norm(reference, axis=2),
        )
        energy = np.abs(np.fft.rfft(of["u"].values) / 16) ** 2
        np.testing.assert_allclose(of["spectrum"], energy.mean((0, 1)), atol=1e-30)


def test_the_metrics_of_a_comparison_are_columns(comparison):
    header, _, first, *_ = markdown_table([comparison]).splitlines()
    headings = [cell.strip() for cell in header.strip("|").split("|")]
    assert headings == [
        "method", "points", "dt", "rel. L2", "spread", "worst", "floor", "MAE",
        "valid t", "drift", "blow-ups",
    ]  # fmt: skip
    assert first.startswith("| learned | 16 | ")
    assert first.endswith(" | 0/2 |")
    row = summarize([comparison])[0]
    learned = comparison.sel(scheme="learned")
    assert row["relative_l2"] == float(learned["relative_l2"].mean())
    assert row["worst"] == float(learned["relative_l2"].max())
    assert row["mean_drift"] == float(learned["mean_drift"].max())
    assert row["step"] == float(learned["step"])


def test_flux_forms_do_not_drift(comparison):
    for name in ("learned", "weno_z", "central_2"):
        assert float(comparison["mean_drift"].sel(scheme=name).max()) < 1e-12


def test_methods_are_compared_with_what_they_hold(comparison, run):
    values = read_trajectories(store_path(run, "test", 16, averages=False))
    averages = read_trajectories(store_path(run, "test", 16, averages=True))
    np.testing.assert_array_equal(
        comparison["reference"].sel(scheme="spectral"), values["u"]
    )
    np.testing.assert_array_equal(
        comparison["reference"].sel(scheme="weno_z"), averages["u"]
    )


@pytest.mark.parametrize("safety", [0.5, 0.05])
def test_classical_methods_take_the_largest_equal_steps_that_are_safe(
    reference, safety
):
    grid = Grid.line(16)
    methods = {
        "weno": Weno(Burgers(0.1), grid),
        "central": FiniteDifference(Burgers(0.1), grid),
    }
    result = compare(methods, reference, safety=safety)
    for name in methods:
        step, limit = (
            float(result[key].sel(scheme=name)) for key in ("step", "stable_step")
        )
        assert round(0.1 / step) == math.ceil(0.1 / (safety * limit))
    assert (safety == 0.5) == (result["step"] > 0.09).all()


def test_a_blow_up_is_counted_as_a_failure(reference):
    grid = Grid.line(16)
    methods = {
        "good": Weno(Burgers(0.1), grid),
        # Viscosity of this size makes the step given far too long.
        "bad": FiniteDifference(Burgers(1e9), grid, order=2),
    }
    with pytest.warns(UserWarning, match="exceeds the stability limit"):
        result = compare(methods, reference, steps={"bad": 0.1})
    assert result["blow_up"].sel(scheme="bad").all()
    assert not result["blow_up"].sel(scheme="good").any()
    assert np.isinf(result["relative_l2"].sel(scheme="bad")).all()
    assert (result["valid_time"].sel(scheme="bad") < 0.5).all()
    assert np.isinf(result["mean_drift"].sel(scheme="bad")).all()
    good, bad = summarize([result])
    assert (good["blow_ups"], bad["blow_ups"], bad["samples"]) == (0, 2, 2)
    assert bad["relative_l2"] == bad["spread"] == math.inf


def test_valid_time_ends_at_the_first_error_above_the_threshold(reference):
    grid = Grid.line(16)
    methods = {"crude": FiniteDifference(Burgers(0.1), grid, order=1, form=UpwindFlux)}
    result = compare(methods, reference, threshold=0.02)
    for sample in range(2):
        error = result["error"].values[0, sample]
        first = int(np.argmax(error > 0.02))
        assert 0 < first < 10
        assert float(result["valid_time"][0, sample]) == pytest.approx(first * 0.1)


def test_an_exact_method_has_no_error(run):
    values = read_trajectories(store_path(run, "test", 16, averages=False))
    still = values.copy(deep=True)
    still["u"][...] = 0.7
    still["forcing_amplitude"][...] = 0.0
    method = PseudoSpectral(Burgers(0.1), Grid.line(16))
    result = compare({"spectral": method}, still)
    assert float(result["relative_l2"].max()) < 1e-14
    assert (result["valid_time"] == 1.0).all()


def test_a_float32_operator_is_compared_unchanged(reference):
    operator = LearnedStencil(
        Burgers(0.1), Grid.line(16), network=MLP(8), dtype=torch.float32
    )
    before = {name: value.clone() for name, value in operator.state_dict().items()}
    compare({"learned": operator}, reference)
    assert operator.dtype == torch.float32
    for name, value in operator.state_dict().items():
        assert value.dtype == before[name].dtype
        assert torch.equal(value, before[name])


def test_comparisons_that_make_no_sense_are_refused(reference, run):
    with pytest.raises(ValueError, match="nothing to compare"):
        compare({}, reference)
    elsewhere = {"weno": Weno(Burgers(0.1), Grid.line(32))}
    with pytest.raises(ValueError, match="use one grid"):
        compare(elsewhere, reference)
    points = {"spectral": PseudoSpectral(Burgers(0.1), Grid.line(16))}
    with pytest.raises(ValueError, match="holds point values"):
        compare(points, reference)
    other = read_trajectories(store_path(run, "test", 16, averages=False))
    other["forcing_phase"] = other["forcing_phase"] + 1
    with pytest.raises(ValueError, match="differ in forcing_phase"):
        compare(points, reference, values=other)
    with pytest.raises(ValueError, match="no method 'weno', did you mean 'weno_z'"):
        compare_study(small(comparison={"methods": ["weno"]}), run)
    finer = {"methods": ["weno_z"], "points": [32]}
    with pytest.raises(ValueError, match=r"add its grid to comparison\.points"):
        compare_study(small(comparison=finer), run)


def test_an_operator_is_compared_on_a_longer_domain_too(run, tmp_path):
    longer = {"length": 4 * math.pi}
    sections = {
        "problem": longer,
        "forcing": {"wavenumbers": [2, 4]},
        "reference": {"points": 128},
        "data": {"averages": [32], "values": []},
        "comparison": {"points": [32], "methods": ["weno_z"]},
    }
    config = generated(tmp_path, **sections)
    (result,) = compare_study(config, tmp_path, operator=run / "operator.zarr")
    assert result.attrs["points"] == 32
    assert float(result["relative_l2"].sel(scheme="learned").max()) < 0.5


def test_kinds_meet_where_the_grid_resolves_the_solution(run):
    values = read_trajectories(store_path(run, "test", 16, averages=False))
    averages = read_trajectories(store_path(run, "test", 16, averages=True))
    for dataset, other in ((values, averages), (averages, values)):
        with pytest.raises(ValueError, match="do not resolve them: generate both"):
            in_kind("m", bool(other["u"].attrs["averages"]), dataset)
    grid, k = Grid.line(16), 2.0
    x = grid.points()
    wave = torch.sin(k * x).expand(2, 11, -1)
    values["u"][...] = wave.numpy()
    damping = float(torch.sinc(torch.tensor(k * grid.spacing[-1] / (2 * math.pi))))
    converted = in_kind("m", True, values)
    torch.testing.assert_close(converted, wave * damping)
    averages["u"][...] = converted.numpy()
    torch.testing.assert_close(in_kind("m", False, averages), wave)


def test_only_the_kinds_that_methods_hold_are_read(run, tmp_path):
    source, target = (
        store_path(folder, "test", 16, averages=False) for folder in (run, tmp_path)
    )
    shutil.copytree(source, target)
    config = small(
        comparison={"methods": ["spectral"]}, operator={"form": "Convective"}
    )
    operator = LearnedStencil(Burgers(0.1), Grid.line(16), form=Convective)
    save_operator(operator, tmp_path / "operator.zarr")
    (result,) = compare_study(config, tmp_path)
    assert list(result["scheme"].values) == ["learned", "spectral"]


@pytest.fixture(scope="module")
def explicit(reference):
    """Finite differences with steps so short that their error does not count."""
    method = FiniteDifference(Burgers(0.1), Grid.line(16), order=4)
    return compare({"method": method}, reference, steps={"method": 0.002})


@pytest.mark.parametrize("integrator", ["ETDRK4", "IFRK4", "ARS443"])
def test_exponential_integrators_take_part(reference, explicit, integrator):
    method = FiniteDifference(Burgers(0.1), Grid.line(16), order=4)
    integrators = {"method": INTEGRATORS[integrator]}
    chosen = compare({"method": method}, reference, integrators=integrators)
    fixed = compare(
        {"method": method}, reference, integrators=integrators, steps={"method": 0.01}
    )
    assert float(fixed["step"].item()) == pytest.approx(0.01)
    difference = np.abs(fixed["u"] - explicit["u"]).max()
    assert float(difference) < 1e-5
    assert float(np.abs(chosen["u"] - explicit["u"]).max()) < 5e-3
