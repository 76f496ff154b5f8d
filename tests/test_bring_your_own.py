"""The page on bringing one's own: its snippets run, and are as short as they claim."""

import re
from pathlib import Path

import numpy as np

PAGE = Path(__file__).parents[1] / "docs" / "bring_your_own.md"


def lines(text):
    return [line for line in text.splitlines() if line.strip()]


def test_snippets_run_one_after_another(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    snippets = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    assert len(snippets) == 6
    results = []
    for snippet in snippets:
        space = {"__name__": "snippet"}
        quick = snippet.replace("iterations=300", "iterations=3")
        exec(compile(quick, PAGE.name, "exec"), space)
        results.append(space)
    assert len(lines(snippets[1])) <= 15
    assert len(lines(snippets[2])) <= 30
    for space in results[1:3]:
        assert bool(np.isfinite(space["result"]["relative_l2"]).all())
    assert "imaginary parts" in capsys.readouterr().out
    assert Path("operator.py").exists()
    assert Path("operator.h").exists()
    assert Path("free.gif").exists()
