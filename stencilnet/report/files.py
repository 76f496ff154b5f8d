"""Figures as files, PNG and PDF, that name the package as their creator."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType

from matplotlib.figure import Figure

from stencilnet.report.style import package_style
from stencilnet.storage import CREATOR, local_path, new_store

# Metadata that tell the package's figures from others. A fixed date keeps the same
# figure the same file.
_MARKS: Mapping[str, Mapping[str, str | None]] = MappingProxyType(
    {
        "png": {"Software": CREATOR},
        "pdf": {"Creator": CREATOR, "CreationDate": None},
    }
)


def save(figure: Figure, path: Path | str) -> list[Path]:
    """Writes a figure as PNG and PDF.

    Args:
        figure: to write.
        path: without a suffix.

    Returns:
        The two files. Older ones that the package drew are replaced, both or none.

    Raises:
        FileExistsError: if one of them exists and the package did not draw it.

    Example:
        >>> from matplotlib.figure import Figure
        >>> from stencilnet.report import save
        >>> figure = Figure(figsize=(2, 1))
        >>> lines = figure.subplots().plot([1, 2, 4])
        >>> [path.name for path in save(figure, "powers")]
        ['powers.png', 'powers.pdf']
    """
    with package_style(), _laid_out(figure), ExitStack() as partials:
        for file in figure_paths(path):
            kind = file.suffix.removeprefix(".")
            store = new_store(file, kind="figure", overwrite=True)
            partial = partials.enter_context(store)
            figure.savefig(partial, format=kind, metadata=_MARKS[kind])
    return figure_paths(path)


@contextmanager
def _laid_out(figure: Figure) -> Iterator[None]:
    """A figure whose layout is computed once, not for each file anew."""
    engine = figure.get_layout_engine()
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    try:
        yield
    finally:
        figure.set_layout_engine(engine)


def figure_paths(path: Path | str) -> list[Path]:
    """The files that `save` writes.

    Raises:
        TypeError, ValueError: if `path` is not a local path.

    Example:
        >>> from stencilnet.report import figure_paths
        >>> [path.as_posix() for path in figure_paths("figures/wave")]
        ['figures/wave.png', 'figures/wave.pdf']
    """
    path = local_path(path)
    return [path.with_name(f"{path.name}.{kind}") for kind in ("png", "pdf")]
