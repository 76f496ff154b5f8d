"""Denoising as a differentiable layer."""

import math
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from stencilnet.denoising.choice import METHODS, Method, choose_weight
from stencilnet.denoising.kernels.batches import pull_back_rows, solve_rows
from stencilnet.denoising.signals import (
    Penalty,
    Rows,
    as_rows,
    penalty_code,
    relative_gap,
    warn_of_gap,
)


class TotalVariation(nn.Module):
    """Signals denoised by a penalty on their differences, with exact gradients.

        argmin_y |y - x|**2 / 2 + weight penalty(D y)

    along the last axis, see `solvers.denoise`. Gradients with respect to `x` and
    `weight` follow from the implicit function theorem at the solution: on the face of
    its knots for `l1`, where the solution is piecewise polynomial. Where a knot is just
    about to appear or to vanish they are one-sided. All is computed in float64 on the
    CPU and comes back in the dtype and on the device of `x`. There are no second
    derivatives.

    Args:
        weight: `lambda`, zero or more; the start of a learned one must be positive.
            "sure", "gcv" or "cv" chooses one for each signal by `choose_weight`, which
            gradients take as given.
        order: of the differences, 1 to 3.
        penalty: "l1", "l2" or "l2_squared".
        periodic: whether the last sample is followed by the first.
        learn: whether `weight` is a parameter; it stays positive, as the exponential of
            what is trained.
        tolerance: of the relative duality gap, past which a warning tells.
        backend: "exact", or "cvxpylayers" for the paper's way, as an independent check.

    Raises:
        ValueError: if a weight is negative or not finite, a learned one zero, or a name
            is unknown.
    """

    def __init__(
        self,
        weight: float | Tensor | Method = 1.0,
        *,
        order: int = 1,
        penalty: Penalty = "l1",
        periodic: bool = False,
        learn: bool = False,
        tolerance: float = 1e-8,
        backend: Literal["exact", "cvxpylayers"] = "exact",
    ) -> None:
        super().__init__()
        if order not in (1, 2, 3):
            raise ValueError(f"Differences have the order 1, 2 or 3, not {order}.")
        if not 0 < tolerance < math.inf:
            raise ValueError(f"The tolerance must be positive, not {tolerance}.")
        if backend not in ("exact", "cvxpylayers"):
            raise ValueError(
                f"There is no backend {backend!r}: use 'exact' or 'cvxpylayers'."
            )
        self.method = weight if isinstance(weight, str) else None
        if self.method is not None and (learn or self.method not in METHODS):
            raise ValueError(
                f"A weight is a number, learned or not, or chosen by one of "
                f"{', '.join(METHODS)} and then not learned: {weight!r} is neither."
            )
        start = 1.0 if isinstance(weight, str) else weight
        given = torch.as_tensor(start, dtype=torch.float64).detach().clone()
        _check(given)
        if learn and not bool((given > 0).all()):
            raise ValueError(
                "A learned weight starts positive, as its logarithm is trained: give a "
                "small one instead of 0."
            )
        self.order = order
        self.penalty = penalty
        self.code = penalty_code(penalty)
        self.periodic = periodic
        self.tolerance = tolerance
        self.backend = backend
        self.learn = learn
        if learn:
            self.log_weight = nn.Parameter(given.log())
        else:
            self.register_buffer("fixed_weight", given)
        self._reference: dict[int, Any] = {}

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
        if not x.is_floating_point():
            raise TypeError(
                f"Signals are floating-point, but these are {x.dtype}: convert them, "
                f"as in x.double()."
            )
        if weight is None and self.method is not None:
            chosen = self._choose(x.detach().double().cpu().numpy())
            weight = torch.from_numpy(chosen)
        elif weight is None:
            weight = self.weight
        else:
            weight = torch.as_tensor(weight)
            _check(weight.detach())
        try:
            weights = weight.to(device=x.device).expand(x.shape[:-1])
        except RuntimeError:
            raise ValueError(
                f"The weights have the shape {tuple(weight.shape)}, but the signals "
                f"are {tuple(x.shape[:-1])}: give one weight, or one per signal."
            ) from None
        if self.backend == "cvxpylayers":
            return self._by_cvxpylayers(x, weights)
        result: Tensor = _Denoise.apply(  # type: ignore[no-untyped-call]
            x, weights, self.order, self.code, self.periodic, self.tolerance
        )
        return result

    def extra_repr(self) -> str:
        return (
            f"order={self.order}, penalty={self.penalty!r}, periodic={self.periodic}, "
            f"learn={self.learn}, backend={self.backend!r}"
        )

    def _choose(self, x: np.ndarray) -> np.ndarray:
        assert self.method is not None, "called with a method only"
        return choose_weight(
            x,
            self.method,
            order=self.order,
            penalty=self.penalty,
            periodic=self.periodic,
        ).weight

    def _by_cvxpylayers(self, x: Tensor, weights: Tensor) -> Tensor:
        # Late, so that nobody else waits for cvxpy to load.
        from stencilnet.denoising.cvxpy_layer import reference_layer

        # The same checks as on the exact way.
        values = x.detach().double().cpu().numpy()
        as_rows(values, self.order, self.periodic, None, None, -1)
        points = x.shape[-1]
        if points not in self._reference:
            self._reference[points] = reference_layer(
                points, self.order, self.penalty, periodic=self.periodic
            )
        return self._reference[points](x, weights)


class _Denoise(torch.autograd.Function):
    """The compiled solvers as a function of signals and weights."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weights: Tensor,
        order: int,
        code: int,
        periodic: bool,
        tolerance: float,
    ) -> Tensor:
        values = x.detach().double().cpu().numpy()
        rows = as_rows(values, order, periodic, None, None, -1)
        given = rows.weights(weights.detach().double().cpu().numpy(), code)
        y, u, knots, gap, value, _, stiffness = solve_rows(
            rows.x,
            rows.precision,
            given,
            code,
            rows.coefficients,
            rows.differences,
            min(tolerance, 1e-8),
        )
        warn_of_gap(relative_gap(gap, value, rows), tolerance)
        ctx.solved = (rows, y, u, knots, stiffness, given, code)
        ctx.shape_of_weights = weights.shape
        ctx.dtype_of_weights = weights.dtype
        return torch.from_numpy(rows.signals(y, np.dtype(np.float64))).to(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        rows: Rows
        rows, y, u, knots, stiffness, weights, code = ctx.solved
        given = gradient.detach().double().cpu().numpy().reshape(rows.x.shape)
        of_x, of_weights = pull_back_rows(
            np.ascontiguousarray(given),
            rows.precision,
            y,
            u,
            knots,
            stiffness,
            weights,
            code,
            rows.coefficients,
            rows.differences,
        )
        # In units of the signals over those of the weights.
        of_weights = of_weights * (rows.scale / rows.weight_unit(code))
        shaped = torch.from_numpy(of_weights).reshape(ctx.shape_of_weights)
        return (
            torch.from_numpy(of_x).reshape(gradient.shape).to(gradient),
            shaped.to(gradient.device, ctx.dtype_of_weights),
            None,
            None,
            None,
            None,
        )


def _check(weight: Tensor) -> None:
    bad = ~(torch.isfinite(weight) & (weight >= 0))
    if bool(bad.any()):
        worst = float(weight[bad].flatten()[0]) if weight.ndim else float(weight)
        raise ValueError(
            f"The weight of a penalty is finite and zero or more, not {worst:g}: "
            f"choose another."
        )
