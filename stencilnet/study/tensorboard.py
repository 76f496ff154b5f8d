"""The numbers of a training for TensorBoard, an optional dependency."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from stencilnet.storage import local_path

_GROUPS = {
    "loss": "training/loss",
    "gradient_norm": "training/gradient_norm",
    "learning_rate": "training/learning_rate",
    "horizon": "training/horizon",
}


class TensorBoard:
    """A callback of `fit` and `train` that writes what `tensorboard --logdir` shows.

    Loss, norm of the gradient, rate and horizon of each update, and the error of each
    validation. Use it in a `with` block, or `close` it, so that everything is written.

    Args:
        folder: for the files of events, a folder of its own for each training.

    Raises:
        TypeError, ValueError: if `folder` is not a local path, or the writer is not
            installed.

    Example:
        >>> from pathlib import Path
        >>> import torch
        >>> from stencilnet import Burgers, Grid, LearnedStencil, fit
        >>> from stencilnet.storage import trajectories
        >>> from stencilnet.study import TensorBoard
        >>> grid, times = Grid.line(16), torch.linspace(0, 1, 11).double()
        >>> wave = (grid.points() - times[:, None]).sin()
        >>> data = trajectories(wave, times, grid, averages=True)
        >>> learned = LearnedStencil(Burgers(viscosity=0.1), grid)
        >>> with TensorBoard("board") as board:
        ...     history = fit(learned, data, iterations=2, batch=2, callbacks=[board])
        >>> (events,) = Path("board").iterdir()
        >>> b"training/loss" in events.read_bytes()
        True
    """

    def __init__(self, folder: Path | str) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ModuleNotFoundError as error:
            raise ValueError(
                f"TensorBoard needs {error.name}: install stencilnet[tensorboard]."
            ) from error
        self.folder = local_path(folder)
        self._start: Callable[[str], Any] = SummaryWriter
        # A training that is refused leaves no file.
        self._writer: Any = None
        self._validated = 0.0

    def __call__(self, numbers: Mapping[str, float]) -> None:
        """Writes the numbers of an update."""
        if self._writer is None:
            self._writer = self._start(str(self.folder))
        update = int(numbers["update"])
        for name, tag in _GROUPS.items():
            if name in numbers:
                self._writer.add_scalar(tag, float(numbers[name]), update)
        # The latest validation is told after each update until the next.
        at = float(numbers.get("validation_iteration", 0.0))
        if at > self._validated:
            self._validated = at
            error = float(numbers["validation_relative_l2"])
            self._writer.add_scalar("validation/relative_l2", error, int(at))

    def close(self) -> None:
        """Writes what is left."""
        if self._writer is not None:
            self._writer.close()

    def __enter__(self) -> "TensorBoard":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
