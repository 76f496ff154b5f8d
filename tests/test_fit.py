"""Training as a function: any data, network, loss, optimizer, forcing, parameters."""

import numpy as np
import pytest
import torch
from torch import nn

from stencilnet import (
    MLP,
    Burgers,
    Grid,
    LearnedStencil,
    RandomForcing,
    fit,
    load_operator,
    rollout,
    save_operator,
)
from stencilnet.discretizations import FiniteDifference
from stencilnet.equations import CentralFlux
from stencilnet.solver import Euler
from stencilnet.storage import trajectories

GRID = Grid.line(16)
TIMES = torch.arange(7, dtype=torch.float64) * 0.1
QUICK = {"batch": 4, "horizon": (1, 2), "substeps": 2, "validate_every": 5}


def data(viscosity=0.1, forcing=None, samples=3):
    """Trajectories of the scheme that a learned stencil starts as."""
    scheme = FiniteDifference(Burgers(viscosity), GRID, form=CentralFlux)
    phases = torch.arange(samples).double().unsqueeze(-1)
    u0 = 0.5 * (GRID.points() + phases).sin()
    force = None if forcing is None else forcing.on(GRID, averages=True)
    u = rollout(scheme, u0, TIMES, force, steps=2)
    return trajectories(u, TIMES, GRID, forcing, averages=True)


def operator(viscosity=0.1, **settings):
    return LearnedStencil(Burgers(viscosity), GRID, scale=0.4, **settings)


class Own(nn.Module):
    """A network of a user."""

    def __init__(self, width=8):
        super().__init__()
        self.inner, self.out = nn.Linear(6, width), nn.Linear(width, 9)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        self.double()

    def forward(self, window):
        return self.out(self.inner(window).tanh())


class Other(Own):
    """Another one."""


def test_a_wrong_viscosity_is_made_up_for_and_the_best_weights_are_kept():
    learned, known = operator(0.3), data()
    history = fit(learned, known, iterations=20, **QUICK)
    errors = history["validation_relative_l2"]
    assert errors.min() < 0.9 * errors[0]
    force = None
    u = rollout(learned, torch.tensor(known["u"].values[:, 0]), TIMES, force, steps=2)
    truth = torch.tensor(known["u"].values)
    error = ((u - truth).norm(dim=(1, 2)) / truth.norm(dim=(1, 2))).mean()
    assert float(error.detach()) == pytest.approx(errors.min(), rel=1e-6)
    assert history["horizon"].tolist() == [1] * 10 + [2] * 10


def test_viscosity_and_forcing_are_learned_beside_the_weights():
    waves = RandomForcing.sample(3, modes=1, amplitude=0.5, seed=1)
    known = data(0.1, waves)
    viscosity = nn.Parameter(torch.tensor([0.2], dtype=torch.float64))
    guess = nn.Parameter(torch.zeros_like(waves.amplitude))
    free = RandomForcing(guess, waves.frequency, waves.wavenumber, waves.phase)
    learned = operator(viscosity)
    for parameter in learned.network.parameters():
        parameter.requires_grad_(False)
    fit(
        learned,
        known,
        iterations=40,
        forcing=free,
        parameters=[guess],
        learning_rate=0.05,
        **{**QUICK, "batch": 8, "horizon": 2, "validate_every": 40},
    )
    assert float(learned.equation.viscosity.detach()) == pytest.approx(0.1, rel=0.25)
    error = (guess - waves.amplitude).detach().norm() / waves.amplitude.norm()
    assert float(error) < 0.3


def test_own_network_loss_optimizer_and_callbacks_are_used(tmp_path):
    seen, losses = [], []

    def loss(u, reference):
        losses.append(tuple(u.shape))
        return (u - reference).abs().mean()

    def watch(numbers):
        seen.append(numbers)
        return numbers["update"] == 3

    learned = operator(0.3, network=Own())
    made = []

    def optimizer(parameters):
        made.append(torch.optim.SGD(parameters, lr=0.5))
        return made[0]

    history = fit(
        learned, data(), loss=loss, optimizer=optimizer, callbacks=[watch], **QUICK
    )
    assert losses == [(4, 1, 16)] * 3
    assert [numbers["update"] for numbers in seen] == [1, 2, 3]
    assert all(isinstance(v, int | float) for n in seen for v in n.values())
    assert set(history["learning_rate"]) == {0.5}
    assert len(history["validation_relative_l2"]) == 1
    rates = fit(
        learned, data(), iterations=2, schedule=lambda i: 1e-3 / (i + 1), **QUICK
    )
    assert rates["learning_rate"].tolist() == [1e-3, 5e-4]

    path = save_operator(learned, tmp_path / "own.zarr")
    again, _ = load_operator(path, network=Own())
    u = torch.tensor(data()["u"].values[:, 0])
    assert torch.equal(again(u), learned(u))
    with pytest.raises(ValueError, match="of the class 'Own', not 'Other'"):
        load_operator(path, network=Other())
    with pytest.raises(ValueError, match="no weights 'network.inner.weight'"):
        load_operator(path, network=Own(4))
    with pytest.raises(ValueError, match="'Own' is not one of the package's"):
        load_operator(path)


def test_the_same_seed_gives_the_same_weights():
    ends = []
    for seed in (0, 0, 1):
        learned = operator(0.3)
        fit(learned, data(), iterations=3, seed=seed, **QUICK)
        ends.append(next(learned.network.parameters()).detach().clone())
    assert torch.equal(ends[0], ends[1])
    assert not torch.equal(ends[0], ends[2])


def test_point_values_are_converted_where_they_are_resolved():
    learned = operator(0.3)
    u = 0.01 * (GRID.points() + TIMES[:, None]).sin()
    fit(learned, trajectories(u, TIMES, GRID), iterations=1, **QUICK)
    rough = data()
    rough["u"] = rough["u"] * 0 + np.sign(np.sin(7 * GRID.points().numpy()))
    rough["u"].attrs["averages"] = 0
    with pytest.raises(ValueError, match="do not follow from the reference's point"):
        fit(learned, rough, iterations=1, **QUICK)


def test_what_does_not_fit_is_refused():
    def refused(words, **settings):
        with pytest.raises(ValueError, match=words):
            fit(operator(), data(), **{**QUICK, "iterations": 1, **settings})

    refused("must be a whole number of at least 1, not 0", iterations=0)
    refused("A loss returns one number", loss=lambda u, known: u - known)
    refused("There is no device 'cuda:99' here: take one of cpu", device="cuda:99")
    refused("'gpu' is no device of torch", device="gpu")
    with pytest.raises(ValueError, match="the data on 8 points over"):
        u = torch.zeros(1, 7, 8).double()
        fit(operator(), trajectories(u, TIMES, Grid.line(8), averages=True))
    with pytest.raises(FloatingPointError, match="lower learning_rate"):
        nan = {"loss": lambda u, known: (u - known).mean() * float("nan")}
        fit(operator(), data(), iterations=1, **QUICK, **nan)


def test_averages_of_the_weights_are_what_is_kept():
    learned, decay, seen = operator(0.3), 0.7, []

    def watch(_numbers):
        seen.append([p.detach().clone() for p in learned.parameters()])

    settings = {**QUICK, "validate_every": 8}
    fit(learned, data(), iterations=8, averaging=decay, callbacks=[watch], **settings)
    expected = seen[0]
    for update, weights in enumerate(seen, start=1):
        share = 1 - min(decay, update / (update + 9))
        expected = [
            (1 - share) * known + share * weight
            for known, weight in zip(expected, weights, strict=True)
        ]
    for parameter, mean, last in zip(
        learned.parameters(), expected, seen[-1], strict=True
    ):
        torch.testing.assert_close(parameter.detach(), mean, rtol=1e-12, atol=1e-15)
        assert not torch.equal(parameter.detach(), last)
    with pytest.raises(ValueError, match=r"averaging must be in \[0, 1\), not 1"):
        fit(operator(), data(), iterations=1, averaging=1.0, **QUICK)


@pytest.mark.long(seconds=50)
@pytest.mark.filterwarnings("ignore:`torch.jit", "ignore:The .grad attribute")
def test_compiled_updates_are_those_of_eager_ones_to_rounding(unchecked_types):
    # Few stages and kinds of steps: the gradients of each take a compiler its time.
    short = {"horizon": 2, "substeps": 1, "integrator": Euler}
    settings = {**QUICK, **short, "iterations": 3}
    losses = [
        fit(operator(0.3, network=MLP(4)), data(), compile=compiled, **settings)["loss"]
        for compiled in (False, True)
    ]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-6)
