"""The examples of CONTRIBUTING work and take the lines that it says."""

import difflib
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import stencilnet

PACKAGE = Path(stencilnet.__file__).parent
TEXT = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text()


@dataclass(frozen=True)
class Recipe:
    """Where the example of a recipe goes.

    Attributes:
        file: that holds it, new or one of the package.
        before: docstring and imports of a new file; in a file of the package, the line
            above which the example stands.
        entries: further lines, each with its file and the text before which it stands.
        indent: of the example.
    """

    file: str
    before: str
    entries: tuple[tuple[str, str, str], ...] = ()
    indent: str = ""


RECIPES = {
    "An equation": Recipe(
        "stencilnet/equations/modified.py",
        '''"""Burgers' equation with a cubic flux."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from stencilnet.equations.base import Equation


''',
        (
            (
                "stencilnet/equations/__init__.py",
                "from stencilnet.errors import unknown\n",
                "from stencilnet.equations.modified import ModifiedBurgers\n",
            ),
            (
                "stencilnet/equations/__init__.py",
                '    "MovingShock",\n',
                '    "ModifiedBurgers",\n',
            ),
            (
                "stencilnet/equations/__init__.py",
                "            KortewegDeVries,\n",
                "            ModifiedBurgers,\n",
            ),
        ),
    ),
    "A classical method": Recipe(
        "stencilnet/discretizations/koren.py",
        '''"""Finite volumes of third order with limited slopes."""

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.discretizations.reconstruction import Reconstruction
from stencilnet.equations import Equation, Form, UpwindFlux
from stencilnet.grid import Grid


''',
        (
            (
                "stencilnet/discretizations/classical.py",
                "from stencilnet.discretizations.muscl import Muscl\n",
                "from stencilnet.discretizations.koren import Koren\n",
            ),
            (
                "stencilnet/discretizations/classical.py",
                '    "weno_js": ',
                '    "koren": Classical(Koren, "Koren", 2),\n',
            ),
        ),
    ),
    "A side condition": Recipe(
        "stencilnet/stencils/side_conditions.py",
        "def _tuples(",
        (
            (
                "stencilnet/stencils/side_condition_kinds.py",
                "    SideCondition,\n",
                "    Positive,\n",
            ),
            (
                "stencilnet/stencils/side_condition_kinds.py",
                "        for condition in (Sign,",
                "        for condition in (Positive, Sign,",
            ),
        ),
    ),
    "An integrator": Recipe(
        "stencilnet/solver/runge_kutta.py",
        "BogackiShampine32 = ",
        (
            ("stencilnet/solver/catalogue.py", ")\n\nINTEGRATORS", "    Ralston3,\n"),
            (
                "stencilnet/solver/catalogue.py",
                '        "SSPRK3": SSPRK3',
                '        "Ralston3": Ralston3,\n',
            ),
        ),
    ),
    "A constraint": Recipe(
        "own.py",
        '''"""A constraint of one's own."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from stencilnet.stencils import CoefficientLayer, Constraint
from stencilnet.stencils import MomentConditions, NullSpaceLayer


''',
    ),
    "A metric": Recipe(
        "stencilnet/study/metrics.py",
        '        "error": Metric(("sample", "time")',
        indent=" " * 8,
    ),
    "An initial state": Recipe(
        "stencilnet/study/initial.py",
        "@dataclass(frozen=True)\nclass RandomShocks(",
        (
            (
                "stencilnet/study/initial_kinds.py",
                "    RandomSolitons,\n    RandomWaves,\n    Rest,\n)",
                "    RandomSine,\n",
            ),
            (
                "stencilnet/study/initial_kinds.py",
                "            RandomSolitons,\n            RandomShocks,",
                "            RandomSine,\n",
            ),
        ),
    ),
    "A study": Recipe("simulations/wave.py", ""),
}

CHECK = """
import runpy, sys
from pathlib import Path
import torch
import stencilnet
assert Path(stencilnet.__file__).is_relative_to(Path.cwd()), stencilnet.__file__

from stencilnet import Convex, Grid, Weno, compare, rollout
from stencilnet.discretizations import CLASSICAL, classical
from stencilnet.equations import Advection, equation_from_spec
from stencilnet.forcing import RandomForcing
from stencilnet.solver import INTEGRATORS
from stencilnet.stencils import constraint_from_spec, side_condition_from_spec
from stencilnet.storage import trajectories
from stencilnet.study import INITIAL_STATES, check_study
from stencilnet.study import load_config
from own import Shrunk

grid, times = Grid.line(32), torch.linspace(0, 1, 3, dtype=torch.float64)

equation = equation_from_spec({"name": "ModifiedBurgers"})
u0 = INITIAL_STATES["RandomSine"]().sample(2)(grid)
assert not torch.equal(u0[0], u0[1])
methods = {"weno": Weno(equation, grid), "koren": classical("koren", equation, grid)}
u = rollout(methods["weno"], u0, times, steps="stable")
result = compare(methods, trajectories(u, times, grid, RandomForcing.none(2),
                                       averages=True))
assert float(result["relative_l2"].max()) < 0.1
assert result["largest_error"].attrs["heading"] == "largest"
check_study(load_config("p2", [
    "problem.equation={name: ModifiedBurgers}", "problem.initial=RandomSine",
    "training.integrator=Ralston3", "comparison.methods=[koren]",
    "operator.constraint={u: {kind: convex, side_conditions: [{kind: positive}]}, "
    "u_x: {kind: null_space}}",
]))

block = ((grid.points() > 2) & (grid.points() < 4)).double()
moved = rollout(classical("koren", Advection(1.0), grid), block, times, steps="stable")
assert moved.min() > -1e-12 and moved.max() < 1 + 1e-12

errors = []
for steps in (8, 16):
    end = rollout(lambda u: -u, torch.ones(1).double(), times[[0, 2]],
                  integrator=INTEGRATORS["Ralston3"], steps=steps)[-1]
    errors.append(float((end - torch.tensor(-1.0).double().exp()).abs()))
assert 7 < errors[0] / errors[1] < 9

positive = side_condition_from_spec({"kind": "positive"})
layer = Convex(side_conditions=(positive,)).layer([-1.5, -0.5, 0.5, 1.5], derivative=0)
raw = torch.randn(50, 4, generator=torch.Generator().manual_seed(0)).double()
assert layer(raw).min() > -1e-12 and layer.residual(layer(raw)).max() < 1e-12

layer = constraint_from_spec({"kind": "shrunk"}, [Shrunk]).layer([-1, 0, 1],
                                                                 derivative=1)
assert layer.residual(layer(torch.ones(1).double())).max() < 1e-12

sys.argv = ["wave.py", "--quick"]
runpy.run_path("simulations/wave.py", run_name="__main__")
assert Path("runs/wave/result.json").exists()
"""


def example(name: str) -> str:
    """The code of a recipe."""
    recipe = TEXT[TEXT.index(f"**{name}** (") :]
    return re.search(r"```python\n(.*?)```", recipe, re.S)[1]


def stated(name: str) -> list[int]:
    """The numbers of lines in the brackets after the name of a recipe."""
    words = re.search(rf"\*\*{name}\*\* \((.*?)[;)]", TEXT, re.S)[1]
    return [
        int(number) for number in re.findall(r"\d+(?= lines?\b)|\d+(?= more)", words)
    ]


def inserted(text: str, before: str, added: str) -> str:
    """Text with lines added above a place, or a place rewritten."""
    assert text.count(before) == 1, before
    return text.replace(before, added + before if added.endswith("\n") else added)


@pytest.fixture(scope="module")
def changes(tmp_path_factory):
    """A copy of the package with all examples, and the lines that each one added."""
    root = tmp_path_factory.mktemp("recipes")
    shutil.copytree(
        PACKAGE, root / "stencilnet", ignore=shutil.ignore_patterns("__pycache__")
    )
    if not (PACKAGE / "configs").exists():
        shutil.copytree(PACKAGE.parent / "configs", root / "configs")
    (root / "simulations").mkdir()
    added = {}
    for name, recipe in RECIPES.items():
        code = example(name)
        code = "".join(recipe.indent + line for line in code.splitlines(keepends=True))
        file = root / recipe.file
        counts = []
        if file.exists():
            space = "" if recipe.indent else "\n" if "=" in recipe.before else "\n\n"
            edits = [(recipe.file, recipe.before, code + space)]
        else:
            file.write_text(recipe.before + code)
            counts = [len(file.read_text().splitlines())]
            edits = []
        for place, before, line in (*edits, *recipe.entries):
            old = (root / place).read_text()
            new = inserted(old, before, line)
            (root / place).write_text(new)
            lines = difflib.ndiff(old.splitlines(), new.splitlines())
            counts.append(sum(line.startswith("+ ") for line in lines))
        added[name] = counts
    return root, added


@pytest.mark.parametrize("name", RECIPES)
def test_examples_take_the_lines_that_are_stated(changes, name):
    _, added = changes
    lines = added[name]
    total = [lines[0], sum(lines[1:])] if len(stated(name)) == 2 else [sum(lines)]
    assert stated(name) == total


def test_adding_things_is_small(changes):
    _, added = changes
    equation, *elsewhere = added["An equation"]
    assert equation <= 30
    assert sum(elsewhere) <= 3
    assert sum(added["A classical method"][1:]) <= 5
    assert len(added["A metric"]) == 1
    assert len(added["A constraint"]) == len(added["A study"]) == 1


@pytest.mark.long
def test_examples_work_together(changes):
    root, _ = changes
    done = subprocess.run(
        [sys.executable, "-c", CHECK],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
