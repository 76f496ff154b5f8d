"""A learned operator outside of the conditions it was trained under.

Rolls an operator out on its own grid, beside the classical methods of a config and
exact evolution without learning, on unseen forcings: as trained; in the mirror image
and in moving frames, which are the same problem for the equation; from other initial
states; with half and twice the viscosity, 1.4 times the forcing, twice the domain and
five times the window. Pictures of a cell, learned ones too, take the splitting and step
that are best for them on validation trajectories. Schemes tuned on the training
forcings are among the opponents. Writes `runs/generalization/table.md` (a row per
condition), `methods.md` (all methods), both as CSV too, and `result.json`.

    python simulations/generalization.py [--quick] [--operator PATH] [--config p1]

The general operator on P2, half and twice its viscosity included, takes the options
`--config p2-stencil-net --operator burgers --points 32 --run runs/generalization_p2`.

The operator is a store, or the name of a pretrained one; the one of `make demo` by
default.
"""

from pathlib import Path
from typing import Any

from rich.progress import track

from stencilnet.discretizations import CLASSICAL, PICTURES, Picture, classical
from stencilnet.grid import Grid
from stencilnet.report import LABELS, Rows, summarize
from stencilnet.solver import (
    FOUR_DRIFTS,
    FOUR_LONG_DRIFTS,
    SIX_DRIFTS,
    SIX_LONG_DRIFTS,
    THREE_DRIFTS,
    ColeHopf,
)
from stencilnet.study import (
    Script,
    compare,
    compare_study,
    equation_of,
    generate,
    load_config,
    load_operator,
    read_split,
)
from stencilnet.study.operators import moved

# Parameters

study = Script.parse(
    __file__,
    __doc__,
    quick="two forcings instead of 16, over a tenth of the time",
    options={
        "config": {"default": "p2-stencil-net"},
        "operator": {"default": "runs/demo/operator.zarr"},
        "points": {"type": int, "help": "grid of a picture, its own by default"},
    },
)
source = study.options["config"]
base = load_config(source)
problem, forcing = base.problem, base.forcing
if forcing is None:
    raise SystemExit("The conditions change a forcing: name a config that has one.")
learned, _ = load_operator(study.options["operator"], extensions=base.extensions)
points = study.options["points"] or round(problem.length / learned.grid.spacing[-1])
viscosity = problem.equation["viscosity"]
duration = problem.duration / 10 if study.quick else problem.duration
reference = base.reference.points
finer = reference if reference == "auto" else 2 * reference
# The best constant stencil of a training lies beside its operator.
constant = Path(study.options["operator"]).with_name("constant.zarr").exists()
opponents = [name for name in base.comparison.methods if name != "constant" or constant]
tuned = base.name.split("-")[0]
opponents += [
    name for name in (f"muscl_{tuned}", f"weno_z_{tuned}") if name in CLASSICAL
]


def on(cells: int) -> list[str]:
    """Overrides that put data and comparison on one grid."""
    return [
        f"data.averages=[{cells}]",
        f"data.values=[{cells}]",
        f"comparison.points=[{cells}]",
    ]


# Of the same band on twice the domain; even ones alone would repeat the solution.
band = [2 * number for number in forcing.wavenumbers]
longer = list(range(min(band), max(band) + 1))
as_trained = "as trained"
conditions = {
    as_trained: [],
    "mirror image": ["problem.mirrored=true"],
    # The bump of p2-stencil-net has the mean 0.28.
    **{
        f"mean flow {boost:+}": [f"problem.boost={boost}"]
        for boost in (-0.56, -0.28, 0.28)
    },
    "random bumps": ["problem.initial={name: RandomBump}"],
    "random waves": ["problem.initial={name: RandomWaves, amplitude: 0.5}"],
    "viscosity x 1/2": [
        f"problem.equation.viscosity={viscosity / 2}",
        f"reference.points={finer}",
    ],
    "viscosity x 2": [f"problem.equation.viscosity={2 * viscosity}"],
    "forcing x 1.4": [f"forcing.amplitude={1.4 * forcing.amplitude}"],
    "domain x 2": [
        f"problem.length={2 * problem.length}",
        f"forcing.wavenumbers={longer}",
        f"reference.points={finer}",
        *on(2 * points),
    ],
    "window x 5": [f"problem.duration={5 * duration}"],
}
common = [
    "data.seed=2000",
    "data.training=1",
    f"data.validation={2 if study.quick else 4}",
    f"data.test={2 if study.quick else 16}",
    f"problem.duration={duration}",
    f"comparison.methods={opponents}",
    *on(points),
]
splittings = {
    "three drifts": THREE_DRIFTS,
    "four drifts": FOUR_DRIFTS,
    "four long drifts": FOUR_LONG_DRIFTS,
    "six drifts": SIX_DRIFTS,
    "six long drifts": SIX_LONG_DRIFTS,
}
strides = (4, 6, 8, 10, 12, 16, 20, 24, 28)  # steps of pictures, in stored intervals
pictures = {name: PICTURES[name].label for name in PICTURES}
if isinstance(learned, Picture):
    pictures["learned"] = LABELS.get("learned", "learned")
shown = "weno_z"

# Data

configs, runs = {}, {}
for number, (condition, overrides) in enumerate(
    track(conditions.items(), description="Generating", total=len(conditions))
):
    configs[condition] = load_config(source, [*common, *overrides])
    runs[condition] = study.folder / f"condition-{number}"
    generate(configs[condition], runs[condition], overwrite=True)

# Methods


def evolved(
    condition: str, split: str, name: str, splitting: str, stride: int
) -> dict[str, Any]:
    """Row of a picture."""
    config = configs[condition]
    cells = config.comparison.points[0]
    grid, equation = Grid.line(cells, config.problem.length), equation_of(config)
    method = (
        moved(learned, grid, equation)
        if name == "learned"
        else classical(name, equation, grid)
    )
    compared = compare(
        {name: method},
        read_split(config, runs[condition], split, cells, averages=True),
        integrators={name: ColeHopf(splittings[splitting])},
        steps={name: stride * config.problem.interval},
    )
    return summarize([compared])[0]


choices = {}
for name in track(pictures, description="Splittings"):
    tried = {
        (splitting, stride): evolved(as_trained, "validation", name, splitting, stride)[
            "relative_l2"
        ]
        for splitting in splittings
        for stride in strides
        if stride * problem.interval <= duration
    }
    choices[name] = min(tried, key=tried.__getitem__)

# Run

methods: list[tuple[str, str, float, float, float, str]] = []
summary: list[tuple[object, ...]] = []
result: dict[str, dict[str, Any]] = {}
for condition, config in track(configs.items(), description="Comparing"):
    [comparison] = compare_study(
        config, runs[condition], operator=study.options["operator"]
    )
    rows = {row["method"]: row for row in summarize([comparison])}
    exact = {
        name: evolved(condition, "test", name, *choice)
        for name, choice in choices.items()
    }
    labels = {name: LABELS.get(name, name) for name in rows}
    for name, (splitting, stride) in choices.items():
        step = stride * problem.interval
        labels[name] = f"{pictures[name]} ({splitting} of {step:g})"
    rows["learned"] = exact.pop("learned", rows["learned"])
    for name, row in (rows | exact).items():
        blow_ups = f"{row['blow_ups']}/{row['samples']}"
        numbers = (row["relative_l2"], row["worst"], row["step"])
        methods.append((condition, labels[name], *numbers, blow_ups))
    own = rows.pop("learned")
    errors = {name: row["relative_l2"] for name, row in (rows | exact).items()}
    plain = min(rows, key=errors.__getitem__)
    best = min(errors, key=errors.__getitem__)
    ratio = own["relative_l2"] / errors[plain]
    result[condition] = {
        "learned": own["relative_l2"],
        shown: errors[shown],
        "best_non_integrable": errors[plain],
        "best_non_integrable_method": plain,
        "best_without_learning": errors[best],
        "best_without_learning_method": best,
        "ratio": ratio,
        "blow_ups": own["blow_ups"],
    }
    summary.append(
        (
            condition,
            own["relative_l2"],
            errors[shown],
            f"{errors[plain]:.2g} ({labels[plain]})",
            f"{errors[best]:.2g} ({labels[best]})",
            ratio,
            f"{own['blow_ups']}/{own['samples']}",
        )
    )

# Tables

others = [row["ratio"] for name, row in result.items() if name != as_trained]
headline = {
    "config": base.name,
    "points": points,
    "conditions": result,
    "worst_out_of_distribution_ratio": max(others),
    "blow_ups": sum(row["blow_ups"] for row in result.values()),
}
columns = {
    "condition": "",
    "learned": "{:.2g}",
    labels[shown]: "{:.2g}",
    "best that does not use integrability": "",
    "best without learning": "",
    "learned / best that does not use it": "{:.2f}",
    "blow-ups": "",
}
everything = {
    "condition": "",
    "method": "",
    "relative L2": "{:.3g}",
    "worst": "{:.3g}",
    "dt": "{:.3g}",
    "blow-ups": "",
}
study.write(
    headline,
    tables={"table": Rows(columns, summary), "methods": Rows(everything, methods)},
)
