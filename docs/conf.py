"""The documentation site: pages of this folder, and what `generate.py` writes."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from generate import write_pages

project = "stencilnet"
author = copyright = "The stencilnet developers"  # noqa: A001
extensions = ["myst_parser"]
myst_heading_anchors = 3
exclude_patterns = ["gallery/*.md"]
html_theme = "alabaster"
html_theme_options = {"description": "Learned stencils for differentiable solvers"}

write_pages(Path(__file__).parent)
