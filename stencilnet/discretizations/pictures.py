"""Pictures of a cell (thin version)."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from stencilnet.discretizations.base import Discretization, patches, shifted
from stencilnet.discretizations.networks import MLP
from stencilnet.discretizations.weno import Weno
from stencilnet.equations import Burgers
from stencilnet.stencils import MomentConditions, NullSpaceLayer


def parabola_basis(s: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """`int_0^s` of 1, `s - 1/2`, `(s - 1/2)**2 / 2 - 1/24`."""
    return s, (s**2 - s) / 2, ((s - 0.5) ** 3 + 0.125) / 6 - s / 24


class Picture(Discretization):
    def __init__(self, equation, grid):
        if not isinstance(equation, Burgers):
            raise TypeError("only Burgers")
        super().__init__(equation, grid, averages=True)

    def forward(self, u):
        raise TypeError("A picture of a cell has no right-hand side: use ColeHopf")

    @property
    def viscosity(self):
        return self.equation.viscosity

    def peclet(self, u):
        """dx / 2 nu"""
        return self.grid.spacing[-1] / (2 * self.viscosity)


class Linear(Picture):
    def parabola(self, u):
        left, middle, right = shifted(u, (-1, 0, 1))
        return middle, (right - left) / 2, torch.zeros_like(u)

    def branches(self, u, positions, force=None):
        p = self.peclet(u)
        basis = [b.to(u).unsqueeze(-1) for b in parabola_basis(positions)]
        m, b, q = (p * c.unsqueeze(-2) for c in self.parabola(u))
        return [-(m * basis[0] + b * basis[1] + q * basis[2])]


class Parabola(Linear):
    def parabola(self, u):
        a, b, c, d, e = shifted(u, (-2, -1, 0, 1, 2))
        left = (-a / 20 + 9 * b / 20 + 47 * c / 60 - 13 * d / 60 + e / 30) * 0 + (
            2 * b + 5 * c - d
        ) / 6
        right = (-b + 5 * c + 2 * d) / 6
        return c, right - left, 3 * 2 * (left + right - 2 * c)


class WenoPicture(Linear):
    def __init__(self, equation, grid, weights="Z"):
        super().__init__(equation, grid)
        self.weno = Weno(equation, grid, weights=weights)

    def parabola(self, u):
        around = shifted(u, (-2, -1, 0, 1, 2))
        right, left = self.weno.reconstruct(around, around[::-1])
        return u, right - left, 6 * (right + left - 2 * u)


ACTIVATIONS = {
    "silu": nn.SiLU,
    "hardswish": nn.Hardswish,
    "relu": nn.ReLU,
    "leaky": nn.LeakyReLU,
    "softsign": nn.Softsign,
}


class TwoBranches(WenoPicture):
    """Learned two branches."""

    def __init__(
        self,
        equation,
        grid,
        hidden=(32, 32),
        radius=3,
        order=1,
        activation="silu",
        seed=0,
        dtype=torch.float32,
        forcing_radius=None,
        strides=(1,),
    ):
        super().__init__(equation, grid)
        self.radius, self.order = radius, order
        self.forcing_radius = forcing_radius
        self.indices = tuple(range(-radius, radius + 1))
        offsets = [float(j) for j in self.indices]
        self.layers = nn.ModuleList(
            [
                NullSpaceLayer(MomentConditions(offsets, 0, order), limit=10.0),
                NullSpaceLayer(
                    MomentConditions(offsets, 1, max(order - 1, 1), averages=True),
                    limit=10.0,
                ),
                NullSpaceLayer(
                    MomentConditions(offsets, 2, max(order - 2, 1), averages=True),
                    limit=10.0,
                ),
            ]
        )
        self.outputs = [layer.inputs for layer in self.layers]
        more = 0 if forcing_radius is None else 2 * forcing_radius + 1
        net = MLP(*hidden).build(2 * radius + more, sum(self.outputs), seed=seed)
        for i, m in enumerate(net):
            if isinstance(m, nn.SiLU):
                net[i] = ACTIVATIONS[activation]()
        self.network = net
        self.to(dtype)

    def corrections(self, d, features):
        """Corrections of mean, slope and curvature from windows (..., window)."""
        raw = self.network(features)
        blocks = [layer.get_constant("matrix", raw).mT for layer in self.layers]
        coefficients = raw @ torch.block_diag(*blocks)
        c = coefficients.unflatten(-1, (3, -1))
        return (c @ d.unsqueeze(-1)).squeeze(-1).unbind(-1)

    def branches(self, u, positions, force=None):
        p = self.peclet(u)
        weight = next(self.network.parameters()).dtype
        d = patches(u, self.indices) - u.unsqueeze(-1)
        p_ = p.unsqueeze(-1) if isinstance(p, Tensor) else p
        r = self.radius
        f = torch.asinh(torch.cat([d[..., :r], d[..., r + 1 :]], -1) * p_).to(weight)
        d = d.to(weight)
        if self.forcing_radius is not None:
            k = self.forcing_radius
            pressure = self.grid.spacing[-1] * p * p * force
            g = torch.asinh(patches(pressure, tuple(range(-k, k + 1)))).to(weight)
            f = torch.cat([f, g], -1)
            mirrored = torch.cat([f[..., : 2 * r].flip(-1), g.flip(-1)], -1)
        else:
            mirrored = f.flip(-1)
        both_d = torch.stack([d, -d.flip(-1)])
        both_f = torch.stack([f, -mirrored])
        dm, db, dq = self.corrections(both_d, both_f)
        m0, b0, q0 = self.parabola(u)
        left = [m0 + dm[0], b0 + db[0], q0 + dq[0]]
        right = [m0 - dm[1], b0 + db[1], q0 - dq[1]]
        return two_branches(u, left, right, p, positions)


def two_branches(u, left, right, p, positions):
    basis = [b.to(u).unsqueeze(-1) for b in parabola_basis(positions)]
    s = basis[0]
    c0 = functional.softplus(p * (right[0] - u))
    c1 = functional.softplus(p * (u - left[0]))
    # exponents -psi_L - c0 - (c1 - c0) s
    tilt = c1 - c0
    matrix = torch.stack(parabola_basis(positions), -1).to(u)
    matrix = torch.cat([torch.ones_like(matrix[:, :1]), matrix], -1)
    out = []
    for (m, b, q), start in ((left, c0), (right, c0 + p * (u - right[0]))):
        terms = torch.stack([start, p * m + tilt, p * b, p * q], -2)
        out.append(-(matrix @ terms))
    return out
