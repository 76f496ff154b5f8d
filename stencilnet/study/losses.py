"""The losses of a training as a table that grows while it runs."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from stencilnet.study.state import TrainingState

Watch = Callable[[Mapping[str, float]], object]
"""Is told the numbers of each update."""

History = Mapping[str, Sequence[float]]

_COLUMNS = ("loss", "gradient_norm", "learning_rate", "horizon")


class LossLog:
    """Comma-separated losses, one line for each update.

    The columns are `update`, `loss`, `gradient_norm`, `learning_rate`, `horizon` and,
    after a validation, `validation_relative_l2`. What a resumed training had not kept
    in a checkpoint is dropped, as the training does it again.
    """

    def __init__(self, run: Path, name: str, history: History) -> None:
        path = run / ("losses.csv" if name == "operator" else f"losses-{name}.csv")
        self.path = path
        run.mkdir(parents=True, exist_ok=True)
        lines = [",".join(("update", *_COLUMNS, "validation_relative_l2"))]
        lines += [_line(history, row) for row in range(len(history["loss"]))]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def add(self, history: History) -> None:
        """Adds the latest update."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(_line(history, len(history["loss"]) - 1) + "\n")


def tell(state: TrainingState, losses: LossLog, watch: Watch | None) -> None:
    """Tells the latest update to the file of losses, and to who watches."""
    losses.add(state.history)
    if watch is not None:
        watch(state.numbers())


def _line(history: History, row: int) -> str:
    cells = [str(row + 1), *(f"{history[name][row]:.6g}" for name in _COLUMNS)]
    validated = dict(
        zip(
            history["validation_iteration"],
            history["validation_relative_l2"],
            strict=True,
        )
    )
    error = validated.get(row + 1)
    return ",".join([*cells, "" if error is None else f"{error:.6g}"])
