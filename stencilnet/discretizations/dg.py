"""Discontinuous Galerkin method with Legendre polynomials."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.polynomial import legendre
from torch import Tensor

from stencilnet.boundaries import Boundary, ZeroSlope
from stencilnet.discretizations.base import Discretization
from stencilnet.discretizations.ends import Ends, EndValues
from stencilnet.equations import Equation, UpwindFlux
from stencilnet.errors import as_integer
from stencilnet.grid import Grid
from stencilnet.stencils import in_full_precision

# More than a polynomial has: enough to project what a grid resolves to round-off.
_PROJECTION_NODES = 15
# Averages over equal cells determine a polynomial with a condition number that grows as
# 1.9**degree, 8e7 here.
_HIGHEST_DEGREE = 31


class DiscontinuousGalerkin(Discretization):
    """Polynomials of degree `p` in elements, joined by fluxes only.

    Each element covers `p + 1` cells of the grid, and the field holds the averages of
    its polynomial over these cells, which determine it. So a grid of N points has N
    degrees of freedom, and initial states, forcing and errors are those of any method
    for cell averages. The scheme itself is the Galerkin one: for all polynomials `v` of
    degree `p` and each element from `l` to `r`,

        int u_t v dx = int (F(u, q) v_x + S(u) v) dx - F_r v(r) + F_l v(l)
        int q v dx = -int u v_x dx + u_r v(r) - u_l v(l)

    Convection takes the equation's own flux between the two sides of a face, and the
    viscous part alternates: `u` from the left and `q = u_x` from the right of a face
    (local discontinuous Galerkin). Gauss quadrature is exact for a quadratic flux, with
    which `sum u**2` over the elements never grows without forcing (a cell entropy
    inequality); `SplitGalerkin` says so for any flux.

    Beyond an end lies an element that the boundary continues: an odd reflection, or the
    polynomial through the prescribed value and the nearest cells. Fluxes that alternate
    do not see a slope there.

    Sources: Cockburn and Shu (1998), doi:10.1137/S0036142997316712, Section 2; Jiang
    and Shu (1994), doi:10.1090/S0025-5718-1994-1223232-7.

    Args:
        equation: without linear terms beyond diffusion; the upwind form's numerical
            flux joins the elements.
        grid: the cells whose averages the field holds. The first element starts at the
            left face of the first one.
        degree: `p`, 1 to 31; the order of accuracy is `p + 1`.

    Raises:
        ValueError: if the equation has other linear terms or no numerical flux, a
            boundary prescribes a slope, the degree is no whole number from 1 to 31, or
            the number of points is no multiple of `p + 1`.

    Example:
        >>> from stencilnet import Burgers, DiscontinuousGalerkin, Grid
        >>> grid = Grid.line(64)
        >>> dg = DiscontinuousGalerkin(Burgers(viscosity=0.02), grid, degree=3)
        >>> dg.element, tuple(dg(grid.points().sin()).shape)
        (4, (64,))
    """

    takes_boundaries = True

    def __init__(self, equation: Equation, grid: Grid, *, degree: int) -> None:
        super().__init__(equation, grid, averages=True)
        # Refuses an equation without a numerical flux.
        self._form = UpwindFlux(equation)
        beyond = sorted(set(equation.linear()) - {2})
        if beyond:
            raise ValueError(
                f"A discontinuous Galerkin method takes diffusion, order 2, as its "
                f"only linear term, but {type(equation).__name__} has one of order "
                f"{beyond[0]}: take another method, such as FiniteDifference."
            )
        whole = as_integer(degree)
        if whole is None or not 1 <= whole <= _HIGHEST_DEGREE:
            raise ValueError(
                f"The degree of the polynomials is a whole number from 1 to "
                f"{_HIGHEST_DEGREE}, not {degree!r}."
            )
        points, self.element = grid.shape[-1], whole + 1
        if points % self.element:
            lower = points - points % self.element
            fitting = f"{lower} or {lower + self.element}" if lower else self.element
            raise ValueError(
                f"Polynomials of degree {degree} take {self.element} points each, "
                f"which do not divide {points}: use {fitting} points."
            )
        self.degree = whole
        self.elements = points // self.element
        self.width = grid.extent[-1] / self.elements
        self._register(whole)
        if grid.boundaries is not None:
            _refuse_zero_slopes(type(self).__name__, grid.boundaries)
            self.ends = Ends(
                grid.boundaries,
                points,
                ghosts=self.element,
                degree=whole,
                averages=True,
            )

    def _register(self, degree: int) -> None:
        """The matrices, from cell averages and to those of `u_t`."""
        size, modes = degree + 1, np.eye(degree + 1)
        integrals = legendre.legval(
            np.linspace(-1.0, 1.0, size + 1), legendre.legint(modes, axis=1).T
        )
        # Averages over the cells of each Legendre polynomial, and back.
        averages = np.diff(integrals, axis=-1).T * (size / 2)
        inverse = np.linalg.inv(averages)
        self._register_scheme(degree, averages, inverse)
        self._constant("to_modes", inverse)
        self._constant("to_averages", averages)
        fine, fine_weights = legendre.leggauss(degree + _PROJECTION_NODES)
        test = legendre.legvander(fine, degree) * fine_weights[:, None]
        onto = test * (2 * np.arange(size) + 1) / 2 @ averages.T
        self.register_constant("fine_nodes", torch.from_numpy(fine))
        self.register_constant("onto", torch.from_numpy(onto))

    def _register_scheme(
        self, degree: int, averages: np.ndarray, inverse: np.ndarray
    ) -> None:
        """What `forward` needs, from the averages of each mode and their inverse."""
        size, width = degree + 1, self.width
        # A product of u**2 and v_x has the degree 3 p - 1.
        nodes, weights = legendre.leggauss((3 * degree + 1) // 2)
        value = legendre.legvander(nodes, degree)
        slope = np.stack(
            [legendre.legval(nodes, legendre.legder(mode)) for mode in np.eye(size)],
            axis=-1,
        )
        right, left = np.ones(size), (-1.0) ** np.arange(size)
        norm = (2 * np.arange(size) + 1) / width

        # Coefficients of q from those of the element on the left and the own ones.
        volume = slope.T @ (weights[:, None] * value)
        before = -norm[:, None] * np.outer(left, right)
        own = norm[:, None] * (np.outer(right, right) - volume)
        nothing = np.zeros_like(value)
        none = np.zeros(size)
        from_before = np.concatenate(
            [nothing, value @ before, [right, none, left @ before]]
        )
        from_own = np.concatenate([value, value @ own, [none, left, left @ own]])
        evaluate = np.concatenate([from_before @ inverse, from_own @ inverse], axis=1)
        # Averages of u_t from the fluxes at the nodes and at the left and right face.
        flux = np.column_stack([slope.T * weights, left, -right])
        self.nodes = len(nodes)
        self._constant("evaluate", evaluate)
        self._constant("collect", averages @ (norm[:, None] * flux))
        # Averages of the source's projection from its values at the nodes.
        projection = averages @ (norm[:, None] * (width / 2) * (value.T * weights))
        self._constant("collect_source", projection)

    def _constant(self, name: str, matrix: np.ndarray) -> None:
        """Stores a matrix as it multiplies rows from the right."""
        self.register_constant(name, torch.from_numpy(matrix.T.copy()))

    @property
    def settings(self) -> dict[str, Any]:
        return {"degree": self.degree}

    def forward(self, u: Float[Tensor, "*batch x"]) -> Float[Tensor, "*batch x"]:
        if self.ends is not None:
            return self.at(None, u)
        self.check_field(u)
        return self.as_periodic(u)

    def between(
        self, u: Float[Tensor, "*batch x"], values: EndValues
    ) -> Float[Tensor, "*batch x"]:
        if self.ends is None:
            return self.as_periodic(u)
        return self.ends.within(self.as_periodic(self.ends.continued(u, values)))

    def as_periodic(self, u: Float[Tensor, "*batch x"]) -> Float[Tensor, "*batch x"]:
        cells = self._by_element(u)
        pairs = torch.cat([cells.roll(1, -2), cells], dim=-1)
        evaluated = _product(pairs, self.get_constant("evaluate", u))
        inside, slope = evaluated[..., : self.nodes], evaluated[..., self.nodes : -3]
        u_left, u_right, u_x = evaluated[..., -3:].unbind(-1)
        at_faces = {"u_left": u_left, "u_right": u_right, "u_x": u_x}
        # Nodes along one axis, as a parameter of the equation may differ by sample.
        inside, slope = inside.flatten(-2), slope.flatten(-2)
        at_nodes = {"u_left": inside, "u_right": inside, "u_x": slope}
        u_t = torch.zeros_like(cells)
        form = self._current(self._form)
        left, within = form.face_flux(at_faces), form.face_flux(at_nodes)
        if left is not None and within is not None:
            ends = torch.stack([left, left.roll(-1, -1)], dim=-1)
            fluxes = torch.cat([self._by_nodes(within), ends], dim=-1)
            u_t = _product(fluxes, self.get_constant("collect", u))
        if self.equation.has_source:
            source = self._by_nodes(self.equation.source(inside))
            u_t = u_t + _product(source, self.get_constant("collect_source", u))
        return u_t.flatten(-2)

    def _by_nodes(self, values: Tensor) -> Tensor:
        elements = values.shape[-1] // self.nodes
        return values.reshape(*values.shape[:-1], elements, self.nodes)

    def element_averages(
        self, u: Float[Tensor, "*batch x"], *, parts: int = 1
    ) -> Float[Tensor, "*batch cells"]:
        """Exact averages over equal parts of each element, from left to right.

        As many parts as an element has points, `p + 1`, return the field itself.

        Raises:
            ValueError: if `parts` is below 1.
        """
        if parts < 1:
            raise ValueError(f"An element has at least 1 part, not {parts}.")
        self.check_field(u)
        faces = np.linspace(-1.0, 1.0, parts + 1)
        primitive = legendre.legint(np.eye(self.element), axis=1).T
        weights = np.diff(legendre.legval(faces, primitive), axis=-1) * (parts / 2)
        matrix = torch.from_numpy(weights).to(u)
        return _product(self.coefficients(u), matrix).flatten(-2)

    def coefficients(
        self, u: Float[Tensor, "*batch x"]
    ) -> Float[Tensor, "*batch element mode"]:
        """Legendre coefficients of each element's polynomial."""
        cells = self._by_element(u)
        return _product(cells, self.get_constant("to_modes", u))

    def field(
        self, coefficients: Float[Tensor, "*batch element mode"]
    ) -> Float[Tensor, "*batch x"]:
        """The field with given Legendre coefficients; inverse of `coefficients`."""
        matrix = self.get_constant("to_averages", coefficients)
        return _product(coefficients, matrix).flatten(-2)

    def project(
        self, function: Callable[[Tensor], Tensor]
    ) -> Float[Tensor, "*batch x"]:
        """The field closest in L2 to a function of `x`.

        Args:
            function: maps coordinates of shape `(x,)` to values `(*batch, x)`.
        """
        values = function(self._fine_points().flatten())
        values = values.reshape(*values.shape[:-1], self.elements, -1)
        return _product(values, self.get_constant("onto", values)).flatten(-2)

    def _by_element(self, u: Tensor) -> Tensor:
        elements = u.shape[-1] // self.element
        return u.reshape(*u.shape[:-1], elements, self.element)

    def _fine_points(self) -> Float[Tensor, "element node"]:
        first = torch.arange(self.elements, dtype=torch.float64) + 0.5
        offset = self._exact["fine_nodes"] / 2
        centres = first.unsqueeze(-1) + offset
        start = self.grid.points()[0] - self.grid.spacing[-1] / 2
        return centres * self.width + start


def _refuse_zero_slopes(name: str, boundaries: Iterable[Boundary]) -> None:
    if any(isinstance(boundary, ZeroSlope) for boundary in boundaries):
        raise ValueError(
            f"{name} takes walls, prescribed values and outflow, not ZeroSlope(), "
            f"which its alternating fluxes do not see: take another method, such as "
            f"FiniteDifference."
        )


def _product(a: Tensor, b: Tensor) -> Tensor:
    """`a @ b`, see `in_full_precision`."""
    return in_full_precision(torch.matmul, a, b)
