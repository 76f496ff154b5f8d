"""Exact evolution of forced Burgers' equation, by Cole and Hopf's transform."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from jaxtyping import Complex
from torch import Tensor

from stencilnet.solver.base import Compile, Forcing, Integrator, Step
from stencilnet.solver.cell_picture import CellPicture
from stencilnet.solver.exact_step import ExactStep, drifted, planned
from stencilnet.solver.named_splittings import THREE_DRIFTS
from stencilnet.solver.splittings import Splitting


@dataclass(frozen=True, eq=False)
class ColeHopf(Integrator):
    """Exact evolution of `u_t + (u**2 / 2)_x = nu u_xx + f` by Cole and Hopf.

    With `u = psi_x` and `phi = exp(-psi / 2 nu)` the equation is linear,
    `phi_t = nu phi_xx - F phi / 2 nu` with `F_x = f`, and a splitting advances it by
    kicks, `psi += w F`, and drifts, the heat kernel; each is exact for any step. So
    there is no stability limit, and the mean is conserved to rounding. The errors are
    those of the splitting and of the picture: what the right-hand side, a
    `CellPicture`, takes the solution to be within a cell. The latter is added once a
    drift: steps that are too short are less accurate than long ones.

    Where the forcing knows itself within cells, as `RandomForcing.on` does, the picture
    is taken of the state without the kick, which is smoother, and the kick is added
    exactly. The last kick of a step is taken back at the beginning of the next, so that
    both are one. Where only averages of the forcing are known, the picture is taken of
    the kicked state.

    Intermediate values are in float64; the state keeps its dtype.

    Sources: Hopf (1950), doi:10.1002/cpa.3160030302; Cole (1951),
    doi:10.1090/qam/42889; kicked Burgers turbulence: Bec, Frisch and Khanin (2000),
    doi:10.1017/S0022112000001051.

    Attributes:
        splitting: the composition of kicks and drifts.
        nodes: quadrature nodes of a cell; by default as many as the kernel needs, at
            least 8.

    Raises:
        ValueError: if `nodes` is not a positive integer.

    Example:
        >>> from stencilnet import Burgers, Grid, rollout
        >>> from stencilnet.discretizations import WenoParabola
        >>> from stencilnet.equations import DecayingWave
        >>> from stencilnet.solver import ColeHopf
        >>> grid, wave = Grid.line(32), DecayingWave(viscosity=0.3)
        >>> picture = WenoParabola(Burgers(viscosity=0.3), grid)
        >>> u0 = wave.averages(grid, 0.0)
        >>> u = rollout(picture, u0, [0.0, 3.0], integrator=ColeHopf(), steps=1)
        >>> bool((u[-1] - wave.averages(grid, 3.0)).abs().max() < 1e-5)
        True
    """

    compilable: ClassVar[bool] = True

    splitting: Splitting = THREE_DRIFTS
    nodes: int | None = None

    def __post_init__(self) -> None:
        if self.nodes is not None and (self.nodes < 1 or self.nodes != int(self.nodes)):
            raise ValueError(
                f"`nodes` must be a positive integer or None, not {self.nodes!r}."
            )

    @property
    def order(self) -> int:  # type: ignore[override]
        """Order of the splitting."""
        return self.splitting.order

    def spec(self) -> dict[str, Any]:
        """The integrator as plain values."""
        return {
            "kind": "cole_hopf",
            "splitting": self.splitting.spec(),
            "nodes": self.nodes,
        }

    def stable_step(
        self,
        eigenvalues: Complex[Tensor, "*shape"],
        *,
        linear: Complex[Tensor, "*shape"] | None = None,
        growth: float = 1e-4,
    ) -> float:
        """Infinite: nothing but accuracy limits the step."""
        return math.inf

    def bind(self, rhs: Any, forcing: Forcing | None) -> Step:
        """See `Integrator.bind`.

        Raises:
            TypeError: if `rhs` is not a picture of the solution within cells.
            ValueError: if its viscosity is not positive.
        """
        return self._bind(rhs, forcing, planned, drifted)

    def bind_compiled(
        self,
        rhs: Any,
        forcing: Forcing | None,
        compile: Compile,  # noqa: A002
    ) -> Step:
        """As `bind`, with kicks and drifts compiled, one graph for all of each."""
        return self._bind(rhs, forcing, compile(planned), compile(drifted))

    def _bind(
        self,
        rhs: Any,
        forcing: Forcing | None,
        planned: Callable[..., Any],
        drifted: Callable[..., Tensor],
    ) -> Step:
        if not isinstance(rhs, CellPicture):
            raise TypeError(
                f"Exact evolution needs a picture of Burgers' equation within cells, "
                f"not {type(rhs).__name__}: take one such as WenoParabola("
                f"Burgers(0.01), grid)."
            )
        problem = ExactStep(rhs, forcing, self.splitting, self.nodes, planned, drifted)

        def step(t: Any, u: Tensor, dt: Any) -> Tensor:
            return problem.advance(t, u, float(dt)) if u.numel() else u.clone()

        return step
