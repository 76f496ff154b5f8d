"""Imports between the modules of the package point down."""

import ast
from pathlib import Path

import stencilnet

LAYERS = [
    {
        "constants",
        "moments",
        "integrators",
        "exponential",
        "implicit_explicit",
        "splitting",
        "checkpointing",
        "grid",
        "config",
    },
    {"equations", "exact", "coefficients", "solve", "adaptive", "forcing", "denoising"},
    {"discretizations", "storage"},
    {
        "methods",
        "reference",
        "generate",
        "denoise",
        "windows",
        "checkpoints",
        "certificate",
        "training",
        "evaluation",
        "simulate",
        "verify",
    },
    {"cli", "demo", "report", "plots"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
PACKAGE = Path(stencilnet.__file__).parent


def imports():
    """Pairs of modules of which the first imports the second."""
    for file in sorted(PACKAGE.rglob("*.py")):
        importer = file.relative_to(PACKAGE).with_suffix("").parts[0]
        if importer == "__init__":
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                if node.module == "stencilnet":
                    yield from ((importer, alias.name) for alias in node.names)
                elif node.module.startswith("stencilnet."):
                    yield importer, node.module.split(".")[1]


def test_every_module_has_a_layer():
    modules = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py"}
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert (modules | folders) - {"__init__"} == set(LEVEL)


def test_imports_point_down_or_aside():
    upward = [pair for pair in imports() if LEVEL[pair[0]] < LEVEL[pair[1]]]
    assert not upward


def test_imports_make_no_circle():
    edges = {(a, b) for a, b in imports() if a != b}
    nodes = set(LEVEL)
    while nodes:
        free = {n for n in nodes if not any(a == n and b in nodes for a, b in edges)}
        assert free, f"circular imports among {sorted(nodes)}"
        nodes -= free


def test_only_the_upper_layers_read_configs():
    readers = {importer for importer, imported in imports() if imported == "config"}
    assert all(LEVEL[reader] >= 3 for reader in readers)


def test_storage_and_discretizations_do_not_know_each_other():
    pairs = set(imports())
    assert ("storage", "discretizations") not in pairs
    assert ("discretizations", "storage") not in pairs
    assert ("solve", "equations") not in pairs


def test_public_names_exist_and_are_documented():
    for name in stencilnet.__all__:
        assert getattr(stencilnet, name).__doc__, name
