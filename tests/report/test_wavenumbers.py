"""Learned and classical methods beside each other, whatever their forms."""

import pytest
import torch
from typer.testing import CliRunner

from stencilnet import (
    Burgers,
    Grid,
    LearnedStencil,
    save_operator,
    write_trajectories,
)
from stencilnet.cli.app import app
from stencilnet.report import modified_wavenumbers
from stencilnet.storage import trajectories
from stencilnet.study import certify_beside

GRID, BURGERS = Grid.line(16), Burgers(0.1)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    x = GRID.points()
    waves = torch.stack([x.sin(), (2 * x).cos()]).expand(1, 2, 16)
    data = trajectories(waves, [0.0, 0.05], GRID, averages=True, equation=BURGERS)
    folder = tmp_path_factory.mktemp("waves")
    save_operator(LearnedStencil(BURGERS, GRID), folder / "operator.zarr")
    return write_trajectories(data, folder / "data.zarr")


def test_central_and_upwind_forms_share_the_state_at_the_face(store):
    others = certify_beside(["weno_z", "central_4"], store)
    figure = modified_wavenumbers(others)
    labels = [axis.get_ylabel() for axis in figure.axes]
    # The state at the face, the left one of WENO, and the slope there.
    assert len(figure.axes) == 4
    assert "u_{x}" in labels[2]
    for axis in figure.axes[::2]:
        names = axis.get_legend_handles_labels()[1]
        assert len(names) == len({*names}) == 3


def test_verify_draws_classical_methods_beside_an_operator(store, tmp_path):
    operator, figure = store.parent / "operator.zarr", tmp_path / "certificate"
    command = ["verify", str(operator), "--quiet", "--beside", "weno_z"]
    run = CliRunner().invoke(
        app, [*command, "--data", str(store), "--figure", str(figure)]
    )
    assert run.exit_code == 0, run.output
    assert (tmp_path / "certificate-wavenumbers.png").exists()
    run = CliRunner().invoke(app, command)
    assert isinstance(run.exception, ValueError)
    assert "needs --data and --figure" in str(run.exception)


def test_methods_that_are_none_are_named(store):
    with pytest.raises(ValueError, match="no classical method 'weno', did you mean"):
        certify_beside(["weno"], store)
    with pytest.raises(ValueError, match="holds cell averages|holds point values"):
        certify_beside(["spectral"], store)
