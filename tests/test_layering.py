"""Imports between the wings of the package, and within them, point down."""

import ast
import importlib
import inspect
import itertools
from pathlib import Path

import pytest

import stencilnet

LEVELS = [
    {"grid", "solver", "stencils", "progress", "errors"},
    {"equations", "forcing", "denoising"},
    {"discretizations", "storage"},
    {"report"},
    {"study"},
    {"cli"},
]
LEVEL = {name: level for level, names in enumerate(LEVELS) for name in names}
PACKAGE = Path(stencilnet.__file__).parent
WINGS = sorted(name for name in LEVEL if (PACKAGE / name).is_dir())


def modules():
    """Every module of the package with its dotted name."""
    for file in sorted(PACKAGE.rglob("*.py")):
        parts = file.relative_to(PACKAGE).with_suffix("").parts
        yield file, ".".join(part for part in parts if part != "__init__")


def statements():
    """Every import from the package: importer, module and the names taken from it."""
    for file, importer in modules():
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name.partition(".") for alias in node.names]
                yield from (
                    (importer, module, [])
                    for package, _, module in names
                    if package == "stencilnet"
                )
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{importer} imports relatively"
                package, _, module = (node.module or "").partition(".")
                if package == "stencilnet":
                    yield importer, module, [alias.name for alias in node.names]


def imports():
    """Pairs of modules of which the first imports the second, by dotted names."""
    known = {name for _, name in modules()}
    for importer, module, names in statements():
        promised = promises(module)
        for name in names or [""]:
            inner = f"{module}.{name}".strip(".")
            taken = inner in known and name not in promised
            yield importer, inner if taken else module


def promises(wing):
    """What the `__init__` of a wing lists; nothing for a module."""
    folder = PACKAGE / wing.replace(".", "/")
    if not folder.is_dir():
        return []
    for node in ast.walk(ast.parse((folder / "__init__.py").read_text())):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return ast.literal_eval(node.value)
    return []


def wing_pairs():
    """Different wings of which the first imports the second."""
    pairs = {(a.split(".")[0], b.split(".")[0]) for a, b in imports()}
    return {(a, b) for a, b in pairs if a and a != b}


def circle(edges):
    """Nodes on a circle of the edges, empty if there is none."""
    nodes = {node for edge in edges for node in edge}
    while nodes:
        free = {n for n in nodes if not any(a == n and b in nodes for a, b in edges)}
        if not free:
            return nodes
        nodes -= free
    return set()


def test_every_wing_has_a_level():
    wings = {name.split(".")[0] for _, name in modules()} - {""}
    assert wings == set(LEVEL)


def test_imports_between_wings_point_down():
    upward = {(a, b) for a, b in wing_pairs() if LEVEL[a] < LEVEL[b]}
    assert not upward


def test_imports_between_wings_make_no_circle():
    assert not circle(wing_pairs())


@pytest.mark.parametrize("wing", sorted(LEVEL))
def test_imports_within_a_wing_make_no_circle(wing):
    inner = {(a, b) for a, b in imports() if a != b} - {
        (a, b) for a, b in imports() if a.split(".")[0] != wing
    }
    assert not circle({(a, b) for a, b in inner if b.split(".")[0] == wing})


def test_there_are_few_pairs_of_wings():
    folders = {(a, b) for a, b in wing_pairs() if (PACKAGE / b).is_dir()}
    assert len(folders) <= 30


def test_wings_are_imported_through_what_they_promise():
    for importer, module, names in statements():
        wing = module.split(".")[0]
        if not (PACKAGE / wing).is_dir() or importer.split(".")[0] == wing:
            continue
        assert module == wing, f"{importer} imports from {module}"
        assert set(names) <= set(promises(wing)), f"{importer} imports from {wing}"


def test_only_the_upper_levels_read_configs():
    readers = {
        importer.split(".")[0]
        for importer, module, names in statements()
        if module == "study.config" or {"Config", "load_config"} & set(names)
    }
    assert "study" in readers
    assert readers <= {"", "study", "cli"}


def test_solver_knows_no_equation():
    assert {b for a, b in wing_pairs() if a == "solver"} <= {"errors", "grid"}


def documented_values():
    """Names that an assignment binds and a string below it documents."""
    for file, _ in modules():
        body = ast.parse(file.read_text()).body
        for node, following in itertools.pairwise(body):
            targets = node.targets if isinstance(node, ast.Assign) else []
            targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
            text = getattr(following, "value", None)
            if isinstance(following, ast.Expr) and isinstance(text, ast.Constant):
                yield from (ast.unparse(target) for target in targets)


@pytest.mark.parametrize("wing", ["", *WINGS])
def test_public_names_exist_and_are_documented(wing):
    module = importlib.import_module(f"stencilnet.{wing}".strip("."))
    documented = set(documented_values())
    assert len(set(module.__all__)) == len(module.__all__)
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isroutine(value):
            assert value.__doc__, name
        elif inspect.isclass(value):
            # Neither the text of a base class counts, nor what dataclass writes.
            text = vars(value).get("__doc__") or ""
            assert text, name
            assert not text.startswith(f"{name}("), name
        else:
            # An instance has the text of its class.
            assert name in documented, name
