"""Modified wavenumbers of stencils, from certificates."""

from collections.abc import Mapping, Sequence
from typing import Any

import xarray as xr
from matplotlib.figure import Figure

from stencilnet.report.style import (
    GREY,
    LABELS,
    WIDTH,
    accent,
    band,
    band_handle,
    legend_below,
    letter_panels,
    line_styles,
    package_style,
    reference_colour,
    thin,
)

_ROUNDING = 1e-12

# Quantiles of the stencils that bound a band, and its name in a legend.
BANDS = ((0.0, 1.0, "all stencils"), (0.05, 0.95, "5 to 95 %"))


@package_style()
def modified_wavenumbers(certificates: Mapping[str, xr.Dataset]) -> Figure:
    """Modified wavenumbers of several methods, a row per derivative that they share.

    Lines are medians over the stencils of a method, bands their range of 5 to 95 %.
    Methods of upwind form have two states at a face; the left one, which counts where
    the flow goes to the right, stands beside the one of a central form.

    Args:
        certificates: by the names of methods, learned and classical. A derivative is
            drawn if at least two of them have it, or the only one.

    Raises:
        ValueError: if there is no such derivative.

    Example:
        >>> import torch
        >>> from stencilnet import FiniteDifference, Grid, certify
        >>> from stencilnet.equations import Advection
        >>> from stencilnet.report import modified_wavenumbers
        >>> from stencilnet.storage import trajectories
        >>> grid, times = Grid.line(16), torch.linspace(0, 1, 3)
        >>> u = (grid.points() - times.unsqueeze(-1)).sin()
        >>> wave = trajectories(u, times, grid, averages=True)
        >>> methods = {
        ...     f"central_{order}": FiniteDifference(Advection(1.0), grid, order=order)
        ...     for order in (2, 4)
        ... }
        >>> certificates = {
        ...     name: certify(method, wave, states=1, refinements=1)
        ...     for name, method in methods.items()
        ... }
        >>> real, imaginary = modified_wavenumbers(certificates).axes
        >>> [line.get_label() for line in real.get_lines()]
        ['exact', 'central 2', 'central 4']
    """
    styles = line_styles(certificates)
    shared = _shared_derivatives(certificates)
    figure = Figure(figsize=(WIDTH, 1.75 * len(shared) + 0.5), layout="constrained")
    rows = figure.subplots(len(shared), 2, sharex=True, squeeze=False)
    for row, methods in zip(rows, shared.values(), strict=True):
        for name, derivative in methods.items():
            draw_symbols(
                row,
                certificates[name].sel(derivative=derivative),
                bands=BANDS[1:],
                label=LABELS.get(name, name),
                style=styles[name],
                exact=name == next(iter(methods)),
            )
    label_parts(rows)
    handles = {
        label: handle
        for axis in rows[:, 0]
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    legend_below(figure, [*handles.values(), band_handle(GREY, BANDS[1][2])])
    letter_panels(rows.ravel())
    return figure


def derivatives(certificate: xr.Dataset) -> list[str]:
    """Names along `derivative`, none for a method without stencils."""
    if "derivative" not in certificate.coords:
        return []
    return [str(name) for name in certificate["derivative"].values]


def draw_symbols(
    axes: Any,
    certificate: xr.Dataset,
    *,
    bands: Sequence[tuple[float, float, str]] = BANDS,
    label: str = "median",
    style: Mapping[str, Any] | None = None,
    exact: bool = True,
) -> None:
    """Real and imaginary part of one derivative's symbol, in two axes."""
    style = {"color": accent()} if style is None else style
    order = int(certificate["modified_order"])
    k_dx = certificate["k_dx"].values
    truths = (k_dx**order, 0 * k_dx)
    for part, (axis, truth) in enumerate(zip(axes, truths, strict=True)):
        quantiles = certificate["modified_wavenumber"].isel(part=part)
        # What symmetry makes zero would otherwise be a picture of rounding.
        quantiles = quantiles.where(abs(quantiles) > _ROUNDING, 0.0)
        if exact:
            dotted = {"color": reference_colour(), "linewidth": thin()}
            axis.plot(k_dx, truth, ":", label="exact", **dotted)
        for low, high, _ in bands:
            ends = (quantiles.sel(quantile=low), quantiles.sel(quantile=high))
            band(axis, k_dx, *ends, style["color"])
        axis.plot(k_dx, quantiles.sel(quantile=0.5), label=label, **style)
    name = str(certificate["derivative"].values)
    power = f"^{order}" if order != 1 else ""
    axes[0].set_ylabel(f"{formula(name)}:  $(k^* \\Delta x){power}$")


def label_parts(rows: Any) -> None:
    """Titles and labels of panels, real parts on the left, imaginary on the right."""
    for axis, part in zip(rows[0], ("real", "imaginary"), strict=True):
        axis.set_title(f"{part} part")
    for axis in rows[-1]:
        axis.set_xlabel("$k \\Delta x$")


def _shared_derivatives(
    certificates: Mapping[str, xr.Dataset],
) -> dict[tuple[str, int], dict[str, str]]:
    """Derivatives, by what and of which order in `u_t` they are.

    Each has the methods that have it, and its name there.
    """
    methods: dict[tuple[str, int], dict[str, str]] = {}
    for name, certificate in certificates.items():
        if "modified_wavenumber" in certificate:
            for derivative in derivatives(certificate):
                entry = certificate.sel(derivative=derivative)
                kind = derivative.removesuffix("_left")
                key = (kind, int(entry["modified_order"]))
                methods.setdefault(key, {})[name] = derivative
    least = min(2, len(certificates))
    shared = {key: names for key, names in methods.items() if len(names) >= least}
    if not shared:
        said = "; ".join(
            f"{name}: {', '.join(derivatives(certificate)) or 'none'}"
            for name, certificate in certificates.items()
        )
        raise ValueError(
            f"These methods share no derivative with a modified wavenumber ({said}): "
            f"compare methods of one form."
        )
    return shared


def formula(name: str) -> str:
    """The name of a derivative, such as `u_xx` or `u_inner_left`, as a formula."""
    letter, _, index = name.partition("_")
    if not index:
        return f"${letter}$"
    if set(index) == {"x"}:
        return f"${letter}_{{{index}}}$"
    words = index.replace("_", r"\ ")
    return rf"${letter}_{{\rm {words}}}$"
