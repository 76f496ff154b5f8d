"""What every equation states about its physics."""

import abc
import copy
import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.errors import as_number, holds


class Equation(abc.ABC):  # noqa: B024
    """An evolution equation on a periodic domain.

        u_t + F(u)_x = sum_p a_p d^p u / dx^p + S(u)

    A subclass, usually a frozen dataclass whose fields are its parameters, overrides
    the parts that it has: `flux` with `speed`, `linear`, `source`. How they combine
    into `u_t`, from point values or cell averages, is the business of a `Form`.

    A parameter is one number, a scalar tensor to differentiate with respect to it, or a
    tensor `(*sample, 1)` with one value for each sample.

    Example:
        >>> from dataclasses import dataclass
        >>> from stencilnet import Equation, Grid, Weno
        >>> @dataclass(frozen=True)
        ... class Cubic(Equation):
        ...     def flux(self, u):
        ...         return u**3 / 3
        ...
        ...     def speed(self, u):
        ...         return u**2
        >>> weno = Weno(Cubic(), Grid.line(32))
        >>> tuple(weno(weno.grid.points().sin()).shape)
        (32,)
    """

    def flux(self, u: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
        """The flux `F(u)`, pointwise; zero by default."""
        return torch.zeros_like(u)

    def speed(self, u: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
        """The characteristic speed `F'(u)`, pointwise.

        Raises:
            ValueError: if the equation has a flux but does not define its speed.
        """
        if self.has_flux:
            raise ValueError(
                f"{type(self).__name__} has a flux but no speed: define speed(u), the "
                f"derivative of its flux."
            )
        return torch.zeros_like(u)

    def riemann(
        self, left: Float[Tensor, "*faces"], right: Float[Tensor, "*faces"]
    ) -> Float[Tensor, "*faces"]:
        """Numerical flux between two states; equal states give `F(u)`.

        By default that of Lax and Friedrichs with the local speed,

            (F(u_l) + F(u_r)) / 2 - max(|F'(u_l)|, |F'(u_r)|) (u_r - u_l) / 2.

        Source: LeVeque (2002), Finite Volume Methods for Hyperbolic Problems, Section
        12.5.
        """
        largest = torch.maximum(self.speed(left).abs(), self.speed(right).abs())
        mean = (self.flux(left) + self.flux(right)) / 2
        return mean - largest * (right - left) / 2

    def linear(self) -> dict[int, float | Tensor]:
        """The coefficients `a_p` of the linear part by order `p`; none by default."""
        return {}

    def source(self, u: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
        """The source `S(u)`, pointwise; zero by default."""
        return torch.zeros_like(u)

    @property
    def has_flux(self) -> bool:
        """Whether the equation defines a flux."""
        return type(self).flux is not Equation.flux

    @property
    def has_source(self) -> bool:
        """Whether the equation defines a source."""
        return type(self).source is not Equation.source

    @property
    def has_speed(self) -> bool:
        """Whether the speed of the flux is known."""
        return not self.has_flux or type(self).speed is not Equation.speed

    def symbol(self, k: Float[Tensor, "*modes"]) -> Tensor:
        """Fourier symbol `sum_p a_p (i k)**p` of the linear part.

        Args:
            k: angular wavenumbers.

        Returns:
            One number per wavenumber, `(*sample, *modes)` where a parameter differs by
            sample; real if all orders are even.
        """
        total = torch.zeros_like(k)
        for order, coefficient in self.linear().items():
            total = total + coefficient * k**order * (1, 1j, -1, -1j)[order % 4]
        return total

    def check(self, name: str, *, least: float = -math.inf, advice: str = "") -> None:
        """Checks a parameter, and converts a number of numpy's to one of Python's.

        For the `__post_init__` of a frozen dataclass.

        Raises:
            ValueError: as `check_parameter`.
        """
        value = getattr(self, name)
        check_parameter(name, value, least=least, advice=advice)
        if not isinstance(value, Tensor):
            object.__setattr__(self, name, as_number(value))

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The parameters that are tensors, by name."""
        return {
            name: value
            for name, value in vars(self).items()
            if isinstance(value, Tensor)
        }

    @property
    def samples(self) -> tuple[int, ...]:
        """Shape of the batch that has parameters of its own, `()` if all are shared."""
        shapes = [value.shape[:-1] for value in self.tensors.values()]
        return tuple(torch.broadcast_shapes(*shapes))  # type: ignore[no-untyped-call]

    def spec(self) -> dict[str, Any]:
        """Name and parameters as plain values, for `equation_from_spec`.

        Raises:
            ValueError: if a parameter differs by sample.
        """
        for name, value in self.tensors.items():
            if value.numel() != 1:
                raise ValueError(
                    f"The {name} of {type(self).__name__} differs by sample: only an "
                    f"equation with one value can be stored."
                )
        parameters = {
            name: value.item() if isinstance(value, Tensor) else float(value)
            for name, value in vars(self).items()
        }
        return {"name": type(self).__name__, **parameters}

    def with_tensors(self, tensors: dict[str, Tensor]) -> "Equation":
        """The same equation with some parameters replaced by tensors.

        Their values are not checked: they may be traced, batched or have no data.
        """
        equation = copy.copy(self)
        for name, value in tensors.items():
            # Equations are frozen; this one is not yet anybody else's.
            object.__setattr__(equation, name, value)
        return equation


def check_parameter(
    name: str, value: float | Tensor, *, least: float = -math.inf, advice: str = ""
) -> None:
    """Raises unless a parameter is finite, large enough, and the same at all points.

    Args:
        name: of the parameter, for the message.
        value: one number, or a tensor `(*sample, 1)`.
        least: the smallest number allowed; a positive one excludes zero only.
        advice: a remedy to append to the message.

    Under `torch.func.vmap`, which hides values, only the shape is checked.
    """
    if isinstance(value, Tensor):
        if value.ndim and value.shape[-1] != 1:
            raise ValueError(
                f"A {name} is one number or has the shape (sample, 1), not "
                f"{tuple(value.shape)}: add an axis, as in value[:, None]."
            )
        known = value.detach()
        # Meta tensors have no values to look at, and torch.func.vmap hides them.
        if known.is_meta or holds((known.isfinite() & (known >= least)).all()):
            return
        numbers = known.flatten().tolist()
    else:
        single = as_number(value)
        if single is None:
            raise ValueError(
                f"A {name} is one number or a tensor of shape (sample, 1), not "
                f"{value!r}."
            )
        numbers = [single]
    for number in numbers:
        if not (math.isfinite(number) and number >= least):
            needed = "finite" if math.isinf(least) else "finite and positive"
            needed = "finite and not negative" if least == 0 else needed
            raise ValueError(f"A {name} is {needed}, but this one is {number}{advice}.")
