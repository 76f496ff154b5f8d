"""Polynomials through cell averages, in exact rational arithmetic.

Cells have unit width and cell `j` covers `[j - 1/2, j + 1/2]`. A functional of the
polynomial of a stencil, such as its value at a face, is a row: one number per cell by
which to multiply the averages.
"""

from collections.abc import Sequence
from fractions import Fraction

Row = list[Fraction]


def monomial_rows(cells: Sequence[int]) -> list[Row]:
    """Coefficients of `s**m` in the polynomial with given averages over `cells`.

    Args:
        cells: as many different whole numbers as the polynomial has coefficients.

    Returns:
        A row per `m`.
    """
    conditions = [[_mean(m, j, j + 1) for m in range(len(cells))] for j in cells]
    identity = [[Fraction(int(i == j)) for j in cells] for i in cells]
    return solve_exactly(conditions, identity)


def value_row(cells: Sequence[int], at: Fraction, derivative: int = 0) -> Row:
    """The polynomial's value, or one of its derivatives, at a position."""
    factors = []
    for m in range(len(cells)):
        factor = Fraction(1)
        for j in range(derivative):
            factor *= m - j
        factors.append(factor * at ** (m - derivative) if factor else Fraction(0))
    return combine(factors, monomial_rows(cells))


def mean_row(cells: Sequence[int], cell: int) -> Row:
    """The polynomial's average over one cell."""
    factors = [_mean(m, cell, cell + 1) for m in range(len(cells))]
    return combine(factors, monomial_rows(cells))


def smoothness_matrix(cells: Sequence[int]) -> list[Row]:
    """The quadratic form `beta = sum_l int (d^l p / ds^l)**2 ds` over cell 0.

    `l` runs from 1 to the degree of the polynomial `p` with the given averages.

    Source: Jiang and Shu (1996), doi:10.1006/jcph.1996.0130, Eq. (3.1).
    """
    rows = monomial_rows(cells)
    form = _monomial_form(len(cells))
    half = [combine(weights, rows) for weights in form]
    columns = zip(*rows, strict=True)
    return [combine(list(column), half) for column in columns]


def smoothness_squares(cells: Sequence[int]) -> list[tuple[Fraction, Row]]:
    """The same quadratic form as a sum of squares `sum_m w_m (row_m . averages)**2`.

    By `L D L.T` on the coefficients of the monomials, the slope first.
    """
    rows = monomial_rows(cells)
    form = [list(weights) for weights in _monomial_form(len(cells))]
    squares = []
    for m in range(1, len(cells)):
        pivot = form[m][m]
        squares.append((pivot, combine([value / pivot for value in form[m]], rows)))
        form = [
            [value - row[m] * form[m][n] / pivot for n, value in enumerate(row)]
            for row in form
        ]
    return squares


def substencils(points: int) -> list[tuple[int, ...]]:
    """The `r` stencils of `r` cells about cell 0, from left to right."""
    return [tuple(range(k - points + 1, k + 1)) for k in range(points)]


def linear_weights(points: int) -> Row:
    """Weights with which the stencils' values at the right face make the whole one's.

    The whole stencil has `2 r - 1` cells about cell 0, its value the order `2 r - 1`.
    """
    face = Fraction(1, 2)
    whole = value_row(range(1 - points, points), face)
    weights: Row = []
    # Stencil k is the last but one to read the cell k + 1 - r.
    for k, cells in enumerate(substencils(points)):
        column = k + 1 - points
        earlier = [
            weight * value_row(other, face)[other.index(column)]
            for weight, other in zip(weights, substencils(points), strict=False)
            if column in other
        ]
        weights.append((whole[k] - sum(earlier)) / value_row(cells, face)[0])
    return weights


def combine(weights: Sequence[Fraction], rows: Sequence[Row]) -> Row:
    """`sum_m weights[m] rows[m]`."""
    return [
        sum((w * value for w, value in zip(weights, column, strict=True)), Fraction(0))
        for column in zip(*rows, strict=True)
    ]


def solve_exactly(
    matrix: Sequence[Sequence[Fraction]], right: Sequence[Sequence[Fraction]]
) -> list[Row]:
    """`X` with `matrix X = right`, by elimination.

    Raises:
        ValueError: if the matrix is singular.
    """
    size = len(matrix)
    rows = [[*a, *b] for a, b in zip(matrix, right, strict=True)]
    for column in range(size):
        pivots = [row for row in range(column, size) if rows[row][column]]
        if not pivots:
            raise ValueError(
                "The conditions on these cells have no unique solution: change the "
                "stencil."
            )
        rows[column], rows[pivots[0]] = rows[pivots[0]], rows[column]
        scale = rows[column][column]
        rows[column] = [value / scale for value in rows[column]]
        for row in range(size):
            factor = rows[row][column]
            if row != column and factor:
                rows[row] = [
                    value - factor * base
                    for value, base in zip(rows[row], rows[column], strict=True)
                ]
    return [row[size:] for row in rows]


def _mean(m: int, start: int, stop: int) -> Fraction:
    """Integral of `s**m` from `start - 1/2` to `stop - 1/2`, one cell apart."""
    left, right = start - Fraction(1, 2), stop - Fraction(1, 2)
    return (right ** (m + 1) - left ** (m + 1)) / (m + 1)


def _monomial_form(size: int) -> list[Row]:
    """`beta` as a quadratic form in the coefficients of `s**m`."""

    def falling(m: int, order: int) -> int:
        product = 1
        for j in range(order):
            product *= m - j
        return product

    def entry(m: int, n: int) -> Fraction:
        orders = range(1, min(m, n) + 1)
        return sum(
            (
                falling(m, p) * falling(n, p) * _mean(m + n - 2 * p, 0, 1)
                for p in orders
            ),
            Fraction(0),
        )

    return [[entry(m, n) for n in range(size)] for m in range(size)]
