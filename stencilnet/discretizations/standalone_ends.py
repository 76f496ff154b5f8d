"""The ends of a learned stencil's grid, for what runs without this package."""

from dataclasses import dataclass

import numpy as np
import torch

from stencilnet.boundaries import Boundary
from stencilnet.discretizations.ends import Ends
from stencilnet.discretizations.learned import LearnedStencil


@dataclass(frozen=True)
class EndState:
    """The boundary's own state at its face, `factor d_inner + summand`.

    Attributes:
        number: of the derivative that has it, among those of the operator.
        cell: at which that one stands for the face, counted from the cell at the end,
            outwards positive.
        inner: number of the derivative on the face's other side.
        factor, summand: of the state.
    """

    number: int
    cell: int
    inner: int
    factor: float
    summand: float


@dataclass(frozen=True)
class End:
    """What lies beyond one end, seen from there.

    Attributes:
        matrix, weight: of the ghost cells, see `Boundary`.
        value: that is prescribed, 0 for none.
        departs: whether the ghosts follow from departures from the nearest cell, which
            spares float32 the rounding of large weights.
        states: at its face.
    """

    matrix: np.ndarray
    weight: np.ndarray
    value: float
    departs: bool
    states: tuple[EndState, ...]


def ends_of(operator: LearnedStencil) -> tuple[End, End] | None:
    """Both ends as plain numbers, None on a periodic grid.

    Raises:
        ValueError: if a boundary prescribes values in time or by sample, or is one
            whose state at the end is not an affine function of the one within.
    """
    ends = operator.ends
    if ends is None:
        return None
    left, right = ends.boundaries
    return _end(operator, ends, left, "left"), _end(operator, ends, right, "right")


def _end(operator: LearnedStencil, ends: Ends, boundary: Boundary, side: str) -> End:
    refused = (
        f"The boundary {boundary!r} has no formula for export, as those of the package "
        f"with one constant value have: export to torch instead, with format='torch'."
    )
    if boundary.depends_on_time:
        raise ValueError(refused)
    value = boundary.value_at(None, torch.zeros(1, dtype=torch.float64))
    if value is not None:
        if value.numel() != 1:
            raise ValueError(refused)
        value = value.detach()
    matrix, weight = (
        ends.get_constant(f"{side}_{part}", torch.zeros(0, dtype=torch.float64))
        for part in ("matrix", "weight")
    )
    outward, names = -1 if side == "left" else 1, list(operator.form.requires)
    states = []
    for name, inner in ends.faces(outward, operator.form.requires).items():
        within = torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64)
        state = boundary.beyond(within, value)
        if state is None:
            continue
        zero, one, two = state.tolist()
        if abs(two - 2 * one + zero) > 1e-12 * (abs(one) + abs(zero)):
            raise ValueError(refused)
        at_right = operator.form.requires[name].at > 0
        # From the cell at the end, outwards: a right face belongs to the cell before.
        cell = int(at_right) if outward < 0 else int(not at_right)
        states.append(
            EndState(
                number=names.index(name),
                cell=cell,
                inner=names.index(inner),
                factor=one - zero,
                summand=zero,
            )
        )
    return End(
        matrix.cpu().numpy(),
        weight.cpu().numpy(),
        0.0 if value is None else float(value),
        ends.departs(side),
        tuple(states),
    )
