"""Exact evolution of forced Burgers' equation by Cole-Hopf (thin version)."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from stencilnet.solver.heat_kernel import drift, gauss_legendre, kernel_matrix
from stencilnet.solver.splittings import Splitting, three_drifts


def reach(low_speed, high_speed, h, nu, dx, tail=5.6):
    """Cells in reach left and right of a face."""
    w = tail * math.sqrt(2 * nu * h) + dx
    low = math.ceil((h * high_speed + w) / dx)
    high = math.ceil((w - h * low_speed) / dx)
    return low, high


@dataclass(frozen=True, eq=False)
class ColeHopf:
    splitting: Splitting = three_drifts()
    nodes: int = 8
    within: bool = True

    order = 4

    def kicks(self, forcing, grid, t, dt):
        """Potentials of the kicks, without 1/2nu: (kick, *sample, position, x)."""
        s, _ = gauss_legendre(self.nodes)
        positions = torch.cat([torch.zeros(1), s, torch.ones(1)])
        potential = waves_within(forcing, grid, positions)
        out, forces = [], []
        sp = self.splitting
        for v, g, c in zip(sp.kicks, sp.gradients, sp.times):
            F, f = potential(t + c * dt)
            out.append(v * dt * F + g * dt**3 * f**2)
            forces.append((F[..., -1, :] - F[..., 0, :]) / grid.spacing[-1])
        return torch.stack(out), torch.stack(forces)

    def advance(self, picture, u, kicks, matrices, reaches, block):
        """One step.

        kicks: (kick, *sample, position, x); nodes 1..-1, faces 0 and -1.
        """
        dx = picture.grid.spacing[-1]
        nu = picture.viscosity
        p = dx / (2 * nu)
        s, _ = gauss_legendre(self.nodes)
        kicks, forces = kicks
        u = u.double()
        average = lambda k: (k[..., -1, :] - k[..., 0, :]) / dx
        if self.within:
            u = u - average(kicks[0])
        for i, (matrix, (low, high)) in enumerate(zip(matrices, reaches)):
            kick = kicks[i]
            if self.within and i == 0:
                kick = 2 * kick
            kicked = u + average(kick)
            if self.within:
                shape = (kick[..., 1:-1, :] - kick[..., :1, :]) / (2 * nu)
                e = [x - shape for x in picture.branches(u, s, forces[i])]
            else:
                e = picture.branches(kicked, s, forces[i])
            u = drift(kicked, e, p, matrix, low, high, block)
        return u + average(kicks[-1])

    def matrices(self, nu, dx, dt, reaches, block):
        s, w = gauss_legendre(self.nodes)
        return [
            kernel_matrix(
                torch.as_tensor(4 * nu * t * dt / dx**2), s, w, low, high, block
            )
            for t, (low, high) in zip(self.splitting.drifts, reaches)
        ]


def waves_within(forcing, grid, positions):
    """`t -> (F, f)` at positions within cells, shape (*sample, position, x)."""
    dx = grid.spacing[-1]
    x = grid.points() - dx / 2 + positions.double().unsqueeze(-1) * dx
    k0 = 2 * math.pi / grid.extent[-1]
    numbers = forcing.wavenumber.abs().unique()
    k = numbers * k0
    sign = torch.where(forcing.wavenumber < 0, -1.0, 1.0).to(forcing.phase)
    onto = (forcing.wavenumber.abs().unsqueeze(-1) == numbers).double()
    angle = k.reshape(-1, 1, 1) * x
    c, s = angle.cos(), angle.sin()
    basis_f = torch.cat([c, s]).flatten(1)
    kk = k.reshape(-1, 1, 1)
    basis_F = torch.cat([s / kk, -c / kk]).flatten(1)

    def potential(t):
        clock = forcing.frequency * t + forcing.phase
        P = ((forcing.amplitude * clock.sin()).unsqueeze(-2) @ onto).squeeze(-2)
        Q = ((forcing.amplitude * sign * clock.cos()).unsqueeze(-2) @ onto).squeeze(-2)
        co = torch.cat([P, Q], -1)
        shape = (*co.shape[:-1], *x.shape)
        return (co @ basis_F).reshape(shape), (co @ basis_f).reshape(shape)

    return potential
