"""Everything moves with `.to()`, and says so where something was left behind.

Tensors on torch's device "meta" have no values, but meeting one of another device they
fail as those of a graphics card do. Where there is a card, the values are compared too.
"""

import dataclasses

import numpy as np
import pytest
import torch
from helpers import smooth_field

from stencilnet import (
    ETDRK4,
    RK4,
    SSPRK3,
    Burgers,
    CentralFlux,
    Convective,
    Grid,
    LearnedStencil,
    RandomForcing,
    UpwindFlux,
    rollout,
)
from stencilnet.discretizations import CLASSICAL
from stencilnet.forcing import SampledForcing
from stencilnet.solver import ARS222, ARS443, ETDRK4B, IFRK4
from stencilnet.stencils import Projection, Soft
from stencilnet.study.devices import as_device
from stencilnet.study.windows import Trajectories, window_loss

CARDS = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
CARDS += ["mps"] * torch.backends.mps.is_available()
DEVICES = ["meta", *CARDS]
# Elements of degree 1, 2, 3 and 7 fit.
GRID = Grid.line(24)
TIMES = torch.tensor([0.0, 0.01], dtype=torch.float64)
WAVES = RandomForcing.sample(2, modes=3, wavenumbers=(1, 2), seed=0)


def check(method, device, *, integrator=SSPRK3, averages=True, forcing=WAVES):
    """A rollout on a device, which has the values that it has on the processor."""
    dtype = torch.float32 if device == "mps" else torch.float64
    u0 = smooth_field(method.grid, samples=2)

    def solved(place):
        force = forcing.to(place, dtype).on(method.grid, averages=averages)
        with torch.no_grad():
            return rollout(
                method.to(place, dtype),
                u0.to(place, dtype),
                TIMES,
                force,
                integrator=integrator,
            )

    here = solved("cpu")
    there = solved(device)
    assert there.device.type == torch.device(device).type
    assert (there.shape, there.dtype) == (here.shape, here.dtype)
    if device != "meta":
        torch.testing.assert_close(there.cpu(), here, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", sorted(CLASSICAL))
def test_classical_methods_move_with_all_that_they_hold(name, device):
    method = CLASSICAL[name].build(Burgers(torch.tensor(0.1).double()), GRID)
    check(method, device, averages=method.averages)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("form", [CentralFlux, UpwindFlux, Convective])
@pytest.mark.parametrize("constraint", [Projection(), Soft()])
def test_learned_stencils_move_with_all_that_they_hold(form, constraint, device):
    viscosity = torch.tensor([[0.1], [0.2]], dtype=torch.float64)
    method = LearnedStencil(
        Burgers(viscosity), GRID, form=form, constraint=constraint, mirror=True
    )
    check(method, device, averages=form.averages)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    "integrator", [RK4, ETDRK4, ETDRK4B, IFRK4, ARS222, ARS443], ids=repr
)
def test_integrators_leave_nothing_behind(integrator, device):
    if device == "mps":
        pytest.skip("no complex numbers of double precision there")
    method = CLASSICAL["central_4"].build(Burgers(0.1), GRID)
    check(method, device, integrator=integrator)


@pytest.mark.parametrize("device", DEVICES)
def test_sampled_forcing_moves_with_its_times(device):
    if device == "mps":
        pytest.skip("no double precision there")
    forcing = SampledForcing(TIMES, np.ones((2, 2, 24)), averages=True)
    check(CLASSICAL["weno_z"].build(Burgers(0.1), GRID), device, forcing=forcing)


@pytest.mark.parametrize("device", DEVICES)
def test_a_training_step_leaves_nothing_behind(device):
    dtype = torch.float32 if device == "mps" else torch.float64
    u = smooth_field(GRID, samples=2).unsqueeze(1).expand(-1, 5, -1).to(dtype)
    times = torch.arange(5, dtype=torch.float64) * 0.01
    known = Trajectories(u, times, GRID, WAVES, True)
    moved = dataclasses.replace(known, forcing=WAVES.to(dtype=dtype)).to(device)
    operator = LearnedStencil(Burgers(0.1), GRID, dtype=dtype).to(device)
    window = moved.windows(np.random.default_rng(0), 3, 2)
    loss = window_loss(operator, window, integrator=SSPRK3, substeps=1, backward=0.5)
    loss.backward()
    assert loss.device.type == torch.device(device).type
    for parameter in operator.parameters():
        assert parameter.grad.device == parameter.device


def test_what_was_left_on_another_device_is_named():
    method = CLASSICAL["weno_z"].build(Burgers(0.1), GRID)
    u = smooth_field(GRID, samples=2).to("meta")
    with pytest.raises(ValueError, match="forcing is on cpu and the state on meta"):
        rollout(method, u, TIMES, WAVES.on(GRID, averages=True))


def test_a_device_that_is_not_there_is_refused():
    assert as_device("cpu") == torch.device("cpu")
    with pytest.raises(ValueError, match="There is no device 'cuda:99' here"):
        as_device("cuda:99")
    with pytest.raises(ValueError, match="'gpu' is no device of torch"):
        as_device("gpu")
