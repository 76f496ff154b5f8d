"""The kinds of boundaries, and how each continues a field."""

import abc
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.errors import as_number, whole_number
from stencilnet.stencils import finite_difference_coefficients

# Beyond it extrapolation from cells is nothing but rounding.
_HIGHEST = 30


class Boundary(abc.ABC):
    """What holds at an end of the domain, and how the field goes on beyond it.

    Methods read ghost cells beyond the end. They follow linearly from the cells within,

        ghosts_k = sum_j cells_j matrix_jk + value weight_k,

    where both count from the end: `cells_0` and `ghosts_0` touch it. One of your own is
    a frozen dataclass that derives from this class and writes `continuation`.

    Example:
        >>> from dataclasses import dataclass
        >>> import torch
        >>> from stencilnet import Grid, Weno
        >>> from stencilnet.boundaries import Boundary
        >>> from stencilnet.equations import Advection
        >>> @dataclass(frozen=True)
        ... class Vacuum(Boundary):
        ...     def continuation(self, ghosts, degree, *, averages):
        ...         return torch.zeros(1, ghosts).double(), torch.zeros(ghosts).double()
        ...
        >>> weno = Weno(Advection(1.0), Grid.line(8, 8.0, boundaries=Vacuum()))
        >>> u_t = weno(torch.ones(8).double())
        >>> round(float(u_t.sum()), 6)  # flows out at the right end, and nothing in
        -1.0
    """

    @abc.abstractmethod
    def continuation(
        self, ghosts: int, degree: int, *, averages: bool
    ) -> tuple[Float[Tensor, "cells ghosts"], Float[Tensor, " ghosts"]]:
        """`matrix` and `weight`, in float64.

        Args:
            ghosts: number of ghost cells.
            degree: of the polynomials that ghosts shall continue exactly.
            averages: whether the field holds cell averages rather than point values.
        """

    @property
    def depends_on_time(self) -> bool:
        """Whether the boundary has to be told the time."""
        return False

    def value_at(self, t: Tensor | None, like: Tensor) -> Tensor | None:
        """The value at the end, broadcastable to one per sample; None for none."""
        return None

    def beyond(
        self, within: Float[Tensor, "*batch"], value: Float[Tensor, "*any"] | None
    ) -> Float[Tensor, "*batch"] | None:
        """The state just beyond the end, from the one just within it.

        None leaves it to the reconstruction from ghost cells.
        """
        return None

    def spec(self) -> dict[str, Any]:
        """Its name and its fields, as plain values, for `boundary_from_spec`.

        Raises:
            TypeError: if a class of your own is no dataclass.
        """
        kind = type(self)
        if not hasattr(kind, "__dataclass_fields__"):
            raise TypeError(
                f"The boundary {kind.__name__} is no dataclass, so that its parameters "
                f"are unknown: put @dataclass(frozen=True) above the class."
            )
        names = {known: name for name, known in BOUNDARIES.items()}
        shown = [field.name for field in fields(self) if field.init]  # type: ignore[arg-type]
        values: Any = {name: getattr(self, name) for name in shown}
        given = {name: value for name, value in values.items() if value is not None}
        return {"name": names.get(kind, kind.__name__), **given}


@dataclass(frozen=True)
class Wall(Boundary):
    """A wall, `u = 0`, by odd reflection `u(-x) = -u(x)`.

    Exact for an equation with the mirror symmetry `(x, u) -> (-x, -u)`, such as
    Burgers': the solution is half of the odd periodic one on twice the domain, for any
    method that has the symmetry too. Nothing flows through a wall but momentum: the
    flux of `u` there is that of the numerical flux between `-u` and `u`.

    Example:
        >>> import torch
        >>> from stencilnet import Burgers, Grid, Weno
        >>> from stencilnet.boundaries import Wall
        >>> half, whole = Grid.line(16, 1.0, boundaries=Wall()), Grid.line(32, 2.0)
        >>> walled, periodic = (Weno(Burgers(0.02), grid) for grid in (half, whole))
        >>> u = (3 * half.points()).sin()
        >>> odd = torch.cat([u, -u.flip(-1)])
        >>> bool((walled(u) - periodic(odd)[:16]).abs().max() < 1e-12)
        True
    """

    def continuation(
        self, ghosts: int, degree: int, *, averages: bool
    ) -> tuple[Float[Tensor, "cells ghosts"], Float[Tensor, " ghosts"]]:
        return -torch.eye(ghosts).double(), torch.zeros(ghosts).double()


@dataclass(frozen=True)
class ZeroSlope(Boundary):
    """No slope, `u_x = 0`, by even reflection `u(-x) = u(x)`.

    Example:
        >>> import math
        >>> from stencilnet import FiniteDifference, Grid
        >>> from stencilnet.boundaries import ZeroSlope
        >>> from stencilnet.equations import AdvectionDiffusion
        >>> heat = AdvectionDiffusion(velocity=0.0, diffusivity=1.0)
        >>> grid = Grid.line(32, math.pi, boundaries=ZeroSlope())
        >>> u = grid.points().cos()  # u_xx = -u, without slope at both ends
        >>> u_t = FiniteDifference(heat, grid, order=4)(u)
        >>> bool((u_t + u).abs().max() < 1e-5)
        True
    """

    def continuation(
        self, ghosts: int, degree: int, *, averages: bool
    ) -> tuple[Float[Tensor, "cells ghosts"], Float[Tensor, " ghosts"]]:
        return torch.eye(ghosts).double(), torch.zeros(ghosts).double()


@dataclass(frozen=True)
class Prescribed(Boundary):
    """A prescribed value, `u = value`, such as that of an inflow.

    Ghost cells lie on the polynomial through the value at the end and the nearest
    cells, of the degree that the method is exact for, so stencils keep their moment
    conditions and their order. At the face itself the state beyond is the value: a
    numerical flux sees it on one side and the solution on the other, which takes the
    value where the flow comes in and lets it pass where it goes out.

    Attributes:
        value: a number; a tensor `()` or `(*sample, 1)`, which may need gradients; or a
            function of time that returns one of these. It sees the time of the stage
            as a float64 tensor as a forcing does: `()`, or `(*batch, 1)` under adaptive
            steps. Runge-Kutta methods lose order near an end whose value varies with
            time, to as few as two in the largest error of long steps.

    Raises:
        ValueError: if the value is not finite, or a tensor of another shape.

    Example:
        >>> from stencilnet import FiniteDifference, Grid
        >>> from stencilnet.boundaries import Prescribed
        >>> from stencilnet.equations import AdvectionDiffusion
        >>> heat = AdvectionDiffusion(velocity=0.0, diffusivity=1.0)
        >>> grid = Grid.line(16, 2.0, boundaries=(Prescribed(1.0), Prescribed(0.0)))
        >>> u = 1 - grid.points() / 2  # steady between the two values
        >>> bool(FiniteDifference(heat, grid)(u).abs().max() < 1e-12)
        True
    """

    value: float | Tensor | Callable[[Tensor], Any]

    def __post_init__(self) -> None:
        if callable(self.value):
            return
        if isinstance(self.value, Tensor):
            _check_shape(self.value)
            return
        number = as_number(self.value)
        if number is None or not math.isfinite(number):
            raise ValueError(
                f"A prescribed value is a finite number, a tensor or a function of "
                f"time, not {self.value!r}."
            )
        object.__setattr__(self, "value", number)

    def continuation(
        self, ghosts: int, degree: int, *, averages: bool
    ) -> tuple[Float[Tensor, "cells ghosts"], Float[Tensor, " ghosts"]]:
        # The nearest ghost is what gives the end, at offset 1/2 from it, its value.
        offsets = [cell - 0.5 for cell in range(degree + 1)]
        at_end = finite_difference_coefficients(offsets, 0, averages=averages)
        first, weight = -at_end[1:] / at_end[0], 1 / at_end[0]
        rows = _extrapolation(ghosts, range(-1, degree))
        matrix = rows[1:] + first.unsqueeze(-1) * rows[0]
        return matrix, weight * rows[0]

    def spec(self) -> dict[str, Any]:
        """As the base class.

        Raises:
            ValueError: if the value is a function of time, or differs by sample.
        """
        value = self.value
        if callable(value) or (isinstance(value, Tensor) and value.numel() > 1):
            kind = "a function of time" if callable(value) else "one value per sample"
            raise ValueError(
                f"Stores and configs keep a prescribed value that is one number, not "
                f"{kind}: keep the code that makes it beside them."
            )
        return {"name": "prescribed", "value": float(value)}

    @property
    def depends_on_time(self) -> bool:
        return callable(self.value)

    def value_at(self, t: Tensor | None, like: Tensor) -> Tensor | None:
        value = self.value
        if callable(value):
            if t is None:
                raise ValueError(
                    "A prescribed value depends on time: solve by rollout, or evaluate "
                    "the method by at(t, u)."
                )
            value = value(t)
        # By way of double precision, which numbers of Python have.
        if not isinstance(value, Tensor):
            value = torch.tensor(value, dtype=torch.float64)
        _check_shape(value)
        return value.to(like.device, like.dtype)

    def beyond(
        self, within: Float[Tensor, "*batch"], value: Float[Tensor, "*any"] | None
    ) -> Float[Tensor, "*batch"] | None:
        if value is None:
            return None
        return (value if value.ndim == 0 else value.squeeze(-1)).expand_as(within)


@dataclass(frozen=True)
class Outflow(Boundary):
    """An open end: the field goes on beyond it as it comes.

    Ghost cells continue the polynomial through the nearest cells, so stencils near the
    end are one-sided ones; the flux through it is that of the state within. For what
    leaves the domain; nothing is known of what would enter.

    Viscosity lets the end be felt upstream, over a length of `nu / speed`: the solution
    is one whose derivative of order `degree + 1` vanishes there. From the one without
    an end it differs by about that derivative times `(nu / speed)**(degree + 1)`,
    however fine the grid is.

    Attributes:
        degree: of the polynomial; by default the one that the method is exact for. Zero
            repeats the last cell, which is of first order and leaves shocks calmest.

    Raises:
        ValueError: if the degree is no whole number from 0 to 30.

    Example:
        >>> from stencilnet.boundaries import Outflow
        >>> matrix, weight = Outflow().continuation(1, degree=2, averages=True)
        >>> matrix.T.round(decimals=9).tolist()  # of the nearest cells in the ghost
        [[3.0, -3.0, 1.0]]
        >>> matrix, weight = Outflow(degree=0).continuation(1, degree=2, averages=True)
        >>> matrix.T.round(decimals=9).tolist()
        [[1.0]]
    """

    degree: int | None = None

    def __post_init__(self) -> None:
        if self.degree is not None:
            degree = whole_number("The degree of an outflow", self.degree, least=0)
            if degree > _HIGHEST:
                raise ValueError(
                    f"The degree of an outflow is at most {_HIGHEST}, not {degree}: "
                    f"take a lower one, as extrapolation grows with it."
                )
            object.__setattr__(self, "degree", degree)

    def continuation(
        self, ghosts: int, degree: int, *, averages: bool
    ) -> tuple[Float[Tensor, "cells ghosts"], Float[Tensor, " ghosts"]]:
        own = degree if self.degree is None else self.degree
        return _extrapolation(ghosts, range(own + 1)), torch.zeros(ghosts).double()

    def beyond(
        self, within: Float[Tensor, "*batch"], value: Float[Tensor, "*any"] | None
    ) -> Float[Tensor, "*batch"] | None:
        return within


BOUNDARIES: Mapping[str, type[Boundary]] = MappingProxyType(
    {
        "wall": Wall,
        "zero_slope": ZeroSlope,
        "prescribed": Prescribed,
        "outflow": Outflow,
    }
)
"""Boundaries by the names that configs and stores use.

Example:
    >>> from stencilnet.boundaries import BOUNDARIES
    >>> list(BOUNDARIES)
    ['wall', 'zero_slope', 'prescribed', 'outflow']
    >>> BOUNDARIES["outflow"](degree=1).spec()
    {'name': 'outflow', 'degree': 1}
"""


def _extrapolation(ghosts: int, cells: range) -> Float[Tensor, "cells ghosts"]:
    """Weights of cells in the polynomial through them, at the cells -1, -2, ...

    The averages of a polynomial over equal cells are one of the same degree in their
    number, so these weights serve averages and point values alike.
    """
    columns = [
        finite_difference_coefficients([float(cell + 1 + k) for cell in cells], 0)
        for k in range(ghosts)
    ]
    return torch.stack(columns, dim=-1)


def _check_shape(value: Tensor) -> None:
    if value.ndim and value.shape[-1] != 1:
        raise ValueError(
            f"A prescribed value is one number or has the shape (sample, 1), not "
            f"{tuple(value.shape)}: add an axis, as in value[:, None]."
        )
