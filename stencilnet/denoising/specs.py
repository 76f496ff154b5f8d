"""Specs: plain mappings from which frozen values are made again."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar

from stencilnet.errors import unknown

AnyValue = TypeVar("AnyValue", bound="Value")


@dataclass(frozen=True)
class Value:
    """A frozen value that a spec describes completely.

    Attributes:
        noun: what a base class and its subclasses are called in errors.
        kind: name of a subclass.
    """

    noun: ClassVar[str]
    kind: ClassVar[str]

    def spec(self) -> dict[str, Any]:
        """`kind` and every setting, plain values for JSON."""
        settings = {field.name: getattr(self, field.name) for field in fields(self)}
        return {"kind": self.kind, **settings}

    @classmethod
    def kinds(cls: type[AnyValue]) -> Mapping[str, type[AnyValue]]:
        """The subclasses that have a kind, by it, read-only."""
        named = (value for value in cls.__subclasses__() if hasattr(value, "kind"))
        return MappingProxyType({value.kind: value for value in named})

    @classmethod
    def from_spec(cls: type[AnyValue], spec: str | Mapping[str, Any]) -> AnyValue:
        """The value that a spec describes.

        Args:
            spec: as from `spec`; settings that it leaves out keep their defaults, and a
                name alone is a kind with all of its defaults.

        Raises:
            ValueError: if the kind or a setting is unknown, or a setting is out of
                range.
        """
        registry = cls.kinds()
        settings = {"kind": spec} if isinstance(spec, str) else dict(spec)
        kind = settings.pop("kind", None)
        if not isinstance(kind, str) or kind not in registry:
            raise unknown(cls.noun, kind, registry)
        names = [field.name for field in fields(registry[kind])]
        for name in settings:
            if name not in names:
                raise unknown(f"setting of {kind}", name, names or ["none"])
        return registry[kind](**settings)

    @classmethod
    def checked(cls: type[AnyValue], value: object, default: AnyValue) -> AnyValue:
        """The value, or the default for none.

        Raises:
            TypeError: if it is a name or something else.
        """
        if value is None:
            return default
        if not isinstance(value, cls):
            raise TypeError(
                f"A {cls.noun} is a value such as {type(default).__name__}(), not "
                f"{value!r}: {cls.__name__}.from_spec makes one from a name."
            )
        return value
