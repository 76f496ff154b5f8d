"""Total variation of first order, one signal, in linear time: dynamic programming.

    min_y sum_i w_i (y_i - x_i)**2 / 2 + weight sum_i |y_(i+1) - y_i|

Going forward, the best value of the first `i` terms as a function of `y_i` has a
derivative that is piecewise linear, increases, and is clipped at `-weight` and `weight`
before the next term is added. Each clip removes the pieces beyond it for good and adds
one, so that all of them together cost linear time, whatever the signal. Going back,
`y_i` is `y_(i+1)` clipped to where the derivative was within the bounds.

Source: Johnson (2013), doi:10.1080/10618600.2012.681238.
"""

from typing import no_type_check

import numpy as np

from stencilnet.denoising.kernels.entry import kernel


@no_type_check
@kernel
def fit_levels(x, w, weight):
    """Solves for one signal of at least two points.

    Args:
        x, w: signal and positive weights, float64.
        weight: of the penalty, positive.

    Returns:
        y, u, knots, gap, as `interior_point.trend_filter` has them.
    """
    n = len(x)
    within = np.empty((n - 1, 2))
    # Breakpoints of the derivative between `first` and `last`: where, and by how much
    # slope and intercept change. They start in the middle and grow to both sides.
    pieces = np.empty((2 * n, 3))
    first, last = n, n - 1
    for i in range(n - 1):
        bound = 0.0 if i == 0 else weight
        # Slope and intercept to the left of all breakpoints, and to the right of them.
        slope, rise, fall = w[i], -w[i] * x[i] - bound, -w[i] * x[i] + bound
        while first <= last:
            if slope * pieces[first, 0] + rise > -weight:
                break
            slope += pieces[first, 1]
            rise += pieces[first, 2]
            first += 1
        low = (-weight - rise) / slope
        within[i, 0] = low
        first -= 1
        left = (low, slope, rise + weight)
        slope = w[i]
        while first + 1 <= last:
            if slope * pieces[last, 0] + fall < weight:
                break
            slope -= pieces[last, 1]
            fall -= pieces[last, 2]
            last -= 1
        high = (weight - fall) / slope
        within[i, 1] = high
        last += 1
        pieces[first, 0], pieces[first, 1], pieces[first, 2] = left
        pieces[last, 0], pieces[last, 1], pieces[last, 2] = high, -slope, weight - fall
    slope, rise = w[n - 1], -w[n - 1] * x[n - 1] - weight
    while first <= last and slope * pieces[first, 0] + rise <= 0.0:
        slope += pieces[first, 1]
        rise += pieces[first, 2]
        first += 1
    y = np.empty(n)
    y[n - 1] = -rise / slope
    for i in range(n - 2, -1, -1):
        y[i] = min(max(y[i + 1], within[i, 0]), within[i, 1])
    return _certified(x, w, weight, y)


@no_type_check
@kernel
def _certified(x, w, weight, y):
    """Levels from their own samples, without what rounding piled up on the way.

    A level is the mean of its samples, moved by the pulls of its two ends. The dual
    variables start afresh at each knot.
    """
    n = len(x)
    u, knots = np.empty(n - 1), np.zeros(n - 1, np.bool_)
    gap, start, before = 0.0, 0, 0.0
    while start < n:
        stop = start + 1
        while stop < n and y[stop] == y[start]:
            stop += 1
        after = 0.0
        if stop < n:
            after = weight if y[stop] > y[start] else -weight
        total, mean = 0.0, 0.0
        for i in range(start, stop):
            # A running mean: its rounding does not grow with the length.
            total += w[i]
            mean += (x[i] - mean) * (w[i] / total)
        level = mean + (after - before) / total
        carried = before
        for i in range(start, stop):
            y[i] = level
            carried += w[i] * (level - x[i])
            if i + 1 < stop:
                excess = abs(carried) - weight
                if excess > 0.0:
                    # Beyond the box by rounding or worse: what pulling it back costs.
                    gap += excess * excess * (1 / w[i] + 1 / w[i + 1])
                u[i] = min(max(carried, -weight), weight)
        if stop < n:
            u[stop - 1], knots[stop - 1] = after, True
        start, before = stop, after
    for j in range(n - 1):
        if knots[j]:
            gap += weight * abs(y[j + 1] - y[j]) - u[j] * (y[j + 1] - y[j])
    return y, u, knots, gap
