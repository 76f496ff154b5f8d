"""Outline of a study, before any work starts."""

from pathlib import Path

from stencilnet.study.comparison import check_comparison
from stencilnet.study.config import Config
from stencilnet.study.ensemble import coarse_grids
from stencilnet.study.problem import equation_of, states_of
from stencilnet.study.training import check_training


def check_study(config: Config) -> None:
    """Raises unless the problem of a config exists: equation, initial state, grids.

    Raises:
        ValueError: naming the setting.

    Example:
        >>> from stencilnet import load_config
        >>> from stencilnet.study import check_study
        >>> check_study(load_config("demo"))
        >>> check_study(load_config("demo", ["problem.initial=Bumb"]))
        Traceback (most recent call last):
        ...
        ValueError: There is no initial state 'Bumb', did you mean 'Bump'; list one ...
    """
    equation_of(config)
    states_of(config, 1, 0)
    coarse_grids(config)


def outline(config: Config, folder: Path) -> str:
    """Outline of a study: what it solves, learns, compares and stores.

    Raises:
        ValueError: if a setting does not exist or does not fit, naming it.

    Example:
        >>> from pathlib import Path
        >>> from stencilnet import load_config
        >>> from stencilnet.study import outline
        >>> config = load_config("demo", ["comparison.methods=[weno_z]"])
        >>> print(outline(config, Path("runs/demo")))
        demo: 80 trajectories of 401 states of Burgers from a reference of 512 points;
        kept on [32] (averages) and [32] (values), 16 MiB before compression.
        Training: 800 updates of 64 windows over [2, 4, 8, 16] intervals on 32 points.
        Comparison: weno_z on [32] points.
        Everything goes to runs/demo.
    """
    check_study(config)
    check_training(config)
    check_comparison(config)
    data, problem, training = config.data, config.problem, config.training
    states = round(problem.duration / problem.interval) + 1
    samples = data.training + data.validation + data.test
    points = sum(data.averages) + sum(data.values)
    size = samples * states * points * 8 / 2**20
    return (
        f"{config.name}: {samples} trajectories of {states} states of "
        f"{problem.equation['name']} from a reference of {config.reference.points} "
        f"points; kept on {list(data.averages)} (averages) and {list(data.values)} "
        f"(values), {size:.0f} MiB before compression.\n"
        f"Training: {training.iterations} updates of {training.batch} windows over "
        f"{list(training.horizon)} intervals on {config.operator.points} points.\n"
        f"Comparison: {', '.join(config.comparison.methods)} on "
        f"{list(config.comparison.points)} points.\n"
        f"Everything goes to {folder}."
    )
