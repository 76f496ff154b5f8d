"""Specs: plain mappings from which frozen values are made again."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeVar

from stencilnet.errors import unknown


@dataclass(frozen=True)
class Value:
    """A frozen value that a spec describes completely.

    Attributes:
        kind: name in its registry.
    """

    kind: ClassVar[str]

    def spec(self) -> dict[str, Any]:
        """`kind` and every setting, plain values for JSON."""
        settings = {field.name: getattr(self, field.name) for field in fields(self)}
        return {"kind": self.kind, **settings}


AnyValue = TypeVar("AnyValue", bound=Value)


def value_from_spec(
    noun: str, spec: str | Mapping[str, Any], registry: Mapping[str, type[AnyValue]]
) -> AnyValue:
    """The value of a registry that a spec describes.

    Args:
        noun: what the registry holds, for errors.
        spec: as from `Value.spec`; settings that it leaves out keep their defaults, and
            a name alone is a kind with all of its defaults.
        registry: classes by kind.

    Raises:
        ValueError: if the kind or one of its settings is unknown, or a setting is not
            allowed.
    """
    settings: dict[str, Any] = {"kind": spec} if isinstance(spec, str) else dict(spec)
    kind = settings.pop("kind", None)
    if not isinstance(kind, str) or kind not in registry:
        raise unknown(noun, kind, registry)
    names = [field.name for field in fields(registry[kind])]
    for name in settings:
        if name not in names:
            raise unknown(f"setting of {kind}", name, names or ["none"])
    return registry[kind](**settings)
