"""Updates of a training through the solver, and its validations."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from stencilnet.discretizations import LearnedStencil
from stencilnet.solver import Integrator, rollout
from stencilnet.study.metrics import relative_l2
from stencilnet.study.ranks import ALONE, Ranks
from stencilnet.study.state import TrainingState
from stencilnet.study.streaming import Source
from stencilnet.study.windows import Loss, Trajectories, window_loss


@dataclass(frozen=True)
class Updates:
    """How the weights of an operator are updated.

    Attributes:
        integrator: of the rollouts.
        substeps: its steps per kept state.
        batch: windows per update.
        horizon: kept states that the windows of an update are unrolled over.
        rate: learning rate of an update; None leaves it to the optimizer.
        seed: of the draws of windows.
        backward: weight of the error of windows integrated backward in time.
        clip: largest norm of the gradient.
        loss: error of a rollout; mean squared error by default.
        parameters: trained beside those of the operator.
        averaging: decay of the moving averages of the weights, which are what is
            validated and kept; 0 for the weights themselves.
        compile: whether to compile the steps of the rollouts.
        remedy: what to do about a loss that is not finite, for the message.
        ranks: the processes that share each batch.
    """

    integrator: Integrator
    substeps: int
    batch: int
    horizon: Callable[[int], int]
    rate: Callable[[int], float] | None
    seed: int = 0
    backward: float = 0.0
    clip: float = 1.0
    loss: Loss | None = None
    parameters: tuple[Tensor, ...] = ()
    averaging: float = 0.0
    compile: bool = False
    remedy: Callable[[], str] = lambda: "lower learning_rate or shorten horizon"
    ranks: Ranks = ALONE

    def update(self, state: TrainingState, learning: Source) -> None:
        """One step of the optimizer, on windows that depend on its number and the seed.

        Raises:
            FloatingPointError: if loss or gradient is not finite.
            ConnectionError: if another process that shares the batch is gone.
        """
        window = learning.windows(*self._draw(state.iteration))
        learning.expect(*self._draw(state.iteration + 1))
        if self.rate is not None:
            for group in state.optimizer.param_groups:
                group["lr"] = self.rate(state.iteration)
        state.optimizer.zero_grad()
        loss = window_loss(
            state.operator,
            window,
            integrator=self.integrator,
            substeps=self.substeps,
            backward=self.backward,
            loss=self.loss,
            compile=self.compile,
        )
        loss.backward()  # type: ignore[no-untyped-call]
        trained = [*state.operator.parameters(), *self.parameters]
        loss = self.ranks.average(loss, trained, self.batch)
        norm = nn.utils.clip_grad_norm_(trained, self.clip)
        if not (torch.isfinite(loss) and torch.isfinite(norm)):
            raise FloatingPointError(
                f"The loss turned {loss.item():g} with a gradient of {norm.item():g} "
                f"in update {state.iteration + 1}; {self.remedy()}."
            )
        state.optimizer.step()
        state.iteration += 1
        if self.averaging:
            state.average(self.averaging)
        state.record(
            loss=loss.item(),
            gradient_norm=norm.item(),
            learning_rate=state.optimizer.param_groups[0]["lr"],
            horizon=len(window.times) - 1,
        )

    def validate(self, state: TrainingState, validation: Source) -> None:
        """Measures the error over whole trajectories and keeps the best weights."""
        with state.averaged(), torch.no_grad():
            errors = [
                relative_l2(self._solved(state.operator, part), part.u)
                for part in validation.parts()
            ]
            error = float(torch.cat(errors).mean())
            state.keep_best(error)
        state.record(validation_iteration=state.iteration, validation_relative_l2=error)

    def _solved(self, operator: LearnedStencil, whole: Trajectories) -> Tensor:
        """Trajectories as the operator has them, from their first states."""
        return rollout(
            operator,
            whole.u[:, 0],
            whole.times,
            whole.force(),
            integrator=self.integrator,
            steps=self.substeps,
            compile=self.compile,
        )

    def _draw(self, iteration: int) -> tuple[np.random.Generator, int, int, slice]:
        """Which windows an update follows."""
        generator = np.random.default_rng([self.seed, iteration])
        share = self.ranks.share(self.batch)
        return generator, self.batch, self.horizon(iteration), share
