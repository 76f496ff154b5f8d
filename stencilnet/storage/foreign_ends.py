"""Domains between boundaries, as files of other programs have them."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from stencilnet.boundaries import Boundary, boundary_from_spec
from stencilnet.errors import as_number
from stencilnet.grid import Grid
from stencilnet.storage.arrays import spacing_of
from stencilnet.storage.foreign_files import Contents

# What files of this package say beside their positions, in most layouts.
_LENGTH = "length"


def ends_of(
    contents: Contents, path: Path | str, boundaries: Any
) -> tuple[Boundary, Boundary] | None:
    """What holds at both ends, as asked for or as a file of this package says it.

    Args:
        contents: of the file.
        path: of the file, for messages.
        boundaries: one for both ends or a pair, values or names; None if not asked for.

    Raises:
        ValueError: if the file has ends that are not told as boundaries, or a boundary
            is unknown.
    """
    if boundaries is not None:
        pair = boundaries if isinstance(boundaries, tuple | list) else [boundaries] * 2
        if len(pair) != 2:
            raise ValueError(
                f"A domain has two ends, left and right, but there are {len(pair)} "
                f"boundaries: give one for both, or two."
            )
        left, right = (
            end if isinstance(end, Boundary) else boundary_from_spec(end)
            for end in pair
        )
        return left, right
    if contents.ends is None:
        return None
    try:
        specs = json.loads(contents.ends)
        if isinstance(specs, list):
            left, right = specs
            return boundary_from_spec(left), boundary_from_spec(right)
        raise ValueError
    except (RecursionError, TypeError, ValueError):
        raise ValueError(
            f"The domain of {path} is no period but has ends ({contents.ends:.200}): "
            f"say what holds there, as in boundaries=('wall', 'outflow'), or give its "
            f"period= if it has one."
        ) from None


def grid_between(
    contents: Contents,
    positions: np.ndarray | None,
    points: int,
    ends: tuple[Boundary, Boundary],
    length: float | None,
    notes: list[str],
) -> dict[str, Any]:
    """The grid of values at the centres of cells, as `trajectories` takes it.

    Raises:
        ValueError: if nothing says the length, it contradicts the positions, or the
            positions reach from end to end.
    """
    said = contents.arrays.get(_LENGTH)
    if length is None and contents.ends and said is not None and said.size == 1:
        length = said.real.item()
    size = None if length is None else as_number(length)
    if length is not None and not (size and 0 < size < np.inf):
        raise ValueError(f"The length must be positive and finite, not {length!r}.")
    if positions is None:
        if size is None:
            raise ValueError(
                "The file has no positions: give length=, that of the domain between "
                "its boundaries."
            )
        return {"grid": Grid.line(points, size, boundaries=ends)}
    if len(positions) != points:
        hint = ", perhaps those of the faces" if len(positions) == points + 1 else ""
        raise ValueError(
            f"There are {len(positions)} positions for {points} values{hint}: give "
            f"those of the centres of cells, x_i = (i + 1/2) dx."
        )
    spacing = spacing_of(positions)
    if size is not None and abs(size - spacing * (points - 1)) < 0.01 * spacing:
        raise ValueError(
            f"The {points} positions reach from one end of the domain to the other, "
            f"but between boundaries values lie at the centres of cells: interpolate "
            f"u to x_i = (i + 1/2) dx."
        )
    if size is not None and abs(size - spacing * points) > 0.01 * spacing:
        raise ValueError(
            f"{points} cells of {spacing:g} make the length {spacing * points:g}, not "
            f"{size:g}: correct x or length."
        )
    start = float(positions[0]) - spacing / 2
    start = 0.0 if abs(start) < 0.01 * spacing else start
    size = spacing * points if size is None else size
    notes.append(
        f"Positions are taken for the centres of cells: the domain reaches from "
        f"{start:g} to {start + size:g}."
    )
    return {"grid": Grid.line(points, size, boundaries=ends), "origin": start}
