"""Least squares with the differences of a signal: compiled, banded, without squaring.

Everything here solves

    min_v |W**-1/2 (D.T v - f)|**2 + |g v - h|**2

for the `m` dual variables `v` of the differences `D` of order `k`, with diagonal `W`
and `g`, by Givens rotations of a matrix with `k + 1` diagonals. The normal equations
would square a condition number that grows like `n**k`; the residual of the fit, which
is what a denoised signal is made of, comes from the rotations and does not feel it.

With periodic ends the differences wrap around, which couples everything to the last `k`
columns: the border.
"""

from typing import no_type_check

import numpy as np

from stencilnet.denoising.kernels.entry import kernel


def difference_coefficients(order: int) -> np.ndarray:
    """Coefficients of `(D y)_j = sum_i c_i y_(j+i)`, such as (1, -2, 1)."""
    coefficients = np.ones(1)
    for _ in range(order):
        coefficients = np.convolve(coefficients, [-1.0, 1.0])
    return coefficients


@no_type_check
@kernel
def inner_product(a, b):
    """`a . b`; numba's takes seconds to compile and rounds as one BLAS or another."""
    total = 0.0
    for j in range(len(a)):
        total += a[j] * b[j]
    return total


@no_type_check
@kernel
def copy_into(out, values):
    """`out[:] = values` of one length; numba's own takes seconds to compile."""
    for j in range(len(out)):
        out[j] = values[j]


@no_type_check
@kernel
def differences(y, coefficients, m, out):
    """`D y`, which wraps around where `m` equals the number of points."""
    n, k = len(y), len(coefficients) - 1
    for j in range(m):
        total = 0.0
        for lag in range(k + 1):
            i = j + lag
            total += coefficients[lag] * y[i if i < n else i - n]
        out[j] = total


@no_type_check
@kernel
def adjoint_differences(u, coefficients, n, out):
    """`D.T u`."""
    m, k = len(u), len(coefficients) - 1
    out[:] = 0.0
    for j in range(m):
        for lag in range(k + 1):
            i = j + lag
            out[i if i < n else i - n] += coefficients[lag] * u[j]


@no_type_check
@kernel
def _adjoint_row(i, first, coefficients, root_w, free, row, edge):
    """Row `i` of `W**-1/2 D.T`: from column `first` on, and in those of the border.

    It has the columns `i - k` to `i`, counted around with periodic ends.
    """
    m, b = len(free), len(edge)
    inner = m - b
    row[:] = 0.0
    edge[:] = 0.0
    for lag in range(len(coefficients)):
        j = i - lag
        if j < 0:
            if b == 0:
                continue
            j += m
        if j >= m or not free[j]:
            continue
        value = coefficients[lag] / root_w[i]
        if j >= inner:
            edge[j - inner] += value
        else:
            row[j - first] = value


@no_type_check
@kernel
def factorize(coefficients, root_w, g, free, band, border, cosines, sines):
    """Triangular factor of the stacked rows, and the rotations that lead to it.

    Args:
        coefficients: of the differences, `k + 1` of them.
        root_w: square roots of `W`, one per point, positive.
        g: one per dual variable, zero or more.
        free: which dual variables are not held at zero.
        band: out, `(m, k + 1)`: the rows of the factor from the diagonal on.
        border: out, `(m, b)`: their entries in the last `b` columns; `b` is `k` for
            periodic ends, 0 otherwise, and the band leaves these columns out.
        cosines, sines: out, `(n, 2 k + 1)`: rotations of each row of `D.T`.
    """
    n, k = len(root_w), len(coefficients) - 1
    m, b = border.shape
    inner = m - b
    row, edge = np.zeros(k + 1), np.zeros(b)
    for j in range(m):
        for lag in range(k + 1):
            band[j, lag] = 0.0
        for lag in range(b):
            border[j, lag] = 0.0
        start = g[j] if free[j] else 1.0
        if j < inner:
            band[j, 0] = start
        else:
            border[j, j - inner] = start
    for i in range(n):
        first = max(i - k, 0)
        last = min(i, inner - 1)
        _adjoint_row(i, first, coefficients, root_w, free, row, edge)
        place = 0
        for j in range(first, last + 1):
            pivot, value = band[j, 0], row[0]
            size = np.sqrt(pivot * pivot + value * value)
            if value == 0.0 or size == 0.0:
                c, s = 1.0, 0.0
            else:
                c, s = pivot / size, value / size
                band[j, 0] = size
                for lag in range(1, k + 1):
                    upper, lower = band[j, lag], row[lag]
                    band[j, lag] = c * upper + s * lower
                    row[lag] = c * lower - s * upper
                for lag in range(b):
                    upper, lower = border[j, lag], edge[lag]
                    border[j, lag] = c * upper + s * lower
                    edge[lag] = c * lower - s * upper
            for lag in range(k):
                row[lag] = row[lag + 1]
            row[k] = 0.0
            cosines[i, place], sines[i, place] = c, s
            place += 1
        for lag in range(b):
            j = inner + lag
            pivot, value = border[j, lag], edge[lag]
            size = np.sqrt(pivot * pivot + value * value)
            if value == 0.0 or size == 0.0:
                c, s = 1.0, 0.0
            else:
                c, s = pivot / size, value / size
                border[j, lag] = size
                for r in range(lag + 1, b):
                    upper, lower = border[j, r], edge[r]
                    border[j, r] = c * upper + s * lower
                    edge[r] = c * lower - s * upper
            cosines[i, place], sines[i, place] = c, s
            place += 1


@no_type_check
@kernel
def rotate(cosines, sines, k, b, upper, lower):
    """Applies the rotations to a right-hand side, `upper` (m) over `lower` (n)."""
    n, m = len(lower), len(upper)
    inner = m - b
    for i in range(n):
        value = lower[i]
        place = 0
        for j in range(max(i - k, 0), min(i, inner - 1) + 1):
            c, s = cosines[i, place], sines[i, place]
            upper[j], value = c * upper[j] + s * value, c * value - s * upper[j]
            place += 1
        for j in range(inner, m):
            c, s = cosines[i, place], sines[i, place]
            upper[j], value = c * upper[j] + s * value, c * value - s * upper[j]
            place += 1
        lower[i] = value


@no_type_check
@kernel
def rotate_back(cosines, sines, k, b, upper, lower):
    """Undoes `rotate`."""
    n, m = len(lower), len(upper)
    inner = m - b
    for i in range(n - 1, -1, -1):
        value = lower[i]
        first, last = max(i - k, 0), min(i, inner - 1)
        place = max(last - first + 1, 0) + b - 1
        for j in range(m - 1, inner - 1, -1):
            c, s = cosines[i, place], sines[i, place]
            upper[j], value = c * upper[j] - s * value, c * value + s * upper[j]
            place -= 1
        for j in range(last, first - 1, -1):
            c, s = cosines[i, place], sines[i, place]
            upper[j], value = c * upper[j] - s * value, c * value + s * upper[j]
            place -= 1
        lower[i] = value


@no_type_check
@kernel
def substitute(band, border, v):
    """Solves the triangular system in place; a column without a pivot gets zero."""
    m, width = band.shape
    b = border.shape[1]
    inner = m - b
    for j in range(m - 1, -1, -1):
        total = v[j]
        if j >= inner:
            pivot = border[j, j - inner]
            for lag in range(j - inner + 1, b):
                total -= border[j, lag] * v[inner + lag]
        else:
            pivot = band[j, 0]
            for lag in range(1, width):
                if j + lag < inner:
                    total -= band[j, lag] * v[j + lag]
            for lag in range(b):
                total -= border[j, lag] * v[inner + lag]
        v[j] = total / pivot if pivot != 0.0 else 0.0


@no_type_check
@kernel
def substitute_transposed(band, border, v):
    """Solves with the transposed triangular factor in place."""
    m, width = band.shape
    b = border.shape[1]
    inner = m - b
    for j in range(m):
        if j < inner:
            v[j] /= band[j, 0]
            for lag in range(1, width):
                if j + lag < inner:
                    v[j + lag] -= band[j, lag] * v[j]
            for lag in range(b):
                v[inner + lag] -= border[j, lag] * v[j]
        else:
            v[j] /= border[j, j - inner]
            for lag in range(j - inner + 1, b):
                v[inner + lag] -= border[j, lag] * v[j]
