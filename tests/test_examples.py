"""Each public name has an example in its docstring, and examples do what they show."""

import doctest
import importlib
import runpy
from pathlib import Path

import pytest

import stencilnet

ROOT = Path(__file__).parents[1]
GENERATE = runpy.run_path(str(ROOT / "docs/generate.py"))
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
# What solves, trains, compares or draws for seconds.
SLOW = {
    "certify",
    "compare",
    "compare_study",
    "demo",
    "denoise",
    "fit",
    "generate",
    "simulate",
    "train",
    "write_report",
}


def _public_names():
    """Public names by the module that lists them, the flat ones first and once."""
    seen = set()
    for wing in ("", *GENERATE["WINGS"]):
        module = importlib.import_module(f"stencilnet.{wing}".strip("."))
        for name in module.__all__:
            value = getattr(module, name)
            if getattr(stencilnet, name, None) is value and wing:
                continue
            assert (wing, name) not in seen
            seen.add((wing, name))
            marks = [pytest.mark.long] * (name in SLOW)
            yield pytest.param(module, name, marks=marks, id=f"{wing}.{name}")


PUBLIC_NAMES = list(_public_names())


@pytest.mark.parametrize(("module", "name"), PUBLIC_NAMES)
def test_each_public_name_has_an_example_that_names_it(module, name):
    text = GENERATE["documentation"](module, name)
    examples = doctest.DocTestParser().get_examples(text)
    assert any(example.want for example in examples)
    assert any(name in example.source for example in examples)


@pytest.mark.parametrize(("module", "name"), PUBLIC_NAMES)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_examples_do_what_they_show(module, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = GENERATE["documentation"](module, name)
    # A class of the examples belongs to a module that exists.
    names = {"__name__": __name__}
    test = doctest.DocTestParser().get_doctest(text, names, name, None, 0)
    told = []
    doctest.DocTestRunner(optionflags=FLAGS).run(test, out=told.append)
    assert not told, "".join(told)
