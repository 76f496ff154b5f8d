"""Style of figures: labels, colours, line styles, sizes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle
from string import ascii_lowercase
from types import MappingProxyType
from typing import Any

import numpy as np
import xarray as xr
from matplotlib import rc_context, rcParams, rcParamsDefault
from matplotlib.patches import Patch
from rich.markup import escape

from stencilnet.discretizations import CLASSICAL, PICTURES
from stencilnet.errors import shown, unknown

LABELS = MappingProxyType(
    {
        "reference": "reference",
        "learned": "learned",
        "constant": "best constant stencil",
        **{name: method.label for name, method in {**CLASSICAL, **PICTURES}.items()},
        "none": "no filter",
        "gaussian": "Gaussian",
        "savitzky_golay": "Savitzky-Golay",
        "tikhonov": "Tikhonov",
        "wavelets": "wavelets",
        "total_variation": "total variation",
    }
)
"""Names of methods and filters as figures and tables write them.

Example:
    >>> from stencilnet.report import LABELS
    >>> LABELS["weno_z"], LABELS["savitzky_golay"]
    ('WENO-Z (exponent 2)', 'Savitzky-Golay')
"""

COLOURS = MappingProxyType(
    {
        "learned": "#D55E00",
        "weno_z": "#0072B2",
        "weno_js": "#56B4E9",
        "central_2": "#E69F00",
        "central_4": "#009E73",
        "central_6": "#CC79A7",
        "upwind_1": "#999999",
        "upwind_3": "#666666",
        "muscl": "#A6761D",
        "dg1": "#B3A2E0",
        "dg2": "#7B5FC4",
        "dg3": "#44278E",
        "spectral": "#B8A800",
        "spectral_averages": "#6B6100",
        "none": "#999999",
        "gaussian": "#56B4E9",
        "savitzky_golay": "#009E73",
        "tikhonov": "#CC79A7",
        "wavelets": "#0072B2",
        "total_variation": "#D55E00",
    }
)
"""Colours that a method or filter has in every figure, drawn as a solid line."""

# Okabe and Ito's palette, which colour-blind readers can tell apart, without black and
# the yellow that fades on white. Its length and that of the line styles are coprime:
# stepping through both at once meets every pair before the first returns.
PALETTE = ("#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#D55E00")
_LINES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)))
ACCENT = "#D55E00"
GREY = "#999999"

STYLE: Mapping[str, Any] = MappingProxyType(
    {
        "font.size": 8,
        "axes.titlesize": "medium",
        "axes.labelsize": "medium",
        "legend.fontsize": "small",
        "legend.frameon": False,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "lines.linewidth": 1.2,
        "lines.markersize": 3,
        "savefig.dpi": 200,
        # Text stays text in a PDF.
        "pdf.fonttype": 42,
    }
)
"""The package's matplotlib parameters, see `package_style`.

Example:
    >>> from matplotlib import rc_context
    >>> from matplotlib.figure import Figure
    >>> from stencilnet.report import STYLE
    >>> with rc_context(dict(STYLE)):
    ...     Figure().subplots().spines["top"].get_visible()
    False
"""

WIDTH = 6.9
"""Width of a figure in inches, both columns of a journal's page.

Example:
    >>> from matplotlib.figure import Figure
    >>> from stencilnet.report import WIDTH
    >>> Figure(figsize=(WIDTH, 2.4)).get_size_inches()
    array([6.9, 2.4])
"""


@contextmanager
def package_style() -> Iterator[None]:
    """Parameters of `STYLE` for what the user left at matplotlib's default.

    A parameter that a `matplotlibrc`, `plt.style.use`, `rcParams` or an enclosing
    `rc_context` changed keeps the user's value. Serves as a decorator too.

    Example:
        >>> from matplotlib import rcParams
        >>> from stencilnet.report import package_style
        >>> with package_style():
        ...     rcParams["font.size"], rcParams["legend.frameon"]
        (8.0, False)
    """
    settings: Any = {key: STYLE[key] for key in STYLE if not _changed(key)}
    with rc_context(settings):
        yield


def cell(text: object) -> str:
    """A text from elsewhere for a table, with no markup and no control characters."""
    return escape(shown(text))


def labels(dataset: xr.Dataset, dimension: str) -> dict[str, str]:
    """Display names of the entries along a dimension.

    Taken from the coordinate `label` where it has one, otherwise from `LABELS`, and
    otherwise the name itself.

    Example:
        >>> import xarray as xr
        >>> from stencilnet.report import labels
        >>> labels(xr.Dataset(coords={"scheme": ["weno_z", "mine"]}), "scheme")
        {'weno_z': 'WENO-Z (exponent 2)', 'mine': 'mine'}
    """
    names = [str(name) for name in dataset[dimension].values]
    own = dataset["label"].values if "label" in dataset.coords else [""] * len(names)
    return {
        name: str(label) or LABELS.get(name, name)
        for name, label in zip(names, own, strict=True)
    }


def line_styles(
    names: Iterable[str], fixed: Mapping[str, str] = COLOURS
) -> dict[str, dict[str, Any]]:
    """Colour and line style of each name, no pair twice as long as there are others.

    Names with a fixed colour have it as a solid line. Any other takes the next pair of
    colour and line style, unused colours first. A colour cycle that the user has set
    replaces all of them.

    Args:
        names: in order; a name keeps its style only among the same names.
        fixed: colours of some names.

    Example:
        >>> from stencilnet.report import line_styles
        >>> line_styles(["learned", "mine"])
        {'learned': {'color': '#D55E00', 'linestyle': '-'},
         'mine': {'color': '#0072B2', 'linestyle': '-'}}
    """
    names = list(dict.fromkeys(names))
    if _changed("axes.prop_cycle"):
        return {
            name: _of_user(index, rcParams["axes.prop_cycle"].by_key())
            for index, name in enumerate(names)
        }
    solid = {name: (fixed[name], _LINES[0]) for name in names if name in fixed}
    used = {colour for colour, _ in solid.values()}
    colours = sorted(PALETTE, key=lambda colour: colour in used)
    pairs = [
        (colours[index % len(colours)], _LINES[index % len(_LINES)])
        for index in range(len(colours) * len(_LINES))
    ]
    free = cycle([pair for pair in pairs if pair not in solid.values()])
    chosen = {name: solid[name] if name in solid else next(free) for name in names}
    return {
        name: {"color": colour, "linestyle": line}
        for name, (colour, line) in chosen.items()
    }


def accent() -> str:
    """The colour of what a figure is about."""
    return str(line_styles(["accent"], {"accent": ACCENT})["accent"]["color"])


def reference_colour() -> Any:
    """The colour of the reference, which stands out from the background."""
    return rcParams["text.color"]


def thin() -> float:
    """The width of auxiliary lines."""
    return 0.6 * float(rcParams["lines.linewidth"])


def highlighted(dataset: xr.Dataset, dimension: str, usual: str) -> list[str]:
    """Names that the attribute `highlight` singles out, one or a list of them.

    Without that attribute, `usual` if it is there.

    Raises:
        ValueError: if the attribute has a name that the dataset lacks.
    """
    names = [str(name) for name in dataset[dimension].values]
    if "highlight" not in dataset.attrs:
        return [usual] if usual in names else []
    value = dataset.attrs["highlight"]
    chosen = [value] if isinstance(value, str) else [str(name) for name in value]
    for name in chosen:
        if name not in names:
            raise unknown(f"{dimension} to highlight", name, names)
    return chosen


def letter_panels(axes: Iterable[Any]) -> None:
    """Puts (a), (b), ... before the titles of panels, in their order."""
    for letter, axis in zip(ascii_lowercase, axes, strict=False):
        title = axis.get_title()
        axis.set_title("")
        axis.set_title(f"({letter}) {title}".rstrip(), loc="left")


def legend_below(figure: Any, handles: Sequence[Any], *, columns: int = 6) -> None:
    """A legend under the panels of a figure or of a part of it."""
    columns = min(columns, len(handles))
    figure.legend(handles=handles, loc="outside lower center", ncols=columns)


def band(axis: Any, x: Any, low: Any, high: Any, colour: Any) -> None:
    """A translucent band; overlapping ones darken."""
    axis.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)


def band_handle(colour: Any, label: str, *, layers: int = 1) -> Patch:
    """The legend's entry of so many bands on top of each other."""
    return Patch(facecolor=colour, alpha=1 - 0.82**layers, linewidth=0, label=label)


def positive(values: xr.DataArray) -> xr.DataArray:
    """The values that a logarithmic axis can show, NaN elsewhere."""
    return values.where(np.isfinite(values) & (values > 0))


def _changed(key: Any) -> bool:
    """Whether the user set a parameter to something else than matplotlib's default."""
    return bool(rcParams[key] != rcParamsDefault[key])


def _of_user(index: int, cycle_by_key: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """The style of an index in the user's cycle, with line styles once it repeats."""
    colours = cycle_by_key.get("color", PALETTE)
    lines = cycle_by_key.get("linestyle")
    turn, place = divmod(index, len(colours))
    line = lines[place % len(lines)] if lines else _LINES[turn % len(_LINES)]
    return {"color": colours[place], "linestyle": line}


def diverging_colours() -> list[str]:
    """Blue through white to red, for maps of colours elsewhere than in matplotlib.

    Example:
        >>> from stencilnet.report import diverging_colours
        >>> colours = diverging_colours()
        >>> colours[0], colours[50], colours[-1]
        ('#2166ac', '#ffffff', '#b2182b')
    """
    share = np.linspace(-1, 1, 101)[:, None]
    low, high = np.array([33, 102, 172]), np.array([178, 24, 43])
    colours = 255 - np.abs(share) * (255 - np.where(share < 0, low, high))
    return [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in colours.round().astype(int)]
