"""Linear stability: eigenvalues of a right-hand side about given states."""

import copy
import math
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

RightHandSide = Callable[[Tensor], Tensor]
Method = TypeVar("Method", bound=nn.Module)

# Cells between two ends that show the eigenvalues of any number of them.
_CELLS = 64


def constant_states(
    u: Float[Tensor, "*batch x"], states: int
) -> Float[Tensor, " state"]:
    """Equidistant values between the extremes of a field.

    Raises:
        ValueError: if the field is empty, not finite or not floating-point, or if there
            are fewer than 2 states.
    """
    if states < 2:
        raise ValueError(
            f"A stable step needs at least 2 constant states, the extremes of the "
            f"field, not {states}."
        )
    if not u.is_floating_point() or not u.numel():
        raise ValueError(
            f"A stable step needs a field of floating-point numbers, not {u.numel()} "
            f"of {u.dtype}."
        )
    low, high = u.min().item(), u.max().item()
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(
            "No step is stable for a field with NaN or infinite values: look for the "
            "blow-up before."
        )
    return torch.linspace(low, high, states).to(u)


def eigenvalues(
    rhs: RightHandSide,
    levels: Float[Tensor, " state"],
    points: int,
    *,
    samples: tuple[int, ...] = (),
    element: int = 1,
) -> Complex[Tensor, "states x"]:
    """Eigenvalues of a method linearized about constant states.

    There the method commutes with translation: the responses to the pulses of one
    element give all its eigenvalues at once.

    Args:
        rhs: the method, `u -> u_t`.
        levels: the constant states.
        points: of the grid.
        samples: shape of the batch that has parameters of its own.
        element: number of points by which the method may be translated.

    Returns:
        One per Fourier mode, in the order of `torch.fft.fft`, shape `(state, x)`; where
        an element has several points, as many per Fourier mode of the elements. Where a
        parameter differs by sample, each sample has all the states, one after another.
    """
    rows = pulse_responses(
        rhs, levels, points, samples=samples, element=element, differentiable=False
    ).double()
    # The Jacobian is circulant by blocks, so the transform of its first block row
    # leaves one small matrix per mode; that of a row is conjugate to a column's.
    blocks = rows.reshape(-1, element, points // element, element)
    blocks = torch.fft.fft(blocks, dim=-2).conj()
    if element == 1:
        return blocks.flatten(-3).resolve_conj()
    return torch.linalg.eigvals(blocks.transpose(-3, -2)).flatten(-2)


def bounded_eigenvalues(
    method: Any, levels: Float[Tensor, " state"]
) -> Complex[Tensor, "states x"]:
    """Eigenvalues of a method between boundaries, linearized about constant states.

    The ends are continued about each state, so that it is one that stays as it is. Up
    to 64 cells of the grid's spacing stand for all.

    Eigenvalues do not tell what such a method amplifies on the way: upwind differences
    from an inflow on have one only, whatever their size. What travels between the ends
    is that of the same cells without them, whose eigenvalues come with the others.

    Args:
        method: a `Discretization` with `ends`.
        levels: the constant states.

    Returns:
        One per cell, shape `(row, x)`, with rows for each state, and for each sample
        where a parameter differs by sample, first between the ends, then without them.
    """
    method = differentiable(method)
    points, samples = min(method.grid.shape[-1], _CELLS), method.equation.samples
    points -= points % method.element
    with torch.inference_mode(False), torch.enable_grad():
        states = levels.detach().clone().reshape(-1, *[1] * len(samples), 1)
        values = method.ends.at_level(states)

        def summed(u: Tensor) -> Tensor:
            u_t: Tensor = method.between(u, values)
            return u_t.flatten(end_dim=-2).sum(0)

        rows = _rows(summed, states.repeat(1, *samples, points))
    between = torch.linalg.eigvals(torch.stack(rows, dim=-2).double())
    periodic = eigenvalues(
        method.as_periodic, levels, points, samples=samples, element=method.element
    )
    return torch.cat([between.flatten(end_dim=-2), periodic])


def per_eigenvalue(
    symbol: Complex[Tensor, "*sample mode"], eigenvalues: Complex[Tensor, "states x"]
) -> Complex[Tensor, "states x"]:
    """A symbol in the order of `eigenvalues`.

    Args:
        symbol: one number per mode of `torch.fft.rfft`, for all samples or for each.
        eigenvalues: in the order of `torch.fft.fft`, all states of a sample together.
    """
    points = eigenvalues.shape[-1]
    negative = symbol[..., 1 : (points + 1) // 2].flip(-1).conj()
    rows = torch.cat([symbol, negative], dim=-1).reshape(-1, 1, points)
    states = eigenvalues.shape[0] // rows.shape[0]
    return rows.expand(-1, states, -1).reshape(eigenvalues.shape).to(eigenvalues)


def differentiable(method: Method) -> Method:
    """A method, or a copy of one that was built in inference mode.

    Tensors made in that mode can never be differentiated, copies of them can.
    """
    tensors = (*method.parameters(), *method.buffers())
    if not any(tensor.is_inference() for tensor in tensors):
        return method
    with torch.inference_mode(False):
        return copy.deepcopy(method)


def pulse_responses(
    rhs: RightHandSide,
    levels: Float[Tensor, " state"],
    points: int,
    *,
    samples: tuple[int, ...] = (),
    element: int = 1,
    differentiable: bool = False,
) -> Float[Tensor, "*sample state point x"]:
    """Rows of the Jacobian about constant levels, for the points of one element."""
    # What is made in inference mode cannot be differentiated, copies can.
    with torch.inference_mode(False), torch.enable_grad():
        fields = levels.detach().clone().reshape(-1, *[1] * len(samples), 1)

        def first(state: Tensor) -> Tensor:
            return rhs(state)[..., :element].flatten(end_dim=-2).sum(0)

        state = fields.repeat(1, *samples, points)
        rows = _rows(first, state, differentiable=differentiable)
    return torch.stack(rows, dim=-2).movedim(0, -3)


def jacobian(
    rhs: RightHandSide, u: Float[Tensor, "state x"]
) -> Float[Tensor, "state x x"]:
    """Derivative of `u_t` at each point by `u` at each point, about any states."""
    with torch.inference_mode(False), torch.enable_grad():
        rows = _rows(lambda state: rhs(state).sum(0), u.detach().clone())
    return torch.stack(rows, dim=1)


def _rows(
    function: RightHandSide, state: Tensor, *, differentiable: bool = False
) -> list[Tensor]:
    """Derivative of each component of `function(state)`, a vector, by the state."""
    try:
        state.requires_grad_()
    except RuntimeError:
        # Within transforms of torch.func only its own derivatives compose. They stay
        # differentiable: the tangents of a forward mode do not show in what is read.
        values, pullback, *_ = torch.func.vjp(function, state)
        return [pullback(unit)[0] for unit in torch.eye(len(values)).to(values)]
    return [
        torch.autograd.grad(
            value, state, create_graph=differentiable, retain_graph=True
        )[0]
        for value in function(state)
    ]
