"""Compact differences: implicit stencils of high order on few cells."""

from fractions import Fraction
from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from stencilnet.discretizations.cell_polynomials import solve_exactly
from stencilnet.discretizations.stencil_method import StencilMethod
from stencilnet.equations import CentralFlux, Equation, Form, UpwindFlux
from stencilnet.errors import as_integer
from stencilnet.grid import Grid
from stencilnet.stencils import Derivative, stencil_indices


class Compact(StencilMethod):
    """Compact differences, or finite volumes where the field holds averages.

    A derivative `d` at `x_i + at dx` follows from a system that couples neighbours,

        sum_l a_l d_(i+l) = dx**-d sum_j b_j u_(i+j),    a_0 = 1,

    whose coefficients satisfy all moment conditions up to the order: a centred stencil
    of order `2 (m + n)` couples `m` neighbours to each side and reads about `n` cells
    there, and its error for short waves is far smaller than an explicit one's. The
    system is periodic and is solved in Fourier space.

    An even order is centred and dissipates nothing: shocks oscillate unless viscosity
    resolves them. An odd one leans to the upwind side of a face.

    Sources: Lele (1992), doi:10.1016/0021-9991(92)90324-R, Section 2; for finite
    volumes Kobayashi (1999), doi:10.1006/jcph.1999.6376; upwind ones Ghosh and Baeder
    (2012), doi:10.1137/110857659, Eq. (3.5).

    Args:
        equation: the equation to discretize.
        grid: the grid to discretize on.
        order: accuracy order, 3 to 12.
        form: by default `CentralFlux` for an even order, `UpwindFlux` for an odd one.

    Raises:
        ValueError: if there is no such order, it is odd and the form has no one-sided
            derivative, or a stencil is longer than the grid.

    Example:
        >>> from stencilnet import FiniteDifference, Grid
        >>> from stencilnet.discretizations import Compact
        >>> from stencilnet.equations import Advection
        >>> advection, grid = Advection(velocity=1.0), Grid.line(16)
        >>> kx = 4 * grid.points()  # a wave of four cells
        >>> for kind in (FiniteDifference, Compact):
        ...     u_t = kind(advection, grid, order=6)(kx.sin())
        ...     print(kind.__name__, round(float((u_t + 4 * kx.cos()).abs().max()), 2))
        FiniteDifference 0.27
        Compact 0.04
    """

    def __init__(
        self,
        equation: Equation,
        grid: Grid,
        *,
        order: int = 6,
        form: type[Form] | Form | None = None,
    ) -> None:
        if as_integer(order) not in range(3, 13):
            raise ValueError(
                f"Compact differences have an order of 3 to 12, not {order!r}."
            )
        order = int(order)
        if form is None:
            form = UpwindFlux if order % 2 else CentralFlux
        super().__init__(equation, grid, form)
        sides = [derivative.side for derivative in self.form.requires.values()]
        if order % 2 and equation.has_flux and not any(sides):
            raise ValueError(
                f"{type(self.form).__name__} has no one-sided derivative for the odd "
                f"order {order}: choose an even order, or form=UpwindFlux."
            )
        self.order = order
        for name, derivative in self.form.requires.items():
            implicit, explicit = compact_stencils(derivative, order)
            reach = max(len(implicit), len(explicit))
            if reach > grid.shape[-1]:
                raise ValueError(
                    f"Order {order} needs stencils of {reach} points, but the grid has "
                    f"only {grid.shape[-1]}: refine it or lower the order."
                )
            coefficients = compact_coefficients(
                derivative, implicit, explicit, averages=self.averages
            )
            angle = grid.wavenumbers() * grid.spacing[-1]
            below, above = (
                (row * torch.exp(1j * angle[:, None] * torch.tensor(cells))).sum(-1)
                for row, cells in zip(coefficients, (implicit, explicit), strict=True)
            )
            symbol = above / below / grid.spacing[-1] ** derivative.order
            self.register_constant(name, torch.view_as_real(symbol))

    @classmethod
    def supplies(cls, derivative: Derivative) -> bool:
        return True

    @property
    def settings(self) -> dict[str, Any]:
        return {"order": self.order, **super().settings}

    def derivatives(
        self, u: Float[Tensor, "*batch x"]
    ) -> dict[str, Float[Tensor, "*batch x"]]:
        if not u.numel():
            # Some libraries of transforms refuse an empty batch.
            return {name: u.clone() for name in self.form.requires}
        u_hat = torch.fft.rfft(u)
        return {
            name: torch.fft.irfft(u_hat * self.symbol_of(name, u), n=u.shape[-1])
            for name in self.form.requires
        }

    def symbol_of(
        self, name: str, like: Float[Tensor, "*batch x"]
    ) -> Complex[Tensor, " mode"]:
        """Fourier symbol of a derivative, by its name in `form.requires`."""
        return torch.view_as_complex(self.get_constant(name, like))


def compact_stencils(
    derivative: Derivative, order: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Neighbours `l` whose derivatives are coupled, and cells `j` that are read.

    A centred pair satisfies one condition more than it has coefficients.
    """
    at_face, at_point = abs(derivative.at) == 0.5, derivative.at == 0
    side = derivative.side if order % 2 else 0
    if side == 0 and (at_face or at_point):
        order += order % 2
        coupled = order // 4
        # Symmetry satisfies half of the conditions and gives half of the coefficients.
        pairs = (derivative.order + order) // 2 - coupled
        width = 2 * pairs
        if at_point:
            width += 1 if derivative.order % 2 else -1
    else:
        coupled = max(1, (order - 1) // 4)
        width = derivative.order + order - 2 * coupled
    implicit = tuple(range(-coupled, coupled + 1))
    explicit = stencil_indices(width, Derivative(derivative.order, derivative.at, side))
    return implicit, explicit


def compact_coefficients(
    derivative: Derivative,
    implicit: tuple[int, ...],
    explicit: tuple[int, ...],
    *,
    averages: bool,
) -> tuple[Float[Tensor, " coupled"], Float[Tensor, " cells"]]:
    """The coefficients `a` and `b` that satisfy as many moment conditions as they can.

    Solved in exact rational arithmetic.

    Args:
        derivative: which, and where relative to the point.
        implicit: neighbours `l`, 0 among them.
        explicit: cells `j`.
        averages: whether the field holds cell averages.

    Raises:
        ValueError: if the conditions have no unique solution.
    """
    coupled, cells = _solution(derivative, implicit, explicit, averages=averages)
    return (
        torch.tensor(coupled, dtype=torch.float64),
        torch.tensor(cells, dtype=torch.float64),
    )


# Not as tensors: those that are made in inference mode serve no gradients later.
@lru_cache(maxsize=256)
def _solution(
    derivative: Derivative,
    implicit: tuple[int, ...],
    explicit: tuple[int, ...],
    *,
    averages: bool,
) -> tuple[list[float], list[float]]:
    at = Fraction(derivative.at)
    others = [neighbour for neighbour in implicit if neighbour]
    unknowns = len(others) + len(explicit)
    rows, right = [], []
    for m in range(unknowns):
        coupled = [-_slope(m, derivative.order, at + shift) for shift in others]
        read = [_moment(m, cell, averages=averages) for cell in explicit]
        rows.append(coupled + read)
        right.append([_slope(m, derivative.order, at)])
    solution = [float(row[0]) for row in solve_exactly(rows, right)]
    by_neighbour = dict(zip(others, solution, strict=False)) | {0: 1.0}
    return [by_neighbour[shift] for shift in implicit], solution[len(others) :]


def _slope(m: int, order: int, at: Fraction) -> Fraction:
    """The derivative of `s**m` at a position."""
    factor = 1
    for j in range(order):
        factor *= m - j
    return factor * at ** (m - order) if factor else Fraction(0)


def _moment(m: int, cell: int, *, averages: bool) -> Fraction:
    """`s**m` at a cell, or its mean over it."""
    if not averages:
        return Fraction(cell) ** m
    right, left = cell + Fraction(1, 2), cell - Fraction(1, 2)
    return (right ** (m + 1) - left ** (m + 1)) / (m + 1)
