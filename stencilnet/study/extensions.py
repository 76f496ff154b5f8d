"""Classes of a user's own, named explicitly in a config or on the command line."""

import importlib
import sys
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema


def imported(name: object) -> type:
    r"""The class that `module:Class` names; modules of the current folder are found.

    Args:
        name: as the user writes it, or a class, which is returned.

    Raises:
        ValueError: if the name is not of this shape, or there is no such class.

    Example:
        >>> from pathlib import Path
        >>> from stencilnet.study import imported
        >>> code = "from stencilnet import Burgers\n\nclass Thick(Burgers):\n    pass\n"
        >>> _ = Path("thick_fluids.py").write_text(code)
        >>> imported("thick_fluids:Thick")(viscosity=1.0)
        Thick(viscosity=1.0)
    """
    if isinstance(name, type):
        return name
    module, _, attribute = str(name).partition(":")
    if not (module and attribute):
        raise ValueError(
            f"an extension is written module:Class, as in my_physics:MyEquation, not "
            f"{name!r}"
        )
    folder = str(Path.cwd())
    sys.path.append(folder)
    try:
        target: Any = importlib.import_module(module)
    except ImportError as error:
        raise ValueError(
            f"the module of the extension {name!r} cannot be imported ({error}): "
            f"install it, or run the command in its folder"
        ) from None
    finally:
        sys.path.remove(folder)
    for part in attribute.split("."):
        target = getattr(target, part, None)
    if not isinstance(target, type):
        raise ValueError(f"there is no class {attribute!r} in the module {module!r}")
    return target


def _named(extension: type) -> str:
    return f"{extension.__module__}:{extension.__qualname__}"


Extension = Annotated[
    type,
    BeforeValidator(imported),
    PlainSerializer(_named, return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^[^:]+:[^:]+$"}),
]
"""A class, or its name as `module:Class`."""
