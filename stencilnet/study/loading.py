"""Configs from YAML files, validated, with `key=value` overrides."""

import json
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from stencilnet.errors import nearest
from stencilnet.storage import local_path
from stencilnet.study.config import Config
from stencilnet.study.devices import anywhere
from stencilnet.study.yaml_text import parse_yaml


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

    Example:
        >>> from stencilnet import load_config
        >>> config = load_config("p2", ["training.iterations=4000"])
        >>> config.name, config.training.iterations
        ('p2', 4000)
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


def stored_config(
    attributes: Mapping[str, object], path: Path, extensions: Sequence[type] = ()
) -> Config:
    """The config that a store carries.

    Args:
        attributes: of the store.
        path: of the store, for messages.
        extensions: classes that the config may name. Those that the store itself lists
            are not imported.

    Raises:
        ValueError: if it carries none.
    """
    if "config" not in attributes:
        raise ValueError(
            f"{path} does not say which problem it is for: name a config, as in "
            f"--config p2."
        )
    # The machine that it was written on may have had other devices.
    values = anywhere(json.loads(str(attributes["config"])))
    values["extensions"] = tuple(extensions)
    return validate_config(values, f"config in {path}")


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
    message = str(detail["msg"]).removeprefix("Value error, ").rstrip(".")
    value = detail["input"]
    shown = f", not {value!r}" if not isinstance(value, dict) else ""
    return f"{key}: {message[0].lower()}{message[1:]}{shown}"
