"""The weight of the penalty from a list, against clean signals."""

import numpy as np
from jaxtyping import Float

from stencilnet.denoising.choice import Choice
from stencilnet.denoising.criteria import smoothest
from stencilnet.denoising.inputs import read_numbers, with_nan
from stencilnet.denoising.penalties import Penalty, checked_penalty
from stencilnet.denoising.rows import as_rows, check_weight
from stencilnet.denoising.solution import solve


def search_weight(
    signals: Float[np.ndarray, "*signals n"],
    clean: Float[np.ndarray, "*signals n"],
    weights: Float[np.ndarray, " candidates"],
    *,
    order: int = 1,
    penalty: Penalty | None = None,
    periodic: bool = False,
) -> Choice:
    """The one weight of a list with the least error against clean signals.

    Among weights whose errors differ by rounding the largest wins.

    Args:
        signals, clean: noisy signals, and the clean one of each.
        weights: to try, zero or more.
        order, penalty, periodic: as in `denoise_signals`.

    Raises:
        ValueError: as `denoise_signals`, or if there are no weights or the shapes
            differ.

    Example:
        >>> import numpy as np
        >>> from stencilnet.denoising import search_weight
        >>> clean = np.repeat([0.0, 1.0], 100)
        >>> noise = np.random.default_rng(0).normal(scale=0.1, size=200)
        >>> weights = np.array([0.01, 0.1, 1.0, 10.0])
        >>> choice = search_weight(clean + noise, clean, weights)
        >>> float(choice.weight), choice.curve.round(4)
        (1.0, array([0.0074, 0.0016, 0.0003, 0.0114]))
    """
    penalty = checked_penalty(penalty)
    candidates = np.sort(read_numbers(weights, "weights").reshape(-1))
    if not len(candidates):
        raise ValueError("A search needs at least one weight to try.")
    check_weight(candidates)
    target = with_nan(clean)
    if np.shape(signals) != target.shape or not target.size:
        raise ValueError(
            f"A search needs noisy and clean signals of one shape, not "
            f"{np.shape(signals)} and {target.shape}: pass a clean signal for each."
        )
    if not np.isfinite(target).all():
        raise ValueError("The clean signals of a search must be finite.")
    rows = as_rows(signals, order, periodic)
    target = target.reshape(rows.x.shape)
    errors = np.empty(len(candidates))
    for index, weight in enumerate(candidates):
        solution = solve(rows, rows.weights(weight, penalty), penalty)
        errors[index] = np.mean((rows.values(solution.y) - target) ** 2)
    best = smoothest(errors)
    solution = solve(rows, rows.weights(candidates[best], penalty), penalty)
    freedom = [
        float(solution.select(index).freedom(seen).item())
        for index, seen in enumerate(rows.observed)
    ]
    noise = (rows.values(rows.x) - target)[rows.observed]
    return Choice(
        np.array(candidates[best]),
        np.array(np.sqrt(np.mean(noise**2))),
        np.array(np.mean(freedom)),
        candidates,
        errors,
    )
