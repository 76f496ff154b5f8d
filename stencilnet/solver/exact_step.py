"""One step of exact evolution: kicks by the forcing, and drifts by the heat kernel."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.solver.base import as_time, outliving_inference
from stencilnet.solver.cell_picture import CellPicture
from stencilnet.solver.heat_kernel import (
    LARGEST_EXPONENT,
    Reach,
    block_lengths,
    drift,
    gauss_legendre,
    kernel_matrix,
)
from stencilnet.solver.kicks import Kick, Kicks, Within, kicks_within
from stencilnet.solver.problem import refused_under_vmap
from stencilnet.solver.splittings import Splitting

_FEWEST_NODES, _MOST_NODES = 8, 32
# Distance of nodes in standard deviations of the kernel that quadrature resolves.
_RESOLVED = 1.1
# Periods of the domain that a drift may look over.
_MOST_PERIODS = 16
# Lengths of steps and reaches whose kernels are stored.
_REMEMBERED = 16


class Plan(NamedTuple):
    """What a step needs beside the state.

    Attributes:
        kicks: first and last included, or none.
        matrices: kernels of the drifts.
        reach: cells that they take into account.
        nodes: quadrature nodes of a cell.
        frame: speed of the frame in which the drifts are computed.
    """

    kicks: Kick | None
    matrices: list[Tensor]
    reach: Reach
    nodes: Tensor
    frame: float


class ExactStep:
    """A picture under a forcing, with what its steps share.

    Args:
        picture: of the solution within cells.
        forcing: `t -> f`, or none.
        splitting: of each step.
        nodes: quadrature nodes of a cell; none for as many as the kernel needs.
        planned, drifted: the functions of these names, or the same compiled.

    Raises:
        ValueError: if the viscosity is not positive.
    """

    def __init__(
        self,
        picture: CellPicture,
        forcing: Any,
        splitting: Splitting,
        nodes: int | None,
        planned: Callable[..., tuple[Kick, Tensor]],
        drifted: Callable[..., Tensor],
    ) -> None:
        self._picture, self._splitting, self._nodes = picture, splitting, nodes
        self._planned, self._drifted = planned, drifted
        self._kicks = (
            None if forcing is None else Kicks(forcing, picture.grid, splitting)
        )
        self._lengths = splitting.spec()["drifts"]
        self._kernels: dict[Any, list[Tensor]] = {}
        # Reaches only grow, so that a compiled drift meets few of them.
        self._reached: dict[str, Reach] = {}
        self._dx = picture.grid.spacing[-1]
        nu = torch.as_tensor(picture.viscosity, dtype=torch.float64)
        self._viscosity = nu.reshape(*nu.shape[:-1], 1)
        self._numbers: tuple[float, ...] = ()
        if not nu.is_meta:
            self._numbers = tuple(nu.detach().flatten().tolist())
            if not all(number > 0 for number in self._numbers):
                raise ValueError(
                    f"Exact evolution divides by the viscosity, which is "
                    f"{min(self._numbers)} here: take at least about max|u| dx / "
                    f"{2 * LARGEST_EXPONENT:.0f}, or a method with a Riemann solver."
                )

    # What needs numbers is not compiled.
    @torch.compiler.disable(recursive=False)  # type: ignore
    def advance(self, t: Any, u: Tensor, dt: float) -> Tensor:
        """One step, in float64 but for the result.

        Raises:
            ValueError: if the step goes back in time, is too short or too long, or the
                viscosity is too small for the precision.
        """
        kicks, matrices, *fixed, frame = self._plan(t, u, dt)
        state, viscosity = u.double(), self._viscosity.to(u.device)
        for index, matrix in enumerate(matrices):
            kick = None if kicks is None else kicks.at(index)
            state = self._drifted(
                self._picture, state, kick, viscosity, matrix, *fixed, frame
            )
        if kicks is not None:
            state = state + kicks.average[-1]
        return state.to(u.dtype)

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _plan(self, t: Any, u: Tensor, dt: float) -> Plan:
        """Kicks, reach and matrices of a step; these need numbers, not tensors."""
        if not dt > 0:
            raise ValueError(
                f"Exact evolution cannot go back in time, by a step of {dt:g}: the "
                f"heat equation has no past; take a Runge-Kutta method."
            )
        nodes = gauss_legendre(self._node_count(dt))[0].to(u.device)
        kicks, t = None, as_time(t, u)
        if self._kicks is not None and self._kicks.known_within:
            parts = *self._kicks.within(nodes), self._kicks.columns(t)
            kicks, bounds = self._planned(u.detach(), *parts, t, dt, self._dx)
        else:
            if self._kicks is not None:
                kicks = self._kicks.of_averages(t, dt, u.shape[-1])
            bounds = _bounds(u, kicks)
        reach, frame = self._reach(bounds, dt, u)
        kernels = self._matrices(dt, reach, len(nodes), frame, u.device)
        return Plan(kicks, kernels, reach, nodes, frame)

    def _node_count(self, dt: float) -> int:
        """Quadrature nodes for the shortest drift."""
        nu, shortest = min(self._numbers), min(self._lengths)
        deviation = math.sqrt(2 * nu * shortest * dt)
        needed = math.ceil(self._dx / (_RESOLVED * deviation))
        most = self._nodes or _MOST_NODES
        if needed > most:
            least = (self._dx / (_RESOLVED * most)) ** 2 / (2 * nu * shortest)
            raise ValueError(
                f"A step of {dt:.3g} is too short for cells of {self._dx:.3g}: the "
                f"heat kernel is narrower than the distance of {most} nodes; take "
                f"steps of at least {least:.3g}. Longer ones are more accurate; "
                f"steps='stable' takes the step that is recommended."
            )
        return self._nodes or max(_FEWEST_NODES, needed)

    def _reach(self, bounds: Tensor, dt: float, u: Tensor) -> tuple[Reach, float]:
        """A reach that no drift of the step exceeds, by the maximum principle.

        Also the frame, a speed in whose neighbourhood the states are.
        """
        with refused_under_vmap("Exact evolution", "pass the samples as one batch"):
            low = float(bounds[0])
        _, high, *means, spread, added, wider = bounds.tolist()
        frame = _frame(low, high)
        # The potential in the frame rises by the mean over a period, and varies by
        # `spread` within it.
        mean = max(abs(value - frame) for value in means)
        low, high, spread = low - added, high + added, spread + wider
        reach = Reach.cover(
            (low, high),
            max(self._lengths) * dt,
            viscosity=max(self._numbers),
            dx=self._dx,
            dtype=u.dtype,
        )
        points, key = u.shape[-1], f"{dt:.12g}"
        past = self._reached.get(key, reach._replace(block=points))
        reach = Reach(max(past.left, reach.left), max(past.right, reach.right), 1)
        if max(abs(reach.left), abs(reach.right)) > _MOST_PERIODS * points:
            raise ValueError(
                f"A step of {dt:.3g} looks over more than {_MOST_PERIODS} periods "
                f"of the domain: take shorter steps."
            )
        speed = max(abs(low - frame), abs(high - frame))
        block = self._block(reach, points, (spread, mean, speed))
        reach = reach._replace(block=min(block, past.block))
        self._reached[key] = reach
        return reach, frame

    def _block(
        self, reach: Reach, points: int, bounds: tuple[float, float, float]
    ) -> int:
        """The longest block in which no exponent overflows."""
        spread, mean, speed = bounds
        smallest = min(self._numbers)
        exponent = math.inf
        for block in block_lengths(points):
            cells = reach._replace(block=block).cells
            most = min(spread + mean * cells, speed * cells)
            exponent = most * self._dx / (2 * smallest)
            if exponent <= LARGEST_EXPONENT:
                return block
        raise ValueError(
            f"The viscosity {smallest:.3g} is too small for this grid: exponents of "
            f"{exponent:.0f} overflow; take at least "
            f"{smallest * exponent / LARGEST_EXPONENT:.3g}, a finer grid, or shorter "
            f"steps."
        )

    @outliving_inference()
    def _matrices(
        self, dt: float, reach: Reach, nodes: int, frame: float, device: torch.device
    ) -> list[Tensor]:
        """Kernels of the drifts, stored while nothing in them needs gradients."""
        drifts = self._splitting.drifts
        scalars = [self._viscosity, *(t for t in drifts if isinstance(t, Tensor))]
        learned = torch.is_grad_enabled() and any(s.requires_grad for s in scalars)
        key = (f"{dt:.12g}", reach, nodes, frame, device)
        if key in self._kernels and not learned:
            return self._kernels[key]
        width = (4 * self._viscosity[..., 0] / self._dx**2).to(device)
        # Splittings are symmetric: drifts of one length share a kernel.
        kernels = {
            t: kernel_matrix(
                width * (t * dt), reach, nodes, t * (frame * dt / self._dx)
            )
            for t in dict.fromkeys(drifts)
        }
        matrices = [kernels[t] for t in drifts]
        if not learned:
            if len(self._kernels) >= _REMEMBERED:
                del self._kernels[next(iter(self._kernels))]
            self._kernels[key] = matrices
        return matrices


def planned(
    u: Float[Tensor, "*batch x"],
    faces: Within,
    inner: Within,
    columns: Float[Tensor, "4 kick"],
    t: Tensor,
    dt: float | Tensor,
    dx: float | Tensor,
) -> tuple[Kick, Float[Tensor, " bound"]]:
    """The kicks of a step, see `kicks_within`, and the bounds of a state under them."""
    kicks = kicks_within(faces, inner, columns, t, dt, dx)
    return kicks, _bounds(u, kicks)


def drifted(
    picture: CellPicture,
    state: Float[Tensor, "*batch x"],
    kick: Kick | None,
    viscosity: Float[Tensor, "*#batch 1"],
    matrix: Float[Tensor, "*#sample entry face"],
    reach: Reach,
    nodes: Float[Tensor, " node"],
    frame: float | Tensor,
) -> Float[Tensor, "*batch x"]:
    """A state after a kick and the drift that follows it.

    Args:
        picture: of the solution within cells.
        state: cell averages before, in float64.
        kick: one of `Plan.kicks`.
        viscosity: of the picture, in float64.
        matrix: one of `Plan.matrices`.
        reach: as `Plan` has it, as what follows.
        nodes: likewise.
        frame: likewise.
    """
    inverse = 0.5 / viscosity
    scale = picture.grid.spacing[-1] * inverse
    added = frame * scale.unsqueeze(-1) * nodes.unsqueeze(-1)
    before, force = state, None
    if kick is not None:
        state, force = state + kick.average, kick.force
        before = state
        if kick.shape is not None:
            before = state - kick.multiplicity * kick.average
            added = (
                added - kick.multiplicity * inverse.unsqueeze(-1) * kick.shape.within()
            )
    branches = picture.branches(before, nodes, force)
    exponents = tuple(branch + added for branch in branches)
    return frame + drift(state - frame, exponents, scale, matrix, reach)


def _frame(low: float, high: float) -> float:
    """A speed near the middle of a range; zero unless the mean flow is strong."""
    if high == low:
        return low
    width = 2.0 ** math.ceil(math.log2(high - low))
    return round((low + high) / 2 / width) * width


def _bounds(u: Float[Tensor, "*batch x"], kicks: Kick | None) -> Tensor:
    """Bounds of what a step meets.

    Extremes of the state and of its means, the largest spread of its sums, and what
    kicks add to extremes and spreads.
    """
    # A sample that blew up reaches nowhere.
    u = u.detach()
    finite = torch.where(u.isfinite(), u, 0.0).double()
    means = finite.mean(-1)
    extremes = [finite.amin(), finite.amax(), means.amin(), means.amax()]
    bounds = torch.stack([*extremes, _spreads(finite).amax()])
    if kicks is None:
        return torch.cat([bounds, bounds.new_zeros(2)])
    average = kicks.average.detach()[:-1]
    average = average.reshape(len(average), -1, u.shape[-1])
    # Strengths and spreads of each; the first may be taken back before it is made.
    sizes = torch.stack([average.abs().amax(-1), _spreads(average)]).amax(-1)
    return torch.cat([bounds, sizes[:, 0] + sizes.sum(-1)])


def _spreads(u: Float[Tensor, "*batch x"]) -> Float[Tensor, "*batch"]:
    """Largest difference between sums along x, without the mean."""
    sums = (u - u.mean(-1, keepdim=True)).cumsum(-1)
    return sums.amax(-1) - sums.amin(-1)
