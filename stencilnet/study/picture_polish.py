"""Second-order polish of learned pictures after Adam."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy.optimize import minimize
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from stencilnet.discretizations import LearnedPicture
from stencilnet.progress import Progress, no_progress
from stencilnet.study.picture_training import (
    PictureHistory,
    Polish,
    errors_of,
    shared,
)
from stencilnet.study.regimes import Regime
from stencilnet.study.windows import Trajectories

# Cells of the windows that are rolled out at once.
_AT_ONCE = 8192


def polish_picture(
    picture: LearnedPicture,
    regimes: Sequence[Regime],
    recipe: Polish = Polish(),  # noqa: B008
    *,
    history: PictureHistory | None = None,
    progress: Progress = no_progress,
) -> PictureHistory:
    """Minimizes the mean logarithm of the losses of all regimes by BFGS, in place.

    Stochastic gradients end where their noise is as large as what is left to gain. A
    picture has so few weights that a quasi-Newton method on some thousand windows goes
    on from there. The best validated weights are the result; those before count, too.

    Args:
        picture: a trained one.
        regimes: what to polish it on.
        recipe: see there.
        history: of the training before, which is continued.
        progress: told about the iterations.

    Returns:
        The history; `update` counts iterations after the updates of training.

    Raises:
        ValueError: if there is no regime.
        FloatingPointError: if the rollouts of the picture blow up.
    """
    if not regimes:
        raise ValueError("There is nothing to learn from: give at least one regime.")
    dtype = picture.dtype
    picture.double()
    models = [shared(picture, regime) for regime in regimes]
    if history is None:
        history = PictureHistory(errors_of(regimes, [m.classical for m in models]))
    weights = [p for p in picture.network.parameters() if p.requires_grad]
    start = history.update[-1] if history.update else 0
    total = recipe.iterations * len(recipe.horizons)
    done = checked = 0
    best = parameters_to_vector(weights).detach().clone()
    best_score = history.score(errors_of(regimes, models))

    def put(values: np.ndarray) -> None:
        with torch.no_grad():
            vector_to_parameters(torch.from_numpy(values).to(best), weights)

    def check(values: np.ndarray) -> None:
        nonlocal best, best_score, checked
        put(values)
        checked, score = done, history.record(start + done, errors_of(regimes, models))
        if score < best_score:
            best, best_score = parameters_to_vector(weights).detach().clone(), score

    def after(values: np.ndarray) -> None:
        nonlocal done
        done += 1
        if done % recipe.validate_every == 0:
            check(values)
        progress(done, total, f"gain {math.exp(-best_score):.1f}")

    try:
        if not math.isfinite(best_score):
            raise FloatingPointError(
                "The picture blows up in its validation: train it before."
            )
        for phase, horizon in enumerate(recipe.horizons):
            draws = np.random.default_rng([recipe.seed, phase])
            windows = [_pieces(r, draws, recipe.cells, horizon) for r in regimes]
            first = best.numpy().copy()
            found = minimize(
                _objective(regimes, models, windows, weights, put),
                first,
                jac=True,
                method="BFGS",
                callback=after,
                options={"maxiter": recipe.iterations, "gtol": 1e-9},
            )
            if checked < done:
                check(found.x)
            done = checked = recipe.iterations * (phase + 1)
    finally:
        # After a stop, too, the picture has its best weights, in its own precision.
        put(best.numpy())
        picture.to(dtype)
    return history


def _objective(
    regimes: Sequence[Regime],
    models: Sequence[LearnedPicture],
    windows: Sequence[Sequence[Trajectories]],
    weights: Sequence[torch.nn.Parameter],
    put: Callable[[np.ndarray], None],
) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
    """Mean logarithm of the losses and its gradient, as functions of the weights."""

    def objective(values: np.ndarray) -> tuple[float, np.ndarray]:
        put(values)
        level, slope = 0.0, np.zeros_like(values)
        for regime, model, pieces in zip(regimes, models, windows, strict=True):
            loss, gradient = _loss(regime, model, pieces, weights)
            if not 0 < loss < math.inf:
                # A search along a line turns back from there.
                return math.inf, np.zeros_like(values)
            level += math.log(loss) / len(regimes)
            slope += gradient / (loss * len(regimes))
        return level, slope

    return objective


def _pieces(
    regime: Regime, draws: np.random.Generator, cells: int, horizon: int
) -> list[Trajectories]:
    """Random windows, in pieces that are rolled out one after another."""
    points = regime.learning.grid.shape[-1]
    count = max(1, min(cells, _AT_ONCE) // points)
    return [
        regime.windows(draws, count, horizon)
        for _ in range(max(1, cells // (count * points)))
    ]


def _loss(
    regime: Regime,
    model: LearnedPicture,
    pieces: Sequence[Trajectories],
    weights: Sequence[torch.nn.Parameter],
) -> tuple[float, np.ndarray]:
    """Mean loss of a regime, and its gradient."""
    level, slope = 0.0, np.zeros(sum(weight.numel() for weight in weights))
    for piece in pieces:
        loss = regime.loss(model, piece) / len(pieces)
        gradients = torch.autograd.grad(loss, weights)
        level += float(loss.detach())
        slope += parameters_to_vector(gradients).numpy()
    return level, slope
