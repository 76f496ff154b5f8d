"""Each public name has an example in its docstring, and examples do what they show."""

import ast
import doctest
import inspect
import itertools
from pathlib import Path

import pytest

import stencilnet

PACKAGE = Path(stencilnet.__file__).parent
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
# What solves, trains or compares for seconds.
SLOW = {"certify", "compare", "denoise", "fit", "generate", "simulate", "train"}


def text_of(name):
    """The docstring of a class or function, or the string below a value."""
    value = getattr(stencilnet, name)
    if inspect.isclass(value) or inspect.isroutine(value):
        return inspect.getdoc(value) or ""
    for file in sorted(PACKAGE.rglob("*.py")):
        for node, below in itertools.pairwise(ast.parse(file.read_text()).body):
            if (
                isinstance(node, ast.Assign)
                and ast.unparse(node.targets[0]) == name
                and isinstance(below, ast.Expr)
                and isinstance(below.value, ast.Constant)
            ):
                return inspect.cleandoc(below.value.value)
    return ""


@pytest.mark.parametrize("name", stencilnet.__all__)
def test_each_public_name_has_an_example_that_names_it(name):
    examples = doctest.DocTestParser().get_examples(text_of(name))
    assert any(example.want for example in examples)
    assert any(name in example.source for example in examples)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.long] * (name in SLOW))
        for name in stencilnet.__all__
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_examples_do_what_they_show(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # A class of the examples belongs to a module that exists.
    names = {"__name__": __name__}
    test = doctest.DocTestParser().get_doctest(text_of(name), names, name, None, 0)
    told = []
    doctest.DocTestRunner(optionflags=FLAGS).run(test, out=told.append)
    assert not told, "".join(told)
