"""The keys of configs: type, default and meaning of each, and configs written out."""

import inspect
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic.fields import FieldInfo

from stencilnet.errors import unknown
from stencilnet.study.config import Config
from stencilnet.study.config_types import Section


@dataclass(frozen=True)
class Key:
    """One key of a config.

    Attributes:
        name: with dots, as overrides have it.
        type: in words of Python, with its bounds.
        default: as YAML; "required" if there is none.
        meaning: what it decides.

    Example:
        >>> from stencilnet.study import Key, config_keys
        >>> key = Key("training.batch", "int >= 1", "64", "windows per update.")
        >>> print(key.text())
        training.batch: int >= 1, default 64
            windows per update.
        >>> key in config_keys("training")
        True
    """

    name: str
    type: str
    default: str
    meaning: str

    def text(self) -> str:
        """The key for a terminal."""
        return f"{self.name}: {self.type}, default {self.default}\n    {self.meaning}"

    def record(self) -> dict[str, str]:
        """The key for JSON, without its name."""
        return {"type": self.type, "default": self.default, "meaning": self.meaning}


def config_keys(part: str | None = None) -> list[Key]:
    """The keys of configs, in their order.

    Args:
        part: a key, or a section whose keys to give; all keys by default.

    Raises:
        ValueError: if there is no such key, naming the nearest one.

    Example:
        >>> from stencilnet.study import config_keys
        >>> [(key.name, key.default) for key in config_keys("reference")[:2]]
        [('reference.points', 'auto'), ('reference.courant', '0.8')]
        >>> config_keys("reference.point")
        Traceback (most recent call last):
        ...
        ValueError: There is no key of configs 'reference.point', did you mean ...
    """
    keys = list(_keys(Config, ""))
    if part is None:
        return keys
    found = [key for key in keys if key.name == part or key.name.startswith(f"{part}.")]
    if not found:
        raise unknown("key of configs", part, [key.name for key in keys])
    return found


def config_text(config: Config, *, comments: bool = False) -> str:
    """A config as YAML, every default written out.

    Args:
        config: the config.
        comments: whether to say above each key what it means.

    Example:
        >>> from pathlib import Path
        >>> from stencilnet import load_config
        >>> from stencilnet.study import config_text
        >>> config = load_config("p2", ["problem.duration=10"])
        >>> text = config_text(config, comments=True)
        >>> [line.strip() for line in text.splitlines() if "duration" in line]
        ['duration: 10.0']
        >>> _ = Path("shorter.yaml").write_text(text)
        >>> load_config("shorter.yaml") == config
        True
    """
    values = config.model_dump(mode="json")
    meanings = {key.name: key.meaning for key in config_keys()}
    lines = []
    for name, value in values.items():
        section = Config.model_fields[name].annotation
        inner = _section(section)
        if comments:
            about = _summary(inner) if inner else meanings[name]
            lines += ["", *_comment(about, "")]
        if inner is None or not isinstance(value, dict):
            lines.append(_line(name, value))
            continue
        lines.append(f"{name}:")
        for key, entry in value.items():
            if comments:
                lines += _comment(meanings[f"{name}.{key}"], "  ")
            lines.append(f"  {_line(key, entry)}")
    return "\n".join(lines).strip("\n") + "\n"


def _keys(model: type[Section], prefix: str) -> Iterator[Key]:
    meanings = _meanings(model)
    for name, field in model.model_fields.items():
        inner = _section(field.annotation)
        if inner is not None:
            yield from _keys(inner, f"{prefix}{name}.")
            continue
        default = field.get_default(call_default_factory=True)
        shown = "required" if field.is_required() else _yaml(_plain(default))
        yield Key(f"{prefix}{name}", _type(field), shown, meanings[name])


def _section(annotation: Any) -> type[Section] | None:
    """The section that a field holds, null or not."""
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, Section):
            return candidate
    return None


def _meanings(model: type[Section]) -> dict[str, str]:
    """Meanings from the section `Attributes` of a docstring."""
    text = inspect.getdoc(model) or ""
    entries = text.partition("Attributes:\n")[2].partition("\n\n")[0]
    meanings = {}
    for entry in re.split(r"\n(?=    \S)", "\n" + entries)[1:]:
        names, _, meaning = entry.strip().partition(": ")
        for name in names.split(", "):
            meanings[name] = " ".join(meaning.split())
    return meanings


def _summary(model: type[Section]) -> str:
    return (inspect.getdoc(model) or "").split("\n\n")[0]


def _type(field: FieldInfo) -> str:
    """The type of a field, with its bounds."""
    return " ".join([_words(field.annotation), *_bounds(field.metadata)])


def _words(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        checks = [
            check
            for entry in inner[1:]
            for check in getattr(entry, "metadata", [entry])
        ]
        return " ".join([_words(inner[0]), *_bounds(checks)])
    if origin is Literal:
        return " or ".join(map(repr, inner))
    if origin in (Union, UnionType):
        return " or ".join(map(_words, inner))
    if origin is tuple:
        return f"list of {_words(inner[0])}"
    if annotation is type:
        return "module:Class"
    return {NoneType: "null", str: "text"}.get(
        annotation, "mapping" if origin is dict else annotation.__name__
    )


def _bounds(checks: Iterable[object]) -> list[str]:
    signs = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
    return [
        f"{sign} {getattr(check, name):g}"
        for check in checks
        for name, sign in signs.items()
        if hasattr(check, name)
    ]


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _yaml(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")


def _line(name: str, value: Any) -> str:
    return f"{name}: {_yaml(value)}"


def _comment(text: str, indent: str) -> list[str]:
    """A text as lines of comment, 80 columns wide."""
    words, lines = text.split(), [f"{indent}#"]
    for word in words:
        if len(lines[-1]) + 1 + len(word) > 80:
            lines.append(f"{indent}#")
        lines[-1] += f" {word}"
    return lines
