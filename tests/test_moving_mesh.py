"""Cells that follow the solution of Burgers' equation."""

import math

import pytest
import torch
from helpers import observed_order, smooth_field

from stencilnet import Burgers, Grid, RandomForcing, rollout
from stencilnet.discretizations import MovingMesh, WenoParabola, classical
from stencilnet.equations import Advection
from stencilnet.equations.exact import DecayingWave
from stencilnet.solver import SSPRK3, ColeHopf, substeps_within


def solved(mesh, u0, until, *, share=0.8, t=0.0):
    """States at the start and at the end."""
    start = mesh.start(u0, t)
    steps = substeps_within(until, share * mesh.stable_step(start))
    times = torch.tensor([t, t + until], dtype=torch.float64)
    with torch.no_grad():
        u = rollout(mesh, start, times, integrator=SSPRK3, steps=steps)
    return u[..., 0, :], u[..., 1, :]


def test_the_solution_of_cole_and_hopf_is_reached_with_third_order():
    wave = DecayingWave(0.1)

    def error(points):
        grid = Grid.line(points)
        mesh = MovingMesh(Burgers(wave.viscosity), grid, compression=3.0)
        _, end = solved(mesh, wave.averages(Grid.line(15 * points), 0.0), 0.4)
        return float((mesh.averages(end) - wave.averages(grid, 0.4)).abs().mean())

    assert error(48) < 1e-5
    assert 2.5 < observed_order(error, (24, 48)) < 4.5


def forced(samples=2):
    """A mesh, fine averages, and the averages on the mesh's grid a while later."""
    equation, grid, fine = Burgers(0.02), Grid.line(48), Grid.line(432)
    forcing = RandomForcing.sample(samples, amplitude=0.3, wavenumbers=(1, 2), seed=1)
    u0 = 2 * smooth_field(fine, samples=samples)
    exact = rollout(
        WenoParabola(equation, fine),
        u0,
        torch.tensor([0.3, 1.5], dtype=torch.float64),
        forcing.on(fine, averages=True),
        integrator=ColeHopf(),
        steps=6,
    )[:, -1]
    # Nine fine cells make up one, about the same point.
    later = exact.roll(4, -1).unflatten(-1, (48, 9)).mean(-1)
    return MovingMesh(equation, grid, forcing), u0, later, forcing


def test_forced_shocks_are_sharper_than_on_as_many_fixed_cells():
    mesh, u0, later, forcing = forced()
    _, end = solved(mesh, u0, 1.2, t=0.3)
    error = float((mesh.averages(end) - later).norm() / later.norm())
    fixed = rollout(
        classical("weno_z", mesh.equation, mesh.grid),
        u0.roll(4, -1).unflatten(-1, (48, 9)).mean(-1),
        torch.tensor([0.3, 1.5], dtype=torch.float64),
        forcing.on(mesh.grid, averages=True),
        steps=60,
    )[:, -1]
    assert error < 0.02
    assert error < 0.6 * float((fixed - later).norm() / later.norm())
    width = mesh.cells(end)[0].width
    assert float(width.amin()) < 0.3 * mesh.grid.spacing[-1]
    assert float(width.amin()) > 0


def test_the_integral_is_conserved_on_the_mesh_and_on_the_grid():
    mesh, u0, _, _ = forced()
    start, end = solved(mesh, u0 + 0.4, 0.2)
    before, after = (mesh.averages(state).mean(-1) for state in (start, end))
    torch.testing.assert_close(before, (u0 + 0.4).mean(-1), atol=1e-12, rtol=0)
    torch.testing.assert_close(after, before, atol=1e-12, rtol=0)
    torch.testing.assert_close(end[:, -1], torch.full_like(end[:, -1], 0.2))


def test_a_constant_stays_one_on_any_mesh(generator):
    mesh = MovingMesh(Burgers(0.02), Grid.line(16))
    width = 0.5 + torch.rand(16, generator=generator, dtype=torch.float64)
    width = width * (mesh.grid.extent[-1] / width.sum())
    state = torch.cat([0.7 * width, width.cumsum(-1) - width, torch.zeros(1)])
    times = torch.tensor([0.0, 0.1], dtype=torch.float64)
    end = rollout(mesh, state, times, integrator=SSPRK3, steps=40)[-1]
    cells, _ = mesh.cells(end)
    torch.testing.assert_close(cells.u, torch.full_like(cells.u, 0.7))
    assert float((cells.width - width).abs().max()) > 0.01
    torch.testing.assert_close(mesh.averages(end), cells.u)


def test_a_moving_frame_sees_the_same_solution():
    equation, grid, shift = Burgers(0.05), Grid.line(24), 0.5
    fine = Grid.line(9 * 24)
    u0 = smooth_field(fine, samples=1)[0]
    period = grid.spacing[-1] * 8
    ends = []
    for boost in (0.0, shift):
        mesh = MovingMesh(equation, grid)
        _, end = solved(mesh, u0 + boost, period / shift, share=0.5)
        ends.append(mesh.averages(end))
    torch.testing.assert_close(ends[1], ends[0].roll(8, -1) + shift, atol=2e-5, rtol=0)


class TestRefusals:
    def test_another_equation(self):
        with pytest.raises(TypeError, match="solves Burgers' equation, not Advection"):
            MovingMesh(Advection(1.0), Grid.line(16))

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"share": 1.0}, r"lies in \[0, 1\), not 1"),
            ({"power": 0.0}, "power must be positive"),
            ({"compression": math.nan}, "compression must be positive"),
            ({"relaxation": -1.0}, "relaxation must be positive"),
            ({"smoothing": -1.0}, "must not be negative"),
        ],
    )
    def test_numbers_out_of_range(self, settings, message):
        with pytest.raises(ValueError, match=message):
            MovingMesh(Burgers(0.1), Grid.line(16), **settings)
