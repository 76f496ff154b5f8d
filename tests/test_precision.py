"""Stencils and reconstructions keep their precision under modes that round products."""

import contextlib

import pytest
import torch
from helpers import randomize, smooth_field
from torch.utils._python_dispatch import TorchDispatchMode

from stencilnet import (
    Burgers,
    Convex,
    DiscontinuousGalerkin,
    Grid,
    LearnedStencil,
    NullSpace,
    PseudoSpectral,
    RandomForcing,
    Weno,
    rollout,
)
from stencilnet.discretizations import SplitGalerkin
from stencilnet.stencils import (
    MomentConditions,
    NullSpaceLayer,
    Projection,
    Soft,
    Unconstrained,
    in_full_precision,
)

GRID = Grid.line(32)
OFFSETS = [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0]


@contextlib.contextmanager
def reduced(setting):
    """Autocast, or a lower precision of float32 products on CPU and cards."""
    if setting == "autocast":
        with torch.autocast("cpu", torch.bfloat16):
            yield
        return
    former = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(former)


class Products(TorchDispatchMode):
    """Records the dtype of every matrix product, which processors round differently."""

    def __init__(self):
        super().__init__()
        self.dtypes = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket._qualified_op_name.split("::")[1] in (
            "mm",
            "bmm",
            "addmm",
            "baddbmm",
            "mv",
            "addmv",
            "dot",
        ):
            self.dtypes |= {arg.dtype for arg in args if isinstance(arg, torch.Tensor)}
        return func(*args, **(kwargs or {}))


CONSTRAINTS = [NullSpace(), Projection(), Soft(), Convex(), Unconstrained()]


@pytest.mark.parametrize("setting", ["autocast", "medium"])
@pytest.mark.parametrize("constraint", CONSTRAINTS, ids=lambda value: value.kind)
def test_coefficients_are_those_without_the_mode(constraint, setting, generator):
    layer = constraint.layer(OFFSETS, 1).float()
    raw = torch.randn(20, layer.inputs, generator=generator)
    raw.requires_grad_()
    expected = layer(raw)
    (slope,) = torch.autograd.grad(expected.square().sum(), raw)
    with reduced(setting), Products() as products:
        coefficients = layer(raw)
        (reduced_slope,) = torch.autograd.grad(coefficients.square().sum(), raw)
    assert coefficients.dtype == torch.float32
    assert products.dtypes <= {torch.float64}
    torch.testing.assert_close(coefficients, expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(reduced_slope, slope, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("planes", [False, True])
def test_raw_numbers_of_an_autocast_network_make_consistent_stencils(planes, generator):
    layer = NullSpaceLayer(MomentConditions(OFFSETS, 1, 2)).float()
    raw = torch.randn(20, layer.inputs, generator=generator).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        if planes:
            coefficients = torch.stack(list(layer.planes(raw.unbind(-1))), dim=-1)
        else:
            coefficients = layer(raw)
    assert coefficients.dtype == torch.float32
    assert layer.residual(coefficients).max() < 1e-5
    # Without autocast the precision of the raw numbers is the caller's choice.
    assert layer.bfloat16()(raw).dtype == torch.bfloat16


def test_a_learned_operator_keeps_its_moments_under_autocast():
    operator = LearnedStencil(Burgers(0.1), GRID, dtype=torch.float32)
    randomize(operator)
    u = smooth_field(GRID).float()
    with torch.autocast("cpu", torch.bfloat16):
        assert operator(u).dtype == torch.float32
        assert operator.moment_residual(u) < 1e-5


METHODS = [
    Weno(Burgers(0.1), GRID),
    DiscontinuousGalerkin(Burgers(0.1), GRID, degree=3),
    SplitGalerkin(Burgers(0.1), GRID, degree=3),
    PseudoSpectral(Burgers(0.1), GRID),
]


@pytest.mark.parametrize("setting", ["autocast", "medium"])
@pytest.mark.parametrize("method", METHODS, ids=lambda value: type(value).__name__)
def test_rollouts_are_those_without_the_mode(method, setting):
    method = method.on(GRID).float()
    u0, times = smooth_field(GRID).float(), torch.tensor([0.0, 0.02, 0.04])
    forcing = RandomForcing.sample(3, seed=0).to(dtype=torch.float32)
    force = forcing.on(GRID, averages=method.averages)
    expected = rollout(method, u0, times, force)
    with reduced(setting), Products() as products:
        u = rollout(method, u0, times, force)
    assert products.dtypes <= {torch.float64}
    torch.testing.assert_close(u, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("setting", ["autocast", "medium"])
def test_the_spectrum_of_a_forcing_is_that_without_the_mode(setting):
    forcing = RandomForcing.sample(3, seed=0).to(dtype=torch.float32)
    expected = forcing.spectrum(32)(0.7)
    with reduced(setting):
        spectrum = forcing.spectrum(32)(0.7)
    torch.testing.assert_close(spectrum, expected, rtol=1e-6, atol=1e-7)


def test_the_precision_of_residuals_is_that_of_the_coefficients(generator):
    conditions = MomentConditions(OFFSETS, 1, 2)
    coefficients = torch.randn(5, 7, generator=generator)
    expected = conditions.residual(coefficients)
    with torch.autocast("cpu", torch.bfloat16):
        residual = conditions.residual(coefficients)
    torch.testing.assert_close(residual, expected, rtol=1e-6, atol=1e-6)


def test_products_stay_as_they_are_without_such_a_mode(generator):
    a = torch.randn(4, 4, generator=generator)
    with Products() as products:
        in_full_precision(torch.matmul, a, a)
    assert products.dtypes == {torch.float32}


@pytest.mark.parametrize("level", ["fp32_precision", "mkldnn.fp32_precision"])
def test_settings_of_every_level_count(level, generator):
    """A general setting holds where no more specific one does."""
    *path, name = level.split(".")
    place = torch.backends
    for part in path:
        place = getattr(place, part)
    former = torch.backends.mkldnn.matmul.fp32_precision
    a = torch.randn(4, 4, generator=generator)
    general = getattr(place, name)
    try:
        torch.backends.mkldnn.matmul.fp32_precision = "none"
        setattr(place, name, "bf16" if path else "tf32")
        with Products() as products:
            in_full_precision(torch.matmul, a, a)
    finally:
        setattr(place, name, general)
        torch.backends.mkldnn.matmul.fp32_precision = former
    assert products.dtypes == {torch.float64}
