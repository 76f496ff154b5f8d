"""What every discretization offers, and what stencil methods share."""

import abc
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import final

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from stencilnet.equations import Equation
from stencilnet.grid import Grid
from stencilnet.solver.runge_kutta import RungeKutta
from stencilnet.stencils.constants import ConstantModule


class Discretization(ConstantModule, abc.ABC):
    """The semi-discrete right-hand side `u -> u_t` of an equation on a grid.

    Forcing is not part of it: `rollout` adds it.

    Attributes:
        equation: what is discretized.
        grid: where.
        element: number of points by which the method may be translated; more than
            one where several of them belong together.
    """

    element: int = 1

    def __init__(self, equation: Equation, grid: Grid) -> None:
        super().__init__()
        if len(grid.shape) != 1:
            raise ValueError(
                f"The methods are one-dimensional, but the grid has {len(grid.shape)} "
                f"axes: give Grid.line(points, length)."
            )
        self.equation = equation
        self.grid = grid

    @abc.abstractmethod
    def forward(self, u: Float[Tensor, "*batch x"]) -> Float[Tensor, "*batch x"]:
        """`u_t` without forcing."""

    def check_field(self, u: Float[Tensor, "*batch x"]) -> None:
        """Refuses a field that lives on another grid."""
        if u.shape[-1] != self.grid.shape[-1]:
            raise ValueError(
                f"The field has {u.shape[-1]} points and the grid of the method "
                f"{self.grid.shape[-1]}: put both on one grid."
            )

    def stable_step(
        self,
        u: Float[Tensor, "*batch x"],
        integrator: RungeKutta,
        *,
        states: int = 9,
        growth: float = 1e-4,
    ) -> float:
        """The largest stable step for fields with the range of `u`.

        The method is linearized about constant states between the extremes of `u`,
        where it commutes with translation: the responses to the pulses of one element
        give all its eigenvalues at once, and `RungeKutta.stable_step` does the rest.

        Frozen coefficients say nothing of nonlinear stability: take 0.8 of the limit
        or so.

        Args:
            u: any fields; only their extremes count.
            integrator: the method that will advance them.
            states: number of constant states.
            growth: see `RungeKutta.stable_step`.

        Returns:
            The step in units of time, infinite if nothing limits it.

        Raises:
            ValueError: if `u` is empty, not finite or not of floating-point numbers, or
                if there are fewer than 2 states.
            TypeError: if the integrator is not explicit.
        """
        if states < 2:
            raise ValueError(
                f"A stable step needs at least 2 constant states, the extremes of the "
                f"field, not {states}."
            )
        if not hasattr(integrator, "stable_step"):
            raise TypeError(
                f"{type(integrator).__name__} has no stability region of its own: its "
                f"step is limited by accuracy, or give an explicit method such as RK4."
            )
        if not u.is_floating_point() or not u.numel():
            raise ValueError(
                f"A stable step needs a field of floating-point numbers, not "
                f"{u.numel()} of {u.dtype}."
            )
        low, high = u.min().item(), u.max().item()
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ValueError(
                "No step is stable for a field with NaN or infinite values: look for "
                "the blow-up before."
            )
        levels = torch.linspace(low, high, states).to(u)
        return integrator.stable_step(self.eigenvalues(levels), growth=growth)

    def warn_if_unstable(
        self, u: Float[Tensor, "*batch x"], integrator: RungeKutta, dt: float
    ) -> None:
        """Warns, naming the limit, if `dt` is past the stable step for `u`."""
        limit = self.stable_step(u, integrator)
        # Bisection knows the limit to a few digits only.
        if abs(dt) > limit * (1 + 1e-6):
            warnings.warn(
                f"The step {abs(dt):.3g} is past the stability limit {limit:.3g} of "
                f"{type(self).__name__} for this range of u: use at least "
                f"{math.ceil(abs(dt) / limit)} times as many substeps.",
                stacklevel=2,
            )

    def eigenvalues(
        self, levels: Float[Tensor, " state"]
    ) -> Complex[Tensor, "states x"]:
        """Eigenvalues of the method linearized about constant `levels`.

        One per Fourier mode, in the order of `torch.fft.fft`, shape `(state, x)`; where
        an element has several points, as many per Fourier mode of the elements. Where a
        parameter of the equation differs by sample, each sample has all the states, one
        after another.
        """
        points, size = self.grid.shape[-1], self.element
        rows = self._pulse_responses(levels, differentiable=False).double()
        # The Jacobian is circulant by blocks, so the transform of its first block row
        # leaves one small matrix per mode; that of a row is conjugate to a column's.
        blocks = rows.reshape(-1, size, points // size, size)
        blocks = torch.fft.fft(blocks, dim=-2).conj()
        if size == 1:
            return blocks.flatten(-3).resolve_conj()
        return torch.linalg.eigvals(blocks.transpose(-3, -2)).flatten(-2)

    def linear_symbol(self) -> Complex[Tensor, "*sample mode"]:
        """Fourier symbol of the method's own linear part, per mode of `rfft`.

        That is the method linearized about the state zero: for Burgers' equation the
        symbol of the viscous stencil. It is differentiable with respect to parameters
        of the method and of the equation, and there is one for each sample where a
        parameter of the equation differs by sample.

        Raises:
            ValueError: if the method does not commute with translation by one point.
        """
        if self.element > 1:
            raise ValueError(
                f"{type(self).__name__} has elements of {self.element} points and so "
                f"no symbol: use an explicit integrator."
            )
        # Weights fix a precision; constants are known in the double one.
        constants = [constant.double() for constant in self.buffers()]
        like = [*self.parameters(), *constants, torch.empty(0).double()][0]
        rest = torch.zeros(1, dtype=like.dtype, device=like.device)
        field = rest.expand(*self.equation.samples, self.grid.shape[-1])
        # The response hangs on the graph of the state in any case.
        differentiable = torch.is_grad_enabled() and self.forward(field).requires_grad
        rows = self._pulse_responses(rest, differentiable=differentiable)
        # The transform of a row of the Jacobian is conjugate to that of a column.
        return torch.fft.rfft(rows[..., 0, 0, :].double()).conj()

    def _pulse_responses(
        self, levels: Float[Tensor, " state"], *, differentiable: bool
    ) -> Float[Tensor, "*sample state point x"]:
        """Rows of the Jacobian about constant levels, for the points of one element."""
        samples = self.equation.samples
        fields = levels.detach().reshape(-1, *[1] * len(samples), 1)
        state = fields.repeat(1, *samples, self.grid.shape[-1]).requires_grad_()
        with torch.enable_grad():
            u_t = self.forward(state)[..., : self.element]
            first = u_t.flatten(end_dim=-2).sum(0)
            rows = [
                torch.autograd.grad(
                    of, state, create_graph=differentiable, retain_graph=True
                )[0]
                for of in first
            ]
        return torch.stack(rows, dim=-2).movedim(0, -3)

    def jacobian(self, u: Float[Tensor, "state x"]) -> Float[Tensor, "state x x"]:
        """Derivative of `u_t` at each point by `u` at each point, about any states."""
        state = u.detach().requires_grad_()
        with torch.enable_grad():
            u_t = self.forward(state)
        rows = [
            torch.autograd.grad(u_t[:, i].sum(), state, retain_graph=True)[0]
            for i in range(u.shape[-1])
        ]
        return torch.stack(rows, dim=1)


class StencilMethod(Discretization):
    """A discretization that supplies derivatives, which the equation combines."""

    @abc.abstractmethod
    def derivatives(
        self, u: Float[Tensor, "*batch x"]
    ) -> dict[str, Float[Tensor, "*batch x"]]:
        """The derivatives that `equation.requires` names."""

    @final  # type: ignore[misc]
    def forward(self, u: Float[Tensor, "*batch x"]) -> Float[Tensor, "*batch x"]:
        self.check_field(u)
        return self.equation.time_derivative(u, self.derivatives(u), self.grid)


def shifted(
    u: Float[Tensor, "*batch x"], indices: Sequence[int]
) -> list[Float[Tensor, "*batch x"]]:
    """The fields `u[i + j]`, one for each of consecutive `j` in `indices`.

    Raises:
        ValueError: as for `patches`.
    """
    points = u.shape[-1]
    padded, start = _padded(u, indices)
    return [
        padded[..., first : first + points]
        for first in range(start, start + len(indices))
    ]


def patches(
    u: Float[Tensor, "*batch x"], indices: Sequence[int]
) -> Float[Tensor, "*batch x points"]:
    """The values `u[i + j]` around each point `i`, for consecutive `j` in `indices`.

    Raises:
        ValueError: if the stencil reaches further than the grid is long.
    """
    padded, start = _padded(u, indices)
    windows = padded.unfold(-1, len(indices), 1)
    return windows[..., start : start + u.shape[-1], :]


def _padded(u: Tensor, indices: Sequence[int]) -> tuple[Tensor, int]:
    """The field with what the indices reach around it, and where `u[indices[0]]` is."""
    before, after = max(-indices[0], 0), max(indices[-1], 0)
    points = u.shape[-1]
    if max(before, after) > points:
        raise ValueError(
            f"A stencil over the cells {indices[0]} to {indices[-1]} does not fit a "
            f"grid of {points} points: refine the grid or narrow the stencil."
        )
    padded = torch.cat([u[..., points - before :], u, u[..., :after]], dim=-1)
    return padded, indices[0] + before


def check_requirements(
    method: str, equation: Equation, allowed: Mapping[str, object]
) -> None:
    """Refuses an equation whose requirements a method does not supply."""
    missing = [name for name in equation.requires if name not in allowed]
    if missing:
        raise ValueError(
            f"{method} supplies {', '.join(allowed)}, but {type(equation).__name__} "
            f"also requires {', '.join(missing)}: choose a form with one-sided face "
            f"values, such as GodunovBurgers."
        )
