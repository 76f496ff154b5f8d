"""Second-order polish of learned pictures after Adam."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from scipy.optimize import minimize
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from stencilnet.discretizations import LearnedPicture, WenoParabola
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
    """
    if not regimes:
        raise ValueError("There is nothing to learn from: give at least one regime.")
    dtype = picture.dtype
    picture.double()
    models = [shared(picture, regime) for regime in regimes]
    if history is None:
        classical = [WenoParabola(r.equation, r.learning.grid) for r in regimes]
        history = PictureHistory(errors_of(regimes, classical))
    weights = [p for p in picture.network.parameters() if p.requires_grad]
    start = history.update[-1] if history.update else 0
    done, total = 0, recipe.iterations * len(recipe.horizons)
    best = parameters_to_vector(weights).detach().clone()
    best_score = history.score(errors_of(regimes, models))

    def put(values: np.ndarray) -> None:
        with torch.no_grad():
            vector_to_parameters(torch.from_numpy(values).to(best), weights)

    def after(intermediate_result: np.ndarray) -> None:
        nonlocal done, best, best_score
        done += 1
        if done % recipe.validate_every == 0 or done == total:
            put(intermediate_result)
            score = history.record(start + done, errors_of(regimes, models))
            if score < best_score:
                best = parameters_to_vector(weights).detach().clone()
                best_score = score
        progress(done, total, f"gain {math.exp(-best_score):.1f}")

    for phase, horizon in enumerate(recipe.horizons):
        draws = np.random.default_rng([recipe.seed, phase])
        windows = [_pieces(regime, draws, recipe.cells, horizon) for regime in regimes]

        def objective(values: np.ndarray) -> tuple[float, np.ndarray]:
            put(values)
            level, slope = 0.0, np.zeros_like(values)
            for regime, model, pieces in zip(regimes, models, windows, strict=True):  # noqa: B023
                loss, gradient = _loss(regime, model, pieces, weights)
                level += math.log(loss) / len(regimes)
                slope += gradient / (loss * len(regimes))
            return level, slope

        minimize(
            objective,
            parameters_to_vector(weights).detach().numpy(),
            jac=True,
            method="BFGS",
            callback=lambda values: after(values),
            options={"maxiter": recipe.iterations, "gtol": 1e-9},
        )
        put(best.numpy())
        done = recipe.iterations * (phase + 1)
    picture.to(dtype)
    return history


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
