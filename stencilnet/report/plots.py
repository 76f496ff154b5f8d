"""Figures of comparisons and trainings; they draw what datasets hold."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

LABELS = {
    "reference": "reference",
    "learned": "learned",
    "weno_z": "WENO-Z",
    "weno_js": "WENO-JS",
    "central_2": "central 2",
    "central_4": "central 4",
    "central_6": "central 6",
    "upwind_1": "upwind 1",
    "upwind_3": "upwind 3",
    "muscl": "MUSCL",
    "dg1": "DG p1",
    "dg2": "DG p2",
    "dg3": "DG p3",
    "spectral": "pseudo-spectral",
    "spectral_averages": "spectral, averages",
    "none": "no filter",
    "gaussian": "Gaussian",
    "savitzky_golay": "Savitzky-Golay",
    "tikhonov": "Tikhonov",
    "total_variation": "total variation",
}
"""How figures and tables write the names of methods."""

# Okabe and Ito's palette, which colour-blind readers can tell apart.
_COLOURS = {
    "reference": "#000000",
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
    "total_variation": "#D55E00",
}
STYLE: Any = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.2,
    "savefig.dpi": 200,
    # Text stays text in a PDF.
    "pdf.fonttype": 42,
}
WIDTH = 6.9  # inches, both columns of a journal's page


def save(figure: Figure, path: Path) -> list[Path]:
    """Writes a figure as PNG and PDF.

    Args:
        figure: to write.
        path: without a suffix.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with rc_context(STYLE):
        for target in targets(path):
            # A fixed date keeps the same figure the same file.
            metadata = {"CreationDate": None} if target.suffix == ".pdf" else None
            figure.savefig(target, metadata=metadata)
    return targets(path)


def targets(path: Path) -> list[Path]:
    """The files that `save` writes."""
    return [path.with_name(f"{path.name}.{kind}") for kind in ("png", "pdf")]


def space_time(
    comparison: xr.Dataset, *, methods: Sequence[str], sample: int = 0
) -> Figure:
    """Space-time diagrams of the reference and methods, and of their errors.

    The lower left panel shows the relative L2 error at each time instead of the error
    of the reference, which has none.

    Args:
        comparison: from `evaluation.compare`.
        methods: at least one of its methods, from left to right.
        sample: which trajectory.
    """
    with rc_context(STYLE):
        columns = len(methods) + 1
        figure = Figure(figsize=(WIDTH, 3.9), layout="constrained")
        axes = figure.subplots(2, columns, squeeze=False)
        chosen = comparison.isel(sample=sample)
        reference = chosen["reference"].sel(scheme=methods[0])
        limit = float(np.abs(reference).max())
        errors = [
            chosen["u"].sel(scheme=name) - chosen["reference"].sel(scheme=name)
            for name in methods
        ]
        finite = [np.abs(error.where(np.isfinite(error))).max() for error in errors]
        largest = max(float(value) for value in finite)
        extent = _extent(comparison)
        for axis, field, name in zip(
            axes[0],
            (reference, *(chosen["u"].sel(scheme=name) for name in methods)),
            ("reference", *methods),
            strict=True,
        ):
            image = _image(axis, field, limit, "RdBu_r", extent)
            axis.set_title(_label(name))
        figure.colorbar(image, ax=axes[0].tolist(), label="$u$", pad=0.01)
        for axis, error, name in zip(axes[1, 1:], errors, methods, strict=True):
            image = _image(axis, error, largest, "PuOr_r", extent)
            axis.set_title(f"error of {_label(name)}")
        figure.colorbar(image, ax=axes[1].tolist(), label="error", pad=0.01)
        for name in methods:
            _line(
                axes[1, 0], comparison["time"], chosen["error"].sel(scheme=name), name
            )
        axes[1, 0].set_yscale("log")
        axes[1, 0].set_title("relative error")
        axes[1, 0].legend()
        for axis in axes[-1]:
            axis.set_xlabel("$t$")
        for row in axes:
            row[0].set_ylabel("$x$")
        axes[1, 0].set_ylabel("")
        for axis in axes[:, 1:].flat:
            axis.set_yticklabels([])
    return figure


def error_against_time(comparison: xr.Dataset) -> Figure:
    """Mean relative L2 error at each time, with the range over the samples."""
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH / 2 * 1.2, 2.9), layout="constrained")
        axis = figure.subplots()
        for name in comparison["scheme"].values:
            error = comparison["error"].sel(scheme=name)
            error = error.where(np.isfinite(error))
            _line(axis, error["time"], error.mean("sample"), str(name))
            if name in ("learned", "weno_z"):
                axis.fill_between(
                    error["time"],
                    error.min("sample"),
                    error.max("sample"),
                    color=_colour(str(name)),
                    alpha=0.15,
                    linewidth=0,
                )
        axis.set_yscale("log")
        axis.set_xlabel("$t$")
        axis.set_ylabel("relative $L^2$ error")
        axis.legend(ncols=2)
    return figure


def snapshots(comparison: xr.Dataset, *, methods: Sequence[str]) -> Figure:
    """The solution before, at and after the steepest moment, and the errors below.

    The domain is turned so that the steepest place of all is in the middle.

    Args:
        comparison: from `evaluation.compare`.
        methods: which to draw beside the reference.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
        axes = figure.subplots(2, 3, sharex=True, sharey="row", height_ratios=(3, 2))
        reference = comparison["reference"].sel(scheme=methods[0])
        jump = abs(reference - reference.roll(x=1)).transpose("sample", "time", "x")
        place = np.unravel_index(int(jump.values.argmax()), jump.shape)
        sample, moment, cell = (int(index) for index in place)
        cells, last = comparison.sizes["x"], comparison.sizes["time"] - 1
        gap = max(1, min(10, last // 4))
        middle = min(max(moment, gap), last - gap)
        turned = comparison.isel(sample=sample).roll(x=cells // 2 - cell)
        spacing = comparison.attrs["period"] / cells
        x = (np.arange(cells) - cells // 2) * spacing
        for column, index in zip(
            axes.T, (middle - gap, middle, middle + gap), strict=True
        ):
            chosen = turned.isel(time=index)
            truth = chosen["reference"].sel(scheme=methods[0])
            column[0].plot(x, truth, color="k", label=LABELS["reference"])
            for name, marker in zip(methods, "osd^v", strict=False):
                style = {"color": _colour(name), "markersize": 3}
                u = chosen["u"].sel(scheme=name)
                column[0].plot(
                    x, u, marker, markerfacecolor="none", label=_label(name), **style
                )
                error = u - chosen["reference"].sel(scheme=name)
                column[1].plot(x, error, marker + "-", linewidth=0.7, **style)
            column[0].set_title(f"$t = {float(chosen['time']):.1f}$")
            column[1].set_xlabel("$x$ from the shock")
        axes[0, 0].set_ylabel("$u$")
        axes[1, 0].set_ylabel("error")
        axes[0, 0].legend()
    return figure


def spectra(comparison: xr.Dataset) -> Figure:
    """Energy spectra, averaged over time, and their ratio to the reference's."""
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 2.7), layout="constrained")
        left, right = figure.subplots(1, 2)
        k = comparison["k"][1:]
        first = comparison["reference_spectrum"].isel(scheme=0)[1:]
        left.loglog(k, first, "k.-", label=LABELS["reference"], zorder=3)
        right.axhline(1, color="k", linewidth=0.8)
        for name in comparison["scheme"].values:
            spectrum = comparison["spectrum"].sel(scheme=name)[1:]
            if np.isfinite(spectrum).any():
                _line(left, k, spectrum, str(name))
                own = comparison["reference_spectrum"].sel(scheme=name)[1:]
                _line(right, k, spectrum / own, str(name))
        left.set_ylim(bottom=float(first.min()) / 30)
        left.set_ylabel("energy $|u_k|^2$")
        left.legend(ncols=2)
        right.set_xscale("log")
        right.set_ylim(0, 2)
        right.set_ylabel("energy / energy of the reference")
        for axis in (left, right):
            axis.set_xlabel("$k$")
    return figure


def denoising(compared: xr.Dataset) -> Figure:
    """One snapshot as each filter leaves it, its slope below, and the errors.

    Args:
        compared: from `denoise.compare_denoisers`.
    """
    names = [str(name) for name in compared["filter"].values]
    spacing = float(compared["x"][1] - compared["x"][0])
    known = "clean" in compared
    truth = compared["clean"] if known else compared["field"].sel(filter=names[-1])
    # The state with the steepest place, in the middle of the time.
    steepest = abs(truth - truth.roll(x=1)).max("x")
    sample, time = np.unravel_index(int(steepest.values.argmax()), steepest.shape)
    chosen = compared.isel(sample=int(sample), time=int(time))
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
        axes = figure.subplots(
            2,
            len(names),
            sharex=True,
            sharey="row",
            squeeze=False,
            height_ratios=(3, 2),
        )
        x = compared["x"]
        for name, (above, below) in zip(names, axes.T, strict=True):
            field = chosen["field"].sel(filter=name)
            for of, style in (
                (chosen["clean"] if known else None, {"color": "k", "lw": 0.8}),
                (field, {"color": _colour(name), "lw": 1.0}),
            ):
                if of is None:
                    continue
                slope = (of.roll(x=-1) - of.roll(x=1)) / (2 * spacing)
                label = "clean" if of is not field else None
                above.plot(x, of, label=label, **style)
                below.plot(x, slope, **style)
            title = _label(name)
            if known:
                error = compared["error"].sel(filter=name, quantity="u")
                title += f"\nerror {float(error):.2g}"
                slope_error = compared["error"].sel(filter=name, quantity="u_x")
                below.set_title(f"error {float(slope_error):.2g}")
            above.set_title(title)
            below.set_xlabel("$x$")
        if known:
            slope = (truth.roll(x=-1) - truth.roll(x=1)) / (2 * spacing)
            here = slope.isel(sample=int(sample), time=int(time))
            # The slope of the noise would hide all others.
            low, high = float(here.min()), float(here.max())
            margin = 0.25 * (high - low) or 1.0
            axes[1, 0].set_ylim(low - margin, high + margin)
            axes[0, 0].legend()
        axes[0, 0].set_ylabel("$u$")
        axes[1, 0].set_ylabel("$u_x$")
    return figure


def training_history(history: Mapping[str, np.ndarray]) -> Figure:
    """Loss of each update and error of each validation.

    Args:
        history: of an operator store.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 2.4), layout="constrained")
        left, right = figure.subplots(1, 2)
        left.semilogy(history["loss"], color="#999999", linewidth=0.5)
        left.set_xlabel("update")
        left.set_ylabel("loss")
        grown = np.flatnonzero(np.diff(history["horizon"])) + 1
        for start in grown:
            left.axvline(start, color="#009E73", linewidth=0.6, linestyle=":")
        right.semilogy(
            history["validation_iteration"],
            history["validation_relative_l2"],
            ".-",
            color=_COLOURS["learned"],
        )
        right.set_xlabel("update")
        right.set_ylabel("relative $L^2$ error, validation")
    return figure


def certificate(measured: xr.Dataset) -> Figure:
    """Modified wavenumbers, convergence on smooth fields, and eigenvalues.

    A row per derivative: real and imaginary part of `(k* dx)**D` against the exact
    value, with the range of 5 to 95 % and the whole range of the stencils.

    Args:
        measured: from `certificate.certify`.
    """
    names = [str(name) for name in measured["derivative"].values]
    with rc_context(STYLE):
        height = 1.75 * max(len(names), 2)
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        parts: Any = figure.subfigures(1, 2, width_ratios=(2, 1))
        left, right = parts
        panels = left.subplots(len(names), 2, sharex=True, squeeze=False)
        for row, name in zip(panels, names, strict=True):
            _modified_wavenumber(row, measured.sel(derivative=name))
        for axis, part in zip(panels[0], ("real", "imaginary"), strict=True):
            axis.set_title(f"{part} part")
        for axis in panels[-1]:
            axis.set_xlabel("$k \\Delta x$")
        panels[0, 0].legend()
        above, below = right.subplots(2, 1)
        spacing = measured["spacing"]
        for name, colour in zip(names, ("#0072B2", "#009E73", "#CC79A7"), strict=False):
            error = measured["refinement_error"].sel(derivative=name)
            style = {"color": colour, "markersize": 3, "label": _symbol(name)}
            above.loglog(spacing, error, "o-", **style)
        whole = measured["refinement_error_u_t"]
        above.loglog(spacing, whole, "ks-", markersize=3, label="$u_t$")
        above.set(xlabel="$\\Delta x$", ylabel="relative error")
        above.xaxis.set_minor_formatter(NullFormatter())
        above.legend()
        dt = float(measured["step"])
        z = measured["amplification"]
        below.contourf(z["z_real"], z["z_imaginary"], z, (0, 1), colors=["#DDDDDD"])
        below.contour(
            z["z_real"], z["z_imaginary"], z, (1,), colors="k", linewidths=0.8
        )
        below.plot(
            dt * measured["eigenvalue_real"].values.ravel(),
            dt * measured["eigenvalue_imaginary"].values.ravel(),
            ".",
            color=_COLOURS["learned"],
            markersize=1.5,
            markeredgewidth=0,
            rasterized=True,
        )
        below.set(xlabel="Re $\\lambda \\Delta t$", ylabel="Im $\\lambda \\Delta t$")
        below.set_aspect("equal")
    return figure


def _modified_wavenumber(axes: Sequence[Any], measured: xr.Dataset) -> None:
    """Real and imaginary part of one derivative's symbol."""
    order = int(measured["modified_order"])
    k_dx = measured["k_dx"].values
    for axis, part, exact in zip(axes, (0, 1), (k_dx**order, 0 * k_dx), strict=True):
        of = measured["modified_wavenumber"].isel(part=part)
        axis.plot(k_dx, exact, "k:", linewidth=0.8, label="exact")
        colour = _COLOURS["learned"]
        for low, high in ((0.0, 1.0), (0.05, 0.95)):
            band = (of.sel(quantile=low), of.sel(quantile=high))
            axis.fill_between(k_dx, *band, color=colour, alpha=0.2, linewidth=0)
        axis.plot(k_dx, of.sel(quantile=0.5), color=colour, label="median")
    name = str(measured["derivative"].values)
    power = f"^{order}" if order > 1 else ""
    axes[0].set_ylabel(f"{_symbol(name)}:  $(k^* \\Delta x){power}$")


def _symbol(name: str) -> str:
    """The name of a derivative, such as `u_xx` or `u_left`, as a formula."""
    letter, _, index = name.partition("_")
    if not index:
        return f"${letter}$"
    roman = "" if set(index) == {"x"} else r"\rm "
    return f"${letter}_{{{roman}{index}}}$"


def _extent(comparison: xr.Dataset) -> tuple[float, float, float, float]:
    time = comparison["time"].values
    return float(time[0]), float(time[-1]), 0.0, float(comparison.attrs["period"])


def _image(
    axis: Any,
    field: xr.DataArray,
    limit: float,
    colours: str,
    extent: tuple[float, float, float, float],
) -> Any:
    return axis.imshow(
        field.transpose("x", "time").values,
        origin="lower",
        aspect="auto",
        extent=extent,
        cmap=colours,
        vmin=-limit,
        vmax=limit,
        interpolation="nearest",
        rasterized=True,
    )


def _line(axis: Any, x: xr.DataArray, y: xr.DataArray, name: str) -> None:
    positive = y.where(np.isfinite(y) & (y > 0))
    axis.plot(x, positive, color=_colour(name), label=_label(name))


def _label(name: str) -> str:
    return LABELS.get(name, name)


def _colour(name: str) -> str:
    return _COLOURS.get(name, "#444444")
