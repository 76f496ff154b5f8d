"""A learned operator outside of the conditions it was trained under.

Rolls an operator out, beside classical methods, with half the viscosity, a forcing 1.4
times as strong, a domain twice as long, and over a window five times as long. Writes
`runs/generalization/table.md` and `result.json`. Run `make demo` first.

    python simulations/generalization.py [--quick]
"""

import math
from pathlib import Path

from rich.progress import track

from stencilnet.report import markdown_table, summarize
from stencilnet.study import Script, compare_study, generate, load_config

# Parameters

study = Script.parse(
    __file__,
    __doc__,
    quick="two forcings instead of 16",
    options={
        "config": {"default": "demo"},
        "operator": {"type": Path, "default": Path("runs/demo/operator.zarr")},
    },
)
base = load_config(study.options["config"])
points, forcing = base.operator.points, base.forcing
assert forcing is not None, "the conditions change a forcing: name a config with one"
viscosity = base.problem.equation["viscosity"]
coarsest = base.reference.points
finer = coarsest if coarsest == "auto" else 2 * coarsest
doubled = [2 * wavenumber for wavenumber in forcing.wavenumbers]
conditions = {
    "as trained": [],
    "half the viscosity": [
        f"problem.equation.viscosity={viscosity / 2}",
        f"reference.points={finer}",
    ],
    "forcing x 1.4": [f"forcing.amplitude={1.4 * forcing.amplitude}"],
    "domain x 2": [
        f"problem.length={4 * math.pi}",
        f"forcing.wavenumbers={doubled}",
        f"reference.points={finer}",
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
    f"data.test={2 if study.quick else 16}",
]

# Run

text, headline = "", {}
for number, (name, overrides) in enumerate(
    track(conditions.items(), total=len(conditions))
):
    config = load_config(study.options["config"], [*common, *overrides])
    run = study.folder / f"condition-{number}"
    generate(config, run, overwrite=True)
    comparisons = compare_study(config, run, operator=study.options["operator"])
    text += f"\n## {name}\n\n{markdown_table(comparisons)}"
    headline[name] = {
        row["method"]: row["relative_l2"] for row in summarize(comparisons)
    }

# Tables

text = f"# Outside of the training conditions\n{text}"
study.write(headline, tables={"table": text})
