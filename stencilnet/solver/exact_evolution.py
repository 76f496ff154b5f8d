"""Exact evolution of forced Burgers' equation: kicks, and drifts by Cole and Hopf."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from stencilnet.grid import Grid
from stencilnet.solver.heat_kernel import (
    LARGEST_EXPONENT,
    Reach,
    block_lengths,
    drift,
    gauss_legendre,
    kernel_matrix,
)
from stencilnet.solver.runge_kutta import Forcing, Step
from stencilnet.solver.splittings import THREE_DRIFTS, Splitting

_FEWEST_NODES, _MOST_NODES = 8, 32
# Distance of nodes in standard deviations of the kernel that quadrature resolves.
_RESOLVED = 1.1
# Periods of the domain that a drift may look over.
_MOST_PERIODS = 16


@runtime_checkable
class CellPicture(Protocol):
    """A method that says what the solution of Burgers' equation is within cells.

    Attributes:
        grid: of the cells.
        viscosity: `nu`, a number or a tensor `(*sample, 1)`.
    """

    grid: Grid

    @property
    def viscosity(self) -> float | Tensor: ...

    def branches(
        self,
        u: Float[Tensor, "*batch x"],
        positions: Float[Tensor, " node"],
        force: Float[Tensor, "*batch x"] | None = None,
    ) -> tuple[Float[Tensor, "*batch node x"], ...]:
        """`log(phi)` relative to the left face of each cell, for smooth branches.

        Args:
            u: cell averages.
            positions: of nodes, 0 at the left and 1 at the right face of a cell.
            force: cell averages of the forcing; none where there is no forcing.

        Returns:
            Exponents whose exponentials add up to `phi(s) / phi(0)`; so they are 1 at
            the left and `exp(-u dx / 2 nu)` at the right face.
        """


class Kick(NamedTuple):
    """What the forcing adds at one time.

    Attributes:
        average: to cell averages.
        shape: to the potential of `u` at the nodes, relative to the left face; none
            where the forcing is known by its averages only.
        force: cell averages of the forcing itself.
    """

    average: Tensor
    shape: Tensor | None
    force: Tensor


@dataclass(frozen=True, eq=False)
class ColeHopf:
    """Exact evolution of `u_t + (u**2 / 2)_x = nu u_xx + f` by Cole and Hopf.

    With `u = psi_x` and `phi = exp(-psi / 2 nu)` the equation is linear,
    `phi_t = nu phi_xx - F phi / 2 nu` with `F_x = f`, and a splitting advances it by
    kicks, `psi += w F`, and drifts, the heat kernel; each is exact for any step. So
    there is no stability limit, and the mean is conserved to rounding. The errors are
    those of the splitting and of the picture: what the right-hand side, a
    `CellPicture`, takes the solution to be within a cell. The latter is added once a
    drift: steps that are too short are less accurate than long ones.

    Where the forcing knows itself within cells, as `RandomForcing.on` does, the picture
    is taken of the state without the kick, which is smoother, and the kick is added
    exactly. The last kick of a step is taken back at the beginning of the next, so that
    both are one. Where only averages of the forcing are known, the picture is taken of
    the kicked state.

    Intermediate values are in float64; the state keeps its dtype.

    Sources: Hopf (1950), doi:10.1002/cpa.3160030302; Cole (1951),
    doi:10.1090/qam/42889; kicked Burgers turbulence: Bec, Frisch and Khanin (2000),
    doi:10.1017/S0022112000001051.

    Attributes:
        splitting: the composition of kicks and drifts.
        nodes: quadrature nodes of a cell; by default as many as the kernel needs, at
            least 8.

    Raises:
        ValueError: if `nodes` is not a positive integer.
    """

    compilable: ClassVar[bool] = True

    splitting: Splitting = THREE_DRIFTS
    nodes: int | None = None

    def __post_init__(self) -> None:
        if self.nodes is not None and (self.nodes < 1 or self.nodes != int(self.nodes)):
            raise ValueError(
                f"`nodes` must be a positive integer or None, not {self.nodes!r}."
            )

    @property
    def order(self) -> int:
        """Order of the splitting."""
        return self.splitting.order

    def spec(self) -> dict[str, Any]:
        """The integrator as plain values."""
        return {
            "kind": "cole_hopf",
            "splitting": self.splitting.spec(),
            "nodes": self.nodes,
        }

    def stable_step(
        self,
        eigenvalues: Complex[Tensor, "*shape"],
        *,
        linear: Complex[Tensor, "*shape"] | None = None,
        growth: float = 1e-4,
    ) -> float:
        """Infinite: nothing but accuracy limits the step."""
        return math.inf

    def bind(self, rhs: Any, forcing: Forcing | None) -> Step:
        """See `Integrator.bind`.

        Raises:
            TypeError: if `rhs` is not a picture of the solution within cells.
            ValueError: if its viscosity is not positive.
        """
        if not isinstance(rhs, CellPicture):
            raise TypeError(
                f"Exact evolution needs a picture of Burgers' equation within cells, "
                f"not {type(rhs).__name__}: take one such as WenoPicture(Burgers(0.01),"
                f" grid)."
            )
        problem = _Problem(rhs, forcing, self)
        problem.check_viscosity()

        def step(t: Any, u: Tensor, dt: Any) -> Tensor:
            if not u.numel():
                return u.clone()
            return problem.advance(u, problem.plan(t, u, dt))

        return step


class _Plan(NamedTuple):
    """All of a step that does not depend on the state, but for the reach."""

    kicks: list[Kick]
    matrices: list[Tensor]
    reaches: list[Reach]
    nodes: Tensor


@dataclass(eq=False)
class _Problem:
    """A picture under a forcing, with what its steps share."""

    picture: CellPicture
    forcing: Any
    method: ColeHopf
    matrices: dict[Any, list[Tensor]] = field(default_factory=dict)
    potentials: dict[int, Callable[..., tuple[Tensor, Tensor, Tensor]]] = field(
        default_factory=dict
    )

    def check_viscosity(self) -> None:
        nu = torch.as_tensor(self.picture.viscosity).detach()
        if not nu.is_meta and not bool((nu > 0).all()):
            raise ValueError(
                f"Exact evolution divides by the viscosity, which is {float(nu.min())} "
                f"here: the smallest that a grid takes is about max|u| dx / "
                f"{2 * LARGEST_EXPONENT:.0f}; take a method with a Riemann solver."
            )

    @property
    def scale(self) -> Any:
        """`dx / 2 nu`."""
        nu = self.picture.viscosity
        if isinstance(nu, Tensor):
            nu = nu.double()
        return self.picture.grid.spacing[-1] / (2 * nu)

    def advance(self, u: Tensor, plan: _Plan) -> Tensor:
        """One step, in float64 but for the result."""
        state, kicks = u.double(), plan.kicks
        for index, (matrix, reach) in enumerate(
            zip(plan.matrices, plan.reaches, strict=True)
        ):
            kick = kicks[index] if kicks else None
            if kick is None:
                branches = self.picture.branches(state, plan.nodes)
            elif kick.shape is None:
                state = state + kick.average
                branches = self.picture.branches(state, plan.nodes, kick.force)
            else:
                # The last step ended with the kick that this one begins with.
                before = state - kick.average if index == 0 else state
                added = kick.shape * (2 if index == 0 else 1)
                state = state + kick.average
                shape = added * (self.scale_of_potential()).unsqueeze(-2)
                branches = tuple(
                    branch - shape
                    for branch in self.picture.branches(before, plan.nodes, kick.force)
                )
            state = drift(state, branches, self.scale, matrix, reach)
        return (state + kicks[-1].average if kicks else state).to(u.dtype)

    def scale_of_potential(self) -> Tensor:
        """`1 / 2 nu`, with an axis for x."""
        nu = torch.as_tensor(self.picture.viscosity, dtype=torch.float64)
        return (0.5 / nu).reshape(*nu.shape[:-1], 1)

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def plan(self, t: Any, u: Tensor, dt: Any) -> _Plan:
        """Kicks, reaches and matrices of a step; these need numbers, not tensors."""
        dt = float(dt)
        if not dt > 0:
            raise ValueError(
                f"Exact evolution cannot go back in time, by a step of {dt:g}: the heat "
                f"equation has no past; take a Runge-Kutta method."
            )
        count = self._nodes(dt)
        nodes, _ = gauss_legendre(count)
        kicks = self._kicks(t, u, dt, nodes.to(u.device))
        reaches = self._reaches(u.detach(), dt, kicks)
        return _Plan(
            kicks, self._matrices(dt, reaches, count, u), reaches, nodes.to(u.device)
        )

    def _nodes(self, dt: float) -> int:
        """Quadrature nodes for the shortest drift.

        Raises:
            ValueError: if the kernel is narrower than their distance.
        """
        dx = self.picture.grid.spacing[-1]
        nu = float(torch.as_tensor(self.picture.viscosity).detach().min())
        shortest = min(float(drift) for drift in self.method.splitting.drifts)
        deviation = math.sqrt(2 * nu * shortest * dt)
        needed = math.ceil(dx / (_RESOLVED * deviation))
        most = self.method.nodes or _MOST_NODES
        if needed > most:
            best = (dx / (_RESOLVED * most)) ** 2 / (2 * nu * shortest)
            raise ValueError(
                f"A step of {dt:.3g} is too short for cells of {dx:.3g}: the heat "
                f"kernel is narrower than the distance of {most} nodes; take steps of "
                f"at least {best:.3g}. Longer ones are more accurate."
            )
        return self.method.nodes or max(_FEWEST_NODES, needed)

    def _kicks(self, t: Any, u: Tensor, dt: float, nodes: Tensor) -> list[Kick]:
        if self.forcing is None:
            return []
        splitting = self.method.splitting
        return [
            self._kick(t + s * dt, (v * dt, g * dt**3, c * dt**5), u, nodes)
            for s, v, g, c in zip(
                splitting.times,
                splitting.kicks,
                splitting.gradients,
                splitting.slopes,
                strict=True,
            )
        ]

    def _kick(
        self, t: Any, weights: tuple[Any, Any, Any], u: Tensor, nodes: Tensor
    ) -> Kick:
        """The kick `psi += v F + g f**2 + c f**2 f_x` at a time."""
        dx = self.picture.grid.spacing[-1]
        v, g, c = weights
        if hasattr(self.forcing, "within"):
            count = len(nodes)
            if count not in self.potentials:
                faces = torch.tensor([0.0, 1.0]).to(nodes)
                self.potentials[count] = self.forcing.within(torch.cat([nodes, faces]))
            integral, force, slope = (
                value.double() for value in self.potentials[count](t)
            )
            potential = v * integral + force**2 * (g + c * slope)
            left, right = potential[..., -2, :], potential[..., -1, :]
            mean = (integral[..., -1, :] - integral[..., -2, :]) / dx
            shape = potential[..., :-2, :] - left.unsqueeze(-2)
            return Kick((right - left) / dx, shape, mean)
        mean = self.forcing(t).double()
        mean = mean.expand(torch.broadcast_shapes(mean.shape, u.shape[-1:]))
        force, slope = _at_faces(mean, dx)
        potential = force**2 * (g + c * slope)
        return Kick(v * mean + (potential.roll(-1, -1) - potential) / dx, None, mean)

    def _reaches(self, u: Tensor, dt: float, kicks: list[Kick]) -> list[Reach]:
        """Reaches that no state of the step can exceed, by the maximum principle.

        Raises:
            ValueError: if the viscosity is too small for the precision, or the step
                looks over too many periods.
        """
        # A sample that blew up long ago reaches nowhere.
        dtype, u = u.dtype, torch.where(u.isfinite(), u, 0.0).double()
        low, high = float(u.min()), float(u.max())
        potential = _spread(u)
        reaches = []
        nu = torch.as_tensor(self.picture.viscosity).detach().double()
        grid, points = self.picture.grid, u.shape[-1]
        dx = grid.spacing[-1]
        for index, t in enumerate(self.method.splitting.drifts):
            if kicks:
                average = kicks[index].average.detach()
                strength = float(average.abs().max()) * (1 + (index == 0))
                low, high = low - strength, high + strength
                potential = potential + _spread(average)
            covered = Reach.cover(
                (low, high),
                float(t) * dt,
                viscosity=float(nu.max()),
                dx=dx,
                block=1,
                dtype=dtype,
            )
            if max(abs(covered.left), abs(covered.right)) > _MOST_PERIODS * points:
                raise ValueError(
                    f"A step of {dt:.3g} looks over more than {_MOST_PERIODS} periods "
                    f"of the domain: take shorter steps."
                )
            mean = float(u.mean(-1).abs().max())
            for block in block_lengths(points):
                reach = covered._replace(block=block)
                # Of psi over the cells of a block: two bounds.
                most = min(
                    potential + mean * reach.cells,
                    max(abs(low), abs(high)) * reach.cells,
                )
                exponent = most * dx / (2 * float(nu.min()))
                if exponent <= LARGEST_EXPONENT:
                    break
            else:
                smallest = float(nu.min()) * exponent / LARGEST_EXPONENT
                raise ValueError(
                    f"The viscosity {float(nu.min()):.3g} is too small for this grid: "
                    f"exponents of {exponent:.0f} overflow; take at least "
                    f"{smallest:.3g}, a finer grid, or shorter steps."
                )
            reaches.append(reach)
        return reaches

    def _matrices(
        self, dt: float, reaches: list[Reach], nodes: int, u: Tensor
    ) -> list[Tensor]:
        """Kernels of the drifts, kept while nothing in them needs gradients."""
        nu = self.picture.viscosity
        drifts = self.method.splitting.drifts
        learned = any(
            isinstance(value, Tensor) and value.requires_grad for value in (nu, *drifts)
        )
        numbers = tuple(torch.as_tensor(nu).detach().flatten().tolist())
        key = (f"{dt:.12g}", tuple(reaches), nodes, numbers, u.device)
        if key in self.matrices:
            return self.matrices[key]
        width = 4 * torch.as_tensor(nu, dtype=torch.float64, device=u.device)
        width = width.reshape(width.shape[:-1]) / self.picture.grid.spacing[-1] ** 2
        matrices = [
            kernel_matrix(width * (t * dt), reach, nodes)
            for t, reach in zip(drifts, reaches, strict=True)
        ]
        if not (learned and torch.is_grad_enabled()):
            self.matrices[key] = matrices
        return matrices


def _at_faces(
    mean: Float[Tensor, "*batch x"], dx: float
) -> tuple[Float[Tensor, "*batch x"], Float[Tensor, "*batch x"]]:
    """Values and slopes at left faces from cell averages, to sixth order."""
    pairs = [(mean.roll(j, -1), mean.roll(1 - j, -1)) for j in (1, 2, 3)]
    values = [37.0, -8.0, 1.0]
    force = sum(
        weight * (left + right)
        for weight, (left, right) in zip(values, pairs, strict=True)
    )
    slope = sum(
        weight * (left - right)
        for weight, (left, right) in zip([-245.0, 25.0, -2.0], pairs, strict=True)
    )
    return force / 60, slope / (180 * dx)


def _spread(u: Tensor) -> float:
    """Largest difference within the sums of fields along x."""
    sums = u.cumsum(-1)
    return float((sums.amax(-1) - sums.amin(-1)).max())
