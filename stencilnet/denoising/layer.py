"""Denoising as a differentiable layer."""

import abc
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from stencilnet.denoising.choice import choose_weight
from stencilnet.denoising.criteria import Criterion, checked_criterion
from stencilnet.denoising.penalties import Penalty, checked_penalty
from stencilnet.denoising.rows import as_rows, check_weight, checked_order
from stencilnet.denoising.solution import TOLERANCE, Solution, solve, warn_of_gap
from stencilnet.errors import as_number, real_number


class DenoisingLayer(nn.Module, abc.ABC):
    """Base of layers that denoise by a penalty on differences.

    Subclasses solve; the weight is a parameter, a buffer or chosen here.

    Args:
        weight: `lambda`, zero or more; the start of a learned one must be positive. A
            criterion chooses one for each signal, constant for gradients.
        order: of the differences, 1 to 3.
        penalty: by default `L1()`.
        periodic: whether the last sample is followed by the first.
        learn: whether `weight` is a parameter; it stays positive, as the exponential of
            the trained number.

    Raises:
        ValueError: if a weight is negative or not finite, or a learned one zero.

    Example:
        >>> import torch
        >>> from stencilnet import TotalVariation
        >>> from stencilnet.denoising import DenoisingLayer, L2Squared
        >>> class Spectral(DenoisingLayer):  # L2Squared() on a circle
        ...     def _solve(self, x, weights):
        ...         waves = torch.fft.rfftfreq(x.shape[-1], dtype=x.dtype)
        ...         damping = 1 + 8 * weights[..., None] * (torch.pi * waves).sin() ** 2
        ...         return torch.fft.irfft(torch.fft.rfft(x) / damping, n=x.shape[-1])
        >>> x = torch.tensor([0.0, 0.0, 1.0, 0.0]).double()
        >>> solved = TotalVariation(0.5, penalty=L2Squared(), periodic=True)(x)
        >>> bool((Spectral(0.5)(x) - solved).abs().max() < 1e-12)
        True
    """

    def __init__(
        self,
        weight: float | Tensor | Criterion = 1.0,
        *,
        order: int = 1,
        penalty: Penalty | None = None,
        periodic: bool = False,
        learn: bool = False,
    ) -> None:
        super().__init__()
        self.order = checked_order(order)
        self.penalty = checked_penalty(penalty)
        self.periodic = periodic
        self.learn = learn
        self.criterion = weight if isinstance(weight, Criterion) else None
        if isinstance(weight, str):
            checked_criterion(weight)
        if self.criterion is not None and learn:
            raise ValueError(
                f"{self.criterion} chooses the weight, which is then not learned: pass "
                f"a number to start from, or drop learn=True."
            )
        given = 1.0 if isinstance(weight, Criterion) else weight
        # torch reads no fractions and no decimals.
        number = None if isinstance(given, Tensor) else as_number(given)
        if number is None and not isinstance(given, Tensor | np.ndarray | list | tuple):
            raise ValueError(
                f"A weight is a number, one per signal or a criterion, not {given!r}."
            )
        start = (
            torch.as_tensor(given if number is None else number, dtype=torch.float64)
            .detach()
            .clone()
        )
        check_weight(start.cpu().numpy())
        if learn and not bool((start > 0).all()):
            raise ValueError(
                "A learned weight starts positive, as its logarithm is trained: pass a "
                "small one instead of 0."
            )
        if learn:
            self.log_weight = nn.Parameter(start.log())
        else:
            self.register_buffer("fixed_weight", start)

    @property
    def weight(self) -> Tensor:
        """`lambda`: a number, or one per signal."""
        return self.log_weight.exp() if self.learn else self.get_buffer("fixed_weight")

    def forward(
        self,
        x: Float[Tensor, "*batch n"],
        weight: Float[Tensor, "*#signals"] | float | None = None,
    ) -> Float[Tensor, "*batch n"]:
        """The denoised signals.

        Args:
            x: signals.
            weight: to use instead of the layer's own, one number or one per signal.

        Raises:
            TypeError: if `x` is not of a floating-point dtype.
            ValueError: if a sample or a weight is not finite, or the signals have not
                more samples than the order.
        """
        if not isinstance(x, Tensor):
            raise TypeError(
                f"A layer denoises a tensor, not {type(x).__name__}: convert it, or "
                f"pass it to denoise_signals, which knows masks and missing values."
            )
        if not x.is_floating_point():
            raise TypeError(
                f"Signals must be floating-point, but these are {x.dtype}: convert "
                f"them, as in x.double()."
            )
        weight = self._weight_for(x, weight)
        try:
            weights = weight.to(device=x.device).expand(x.shape[:-1])
        except RuntimeError:
            raise ValueError(
                f"The weights have the shape {tuple(weight.shape)}, but the signals "
                f"are {tuple(x.shape[:-1])}: give one weight, or one per signal."
            ) from None
        return self._solve(x, weights)

    @abc.abstractmethod
    def _solve(self, x: Tensor, weights: Tensor) -> Tensor:
        """Signals `(*batch, n)` denoised with weights `(*batch,)`."""

    def extra_repr(self) -> str:
        return (
            f"order={self.order}, penalty={self.penalty}, periodic={self.periodic}, "
            f"learn={self.learn}"
        )

    def _weight_for(self, x: Tensor, weight: Tensor | float | None) -> Tensor:
        if weight is not None:
            tensor = torch.as_tensor(weight)
            check_weight(_as_array(tensor))
            return tensor
        if self.criterion is None:
            return self.weight
        choice = choose_weight(
            _as_array(x),
            self.criterion,
            order=self.order,
            penalty=self.penalty,
            periodic=self.periodic,
        )
        return torch.from_numpy(choice.weight)


class TotalVariation(DenoisingLayer):
    """Denoises signals by penalizing their differences, with exact gradients.

        argmin_y |y - x|**2 / 2 + weight penalty(D y)

    along the last axis, see `denoise_signals`. Gradients with respect to `x` and
    `weight` follow from the implicit function theorem at the solution: on the face of
    its knots for `L1()`, where the solution is piecewise polynomial. Where a knot
    appears or vanishes they are one-sided. The computation runs in float64 on the CPU;
    the result has the dtype and the device of `x`. There are no second derivatives.

    Args:
        weight, order, penalty, periodic, learn: see `DenoisingLayer`.
        tolerance: of the relative duality gap, which a warning names if it is missed.

    Raises:
        ValueError: as `DenoisingLayer`, or if the tolerance is not positive.

    Example:
        >>> import torch
        >>> from stencilnet import TotalVariation
        >>> x = torch.tensor([0.0, 0.1, 0.0, 1.0, 0.9, 1.0])
        >>> y = TotalVariation(0.15)(x)
        >>> [round(value, 3) for value in y.tolist()]
        [0.083, 0.083, 0.083, 0.917, 0.917, 0.917]
    """

    def __init__(
        self,
        weight: float | Tensor | Criterion = 1.0,
        *,
        order: int = 1,
        penalty: Penalty | None = None,
        periodic: bool = False,
        learn: bool = False,
        tolerance: float = TOLERANCE,
    ) -> None:
        super().__init__(
            weight, order=order, penalty=penalty, periodic=periodic, learn=learn
        )
        self.tolerance = real_number("The tolerance", tolerance, positive=True)

    def _solve(self, x: Tensor, weights: Tensor) -> Tensor:
        try:
            result: Tensor = _Denoise.apply(  # type: ignore[no-untyped-call]
                x, weights, self.order, self.penalty, self.periodic, self.tolerance
            )
        except RuntimeError as error:
            if "functorch transforms" not in str(error):
                raise
            raise RuntimeError(
                "Denoising runs outside of torch and does not compose with the "
                "transforms of torch.func: use torch.autograd, and pass signals as one "
                "batch."
            ) from error
        return result


class _Denoise(torch.autograd.Function):
    """The compiled solvers as a function of signals and weights."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weights: Tensor,
        order: int,
        penalty: Penalty,
        periodic: bool,
        tolerance: float,
    ) -> Tensor:
        rows = as_rows(_as_array(x), order, periodic)
        scaled = rows.weights(_as_array(weights), penalty)
        solution = solve(rows, scaled, penalty, tolerance)
        warn_of_gap(solution.relative_gap, tolerance)
        ctx.solution = solution
        ctx.shape_of_weights = weights.shape
        ctx.dtype_of_weights = weights.dtype
        return torch.from_numpy(rows.signals(solution.y)).to(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        solution: Solution = ctx.solution
        rows = solution.rows
        pulled = solution.pull_back(_as_array(gradient).reshape(rows.x.shape))
        gradient_x, gradient_weights = pulled
        # In units of the signals over those of the weights.
        unit = rows.scale / rows.weight_unit(solution.penalty)
        by_weight = torch.from_numpy(gradient_weights * unit)
        return (
            torch.from_numpy(gradient_x).reshape(gradient.shape).to(gradient),
            by_weight.reshape(ctx.shape_of_weights).to(
                gradient.device, ctx.dtype_of_weights
            ),
            None,
            None,
            None,
            None,
        )


def _as_array(tensor: Tensor) -> np.ndarray:
    array: np.ndarray = tensor.detach().double().cpu().numpy()
    return array
