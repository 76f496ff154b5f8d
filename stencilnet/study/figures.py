"""Figures of a training and of certificates, in their files."""

from collections.abc import Mapping
from pathlib import Path

import xarray as xr

from stencilnet.report import (
    certificate_figure,
    figure_paths,
    modified_wavenumbers,
    save,
    training_figure,
)
from stencilnet.storage import read_operator

_NAMES = ("training", "certificate")


def training_figure_paths(operator: Path) -> list[Path]:
    """Where `save_training_figures` draws.

    Example:
        >>> from pathlib import Path
        >>> from stencilnet.study import training_figure_paths
        >>> for path in training_figure_paths(Path("runs/p2/operator.zarr")):
        ...     print(path.as_posix())
        runs/p2/training.png
        runs/p2/training.pdf
        runs/p2/certificate.png
        runs/p2/certificate.pdf
    """
    return [path for name in _NAMES for path in figure_paths(operator.with_name(name))]


def save_training_figures(operator: Path) -> list[Path]:
    """Draws the training curve and the certificate of a stored operator beside it.

    Args:
        operator: path of the store that `train` wrote.

    Returns:
        The paths of the figures.

    Example:
        >>> import numpy as np
        >>> from stencilnet import Burgers, Grid, LearnedStencil, save_operator
        >>> from stencilnet.study import save_training_figures
        >>> learned = LearnedStencil(Burgers(viscosity=0.1), Grid.line(16))
        >>> history = {"loss": np.array([0.1, 0.02, 0.01])}
        >>> path = save_operator(learned, "operator.zarr", history=history)
        >>> [figure.name for figure in save_training_figures(path)]
        ['training.png', 'training.pdf']
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


def certificate_figure_paths(path: Path, *, beside: bool) -> list[Path]:
    """Where `save_certificate_figures` draws.

    Args:
        path: of the certificate's figure, without a suffix.
        beside: whether other methods are drawn beside.

    Example:
        >>> from pathlib import Path
        >>> from stencilnet.study import certificate_figure_paths
        >>> paths = certificate_figure_paths(Path("burgers"), beside=True)
        >>> [path.name for path in paths[::2]]
        ['burgers.png', 'burgers-wavenumbers.png']
    """
    return [*figure_paths(path), *(figure_paths(_waves(path)) if beside else [])]


def save_certificate_figures(
    certificate: xr.Dataset, path: Path, beside: Mapping[str, xr.Dataset]
) -> list[Path]:
    """Draws the certificate of an operator, and its waves beside those of others.

    Args:
        certificate: of the operator.
        path: of its figure, without a suffix.
        beside: certificates of other methods, by name; none for no second figure.

    Returns:
        The paths of the figures.

    Example:
        >>> from pathlib import Path
        >>> import torch
        >>> from stencilnet import Burgers, Grid, Muscl, certify
        >>> from stencilnet.storage import trajectories
        >>> from stencilnet.study import save_certificate_figures
        >>> muscl = Muscl(Burgers(viscosity=0.1), Grid.line(16))
        >>> wave = muscl.grid.points().sin().expand(2, -1)
        >>> data = trajectories(wave, torch.arange(2.0), muscl.grid, averages=True)
        >>> certificate = certify(muscl, data, states=1, refinements=2)
        >>> convergence = certificate.drop_vars("modified_wavenumber")
        >>> paths = save_certificate_figures(convergence, Path("muscl"), beside={})
        >>> [path.name for path in paths]
        ['muscl.png', 'muscl.pdf']
    """
    written = save(certificate_figure(certificate), path)
    if beside:
        figure = modified_wavenumbers({"learned": certificate, **beside})
        written += save(figure, _waves(path))
    return written


def _waves(path: Path) -> Path:
    return path.with_name(f"{path.name}-wavenumbers")
