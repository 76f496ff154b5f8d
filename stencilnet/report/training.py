"""Course of a training, as a figure."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from stencilnet.report.style import (
    GREY,
    WIDTH,
    accent,
    letter_panels,
    package_style,
    thin,
)


@package_style()
def training_figure(history: Mapping[str, np.ndarray]) -> Figure:
    """Loss of each update and error of each validation.

    Args:
        history: of an operator store: `loss` and, if windows may grow, `horizon` per
            update; `validation_iteration` and `validation_relative_l2` per validation,
            of which there may be none.

    Example:
        >>> import numpy as np
        >>> from stencilnet.report import training_figure
        >>> history = {"loss": 0.5 ** np.arange(8.0), "horizon": np.repeat([1, 4], 4)}
        >>> training, validation = training_figure(history).axes
        >>> loss, longer = training.get_lines()
        >>> longer.get_label(), float(longer.get_xdata()[0])
        ('longer windows', 4.0)
    """
    figure = Figure(figsize=(WIDTH, 2.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.semilogy(history["loss"], color=GREY, linewidth=0.7 * thin())
    left.set(title="training", xlabel="update", ylabel="loss")
    label = "longer windows"
    for start in np.flatnonzero(np.diff(history.get("horizon", []))) + 1:
        left.axvline(start, color="#009E73", lw=thin(), linestyle=":", label=label)
        # One entry in the legend speaks for all lines.
        label = "_nolegend_"
    if left.get_legend_handles_labels()[1]:
        left.legend()
    right.set(title="validation", xlabel="update", ylabel="relative $L^2$ error")
    if len(history.get("validation_iteration", [])):
        right.semilogy(
            history["validation_iteration"],
            history["validation_relative_l2"],
            ".-",
            color=accent(),
        )
    letter_panels((left, right))
    return figure
