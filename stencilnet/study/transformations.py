"""Exact transformations of a problem: its mirror image, and frames that move.

Both turn a solution of Burgers' equation into another one, under another forcing:

    mirror image      u'(x, t) = -u(-x, t),        f'(x, t) = -f(-x, t)
    Galilean boost    u'(x, t) = u(x - c t, t) + c,  f'(x, t) = f(x - c t, t)

They transform initial states and forcings. What a grid holds of a solution that it does
not resolve cannot be moved by parts of a cell, so the reference of a transformed
problem is solved anew, and its cell averages are exact.
"""

import dataclasses
import math

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.equations import Equation, has_mirror_symmetry
from stencilnet.forcing import RandomForcing
from stencilnet.grid import Grid
from stencilnet.study.initial import States


def mirrored_states(states: States) -> States:
    """The mirror image `-u(-x)` of initial states, exact on any grid."""

    def mirrored(grid: Grid) -> Float[Tensor, "*samples x"]:
        # The point at 0 is its own image.
        return -states(grid).flip(-1).roll(1, -1)

    return mirrored


def boosted_states(states: States, speed: float) -> States:
    """Initial states `u + speed`, as a moving frame sees them at time 0."""
    return lambda grid: states(grid) + speed


def mirrored_forcing(forcing: RandomForcing) -> RandomForcing:
    """The mirror image `-f(-x, t)` of a forcing.

    As `-sin(w t - k x + phi) = sin(-w t + k x - phi)`, frequencies and phases change
    their signs and wavenumbers stay.
    """
    return dataclasses.replace(
        forcing, frequency=-forcing.frequency, phase=-forcing.phase
    )


def boosted_forcing(
    forcing: RandomForcing, speed: float, period: float
) -> RandomForcing:
    """The forcing `f(x - speed t, t)`: frequencies `w - k speed`, `k = 2 pi l / L`.

    Args:
        forcing: on a clock that starts at the initial state.
        speed: of the frame, in units of `u`.
        period: `L` of the domain.
    """
    k = forcing.wavenumber * (2 * math.pi / period)
    return dataclasses.replace(forcing, frequency=forcing.frequency - speed * k)


def check_symmetries(equation: Equation, *, mirrored: bool, boost: float) -> None:
    """Raises unless transformed solutions of an equation are solutions again.

    A mirror image needs an even flux, even derivatives and an odd source; a boost by
    `c` needs `F'(u + c) = F'(u) + c`, and no term that depends on `u` itself.

    Raises:
        ValueError: naming the equation and the key of the config.
    """
    name = type(equation).__name__
    v = torch.linspace(-1.5, 2.0, 8, dtype=torch.float64)
    orders = equation.linear()
    if mirrored and not has_mirror_symmetry(equation):
        raise ValueError(
            f"The mirror image of a solution of {name} is none: set problem.mirrored "
            f"to false."
        )
    if boost and not (
        0 not in orders
        and not equation.has_source
        and equation.has_flux
        and equation.has_speed
        and _equal(equation.speed(v + boost), equation.speed(v) + boost)
    ):
        raise ValueError(
            f"A solution of {name} in a moving frame, u + c, is none: set "
            f"problem.boost to 0."
        )


def _equal(first: Tensor, second: Tensor) -> bool:
    return bool(torch.allclose(first, second, rtol=1e-9, atol=1e-12))
