"""What every discretization offers."""

import abc
import math
import warnings
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

from stencilnet.discretizations import stability
from stencilnet.discretizations.ends import Ends, EndValues
from stencilnet.display import Displayed
from stencilnet.equations import Equation, Form
from stencilnet.grid import Grid
from stencilnet.solver import Integrator, SemilinearIntegrator
from stencilnet.stencils import ConstantModule

F = TypeVar("F", bound=Form)


class Discretization(Displayed, ConstantModule, abc.ABC):
    """The semi-discrete right-hand side `u -> u_t` of an equation on a grid.

    Forcing is not part of it: `rollout` adds it. A parameter of the equation that is a
    tensor belongs to the module: it moves with `.to()`, and an `nn.Parameter` is one of
    the module's.

    Attributes:
        equation: the equation to discretize.
        grid: the grid to discretize on.
        averages: whether the field holds cell averages rather than point values.
        element: number of points by which the method may be translated; more than
            one where several of them belong together.
        ends: what lies beyond the ends of a grid with boundaries; None for a period.
        takes_boundaries: whether the method knows them.

    Raises:
        ValueError: if the grid has several axes, or boundaries that the method does not
            know.

    Example:
        >>> from stencilnet import Burgers, Discretization, Grid, Weno
        >>> method = Weno(Burgers(viscosity=0.02), Grid.line(32))
        >>> u = method.grid.points().sin()
        >>> u_t = method(u)  # no forcing
        >>> isinstance(method, Discretization), method.averages, tuple(u_t.shape)
        (True, True, (32,))
    """

    element: int = 1
    takes_boundaries: ClassVar[bool] = False

    def __init__(self, equation: Equation, grid: Grid, *, averages: bool) -> None:
        super().__init__()
        if len(grid.shape) != 1:
            raise ValueError(
                f"The methods are one-dimensional, but the grid has {len(grid.shape)} "
                f"axes: give Grid.line(points, length)."
            )
        if not self.takes_boundaries:
            grid.require_periodic(f"Methods of the kind {type(self).__name__}")
        self._equation = equation
        self.grid = grid
        self.averages = averages
        self.ends: Ends | None = None
        for name, value in equation.tensors.items():
            if isinstance(value, nn.Parameter):
                self.register_parameter(_of_equation(name), value)
            else:
                self.register_buffer(_of_equation(name), value, persistent=False)

    @abc.abstractmethod
    def forward(self, u: Float[Tensor, "*batch x"]) -> Float[Tensor, "*batch x"]:
        """`u_t` without forcing."""

    @property
    def depends_on_time(self) -> bool:
        """Whether boundary values depend on time, which `at` takes."""
        return self.ends is not None and self.ends.depends_on_time

    def at(
        self, t: Tensor | None, u: Float[Tensor, "*batch x"]
    ) -> Float[Tensor, "*batch x"]:
        """`u_t` without forcing at a time, a float64 tensor `()` or `(*batch, 1)`."""
        if self.ends is None:
            return self(u)
        self.check_field(u)
        return self.between(u, self.ends.values(u, t))

    def between(
        self, u: Float[Tensor, "*batch x"], values: EndValues
    ) -> Float[Tensor, "*batch x"]:
        """`u_t` without forcing between ends with given values."""
        raise NotImplementedError

    def as_periodic(self, u: Float[Tensor, "*batch x"]) -> Float[Tensor, "*batch x"]:
        """`u_t` of a field of any number of cells, the last next to the first."""
        raise NotImplementedError

    @property
    def equation(self) -> Equation:
        """The equation to discretize, with the parameters that the module holds now."""
        tensors = self._equation.tensors
        held = {name: getattr(self, _of_equation(name)) for name in tensors}
        if any(held[name] is not value for name, value in tensors.items()):
            return self._equation.with_tensors(held)
        return self._equation

    def _current(self, form: F) -> F:
        """A form of `equation`, from one whose parameters may be older."""
        equation = self.equation
        return form if form.equation is equation else form.of(equation)

    def _apply(
        self, fn: Callable[[Tensor], Tensor], recurse: bool = True
    ) -> "Discretization":
        super()._apply(fn, recurse)
        self._equation = self.equation
        return self

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments beside equation and grid with which to build the method."""
        return {}

    def _parts(self) -> dict[str, object]:
        weights = sum(value.numel() for value in self.parameters())
        # A picture has a method of this name.
        scale = getattr(self, "scale", None)
        return {
            "equation": self.equation,
            "grid": self.grid,
            **self.settings,
            **({} if scale is None or callable(scale) else {"scale": scale}),
            **({"weights": weights} if weights else {}),
        }

    def spec(self) -> dict[str, Any]:
        """Everything that defines the method, as plain values."""
        return {
            "method": type(self).__name__,
            "equation": self.equation.spec(),
            "grid": self.grid.spec(),
            "settings": {name: _plain(value) for name, value in self.settings.items()},
        }

    def on(self, grid: Grid, equation: Equation | None = None) -> "Discretization":
        """The same method on another grid, or for other parameters of its equation.

        Raises:
            ValueError: if `equation` is another one.
        """
        return type(self)(self._same_equation(equation), grid, **self.settings)

    def _same_equation(self, equation: Equation | None) -> Equation:
        """The equation for `on`, which may differ in its parameters only."""
        if equation is None:
            return self.equation
        if type(equation) is not type(self._equation):
            raise ValueError(
                f"A method for {type(self._equation).__name__} does not fit "
                f"{type(equation).__name__}: build or train one for it."
            )
        return equation

    def check_field(self, u: Float[Tensor, "*batch x"]) -> None:
        """Raises if a field lives on another grid."""
        if u.shape[-1] != self.grid.shape[-1]:
            raise ValueError(
                f"The field has {u.shape[-1]} points and the grid of the method "
                f"{self.grid.shape[-1]}: put both on one grid."
            )

    def stable_step(
        self,
        u: Float[Tensor, "*batch x"],
        integrator: Integrator,
        *,
        states: int = 9,
        growth: float = 1e-4,
    ) -> float:
        """The largest stable step for fields with the range of `u`.

        The method is linearized about constant states between the extremes of `u`; the
        integrator's stability function gives the step, see `Integrator.stable_step`.

        The values of boundaries count as well where they do not depend on time.

        Frozen coefficients do not prove nonlinear stability: take 0.8 of the limit
        or less. Nor is a stable step an accurate one, see `StableStep`.

        Args:
            u: any fields; only their extremes count.
            integrator: the method that will advance them.
            states: number of constant states.
            growth: see `Integrator.stable_step`.

        Returns:
            The step in units of time, infinite if nothing limits it.

        Raises:
            ValueError: if `u` is empty, not finite or not of floating-point numbers, or
                if there are fewer than 2 states, or if the integrator needs the symbol
                of a linear part that the method does not have.
        """
        if self.ends is not None:
            u = torch.cat([u.flatten(), *self.ends.constant_values(u)])
        levels = stability.constant_states(u, states)
        eigenvalues = self.eigenvalues(levels)
        linear = None
        if isinstance(integrator, SemilinearIntegrator):
            symbol = integrator.linear_symbol(self).detach()
            linear = stability.per_eigenvalue(symbol, eigenvalues)
        return integrator.stable_step(eigenvalues, linear=linear, growth=growth)

    def warn_if_unstable(
        self, u: Float[Tensor, "*batch x"], integrator: Integrator, dt: float
    ) -> None:
        """Warns, naming the limit, if `dt` exceeds the stable step for `u`."""
        limit = self.stable_step(u, integrator)
        # Bisection knows the limit to a few digits only.
        if abs(dt) > limit * (1 + 1e-6):
            warnings.warn(
                f"The step {abs(dt):.3g} exceeds the stability limit {limit:.3g} of "
                f"{type(self).__name__} for this range of u: use at least "
                f"{math.ceil(abs(dt) / limit)} times as many steps.",
                stacklevel=2,
            )

    def eigenvalues(
        self, levels: Float[Tensor, " state"]
    ) -> Complex[Tensor, "states x"]:
        """Eigenvalues about constant `levels`, see `stability.eigenvalues`.

        Between boundaries those of up to 64 cells, with the ends as they are and
        periodic.
        """
        if self.ends is not None:
            return stability.bounded_eigenvalues(self, levels)
        return stability.eigenvalues(
            stability.differentiable(self).forward,
            levels,
            self.grid.shape[-1],
            samples=self.equation.samples,
            element=self.element,
        )

    def linear_symbol(self) -> Complex[Tensor, "*sample mode"]:
        """Fourier symbol of the method's own linear part, per mode of `rfft`.

        That is the method linearized about the state zero: for Burgers' equation the
        symbol of the viscous stencil. It is differentiable with respect to parameters
        of the method and of the equation, and there is one for each sample where a
        parameter of the equation differs by sample.

        Raises:
            ValueError: if the method does not commute with translation by one point.
        """
        self.grid.require_periodic("Fourier symbols, and integrators that take one,")
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
        # The response depends on the graph of the state in any case.
        differentiable = torch.is_grad_enabled() and self.forward(field).requires_grad
        rows = stability.pulse_responses(
            stability.differentiable(self).forward,
            rest,
            self.grid.shape[-1],
            samples=self.equation.samples,
            differentiable=differentiable,
        )
        # The transform of a row of the Jacobian is conjugate to that of a column.
        return torch.fft.rfft(rows[..., 0, 0, :].double()).conj()

    def jacobian(self, u: Float[Tensor, "state x"]) -> Float[Tensor, "state x x"]:
        """Derivative of `u_t` at each point by `u` at each point, about any states."""
        return stability.jacobian(stability.differentiable(self).forward, u)


def _plain(value: Any) -> Any:
    """A setting as plain values: the name of a class, the spec of a value."""
    if isinstance(value, type):
        return value.__name__
    return value.spec() if hasattr(value, "spec") else value


def _of_equation(name: str) -> str:
    """Name under which a module registers a parameter of its equation."""
    return f"equation_{name}"
