"""Regimes that learned pictures are trained on: a problem, a grid and a step."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.discretizations import Picture
from stencilnet.equations import Equation
from stencilnet.solver import ColeHopf, rollout
from stencilnet.study.config import Config
from stencilnet.study.generation import read_split
from stencilnet.study.metrics import relative_l2
from stencilnet.study.problem import equation_of
from stencilnet.study.windows import Trajectories


@dataclass(frozen=True)
class Regime:
    """A problem on a grid, and how it is evolved.

    Attributes:
        name: for records.
        equation: with its viscosity.
        learning, validation: trajectories of cell averages.
        step: time between two states of a rollout, a multiple of the interval between
            the stored ones. What lies between is not compared.
        integrator: with its splitting.

    Raises:
        ValueError: if the step is not a multiple of the interval, or the trajectories
            hold point values.
    """

    name: str
    equation: Equation
    learning: Trajectories
    validation: Trajectories
    step: float
    integrator: ColeHopf

    def __post_init__(self) -> None:
        if not self.learning.averages or not self.validation.averages:
            raise ValueError(
                f"A picture within cells needs cell averages, but {self.name} holds "
                f"point values: read the store averages-POINTS.zarr."
            )
        interval = float(self.learning.times[1] - self.learning.times[0])
        if not (
            self.stride >= 1
            and math.isclose(self.stride * interval, self.step, rel_tol=1e-9)
        ):
            raise ValueError(
                f"The step {self.step:g} of {self.name} is no multiple of the interval "
                f"{interval:g} between stored states: change it."
            )

    @classmethod
    def of(
        cls,
        config: Config,
        run: Path | str,
        points: int,
        *,
        step: float,
        integrator: ColeHopf,
    ) -> "Regime":
        """A grid of a run that `generate` has filled.

        Raises:
            FileNotFoundError: if the run lacks the trajectories.
        """
        learning, validation = (
            Trajectories.of(
                read_split(config, Path(run), split, points, averages=True),
                torch.float64,
            )
            for split in ("training", "validation")
        )
        name = f"{config.name}-{points}-{step:g}"
        return cls(name, equation_of(config), learning, validation, step, integrator)

    @property
    def stride(self) -> int:
        """Stored intervals in a step."""
        return round(self.step / float(self.learning.times[1] - self.learning.times[0]))

    def windows(
        self, draws: np.random.Generator, count: int, steps: int
    ) -> Trajectories:
        """Random pieces of some steps, all on one clock that starts at 0.

        Raises:
            ValueError: if the trajectories are shorter than that.
        """
        samples, length = self.learning.u.shape[:2]
        if steps * self.stride >= length:
            raise ValueError(
                f"{steps} steps of {self.step:g} do not fit the trajectories of "
                f"{self.name}: shorten the horizon."
            )
        rows = torch.from_numpy(draws.integers(samples, size=count))
        starts = torch.from_numpy(
            draws.integers(length - steps * self.stride, size=count)
        )
        states = starts.unsqueeze(-1) + self.stride * torch.arange(steps + 1)
        forcing = self.learning.forcing.select(rows)
        return Trajectories(
            self.learning.u[rows.unsqueeze(-1), states],
            torch.arange(steps + 1, dtype=torch.float64) * self.step,
            self.learning.grid,
            forcing.starting_at(self.learning.times[starts]),
            averages=True,
        )

    def loss(self, picture: Picture, window: Trajectories) -> Float[Tensor, ""]:
        """Mean squared error of a rollout over a window."""
        u = self.follow(picture, window)
        return (u - window.u)[:, 1:].square().mean()

    def error(self, picture: Picture) -> float:
        """Relative L2 error over the validation trajectories, mean over samples."""
        whole = self.validation
        times = whole.times[:: self.stride] - whole.times[0]
        coarse = Trajectories(
            whole.u[:, :: self.stride], times, whole.grid, whole.forcing, averages=True
        )
        with torch.no_grad():
            return float(relative_l2(self.follow(picture, coarse), coarse.u).mean())

    def follow(self, picture: Picture, window: Trajectories) -> Tensor:
        """The rollout from the first state of a window."""
        return rollout(
            picture,
            window.u[:, 0],
            window.times,
            window.force(),
            integrator=self.integrator,
        )
