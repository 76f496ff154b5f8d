"""Arguments of commands, turned into what the stages take."""

from pathlib import Path
from typing import Any

import yaml

from stencilnet.equations import Burgers, Equation, equation_from_spec
from stencilnet.storage import local_path


def without_suffix(figure: Path) -> Path:
    """The path of a figure, which is written in two formats."""
    figure = local_path(figure)
    return figure.with_suffix("") if figure.suffix in (".png", ".pdf") else figure


def number_or_name(text: str) -> float | str:
    """A number, if the text is one."""
    try:
        return float(text)
    except ValueError:
        return text


def equation_of(viscosity: float | None, text: str | None) -> Equation | None:
    """An equation from a viscosity, that of Burgers, or from a spec in YAML."""
    if viscosity is not None and text is not None:
        raise ValueError("Give either a viscosity or an equation, not both.")
    if viscosity is not None:
        return Burgers(viscosity)
    if text is None:
        return None
    try:
        spec: Any = yaml.safe_load(text)
    except yaml.YAMLError:
        spec = None
    if not isinstance(spec, dict):
        raise ValueError(
            f"An equation is written with its name, as in "
            f"'{{name: Burgers, viscosity: 0.01}}', not {text!r}."
        )
    return equation_from_spec(spec)


def boundaries_of(text: str | None) -> list[Any] | None:
    """Boundaries of both ends from a list in YAML, whose brackets may be missing."""
    if text is None:
        return None
    try:
        ends: Any = yaml.safe_load(text if text.lstrip()[:1] == "[" else f"[{text}]")
        left, *rest = ends
    # YAML's dates are checked by Python.
    except (ValueError, yaml.YAMLError):
        raise ValueError(
            f"Boundaries are written as wall,outflow or with their parameters, as in "
            f"'[{{name: prescribed, value: 1}}, outflow]', not {text!r}."
        ) from None
    return [left, *rest] if rest else [left, left]
