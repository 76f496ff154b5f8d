"""Mirror images and moving frames solve the same equation."""

import math

import pytest
import torch
from studies import small

from stencilnet import Grid, RandomForcing, generate, read_trajectories
from stencilnet.study import problem_of, reference_solution, store_path
from stencilnet.study.transformations import boosted_forcing, mirrored_forcing

GRID = Grid.line(128)
WAVES = {
    "initial": {"name": "RandomWaves", "amplitude": 0.6},
    "warm_up": 0.0,
    "duration": 1.0,
}


def solution(**problem):
    """Modes of the small study's test trajectories, and their times."""
    config = small(problem={**WAVES, **problem})
    posed = problem_of(config, "test")
    states = [u for u, _ in reference_solution(posed, GRID, courant=0.1)]
    return torch.stack(states, dim=1), posed.times


@pytest.fixture(scope="module")
def plain():
    return solution()


def test_the_mirror_image_is_the_solution_of_the_mirrored_problem(plain):
    modes, _ = plain
    mirrored, _ = solution(mirrored=True)
    # -u(-x) of a real field: its modes are conjugate and negative.
    torch.testing.assert_close(mirrored, -modes.conj(), atol=1e-11, rtol=0)


@pytest.mark.parametrize("speed", [-0.7, 0.28])
def test_a_moving_frame_sees_the_solution_of_the_boosted_problem(plain, speed):
    modes, times = plain
    k = torch.arange(modes.shape[-1])
    shift = torch.exp(-1j * k * speed * times.unsqueeze(-1))
    expected = modes * shift
    expected[..., 0] += speed
    boosted, _ = solution(boost=speed)
    torch.testing.assert_close(boosted, expected, atol=1e-8, rtol=0)
    # The test has teeth: without the transformation the two differ.
    assert float((boosted - modes)[..., 1:].abs().max()) > 1e-2


def test_both_at_once_are_the_mirror_image_in_a_moving_frame(plain):
    modes, times = plain
    k = torch.arange(modes.shape[-1])
    expected = -modes.conj() * torch.exp(-0.5j * k * times.unsqueeze(-1))
    expected[..., 0] += 0.5
    both, _ = solution(mirrored=True, boost=0.5)
    torch.testing.assert_close(both, expected, atol=1e-8, rtol=0)


def test_forcings_are_transformed_at_every_time():
    forcing = RandomForcing.sample(3, wavenumbers=(0, 1, 5), seed=2)
    grid = Grid.line(32, 4 * math.pi)
    plain, mirrored = forcing.on(grid), mirrored_forcing(forcing).on(grid)
    image = -plain(0.7).flip(-1).roll(1, -1)
    torch.testing.assert_close(mirrored(0.7), image)
    # A time in which the frame moves by three cells.
    moved = boosted_forcing(forcing, 0.4, grid.extent[-1]).on(grid)
    t = 3 * grid.spacing[-1] / 0.4
    torch.testing.assert_close(moved(t), plain(t).roll(3, -1))


def test_stored_averages_are_those_of_the_transformed_solution(tmp_path):
    data = {}
    for name, changes in {"plain": {}, "mirrored": {"mirrored": True}}.items():
        generate(small(problem=changes), tmp_path / name)
        path = store_path(tmp_path / name, "test", 16, averages=True)
        data[name] = read_trajectories(path)["u"].values
    image = -data["plain"][..., (-torch.arange(16)).numpy() % 16]
    assert abs(data["mirrored"] - image).max() < 1e-12


@pytest.mark.parametrize(
    ("equation", "changes", "message"),
    [
        ({"name": "KortewegDeVries"}, {"mirrored": True}, "mirror image"),
        ({"name": "FisherKPP"}, {"mirrored": True}, "mirror image"),
        ({"name": "FisherKPP"}, {"boost": 0.1}, "moving frame"),
        ({"name": "KortewegDeVries"}, {"boost": 0.1}, "moving frame"),
    ],
)
def test_equations_without_the_symmetry_are_refused(equation, changes, message):
    config = small(problem={"equation": equation, **changes})
    with pytest.raises(ValueError, match=message):
        problem_of(config, "test")


def test_kuramoto_sivashinsky_has_both_symmetries():
    equation = {"name": "KuramotoSivashinsky"}
    problem_of(
        small(problem={"equation": equation, "mirrored": True, "boost": 0.3}), "test"
    )
