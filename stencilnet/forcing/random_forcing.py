"""Random forcing as a value: a sum of travelling sine waves per sample."""

import dataclasses
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from stencilnet.display import Displayed
from stencilnet.errors import holds
from stencilnet.forcing.draws import draw_waves
from stencilnet.forcing.grid_forcing import GridForcing
from stencilnet.grid import Grid
from stencilnet.stencils import in_full_precision


@dataclass(frozen=True, repr=False)
class RandomForcing(Displayed):
    """Forcing of the paper's Eq. (13), one row of parameters per sample.

        f(x, t) = sum_i A_i sin(w_i t + 2 pi l_i x / L + phi_i)

    `L` is the period of the grid on which the forcing is evaluated. The clock `t` is
    that of the times passed to `rollout`, and of the coordinate `time` of a store.

    Attributes:
        amplitude: `A`, shape `(sample, mode)`.
        frequency: `w`, in radians per unit of time.
        wavenumber: `l`, whole numbers of periods in the domain.
        phase: `phi`, in radians.

    Raises:
        ValueError: if the parameters do not share one shape `(sample, mode)`, or a
            wavenumber is not a whole number.

    Example:
        >>> from stencilnet import Grid, RandomForcing
        >>> tuple(RandomForcing.sample(4, seed=0).on(Grid.line(32))(0.5).shape)
        (4, 32)
    """

    amplitude: Float[Tensor, "sample mode"]
    frequency: Float[Tensor, "sample mode"]
    wavenumber: Float[Tensor, "sample mode"]
    phase: Float[Tensor, "sample mode"]

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = torch.as_tensor(getattr(self, field.name))
            if not value.is_floating_point():
                value = value.double()
            object.__setattr__(self, field.name, value)
        shapes = {tuple(value.shape) for value in vars(self).values()}
        if len(shapes) > 1 or len(min(shapes)) != 2:
            raise ValueError(
                f"Forcing parameters need one shape (sample, mode), not "
                f"{', '.join(map(str, sorted(shapes)))}: give a row per sample."
            )
        if not holds((self.wavenumber == self.wavenumber.round()).all()):
            raise ValueError(
                "Forcing wavenumbers must be whole numbers, or the forcing would not "
                "be periodic: round them."
            )

    @classmethod
    def sample(
        cls,
        samples: int,
        *,
        modes: int = 20,
        amplitude: float = 0.1,
        frequency: float = 0.4,
        wavenumbers: Sequence[int] = (2, 3, 4, 5),
        seed: int | np.random.SeedSequence,
        first: int = 0,
    ) -> "RandomForcing":
        """Independent uniform draws, in float64.

        Each sample has its own stream, so a row does not depend on the number of rows.

        Args:
            samples: number of rows.
            modes: number of waves in each row.
            amplitude: `A` is uniform in `[-amplitude, amplitude]`.
            frequency: `w` is uniform in `[-frequency, frequency]`.
            wavenumbers: `l` is one of these, equally likely.
            seed: of the draw.
            first: number of the first row, in a draw of more of them.

        Raises:
            ValueError: if `samples` or `modes` is not a whole number of at least 1, a
                bound is negative or not finite, or there are no wavenumbers.
        """
        waves = draw_waves(
            samples,
            modes=modes,
            amplitude=amplitude,
            frequency=frequency,
            wavenumbers=wavenumbers,
            seed=seed,
            first=first,
        )
        return cls(*map(torch.from_numpy, waves))

    @classmethod
    def none(cls, samples: int) -> "RandomForcing":
        """No forcing of `samples` samples: sums without waves."""
        return cls(*(torch.zeros(samples, 0, dtype=torch.float64) for _ in range(4)))

    @classmethod
    def join(cls, forcings: Sequence["RandomForcing"]) -> "RandomForcing":
        """The rows of several forcings with equally many modes, one after another."""
        return cls(
            *(
                torch.cat([getattr(forcing, field.name) for forcing in forcings])
                for field in dataclasses.fields(cls)
            )
        )

    def __len__(self) -> int:
        """Number of samples."""
        return self.amplitude.shape[0]

    def select(self, rows: slice | Sequence[int] | Tensor) -> "RandomForcing":
        """The forcing of some of the samples, in the order of `rows`."""
        return RandomForcing(*(value[rows] for value in vars(self).values()))

    def starting_at(self, t0: float | Float[Tensor, " sample"]) -> "RandomForcing":
        """The same forcing on a clock that reads 0 at `t0`.

        Args:
            t0: one time, or one per sample.
        """
        shift = torch.as_tensor(
            t0, dtype=self.phase.dtype, device=self.phase.device
        ).reshape(-1, 1)
        return dataclasses.replace(self, phase=self.phase + self.frequency * shift)

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> "RandomForcing":
        """The same forcing on another device or in another precision."""
        return RandomForcing(
            *(value.to(device=device, dtype=dtype) for value in vars(self).values())
        )

    def on(self, grid: Grid, *, averages: bool = False) -> GridForcing:
        """The forcing on a grid, as a function `f(t)` of shape `(sample, x)`.

        The time `t` is one number, or a tensor `(sample, 1)` of one time per sample.
        What is returned also knows the forcing within cells, see `GridForcing`.

        Args:
            grid: of the points or cells. A wave of at least `points / 2` periods
                aliases to a longer one there, with a warning.
            averages: whether to return exact cell averages, which multiply each wave
                by `sinc(k dx / 2)`, instead of point values.
        """
        highest, points = self._highest(), grid.shape[-1]
        if 2 * highest >= points:
            warnings.warn(
                f"A forcing with wavenumber {highest} aliases to a longer wave on "
                f"{points} points: use more than {2 * highest}.",
                stacklevel=2,
            )
        k = self.wavenumber * (2 * math.pi / grid.extent[-1])
        angle = k.unsqueeze(-1) * grid.points().to(k)
        carrier = self
        if averages:
            damping = torch.sinc(k * grid.spacing[-1] / (2 * math.pi))
            carrier = dataclasses.replace(self, amplitude=self.amplitude * damping)
        evaluate = carrier.carried_by(angle.cos(), angle.sin())
        return GridForcing(self, grid, averages, evaluate)

    def within(
        self, grid: Grid, positions: Float[Tensor, " position"]
    ) -> Callable[..., tuple[Tensor, Tensor, Tensor]]:
        """The forcing, its integral and its slope within the cells of a grid.

        Args:
            grid: cell `i` is `[x_i - dx/2, x_i + dx/2]`.
            positions: in a cell, 0 at its left and 1 at its right face.

        Returns:
            A function `t -> (F, f, f_x)`, each of shape `(sample, position, x)`, with
            `F_x = f` and an arbitrary constant in `F`. A wave without a wavenumber
            makes `F` linear in `x`. The time `t` is one number, or a tensor
            `(sample, 1)`.
        """
        like = self.phase
        # All waves of one wavenumber are one; the sine carries the sign.
        numbers: Tensor = self.wavenumber.abs().unique()  # type: ignore[no-untyped-call]
        same = (self.wavenumber.abs().unsqueeze(-1) == numbers).to(like)
        odd = torch.where(self.wavenumber < 0, -1.0, 1.0).to(like)
        dx = grid.spacing[-1]
        x = grid.points().to(like) + (positions.to(like).unsqueeze(-1) - 0.5) * dx
        k = (numbers * (2 * math.pi / grid.extent[-1])).reshape(-1, 1, 1).to(like)
        divisor = torch.where(k == 0, 1.0, k)
        cosine, sine = (k * x).cos(), (k * x).sin()
        integral = torch.where(k == 0, x, sine / divisor)
        # What cosine and sine become in F, f and f_x.
        bases = [
            torch.cat(pair).flatten(1)
            for pair in (
                (integral, -cosine / divisor),
                (cosine, sine),
                (-k * sine, k * cosine),
            )
        ]

        def evaluate(t: float | Tensor) -> tuple[Tensor, Tensor, Tensor]:
            clock = self._clock(t)
            weights = torch.stack([clock.sin(), odd * clock.cos()], dim=-2)
            weights = ((self.amplitude.unsqueeze(-2) * weights) @ same).flatten(-2)
            shape = (*weights.shape[:-1], *x.shape)
            integral, value, slope = ((weights @ b).reshape(shape) for b in bases)
            return integral, value, slope

        return evaluate

    def carried_by(
        self,
        cosines: Float[Tensor, "sample mode x"],
        sines: Float[Tensor, "sample mode x"],
    ) -> Callable[..., Tensor]:
        """The forcing in any linear representation, as a function of `t`.

        Args:
            cosines: the representation of `cos(2 pi l x / L)` for each wave.
            sines: that of `sin(2 pi l x / L)`.
        """
        # sin(w t + phi + k x) separates, so that each call is one small product.
        waves = torch.cat([cosines, sines], dim=-2)
        amplitudes = torch.cat([self.amplitude, self.amplitude], dim=-1)

        def force(t: float | Tensor) -> Float[Tensor, "*sample x"]:
            clock = self._clock(t)
            factors = amplitudes * torch.cat([clock.sin(), clock.cos()], dim=-1)
            field = in_full_precision(torch.matmul, factors.unsqueeze(-2), waves)
            return field.squeeze(-2)

        return force

    def mean_impulse(
        self, times: Float[Tensor, " time"]
    ) -> Float[Tensor, "sample time"]:
        """The forcing's exact contribution to the spatial mean from time 0 on.

        Only waves of wavenumber 0 have a mean. Its integral from 0 to `t` is
        `A t sinc(w t / 2) sin(w t / 2 + phi)`; a difference of two is the contribution
        between two times.
        """
        t = times.to(self.phase)
        half = self.frequency.unsqueeze(-1) * t / 2
        angle = half + self.phase.unsqueeze(-1)
        added = t * torch.sinc(half / math.pi) * angle.sin()
        mean = torch.where(self.wavenumber == 0, self.amplitude, 0.0)
        return (mean.unsqueeze(-1) * added).sum(-2)

    def spectrum(self, points: int) -> Callable[..., Tensor]:
        """The forcing's Fourier coefficients, as a function of `t`.

        Args:
            points: number of points of the grid, which resolves the forcing.

        Returns:
            A function `t -> f` of shape `(sample, m)`: the coefficients of
            `f(x) = sum_k f_k exp(i k x)` for the wavenumbers `0, ..., max |l|` in
            units of `2 pi / L`; those above are zero. The time `t` is one number, or
            a tensor `(sample, 1)` of one time per sample.

        Raises:
            ValueError: if a wave is not resolved by `points` points.
        """
        highest = self._highest()
        if 2 * highest >= points:
            raise ValueError(
                f"A forcing with wavenumber {highest} needs more than {2 * highest} "
                f"points, not {points}: refine the grid."
            )
        # A sin(q + l x) = (A / 2i) (e^(iq) e^(ilx) - e^(-iq) e^(-ilx)); a real
        # transform keeps the term whose wavenumber is not negative, and both at 0.
        sign = torch.where(self.wavenumber < 0, -1.0, 1.0).to(self.phase)
        scale = torch.where(self.wavenumber == 0, 2.0, 1.0).to(self.phase)
        modes = torch.arange(highest + 1).to(self.wavenumber)
        onto = (self.wavenumber.abs().unsqueeze(-1) == modes).to(self.phase)
        weight = onto * (self.amplitude * scale / 2).unsqueeze(-1)
        turned = -sign.unsqueeze(-1) * weight * (modes > 0)
        onto_modes = partial(torch.einsum, "...sl,slm->...sm")

        def coefficients(t: float | Tensor) -> Complex[Tensor, "*sample m"]:
            clock = self._clock(t)
            return torch.complex(
                in_full_precision(onto_modes, clock.sin(), weight),
                in_full_precision(onto_modes, clock.cos(), turned),
            )

        return coefficients

    def _highest(self) -> int:
        """The highest wavenumber of a wave with an amplitude, 0 without any."""
        if self.wavenumber.is_meta:
            return 0
        waves = self.wavenumber.abs()[self.amplitude != 0]
        return int(waves.max()) if waves.numel() else 0

    def _clock(self, t: float | Tensor) -> Float[Tensor, "*sample mode"]:
        """`w t + phi` at one time or at one time per sample."""
        if isinstance(t, Tensor) and t.ndim:
            rows = len(self)
            size = t.shape[-2] if t.ndim > 1 else 1
            if t.shape[-1] != 1 or (size != rows and 1 not in (size, rows)):
                raise ValueError(
                    f"A forcing of {rows} samples takes one time or the shape "
                    f"({rows}, 1), but not {tuple(t.shape)}: add an axis, as in "
                    f"t[:, None]."
                )
            t = t.to(self.phase)
        return self.frequency * t + self.phase
