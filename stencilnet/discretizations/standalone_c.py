"""Learned stencils as one header of C."""

import math
from textwrap import indent
from typing import Any

import numpy as np

from stencilnet.discretizations.standalone import Standalone
from stencilnet.discretizations.standalone_formulas import (
    face_flux,
    pointwise,
    source_of,
    title_of,
)

_C = """/* @title@

   NAME_time_derivative(u, u_t, points) writes u_t without forcing, for a field that is
   @surroundings@, at the distance NAME_DX; it was learned on @points@ points. */
#ifndef NAME_H
#define NAME_H
#include <math.h>

typedef @real@ NAME_real;
#define NAME_POINTS @points@
#define NAME_DX @spacing@

@tables@
@maps@

static inline NAME_real NAME_godunov(NAME_real left, NAME_real right) {
  NAME_real a = left > 0 ? left : 0, b = right < 0 ? -right : 0;
  NAME_real m = a > b ? a : b;
  return 0.5 * m * m;
}

@at@

static inline void NAME_dense(const NAME_real *w, const NAME_real *b, int rows,
                              int columns, const NAME_real *in, NAME_real *out) {
  for (int i = 0; i < rows; i++) {
    NAME_real sum = b[i];
    for (int j = 0; j < columns; j++) sum += w[i * columns + j] * in[j];
    out[i] = sum;
  }
}

/* The network's raw numbers for a window, or for its mirror image. */
static inline void NAME_network(const NAME_real *u, int points, int first, int sign,
                                NAME_real *out) {
  NAME_real in[@width@], next[@hidden@];
  for (int j = 0; j < @length@; j++) {
    int place = sign > 0 ? first + j : first + @last@ - j;
    in[j] = sign * NAME_at(u, points, place) / @scale@;
  }
@layers@
}

static inline void NAME_stencil(int number, const NAME_real *raw, NAME_real *c) {
  NAME_real x[@outputs@];
  switch (number) {
@stencils@
  }
}

/* All derivatives at the point i, those at faces at its right face. */
static inline void NAME_derivatives(const NAME_real *u, int points, int i,
                                    NAME_real *d) {
  NAME_real own[@windows@][@outputs@], image[@windows@][@outputs@];
  NAME_real c[@most@], m[@most@];
@read@
@derivatives@
}

@ends@static inline NAME_real NAME_flux(const NAME_real *d) {
  (void)d;
  return @flux@;
}

static inline void NAME_time_derivative(const NAME_real *u, NAME_real *u_t,
                                        int points) {
  NAME_real d[@count@];
@form@
}

#endif
"""
_PERIODIC = """static inline NAME_real NAME_at(const NAME_real *u, int points, int i) {
  i %= points;
  return u[i < 0 ? i + points : i];
}"""
_BOUNDED = """/* What a boundary says of the ghost cell j, counted from the end at
   which u is: step is 1 at the left one and -1 at the right one. */
static inline NAME_real NAME_ghost(const NAME_real *u, int step, int j,
                                   const NAME_real *matrix, const NAME_real *weight,
                                   int near, NAME_real value, int departs) {
  NAME_real base = departs ? u[0] : 0;
  if (j > @furthest@) j = @furthest@;
  NAME_real sum = base + (value - base) * weight[j];
  for (int k = 0; k < near; k++)
    sum += (u[k * step] - base) * matrix[k * @ghosts@ + j];
  return sum;
}

static inline NAME_real NAME_at(const NAME_real *u, int points, int i) {
  if (i < 0) return NAME_ghost(u, 1, -1 - i, @left@);
  if (i >= points) return NAME_ghost(u + points - 1, -1, i - points, @right@);
  return u[i];
}"""
_STATES = """/* The boundaries' own states at the end faces. */
static inline void NAME_ends(int points, int i, NAME_real *d) {
  (void)points;
  (void)i;
  (void)d;
@states@
}

"""


def c_code(operator: Standalone, name: str) -> str:
    """A header of C with `NAME_time_derivative(u, u_t, points)`, without allocation.

    Args:
        operator: from `take_apart`.
        name: an identifier that all names in the header begin with.

    Example:
        >>> from stencilnet import MLP, Burgers, Grid, LearnedStencil
        >>> from stencilnet.discretizations import c_code, take_apart
        >>> learned = LearnedStencil(Burgers(0.02), Grid.line(16, 4.0), network=MLP(8))
        >>> header = c_code(take_apart(learned), "burgers")
        >>> [line for line in header.splitlines() if line.startswith("#define")]
        ['#define burgers_H', '#define burgers_POINTS 16', '#define burgers_DX 0.25']
        >>> print("static" + header.split("static")[-1].split("{")[0])
        static inline void burgers_time_derivative(const burgers_real *u,
            burgers_real *u_t, int points)
    """
    width = max(len(bias) for _, bias in operator.layers)
    tables = "\n".join(
        f"static const {name}_real {name}_w{i}[] = {_flat(weight)};\n"
        f"static const {name}_real {name}_b{i}[] = {_flat(bias)};"
        for i, (weight, bias) in enumerate(operator.layers)
    )
    maps = "\n".join(
        f"static const {name}_real {name}_m{i}[] = {_flat(stencil.matrix)};\n"
        f"static const {name}_real {name}_c{i}[] = {_flat(stencil.offset)};"
        for i, stencil in enumerate(operator.stencils)
    )
    holes = {
        "title": title_of(operator),
        "points": operator.points,
        "real": "float" if operator.dtype == "float32" else "double",
        "spacing": operator.spacing,
        "scale": operator.scale,
        "tables": tables,
        "maps": maps + _c_tables_of_ends(operator),
        "width": max(width, operator.length),
        "hidden": width,
        "length": operator.length,
        "last": operator.length - 1,
        "outputs": len(operator.layers[-1][1]),
        "windows": len(operator.windows),
        "most": max(len(stencil.offset) for stencil in operator.stencils),
        "count": len(operator.stencils),
        "layers": indent(_c_layers(operator), "  "),
        "stencils": indent(_c_stencils(operator), "    "),
        "read": indent(_c_windows(operator), "  "),
        "derivatives": indent(_c_derivatives(operator), "  "),
        **_c_ends(operator),
        "flux": face_flux(operator),
        "form": indent(_c_form(operator), "  "),
    }
    periodic = operator.ends is None
    text = _C.replace("@at@", _PERIODIC if periodic else _BOUNDED)
    text = text.replace("@ends@", "" if periodic else _STATES)
    for hole, value in holes.items():
        text = text.replace(f"@{hole}@", str(value))
    return (
        text.replace("NAME", name)
        .replace("godunov(", f"{name}_godunov(")
        .replace(f"{name}_{name}_", f"{name}_")
    )


def _flat(values: np.ndarray) -> str:
    numbers = [repr(number) for number in values.ravel().tolist()]
    lines = [", ".join(numbers[i : i + 4]) for i in range(0, len(numbers), 4)]
    return "{\n  " + ",\n  ".join(lines) + "}"


def _c_layers(operator: Standalone) -> str:
    lines = []
    last = len(operator.layers) - 1
    for number, (weight, _) in enumerate(operator.layers):
        rows, columns = weight.shape
        target = "out" if number == last else "next"
        tables = f"NAME_w{number}, NAME_b{number}"
        lines.append(f"NAME_dense({tables}, {rows}, {columns}, in, {target});")
        if number != last:
            lines.append(
                f"for (int j = 0; j < {rows}; j++)\n"
                f"  in[j] = next[j] * (0.5 + 0.5 * tanh(0.5 * next[j]));"
            )
    if not last:
        lines.append("(void)next;")
    return "\n".join(lines)


def _c_stencils(operator: Standalone) -> str:
    cases = []
    for number, stencil in enumerate(operator.stencils):
        rows, columns = stencil.matrix.shape
        raw = f"raw[{stencil.start} + j]"
        if math.isfinite(stencil.limit):
            raw = f"{stencil.limit!r} * tanh({raw} / {stencil.limit!r})"
        cases.append(
            f"case {number}:\n"
            f"  for (int j = 0; j < {columns}; j++) x[j] = {raw};\n"
            f"  NAME_dense(NAME_m{number}, NAME_c{number}, {rows}, {columns}, x, c);\n"
            f"  break;"
        )
    return "\n".join(cases)


def _c_windows(operator: Standalone) -> str:
    mirrored = any(stencil.partner >= 0 for stencil in operator.stencils)
    lines = []
    for number, first in enumerate(operator.windows):
        at = f"u, points, i + ({first})"
        lines.append(f"NAME_network({at}, 1, own[{number}]);")
        if mirrored:
            lines.append(f"NAME_network({at}, -1, image[{number}]);")
    if not mirrored:
        lines.append("(void)image;\n(void)m;")
    return "\n".join(lines)


def _c_derivatives(operator: Standalone) -> str:
    blocks = []
    for number, stencil in enumerate(operator.stencils):
        size, window = len(stencil.offset), stencil.window
        lines = [f"NAME_stencil({number}, own[{window}], c);"]
        if stencil.partner >= 0:
            lines += [
                f"NAME_stencil({stencil.partner}, image[{window}], m);",
                f"for (int j = 0; j < {size}; j++)",
                f"  c[j] = 0.5 * (c[j] + ({stencil.parity}) * m[{size - 1} - j]);",
            ]
        lines += [
            f"d[{number}] = 0;",
            f"for (int j = 0; j < {size}; j++)",
            f"  d[{number}] += c[j] * NAME_at(u, points, i + ({stencil.first}) + j);",
            f"d[{number}] *= {stencil.factor!r};",
        ]
        blocks += lines
    return "\n".join(blocks)


def _c_ends(operator: Standalone) -> dict[str, Any]:
    """What fills the holes of a grid with boundaries."""
    if operator.ends is None:
        return {"surroundings": "periodic"}
    least = max(len(end.matrix) for end in operator.ends)
    holes: dict[str, Any] = {
        "surroundings": f"between its boundaries, of {least} points or more",
        "ghosts": len(operator.ends[0].weight),
        "furthest": len(operator.ends[0].weight) - 1,
    }
    lines = []
    for side, end in zip(("left", "right"), operator.ends, strict=True):
        numbers = f"{len(end.matrix)}, {end.value!r}, {int(end.departs)}"
        holes[side] = f"NAME_{side}_matrix, NAME_{side}_weight, {numbers}"
        for state in end.states:
            place = -state.cell if side == "left" else state.cell
            cell = str(place) if side == "left" else f"points - 1 + {place}"
            value = f"{state.factor!r} * d[{state.inner}] + {state.summand!r}"
            lines.append(f"if (i == {cell}) d[{state.number}] = {value};")
    return holes | {"states": indent("\n".join(lines), "  ")}


def _c_tables_of_ends(operator: Standalone) -> str:
    return "".join(
        f"\nstatic const NAME_real NAME_{side}_{part}[] = {_flat(values)};"
        for side, end in zip(("left", "right"), operator.ends or (), strict=False)
        for part, values in (("matrix", end.matrix), ("weight", end.weight))
    )


def _c_form(operator: Standalone) -> str:
    if operator.form == "Convective":
        return (
            "for (int i = 0; i < points; i++) {\n"
            "  NAME_real u_i = u[i];\n"
            "  NAME_derivatives(u, points, i, d);\n"
            f"  u_t[i] = {pointwise(operator)};\n"
            "}"
        )
    first, states = "points - 1", ("", "")
    if operator.ends is not None:
        first = "-1"
        states = ("NAME_ends(points, -1, d);\n", "  NAME_ends(points, i, d);\n")
    return (
        f"NAME_derivatives(u, points, {first}, d);\n{states[0]}"
        "NAME_real before = NAME_flux(d);\n"
        "for (int i = 0; i < points; i++) {\n"
        f"  NAME_derivatives(u, points, i, d);\n{states[1]}"
        "  NAME_real flux = NAME_flux(d);\n"
        f"  u_t[i] = -(flux - before) / NAME_DX{source_of(operator)};\n"
        "  before = flux;\n"
        "}"
    )
