"""One step of exact evolution: kicks by the forcing, and drifts by the heat kernel."""

import math
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.grid import Grid
from stencilnet.solver.base import as_time
from stencilnet.solver.heat_kernel import (
    LARGEST_EXPONENT,
    Reach,
    block_lengths,
    drift,
    gauss_legendre,
    kernel_matrix,
)
from stencilnet.solver.kicks import Kick, Kicks
from stencilnet.solver.splittings import Splitting

_FEWEST_NODES, _MOST_NODES = 8, 32
# Distance of nodes in standard deviations of the kernel that quadrature resolves.
_RESOLVED = 1.1
# Periods of the domain that a drift may look over.
_MOST_PERIODS = 16
# Lengths of steps and reaches whose kernels are stored.
_REMEMBERED = 16


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


class Plan(NamedTuple):
    """What a step needs beside the state.

    Attributes:
        kicks: first and last included, or none.
        matrices: kernels of the drifts.
        reaches: cells that they take into account.
        nodes: quadrature nodes of a cell.
        frame: speed of the frame in which the drifts are computed.
    """

    kicks: list[Kick]
    matrices: list[Tensor]
    reaches: list[Reach]
    nodes: Tensor
    frame: float


class ExactStep:
    """A picture under a forcing, with what its steps share.

    Args:
        picture: of the solution within cells.
        forcing: `t -> f`, or none.
        splitting: of each step.
        nodes: quadrature nodes of a cell; none for as many as the kernel needs.

    Raises:
        ValueError: if the viscosity is not positive.
    """

    def __init__(
        self,
        picture: CellPicture,
        forcing: Any,
        splitting: Splitting,
        nodes: int | None,
    ) -> None:
        self._picture, self._splitting, self._nodes = picture, splitting, nodes
        self._kicks = None if forcing is None else Kicks(forcing, picture.grid)
        self._kernels: dict[Any, list[Tensor]] = {}
        self._dx = picture.grid.spacing[-1]
        nu = self._viscosity().detach()
        if not nu.is_meta and not bool((nu > 0).all()):
            raise ValueError(
                f"Exact evolution divides by the viscosity, which is {float(nu.min())} "
                f"here: take at least about max|u| dx / {2 * LARGEST_EXPONENT:.0f}, or "
                f"a method with a Riemann solver."
            )

    def _viscosity(self) -> Float[Tensor, "*sample 1"]:
        nu = torch.as_tensor(self._picture.viscosity, dtype=torch.float64)
        return nu.reshape(*nu.shape[:-1], 1)

    def advance(self, u: Tensor, plan: Plan) -> Tensor:
        """One step, in float64 but for the result."""
        state, kicks = u.double(), plan.kicks
        inverse = 0.5 / self._viscosity()
        steps = (self._dx * inverse).unsqueeze(-1) * plan.nodes.unsqueeze(-1)
        frame = plan.frame * steps
        for index, (matrix, reach) in enumerate(
            zip(plan.matrices, plan.reaches, strict=True)
        ):
            before, added = state, frame
            force = None
            if kicks:
                kick, force = kicks[index], kicks[index].force
                state = before + kick.average
                if kick.shape is None:
                    before = state
                else:
                    # The last step ended with the kick that this one begins with.
                    twice = index == 0
                    before = before - kick.average if twice else before
                    shape = inverse.unsqueeze(-1) * kick.shape
                    added = frame - (2 * shape if twice else shape)
            branches = self._picture.branches(before, plan.nodes, force)
            branches = tuple(branch + added for branch in branches)
            state = drift(
                state - plan.frame, branches, self._dx * inverse, matrix, reach
            )
            state = state + plan.frame
        return (state + kicks[-1].average if kicks else state).to(u.dtype)

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def plan(self, t: Any, u: Tensor, dt: Any) -> Plan:
        """Kicks, reaches and matrices of a step; these need numbers, not tensors.

        Raises:
            ValueError: if the step goes back in time, is too short or too long, or the
                viscosity is too small for the precision.
        """
        dt = float(dt)
        if not dt > 0:
            raise ValueError(
                f"Exact evolution cannot go back in time, by a step of {dt:g}: the "
                f"heat equation has no past; take a Runge-Kutta method."
            )
        nodes = gauss_legendre(self._node_count(dt))[0].to(u.device)
        kicks: list[Kick] = []
        if self._kicks is not None:
            splitting = self._splitting
            kicks = self._kicks.of_step(
                splitting, as_time(t, u), dt, nodes, u.shape[-1]
            )
        reaches, frame = self._reaches(u.detach(), dt, kicks)
        kernels = self._matrices(dt, reaches, len(nodes), frame, u.device)
        return Plan(kicks, kernels, reaches, nodes, frame)

    def _node_count(self, dt: float) -> int:
        """Quadrature nodes for the shortest drift."""
        nu = float(self._viscosity().detach().min())
        shortest = min(self._splitting.spec()["drifts"])
        deviation = math.sqrt(2 * nu * shortest * dt)
        needed = math.ceil(self._dx / (_RESOLVED * deviation))
        most = self._nodes or _MOST_NODES
        if needed > most:
            least = (self._dx / (_RESOLVED * most)) ** 2 / (2 * nu * shortest)
            raise ValueError(
                f"A step of {dt:.3g} is too short for cells of {self._dx:.3g}: the "
                f"heat kernel is narrower than the distance of {most} nodes; take "
                f"steps of at least {least:.3g}. Longer ones are more accurate."
            )
        return self._nodes or max(_FEWEST_NODES, needed)

    def _reaches(
        self, u: Tensor, dt: float, kicks: list[Kick]
    ) -> tuple[list[Reach], float]:
        """Reaches that no state of the step exceeds, by the maximum principle.

        Also the frame, a speed in whose neighbourhood the states are.
        """
        dtype = u.dtype
        # A sample that blew up reaches nowhere.
        u = torch.where(u.isfinite(), u, 0.0).double()
        low, high = float(u.min()), float(u.max())
        frame = _frame(low, high)
        viscosity = self._viscosity().detach()
        # The potential in the frame rises by the mean over a period, and varies by
        # `spread` within it.
        mean = float((u.mean(-1) - frame).abs().max())
        spread = _spread(u)
        reaches = []
        for index, t in enumerate(self._splitting.spec()["drifts"]):
            if kicks:
                average = kicks[index].average.detach()
                strength = float(average.abs().max()) * (2 if index == 0 else 1)
                low, high = low - strength, high + strength
                spread += _spread(average) * (2 if index == 0 else 1)
            reach = Reach.cover(
                (low, high),
                t * dt,
                viscosity=float(viscosity.max()),
                dx=self._dx,
                dtype=dtype,
            )
            if max(abs(reach.left), abs(reach.right)) > _MOST_PERIODS * u.shape[-1]:
                raise ValueError(
                    f"A step of {dt:.3g} looks over more than {_MOST_PERIODS} periods "
                    f"of the domain: take shorter steps."
                )
            speed = max(abs(low - frame), abs(high - frame))
            reaches.append(
                self._blocked(reach, u.shape[-1], (spread, mean, speed), viscosity)
            )
        return reaches, frame

    def _blocked(
        self,
        reach: Reach,
        points: int,
        bounds: tuple[float, float, float],
        viscosity: Tensor,
    ) -> Reach:
        """The reach with blocks so long as no exponent overflows."""
        spread, mean, speed = bounds
        smallest = float(viscosity.min())
        exponent = math.inf
        for block in block_lengths(points):
            reach = reach._replace(block=block)
            most = min(spread + mean * reach.cells, speed * reach.cells)
            exponent = most * self._dx / (2 * smallest)
            if exponent <= LARGEST_EXPONENT:
                return reach
        raise ValueError(
            f"The viscosity {smallest:.3g} is too small for this grid: exponents of "
            f"{exponent:.0f} overflow; take at least "
            f"{smallest * exponent / LARGEST_EXPONENT:.3g}, a finer grid, or shorter "
            f"steps."
        )

    def _matrices(
        self,
        dt: float,
        reaches: list[Reach],
        nodes: int,
        frame: float,
        device: torch.device,
    ) -> list[Tensor]:
        """Kernels of the drifts, stored while nothing in them needs gradients."""
        nu = self._viscosity()
        drifts = self._splitting.drifts
        learned = torch.is_grad_enabled() and any(
            isinstance(value, Tensor) and value.requires_grad for value in (nu, *drifts)
        )
        numbers = tuple(nu.detach().flatten().tolist())
        key = (f"{dt:.12g}", tuple(reaches), nodes, numbers, frame, device)
        if key in self._kernels and not learned:
            return self._kernels[key]
        width = (4 * nu[..., 0] / self._dx**2).to(device)
        matrices = [
            kernel_matrix(width * (t * dt), reach, nodes, t * (frame * dt / self._dx))
            for t, reach in zip(drifts, reaches, strict=True)
        ]
        if not learned:
            if len(self._kernels) >= _REMEMBERED:
                del self._kernels[next(iter(self._kernels))]
            self._kernels[key] = matrices
        return matrices


def _frame(low: float, high: float) -> float:
    """A speed near the middle of a range; zero unless the mean flow is strong."""
    if high == low:
        return low
    width = 2.0 ** math.ceil(math.log2(high - low))
    return round((low + high) / 2 / width) * width


def _spread(u: Tensor) -> float:
    """Largest difference between sums along x, without the mean."""
    sums = (u - u.mean(-1, keepdim=True)).cumsum(-1)
    return float((sums.amax(-1) - sums.amin(-1)).max())
