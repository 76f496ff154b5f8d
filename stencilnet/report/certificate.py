"""Certificate of a method, as table and figures.

A certificate is a dataset as `study.certify` gives it, with the attributes `spec`
(JSON), `points` and `period`. All its variables are optional:

- over `derivative`: `moment_residual`, `observed_order`, `resolved_k_dx`,
  `reversed_share`, `lipschitz`; `modified_wavenumber` (derivative, part, quantile,
  k_dx) at the quantiles 0, 0.05, 0.5, 0.95 and 1 with `modified_order`; and
  `refinement_error` (derivative, spacing);
- `refinement_error_u_t` (spacing), and numbers of the whole method:
  `observed_order_u_t`, `lipschitz_bound`, `step`, `stable_step`,
  `stable_step_of_data`, `growth_rate`. NaN stands for what could not be measured;
- `eigenvalue_real` and `eigenvalue_imaginary`, and `amplification` (z_imaginary,
  z_real);
- `mean_drift`, `relative_l2` and `blow_up` of rollouts;
- `stencil_residual`, `mirror_error` and `boost_error` of a picture within cells.

Rows, columns and panels follow what is there: a method without learned coefficients has
no `lipschitz`, one without stencils no entry along `derivative`.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

import xarray as xr
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table

from stencilnet.report.columns import error_text
from stencilnet.report.style import (
    WIDTH,
    accent,
    band_handle,
    cell,
    legend_below,
    letter_panels,
    line_styles,
    package_style,
    positive,
    reference_colour,
    thin,
)
from stencilnet.report.wavenumbers import (
    BANDS,
    derivatives,
    draw_symbols,
    formula,
    label_parts,
)

# Label, variable per derivative and its format, variable of the whole and its format.
_ROWS = (
    (
        "largest moment residual",
        "moment_residual",
        "{:.0e}",
        "stencil_residual",
        "{:.0e}",
    ),
    (
        "observed order on smooth fields",
        "observed_order",
        "{:.2f}",
        "observed_order_u_t",
        "{:.2f}",
    ),
    ("exact to 1 % up to k dx", "resolved_k_dx", "{:.2f}", "", ""),
    ("stencils that reverse some wave", "reversed_share", "{:.1%}", "", ""),
    (
        "Lipschitz constant, on the data",
        "lipschitz",
        "{:.3g}",
        "lipschitz_bound",
        "<= {:.3g}",
    ),
    ("time step", "", "", "step", "{:.3g}"),
    ("  largest stable one, linearized", "", "", "stable_step", "{:.3g}"),
    ("fastest growth about the data", "", "", "growth_rate", "{:.2g}"),
    ("mirror image of a step", "", "", "mirror_error", "{:.0e}"),
    ("moving frame, a drift", "", "", "boost_error", "{:.0e}"),
)


def certificate_table(certificate: xr.Dataset) -> Group:
    """A certificate on a page, for a terminal of 80 columns.

    Args:
        certificate: of a method, with the attributes `points` and `period`, and `spec`,
            what was certified, as JSON: any mapping, of which `equation` and `form`
            come first.

    Example:
        >>> import torch
        >>> from rich.console import Console
        >>> from stencilnet import FiniteDifference, Grid, certify
        >>> from stencilnet.equations import Advection
        >>> from stencilnet.report import certificate_table
        >>> from stencilnet.storage import trajectories
        >>> grid, times = Grid.line(16), torch.linspace(0, 1, 3)
        >>> u = (grid.points() - times.unsqueeze(-1)).sin()
        >>> wave = trajectories(u, times, grid, averages=True)
        >>> central = FiniteDifference(Advection(1.0), grid, order=2)
        >>> certificate = certify(central, wave, states=1, refinements=3)
        >>> Console(width=80, color_system=None).print(certificate_table(certificate))
        Advection, velocity 1, on 16 points over 6.283
        FiniteDifference, order 2
                                            u     all
        ─────────────────────────────────────────────
        observed order on smooth fields  2.00    2.00
        exact to 1 % up to k dx          none
        ...
        blow-ups                                  0/1
    """
    names = derivatives(certificate)
    table = Table(box=SIMPLE_HEAD, padding=0, show_edge=False)
    table.add_column("")
    for heading in (*names, "all"):
        table.add_column(cell(heading), justify="right", no_wrap=True)
    for label, each, each_format, whole, whole_format in _ROWS:
        cells = [""] * len(names)
        if each in certificate and names:
            cells = [
                _cell(certificate, each, each_format, value)
                for value in certificate[each].values
            ]
        total = ""
        if whole in certificate:
            total = _cell(certificate, whole, whole_format, _whole(certificate, whole))
        if total or any(cells):
            table.add_row(label, *cells, total)
    for label, text in _of_rollouts(certificate).items():
        table.add_row(label, *[""] * len(names), text)
    title = "\n".join(map(cell, _title(certificate).split("\n")))
    return Group(title, "", table)


def _whole(certificate: xr.Dataset, name: str) -> float:
    """A number of the whole method."""
    value = float(certificate[name])
    if name == "stable_step":
        # Rollouts have to be stable about constants and about the data.
        value = min(value, float(certificate.get("stable_step_of_data", value)))
    # Eigenvalues of a neutral mode differ from zero by rounding.
    return 0.0 if name == "growth_rate" and abs(value) < 1e-10 else value


def _cell(certificate: xr.Dataset, name: str, form: str, value: float) -> str:
    """A number as text; nothing where there was nothing to measure."""
    if math.isnan(value):
        return ""
    longest = 2 * math.pi / certificate.attrs["points"]
    if name == "resolved_k_dx" and value < longest * (1 - 1e-9):
        return "none"
    return form.format(value)


@package_style()
def certificate_figure(certificate: xr.Dataset) -> Figure:
    """Modified wavenumbers, convergence on smooth fields, and eigenvalues.

    A row per derivative: real and imaginary part of `(k* dx)**D` against the exact
    value, with the range of 5 to 95 % and the whole range of the stencils. Besides, the
    errors as the grid is refined, and `lambda dt` in the integrator's region of
    stability.

    Args:
        certificate: of a method.

    Raises:
        ValueError: if it holds nothing of these.

    Example:
        >>> import torch
        >>> from stencilnet import FiniteDifference, Grid, certify
        >>> from stencilnet.equations import Advection
        >>> from stencilnet.report import certificate_figure
        >>> from stencilnet.storage import trajectories
        >>> grid, times = Grid.line(16), torch.linspace(0, 1, 3)
        >>> u = (grid.points() - times.unsqueeze(-1)).sin()
        >>> wave = trajectories(u, times, grid, averages=True)
        >>> central = FiniteDifference(Advection(1.0), grid, order=2)
        >>> certificate = certify(central, wave, states=1, refinements=3)
        >>> figure = certificate_figure(certificate)
        >>> [axis.get_title(loc="left") for axis in figure.axes]
        ['(a) real part', '(b) imaginary part', '(c) convergence', '(d) stability']
    """
    names = derivatives(certificate)
    waves = names if "modified_wavenumber" in certificate else []
    draw = []
    if {"refinement_error", "refinement_error_u_t"} & set(certificate):
        draw.append(_refinement)
    if {"eigenvalue_real", "step"} <= set(certificate):
        draw.append(_stability)
    if not waves and not draw:
        raise ValueError("This certificate holds nothing that could be drawn.")
    height = 1.75 * max(len(waves), 2) if waves else 2.6
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    left: Any = figure
    right: Any = figure
    if waves and draw:
        parts: Any = figure.subfigures(1, 2, width_ratios=(2, 1))
        left, right = parts
    panels = []
    if waves:
        rows = left.subplots(len(waves), 2, sharex=True, squeeze=False)
        for row, name in zip(rows, waves, strict=True):
            draw_symbols(row, certificate.sel(derivative=name))
        label_parts(rows)
        handles = rows[0, 0].get_legend_handles_labels()[0]
        handles += [
            band_handle(accent(), label, layers=layers)
            for layers, (_, _, label) in enumerate(BANDS, start=1)
        ]
        legend_below(left, handles)
        panels += rows.ravel().tolist()
    if draw:
        shape = (len(draw), 1) if waves else (1, len(draw))
        others = right.subplots(*shape, squeeze=False).ravel()
        for axis, panel in zip(others, draw, strict=True):
            panel(axis, certificate)
        panels += others.tolist()
    letter_panels(panels)
    return figure


def _title(certificate: xr.Dataset) -> str:
    """Equation, form and grid, then what else the spec says of the method."""
    spec = json.loads(certificate.attrs["spec"])
    settings = {**spec, **(spec.get("settings") or {})}
    for key in ("equation", "form", "grid", "settings", "scale", "seed", "dtype"):
        settings.pop(key, None)
    nested = {
        key: value for key, value in settings.items() if isinstance(value, Mapping)
    }
    plain = {key: value for key, value in settings.items() if key not in nested}
    grid = "on {points} points over {period:.4g}".format_map(certificate.attrs)
    lines = (
        (", ", [_words(spec.get("equation", {})), spec.get("form"), grid]),
        ("; ", [_words(plain), *map(_entry, nested.items())]),
    )
    return "\n".join(joint.join(filter(None, parts)) for joint, parts in lines)


def _words(values: Any) -> str:
    """`Burgers, viscosity 0.02`, of a mapping with the entries `name`, `viscosity`."""
    if not isinstance(values, Mapping):
        return str(values)
    return ", ".join(
        str(value) if key in ("name", "kind", "method") else f"{key} {_number(value)}"
        for key, value in values.items()
        if value is not None
    )


def _entry(item: tuple[str, Any]) -> str:
    return f"{item[0]} {_words(item[1])}"


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_number, value))}]"
    if isinstance(value, Mapping):
        return f"({_words(value)})"
    return str(value)


def _of_rollouts(certificate: xr.Dataset) -> dict[str, str]:
    """Results of the rollouts over the data, by their labels."""
    texts = {}
    if "mean_drift" in certificate:
        drift = float(certificate["mean_drift"].max())
        texts["drift of the mean, rollouts"] = f"{drift:.0e}"
    if "relative_l2" in certificate:
        error = float(certificate["relative_l2"].mean())
        texts["relative L2, rollouts"] = error_text(error)
    if "blow_up" in certificate:
        blown = certificate["blow_up"]
        texts["blow-ups"] = f"{int(blown.sum())}/{blown.size}"
    return texts


def _refinement(axis: Any, certificate: xr.Dataset) -> None:
    """Errors on smooth fields against the spacing."""
    spacing, names = certificate["spacing"], derivatives(certificate)
    styles = line_styles(names, {})
    if "refinement_error" in certificate:
        for name in names:
            error = positive(certificate["refinement_error"].sel(derivative=name))
            axis.plot(spacing, error, marker="o", label=formula(name), **styles[name])
    if "refinement_error_u_t" in certificate:
        whole = positive(certificate["refinement_error_u_t"])
        axis.plot(spacing, whole, "s-", color=reference_colour(), label="$u_t$")
    axis.set(xscale="log", yscale="log", title="convergence")
    axis.set(xlabel="$\\Delta x$", ylabel="relative error")
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.legend()


def _stability(axis: Any, certificate: xr.Dataset) -> None:
    """Eigenvalues times the step, in the integrator's region of stability."""
    if "amplification" in certificate:
        z = certificate["amplification"].transpose("z_imaginary", "z_real")
        plane = (z["z_real"], z["z_imaginary"], z)
        axis.contourf(*plane, (0, 1), colors=["#DDDDDD"])
        axis.contour(*plane, (1,), colors=[reference_colour()], linewidths=thin())
    dt = float(certificate["step"])
    axis.plot(
        dt * certificate["eigenvalue_real"].values.ravel(),
        dt * certificate["eigenvalue_imaginary"].values.ravel(),
        ".",
        color=accent(),
        markersize=1.5,
        markeredgewidth=0,
        rasterized=True,
    )
    axis.set(xlabel="Re $\\lambda \\Delta t$", ylabel="Im $\\lambda \\Delta t$")
    axis.set_title("stability")
    axis.set_aspect("equal")
