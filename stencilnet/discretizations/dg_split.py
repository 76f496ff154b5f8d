"""Discontinuous Galerkin method in split form, stable in the square of the solution."""

import numpy as np
import torch
from jaxtyping import Float
from numpy.polynomial import legendre
from torch import Tensor

from stencilnet.discretizations.dg import DiscontinuousGalerkin
from stencilnet.stencils import in_full_precision

# Gauss points between two states: exact for a flux of degree 5.
_STATE_NODES = 3


class SplitGalerkin(DiscontinuousGalerkin):
    """Discontinuous Galerkin method by collocation, whose energy never grows.

    The polynomial of degree `p` in each element is known by its values at `p + 1`
    Gauss-Lobatto nodes, where the derivative matrix `D` and the quadrature weights
    `w_i` sum by parts as integrals do. The flux enters through the mean of `F` between
    each two nodes,

        w_i u_t,i = -sum_j 2 w_i D_ij F(u_i, u_j)
                    + [i is right] (F(u_i) - F*) - [i is left] (F(u_i) - F*),
        F(a, b) = int_0^1 F(a + s (b - a)) ds

    with the equation's numerical flux `F*`. For Burgers' equation that is the split
    form `2/3 (u**2 / 2)_x + 1/3 u u_x`. Whatever the flux, `sum w_i u_i**2` is
    conserved within elements and only dissipated by upwinding at faces and by
    viscosity, without exact integrals, which no quadrature has for a flux that is no
    polynomial. Viscosity alternates as in `DiscontinuousGalerkin`, whose field it
    shares: averages over `p + 1` cells of each element.

    Order `p + 1`; quadrature at so few nodes makes its error a few times larger than
    the Galerkin method's.

    Sources: Gassner (2013), doi:10.1137/120890144, for Burgers' equation; Carpenter et
    al. (2014), doi:10.1137/130932193, Section 3; `F(a, b)` Tadmor (2003),
    doi:10.1017/S0962492902000156, Eq. (4.6).

    Args:
        equation: as for `DiscontinuousGalerkin`.
        grid: likewise.
        degree: likewise.

    Raises:
        ValueError: as for `DiscontinuousGalerkin`.

    Example:
        >>> import torch
        >>> from stencilnet import Burgers, Grid
        >>> from stencilnet.discretizations import SplitGalerkin
        >>> split = SplitGalerkin(Burgers(viscosity=0.0), Grid.line(32), degree=1)
        >>> u = (torch.arange(32) ** 2 % 7).double()  # as rough as can be
        >>> mode, rate = split.coefficients(u), split.coefficients(split(u))
        >>> bool((mode * rate).sum() < 0)  # growth of sum(w u**2) / 2 over both nodes
        True
    """

    def _register_scheme(
        self, degree: int, averages: np.ndarray, inverse: np.ndarray
    ) -> None:
        nodes, weights = lobatto_nodes(degree)
        value = legendre.legvander(nodes, degree)
        slope = np.stack(
            [
                legendre.legval(nodes, legendre.legder(mode))
                for mode in np.eye(degree + 1)
            ],
            axis=-1,
        )
        back = np.linalg.inv(value)
        # In units of x.
        derivative, weights = slope @ back * (2 / self.width), weights * self.width / 2
        self.end_weight = float(weights[0])
        self.nodes = len(nodes)
        self._constant("to_nodes", value @ inverse)
        self._constant("from_nodes", averages @ back)
        self._constant("derivative", derivative)
        states, shares = legendre.leggauss(_STATE_NODES)
        self.register_constant("states", torch.from_numpy((states + 1) / 2))
        self.register_constant("shares", torch.from_numpy(shares / 2))

    def as_periodic(self, u: Float[Tensor, "*batch x"]) -> Float[Tensor, "*batch x"]:
        nodes = _product(self._by_element(u), self.get_constant("to_nodes", u))
        u_t = self._convection_and_diffusion(nodes)
        if self.equation.has_source:
            # Nodes along one axis, as a parameter of the equation may differ by sample.
            u_t = u_t + self._by_nodes(self.equation.source(nodes.flatten(-2)))
        return _product(u_t, self.get_constant("from_nodes", u)).flatten(-2)

    def _convection_and_diffusion(self, nodes: Tensor) -> Tensor:
        """`u_t` at the nodes of each element, without a source."""
        form = self._current(self._form)
        before = nodes[..., -1].roll(1, -1)
        # q = u_x, with u from the left of each face.
        derivative = self.get_constant("derivative", nodes)
        slope = _product(nodes, derivative)
        jump = (nodes[..., :1] - before.unsqueeze(-1)) / self.end_weight
        slope = torch.cat([slope[..., :1] + jump, slope[..., 1:]], dim=-1)
        at_faces = {"u_left": before, "u_right": nodes[..., 0], "u_x": slope[..., 0]}
        flat, flat_slope = nodes.flatten(-2), slope.flatten(-2)
        at_nodes = {"u_left": flat, "u_right": flat, "u_x": flat_slope}
        left, within = form.face_flux(at_faces), form.face_flux(at_nodes)
        if left is None or within is None:
            return torch.zeros_like(nodes)
        inner = self._by_nodes(within)
        u_t = -self._flux_slope(nodes)
        for coefficient in self.equation.linear().values():
            viscous = self._by_nodes(coefficient * flat_slope)
            u_t = u_t + _product(viscous, derivative)
        # What the fluxes across the faces differ by from those at the outer nodes.
        first = (left - inner[..., 0]) / self.end_weight
        last = (inner[..., -1] - left.roll(-1, -1)) / self.end_weight
        outer = [u_t[..., :1] + first.unsqueeze(-1), u_t[..., -1:] + last.unsqueeze(-1)]
        return torch.cat([outer[0], u_t[..., 1:-1], outer[1]], dim=-1)

    def _flux_slope(self, nodes: Tensor) -> Tensor:
        """`sum_j 2 D_ij F(u_i, u_j)`, the split form of `F(u)_x`."""
        if not self.equation.has_flux:
            return torch.zeros_like(nodes)
        one, other = nodes.unsqueeze(-1), nodes.unsqueeze(-2)
        mean = torch.zeros(*nodes.shape, nodes.shape[-1]).to(nodes)
        for state, share in zip(
            self.get_numbers("states"), self.get_numbers("shares"), strict=True
        ):
            between = one + state * (other - one)
            flux = self.equation.flux(between.flatten(-3))
            mean = mean + share * flux.reshape(mean.shape)
        return 2 * (mean * self.get_constant("derivative", nodes).mT).sum(-1)


def lobatto_nodes(degree: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Lobatto nodes on `[-1, 1]` and their weights, `degree + 1` of them.

    The inner nodes are the extrema of the Legendre polynomial `P` of the degree, the
    weights `2 / (p (p + 1) P(x)**2)`.
    """
    mode = np.eye(degree + 1)[degree]
    inner = legendre.legroots(legendre.legder(mode)) if degree > 1 else np.empty(0)
    nodes = np.concatenate([[-1.0], inner, [1.0]])
    return nodes, 2 / (degree * (degree + 1) * legendre.legval(nodes, mode) ** 2)


def _product(a: Tensor, b: Tensor) -> Tensor:
    """`a @ b`, see `in_full_precision`."""
    return in_full_precision(torch.matmul, a, b)
