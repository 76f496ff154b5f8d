"""Figures that the stage `train` leaves beside its operator."""

from pathlib import Path

from stencilnet.report import certificate_figure, figure_paths, save, training_figure
from stencilnet.storage import read_operator

_NAMES = ("training", "certificate")


def training_figure_paths(operator: Path) -> list[Path]:
    """Where `save_training_figures` draws."""
    return [path for name in _NAMES for path in figure_paths(operator.with_name(name))]


def save_training_figures(operator: Path) -> list[Path]:
    """Draws the training curve and the certificate of a stored operator beside it.

    Args:
        operator: path of the store that `train` wrote.

    Returns:
        The paths of the figures.
    """
    stored = read_operator(operator)
    figures = [training_figure(stored.history)]
    if stored.certificate is not None:
        figures.append(certificate_figure(stored.certificate))
    return [
        path
        for name, figure in zip(_NAMES, figures, strict=False)
        for path in save(figure, operator.with_name(name))
    ]
