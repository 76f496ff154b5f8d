"""Blow-ups and the mirror image of long rollouts."""

import math

import torch

from stencilnet import Burgers, Grid, RandomForcing
from stencilnet.discretizations import WenoParabola
from stencilnet.study.endurance import endurance


def test_blow_ups_are_counted_and_the_mirror_image_is_the_solution():
    picture = WenoParabola(Burgers(0.1), Grid.line(16))
    forcing = RandomForcing.sample(3, amplitude=0.5, wavenumbers=(1, 2), seed=0)
    blown, mirror = endurance(picture, forcing, until=14)
    assert blown == 0
    assert mirror < 1e-11
    assert endurance(Broken(picture.equation, picture.grid), forcing, until=14)[0] == 1


class Broken(WenoParabola):
    """A picture that knows nothing of the second sample."""

    def parabola(self, u):
        branch = super().parabola(u)
        spoilt = torch.ones_like(u)
        spoilt[..., 1:2, :] = math.nan
        return branch._replace(curvature=spoilt * branch.curvature)


class Lopsided(WenoParabola):
    """A picture that leans to one side."""

    def parabola(self, u):
        branch = super().parabola(u)
        return branch._replace(curvature=branch.curvature + 0.1)


def test_what_is_not_symmetric_shows():
    picture = Lopsided(Burgers(0.1), Grid.line(16))
    forcing = RandomForcing.sample(1, amplitude=0.5, wavenumbers=(1, 2), seed=0)
    assert endurance(picture, forcing, until=14)[1] > 1e-4
