"""Learned stencils as a module of Python that needs numpy alone."""

import math
from textwrap import indent

import numpy as np

from stencilnet.discretizations.standalone import Standalone, Stencil
from stencilnet.discretizations.standalone_formulas import (
    face_flux,
    pointwise,
    source_of,
    title_of,
)

_NUMPY = '''
def around(u, first, count):
    places = np.arange(u.shape[-1])[:, None] + first + np.arange(count)
    return u[..., places % u.shape[-1]]


def network(values):
    for number, (weight, bias) in enumerate(LAYERS):
        if number:
            values = values * (0.5 + 0.5 * np.tanh(0.5 * values))
        values = values @ weight.T + bias
    return values


def stencil(number, outputs):
    _, _, _, start, limit, matrix, offset, _, _, _ = STENCILS[number]
    raw = outputs[..., start : start + len(matrix[0])]
    if np.isfinite(limit):
        raw = limit * np.tanh(raw / limit)
    return raw @ np.array(matrix, REAL).T + np.array(offset, REAL)


def chosen(u):
    """Coefficients of each derivative at each point of a periodic field, by name."""
    windows = [around(u, first, LENGTH) / SCALE for first in WINDOWS]
    own = [network(window) for window in windows]
    mirrored = [network(-window[..., ::-1]) for window in windows]
    result = {}
    for number, entry in enumerate(STENCILS):
        name, window, partner, parity = entry[0], entry[1], entry[8], entry[9]
        c = stencil(number, own[window])
        if partner >= 0:
            c = (c + parity * stencil(partner, mirrored[window])[..., ::-1]) / 2
        result[name] = c * entry[7]
    return result


def godunov(left, right):
    return 0.5 * np.maximum(np.maximum(left, 0), -np.minimum(right, 0)) ** 2


def derivatives(u):
    found = chosen(u)
    return [
        (around(u, entry[2], len(entry[6])) * found[entry[0]]).sum(-1)
        for entry in STENCILS
    ]
'''
_PERIODIC = '''

def coefficients(u):
    """Coefficients of each derivative at each point, by name."""
    return chosen(np.asarray(u, REAL))


def time_derivative(u):
    """`u_t` without forcing."""
    u = np.asarray(u, REAL)
    d = derivatives(u)
    u_t = U_T
    return u_t
'''
_BOUNDED = '''

def ghosts(u, matrix, weight, value, departs):
    """The cells beyond an end, from the nearest one on."""
    base = u[..., :1] if departs else REAL(0)
    near = u[..., : len(matrix)] - base
    beyond = near @ np.array(matrix, REAL) + (value - base) * np.array(weight, REAL)
    return base + beyond


def continued(u):
    """A field between its ghost cells."""
    left, right = ghosts(u, *ENDS[0]), ghosts(u[..., ::-1], *ENDS[1])
    return np.concatenate([left[..., ::-1], u, right], axis=-1)


def coefficients(u):
    """Coefficients of each derivative at each point, by name."""
    found = chosen(continued(np.asarray(u, REAL)))
    return {name: c[..., GHOSTS:-GHOSTS, :] for name, c in found.items()}


def time_derivative(u):
    """`u_t` without forcing."""
    u = continued(np.asarray(u, REAL))
    d = derivatives(u)
    within = [values.copy() for values in d]
    for number, place, inner, factor, summand in STATES:
        d[number][..., place] = factor * within[inner][..., place] + summand
    u_t = U_T
    return u_t[..., GHOSTS:-GHOSTS]
'''


def numpy_code(operator: Standalone) -> str:
    """A module of Python that needs numpy only, with `time_derivative(u)`.

    Example:
        >>> import runpy
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from stencilnet import MLP, Burgers, Grid, LearnedStencil
        >>> from stencilnet.discretizations import numpy_code, take_apart
        >>> learned = LearnedStencil(Burgers(0.02), Grid.line(16), network=MLP(8))
        >>> _ = Path("burgers.py").write_text(numpy_code(take_apart(learned)))
        >>> u = learned.grid.points().sin()
        >>> u_t = runpy.run_path("burgers.py")["time_derivative"](u.numpy())
        >>> np.allclose(u_t, learned(u).detach().numpy())
        True
    """
    layers = ",\n".join(
        f"({_nested(weight)},\n {_nested(bias)})" for weight, bias in operator.layers
    )
    stencils = ",\n".join(_python_stencil(stencil) for stencil in operator.stencils)
    return f'''"""{title_of(operator)}

`time_derivative(u)` is `u_t` without forcing, for fields (..., x) on {operator.points}
points at the distance {operator.spacing!r}, {_surroundings(operator)}.
Needs numpy only.
"""

import numpy as np

REAL = np.{operator.dtype}
DX = {operator.spacing!r}
SCALE = {operator.scale!r}
WINDOWS, LENGTH = {list(operator.windows)!r}, {operator.length}
LAYERS = [(np.array(w, REAL), np.array(b, REAL)) for w, b in [
{indent(layers, "    ")}
]]
# Name, window, first cell, first raw number, limit, matrix, offset, dx**-d, partner
# under the mirror (-1 for none), parity.
STENCILS = [
{indent(stencils, "    ")}
]
{_python_ends(operator)}
{_NUMPY}{_python_form(operator)}'''


def _python_stencil(stencil: Stencil) -> str:
    limit = "np.inf" if math.isinf(stencil.limit) else repr(stencil.limit)
    return (
        f"({stencil.name!r}, {stencil.window}, {stencil.first}, {stencil.start}, "
        f"{limit},\n {_nested(stencil.matrix)},\n {_nested(stencil.offset)},\n "
        f"{stencil.factor!r}, {stencil.partner}, {stencil.parity})"
    )


def _nested(values: np.ndarray) -> str:
    return repr(values.tolist()).replace("], [", "],\n  [")


def _surroundings(operator: Standalone) -> str:
    return "periodic" if operator.ends is None else "between its boundaries"


def _python_ends(operator: Standalone) -> str:
    """Tables of the ends; places of states are those in the continued field."""
    if operator.ends is None:
        return ""
    ghosts = len(operator.ends[0].weight)
    ends, states = [], []
    for number, end in enumerate(operator.ends):
        matrix, weight = _nested(end.matrix), _nested(end.weight)
        ends.append(f"({matrix},\n {weight},\n {end.value!r}, {end.departs})")
        for state in end.states:
            place = -ghosts - 1 + state.cell if number else ghosts - state.cell
            numbers = f"{state.number}, {place}, {state.inner}"
            states.append(f"({numbers}, {state.factor!r}, {state.summand!r})")
    table = indent(",\n".join(ends), "    ")
    return (
        f"GHOSTS = {ghosts}\n"
        f"# Of the left and the right end: matrix, weight, prescribed value, whether\n"
        f"# ghosts follow from departures from the nearest cell.\n"
        f"ENDS = [\n{table}\n]\n"
        f"# Derivative, place, derivative within, and the state there from that one.\n"
        f"STATES = [{', '.join(states)}]\n"
    )


def _python_form(operator: Standalone) -> str:
    if operator.form == "Convective":
        lines = f"u_i = u\n    u_t = {pointwise(operator)}"
    else:
        lines = (
            f"flux = {face_flux(operator)} + np.zeros_like(u)\n"
            f"    u_t = -(flux - np.roll(flux, 1, -1)) / DX{source_of(operator)}"
        )
    text = _PERIODIC if operator.ends is None else _BOUNDED
    return text.replace("u_t = U_T", lines)
