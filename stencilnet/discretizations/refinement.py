"""Orders that a method shows on smooth fields as its grid is refined."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from stencilnet.discretizations.base import Discretization
from stencilnet.discretizations.stencil_method import StencilMethod
from stencilnet.equations import FORMS, Manufactured
from stencilnet.grid import Grid
from stencilnet.stencils import Derivative

_FIELDS = 4
_SMOOTH_MODES = 3
# Errors below this many times the points to the power of the derivative are rounding.
_ROUNDING = 5e-14


@dataclass(frozen=True)
class Refinement:
    """Errors of a method on smooth fields, from its own grid to ever finer ones.

    Attributes:
        spacings: `dx` of the grids, decreasing.
        errors: largest error on each grid relative to the largest value, for each
            derivative that the method supplies, by name, and for `u_t`.
        orders: slope between the two finest neighbours with errors above rounding, NaN
            if there are none.

    Example:
        >>> import math
        >>> from stencilnet import Burgers, FiniteDifference, Grid
        >>> from stencilnet.discretizations import Refinement, refine
        >>> method = FiniteDifference(Burgers(viscosity=0.02), Grid.line(32), order=2)
        >>> measured: Refinement = refine(method, size=1.0, levels=2)
        >>> [round(measured.spacings[0] / dx) for dx in measured.spacings]
        [1, 2, 4]
        >>> error = measured.errors["u_t"]
        >>> [round(math.log2(error[k] / error[k + 1])) for k in (0, 1)]
        [2, 2]
    """

    spacings: tuple[float, ...]
    errors: Mapping[str, list[float]]
    orders: Mapping[str, float]


def refine(method: Discretization, size: float, *, levels: int = 5) -> Refinement:
    """Measures a method on smooth fields while its grid is halved `levels` times.

    These are the largest errors of the right-hand side. They show a lower order than
    errors of the solution where that is the more accurate: at extremes of the field for
    limited and weighted reconstructions, everywhere for discontinuous elements.

    Args:
        method: in float64.
        size: standard deviation of the fields, sums of the three longest waves.
        levels: number of refinements.

    Example:
        >>> from stencilnet import Burgers, FiniteDifference, Grid
        >>> from stencilnet.discretizations import refine
        >>> method = FiniteDifference(Burgers(viscosity=0.02), Grid.line(32), order=4)
        >>> orders = refine(method, size=1.0, levels=2).orders
        >>> {name: round(order) for name, order in orders.items()}
        {'u': 4, 'u_x': 4, 'u_t': 4}
    """
    grid = method.grid
    grid.require_periodic("Refinements, which are measured of waves,")
    waves = _random_waves(min(_SMOOTH_MODES, (grid.shape[-1] - 1) // 2), size)
    requires = method.form.requires if isinstance(method, StencilMethod) else {}
    powers = {
        name: derivative.order + int(abs(derivative.at) == 0.5)
        for name, derivative in requires.items()
    }
    powers["u_t"] = max([1, *powers.values(), *method.equation.linear()])
    sizes = [grid.shape[-1] * 2**level for level in range(levels + 1)]
    errors: dict[str, list[float]] = {name: [] for name in powers}
    for points in sizes:
        fine = Grid((points,), grid.extent)
        for name, error in _errors(method.on(fine), waves).items():
            errors[name].append(error)
    return Refinement(
        tuple(grid.extent[-1] / points for points in sizes),
        errors,
        {
            name: _order(
                values, [_ROUNDING * points ** powers[name] for points in sizes]
            )
            for name, values in errors.items()
        },
    )


def _random_waves(modes: int, size: float) -> Complex[Tensor, "field mode"]:
    """Amplitudes `w_m` of `Re sum_m w_m exp(i k_m x)` with a given deviation."""
    generator = torch.Generator().manual_seed(0)
    shape = (_FIELDS, max(1, modes), 2)
    draw = torch.randn(shape, generator=generator, dtype=torch.float64)
    waves = torch.view_as_complex(draw)
    return waves * (size * math.sqrt(2) / waves.abs().square().sum(-1, True).sqrt())


def _errors(method: Discretization, waves: Tensor) -> dict[str, float]:
    """Errors of derivatives and of `u_t` on one grid."""
    grid, averages = method.grid, method.averages
    u = _evaluate(waves, grid, Derivative(0), averages=averages)
    pairs: dict[str, tuple[Tensor, Tensor]] = {}
    with torch.no_grad():
        if isinstance(method, StencilMethod):
            supplied = method.derivatives(u)
            exact = {
                name: _evaluate(waves, grid, derivative)
                for name, derivative in method.form.requires.items()
            }
            pairs = {name: (supplied[name], exact[name]) for name in exact}
        if (
            isinstance(method, StencilMethod)
            and type(method.form) not in FORMS.values()
        ):
            # What a form of the user's own solves, only the form knows.
            rate = method.form.time_derivative(u, exact, grid)
        else:
            rate = _exact_rate(method, waves)
        pairs["u_t"] = (method(u), rate)
    return {
        name: float((values - truth).abs().max() / truth.abs().max())
        for name, (values, truth) in pairs.items()
    }


def _exact_rate(method: Discretization, waves: Tensor) -> Float[Tensor, "field x"]:
    """`u_t` of the waves, as the method holds it."""
    k = tuple(method.grid.wavenumbers()[1 : waves.shape[-1] + 1].tolist())
    return torch.stack(
        [
            Manufactured(
                mean=0.0,
                amplitudes=tuple(field.abs().tolist()),
                wavenumbers=k,
                frequencies=(0.0,) * len(k),
                # A cosine is a sine a quarter of a period ahead.
                phases=tuple((field.angle() + math.pi / 2).tolist()),
            ).right_hand_side(
                method.equation, method.grid, 0.0, averages=method.averages
            )
            for field in waves
        ]
    )


def _evaluate(
    waves: Complex[Tensor, "field mode"],
    grid: Grid,
    derivative: Derivative,
    *,
    averages: bool = False,
) -> Float[Tensor, "field x"]:
    """A derivative of `Re sum_m w_m exp(i k_m x)`, `k_m` the lowest wavenumbers."""
    k = grid.wavenumbers()[1 : waves.shape[-1] + 1]
    x = grid.points() + derivative.at * grid.spacing[-1]
    factors = waves * (1j * k) ** derivative.order
    if averages:
        factors = factors * torch.sinc(k * grid.spacing[-1] / (2 * math.pi))
    return (factors @ torch.exp(1j * k.unsqueeze(-1) * x)).real


def _order(errors: list[float], floors: list[float]) -> float:
    """Slope between the two finest neighbours with errors above rounding."""
    useful = [error > floor for error, floor in zip(errors, floors, strict=True)]
    for level in reversed(range(1, len(errors))):
        if useful[level - 1] and useful[level]:
            return math.log2(errors[level - 1] / errors[level])
    return math.nan
