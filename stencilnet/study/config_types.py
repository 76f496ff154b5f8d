"""Types of the values in configs."""

import math
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from stencilnet.study.devices import as_device


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError("a finite number is needed")
    return value


Finite = Annotated[float, AfterValidator(_finite)]
Positive = Annotated[Finite, Field(gt=0)]
NonNegative = Annotated[Finite, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0)]
Precision = Literal["float32", "float64"]


class Section(BaseModel):
    """Section of a config: immutable, unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


def _device(name: str) -> str:
    as_device(name)
    return name


Device = Annotated[str, AfterValidator(_device)]
"""A device of torch that is there, such as cpu, cuda:1 or mps."""
