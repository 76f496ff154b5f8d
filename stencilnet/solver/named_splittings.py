"""Splittings by name: from the literature, and optimized for forced Burgers' equation.

Those of more drifts take longer steps, and fewer drifts a unit of time for the same
error. `python simulations/splittings.py` finds them.
"""

import math

from stencilnet.solver.splittings import Splitting

STRANG = Splitting((1.0,), (0.5, 0.5), (0.0, 0.0), (0.0, 0.0))
"""Second order, one drift (Strang 1968, doi:10.1137/0705041).

Example:
    >>> from stencilnet.solver import STRANG
    >>> STRANG.drifts, STRANG.kicks, STRANG.order
    ((1.0,), (0.5, 0.5), 2)
"""

CHIN_4A = Splitting.symmetric((), (), (0.0,))
"""Two drifts, the gradient in the middle (Chin 1997, Eq. 25).

Example:
    >>> from stencilnet.solver import CHIN_4A
    >>> [round(6 * v, 9) for v in CHIN_4A.kicks]  # Simpson's rule
    [1.0, 4.0, 1.0]
    >>> [round(72 * g, 9) for g in CHIN_4A.gradients]
    [0.0, 1.0, 0.0]
"""

CHIN_4B = Splitting(
    (0.5 - math.sqrt(3) / 6, math.sqrt(3) / 3, 0.5 - math.sqrt(3) / 6),
    (0.0, 0.5, 0.5, 0.0),
    (0.0, (2 - math.sqrt(3)) / 48, (2 - math.sqrt(3)) / 48, 0.0),
    (0.0, 0.0, 0.0, 0.0),
)
"""Three drifts, kicks at Gauss' points (Chin 1997, Eq. 26).

Example:
    >>> from stencilnet.solver import CHIN_4B
    >>> [round(t, 4) for t in CHIN_4B.times], CHIN_4B.kicks
    ([0.0, 0.2113, 0.7887, 1.0], (0.0, 0.5, 0.5, 0.0))
"""

THREE_DRIFTS = Splitting.symmetric((0.28727,), (), (-0.07144,), (-1.317e-4, 2.0936e-4))
"""Three drifts, optimized on P1 for steps of 0.4; the default.

Example:
    >>> from stencilnet import Burgers, Grid, RandomForcing, rollout
    >>> from stencilnet.discretizations import WenoParabola
    >>> from stencilnet.solver import STRANG, THREE_DRIFTS, ColeHopf
    >>> picture = WenoParabola(Burgers(viscosity=0.1), Grid.line(32))
    >>> f = RandomForcing.sample(1, seed=0).on(picture.grid, averages=True)
    >>> errors = []
    >>> for splitting in (THREE_DRIFTS, STRANG):
    ...     exact = ColeHopf(splitting)
    ...     one, four = (
    ...         rollout(picture, 0 * f(0.0), [0, 1.6], f, integrator=exact, steps=steps)
    ...         for steps in (1, 4)
    ...     )
    ...     errors.append(float((one - four).abs().max()))
    ...
    >>> errors[0] < 0.1 * errors[1]
    True
"""

FOUR_DRIFTS = Splitting.symmetric(
    (0.18895,), (0.05911,), (-0.03094, 0.33337), (-8.93e-6, 3.041e-5, -1.92e-6)
)
"""Four drifts, optimized on P1 for steps of 8/15: the least error per drift.

Example:
    >>> from stencilnet import Burgers, Grid, RandomForcing, rollout
    >>> from stencilnet.discretizations import WenoParabola
    >>> from stencilnet.solver import FOUR_DRIFTS, ColeHopf
    >>> picture = WenoParabola(Burgers(viscosity=0.1), Grid.line(32))
    >>> f = RandomForcing.sample(1, seed=0).on(picture.grid, averages=True)
    >>> exact = ColeHopf(FOUR_DRIFTS)
    >>> one, four = (
    ...     rollout(picture, 0 * f(0.0), [0, 2], f, integrator=exact, steps=steps)
    ...     for steps in (1, 4)
    ... )
    >>> bool((one - four).abs().max() < 1e-3)
    True
"""

FOUR_LONG_DRIFTS = Splitting.symmetric(
    (0.1874,), (0.05821,), (-0.01, 0.31066), (-2.61e-6, -8.39e-6, 1.765e-5)
)
"""Four drifts, optimized on P2 for steps of 1.6.

Example:
    >>> from stencilnet import Burgers, Grid, RandomForcing, rollout
    >>> from stencilnet.discretizations import WenoParabola
    >>> from stencilnet.solver import FOUR_LONG_DRIFTS, ColeHopf
    >>> picture = WenoParabola(Burgers(viscosity=0.1), Grid.line(32))
    >>> f = RandomForcing.sample(1, seed=0).on(picture.grid, averages=True)
    >>> exact = ColeHopf(FOUR_LONG_DRIFTS)
    >>> one, four = (
    ...     rollout(picture, 0 * f(0.0), [0, 1.6], f, integrator=exact, steps=steps)
    ...     for steps in (1, 4)
    ... )
    >>> bool((one - four).abs().max() < 1e-3)
    True
"""

FIVE_DRIFTS = Splitting.symmetric(
    (0.1329, 0.23496),
    (0.04084,),
    (-0.00549, 0.17022),
    (-1.65e-6, 5.0e-7, 2.2e-6),
)
"""Five drifts, optimized on P2 for steps of 2.

Example:
    >>> from stencilnet import Burgers, Grid, RandomForcing, rollout
    >>> from stencilnet.discretizations import WenoParabola
    >>> from stencilnet.solver import FIVE_DRIFTS, THREE_DRIFTS, ColeHopf
    >>> picture = WenoParabola(Burgers(viscosity=0.1), Grid.line(32))
    >>> f = RandomForcing.sample(1, seed=0).on(picture.grid, averages=True)
    >>> errors = []
    >>> for splitting in (FIVE_DRIFTS, THREE_DRIFTS):
    ...     exact = ColeHopf(splitting)
    ...     one, four = (
    ...         rollout(picture, 0 * f(0.0), [0, 4], f, integrator=exact, steps=steps)
    ...         for steps in (1, 4)
    ...     )
    ...     errors.append(float((one - four).abs().max()))
    ...
    >>> errors[0] < 0.1 * errors[1]
    True
"""

SIX_DRIFTS = Splitting.symmetric(
    (0.12679, 0.18014),
    (0.04104, 0.1777),
    (-0.04501, 0.2831, 0.06824),
    (1.5e-7, 3.096e-6, -1.139e-6, 3.4e-6),
)
"""Six drifts, optimized on P1 for steps of 1: the fewest drifts a unit.

Example:
    >>> from stencilnet import Burgers, Grid, RandomForcing, rollout
    >>> from stencilnet.discretizations import HybridParabola
    >>> from stencilnet.solver import SIX_DRIFTS, THREE_DRIFTS, ColeHopf
    >>> picture = HybridParabola(Burgers(viscosity=0.1), Grid.line(32))
    >>> f = RandomForcing.sample(1, seed=0).on(picture.grid, averages=True)
    >>> errors = []
    >>> for splitting, steps in ((SIX_DRIFTS, 1), (THREE_DRIFTS, 2)):
    ...     exact = ColeHopf(splitting)
    ...     few, many = (
    ...         rollout(picture, 0 * f(0.0), [0, 4], f, integrator=exact, steps=n)
    ...         for n in (steps, 4 * steps)
    ...     )
    ...     errors.append(float((few - many).abs().max()))
    ...
    >>> errors[0] < 0.5 * errors[1]  # of as many drifts
    True
"""

SIX_LONG_DRIFTS = Splitting.symmetric(
    (0.11126, 0.18294),
    (0.03514, 0.16241),
    (-0.0176, 0.16417, 0.19273),
    (-1.94e-7, 3.37e-7, -7.01e-7, 2.65e-6),
)
"""Six drifts, optimized on P2 for steps of 2.8.

Example:
    >>> from stencilnet import Burgers, Grid, RandomForcing, rollout
    >>> from stencilnet.discretizations import WenoParabola
    >>> from stencilnet.solver import SIX_LONG_DRIFTS, ColeHopf
    >>> picture = WenoParabola(Burgers(viscosity=0.1), Grid.line(32))
    >>> f = RandomForcing.sample(1, seed=0).on(picture.grid, averages=True)
    >>> exact = ColeHopf(SIX_LONG_DRIFTS)
    >>> one, four = (
    ...     rollout(picture, 0 * f(0.0), [0, 3], f, integrator=exact, steps=steps)
    ...     for steps in (1, 4)
    ... )
    >>> bool((one - four).abs().max() < 1e-3)
    True
"""
