"""What objects show of themselves fits a screen and says what matters."""

import numpy as np
import pytest
import torch
from studies import small

import stencilnet
from stencilnet import (
    MLP,
    Burgers,
    Grid,
    LearnedStencil,
    RandomForcing,
    Weno,
    load_config,
    load_operator,
)
from stencilnet.denoising.signals import Denoised
from stencilnet.display import LIMIT, Displayed, brief
from stencilnet.solver import INTEGRATORS
from stencilnet.study.loading import built_in_configs

GRID = Grid.line(64)
FORCING = RandomForcing.sample(16, seed=0)
OBJECTS = {
    "grid": (GRID, ["64", "6.28318"]),
    "forcing": (FORCING, ["(16, 20)", "amplitude"]),
    "forcing on a grid": (FORCING.on(GRID, averages=True), ["averages"]),
    "stencil": (
        LearnedStencil(Burgers(0.02), GRID, network=MLP(32, 32), scale=1.5),
        ["Burgers(viscosity=0.02)", "64", "NullSpace", "order", "CentralFlux", "1.5"],
    ),
    "many samples": (
        LearnedStencil(Burgers(torch.ones(4000, 1).double()), GRID),
        ["Burgers"],
    ),
    "weno": (Weno(Burgers(0.02), GRID), ["Burgers", "64"]),
    "picture": (load_operator("burgers")[0], ["Burgers", "order"]),
    "stored": (load_operator("burgers")[1], ["picture", "numbers", "history"]),
    "denoised": (
        Denoised(np.linspace(0, 1, 900), np.zeros(1), np.ones(1), np.ones(1)),
        ["(900,)"],
    ),
    **{name: (load_config(name), [name]) for name in built_in_configs()},
    **{name: (integrator, []) for name, integrator in INTEGRATORS.items()},
}


@pytest.mark.parametrize("name", OBJECTS)
def test_an_object_shows_what_matters_on_one_screen(name):
    value, words = OBJECTS[name]
    for text in (repr(value), str(value)):
        assert len(text) <= LIMIT
    assert all(word in repr(value) for word in words), repr(value)
    if isinstance(value, Displayed | stencilnet.Config):
        page = value._repr_html_()
        assert len(page) <= LIMIT
        assert page.count("<table>") == page.count("</table>")


def test_arrays_are_told_by_shape_and_range():
    assert brief(np.arange(6.0).reshape(2, 3)) == "float64 array (2, 3) from 0 to 5"
    blown_up = torch.tensor([[0.5, torch.nan], [torch.nan, 2.0]])
    assert brief(blown_up) == "float32 array (2, 2) from 0.5 to 2, 2 NaN"
    assert brief(blown_up[:, 1:].isnan()) == "bool array (2, 1) from 0 to 1"
    assert brief(np.full(3, np.nan)) == "float64 array (3,), all NaN"
    assert brief(torch.zeros(0)) == "float32 array (0,)"
    assert brief(torch.tensor(0.1)) == "0.1"
    assert brief("x" * 500).endswith("...")


def test_a_config_shows_what_differs_from_the_defaults():
    text = repr(small(training={"batch": 4, "clip": 1.0}))
    assert "batch: 4" in text
    assert "clip" not in text
