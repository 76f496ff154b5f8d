"""Configs of studies: one YAML file, validated, with `key=value` overrides."""

import math
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from stencilnet.errors import nearest
from stencilnet.storage import local_path
from stencilnet.study.config_types import (
    Count,
    Device,
    Finite,
    NonNegative,
    Positive,
    Section,
    Seed,
)
from stencilnet.study.extensions import Extension
from stencilnet.study.yaml_text import parse_yaml


class Problem(Section):
    """A forced equation on a periodic domain.

    Attributes:
        equation: its name, in `EQUATIONS` or among the extensions, and its parameters.
        length: period `L` of the domain.
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


class Forcing(Section):
    """Draws of the forcing, see `RandomForcing.sample`."""

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
        width, window: points of a stencil, and those that the network reads.
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
        validate_every: iterations between two validations.
        checkpoint_every: iterations between two checkpoints.
        dtype: precision of the training.
        device: to train on.
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
    validate_every: Count = 100
    checkpoint_every: Count = 100
    dtype: Literal["float32", "float64"] = "float32"
    device: Device = "cpu"


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
        device: to roll out on, in float64.
    """

    methods: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "weno_z", "weno_z_1", "weno_7", "weno_9", "muscl", "upwind_3",
    )  # fmt: skip
    points: Annotated[tuple[Count, ...], Field(min_length=1)] = (32,)
    integrator: str = "SSPRK3"
    safety: Annotated[float, Field(gt=0, le=1)] = 0.5
    threshold: Positive = 0.2
    device: Device = "cpu"


class Config(Section):
    """A study. Section by section what is solved, kept, learned and compared.

    Attributes:
        extensions: classes of your own that the sections name, as `module:Class`:
            equations, forms, constraints, initial states, discretizations.
        forcing: null for none.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
    problem: Problem
    extensions: tuple[Extension, ...] = ()
    forcing: Forcing | None = Forcing()
    reference: Reference = Reference()
    data: Data
    operator: Operator = Operator()
    training: Training = Training()
    comparison: Comparison = Comparison()


def load_config(source: str | Path, overrides: Iterable[str] = ()) -> Config:
    """Reads a config.

    Args:
        source: path of a YAML file, or the name of a config that comes with the
            package, such as "p2".
        overrides: `key=value`, where the key has dots, as in `training.batch=32`, and
            the value is YAML.

    Raises:
        FileNotFoundError: if there is no such file and no such name.
        ValueError: if the file or an override is not valid, in one sentence that names
            each bad key and the nearest known one.
    """
    text, label = _text(source)
    try:
        values = parse_yaml(text)
    except ValueError as error:
        raise ValueError(f"{label} cannot be used, {error}.") from None
    if not isinstance(values, dict):
        raise ValueError(f"{label} holds no keys: start from a config in configs/.")
    for override in overrides:
        _override(values, override)
    return validate_config(values, label)


def validate_config(values: Any, label: str) -> Config:
    """A config from plain values; `label` names their source in errors."""
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        details = error.errors()
        # A tuple whose entry failed is reported as too short as well.
        inner = {detail["loc"][:-1] for detail in details}
        complaints = "; ".join(
            _sentence(detail)
            for detail in details
            if not (detail["type"] == "too_short" and detail["loc"] in inner)
        )
        raise ValueError(f"{label}: {complaints}.") from None


def built_in_configs() -> dict[str, str]:
    """Texts of the configs that come with the package, by name."""
    folder = resources.files("stencilnet") / "configs"
    if not folder.is_dir():
        # In a source tree they lie beside the package.
        folder = resources.files("stencilnet") / ".." / "configs"
    return {
        entry.name.removesuffix(".yaml"): entry.read_text(encoding="utf-8")
        for entry in sorted(
            folder.iterdir(), key=lambda entry: entry.name.removesuffix(".yaml")
        )
        if entry.name.endswith(".yaml")
    }


def _text(source: str | Path) -> tuple[str, str]:
    path = local_path(source)
    if path.is_file():
        try:
            return path.read_text(encoding="utf-8"), str(path)
        except UnicodeDecodeError:
            raise ValueError(f"{path} is no text file: give one in YAML.") from None
    built_in = built_in_configs()
    if str(source) in built_in:
        return built_in[str(source)], f"config {source}"
    raise FileNotFoundError(
        f"There is no config {str(source)!r}: give a YAML file or one of "
        f"{', '.join(built_in)}."
    )


def _override(values: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise ValueError(
            f"An override reads key=value, as in training.batch=32, not {override!r}."
        )
    *sections, last = key.split(".")
    place = values
    for section in sections:
        inner = place.setdefault(section, {})
        if not isinstance(inner, dict):
            raise ValueError(f"Override {override!r}: {section!r} is no section.")
        place = inner
    try:
        place[last] = parse_yaml(text)
    except ValueError as error:
        raise ValueError(
            f"Override {override!r}: the value is not YAML that can be used, {error}."
        ) from None


def _sentence(detail: Any) -> str:
    """One of pydantic's complaints in words."""
    location = [str(part) for part in detail["loc"]]
    key = ".".join(location)
    if detail["type"] == "extra_forbidden":
        model: Any = Config
        for part in location[:-1]:
            model = model.model_fields[part].annotation
        known = list(model.model_fields)
        section = f" in section {'.'.join(location[:-1])!r}" if location[:-1] else ""
        return (
            f"there is no key {location[-1]!r}{section}, {nearest(location[-1], known)}"
        )
    if detail["type"] == "missing":
        return f"the key {key!r} is missing"
    message = str(detail["msg"]).removeprefix("Value error, ")
    value = detail["input"]
    shown = f", not {value!r}" if not isinstance(value, dict) else ""
    return f"{key}: {message[0].lower()}{message[1:]}{shown}"
