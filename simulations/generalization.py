"""A learned operator outside of the conditions it was trained under.

Rolls an operator out, beside classical methods, with half the viscosity, a forcing 1.4
times as strong, a domain twice as long, and over a window five times as long. Writes
`runs/generalization/table.md` and `result.json`. Run `make demo` first.

    python simulations/generalization.py [--quick]
"""

import argparse
import math
from pathlib import Path

from rich.progress import track

from stencilnet.report import markdown_table, summarize, write_json
from stencilnet.study.comparison import compare_study
from stencilnet.study.config import load_config
from stencilnet.study.generation import generate

# Parameters

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--quick", action="store_true", help="two forcings instead of 16")
parser.add_argument("--config", default="demo")
parser.add_argument("--operator", type=Path, default=Path("runs/demo/operator.zarr"))
parser.add_argument("--run", type=Path, default=Path("runs/generalization"))
arguments = parser.parse_args()
base = load_config(arguments.config)
points = base.operator.points
viscosity = base.problem.equation["viscosity"]
doubled = [2 * wavenumber for wavenumber in base.forcing.wavenumbers]
conditions = {
    "as trained": [],
    "half the viscosity": [
        f"problem.equation.viscosity={viscosity / 2}",
        f"reference.points={2 * base.reference.points}",
    ],
    "forcing x 1.4": [f"forcing.amplitude={1.4 * base.forcing.amplitude}"],
    "domain x 2": [
        f"problem.length={4 * math.pi}",
        f"forcing.wavenumbers={doubled}",
        f"reference.points={2 * base.reference.points}",
        f"data.averages=[{2 * points}]",
        f"data.values=[{2 * points}]",
        f"comparison.points=[{2 * points}]",
    ],
    "window x 5": [f"problem.duration={5 * base.problem.duration}"],
}
common = [
    "data.seed=2000",
    "data.training=1",
    "data.validation=1",
    f"data.test={2 if arguments.quick else 16}",
]

# Run

text, headline = "", {}
for number, (name, overrides) in enumerate(
    track(conditions.items(), total=len(conditions))
):
    config = load_config(arguments.config, [*common, *overrides])
    run = arguments.run / f"condition-{number}"
    generate(config, run, overwrite=True)
    comparisons = compare_study(config, run, operator=arguments.operator)
    text += f"\n## {name}\n\n{markdown_table(comparisons)}"
    headline[name] = {
        row["method"]: row["relative_l2"] for row in summarize(comparisons)
    }

# Tables

table = arguments.run / "table.md"
table.write_text(f"# Outside of the training conditions\n{text}", encoding="utf-8")
result = write_json(headline, arguments.run / "result.json", overwrite=True)
print(text)
for path in (table, result):
    print(f"wrote {path}")
