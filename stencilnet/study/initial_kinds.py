"""The initial states that configs name."""

import dataclasses
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from pydantic import TypeAdapter, ValidationError

from stencilnet.errors import nearest, unknown
from stencilnet.study.initial import (
    Bump,
    InitialState,
    RandomBump,
    RandomShocks,
    RandomSolitons,
    RandomWaves,
    Rest,
)
from stencilnet.study.stored_states import StoredStates

INITIAL_STATES: Mapping[str, type[InitialState]] = MappingProxyType(
    {
        state.__name__: state
        for state in (
            Rest,
            Bump,
            RandomBump,
            RandomWaves,
            RandomSolitons,
            RandomShocks,
            StoredStates,
        )
    }
)
"""The initial states by the names that configs use.

Example:
    >>> from stencilnet import Grid
    >>> from stencilnet.study import INITIAL_STATES
    >>> bump = INITIAL_STATES["Bump"](position=3.0, height=2.0)
    >>> u = bump.sample(2)(Grid.line(8, 8.0))
    >>> tuple(u.shape), u.argmax(-1).tolist(), u.amax(-1).tolist()
    ((2, 8), [3, 3], [2.0, 2.0])
"""


def initial_state_from_spec(
    spec: Mapping[str, Any], extensions: Iterable[type] = ()
) -> InitialState:
    """The initial state of a config.

    Args:
        spec: its name and its parameters.
        extensions: classes, of which initial states are known by their names as well.

    Raises:
        ValueError: if the name is unknown or a parameter does not fit it.
    """
    own = {cls.__name__: cls for cls in extensions if issubclass(cls, InitialState)}
    known = {**INITIAL_STATES, **own}
    if "name" not in spec:
        raise ValueError(
            f"An initial state is written with its name, as in {{name: Bump}}, not "
            f"{dict(spec)}."
        )
    if spec["name"] not in known:
        error = unknown("initial state", spec["name"], known)
        raise ValueError(
            f"{str(error).removesuffix('.')}; list one of your own as an extension."
        )
    state = known[spec["name"]]
    parameters = {key: value for key, value in spec.items() if key != "name"}
    names = [field.name for field in dataclasses.fields(state)]  # type: ignore[arg-type]
    for key in parameters:
        if key not in names:
            raise ValueError(
                f"{spec['name']} has no parameter {key!r}, {nearest(key, names)}."
            )
    try:
        built: InitialState = TypeAdapter(state).validate_python(parameters)
    except ValidationError as error:
        detail = error.errors()[0]
        where = f"parameter {detail['loc'][0]} of " if detail["loc"] else ""
        raise ValueError(
            f"The {where}{spec['name']} does not fit, {detail['input']!r}: "
            f"{detail['msg'].removeprefix('Value error, ')}."
        ) from None
    return built
