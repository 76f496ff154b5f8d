"""What every equation says of itself."""

import abc
import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.grid import Grid
from stencilnet.stencils.moments import Derivative


class Equation(abc.ABC):
    """An evolution equation `u_t = -F(u)_x + L u` on a periodic domain.

    `time_derivative` is what stencil methods take, `flux` and `symbol` are what the
    pseudo-spectral method takes: a term that is neither a flux nor linear, such as a
    nonlinear reaction, has no place in the latter two.

    Attributes:
        requires: derivatives that `time_derivative` reads, by name.
        averages: whether the field holds cell averages rather than point values.
    """

    requires: ClassVar[Mapping[str, Derivative]]
    averages: ClassVar[bool] = False

    @abc.abstractmethod
    def time_derivative(
        self,
        u: Float[Tensor, "*batch x"],
        d: Mapping[str, Float[Tensor, "*batch x"]],
        grid: Grid,
    ) -> Float[Tensor, "*batch x"]:
        """`u_t` from the field and the derivatives that `requires` names."""

    @abc.abstractmethod
    def flux(self, u: Float[Tensor, "*batch x"]) -> Float[Tensor, "*batch x"] | None:
        """Nonlinear flux `F(u)`, pointwise; None where the equation is linear."""

    @abc.abstractmethod
    def symbol(self, k: Float[Tensor, " k"]) -> Tensor:
        """Fourier symbol of the linear part `L` at angular wavenumbers `k`."""

    @property
    def samples(self) -> tuple[int, ...]:
        """Shape of the batch that has parameters of its own, `()` if all are shared."""
        shapes = [
            value.shape[:-1]
            for value in vars(self).values()
            if isinstance(value, Tensor)
        ]
        return tuple(torch.broadcast_shapes(*shapes))  # type: ignore[no-untyped-call]

    def spec(self) -> dict[str, Any]:
        """Name and parameters as plain values, for `equation_from_spec`.

        Raises:
            ValueError: if a parameter differs by sample.
        """
        for name, value in vars(self).items():
            if isinstance(value, Tensor) and value.numel() != 1:
                raise ValueError(
                    f"The {name} of {type(self).__name__} differs by sample: only an "
                    f"equation with one value can be written down."
                )
        fields = {name: float(value) for name, value in vars(self).items()}
        return {"name": type(self).__name__, **fields}


def check_parameter(
    name: str, value: float | Tensor, *, least: float = -math.inf, advice: str = ""
) -> None:
    """Refuses a parameter that is not finite, too small, or differs by point.

    Args:
        name: of the parameter, for the message.
        value: one number, or a tensor `(*sample, 1)`.
        least: the smallest number allowed; a positive one excludes zero only.
        advice: what else the message says.
    """
    if isinstance(value, Tensor):
        if value.ndim and value.shape[-1] != 1:
            raise ValueError(
                f"A {name} is one number or has the shape (sample, 1), not "
                f"{tuple(value.shape)}: add an axis, as in value[:, None]."
            )
        numbers = value.detach().flatten().tolist()
    else:
        numbers = [float(value)]
    for number in numbers:
        if not (math.isfinite(number) and number >= least):
            needed = "finite" if math.isinf(least) else "finite and positive"
            needed = "finite and not negative" if least == 0 else needed
            raise ValueError(f"A {name} is {needed}, but this one is {number}{advice}.")


def divergence(
    flux: Float[Tensor, "*batch x"], grid: Grid
) -> Float[Tensor, "*batch x"]:
    """`(flux[i] - flux[i-1]) / dx`, where `flux[i]` sits at `x_i + dx/2`."""
    return (flux - flux.roll(1, -1)) / grid.spacing[-1]


class FluxForm(Equation):
    """A conservation law for cell averages with one flux across each face.

    `u_t = -(face_flux)_x`, where the flux of equal values on both sides is the
    physical one.
    """

    averages = True

    @abc.abstractmethod
    def face_flux(
        self, d: Mapping[str, Float[Tensor, "*faces"]]
    ) -> Float[Tensor, "*faces"]:
        """Flux, viscous part included, from the values that `requires` names."""

    def time_derivative(
        self,
        u: Float[Tensor, "*batch x"],
        d: Mapping[str, Float[Tensor, "*batch x"]],
        grid: Grid,
    ) -> Float[Tensor, "*batch x"]:
        return -divergence(self.face_flux(d), grid)
