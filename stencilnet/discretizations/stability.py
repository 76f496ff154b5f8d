"""Linear stability: eigenvalues of a right-hand side about given states."""

from collections.abc import Callable

import torch
from jaxtyping import Complex, Float
from torch import Tensor

RightHandSide = Callable[[Tensor], Tensor]


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
    fields = levels.detach().reshape(-1, *[1] * len(samples), 1)
    state = fields.repeat(1, *samples, points).requires_grad_()
    with torch.enable_grad():
        u_t = rhs(state)[..., :element]
        first = u_t.flatten(end_dim=-2).sum(0)
        rows = [
            torch.autograd.grad(
                response, state, create_graph=differentiable, retain_graph=True
            )[0]
            for response in first
        ]
    return torch.stack(rows, dim=-2).movedim(0, -3)


def jacobian(
    rhs: RightHandSide, u: Float[Tensor, "state x"]
) -> Float[Tensor, "state x x"]:
    """Derivative of `u_t` at each point by `u` at each point, about any states."""
    state = u.detach().requires_grad_()
    with torch.enable_grad():
        u_t = rhs(state)
    rows = [
        torch.autograd.grad(u_t[:, i].sum(), state, retain_graph=True)[0]
        for i in range(u.shape[-1])
    ]
    return torch.stack(rows, dim=1)
