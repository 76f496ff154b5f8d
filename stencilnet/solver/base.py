"""The interface of integrators, and the types of what they integrate."""

import abc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from jaxtyping import Complex
from torch import Tensor

RightHandSide = Callable[[Any, Tensor], Tensor]
"""`rhs(t, u) -> u_t`; `t` is a float or a scalar tensor.

Example:
    >>> import torch
    >>> from stencilnet import RK4
    >>> from stencilnet.solver import RightHandSide
    >>> ramp: RightHandSide = lambda t, u: t - u  # u = 2 exp(-t) + t - 1
    >>> u = RK4.step(ramp, 0.0, torch.ones(1).double(), 0.1)
    >>> round(float(u), 4)
    0.9097
"""

Field = Callable[[Tensor], Tensor]
"""`rhs(u) -> u_t` without forcing; see `with_forcing` for one that depends on time.

Example:
    >>> from stencilnet import rollout
    >>> from stencilnet.solver import Field
    >>> logistic: Field = lambda u: u * (1 - u)  # u = 1 / (1 + exp(-t))
    >>> u = rollout(logistic, [0.5], [0.0, 1.0], steps=20)
    >>> round(float(u[-1]), 4)
    0.7311
"""

Forcing = Callable[[Tensor], Tensor]
"""`forcing(t) -> f`, broadcastable to the state.

The time is always a float64 tensor on the device of the state: of shape `()` where all
samples share a clock, and `(*batch, 1)` where each has its own (adaptive steps).
Functions of the module `math` take the first, those of torch take both.

Example:
    >>> import torch
    >>> from stencilnet import rollout
    >>> from stencilnet.solver import Forcing
    >>> tide: Forcing = lambda t: t.cos()
    >>> times = [0.0, torch.pi / 2]
    >>> u = rollout(torch.zeros_like, [0.0, 1.0], times, tide, steps=20)
    >>> u[-1].round(decimals=4).tolist()
    [1.0, 2.0]
"""

Step = Callable[[Any, Tensor, Any], Tensor]
"""`step(t, u, dt) -> u`, the state at `t + dt`; `t` and `dt` are floats or tensors.

Example:
    >>> import torch
    >>> from stencilnet.solver import Euler, Step
    >>> halved: Step = Euler.bind(lambda u: -u, None)
    >>> t, u, dt = 0.0, torch.ones(1), 0.5
    >>> for index in range(3):
    ...     u = halved(t + index * dt, u, dt)
    ...
    >>> float(u)
    0.125
"""

Compile = Callable[[Callable[..., Any]], Callable[..., Any]]
"""Makes a function of tensors and numbers faster."""


class Integrator(abc.ABC):
    """A method that advances `u_t = rhs(u) + forcing(t)` step by step.

    Attributes:
        order: classical order of accuracy.
        compilable: whether `torch.compile` makes its step faster.

    Example:
        >>> import torch
        >>> from stencilnet import RK4, Integrator
        >>> step = RK4.bind(lambda u: -u, None)
        >>> t, u, dt = torch.zeros(()).double(), torch.ones(1).double(), 0.1
        >>> isinstance(RK4, Integrator), round(float(step(t, u, dt)), 6)
        (True, 0.904838)
    """

    compilable: ClassVar[bool] = True

    order: int

    @abc.abstractmethod
    def bind(self, rhs: Field, forcing: Forcing | None) -> Step:
        """One step of this method for a problem, as a function `step(t, u, dt)`.

        What the steps share, such as the coefficients of an exponential method, is
        computed once and belongs to the function. It calls the forcing through
        `evaluate`. The step `dt` may be negative.
        """

    def bind_compiled(
        self,
        rhs: Field,
        forcing: Forcing | None,
        compile: Compile,  # noqa: A002
    ) -> Step:
        """As `bind`, with the step compiled as a whole."""
        return compile(self.bind(rhs, forcing))

    @abc.abstractmethod
    def stable_step(
        self,
        eigenvalues: Complex[Tensor, "*shape"],
        *,
        linear: Complex[Tensor, "*shape"] | None = None,
        growth: float = 1e-4,
    ) -> float:
        """The largest stable `dt` for the eigenvalues of a linearized right-hand side.

        A step is stable if no mode grows by more than `growth` allows and by more than
        the exact solution.

        Args:
            eigenvalues: complex, of any shape, in units of inverse time.
            linear: the share of each eigenvalue that comes from the linear part of the
                equation; methods that treat it exactly or implicitly need it, others
                ignore it.
            growth: rate of growth that counts as none, relative to the fastest mode:
                within a time `t` a mode may grow by `exp(growth max |lambda| t)`. Lower
                it for waves that travel long, where nothing damps this growth.

        Returns:
            The step in units of time, infinite if nothing limits it.

        Raises:
            ValueError: if there are no eigenvalues, if one is not finite, or if
                `linear` is missing.
        """


def with_forcing(rhs: Field, forcing: Forcing | None) -> RightHandSide:
    """`rhs(u) + forcing(t)` as a function of time and state.

    A right-hand side that depends on time itself, as boundary values do, says so by the
    attribute `depends_on_time` and has a method `at(t, u)`, which sees the time as a
    forcing does.
    """
    timed = getattr(rhs, "depends_on_time", False)
    at: Any = getattr(rhs, "at", None) if timed else None

    def forced(t: Any, u: Tensor) -> Tensor:
        u_t: Tensor = rhs(u) if at is None else at(as_time(t, u), u)
        return u_t if forcing is None else u_t + evaluate(forcing, t, u)

    return forced


def evaluate(forcing: Forcing, t: float | Tensor, u: Tensor) -> Tensor:
    """The forcing of a state `u` at a time, which it sees as `Forcing` says.

    Raises:
        ValueError: if its shape does not fit the state, as where it varies in time.

    Example:
        >>> import torch
        >>> from stencilnet.solver import evaluate
        >>> u = torch.zeros(3, 64)
        >>> evaluate(lambda t: 2 * t, 0.5, u)
        tensor(1., dtype=torch.float64)
        >>> evaluate(lambda t: torch.ones(16), 0.5, u)
        Traceback (most recent call last):
            ...
        ValueError: At t = 0.5 the forcing has shape (16,), which does not fit the
        state of shape (3, 64): return one shape at all times.
    """
    force = forcing(as_time(t, u))
    if not fits(force.shape, u.shape):
        raise ValueError(
            f"At t = {_first(t):g} the forcing has shape {tuple(force.shape)}, which "
            f"does not fit the state of shape {tuple(u.shape)}: return one shape at "
            f"all times."
        )
    return force


def fits(shape: Sequence[int], state: Sequence[int]) -> bool:
    """Whether a tensor of a shape can be added to a state, which keeps its own."""
    pairs = zip(reversed(shape), reversed(state), strict=False)
    return len(shape) <= len(state) and all(a in (1, b) for a, b in pairs)


def _first(t: float | Tensor) -> float:
    return float(t.flatten()[0]) if isinstance(t, Tensor) else t


def as_time(t: float | Tensor, u: Tensor) -> Tensor:
    """A time as a float64 tensor on the device of a state."""
    if isinstance(t, Tensor):
        return t
    if u.device.type == "cpu":
        return torch.tensor(t, dtype=torch.float64)
    # A kernel on the device spares a card the wait for a copy.
    return torch.full((), t, dtype=torch.float64, device=u.device)


@contextmanager
def outliving_inference() -> Iterator[None]:
    """A context, also a decorator, for tensors that are stored for later calls.

    One that is made in inference mode cannot be saved for backward, even if a later
    caller asks for gradients. Whether gradients are on stays as it is.
    """
    gradients = torch.is_grad_enabled()
    with torch.inference_mode(False), torch.set_grad_enabled(gradients):
        yield
