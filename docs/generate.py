"""Pages of the site that follow from the code: config keys and all public names."""

import ast
import dataclasses
import functools
import importlib
import inspect
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import stencilnet
from stencilnet.study import config_keys

WINGS = (
    "equations",
    "boundaries",
    "forcing",
    "discretizations",
    "stencils",
    "solver",
    "denoising",
    "storage",
    "report",
    "study",
)


def write_pages(folder: Path) -> None:
    """Writes `config-keys.md`, `reference.md` and a page for each wing."""
    (folder / "config-keys.md").write_text(keys_page(), encoding="utf-8")
    pages = folder / "reference"
    pages.mkdir(exist_ok=True)
    for name in ("stencilnet", *(f"stencilnet.{wing}" for wing in WINGS)):
        (pages / f"{name}.md").write_text(reference_page(name), encoding="utf-8")
    entries = "\n".join(f"reference/stencilnet.{wing}" for wing in WINGS)
    (folder / "reference.md").write_text(
        "# Reference\n\nEvery public name, with shapes, units and errors.\n\n"
        f"```{{toctree}}\nreference/stencilnet\n{entries}\n```\n",
        encoding="utf-8",
    )


def keys_page() -> str:
    """All keys of configs as a table."""
    rows = [
        f"| `{key.name}` | {key.type.replace('|', 'or')} | `{key.default}` | "
        f"{key.meaning} |"
        for key in config_keys()
    ]
    head = "# Config keys\n\n`stencilnet config explain KEY` says the same.\n\n"
    return f"{head}| key | type | default | meaning |\n| --- | --- | --- | --- |\n" + (
        "\n".join(rows) + "\n"
    )


def reference_page(name: str) -> str:
    """The public names of a module: signatures and docstrings."""
    module = importlib.import_module(name)
    parts = [f"# {name}\n", _fenced(inspect.getdoc(module) or "")]
    for entry in module.__all__:
        value = getattr(module, entry)
        parts.append(f"## {entry}\n")
        if inspect.isclass(value) or inspect.isroutine(value):
            parts.append(_fenced(f"{entry}{_signature(value)}", "python"))
        else:
            parts.append(_fenced(repr(value)[:500]))
        parts.append(_fenced(documentation(module, entry)))
        if inspect.isclass(value):
            for method, function in methods(value):
                parts.append(f"### {entry}.{method}\n")
                parts.append(_fenced(f"{method}{_signature(function)}", "python"))
                parts.append(_fenced(inspect.getdoc(function) or ""))
    return "\n".join(part for part in parts if part)


def documentation(module: ModuleType, name: str) -> str:
    """The docstring of a class or function, or the string below a value."""
    value = getattr(module, name)
    if inspect.isclass(value) or inspect.isroutine(value):
        return inspect.getdoc(value) or ""
    return _strings_below_values().get(name, "")


@functools.cache
def _strings_below_values() -> dict[str, str]:
    """Documentation of the values of all modules of the package, by their names."""
    strings: dict[str, str] = {}
    for file in sorted(Path(stencilnet.__file__).parent.rglob("*.py")):
        body = ast.parse(file.read_text(encoding="utf-8")).body
        for node, below in itertools.pairwise(body):
            if isinstance(node, ast.Assign):
                targets = node.targets
            elif isinstance(node, ast.AnnAssign):
                targets = [node.target]
            else:
                continue
            if (
                isinstance(below, ast.Expr)
                and isinstance(below.value, ast.Constant)
                and isinstance(below.value.value, str)
            ):
                text = inspect.cleandoc(below.value.value)
                strings |= {ast.unparse(target): text for target in targets}
    return strings


def methods(cls: type) -> Iterator[tuple[str, object]]:
    """Public methods that the package gives a class, without those of torch."""
    seen: set[str] = set()
    for base in cls.__mro__:
        if not base.__module__.startswith("stencilnet"):
            continue
        fields = (
            {field.name for field in dataclasses.fields(base)}
            if dataclasses.is_dataclass(base)
            else set()
        )
        for name, value in vars(base).items():
            value = getattr(value, "__func__", value)
            if name[0] != "_" and inspect.isfunction(value) and name not in fields:
                if name not in seen:
                    yield name, value
                seen.add(name)


def _signature(value: object) -> str:
    try:
        signature = inspect.signature(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return "(...)"
    text = ", ".join(
        str(parameter.replace(annotation=inspect.Parameter.empty))
        for parameter in signature.parameters.values()
    )
    # Classes and functions by their names, as one writes them.
    text = re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", text)
    text = re.sub(r"<function (?:\w+\.)*(\w+) at 0x\w+>", r"\1", text)
    return f"({text})" if len(text) < 600 else "(...)"


def _fenced(text: str, language: str = "text") -> str:
    return f"```{language}\n{text}\n```\n" if text else ""
