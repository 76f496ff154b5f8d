"""Imports between and within the wings point down, and what stands there is small."""

import ast
import functools
import importlib
import inspect
import io
import itertools
import tokenize
from pathlib import Path

import pytest

import stencilnet

LEVELS = [
    {"boundaries", "grid", "solver", "stencils", "progress", "display", "errors"},
    {"equations", "forcing", "denoising"},
    {"discretizations", "storage"},
    {"report"},
    {"study"},
    {"cli"},
    {"__main__"},
]
LEVEL = {name: level for level, names in enumerate(LEVELS) for name in names}
PACKAGE = Path(stencilnet.__file__).parent
STUDIES = Path(__file__).parents[1] / "simulations"
MOST_LINES = 350
MOST_LINES_OF_CODE = 60
# Functions that may be longer, each with its reason.
LONG: dict[str, str] = {}
WINGS = sorted(name for name in LEVEL if (PACKAGE / name).is_dir())


def modules():
    """Every module of the package with its dotted name."""
    for file in sorted(PACKAGE.rglob("*.py")):
        parts = file.relative_to(PACKAGE).with_suffix("").parts
        yield file, ".".join(part for part in parts if part != "__init__")


@functools.cache
def statements():
    """Every import from the package: importer, module and the names taken from it."""
    found = []
    for file, importer in modules():
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name.partition(".") for alias in node.names]
                found += [
                    (importer, module, [])
                    for package, _, module in names
                    if package == "stencilnet"
                ]
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{importer} imports relatively"
                package, _, module = (node.module or "").partition(".")
                if package == "stencilnet":
                    taken = [alias.name for alias in node.names]
                    found.append((importer, module, taken))
    return found


@functools.cache
def imports():
    """Pairs of modules of which the first imports the second, by dotted names."""
    known = {name for _, name in modules()}
    found = set()
    for importer, module, names in statements():
        promised = promises(module)
        for name in names or [""]:
            inner = f"{module}.{name}".strip(".")
            taken = inner in known and name not in promised
            found.add((importer, inner if taken else module))
    return found


@functools.cache
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
    assert {b for a, b in wing_pairs() if a == "solver"} <= {
        "display",
        "errors",
        "grid",
    }


@functools.cache
def documented_values():
    """Names that an assignment binds and a string below it documents."""
    found = set()
    for file, _ in modules():
        body = ast.parse(file.read_text()).body
        for node, following in itertools.pairwise(body):
            targets = node.targets if isinstance(node, ast.Assign) else []
            targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
            text = getattr(following, "value", None)
            if isinstance(following, ast.Expr) and isinstance(text, ast.Constant):
                found |= {ast.unparse(target) for target in targets}
    return found


@pytest.mark.parametrize("wing", ["", *WINGS])
def test_public_names_exist_and_are_documented(wing):
    module = importlib.import_module(f"stencilnet.{wing}".strip("."))
    documented = documented_values()
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


def code_lines(text):
    """Numbers of the lines with code, a comment or a blank line being none."""
    silent = {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
    }
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return {
        line
        for token in tokens
        if token.type not in silent
        for line in range(token.start[0], token.end[0] + 1)
    }


def lengths(text):
    """Lines of code of each function of a module, without its docstring, by name."""
    code = code_lines(text)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = set(range(node.lineno, node.end_lineno + 1))
            if ast.get_docstring(node) is not None:
                first = node.body[0]
                lines -= set(range(first.lineno, first.end_lineno + 1))
            yield node.name, len(code & lines)


def files():
    """Modules of the package, and studies where the tests run beside them."""
    return sorted([*PACKAGE.rglob("*.py"), *STUDIES.rglob("*.py")])


def test_modules_fit_a_reader():
    long = {file.name: len(file.read_text().splitlines()) for file in files()}
    assert not {name: lines for name, lines in long.items() if lines > MOST_LINES}


def test_functions_fit_a_screen():
    found = {
        name: lines
        for file in files()
        for name, lines in lengths(file.read_text())
        if lines > MOST_LINES_OF_CODE
    }
    assert set(found) == set(LONG), found


def test_lines_of_code_leave_out_what_a_reader_skips():
    text = '''
def example(a):
    """What it does.

    At length.
    """
    # Why.

    return (
        a
    )
'''
    assert dict(lengths(text)) == {"example": 4}
