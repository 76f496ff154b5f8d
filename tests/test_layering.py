"""Imports between the wings of the package, and within them, point down."""

import ast
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


def modules():
    """Every module of the package with its dotted name."""
    for file in sorted(PACKAGE.rglob("*.py")):
        parts = file.relative_to(PACKAGE).with_suffix("").parts
        yield file, ".".join(part for part in parts if part != "__init__")


def imports():
    """Pairs of modules of which the first imports the second, by dotted names."""
    names = {name for _, name in modules()}
    for file, importer in modules():
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.ImportFrom) or not node.module:
                continue
            package, _, module = node.module.partition(".")
            if package != "stencilnet":
                continue
            inner = [f"{module}.{alias.name}".strip(".") for alias in node.names]
            for name in inner:
                yield importer, name if name in names else module


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


def test_only_the_upper_levels_read_configs():
    readers = {a.split(".")[0] for a, b in imports() if b == "study.config"}
    assert readers <= {"", "study", "cli"}


def test_solver_knows_no_equation():
    assert {b for a, b in wing_pairs() if a == "solver"} <= {"errors", "grid"}


def test_public_names_exist_and_have_docstrings_of_their_own():
    for name in stencilnet.__all__:
        value = getattr(stencilnet, name)
        if isinstance(value, type) or callable(value):
            assert value.__doc__, name
