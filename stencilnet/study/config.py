"""Configs of studies: their sections, keys and checks."""

import html
import math
from typing import Annotated, Any, Literal

import torch
import yaml
from pydantic import (
    Field,
    field_validator,
    model_validator,
)

from stencilnet.display import LIMIT
from stencilnet.study.config_types import (
    Count,
    Device,
    Finite,
    NonNegative,
    Positive,
    Precision,
    Section,
    Seed,
)
from stencilnet.study.devices import as_device, as_dtype
from stencilnet.study.extensions import Extension


class Problem(Section):
    """A forced equation on a periodic domain, or between boundaries.

    Attributes:
        equation: its name, in `EQUATIONS` or among the extensions, and its parameters.
        length: of the domain, the period `L` if there is one.
        boundaries: `{left: ..., right: ...}`, each a name in `BOUNDARIES` or a mapping
            of one and its parameters, as in `{name: prescribed, value: 1.0}`; null for
            a period.
        initial: state at time 0: its name, in `INITIAL_STATES` or among the extensions,
            and its parameters; the name alone stands for the default ones.
        mirrored: whether to solve the mirror image `(x, u) -> (-x, -u)` instead, of
            initial state and forcing alike.
        boost: speed `c` of a frame that moves, `(x, u) -> (x + c t, u + c)`, in which
            initial state and forcing are taken; see `study.transformations`.
        warm_up: time that passes before the trajectories begin.
        duration: length of the trajectories.
        interval: time between two kept states.
    """

    equation: dict[str, Any]
    length: Positive = 2 * math.pi
    boundaries: dict[str, Any] | None = None
    initial: dict[str, Any] = {"name": "Rest"}
    mirrored: bool = False
    boost: Finite = 0.0
    warm_up: NonNegative = 0.0
    duration: Positive
    interval: Positive = 0.1

    @field_validator("initial", mode="before")
    @classmethod
    def _named(cls, initial: Any) -> Any:
        return {"name": initial} if isinstance(initial, str) else initial

    @model_validator(mode="after")
    def _check_intervals(self) -> "Problem":
        for name in ("warm_up", "duration"):
            count = getattr(self, name) / self.interval
            if abs(count - round(count)) > 1e-9 * max(count, 1):
                raise ValueError(
                    f"{name} {getattr(self, name)} is no whole number of intervals "
                    f"of {self.interval}: change one"
                )
        return self

    @field_validator("boundaries")
    @classmethod
    def _pair(cls, ends: Any) -> Any:
        if ends is not None and set(ends) != {"left", "right"}:
            raise ValueError(
                "boundaries are those of both ends, {left: ..., right: ...}"
            )
        return ends

    @model_validator(mode="after")
    def _check_boundaries(self) -> "Problem":
        if self.boundaries is not None and (self.mirrored or self.boost):
            raise ValueError(
                "mirrored and boost are symmetries of a periodic domain: leave them "
                "out, or the boundaries"
            )
        return self


class Forcing(Section):
    """Draws of the forcing, see `RandomForcing.sample`.

    Attributes:
        modes: travelling waves in each sum.
        amplitude, frequency: largest ones, of uniform draws.
        wavenumbers: whole waves per period, drawn with equal chance.
    """

    modes: Count = 20
    amplitude: NonNegative = 0.1
    frequency: NonNegative = 0.4
    wavenumbers: Annotated[tuple[int, ...], Field(min_length=1)] = (2, 3, 4, 5)


class Reference(Section):
    """Accuracy of the pseudo-spectral reference.

    Attributes:
        points: of its grid; "auto" takes the fewest, by doubling, that resolve the
            trajectories, and steps, by halving, that meet the tolerance.
        courant: step in units of the shorter of the advective and the diffusive time,
            see `generate`.
        tolerance: largest self-convergence error accepted, relative.
        checked: number of trajectories whose self-convergence is measured.
    """

    points: Annotated[int, Field(ge=8)] | Literal["auto"] = "auto"
    courant: Positive = 0.8
    tolerance: Positive = 1e-5
    checked: Count = 4


class Data(Section):
    """Trajectories to generate: how many, and what of them is kept.

    Attributes:
        seed: of the forcings; each split has streams of its own.
        training, validation, test: number of trajectories.
        averages: grids on which exact cell averages are kept, by number of points.
        values: grids on which point values are kept.
    """

    seed: Seed = 0
    training: Count = 48
    validation: Count = 16
    test: Count = 16
    averages: tuple[Count, ...] = ()
    values: tuple[Count, ...] = ()

    @model_validator(mode="after")
    def _check_grids(self) -> "Data":
        if not self.averages and not self.values:
            raise ValueError("there is no grid to keep: name one in averages or values")
        return self


class Operator(Section):
    """The learned stencil, see `LearnedStencil`.

    Attributes:
        form: a name in `FORMS`.
        points: of the grid that it learns on.
        width: points of a stencil; null for 6 at faces and 7 at points.
        window: points that the network reads; null for as many as the stencil.
        constraint: `{kind: ...}` for all derivatives, or one for each by its name.
        network: `{kind: mlp, hidden: [...]}`.
        mirror: whether it commutes with `(x, u) -> (-x, -u)`; null for if possible.
    """

    form: str = "CentralFlux"
    points: Count = 32
    width: Count | None = None
    window: Count | None = None
    constraint: dict[str, Any] = {"kind": "null_space"}
    network: dict[str, Any] = {"kind": "mlp", "hidden": [32, 32]}
    mirror: bool | None = None


class Training(Section):
    """Training through the solver, see `training.train`.

    Attributes:
        seed: of the initial weights and of the order of the windows.
        iterations: number of updates.
        batch: windows per update.
        horizon: kept states that a window is unrolled over, one value per phase; the
            phases share the iterations evenly.
        substeps: steps of the integrator per kept state.
        integrator: of the rollouts.
        backward: weight of the loss of windows integrated backward in time.
        learning_rate: the highest one.
        warm_up: share of the iterations in which the rate rises to it; it then falls
            to zero along a cosine.
        clip: largest norm of the gradient.
        averaging: decay of the moving averages of the weights, which are what is
            validated and stored; 0 for the weights themselves.
        compile: whether to compile the steps: minutes at first, then several times as
            many updates a second. It needs a C++ compiler.
        validate_every: iterations between two validations.
        checkpoint_every: iterations between two checkpoints.
        dtype: precision of the training.
        device: to train on, null for that of the config; in several processes, cuda is
            a device of each.
        memory: GiB that the solution of a split may take in memory; each update reads
            its windows from a larger one on disk.
    """

    seed: Seed = 0
    iterations: Count = 1000
    batch: Count = 64
    horizon: Annotated[tuple[Count, ...], Field(min_length=1)] = (2, 4, 8, 16)
    substeps: Count = 1
    integrator: str = "SSPRK3"
    backward: NonNegative = 0.0
    learning_rate: Annotated[float, Field(gt=0, le=1e30)] = 1e-2
    warm_up: Annotated[float, Field(ge=0, le=1)] = 0.1
    clip: Positive = 1.0
    averaging: Annotated[float, Field(ge=0, lt=1)] = 0.0
    compile: bool = False
    validate_every: Count = 100
    checkpoint_every: Count = 100
    dtype: Precision = "float32"
    device: Device | None = None
    memory: NonNegative = 4.0


class Comparison(Section):
    """Methods to compare, each on each grid.

    Attributes:
        methods: classical methods by name, see `discretizations.CLASSICAL` and
            `PICTURES`; "constant" is the best constant stencil, which `train` finds.
        points: grids; the learned operator takes part on its own.
        integrator: of the classical methods, by name; the learned operator keeps the
            one it was trained with.
        safety: step of a classical method in units of its stable one.
        threshold: relative error that ends the valid time.
        dtype: precision of the rollouts; steps and errors are in float64.
        device: to roll out on; null for that of the config.
        memory: GiB that the trajectories of all methods on a grid may take in memory
            and in the store; of more, those of the first samples are kept.
    """

    methods: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "weno_z", "weno_z_1", "weno_7", "weno_9", "muscl", "upwind_3",
    )  # fmt: skip
    points: Annotated[tuple[Count, ...], Field(min_length=1)] = (32,)
    integrator: str = "SSPRK3"
    safety: Annotated[float, Field(gt=0, le=1)] = 0.5
    threshold: Positive = 0.2
    dtype: Precision = "float64"
    device: Device | None = None
    memory: NonNegative = 4.0


class Config(Section):
    """A study. Section by section what is solved, kept, learned and compared.

    Attributes:
        name: of the study and of its folder in `runs/`.
        problem: what is solved.
        extensions: classes of your own that the sections name, as `module:Class`:
            equations, forms, constraints, initial states, discretizations.
        device: where all stages compute, such as cpu, cuda:1 or mps.
        forcing: null for none.
        reference: how accurately the data are solved for.
        data: what is kept.
        operator: what learns.
        training: how it learns.
        comparison: what it is compared with.

    Example:
        >>> from stencilnet import Config, load_config
        >>> values = load_config("p2").model_dump()
        >>> Config(**values).problem.equation["name"]
        'Burgers'
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
    problem: Problem
    extensions: tuple[Extension, ...] = ()
    device: Device = "cpu"
    forcing: Forcing | None = Forcing()
    reference: Reference = Reference()
    data: Data
    operator: Operator = Operator()
    training: Training = Training()
    comparison: Comparison = Comparison()

    def on(
        self,
        section: Literal["training", "comparison"],
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | str | None = None,
    ) -> "Config":
        """The study with a section that says where and how precisely it computes.

        Args:
            section: of the stage.
            device: to compute on; None for that of the section or of the config.
            dtype: precision; None for that of the section.

        Raises:
            ValueError: if there is no such device, or it lacks the precision.
        """
        settings = getattr(self, section)
        precision = as_dtype(settings.dtype if dtype is None else dtype)
        place = as_device(device or settings.device or self.device, needs=precision)
        name = str(precision).removeprefix("torch.")
        changes = {"device": str(place), "dtype": name}
        return self.model_copy(update={section: settings.model_copy(update=changes)})

    def __repr__(self) -> str:
        """What differs from the defaults, as YAML."""
        values = self.model_dump(mode="json", exclude_defaults=True)
        text = yaml.safe_dump(values, sort_keys=False, default_flow_style=None)
        return f"Config:\n{text}"[:LIMIT]

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(repr(self))[: LIMIT - 20]}</pre>"
